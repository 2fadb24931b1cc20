//! Objects as keys of maps.

use std::fmt::{self, Display};

use serde::de::DeserializeOwned;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A key that is an object: Java's `Map<MessageQueue, …>`.
///
/// As serde knows only texts as keys, it is the text of the object's JSON; [`write`](super::write()) writes it as the
/// object that it is. As a text Java 4.9 reads it too, 5.5 does not: such maps are never sent as standard JSON.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey<T>(pub T);

/// The first piece of every such text. The writer knows it by where it is, not by what it says, so that no text of a
/// peer is ever taken for an object.
static OPENING: &str = "{";

pub(super) fn is_opening(piece: &str) -> bool {
    std::ptr::eq(piece, OPENING)
}

impl<T: Serialize> Serialize for ObjectKey<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let object = serde_json::to_string(&self.0).map_err(S::Error::custom)?;
        let rest = object.strip_prefix(OPENING).ok_or_else(|| S::Error::custom("a key that is no object"))?;
        serializer.collect_str(&InPieces { rest })
    }
}

struct InPieces<'a> {
    rest: &'a str,
}

impl Display for InPieces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(OPENING)?;
        f.write_str(self.rest)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for ObjectKey<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        serde_json::from_str(&text).map(Self).map_err(serde::de::Error::custom)
    }
}
