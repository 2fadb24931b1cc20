//! What a cluster is, as its name servers and brokers tell it.

use std::collections::{BTreeMap, BTreeSet};

use remoting::body::{BrokerData, ClusterInfo, TopicConfig};
use remoting::types::{GroupName, TopicName};
use remoting::version::Version;
use serde::{Deserialize, Serialize};

use super::MigrateError;
use super::desk::{AskError, Desk, Make};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Survey {
    pub(crate) cluster: String,
    pub(crate) name_servers: Vec<NameServer>,
    pub(crate) sets: Vec<BrokerSet>,
    pub(crate) clients: Vec<ClientKind>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NameServer {
    pub(crate) address: String,
    pub(crate) make: Option<Make>,
    /// Addresses of the cluster's brokers that it knows.
    pub(crate) brokers: BTreeSet<String>,
    /// Why it could not be asked.
    pub(crate) wrong: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct BrokerSet {
    pub(crate) name: String,
    /// The master first, by id.
    pub(crate) brokers: Vec<Broker>,
    /// Of the master, or of the first broker that answers.
    pub(crate) topics: BTreeMap<String, Topic>,
    pub(crate) groups: BTreeSet<String>,
    /// Static topics, whose queues are of several brokers.
    pub(crate) static_topics: BTreeSet<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Topic {
    pub(crate) perm: i32,
    pub(crate) attributes: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Broker {
    pub(crate) address: String,
    pub(crate) id: i64,
    pub(crate) make: Option<Make>,
    /// Such as `V4_9_7`.
    pub(crate) version: String,
    /// All its settings.
    pub(crate) config: BTreeMap<String, String>,
    /// The first and the next place of its log, in bytes.
    pub(crate) log: (i64, i64),
    /// Why it could not be asked.
    pub(crate) wrong: Option<String>,
    /// It answered, and would not tell.
    pub(crate) refuses: bool,
}

/// Clients of one kind, on all brokers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientKind {
    pub(crate) language: String,
    pub(crate) version: String,
    pub(crate) number: i32,
    /// Ids of clients, each once.
    pub(crate) ids: BTreeSet<String>,
}

impl Broker {
    pub(crate) fn setting(&self, key: &str) -> &str {
        self.config.get(key).map_or("", String::as_str)
    }

    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.setting(key).eq_ignore_ascii_case("true")
    }

    pub(crate) fn is_master(&self) -> bool {
        self.id == 0
    }
}

impl BrokerSet {
    pub(crate) fn master(&self) -> Option<&Broker> {
        self.brokers.iter().find(|broker| broker.is_master())
    }

    pub(crate) fn slaves(&self) -> impl Iterator<Item = &Broker> {
        self.brokers.iter().filter(|broker| !broker.is_master())
    }

    /// Of Java's.
    pub(crate) fn is_dledger(&self) -> bool {
        self.brokers.iter().any(|broker| broker.make == Some(Make::Java) && broker.is_set("enableDLegerCommitLog"))
    }
}

impl Survey {
    /// Topics that can be written to on this set, and on no other.
    pub(crate) fn topics_only_in<'a>(&self, set: &'a BrokerSet) -> Vec<&'a str> {
        let writable = |set: &BrokerSet, topic: &str| {
            set.topics.get(topic).is_some_and(|topic| topic.perm & TopicConfig::WRITE != 0)
        };
        let elsewhere =
            |topic: &str| self.sets.iter().filter(|other| other.name != set.name).any(|other| writable(other, topic));
        let topics = set.topics.keys().map(String::as_str);
        let own = topics.filter(|topic| !is_internal(topic, &set.name, &self.cluster));
        own.filter(|topic| writable(set, topic) && !elsewhere(topic)).collect()
    }
}

/// Topics that brokers make for themselves, and those that messages come back to.
pub(crate) fn is_internal(topic: &str, set: &str, cluster: &str) -> bool {
    broker::is_system_topic(topic, cluster, set) || broker::is_retry_or_dead_letter(topic)
}

/// Looks at a cluster; what cannot be asked is in the survey as such.
///
/// # Errors
/// No name server answers, or the cluster to look at is not clear.
pub(crate) async fn survey(
    desk: &Desk,
    name_servers: &[String],
    cluster: Option<&str>,
) -> Result<Survey, MigrateError> {
    let mut told = Vec::new();
    for at in name_servers {
        told.push((at, desk.cluster_info(at).await));
    }
    let info = told.iter().find_map(|(_, told)| told.as_ref().ok());
    let Some((_, info)) = info else {
        let why: Vec<_> = told.into_iter().filter_map(|(_, told)| told.err()).map(|err| err.to_string()).collect();
        return Err(MigrateError::NoNameServer { why: why.join("; ") });
    };
    let cluster = choose(info, cluster)?;
    let mut survey = Survey { cluster: cluster.clone(), ..Survey::default() };
    let mut sets = BTreeMap::<String, BTreeMap<i64, String>>::new();
    for (at, told) in told {
        let (make, brokers, wrong) = match told {
            Ok((make, info)) => (Some(make), members(&info, &cluster), None),
            Err(err) => (None, Vec::new(), Some(err.to_string())),
        };
        let known = brokers.iter().flat_map(|data| data.broker_addrs.values().cloned()).collect();
        survey.name_servers.push(NameServer { address: at.clone(), make, brokers: known, wrong });
        for data in brokers {
            sets.entry(data.broker_name.to_string()).or_default().extend(data.broker_addrs);
        }
    }
    let mut clients = Clients::default();
    for (name, addresses) in sets {
        survey.sets.push(look_at_set(desk, name, addresses, &mut clients).await);
    }
    survey.clients = clients.kinds();
    Ok(survey)
}

