//! Members of Raft groups.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A member of a Raft group, spelled as in `dLegerSelfId`: `n0` is number 1, so that no member is 0, which is the leader's
/// broker id. A follower has this number as its broker id.
///
/// Java: `DLedgerCommitLog.getId`, plus one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemberNumber(pub u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a member is named as in its dLegerSelfId, a letter and digits such as n0")]
pub struct NoMemberName;

impl fmt::Display for MemberNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.checked_sub(1) {
            Some(digits) => write!(f, "n{digits}"),
            None => f.write_str("nobody"),
        }
    }
}

impl FromStr for MemberNumber {
    type Err = NoMemberName;

    fn from_str(text: &str) -> Result<Self, NoMemberName> {
        let digits = text.strip_prefix(|letter: char| letter.is_ascii_alphabetic()).ok_or(NoMemberName)?;
        let number: u32 = digits.parse().map_err(|_| NoMemberName)?;
        Ok(Self(u64::from(number) + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_named_as_in_the_settings() {
        assert_eq!("n0".parse(), Ok(MemberNumber(1)));
        assert_eq!("m12".parse(), Ok(MemberNumber(13)));
        assert_eq!(MemberNumber(13).to_string(), "n12");
        for wrong in ["", "n", "0", "1", "nn1", "n-1", "n4294967296"] {
            assert_eq!(wrong.parse::<MemberNumber>(), Err(NoMemberName), "{wrong}");
        }
    }
}
