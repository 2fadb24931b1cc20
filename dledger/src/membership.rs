//! Who belongs to the group, as text: in the log, and beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::{Deserialize, Serialize};

use crate::types::{Member, Members};

/// `voters` has two sets while one gives way to the other.
#[derive(Serialize, Deserialize)]
struct Text {
    voters: Vec<BTreeSet<u64>>,
    members: BTreeMap<u64, Member>,
}

pub(crate) fn encode(members: &Members) -> Vec<u8> {
    let text = Text {
        voters: members.get_joint_config().clone(),
        members: members.nodes().map(|(id, member)| (*id, member.clone())).collect(),
    };
    serde_json::to_vec(&text).expect("numbers and strings are JSON")
}

/// # Errors
/// The bytes are no membership.
pub(crate) fn decode(bytes: &[u8]) -> io::Result<Members> {
    let text: Text = serde_json::from_slice(bytes)?;
    Members::new(text.voters, text.members).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_membership_comes_back_as_it_was() {
        let member = |address: &str| Member { address: address.into() };
        let members = [(1, member("a:1")), (2, member("b:2")), (3, member("c:3"))];
        let voters = vec![BTreeSet::from([1, 2]), BTreeSet::from([2, 3])];
        let members = Members::new(voters, BTreeMap::from(members)).unwrap();
        assert_eq!(decode(&encode(&members)).unwrap(), members);
        assert!(decode(b"{}").is_err());
    }
}
