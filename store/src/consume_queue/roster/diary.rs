//! The diary: the topics whose queue files may have changed since the roster of a run was written.
//!
//! While a store with many queues is in use, its roster lies beside it as `ferromq.queues.run`, and `ferromq.queues.changed`
//! names each topic before the first change to files of its queues. `kill -9` takes nothing back from what was written, so
//! the next start believes the roster about all other topics, and looks at the folders of these only. After a power cut nobody
//! knows what of it is on disk: the diary names the boot of the machine, and neither is used in another one.
//!
//! ```text
//! head   [magic: 8 bytes][CRC32 of the roster: u32][length of the boot's name: u16][name]
//! topic  [length of the name: u16][name]
//! ```
//! The keeper writes both anew when many topics have changed.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use parking_lot::Mutex;
use remoting::types::TopicName;
use tracing::warn;

use crate::io::remove_file;

/// Name of the roster of a run, and of its diary, in the root of the store.
pub(crate) const RUN_NAME: &str = "ferromq.queues.run";
pub(crate) const CHANGED_NAME: &str = "ferromq.queues.changed";

const MAGIC: [u8; 8] = *b"FerromqD";

/// What queue files tell before they change.
#[derive(Debug, Default)]
pub(crate) struct Diary {
    /// Changes when the diary begins anew; 0: none is kept.
    generation: AtomicU16,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    open: Option<Page>,
    /// Topics that have changed since the next roster was begun.
    gathered: Option<HashSet<TopicName>>,
    /// The last generation there was.
    generation: u16,
}

#[derive(Debug)]
struct Page {
    root: PathBuf,
    file: File,
    named: HashSet<TopicName>,
}

/// Up to which generation the topic of a queue was named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Noted(u16);

impl Diary {
    /// Goes on with a diary that named some topics, or begins one, beside the roster with this CRC.
    ///
    /// # Errors
    /// It cannot be written; none is kept.
    pub(super) fn open(&self, root: &Path, roster: u32, boot: &str, named: HashSet<TopicName>) -> io::Result<()> {
        let page = Page::write(root, roster, boot, named)?;
        fs::rename(new_path(root), root.join(CHANGED_NAME))?;
        let mut pages = self.pages.lock();
        pages.open = Some(page);
        pages.generation += 1;
        self.generation.store(pages.generation, Ordering::Release);
        Ok(())
    }

    /// How many topics it names; `None`: there is no diary.
    pub(crate) fn named(&self) -> Option<usize> {
        self.pages.lock().open.as_ref().map(|page| page.named.len())
    }

    /// To be called before files of a queue of `topic` change, by who keeps others from changing them, and from looking how
    /// the queue stands.
    ///
    /// # Errors
    /// It could not be noted, nor what was noted before be made void: the files must stay as they are.
    pub(crate) fn note(&self, noted: &mut Noted, topic: &TopicName) -> io::Result<()> {
        if noted.0 == self.generation.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut pages = self.pages.lock();
        if let Err(error) = pages.name(topic) {
            warn!(%error, "note that queues change: the next start after a crash lists the folders of all");
            self.end(&mut pages)?;
        }
        *noted = Noted(self.generation.load(Ordering::Acquire));
        Ok(())
    }

    /// From now on changes are for the next diary, too, whose roster is about to be made. False if it cannot be told from
    /// earlier ones.
    pub(super) fn gather(&self) -> bool {
        let mut pages = self.pages.lock();
        let Some(next) = pages.generation.checked_add(1) else { return false };
        pages.gathered = Some(HashSet::new());
        pages.generation = next;
        self.generation.store(next, Ordering::Release);
        true
    }

    /// The next diary takes the place of the last one, as that of its roster does the file `roster`.
    ///
    /// # Errors
    /// Neither may be used any more, and none is kept.
    pub(super) fn turn(&self, root: &Path, roster: &Path, crc: u32, boot: &str) -> io::Result<()> {
        let mut pages = self.pages.lock();
        let named = pages.gathered.take().unwrap_or_default();
        let turned = Page::write(root, crc, boot, named).and_then(|page| {
            // Between these two they do not belong together, and are not used.
            fs::rename(roster, root.join(RUN_NAME))?;
            fs::rename(new_path(root), root.join(CHANGED_NAME))?;
            Ok(page)
        });
        match turned {
            Ok(page) => {
                pages.open = Some(page);
                Ok(())
            }
            Err(error) => {
                self.end(&mut pages)?;
                Err(error)
            }
        }
    }

    /// The next roster was not written: the last one stays, if there is one.
    pub(super) fn give_up(&self) {
        let mut pages = self.pages.lock();
        pages.gathered = None;
        if pages.open.is_none() {
            self.generation.store(0, Ordering::Release);
        }
    }

    /// Makes void what was noted, and notes no more.
    fn end(&self, pages: &mut Pages) -> io::Result<()> {
        if let Some(page) = &pages.open {
            remove(&page.root)?;
        }
        (pages.open, pages.gathered) = (None, None);
        self.generation.store(0, Ordering::Release);
        Ok(())
    }
}

