//! Static topics that a Java broker left behind. The offsets that clients know of their queues are not those of the store, and
//! parts of a queue may be on other brokers; so a broker that does not read the mapping must not serve them.

use std::collections::BTreeMap;

use remoting::types::TopicName;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::TopicError;
use crate::persist::Home;

const FILE: &str = "topicQueueMapping.json";

/// Java: `TopicQueueMappingSerializeWrapper`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Mappings {
    topic_queue_mapping_info_map: BTreeMap<TopicName, IgnoredAny>,
}

/// # Errors
/// [`TopicError::Static`] if `topicQueueMapping.json` names a topic.
pub(super) fn check(home: &Home) -> Result<(), TopicError> {
    let mappings: Mappings = home.load(FILE)?.unwrap_or_default();
    let Some((topic, _)) = mappings.topic_queue_mapping_info_map.first_key_value() else { return Ok(()) };
    Err(TopicError::Static { topic: topic.clone(), file: FILE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_static_topics_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::from(folder.path());
        assert!(check(&home).is_ok(), "there is no file");
        let version = r#""dataVersion":{"counter":1,"stateVersion":0,"timestamp":1}"#;
        for (map, refused) in [("{}", false), (r#"{"S":{"bname":"b","topic":"S","hostedQueues":{0:[{}]}}}"#, true)] {
            let text = format!("{{{version},\"topicQueueMappingInfoMap\":{map}}}");
            std::fs::write(folder.path().join(FILE), text).unwrap();
            let checked = check(&home);
            assert_eq!(
                matches!(&checked, Err(TopicError::Static { topic, .. }) if topic.as_str() == "S"),
                refused,
                "{checked:?}"
            );
        }
    }
}
