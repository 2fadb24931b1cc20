//! What the last clean stop of our broker noted of the queues.

use std::collections::HashMap;

use super::{Inspection, QueueSummary, Verified};
use crate::consume_queue::roster::{Distrust, FILE_NAME, Roster};

/// The file as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterSummary {
    pub bytes: u64,
    /// Queues in it; `None`: it is torn, damaged or of another version, and the next start does without.
    pub queues: Option<usize>,
}

/// Looks at the roster of the store in `root`; `None`: there is none.
pub(super) fn find(root: &std::path::Path) -> std::io::Result<Option<RosterSummary>> {
    let bytes = || std::fs::metadata(root.join(FILE_NAME)).map(|found| found.len());
    match Roster::read(root) {
        Ok(roster) => {
            let queues = roster.topics().iter().map(|topic| topic.queues().count()).sum();
            Ok(Some(RosterSummary { bytes: bytes()?, queues: Some(queues) }))
        }
        Err(Distrust::Missing) => Ok(None),
        Err(Distrust::Io { source, .. }) => Err(source),
        Err(_) => Ok(Some(RosterSummary { bytes: bytes()?, queues: None })),
    }
}

/// Holds the roster against the queues that were found. What differs is no damage: somebody has changed the store since,
/// and the next start notices and lists the folders.
pub(super) fn check(store: &Inspection, verified: &mut Verified) {
    let roster = match (&store.roster, Roster::read(&store.root)) {
        (None, _) => return,
        (Some(_), Ok(roster)) => roster,
        (Some(_), Err(why)) => {
            return verified.notes.push(format!("{FILE_NAME}: {why}: the next start does without it"));
        }
    };
    let mut found: HashMap<_, &QueueSummary> =
        store.queues.iter().map(|queue| ((&*queue.topic, queue.queue_id, queue.batches), queue)).collect();
    let mut differ = 0;
    for topic in roster.topics() {
        for noted in topic.queues() {
            let is = found.remove(&(topic.name, noted.id.0, noted.batches));
            let same = is.is_some_and(|is| (is.max, is.files) == (noted.max, noted.files.count as usize));
            differ += usize::from(!same);
        }
    }
    differ += found.len();
    if differ > 0 {
        let what = format!("{FILE_NAME}: {differ} queues are not as the last stop of Ferromq noted them");
        verified.notes.push(format!("{what}: the store was changed since, and the next start lists all queues"));
    }
}
