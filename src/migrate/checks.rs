//! What would break, looked for before anything is touched.

use std::fmt;

use broker::config::BrokerConfig;
use remoting::config::{Config, Loader, Properties, is_known, line};
use remoting::version::Version;
use serde::{Deserialize, Serialize};

use super::args::{Masters, Scope};
use super::desk::Make;
use super::survey::{Broker, BrokerSet, Survey};

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    /// Names it for `--accept`.
    pub(crate) check: String,
    pub(crate) weight: Weight,
    /// A broker, a broker set, a name server or the cluster.
    pub(crate) at: String,
    pub(crate) what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Weight {
    /// A run does not begin, unless the check is accepted.
    Blocks,
    /// A person ought to think about it.
    Warns,
    /// To know.
    Notes,
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blocks => "BLOCKS",
            Self::Warns => "warns",
            Self::Notes => "notes",
        })
    }
}

/// Settings that our broker has no part for, though it does not refuse them, with what they mean when they are true.
const IN_ROCKSDB: &[(&str, &str)] = &[
    ("popConsumerKVServiceEnable", "leases of pops are in RocksDB"),
    ("timerRocksDBEnable", "timed messages wait in RocksDB"),
    ("transRocksDBEnable", "half messages are in RocksDB"),
    ("combineCQUseRocksdbForLmq", "light queues are in RocksDB"),
    ("useSingleRocksDBForAllConfigs", "topics and groups are in RocksDB"),
];

/// The oldest broker and the newest one whose files were tried.
const TRIED: (&str, &str) = ("V4_9_0", "V5_5_0");

/// `V4_9_0`
const OLDEST_CLIENT: Version = Version(393);

struct Checks<'a> {
    survey: &'a Survey,
    scope: &'a Scope,
    findings: Vec<Finding>,
}

/// All findings, the weightiest first.
pub(crate) fn check(survey: &Survey, scope: &Scope) -> Vec<Finding> {
    let mut checks = Checks { survey, scope, findings: Vec::new() };
    checks.name_servers();
    checks.clients();
    for set in survey.sets.iter().filter(|set| scope.takes(set)) {
        checks.set(set);
        for broker in &set.brokers {
            checks.broker(broker);
        }
    }
    checks.findings.sort_by_key(|finding| finding.weight);
    checks.findings
}

impl Scope {
    pub(crate) fn takes(&self, set: &BrokerSet) -> bool {
        self.sets.is_empty() || self.sets.contains(&set.name)
    }
}