impl Pages {
    fn name(&mut self, topic: &TopicName) -> io::Result<()> {
        if let Some(gathered) = &mut self.gathered {
            gathered.insert(topic.clone());
        }
        if let Some(page) = self.open.as_mut().filter(|page| !page.named.contains(topic)) {
            page.file.write_all(&entry(topic))?;
            page.named.insert(topic.clone());
        }
        Ok(())
    }
}

impl Page {
    /// Writes a whole diary, not in its place yet.
    fn write(root: &Path, roster: u32, boot: &str, named: HashSet<TopicName>) -> io::Result<Self> {
        let mut bytes = head(roster, boot);
        named.iter().for_each(|topic| bytes.extend(entry(topic)));
        let mut file = File::create(new_path(root))?;
        file.write_all(&bytes)?;
        Ok(Self { root: root.to_owned(), file, named })
    }
}

/// The topics that the diary of the roster with this CRC names; `None`: there is none of this boot.
pub(super) fn read(root: &Path, roster: u32, boot: &str) -> Option<HashSet<TopicName>> {
    let bytes = fs::read(root.join(CHANGED_NAME)).ok()?;
    let mut rest = bytes.strip_prefix(&head(roster, boot)[..])?;
    let mut named = HashSet::new();
    // What is torn off at the end was being noted, and had not changed.
    while let Some((len, left)) = rest.split_first_chunk() {
        let Some((name, left)) = left.split_at_checked(u16::from_be_bytes(*len).into()) else { break };
        named.insert(TopicName::new(std::str::from_utf8(name).ok()?));
        rest = left;
    }
    Some(named)
}

/// Removes roster and diary of a run, the diary first: without it the roster is not used.
///
/// # Errors
/// They may be there still.
pub(super) fn remove(root: &Path) -> io::Result<()> {
    for name in [CHANGED_NAME, RUN_NAME] {
        remove_file(&root.join(name))?;
    }
    Ok(())
}

fn new_path(root: &Path) -> PathBuf {
    root.join(format!("{CHANGED_NAME}.new"))
}

fn head(roster: u32, boot: &str) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(roster.to_be_bytes());
    bytes.extend((boot.len() as u16).to_be_bytes());
    bytes.extend(boot.as_bytes());
    bytes
}

fn entry(topic: &str) -> Vec<u8> {
    // Names of folders, which are far shorter.
    let len = u16::try_from(topic.len()).unwrap_or(u16::MAX);
    [&len.to_be_bytes()[..], topic.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(topics: &[&str]) -> HashSet<TopicName> {
        topics.iter().map(TopicName::new).collect()
    }

    #[test]
    fn a_topic_is_named_before_it_changes_once_in_each_diary() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path();
        let diary = Diary::default();
        let (a, b) = (TopicName::new("a"), TopicName::new("b"));
        let mut noted = Noted::default();
        diary.note(&mut noted, &a).expect("none is kept");
        assert_eq!((noted, diary.named()), (Noted(0), None));

        diary.open(root, 1, "boot", names(&["old"])).expect("begun");
        diary.note(&mut noted, &a).expect("noted");
        diary.note(&mut Noted::default(), &a).expect("by another of its queues");
        assert_eq!(read(root, 1, "boot"), Some(names(&["a", "old"])));
        assert_eq!(fs::metadata(root.join(CHANGED_NAME)).expect("a file").len(), 8 + 4 + 2 + 4 + 5 + 3);
        assert_eq!((read(root, 2, "boot"), read(root, 1, "another")), (None, None));

        assert!(diary.gather());
        diary.note(&mut noted, &a).expect("for the next one");
        diary.note(&mut Noted::default(), &b).expect("for both");
        assert_eq!(read(root, 1, "boot"), Some(names(&["a", "b", "old"])), "the roster is not there yet");
        fs::write(root.join("next"), "roster").expect("written");
        diary.turn(root, &root.join("next"), 3, "boot").expect("turned");
        assert_eq!(read(root, 3, "boot"), Some(names(&["a", "b"])));
        assert_eq!(fs::read(root.join(RUN_NAME)).expect("a file"), b"roster");

        let torn = fs::read(root.join(CHANGED_NAME)).expect("a file");
        fs::write(root.join(CHANGED_NAME), &torn[..torn.len() - 1]).expect("written");
        assert_eq!(read(root, 3, "boot").expect("but for the last").len(), 1);
    }

    #[test]
    fn what_cannot_be_noted_makes_all_of_it_void() {
        let dir = tempfile::tempdir().expect("a folder");
        let diary = Diary::default();
        diary.open(dir.path(), 1, "boot", HashSet::new()).expect("begun");
        // A file that is open for reading only takes nothing.
        diary.pages.lock().open.as_mut().expect("open").file =
            File::open(dir.path().join(CHANGED_NAME)).expect("opened");
        let mut noted = Noted::default();
        diary.note(&mut noted, &TopicName::new("a")).expect("the diary is gone");
        assert_eq!((read(dir.path(), 1, "boot"), diary.named(), noted), (None, None, Noted(0)));
        assert!(diary.gather());
        diary.note(&mut noted, &TopicName::new("a")).expect("noted");
        assert_ne!(noted, Noted(0));
    }
}
