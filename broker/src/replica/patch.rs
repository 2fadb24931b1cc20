//! What changed between two states of a table, as text that another broker brings its own table up to date with.
//!
//! A table is what one of Java's `config/*.json` files holds: members that are objects with an entry for each topic, group
//! or level (`{"topicConfigTable":{"T":{…}},"dataVersion":{…}}`), and plain members. Entries are taken as they are: one that
//! changed is sent as a whole.

use std::collections::BTreeMap;

use remoting::body::fastjson;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The content of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table(BTreeMap<String, Member>);

#[derive(Clone, Debug, PartialEq)]
enum Member {
    Entries(BTreeMap<String, Value>),
    Plain(Value),
}

/// Brings a table from one state to another. Applied twice it does no harm, and neither do older ones that are followed by
/// all newer ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Patch {
    /// Entries to set, by member.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    set: BTreeMap<String, BTreeMap<String, Value>>,
    /// Entries to drop, by member.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    drop: BTreeMap<String, Vec<String>>,
    /// Members that have no entries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    plain: BTreeMap<String, Value>,
}

impl Table {
    /// # Errors
    /// The text is no JSON object.
    pub(crate) fn parse(text: &str) -> serde_json::Result<Self> {
        // A Java broker may have written it.
        let members: BTreeMap<String, Value> = fastjson::read(text.as_bytes())?;
        let member = |value| match value {
            Value::Object(entries) => Member::Entries(entries.into_iter().collect()),
            other => Member::Plain(other),
        };
        Ok(Self(members.into_iter().map(|(name, value)| (name, member(value))).collect()))
    }

    pub(crate) fn to_text(&self) -> String {
        let members = self.0.iter().map(|(name, member)| {
            let value = match member {
                Member::Entries(entries) => Value::Object(entries.clone().into_iter().collect()),
                Member::Plain(value) => value.clone(),
            };
            (name.clone(), value)
        });
        Value::Object(members.collect()).to_string()
    }

    /// What makes `newer` of this.
    pub(crate) fn patch_to(&self, newer: &Self) -> Patch {
        let mut patch = Patch::default();
        let none = BTreeMap::new();
        for (name, member) in &newer.0 {
            let old = self.0.get(name);
            match member {
                Member::Plain(value) if old != Some(member) => {
                    patch.plain.insert(name.clone(), value.clone());
                }
                Member::Plain(_) => {}
                Member::Entries(entries) => {
                    let known = match old {
                        Some(Member::Entries(known)) => known,
                        _ => &none,
                    };
                    let changed = entries.iter().filter(|(key, value)| known.get(*key) != Some(value));
                    let set: BTreeMap<_, _> = changed.map(|(key, value)| (key.clone(), value.clone())).collect();
                    let drop: Vec<_> = known.keys().filter(|key| !entries.contains_key(*key)).cloned().collect();
                    // A member that is empty is told by an empty set.
                    if !set.is_empty() || !matches!(old, Some(Member::Entries(_))) {
                        patch.set.insert(name.clone(), set);
                    }
                    if !drop.is_empty() {
                        patch.drop.insert(name.clone(), drop);
                    }
                }
            }
        }
        // Members never go; one that is missing has lost its entries.
        for (name, member) in self.0.iter().filter(|(name, _)| !newer.0.contains_key(*name)) {
            if let Member::Entries(entries) = member
                && !entries.is_empty()
            {
                patch.drop.insert(name.clone(), entries.keys().cloned().collect());
            }
        }
        patch
    }

    /// What makes this of an empty table.
    pub(crate) fn whole(&self) -> Patch {
        Self::default().patch_to(self)
    }

    pub(crate) fn apply(&mut self, patch: Patch) {
        for (name, value) in patch.plain {
            self.0.insert(name, Member::Plain(value));
        }
        for (name, set) in patch.set {
            self.entries(name).extend(set);
        }
        for (name, drop) in patch.drop {
            let entries = self.entries(name);
            drop.iter().for_each(|key| _ = entries.remove(key));
        }
    }

    /// An entry of a member.
    pub(crate) fn entry(&self, member: &str, key: &str) -> Option<&Value> {
        match self.0.get(member)? {
            Member::Entries(entries) => entries.get(key),
            Member::Plain(_) => None,
        }
    }