fn choose(info: &ClusterInfo, wanted: Option<&str>) -> Result<String, MigrateError> {
    let known: Vec<_> = info.cluster_addr_table.keys().map(ToString::to_string).collect();
    match wanted {
        Some(wanted) if known.iter().any(|known| known == wanted) => Ok(wanted.to_owned()),
        None if known.len() == 1 => Ok(known[0].clone()),
        _ => Err(MigrateError::WhichCluster { known: known.join(", ") }),
    }
}

fn members(info: &ClusterInfo, cluster: &str) -> Vec<BrokerData> {
    info.broker_addr_table.values().filter(|data| &*data.cluster == cluster).cloned().collect()
}

async fn look_at_set(desk: &Desk, name: String, addresses: BTreeMap<i64, String>, clients: &mut Clients) -> BrokerSet {
    let mut set = BrokerSet { name, ..BrokerSet::default() };
    let mut told = false;
    for (id, address) in addresses {
        let mut broker = Broker { address, id, ..Broker::default() };
        if let Err(err) = look_at(desk, &mut broker).await {
            (broker.wrong, broker.refuses) = (Some(err.to_string()), err.is_refusal());
        } else {
            let tables = async {
                if !told {
                    look_at_tables(desk, &broker.address, &mut set).await?;
                    told = true;
                }
                clients.look(desk, &broker.address, &set.groups).await
            };
            broker.wrong = tables.await.err().map(|err: AskError| err.to_string());
        }
        set.brokers.push(broker);
    }
    set
}

async fn look_at(desk: &Desk, broker: &mut Broker) -> Result<(), AskError> {
    let (make, config) = desk.config(&broker.address).await?;
    let info = desk.runtime_info(&broker.address).await?;
    let place = |key: &str| info.get(key).and_then(|place| place.parse().ok()).unwrap_or(0);
    broker.make = Some(make);
    broker.config = config;
    broker.version = info.get("brokerVersionDesc").cloned().unwrap_or_default();
    broker.log = (place("commitLogMinOffset"), place("commitLogMaxOffset"));
    Ok(())
}

async fn look_at_tables(desk: &Desk, at: &str, set: &mut BrokerSet) -> Result<(), AskError> {
    let topics = desk.topics(at).await?;
    let shown = |config: &TopicConfig| Topic { perm: config.perm, attributes: config.attributes.clone() };
    set.topics = topics.topic_config_table.iter().map(|(name, topic)| (name.to_string(), shown(topic))).collect();
    let names =
        |map: &BTreeMap<TopicName, serde_json::Value>| map.keys().map(ToString::to_string).collect::<BTreeSet<_>>();
    set.static_topics = names(&topics.topic_queue_mapping_info_map);
    set.static_topics.extend(names(&topics.topic_queue_mapping_detail_map));
    set.groups = desk.groups(at).await?.subscription_group_table.keys().map(ToString::to_string).collect();
    Ok(())
}

#[derive(Default)]
struct Clients(BTreeMap<(String, i32), BTreeSet<String>>);

impl Clients {
    async fn look(&mut self, desk: &Desk, at: &str, groups: &BTreeSet<String>) -> Result<(), AskError> {
        match desk.producers(at).await {
            Ok(producers) => {
                for client in producers.data.into_values().flatten() {
                    self.add(client.language, client.version, client.client_id.to_string());
                }
            }
            // Java before 4.9.3.
            Err(err) if err.is_unknown() => {}
            Err(err) => return Err(err),
        }
        for group in groups {
            let Some(members) = desk.consumers(at, &GroupName::new(group)).await? else { continue };
            for client in members.connection_set {
                self.add(client.language, client.version, client.client_id.to_string());
            }
        }
        Ok(())
    }

    fn add(&mut self, language: String, version: i32, id: String) {
        self.0.entry((language, version)).or_default().insert(id);
    }

    fn kinds(self) -> Vec<ClientKind> {
        let kind = |((language, number), ids)| {
            let version = Version(number).to_string();
            ClientKind { language, version, number, ids }
        };
        self.0.into_iter().map(kind).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_users_are_all_but_those_of_the_broker_itself() {
        let is_internal = |topic: &str| is_internal(topic, "broker-a", "DefaultCluster");
        for topic in ["T", "ORDERS_REPLY_TOPIC", "RMQ_SYS_MINE", "REVIVE_LOG_DefaultCluster", "broker-b"] {
            assert!(!is_internal(topic), "{topic}");
        }
        for topic in [
            "TBW102",
            "%RETRY%g",
            "%DLQ%g",
            "RMQ_SYS_TRANS_HALF_TOPIC",
            "CHECKPOINT_TOPIC",
            "rmq_sys_REVIVE_LOG_DefaultCluster",
            "DefaultCluster_REPLY_TOPIC",
            "DefaultCluster",
            "broker-a",
        ] {
            assert!(is_internal(topic), "{topic}");
        }
    }
}