impl Checks<'_> {
    fn find(&mut self, check: &str, weight: Weight, at: &str, what: impl Into<String>) {
        self.findings.push(Finding { check: check.to_owned(), weight, at: at.to_owned(), what: what.into() });
    }

    fn name_servers(&mut self) {
        let all: usize = self.survey.sets.iter().map(|set| set.brokers.len()).sum();
        for server in &self.survey.name_servers {
            if let Some(wrong) = &server.wrong {
                self.find("unreachable", Weight::Blocks, &server.address, wrong);
            } else if server.brokers.len() < all {
                let what = format!(
                    "it knows {} of {all} brokers: the others lack it in their namesrvAddr, or are about to register",
                    server.brokers.len()
                );
                self.find("name-servers-differ", Weight::Blocks, &server.address, what);
            }
        }
        if let [server] = &self.survey.name_servers[..]
            && !self.scope.keep_name_servers
        {
            let what = "it is the only one: while it is swapped clients that start find no broker, and those that run keep \
                        the routes that they have";
            self.find("one-name-server", Weight::Warns, &server.address, what);
        }
    }

    fn clients(&mut self) {
        for kind in &self.survey.clients {
            let what = format!(
                "{} clients of {} {}, such as {}",
                kind.ids.len(),
                kind.language,
                kind.version,
                kind.ids.first().map_or("-", String::as_str)
            );
            let tried = match kind.language.as_str() {
                "JAVA" => (OLDEST_CLIENT.0..=Version::V5_5_0.0).contains(&kind.number),
                "GO" => true,
                // Ours, such as brokers and tools.
                "RUST" => true,
                _ => false,
            };
            if tried {
                self.find("clients", Weight::Notes, &self.survey.cluster, what);
            } else {
                let what = format!("{what}: Ferromq is tried with Java 4.9 to 5.5 and Go; try yours with it first");
                self.find("clients", Weight::Warns, &self.survey.cluster, what);
            }
        }
        let what = "whether clients use TLS or sign what they ask does not show from outside: a client with tls.enable=true \
                    cannot connect to Ferromq, and who checked signatures does so no more";
        self.find("tls", Weight::Notes, &self.survey.cluster, what);
    }

    fn set(&mut self, set: &BrokerSet) {
        let Some(master) = set.master() else {
            self.find("no-master", Weight::Blocks, &set.name, "no name server knows a master of it");
            return;
        };
        if !set.static_topics.is_empty() {
            let names = some(set.static_topics.iter().map(String::as_str));
            let what = format!("static topics, whose queues are of several brokers, are not there yet: {names}");
            self.find("static-topics", Weight::Blocks, &set.name, what);
        }
        for (attribute, value, what) in [
            ("cleanup.policy", "COMPACTION", "topics that keep the last message of a key keep all of them"),
            ("message.type", "LITE", "lite topics are not there yet"),
        ] {
            // Java writes attributes with a plus when they are set, and keeps them without.
            let has = |topic: &&String| {
                let attributes = &set.topics[topic.as_str()].attributes;
                attributes.get(attribute).is_some_and(|has| has.eq_ignore_ascii_case(value))
            };
            let topics: Vec<_> = set.topics.keys().filter(has).map(String::as_str).collect();
            if !topics.is_empty() {
                let what = format!("{what}: {}", some(topics.into_iter()));
                self.find("topic-kinds", Weight::Blocks, &set.name, what);
            }
        }
        let alone = self.survey.topics_only_in(set);
        if !alone.is_empty() && !set.is_dledger() {
            let what = format!(
                "{} topics can be written to here only, so their producers wait while the master is swapped, usually for seconds, \
                 and have to try again for so long: {}",
                alone.len(),
                some(alone.into_iter())
            );
            self.find("only-here", Weight::Warns, &set.name, what);
        }
        if master.setting("brokerRole") == "SYNC_MASTER" && !set.is_dledger() && set.slaves().count() == 1 {
            let what = "sends wait for its only slave: while that is swapped they are answered SLAVE_NOT_AVAILABLE or \
                        FLUSH_SLAVE_TIMEOUT, though the messages are stored";
            self.find("sync-master", Weight::Warns, &set.name, what);
        }
        if self.scope.masters == Masters::Switch && !set.is_dledger() {
            self.switch(set, master);
        }
    }

    /// The slave that is to be the master.
    fn switch(&mut self, set: &BrokerSet, master: &Broker) {
        let Some(slave) = set.slaves().next() else {
            self.find("no-slave", Weight::Notes, &set.name, "it has no slave, so its master is swapped in place");
            return;
        };
        if slave.wrong.is_none() && slave.log.0 > master.log.0 {
            let what = format!(
                "its log begins at {}, that of the master at {}: what lies between would be missing after a switch. Swap the \
                 master in place, or wait until the master has deleted it",
                slave.log.0, master.log.0
            );
            self.find("slave-lacks", Weight::Blocks, &slave.address, what);
        }
    }

    fn broker(&mut self, broker: &Broker) {
        let at = &broker.address;
        match &broker.wrong {
            Some(wrong) if broker.refuses => {
                let what = format!("it does not tell a stranger its settings, so it checks who asks: {wrong}");
                self.find("acl", Weight::Blocks, at, what);
                return;
            }
            Some(wrong) => {
                self.find("unreachable", Weight::Blocks, at, wrong);
                return;
            }
            None => {}
        }
        if broker.make == Some(Make::Ferromq) {
            self.find("ferromq-already", Weight::Notes, at, "it is Ferromq already");
            return;
        }
        if !is_tried(&broker.version) {
            let what = format!("it is {}; files of 4.9 to 5.5.0 were tried", broker.version);
            self.find("version", Weight::Warns, at, what);
        }
        self.settings(broker);
        let folders = broker.setting("storePathCommitLog");
        if folders.contains([',', ';']) {
            self.find("several-folders", Weight::Blocks, at, format!("its log is in several folders: {folders}"));
        }
        for (key, what) in IN_ROCKSDB {
            if broker.is_set(key) {
                self.find("rocksdb", Weight::Blocks, at, format!("{key}=true: {what}, and there is no RocksDB inside"));
            }
        }
        if broker.is_set("inBrokerContainer") {
            self.find("container", Weight::Blocks, at, "it shares a process with other brokers; here each has its own");
        }
        if broker.is_set("enableDLegerCommitLog") {
            let what = "it is in a DLedger group, whose files are no store of others: a new group takes its place";
            self.find("dledger", Weight::Notes, at, what);
        }
    }

    /// What our broker would say to its settings.
    fn settings(&mut self, broker: &Broker) {
        let at = &broker.address;
        for missing in BrokerConfig::MISSING {
            for (key, harmless) in missing.keys {
                let Some(value) = broker.config.get(*key) else { continue };
                if value.is_empty() || value.eq_ignore_ascii_case(harmless) {
                    continue;
                }
                let what = format!("{key}={value} asks for what is not there yet: {}", missing.feature);
                self.find(name_of(key), Weight::Blocks, at, what);
            }
        }
        let known: String = broker.config.iter().filter(|(key, _)| is_setting(key)).map(|(k, v)| line(k, v)).collect();
        let properties = Properties::parse(&known).unwrap_or_default();
        let mut loader = Loader::from_properties(at, properties);
        if let Err(err) = loader.apply(BrokerConfig::default()) {
            self.find("settings", Weight::Warns, at, format!("Ferromq would not start with these settings: {err}"));
        }
        let is_plugin = |key: &str| ["Plugin", "PlugIn", "Class"].iter().any(|end| key.ends_with(end));
        for (key, value) in &broker.config {
            if is_plugin(key) && !is_known::<BrokerConfig>(key) && !value.is_empty() {
                let what = format!("{key}={value} names a class of Java, which is not run");
                self.find("plugin", Weight::Blocks, at, what);
            }
        }
    }
}

