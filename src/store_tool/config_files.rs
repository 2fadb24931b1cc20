//! The broker's tables beside its messages: whether they can be read, and whether they go with the queues.

use std::fs;

use remoting::body::fastjson;
use serde_json::Value;
use store::inspect::{Inspection, Kind, Problem};

/// What the tables hold, and what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Configs {
    /// `None`: there is no such table.
    pub(super) topics: Option<usize>,
    pub(super) groups: Option<usize>,
    pub(super) problems: Vec<Problem>,
}

pub(super) fn read(store: &Inspection) -> Configs {
    let mut found = Configs::default();
    let names = store.others.iter().map(|other| &*other.path);
    for name in names.filter(|name| name.starts_with("config/") && name.ends_with(".json")) {
        let path = store.root.join(name);
        let value: Result<Value, String> = fs::read(&path)
            .map_err(|error| format!("it cannot be read: {error}"))
            .and_then(|bytes| fastjson::read(&bytes).map_err(|error| format!("it is no JSON: {error}")));
        let value = match value {
            Ok(value) => value,
            Err(what) => {
                let backup = store.root.join(format!("{name}.bak")).exists();
                let advice = if backup { "; its .bak is used instead" } else { "" };
                found.problem(name, format!("{what}{advice}"));
                continue;
            }
        };
        let table = |key: &str| value[key].as_object();
        match name {
            "config/topics.json" => {
                found.topics = table("topicConfigTable").map(serde_json::Map::len);
                check_topics(store, &value, &mut found);
            }
            "config/subscriptionGroup.json" => {
                found.groups = table("subscriptionGroupTable").map(serde_json::Map::len);
            }
            "config/consumerOffset.json" => check_offsets(store, &value, &mut found),
            _ => {}
        }
    }
    found
}

/// Queues are of the kind that the topic's attribute says.
fn check_topics(store: &Inspection, value: &Value, found: &mut Configs) {
    for queue in &store.queues {
        let topic = &value["topicConfigTable"][&queue.topic];
        if !topic.is_object() {
            continue;
        }
        let batches = topic["attributes"]["queue.type"] == "BatchCQ";
        if batches != queue.batches {
            let kinds = |batches| if batches { "inner batches" } else { "single messages" };
            let what =
                format!("the topic is of {}, its queue {} of {}", kinds(batches), queue.name(), kinds(queue.batches));
            found.problem("config/topics.json", what);
        }
    }
}

/// No group is ahead of the queue that it reads.
fn check_offsets(store: &Inspection, value: &Value, found: &mut Configs) {
    if store.kind != Kind::Files || store.running {
        return;
    }
    for (key, offsets) in value["offsetTable"].as_object().into_iter().flatten() {
        let Some((topic, _)) = key.split_once('@') else {
            found.problem("config/consumerOffset.json", format!("{key:?} is no topic@group"));
            continue;
        };
        for (id, offset) in offsets.as_object().into_iter().flatten() {
            let offset = offset.as_i64().unwrap_or(0);
            let is_it =
                |queue: &&store::inspect::QueueSummary| queue.topic == topic && queue.queue_id.to_string() == *id;
            let max = store.queues.iter().find(is_it).map_or(0, |queue| queue.max);
            if offset > max && !store.abort {
                let what = format!("{key} is at offset {offset} of queue {id}, which ends at {max}");
                found.problem("config/consumerOffset.json", what);
            }
        }
    }
}

impl Configs {
    fn problem(&mut self, place: &str, what: String) {
        self.problems.push(Problem { place: place.to_owned(), what });
    }
}
