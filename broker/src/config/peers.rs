//! The Raft group that the settings put a broker in.

use std::collections::BTreeMap;

use remoting::config::Unfit;
use remoting::types::MemberNumber;

use super::{BrokerConfig, is_host_and_port};

/// A broker's place in its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peers {
    pub(crate) group: String,
    /// The number of this broker.
    pub(crate) own: u64,
    /// Where members reach each other, `host:port` by number.
    pub(crate) members: BTreeMap<u64, String>,
}

impl Peers {
    /// The port on which this broker is reached by the others.
    pub(crate) fn own_port(&self) -> u16 {
        port(&self.members[&self.own])
    }
}

impl BrokerConfig {
    /// `None`: it belongs to no group.
    ///
    /// # Errors
    /// [`Unfit`] if the settings name no group, or not this broker's place in it.
    pub(crate) fn peers(&self) -> Result<Option<Peers>, Unfit> {
        if !self.enable_dleger_commit_log {
            return Ok(None);
        }
        let wanted = |setting: &Option<String>, key, form: &str| {
            setting.clone().ok_or_else(|| Unfit::new(key, format!("is needed with enableDLegerCommitLog=true: {form}")))
        };
        let group = wanted(&self.dleger_group, "dLegerGroup", "the name of the group")?;
        let peers = wanted(&self.dleger_peers, "dLegerPeers", FORM)?;
        let own = wanted(&self.dleger_self_id, "dLegerSelfId", "which of dLegerPeers this broker is, such as n0")?;
        let mut members = BTreeMap::new();
        for peer in peers.split(';').map(str::trim).filter(|peer| !peer.is_empty()) {
            let parsed = peer.split_once('-').and_then(|(id, address)| Some((number(id)?, address)));
            let (number, address) = parsed
                .filter(|(_, address)| is_host_and_port(address))
                .ok_or_else(|| Unfit::new("dLegerPeers", format!("is not {FORM}")))?;
            if members.insert(number, address.to_owned()).is_some() {
                return Err(Unfit::new("dLegerPeers", format!("names {peer} with a number that another has")));
            }
        }
        let own = number(&own).filter(|own| members.contains_key(own));
        let own = own.ok_or_else(|| Unfit::new("dLegerSelfId", "is not among dLegerPeers"))?;
        let peers = Peers { group, own, members };
        if [self.listen_port, self.listen_port - 2].contains(&peers.own_port()) {
            return Err(Unfit::new(
                "dLegerPeers",
                "gives this broker a port that clients use: it needs one of its own",
            ));
        }
        if self.enable_lmq {
            return Err(Unfit::new(
                "enableLmq",
                "is not possible in a group: its members know nothing of light queues",
            ));
        }
        Ok(Some(peers))
    }
}

impl BrokerConfig {
    /// The numbers of those that are preferred as leaders.
    ///
    /// # Errors
    /// [`Unfit`] if they are no names of members.
    pub(crate) fn preferred_leaders(&self) -> Result<Vec<u64>, Unfit> {
        let read = |text: &Option<String>, key| {
            let names = text.as_deref().unwrap_or_default().split(';').map(str::trim).filter(|name| !name.is_empty());
            let numbers = names.map(|name| {
                number(name).ok_or_else(|| Unfit::new(key, "is not of the form n0;n1, members as in dLegerSelfId"))
            });
            numbers.collect::<Result<Vec<_>, _>>()
        };
        let ids = read(&self.preferred_leader_ids, "preferredLeaderIds")?;
        let id = read(&self.preferred_leader_id, "preferredLeaderId")?;
        if ids.is_empty() {
            return Ok(id);
        }
        if !id.is_empty() && id != ids {
            return Err(Unfit::new(
                "preferredLeaderId",
                "is another name for preferredLeaderIds, which says otherwise",
            ));
        }
        Ok(ids)
    }
}

const FORM: &str = "of the form n0-host:port;n1-host:port;n2-host:port";

fn number(id: &str) -> Option<u64> {
    id.parse().ok().map(|MemberNumber(number)| number)
}

fn port(address: &str) -> u16 {
    address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("addresses are checked as they are read")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peers: &str, own: &str, expect: Result<(u64, u16, usize), &str>) {
        let config = BrokerConfig {
            enable_dleger_commit_log: true,
            dleger_group: Some("g".into()),
            dleger_peers: Some(peers.into()),
            dleger_self_id: Some(own.into()),
            ..BrokerConfig::default()
        };
        let found = config.peers().map_err(|unfit| format!("{} {}", unfit.key, unfit.reason));
        let found = found.map(|peers| peers.map(|peers| (peers.own, peers.own_port(), peers.members.len())).unwrap());
        assert_eq!(found, expect.map_err(str::to_owned), "{peers} {own}");
    }

    #[test]
    fn a_broker_finds_its_place_in_the_group() {
        let three = "n0-a:40911;n1-b-c.example:40912; n2-10.0.0.3:40913;";
        check(three, "n0", Ok((1, 40911, 3)));
        check(three, "n1", Ok((2, 40912, 3)));
        check(three, "n3", Err("dLegerSelfId is not among dLegerPeers"));
        check(three, "x", Err("dLegerSelfId is not among dLegerPeers"));
        for wrong in ["n0:a:1", "n0-a", "0-a:1", "n0-a:0", "n-a:1"] {
            check(wrong, "n0", Err("dLegerPeers is not of the form n0-host:port;n1-host:port;n2-host:port"));
        }
        check("n0-a:1;m0-b:2", "n0", Err("dLegerPeers names m0-b:2 with a number that another has"));
        let clients = "dLegerPeers gives this broker a port that clients use: it needs one of its own";
        check("n0-a:10911", "n0", Err(clients));
        check("n0-a:10909", "n0", Err(clients));
    }

    #[test]
    fn preferred_leaders_are_named_by_either_setting() {
        let preferred = |ids: Option<&str>, id: Option<&str>| {
            let config = BrokerConfig {
                preferred_leader_ids: ids.map(str::to_owned),
                preferred_leader_id: id.map(str::to_owned),
                ..BrokerConfig::default()
            };
            config.preferred_leaders().map_err(|unfit| unfit.key)
        };
        assert_eq!(preferred(None, None), Ok(vec![]));
        assert_eq!(preferred(Some(" n1; n0;"), None), Ok(vec![2, 1]));
        assert_eq!(preferred(Some(""), Some("n2;n0")), Ok(vec![3, 1]));
        assert_eq!(preferred(Some("n0"), Some("n0")), Ok(vec![1]));
        assert_eq!(preferred(Some("n0"), Some("n1")), Err("preferredLeaderId"));
        assert_eq!(preferred(Some("n0,n1"), None), Err("preferredLeaderIds"));
        assert_eq!(preferred(None, Some("1")), Err("preferredLeaderId"));
    }

    #[test]
    fn a_group_needs_a_name_and_peers() {
        assert_eq!(BrokerConfig::default().peers().unwrap(), None);
        let config = BrokerConfig { enable_dleger_commit_log: true, ..BrokerConfig::default() };
        assert_eq!(config.peers().unwrap_err().key, "dLegerGroup");
    }
}
