use std::collections::BTreeSet;
use std::time::Duration;

use remoting::config::{Loader, Properties, Settings};
use store::StoreConfig;

use super::*;

fn load(text: &str) -> Result<BrokerConfig, String> {
    let mut loader = Loader::from_properties("broker.conf", Properties::parse(text).unwrap());
    let config = loader.apply(BrokerConfig::default()).map_err(|err| err.to_string())?;
    loader.check(&config).map_err(|err| err.to_string())?;
    assert_eq!(loader.notices(), [], "{text}");
    Ok(config)
}

#[test]
fn the_defaults_are_fit_and_those_of_the_store() {
    let config = load("").unwrap();
    let ours = format!("{:?}", config.store().unwrap());
    let defaults = format!("{:?}", StoreConfig::new("store"));
    assert_eq!(ours, defaults);
    assert_eq!(config.host().unwrap().to_string(), "127.0.0.1:10911");
    assert_eq!(config.ha_addr(), "127.0.0.1:10912");
    assert_eq!(config.name_servers(), [""; 0]);
}

#[test]
fn this_machine_has_a_name_and_an_address() {
    let config = BrokerConfig::of_this_machine();
    config.check().unwrap();
    assert!(config.store_path_root_dir.ends_with("store"));
}

#[test]
fn javas_sample_file_is_taken() {
    let mut loader = Loader::from_properties(
        "broker.conf",
        Properties::parse(
            "brokerClusterName = DefaultCluster\nbrokerName = broker-a\nbrokerId = 0\ndeleteWhen = 04\n\
             fileReservedTime = 48\nbrokerRole = ASYNC_MASTER\nflushDiskType = ASYNC_FLUSH\n",
        )
        .unwrap(),
    );
    let config = loader.apply(BrokerConfig::default()).unwrap();
    loader.check(&config).unwrap();
    assert_eq!(config.broker_name, "broker-a");
}

#[test]
fn addresses_are_checked_before_anything_starts() {
    let check =
        |text: &str, expect: &str| assert_eq!(load(text).unwrap_err(), format!("broker.conf: line 1: {expect}"));
    let config =
        load("namesrvAddr=ns1:9876; 10.0.0.2:9876;\nbrokerIP1=10.0.0.9\nlistenPort=30911\nbrokerIP2=h").unwrap();
    assert_eq!(config.name_servers(), ["ns1:9876", "10.0.0.2:9876"]);
    assert_eq!(config.host().unwrap().to_string(), "10.0.0.9:30911");
    assert_eq!(config.ha_addr(), "h:30912");
    check("namesrvAddr=ns1", "namesrvAddr is \"ns1\", which is not of the form 127.0.0.1:9876;192.168.0.1:9876");
    check("brokerIP1=broker.local", "brokerIP1 is \"broker.local\", which is not an IP address");
    check("bindAddress=nowhere", "bindAddress is \"nowhere\", which is not an IP address");
}

#[test]
fn what_is_not_there_yet_is_refused() {
    let refused = |text: &str| load(text).unwrap_err().contains("not there yet");
    assert!(refused("authenticationEnabled=true"));
    assert!(refused("storePathCommitLog=/a,/b"));
}

#[test]
fn masters_are_broker_0_and_slaves_are_not() {
    assert_eq!(load("brokerRole=SYNC_MASTER\nbrokerId=3").unwrap().id(), BrokerId::MASTER);
    assert_eq!(load("brokerRole=SLAVE\nbrokerId=3").unwrap().id(), BrokerId(3));
    let refused = load("brokerRole=SLAVE").unwrap_err();
    assert!(refused.contains("not above 0, as that of a slave must be"), "{refused}");
}

#[test]
fn metrics_are_for_prometheus_with_labels_as_wanted() {
    let config = load("metricsExporterType=2\nmetricsLabel=zone:a1, rack_2:b:c,").unwrap();
    assert_eq!(config.metrics_exporter_type, MetricsExporterType::Prom);
    let labels = [("zone", "a1"), ("rack_2", "b:c")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(config.metrics_labels().unwrap(), labels);
    assert!(load("metricsExporterType=OTLP_GRPC").unwrap_err().contains("not there yet"));
    for wrong in ["zone", "2a:b", "a-b:c", ":c"] {
        assert!(load(&format!("metricsLabel={wrong}")).unwrap_err().contains("metricsLabel"), "{wrong}");
    }
}

#[test]
fn delay_levels_are_durations() {
    let levels = load("messageDelayLevel=1s  2m 3h 1d").unwrap().delay_levels().unwrap();
    assert_eq!(levels, [1, 120, 3 * 3600, 24 * 3600].map(Duration::from_secs));
    assert!(load("messageDelayLevel=1x").is_err());
    assert!(load("messageDelayLevel=").is_err());
}

#[test]
fn a_key_means_one_thing() {
    let settings = BrokerConfig::SETTINGS.iter().map(|setting| setting.key);
    let inert = BrokerConfig::INERT.iter().flat_map(|inert| inert.keys.iter().copied());
    let missing = BrokerConfig::MISSING.iter().flat_map(|missing| missing.keys.iter().map(|(key, _)| *key));
    let mut seen = BTreeSet::new();
    for key in settings.chain(inert).chain(missing) {
        assert!(seen.insert(key), "{key}");
    }
}
