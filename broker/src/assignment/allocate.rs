//! Which of all queues belong to one client. Pure functions of sorted lists, so that all brokers come to the same result.

use remoting::body::MessageQueue;
use remoting::types::{ClientId, QueueId};

/// How queues are divided. Java: `AllocateMessageQueueStrategy.getName`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    /// Each client gets neighbours.
    Averagely,
    /// Queues are dealt out one by one.
    ByCircle,
}

impl Strategy {
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "AVG" => Some(Self::Averagely),
            "AVG_BY_CIRCLE" => Some(Self::ByCircle),
            _ => None,
        }
    }

    /// The queues of a client; none if it is not among the clients.
    pub(super) fn allocate(
        self,
        client: &ClientId,
        queues: &[MessageQueue],
        clients: &[ClientId],
    ) -> Vec<MessageQueue> {
        let Some(at) = clients.iter().position(|known| known == client) else { return Vec::new() };
        match self {
            Self::Averagely => {
                let (each, more) = (queues.len() / clients.len(), queues.len() % clients.len());
                let start = at * each + at.min(more);
                queues[start..start + each + usize::from(at < more)].to_vec()
            }
            Self::ByCircle => queues.iter().skip(at).step_by(clients.len()).cloned().collect(),
        }
    }

    /// What a client pops. `share`: how many clients behind it it helps; 0 or less, or all of them: everybody pops any queue.
    ///
    /// Java: `QueryAssignmentProcessor.allocate4Pop`.
    pub(super) fn allocate_pop(
        self,
        client: &ClientId,
        queues: &[MessageQueue],
        clients: &[ClientId],
        share: i32,
    ) -> Vec<MessageQueue> {
        let share = usize::try_from(share).unwrap_or(0);
        if share == 0 || share + 1 >= clients.len() {
            let any = queues.iter().map(|queue| MessageQueue { queue_id: QueueId(-1), ..queue.clone() });
            return unique(any.collect());
        }
        let Some(at) = clients.iter().position(|known| known == client) else { return Vec::new() };
        if clients.len() > queues.len() {
            // Each client gets one.
            return queues.get(at % queues.len().max(1)).cloned().into_iter().collect();
        }
        let helped = (0..=share).map(|step| &clients[(at + step) % clients.len()]);
        unique(helped.flat_map(|client| self.allocate(client, queues, clients)).collect())
    }
}

pub(super) fn unique(mut queues: Vec<MessageQueue>) -> Vec<MessageQueue> {
    queues.sort_by(order);
    queues.dedup();
    queues
}

/// Java's order of queues.
fn order(a: &MessageQueue, b: &MessageQueue) -> std::cmp::Ordering {
    (&a.topic, &a.broker_name, a.queue_id).cmp(&(&b.topic, &b.broker_name, b.queue_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(count: i32) -> Vec<MessageQueue> {
        let queue = |id| MessageQueue { topic: "T".into(), broker_name: "a".into(), queue_id: QueueId(id) };
        (0..count).map(queue).collect()
    }

    fn clients(count: usize) -> Vec<ClientId> {
        (0..count).map(|number| format!("c{number}").into()).collect()
    }

    fn ids(queues: &[MessageQueue]) -> Vec<i32> {
        queues.iter().map(|queue| queue.queue_id.0).collect()
    }

    fn check(strategy: &str, count: i32, of: usize, expect: &[&[i32]]) {
        let strategy = Strategy::of(strategy).unwrap();
        let clients = clients(of);
        let all: Vec<_> =
            clients.iter().map(|client| ids(&strategy.allocate(client, &queues(count), &clients))).collect();
        assert_eq!(all, expect, "{strategy:?} {count} of {of}");
    }

    #[test]
    fn queues_are_divided_as_java_does() {
        check("AVG", 8, 3, &[&[0, 1, 2], &[3, 4, 5], &[6, 7]]);
        check("AVG", 4, 2, &[&[0, 1], &[2, 3]]);
        check("AVG", 2, 3, &[&[0], &[1], &[]]);
        check("AVG_BY_CIRCLE", 8, 3, &[&[0, 3, 6], &[1, 4, 7], &[2, 5]]);
        check("AVG_BY_CIRCLE", 1, 2, &[&[0], &[]]);
        assert_eq!(Strategy::of("CONSISTENT_HASH"), None);
        assert_eq!(Strategy::Averagely.allocate(&"stranger".into(), &queues(4), &clients(2)), []);
    }

    fn check_pop(count: i32, of: usize, share: i32, expect: &[&[i32]]) {
        let clients = clients(of);
        let pop = |client| ids(&Strategy::Averagely.allocate_pop(client, &queues(count), &clients, share));
        assert_eq!(clients.iter().map(pop).collect::<Vec<_>>(), expect, "{count} of {of}, share {share}");
    }

    #[test]
    fn poppers_share_queues() {
        check_pop(4, 2, 0, &[&[-1], &[-1]]);
        check_pop(4, 2, -1, &[&[-1], &[-1]]);
        check_pop(4, 3, 2, &[&[-1], &[-1], &[-1]]);
        check_pop(4, 4, 1, &[&[0, 1], &[1, 2], &[2, 3], &[0, 3]]);
        check_pop(2, 4, 1, &[&[0], &[1], &[0], &[1]]);
    }
}
