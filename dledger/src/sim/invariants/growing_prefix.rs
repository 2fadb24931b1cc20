//! A consumer sees each queue as a prefix that grows, whichever member it reads from.

use super::{Message, QUEUES, Wrong};

/// What one consumer has seen.
#[derive(Default)]
pub(in crate::sim) struct Prefix([Vec<Message>; QUEUES]);

impl Prefix {
    /// A member gave it messages from `from` on, which is not behind what it has seen.
    pub(in crate::sim) fn read(
        &mut self,
        member: u64,
        queue: usize,
        from: usize,
        messages: Vec<Message>,
    ) -> Result<(), Wrong> {
        let seen = &mut self.0[queue];
        for (offset, message) in (from..).zip(messages) {
            match seen.get(offset) {
                Some(before) if *before == message => {}
                Some(before) => {
                    return Err(format!(
                        "a consumer sees {message:?} at {offset} in queue {queue} of member {member}, and saw {before:?}"
                    ));
                }
                None => seen.push(message),
            }
        }
        Ok(())
    }

    pub(in crate::sim) fn len(&self, queue: usize) -> usize {
        self.0[queue].len()
    }

    /// Once there is nothing more to see.
    pub(in crate::sim) fn check(&self, of_members: &super::Queues) -> Result<(), Wrong> {
        for (queue, seen) in self.0.iter().enumerate() {
            let wrong = (0..).zip(seen).find(|(offset, message)| of_members.get(queue, *offset) != Some(message));
            if let Some((offset, message)) = wrong {
                return Err(format!(
                    "a consumer saw {message:?} at {offset} in queue {queue}, which members do not have"
                ));
            }
        }
        Ok(())
    }
}