    fn entries(&mut self, name: String) -> &mut BTreeMap<String, Value> {
        let member = self.0.entry(name).or_insert_with(|| Member::Entries(BTreeMap::new()));
        if let Member::Plain(_) = member {
            *member = Member::Entries(BTreeMap::new());
        }
        match member {
            Member::Entries(entries) => entries,
            Member::Plain(_) => unreachable!("it was made one with entries"),
        }
    }
}

impl Patch {
    /// What it sets and drops of one member, by key.
    ///
    /// # Errors
    /// Entries are of another form.
    pub(crate) fn entries<T: DeserializeOwned>(
        &self,
        member: &str,
    ) -> serde_json::Result<(BTreeMap<String, T>, &[String])> {
        let set = self.set.get(member).into_iter().flatten();
        let set = set.map(|(key, value)| Ok((key.clone(), serde_json::from_value(value.clone())?)));
        Ok((set.collect::<serde_json::Result<_>>()?, self.drop.get(member).map_or(&[], Vec::as_slice)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.drop.is_empty() && self.plain.is_empty()
    }

    /// The same change in parts of about `bytes_max` each at the most, if entries are no larger.
    pub(crate) fn split(self, bytes_max: usize) -> Vec<Self> {
        let mut parts = vec![Self { plain: self.plain, ..Self::default() }];
        let mut bytes = 0;
        let mut room = |parts: &mut Vec<Self>, needed: usize| {
            if bytes > 0 && bytes + needed > bytes_max {
                parts.push(Self::default());
                bytes = 0;
            }
            bytes += needed;
        };
        for (name, set) in self.set {
            room(&mut parts, name.len());
            parts.last_mut().expect("there is one").set.entry(name.clone()).or_default();
            for (key, value) in set {
                room(&mut parts, name.len() + key.len() + value.to_string().len());
                parts.last_mut().expect("there is one").set.entry(name.clone()).or_default().insert(key, value);
            }
        }
        for (name, drop) in self.drop {
            for key in drop {
                room(&mut parts, name.len() + key.len());
                parts.last_mut().expect("there is one").drop.entry(name.clone()).or_default().push(key);
            }
        }
        parts.retain(|part| !part.is_empty());
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        Table::parse(text).unwrap()
    }

    fn check(old: &str, new: &str, expect: &str) {
        let patch = table(old).patch_to(&table(new));
        assert_eq!(serde_json::to_string(&patch).unwrap(), expect, "{old} to {new}");
        for bytes_max in [1, 1000] {
            let mut patched = table(old);
            for part in patch.clone().split(bytes_max) {
                let text = serde_json::to_string(&part).unwrap();
                patched.apply(serde_json::from_str(&text).unwrap());
                // Twice is once.
                patched.apply(part);
            }
            let again = patched.patch_to(&table(new));
            assert!(again.is_empty(), "{old} to {new}: {again:?} is left");
        }
    }

    #[test]
    fn a_patch_says_what_changed_and_nothing_else() {
        check("{}", "{}", "{}");
        check(r#"{"t":{"a":1,"b":2}}"#, r#"{"t":{"a":1,"b":2}}"#, "{}");
        check("{}", r#"{"t":{},"n":1}"#, r#"{"set":{"t":{}},"plain":{"n":1}}"#);
        check(r#"{"t":{"a":1,"b":2},"n":1}"#, r#"{"t":{"a":1,"b":3},"n":1}"#, r#"{"set":{"t":{"b":3}}}"#);
        check(r#"{"t":{"a":1,"b":2}}"#, r#"{"t":{"b":2}}"#, r#"{"drop":{"t":["a"]}}"#);
        check(
            r#"{"t":{"a":1}}"#,
            r#"{"t":{"c":{"x":[1]}},"u":{"d":4}}"#,
            r#"{"set":{"t":{"c":{"x":[1]}},"u":{"d":4}},"drop":{"t":["a"]}}"#,
        );
        check(r#"{"t":{"a":1}}"#, "{}", r#"{"drop":{"t":["a"]}}"#);
        check(r#"{"t":1}"#, r#"{"t":{"a":1}}"#, r#"{"set":{"t":{"a":1}}}"#);
    }

    #[test]
    fn a_table_comes_back_as_it_was() {
        let text = r#"{"dataVersion":{"counter":3},"offsetTable":{"T@g":{"0":5,"1":7}},"x":[1]}"#;
        assert_eq!(table(&table(text).to_text()), table(text));
        assert!(Table::parse("[]").is_err() && Table::parse("{").is_err());
    }
}
