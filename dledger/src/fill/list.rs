//! What is sent to a member that is filled.

use std::io;

use serde::{Deserialize, Serialize};

use crate::files::{IdText, VoteText};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct List {
    /// Of the leader that sends it.
    pub(super) vote: VoteText,
    /// The entry before the first one.
    pub(super) before: IdText,
    /// The last entry, which is agreed on, and where it begins in the log.
    pub(super) last: IdText,
    pub(super) last_at: i64,
    /// The entry that brought the members at that place, and these.
    pub(super) members_of: IdText,
    pub(super) members: serde_json::Value,
    /// Size of files of the log.
    pub(super) file_bytes: u64,
    pub(super) pieces: Vec<Piece>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Piece {
    pub(super) what: What,
    pub(super) bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum What {
    /// How queues stand where the log begins.
    Queues,
    /// A table, by its path below the store's folder.
    Table { path: String },
    /// A file of the log, or its beginning.
    #[serde(rename_all = "camelCase")]
    Segment { start: i64, written_ms: i64 },
}

impl List {
    pub(super) fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.bytes).sum()
    }

    /// Where the files of the log begin, ascending.
    pub(super) fn starts(&self) -> impl Iterator<Item = i64> {
        self.pieces.iter().filter_map(|piece| match piece.what {
            What::Segment { start, .. } => Some(start),
            What::Queues | What::Table { .. } => None,
        })
    }

    /// Whether it is one that a member can be filled with whose files of the log have `file_bytes`.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(&self, file_bytes: u64) -> io::Result<()> {
        let refuse = |why: String| Err(io::Error::new(io::ErrorKind::InvalidData, why));
        if self.file_bytes != file_bytes {
            let theirs = self.file_bytes;
            return refuse(format!(
                "mappedFileSizeCommitLog is {theirs} at the leader and {file_bytes} here: it has to be the same on all members"
            ));
        }
        let mut expected = None;
        for start in self.starts() {
            if start < 0 || expected.is_some_and(|expected| expected != start) {
                return refuse(format!("the files of the log that are sent do not follow each other at {start}"));
            }
            expected = start.checked_add_unsigned(file_bytes);
        }
        let fits = |piece: &Piece| match &piece.what {
            What::Queues => true,
            What::Table { path } => is_table(path),
            What::Segment { .. } => piece.bytes > 0 && piece.bytes <= file_bytes,
        };
        match self.pieces.iter().find(|piece| !fits(piece)) {
            Some(piece) => refuse(format!("{:?} is nothing that a member is filled with", piece.what)),
            None if expected.is_none() => refuse("there is no file of the log among what is sent".to_owned()),
            None => Ok(()),
        }
    }
}

/// Nothing else of the folder is put in place.
fn is_table(path: &str) -> bool {
    let name = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
    path == "raft/state.json" || path.strip_prefix("config/").is_some_and(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Id, Leader, Vote};

    fn list(pieces: &[(What, u64)]) -> List {
        let id = IdText::from(&Id { leader_id: Leader { term: 1, node_id: 2 }, index: 3 });
        List {
            vote: VoteText::from(&Vote::new_committed(1, 2)),
            before: id.clone(),
            last: id.clone(),
            last_at: 1,
            members_of: id,
            members: serde_json::Value::Null,
            file_bytes: 100,
            pieces: pieces.iter().map(|(what, bytes)| Piece { what: what.clone(), bytes: *bytes }).collect(),
        }
    }

    #[test]
    fn only_what_belongs_to_a_store_is_taken() {
        let segment = |start| What::Segment { start, written_ms: 0 };
        let table = |path: &str| What::Table { path: path.into() };
        let good = [(What::Queues, 0), (table("config/a.json"), 3), (segment(200), 100), (segment(300), 7)];
        let text = serde_json::to_vec(&list(&good)).unwrap();
        let read: List = serde_json::from_slice(&text).unwrap();
        read.check(100).unwrap();
        assert_eq!((read.bytes(), read.starts().collect::<Vec<_>>()), (110, vec![200, 300]));
        let check = |pieces: &[(What, u64)], expect: &str| {
            let refused = list(pieces).check(100).unwrap_err().to_string();
            assert!(refused.contains(expect), "{refused}");
        };
        for path in ["raft/vote.json", "config/../../x", "config/", "/etc/passwd", "commitlog/0", "config/.x"] {
            check(&[(table(path), 1), (segment(0), 1)], "is nothing that a member is filled with");
        }
        check(&[(segment(0), 101)], "is nothing that a member is filled with");
        check(&[(segment(0), 100), (segment(200), 1)], "do not follow each other");
        check(&[(What::Queues, 1)], "there is no file of the log");
        let other = list(&good).check(200).unwrap_err().to_string();
        assert!(other.starts_with("mappedFileSizeCommitLog is 100 at the leader and 200 here"), "{other}");
    }
}
