//! What was acknowledged is there, where its producer was told.

use super::{Queues, Wrong};

#[derive(Default)]
pub(in crate::sim) struct Acknowledged(Vec<Acknowledgement>);

/// What a producer was told of a message.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Acknowledgement {
    pub(in crate::sim) name: String,
    pub(in crate::sim) queue: usize,
    pub(in crate::sim) offset: i64,
    pub(in crate::sim) at: i64,
}

impl Acknowledged {
    /// A producer hears that a message is stored, which a member has shown by then.
    pub(in crate::sim) fn hear(&mut self, of: Acknowledgement, queues: &Queues) -> Result<(), Wrong> {
        let checked = check(&of, queues);
        self.0.push(of);
        checked
    }

    /// Once all members show the same.
    pub(in crate::sim) fn check(&self, queues: &Queues) -> Result<(), Wrong> {
        self.0.iter().try_for_each(|of| check(of, queues))
    }

    pub(in crate::sim) fn len(&self) -> usize {
        self.0.len()
    }
}

fn check(of: &Acknowledgement, queues: &Queues) -> Result<(), Wrong> {
    match usize::try_from(of.offset).ok().and_then(|offset| queues.get(of.queue, offset)) {
        Some(found) if found.name == of.name && found.at == of.at => Ok(()),
        found => Err(format!("{of:?} was told of, but in that place there is {found:?}")),
    }
}
