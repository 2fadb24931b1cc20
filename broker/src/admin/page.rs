//! Long tables in pages, by order of names.

use std::collections::BTreeMap;

use remoting::body::{DataVersion, fastjson};

/// Entries of one answer. Java: `splitMetadataSize`.
const PAGE_MAX: usize = 2000;

/// Which entries the caller wants.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// Entries it has already.
    pub(super) from: Option<i32>,
    pub(super) max: Option<i32>,
    /// Of the table that they were of: another one begins again at the first entry.
    pub(super) version: Option<String>,
}

impl Page {
    /// Leaves the wanted entries in `table`. A caller that names no page gets all: older ones do not know pages.
    ///
    /// Java: `TopicConfigManager.subTopicConfigTable`.
    pub(super) fn cut<K: Ord, V>(&self, table: BTreeMap<K, V>, version: DataVersion) -> BTreeMap<K, V> {
        if self.from.is_none() && self.max.is_none() && self.version.is_none() {
            return table;
        }
        let theirs = self.version.as_ref().and_then(|text| fastjson::read::<DataVersion>(text.as_bytes()).ok());
        let from = if theirs == Some(version) { size(self.from, 0) } else { 0 };
        table.into_iter().skip(from).take(size(self.max, PAGE_MAX).min(PAGE_MAX)).collect()
    }
}

/// Negative is none at all.
fn size(number: Option<i32>, default: usize) -> usize {
    number.map_or(default, |number| usize::try_from(number).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use remoting::types::Timestamp;

    use super::*;

    const VERSION: DataVersion = DataVersion { counter: 3, state_version: 0, timestamp: Timestamp(5) };

    fn check(from: Option<i32>, max: Option<i32>, version: Option<&str>, expect: std::ops::Range<i32>) {
        let page = Page { from, max, version: version.map(str::to_owned) };
        let table = (0..5000).map(|number| (number, ())).collect();
        let cut: Vec<i32> = page.cut(table, VERSION).into_keys().collect();
        assert_eq!(cut, expect.collect::<Vec<_>>(), "{page:?}");
    }

    #[test]
    fn pages_follow_each_other_while_the_table_stays() {
        let same = Some(r#"{"counter":3,"stateVersion":0,"timestamp":5}"#);
        check(None, None, None, 0..5000);
        check(Some(0), Some(2000), None, 0..2000);
        check(Some(2000), Some(2000), same, 2000..4000);
        check(Some(4000), Some(2000), same, 4000..5000);
        check(Some(6000), Some(2000), same, 0..0);
        check(Some(10), Some(5), same, 10..15);
        check(Some(10), Some(9999), same, 10..2010);
        check(Some(10), None, same, 10..2010);
        check(Some(-1), Some(-1), same, 0..0);
        check(Some(2000), Some(2000), Some(r#"{"counter":4,"stateVersion":0,"timestamp":5}"#), 0..2000);
        check(Some(2000), Some(2000), Some("?"), 0..2000);
    }
}
