//! `config/consumerFilter.json`.

use std::collections::BTreeMap;
use std::sync::Arc;

use remoting::body::{ExpressionType, fastjson};
use remoting::types::{GroupName, Timestamp, TopicName};
use serde::{Deserialize, Serialize};

use super::bloom::{Bloom, BloomPlace};
use super::compile;
use super::registry::{GroupFilter, Table};
use crate::persist::{Home, LoadError};

pub(super) const NAME: &str = "consumerFilter.json";

/// Java: `ConsumerFilterManager`.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    filter_data_by_topic: BTreeMap<TopicName, Topic>,
}

/// Java: `FilterDataMapByTopic`.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Topic {
    group_filter_data: BTreeMap<GroupName, Filter>,
    topic: TopicName,
}

/// Java: `ConsumerFilterData`.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    bloom_filter_data: BloomPlace,
    born_time: Timestamp,
    client_version: i64,
    consumer_group: GroupName,
    dead: bool,
    /// 0 while alive.
    dead_time: Timestamp,
    expression: String,
    expression_type: String,
    topic: TopicName,
}

/// Whoever was alive has been dead since `dead_since`, or since its birth if that was later. A file of another bloom
/// filter is not used, as in Java; nor are expressions that no longer compile.
pub(super) fn load(home: &Home, bloom: Bloom, dead_since: Timestamp) -> Result<Table, LoadError> {
    let file: File = home.load(NAME)?.unwrap_or_default();
    let mut filters = file.filter_data_by_topic.values().flat_map(|topic| topic.group_filter_data.values());
    if filters.any(|filter| !bloom.has(&filter.bloom_filter_data)) {
        tracing::info!("the bloom filter has other settings now: the filters of before are forgotten");
        return Ok(Table::new());
    }
    let mut table = Table::new();
    for (topic, groups) in file.filter_data_by_topic {
        for (group, filter) in groups.group_filter_data {
            let expression = match compile(&ExpressionType(filter.expression_type), &filter.expression) {
                Ok(expression) => Arc::new(expression),
                Err(err) => {
                    tracing::warn!(%topic, %group, %err, "a filter cannot be used");
                    continue;
                }
            };
            let dead = if filter.dead_time.0 == 0 { dead_since.max(filter.born_time) } else { filter.dead_time };
            let filter = GroupFilter {
                expression,
                text: filter.expression,
                client_version: filter.client_version,
                born: filter.born_time,
                dead: Some(dead),
                place: filter.bloom_filter_data,
            };
            table.entry(topic.clone()).or_default().insert(group, Arc::new(filter));
        }
    }
    Ok(table)
}

pub(super) fn write(table: &Table) -> String {
    let topic = |(topic, groups): (&TopicName, &BTreeMap<GroupName, Arc<GroupFilter>>)| {
        let filters = groups.iter().map(|(group, filter)| (group.clone(), filter.to_java(topic, group)));
        (topic.clone(), Topic { group_filter_data: filters.collect(), topic: topic.clone() })
    };
    fastjson::write(&File { filter_data_by_topic: table.iter().map(topic).collect() })
}

impl GroupFilter {
    pub(super) fn describe(&self, topic: &TopicName, group: &GroupName) -> String {
        serde_json::to_string_pretty(&self.to_java(topic, group)).expect("texts and numbers are JSON")
    }

    fn to_java(&self, topic: &TopicName, group: &GroupName) -> Filter {
        Filter {
            bloom_filter_data: self.place.clone(),
            born_time: self.born,
            client_version: self.client_version,
            consumer_group: group.clone(),
            dead: self.dead.is_some(),
            dead_time: self.dead.unwrap_or_default(),
            expression: self.text.clone(),
            expression_type: ExpressionType::SQL92.to_owned(),
            topic: topic.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JAVA: &str = include_str!("golden/consumerFilter.json");

    #[test]
    fn javas_file_is_read_and_written_as_java_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("consumerFilter.json");
        std::fs::write(&path, JAVA).unwrap();
        let bloom = Bloom::new(20, 64);
        let table = load(&folder.path().into(), bloom, Timestamp(5)).unwrap();
        assert_eq!(table.values().map(BTreeMap::len).sum::<usize>(), 3);
        for (topic, groups) in &table {
            for (group, filter) in groups {
                assert_eq!(filter.place, bloom.place(&format!("{group}#{topic}")), "{group}");
            }
        }
        // But for those that are dead now because this is a start.
        let mut expect: serde_json::Value = serde_json::from_str(JAVA).unwrap();
        for (topic, group) in [("TopicA", "group-one"), ("a_rather_long_topic_name_for_murmur", "group-\u{e9}")] {
            let filter = &mut expect["filterDataByTopic"][topic]["groupFilterData"][group];
            filter["dead"] = true.into();
            filter["deadTime"] = filter["bornTime"].clone();
        }
        assert_eq!(serde_json::from_str::<serde_json::Value>(&write(&table)).unwrap(), expect);
    }
}