/// Whether our broker takes this key from a file.
pub(crate) fn is_setting(key: &str) -> bool {
    use remoting::config::Settings;
    BrokerConfig::SETTINGS.iter().any(|setting| setting.key == key)
}

/// The check that a setting belongs to.
fn name_of(key: &str) -> &'static str {
    match key {
        "aclEnable" | "authenticationEnabled" | "authorizationEnabled" | "migrateAuthFromV1Enabled" => "acl",
        "useTLS" => "tls",
        "enableControllerMode" => "controller",
        "storeType" | "configManagerVersion" | "rocksdbCQDoubleWriteEnable" => "rocksdb",
        "messageStorePlugIn" => "plugin",
        "readOnlyCommitLogStorePaths" => "several-folders",
        _ => "feature",
    }
}

fn is_tried(version: &str) -> bool {
    // V4_9_7 -> (4, 9, 7); snapshots as their release.
    let number = |version: &str| {
        let mut parts = version.trim_start_matches('V').split('_').map_while(|part| part.parse::<u32>().ok());
        Some((parts.next()?, parts.next()?, parts.next()?))
    };
    let (oldest, newest) = TRIED;
    number(version).is_some_and(|version| (number(oldest)..=number(newest)).contains(&Some(version)))
}

/// Some of many names.
pub(crate) fn some<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let more = names.len().saturating_sub(SHOWN);
    let mut text = names.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}

#[cfg(test)]
mod tests;
