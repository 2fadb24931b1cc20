//! From the settings of a Java broker to those of a Ferromq broker in its place.

use std::collections::BTreeMap;

use broker::config::BrokerConfig;
use remoting::config::Settings;

/// Set by the move itself, by the start, or at run time by what was asked for.
const OWN: [&str; 7] = [
    "brokerRole",
    "brokerId",
    "namesrvAddr",
    "brokerPermission",
    "brokerConfigPath",
    "rocketmqHome",
    "enableDLegerCommitLog",
];

/// Those that our broker has and that are not its defaults anyway.
pub(crate) fn for_ferromq(java: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let defaults = BrokerConfig::default();
    let mut settings = BTreeMap::new();
    for setting in BrokerConfig::SETTINGS {
        let Some(value) = java.get(setting.key).filter(|value| !value.is_empty()) else { continue };
        if OWN.contains(&setting.key) || setting.key.starts_with("dLeger") {
            continue;
        }
        let mut config = defaults.clone();
        // What our broker does not take is found by the checks.
        if (setting.set)(&mut config, value).is_none() {
            continue;
        }
        // What depends on the machine is said, whatever it is.
        if setting.is_of_machine() || (setting.get)(&config) != (setting.get)(&defaults) {
            settings.insert(setting.key.to_owned(), value.clone());
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_our_broker_would_do_anyway_is_not_said() {
        let java = [
            ("brokerName", "broker-a"),
            ("brokerIP1", "10.0.0.1"),
            ("listenPort", "10911"),
            ("haListenPort", "20912"),
            ("mappedFileSizeCommitLog", "1073741824"),
            ("messageDelayLevel", "1s 2s"),
            ("storePathRootDir", "/data/store"),
            ("brokerRole", "SLAVE"),
            ("brokerId", "1"),
            ("brokerPermission", "4"),
            ("sendMessageThreadPoolNums", "16"),
            ("fileReservedTime", "no number"),
            ("storePathCommitLog", ""),
            ("rocketmqHome", "/opt/rocketmq"),
        ];
        let java = java.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let expect = [
            ("brokerIP1", "10.0.0.1"),
            ("brokerName", "broker-a"),
            ("haListenPort", "20912"),
            ("messageDelayLevel", "1s 2s"),
            ("storePathRootDir", "/data/store"),
        ];
        let settings = for_ferromq(&java);
        let shown: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(shown, expect);
    }
}
