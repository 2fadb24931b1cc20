//! The table of pops and notifications that wait.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use parking_lot::Mutex;
use remoting::connection::Busy;
use remoting::types::{QueueId, Timestamp};
use store::Arrivals;
use tokio::sync::Notify;

use super::request::{Key, Notice, Pop};

/// What waits by who pops what, and by the queues whose growth may end that.
#[derive(Default)]
pub(super) struct Waiting {
    table: Mutex<Table>,
    /// Something is to be done: somebody began to wait, or is to be served.
    news: Notify,
}

#[derive(Default)]
struct Table {
    lists: HashMap<Key, Lists>,
    /// Who is to be served when a queue grows.
    queues: HashMap<Arrivals, HashSet<Key>>,
    woken: HashSet<Key>,
    /// When somebody is to be served without any queue growing.
    alarms: BTreeMap<Timestamp, HashSet<Key>>,
    count: usize,
}

#[derive(Default)]
struct Lists {
    /// By the queue asked for.
    pops: BTreeMap<QueueId, VecDeque<Waiter<Pop>>>,
    notices: VecDeque<Waiter<Notice>>,
}

/// Something that waits.
pub(super) struct Waiter<T> {
    pub(super) what: T,
    /// The connection owes an answer.
    pub(super) busy: Busy,
}

/// Pops or notifications that wait no longer.
#[derive(Default)]
pub(super) struct Over {
    pub(super) pops: Vec<Waiter<Pop>>,
    pub(super) notices: Vec<Waiter<Notice>>,
}

/// Bounds of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Of the pops of one group for one queue, or for any.
    pub(super) each: usize,
    pub(super) all: usize,
}

impl Lists {
    fn is_empty(&self) -> bool {
        self.notices.is_empty() && self.pops.values().all(VecDeque::is_empty)
    }
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.table.lock().count == 0
    }

    /// Pops of a group that wait for one queue, or for any.
    pub(super) fn pops(&self, key: &Key, queue: QueueId) -> usize {
        let table = self.table.lock();
        table.lists.get(key).and_then(|lists| lists.pops.get(&queue)).map_or(0, VecDeque::len)
    }

    /// Lets a pop wait; gives it back if there are too many already.
    pub(super) fn add(&self, waiter: Waiter<Pop>, bounds: Bounds) -> Option<Waiter<Pop>> {
        let (key, queue) = (waiter.what.key.clone(), waiter.what.queue());
        self.add_to(key, |lists| lists.pops.entry(queue).or_default(), waiter, bounds)
    }

    /// As [`Waiting::add`].
    pub(super) fn add_notice(&self, waiter: Waiter<Notice>, bounds: Bounds) -> Option<Waiter<Notice>> {
        self.add_to(waiter.what.key.clone(), |lists| &mut lists.notices, waiter, bounds)
    }

    fn add_to<T>(
        &self,
        key: Key,
        list: impl FnOnce(&mut Lists) -> &mut VecDeque<T>,
        waiter: T,
        bounds: Bounds,
    ) -> Option<T> {
        let mut table = self.table.lock();
        let full = table.count >= bounds.all;
        let list = list(table.lists.entry(key).or_default());
        if full || list.len() > bounds.each {
            return Some(waiter);
        }
        list.push_back(waiter);
        table.count += 1;
        if table.count == 1 {
            self.news.notify_one();
        }
        None
    }

    /// Has `key` served when one of the queues grows. To be asked for a report after this.
    pub(super) fn watch<'a>(&self, key: &Key, queues: impl IntoIterator<Item = &'a Arrivals>) {
        let mut table = self.table.lock();
        for queue in queues {
            let keys = table.queues.entry(queue.clone()).or_default();
            if !keys.contains(key) {
                keys.insert(key.clone());
            }
        }
    }

    /// Has `key` served at `at`.
    pub(super) fn set_alarm(&self, key: &Key, at: Timestamp) {
        self.table.lock().alarms.entry(at).or_default().insert(key.clone());
        self.news.notify_one();
    }

    pub(super) fn next_alarm(&self) -> Option<Timestamp> {
        self.table.lock().alarms.keys().next().copied()
    }

    /// Has `key` served soon.
    pub(super) fn wake(&self, key: Key) {
        let mut table = self.table.lock();
        if table.lists.contains_key(&key) {
            table.woken.insert(key);
            self.news.notify_one();
        }
    }

    /// A queue has grown: has everybody served who waits for that.
    pub(super) fn grown(&self, queue: &Arrivals) {
        let mut table = self.table.lock();
        // They ask again if they find nothing.
        let Some(keys) = table.queues.remove(queue) else { return };
        let Table { lists, woken, .. } = &mut *table;
        let before = woken.len();
        woken.extend(keys.into_iter().filter(|key| lists.contains_key(key)));
        if woken.len() > before {
            self.news.notify_one();
        }
    }

    /// Takes those that are to be served now.
    pub(super) fn take_woken(&self, now: Timestamp) -> Vec<Key> {
        let mut table = self.table.lock();
        let mut woken: HashSet<Key> = std::mem::take(&mut table.woken);
        while let Some(alarm) = table.alarms.first_entry().filter(|alarm| *alarm.key() <= now) {
            woken.extend(alarm.remove());
        }
        woken.into_iter().collect()
    }

    /// The queues that pops of a key wait for.
    pub(super) fn queues(&self, key: &Key) -> Vec<QueueId> {
        let table = self.table.lock();
        table.lists.get(key).map_or_else(Vec::new, |lists| lists.pops.keys().copied().collect())
    }

    /// Takes the pop that has waited longest.
    pub(super) fn take(&self, key: &Key, queue: QueueId) -> Option<Waiter<Pop>> {
        self.take_from(key, |lists| lists.pops.get_mut(&queue)?.pop_front())
    }

    /// Takes the notification that was asked for last, which is the one most likely to be still wanted.
    pub(super) fn take_notice(&self, key: &Key) -> Option<Waiter<Notice>> {
        self.take_from(key, |lists| lists.notices.pop_back())
    }

    fn take_from<T>(&self, key: &Key, take: impl FnOnce(&mut Lists) -> Option<T>) -> Option<T> {
        let mut table = self.table.lock();
        let waiter = take(table.lists.get_mut(key)?)?;
        table.count -= 1;
        Some(waiter)
    }

    /// Takes what has waited long enough or has lost its connection, and forgets what nobody waits for.
    pub(super) fn take_over(&self, now: Timestamp) -> Over {
        let mut table = self.table.lock();
        let mut over = Over::default();
        table.lists.retain(|_, lists| {
            lists.pops.retain(|_, pops| {
                move_over(pops, &mut over.pops, |pop| pop.is_over(now));
                !pops.is_empty()
            });
            move_over(&mut lists.notices, &mut over.notices, |notice| notice.is_over(now));
            !lists.is_empty()
        });
        table.count -= over.pops.len() + over.notices.len();
        let Table { lists, queues, .. } = &mut *table;
        queues.retain(|_, keys| {
            keys.retain(|key| lists.contains_key(key));
            !keys.is_empty()
        });
        over
    }

    /// Returns when something was asked for since the last time. Cancel-safe.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }
}

fn move_over<T>(list: &mut VecDeque<Waiter<T>>, over: &mut Vec<Waiter<T>>, is_over: impl Fn(&T) -> bool) {
    // Mostly none is over, and then nothing moves.
    if list.iter().any(|waiter| is_over(&waiter.what)) {
        let (ended, kept): (VecDeque<_>, _) =
            std::mem::take(list).into_iter().partition(|waiter| is_over(&waiter.what));
        *list = kept;
        over.extend(ended);
    }
}
