//! The small files beside the log: the vote, the members that were agreed on last, the last entry that is gone from the log,
//! the mark of a quarantine, and which run of the operating system wrote last.

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
/// For whoever finds it. The first line tells the kind.
const LOG_TEXT: &str = "log\nThis member lost its log, and does not vote until it has it again. See docs/raft.md before you remove this.\n";
const TAIL_TEXT: &str = "tail\nThe machine of this member crashed, and what was not on disk is gone: it does not vote until it has it again.\nSee docs/raft.md before you remove this.\n";
/// Changes with each start of the operating system.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What a member may have acknowledged and does not have any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// All of it, and votes.
    Log,
    /// The end of the log, which was not on disk when the machine went down.
    Tail,
}

/// The folder of a member's files.
#[derive(Debug)]
pub(crate) struct Files {
    dir: PathBuf,
    vote: Mutex<Option<Vote>>,
    purged: Mutex<Option<Id>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct VoteText {
    term: u64,
    node: u64,
    /// A majority gave it.
    committed: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct IdText {
    term: u64,
    node: u64,
    index: u64,
}

impl From<&Vote> for VoteText {
    fn from(vote: &Vote) -> Self {
        let leader = vote.leader_id();
        Self { term: leader.term, node: leader.node_id, committed: vote.is_committed() }
    }
}

impl From<&VoteText> for Vote {
    fn from(text: &VoteText) -> Self {
        match text.committed {
            true => Self::new_committed(text.term, text.node),
            false => Self::new(text.term, text.node),
        }
    }
}

impl From<&Id> for IdText {
    fn from(id: &Id) -> Self {
        Self { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
    }
}

impl From<&IdText> for Id {
    fn from(text: &IdText) -> Self {
        Self { leader_id: Leader { term: text.term, node_id: text.node }, index: text.index }
    }
}

/// The entry that brought the members, and these.
#[derive(Serialize, Deserialize)]
struct MembersText {
    term: u64,
    node: u64,
    index: u64,
    members: serde_json::Value,
}

/// The last life of this member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Life {
    /// As the operating system calls its run.
    boot: String,
    /// Whether it acknowledged only what was on disk.
    pub(crate) synchronous: bool,
}

impl Life {
    /// One that begins now; `None` where the operating system does not name its runs.
    pub(crate) fn begin(synchronous: bool) -> Option<Self> {
        let boot = fs::read_to_string(BOOT_ID).ok()?;
        Some(Self { boot: boot.trim().to_owned(), synchronous })
    }

    /// Whether the machine went down since the other one.
    pub(crate) fn is_after_another_boot(&self, before: &Self) -> bool {
        self.boot != before.boot
    }
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
        let vote = read::<VoteText>(&dir.join(VOTE))?.map(|text| Vote::from(&text));
        let purged = read::<IdText>(&dir.join("purged.json"))?.map(|text| Id::from(&text));
        Ok(Self { dir: dir.to_owned(), vote: Mutex::new(vote), purged: Mutex::new(purged) })
    }

    /// The last entry that the log may lack, with all before it.
    pub(crate) fn purged(&self) -> Option<Id> {
        *self.purged.lock()
    }

    /// Returns once it is on disk.
    ///
    /// # Errors
    /// Failing I/O.
    pub(crate) fn save_purged(&self, id: &Id) -> io::Result<()> {
        self.write("purged.json", &serde_json::to_vec(&IdText::from(id))?)?;
        *self.purged.lock() = Some(*id);
        Ok(())
    }

    /// Nothing is gone: there is no log.
    ///
    /// # Errors
    /// Failing I/O.
    pub(crate) fn forget_purged(&self) -> io::Result<()> {
        if self.purged.lock().take().is_some() {
            fs::remove_file(self.dir.join("purged.json"))?;
            File::open(&self.dir)?.sync_all()?;
        }
        Ok(())
    }

    pub(crate) fn vote(&self) -> Option<Vote> {
        *self.vote.lock()
    }

    /// Returns once it is on disk.
    ///
    /// # Errors
    /// Failing I/O.
    pub(crate) fn save_vote(&self, vote: &Vote) -> io::Result<()> {
        self.write(VOTE, &serde_json::to_vec(&VoteText::from(vote))?)?;
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

    /// The life before this one, as far as it was noted.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn last_life(&self) -> io::Result<Option<Life>> {
        read(&self.dir.join("life.json"))
    }

    /// Returns once it is on disk.
    ///
    /// # Errors
    /// Failing I/O.
    pub(crate) fn save_life(&self, life: &Life) -> io::Result<()> {
        self.write("life.json", &serde_json::to_vec(life)?)
    }

    /// Why one was begun that is not over.
    ///
    /// # Errors
    /// The mark cannot be read.
    pub(crate) fn quarantine(&self) -> io::Result<Option<Loss>> {
        match fs::read_to_string(self.dir.join(MARK)) {
            Ok(text) if text.lines().next() == Some("tail") => Ok(Some(Loss::Tail)),
            // Also what anybody else may have written: the more careful of the two.
            Ok(_) => Ok(Some(Loss::Log)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns once the mark is on disk.
    ///
    /// # Errors
    /// Failing I/O.
    pub(crate) fn begin_quarantine(&self, loss: Loss) -> io::Result<()> {
        let text = match loss {
            Loss::Log => LOG_TEXT,
            Loss::Tail => TAIL_TEXT,
        };
        self.write(MARK, text.as_bytes())
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
        files.save_purged(&id).unwrap();
        let again = Files::open(folder.path()).unwrap();
        assert_eq!(again.purged(), Some(id));
        again.forget_purged().unwrap();
        assert_eq!(Files::open(folder.path()).unwrap().purged(), None);
        for loss in [Loss::Log, Loss::Tail] {
            files.begin_quarantine(loss).unwrap();
            assert_eq!(Files::open(folder.path()).unwrap().quarantine().unwrap(), Some(loss));
        }
        files.end_quarantine().unwrap();
        assert_eq!(files.quarantine().unwrap(), None);
        fs::write(folder.path().join("vote.json"), "{").unwrap();
        assert!(Files::open(folder.path()).unwrap_err().to_string().contains("vote.json is damaged"));
    }
}
