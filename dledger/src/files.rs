//! The small files beside the log: the vote, the members that were agreed on last, and the mark of a quarantine.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::membership;
use crate::types::{Id, Leader, Members, StoredMembers, Vote};

const VOTE: &str = "vote.json";
/// The mark of a member in quarantine.
const MARK: &str = "quarantine";
/// For whoever finds it.
const MARK_TEXT: &str =
    "This member lost its log, and does not vote until it has it again. See docs/raft.md before you remove this.\n";

/// The folder of a member's files.
#[derive(Debug)]
pub(crate) struct Files {
    dir: PathBuf,
    vote: Mutex<Option<Vote>>,
}

#[derive(Serialize, Deserialize)]
struct VoteText {
    term: u64,
    node: u64,
    /// A majority gave it.
    committed: bool,
}

/// The entry that brought the members, and these.
#[derive(Serialize, Deserialize)]
struct MembersText {
    term: u64,
    node: u64,
    index: u64,
    members: serde_json::Value,
}

/// Whether these are the files of one who belongs to a group, as far as he knows: who has never voted has agreed to nothing.
///
/// # Errors
/// The folder cannot be read.
pub fn is_of_member(dir: &Path) -> io::Result<bool> {
    dir.join(VOTE).try_exists()
}

impl Files {
    /// # Errors
    /// The folder cannot be made, or a file cannot be read or says nothing that was ever written to it.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let vote = read::<VoteText>(&dir.join(VOTE))?.map(|text| match text.committed {
            true => Vote::new_committed(text.term, text.node),
            false => Vote::new(text.term, text.node),
        });
        Ok(Self { dir: dir.to_owned(), vote: Mutex::new(vote) })
    }

    pub(crate) fn vote(&self) -> Option<Vote> {
        *self.vote.lock()
    }

    /// Returns once it is on disk.
    ///
    /// # Errors
    /// Failing I/O.
    pub(crate) fn save_vote(&self, vote: &Vote) -> io::Result<()> {
        let leader = vote.leader_id();
        let text = VoteText { term: leader.term, node: leader.node_id, committed: vote.is_committed() };
        self.write(VOTE, &serde_json::to_vec(&text)?)?;
        *self.vote.lock() = Some(*vote);
        Ok(())
    }

    /// The members that the group agreed on last, as far as this member knows.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn members(&self) -> io::Result<Option<StoredMembers>> {
        let Some(text) = read::<MembersText>(&self.dir.join("members.json"))? else { return Ok(None) };
        let id = Id { leader_id: Leader { term: text.term, node_id: text.node }, index: text.index };
        let members = membership::decode(&serde_json::to_vec(&text.members)?)?;
        Ok(Some(StoredMembers::new(Some(id), members)))
    }

    /// Returns once it is on disk.
    ///
    /// # Errors
    /// Failing I/O.
    pub(crate) fn save_members(&self, id: &Id, members: &Members) -> io::Result<()> {
        let members = serde_json::from_slice(&membership::encode(members))?;
        let text = MembersText { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index, members };
        self.write("members.json", &serde_json::to_vec(&text)?)
    }

    /// Whether one was begun and is not over.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(crate) fn is_quarantined(&self) -> io::Result<bool> {
        self.dir.join(MARK).try_exists()
    }

    /// Returns once the mark is on disk.
    ///
    /// # Errors
    /// Failing I/O.
    pub(crate) fn begin_quarantine(&self) -> io::Result<()> {
        self.write(MARK, MARK_TEXT.as_bytes())
    }

    /// Returns once it is surely gone.
    ///
    /// # Errors
    /// Failing I/O.
    pub(crate) fn end_quarantine(&self) -> io::Result<()> {
        fs::remove_file(self.dir.join(MARK))?;
        File::open(&self.dir)?.sync_all()
    }

    /// A new file takes the place of the old one, which a crash leaves whole.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (path, new) = (self.dir.join(name), self.dir.join(format!("{name}.tmp")));
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(new, path)?;
        File::open(&self.dir)?.sync_all()
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => {
            let text = serde_json::from_slice(&bytes);
            text.map(Some).map_err(|error| io::Error::other(format!("{} is damaged: {error}", path.display())))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A member that is alone and knows nobody.
pub(crate) fn nobody() -> StoredMembers {
    StoredMembers::new(None, Members::new_with_defaults(Vec::new(), Vec::<u64>::new()))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::types::Member;

    #[test]
    fn votes_and_members_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        assert_eq!((files.vote(), files.members().unwrap()), (None, None));
        let id = Id { leader_id: Leader { term: 3, node_id: 2 }, index: 9 };
        let member = Member { address: "a:1".into() };
        let members = Members::new(vec![BTreeSet::from([1])], BTreeMap::from([(1, member)])).unwrap();
        files.save_members(&id, &members).unwrap();
        for vote in [Vote::new(7, 2), Vote::new_committed(8, 1)] {
            files.save_vote(&vote).unwrap();
            let again = Files::open(folder.path()).unwrap();
            assert_eq!(again.vote(), Some(vote));
            assert_eq!(again.members().unwrap(), Some(StoredMembers::new(Some(id), members.clone())));
        }
        files.begin_quarantine().unwrap();
        assert!(Files::open(folder.path()).unwrap().is_quarantined().unwrap());
        files.end_quarantine().unwrap();
        assert!(!files.is_quarantined().unwrap());
        fs::write(folder.path().join("vote.json"), "{").unwrap();
        assert!(Files::open(folder.path()).unwrap_err().to_string().contains("vote.json is damaged"));
    }
}
