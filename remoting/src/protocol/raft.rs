//! Who belongs to the Raft group of a broker, to look at and to change. These requests are Ferromq's own; Java has none.

use std::time::Duration;

use thiserror::Error;

use crate::header::{Field, NoHeader};
use crate::request;
use crate::signature::Credentials;
use crate::types::{MemberNumber, Timestamp};

request! {
    /// The body of the answer is a `RaftGroupStatus`: each member tells what it knows.
    GROUP_STATUS => NoHeader,
    pub struct GetGroupStatus {}
}

request! {
    /// Answered by the leader, once the group has agreed; other members pass it on. Where brokers know a user for it
    /// (`initAuthenticationUser`) it is [signed](ChangeGroup::signed).
    GROUP_CHANGE => NoHeader,
    pub struct ChangeGroup {
        change: GroupChange = "change",
        member: MemberNumber = "member",
        /// For [`GroupChange::Add`] alone: where the other members reach it, `host:port`.
        address: Option<String> = "address",
        access_key: Option<String> = "AccessKey",
        signature: Option<String> = "Signature",
        /// When it was signed, so that nobody sends it again later.
        signed_at: Option<Timestamp> = "signedAt",
    }
}

/// How far the clocks of an operator's machine and of a broker's may be apart.
const SIGNED_WITHIN: Duration = Duration::from_secs(300);

/// A request that a broker does not take from just anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotSigned {
    #[error("it is not signed: name a file with accessKey and secretKey by --credentials")]
    Unsigned,
    #[error("there is no user of that access key who may do this")]
    User,
    #[error("the signature does not fit: is the secret key right?")]
    Signature,
    #[error(
        "it was signed at another time: the clocks of the two machines are more than 5 minutes apart, or somebody sends it again"
    )]
    Time,
}

impl ChangeGroup {
    pub fn new(change: GroupChange, member: MemberNumber, address: Option<String>) -> Self {
        Self { change, member, address, access_key: None, signature: None, signed_at: None }
    }

    #[must_use]
    pub fn signed(mut self, by: &Credentials, now: Timestamp) -> Self {
        self.access_key = Some(by.access_key.clone());
        self.signed_at = Some(now);
        self.signature = Some(by.sign(&self, &[]));
        self
    }

    /// # Errors
    /// It was not signed by `user` just now.
    pub fn check_signature(&self, user: &Credentials, now: Timestamp) -> Result<(), NotSigned> {
        let (Some(access_key), Some(signature)) = (&self.access_key, &self.signature) else {
            return Err(NotSigned::Unsigned);
        };
        if *access_key != user.access_key {
            return Err(NotSigned::User);
        }
        if !user.is_signed(self, &[], signature) {
            return Err(NotSigned::Signature);
        }
        let apart = self.signed_at.map(|at| at.0.abs_diff(now.0));
        apart.filter(|apart| u128::from(*apart) <= SIGNED_WITHIN.as_millis()).map(|_| ()).ok_or(NotSigned::Time)
    }
}

/// What becomes of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupChange {
    /// It gets the log from now on, as a learner.
    Add,
    /// From a learner that has caught up it becomes one that counts for a majority.
    Promote,
    Remove,
    /// It leads from now on.
    Transfer,
}

impl GroupChange {
    const ALL: [Self; 4] = [Self::Add, Self::Promote, Self::Remove, Self::Transfer];

    /// As it is spelled, on the wire and by users.
    pub fn word(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Promote => "promote",
            Self::Remove => "remove",
            Self::Transfer => "transfer",
        }
    }
}

impl Field for GroupChange {
    const EXPECTED: &'static str = "add, promote, remove or transfer";

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|change| change.word() == text)
    }

    fn with_text(&self, write: impl FnOnce(&str)) {
        write(self.word());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_taken_from_whoever_signed_it_just_now() {
        let user = Credentials { access_key: "admin".into(), secret_key: "secret".into() };
        let now = Timestamp(1_000_000);
        let plain = || ChangeGroup::new(GroupChange::Remove, MemberNumber(2), None);
        let signed = || plain().signed(&user, now);
        assert_eq!(plain().check_signature(&user, now), Err(NotSigned::Unsigned));
        assert_eq!(signed().check_signature(&user, now), Ok(()));
        let other = ChangeGroup { member: MemberNumber(3), ..signed() };
        assert_eq!(other.check_signature(&user, now), Err(NotSigned::Signature));
        let later = ChangeGroup { signed_at: Some(Timestamp(1_000_001)), ..signed() };
        assert_eq!(later.check_signature(&user, now), Err(NotSigned::Signature));
        for at in [699_999, 1_300_001] {
            assert_eq!(signed().check_signature(&user, Timestamp(at)), Err(NotSigned::Time));
        }
        let stranger = Credentials { access_key: "guest".into(), ..user.clone() };
        assert_eq!(plain().signed(&stranger, now).check_signature(&user, now), Err(NotSigned::User));
    }
}
