//! A Raft group of brokers, as one of its members knows it. Not Java's.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::types::MemberNumber;

/// What a member tells of its group. Entries are counted from the first of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RaftGroupStatus {
    /// `dLegerGroup`.
    pub group: String,
    /// The member that tells this.
    pub number: MemberNumber,
    pub role: RaftRole,
    /// As far as it knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<MemberNumber>,
    pub term: u64,
    /// In its log.
    pub entries: u64,
    /// Agreed on, as far as it knows.
    pub agreed: u64,
    /// Shown to readers.
    pub applied: u64,
    /// Leaders it has seen since its start.
    pub elections: u64,
    /// One set of voters is giving way to another.
    pub changing: bool,
    /// While this member gets files from the leader, as what it lacks is gone from the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill: Option<RaftFill>,
    /// Why the member that tells this had better not be counted on, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unready: Option<String>,
    /// Those that lead rather than others, by the settings of the member that tells this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preferred: Vec<MemberNumber>,
    /// By number.
    pub members: Vec<RaftGroupMember>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RaftGroupMember {
    pub number: MemberNumber,
    /// Where the other members reach it, `host:port`.
    pub address: String,
    /// It counts for a majority, and may lead.
    pub is_voter: bool,
    /// Entries that it is known to have; only the leader knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    /// Where it serves clients, `host:port`; known of those that have led.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serves: Option<String>,
    /// While the leader sends it files; only the leader knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill: Option<RaftFill>,
    /// As far as it told within a moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<RaftHealth>,
}

/// How far a member has got the files that it is sent, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaftFill {
    pub done: u64,
    pub total: u64,
}

impl RaftGroupStatus {
    pub fn member(&self, number: MemberNumber) -> Option<&RaftGroupMember> {
        self.members.iter().find(|member| member.number == number)
    }
}

/// Whether a member can lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RaftHealth {
    Well,
    /// Its disk keeps flushes or writes waiting.
    SlowDisk,
    /// It lost its files, and may not have all again.
    Quarantined,
    /// It does not answer.
    Silent,
}

impl fmt::Display for RaftHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Well => "well",
            Self::SlowDisk => "slow disk",
            Self::Quarantined => "quarantine",
            Self::Silent => "silent",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RaftRole {
    Leader,
    Follower,
    /// It gets the log, but does not count.
    Learner,
    /// The group has not taken it in, or has let it go.
    Outsider,
}

impl fmt::Display for RaftRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leader => "the leader",
            Self::Follower => "a follower",
            Self::Learner => "a learner",
            Self::Outsider => "no member",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_plain_json() {
        let status = RaftGroupStatus {
            group: "g".into(),
            number: MemberNumber(2),
            role: RaftRole::Follower,
            leader: None,
            term: 3,
            entries: 7,
            agreed: 6,
            applied: 6,
            elections: 1,
            changing: false,
            fill: None,
            unready: Some("why".into()),
            preferred: vec![MemberNumber(1)],
            members: vec![RaftGroupMember {
                number: MemberNumber(2),
                address: "a:1".into(),
                is_voter: true,
                entries: None,
                serves: Some("a:10911".into()),
                fill: Some(RaftFill { done: 1, total: 2 }),
                health: Some(RaftHealth::SlowDisk),
            }],
        };
        let text = r#"{"group":"g","number":2,"role":"follower","term":3,"entries":7,"agreed":6,"applied":6,"elections":1,"changing":false,"unready":"why","preferred":[1],"members":[{"number":2,"address":"a:1","isVoter":true,"serves":"a:10911","fill":{"done":1,"total":2},"health":"slowDisk"}]}"#;
        assert_eq!(serde_json::to_string(&status).unwrap(), text);
        assert_eq!(serde_json::from_str::<RaftGroupStatus>(text).unwrap(), status);
    }
}
