//! POP, each test against a broker of its own.

mod crash;
mod in_flight;
mod leases;
mod light;
mod ordered;
mod priority;
mod refusals;
mod waits;

use std::collections::HashSet;

use remoting::body::{SubscriptionGroupConfig, TopicConfig};
use remoting::connection::Peer;
use remoting::header::{DecodeHeader, EncodeHeader};
use remoting::protocol::ResponseCode;
use remoting::protocol::pop::{AckMessage, PopMessage, PopMessageReply};
use remoting::router::HandleBatch;
use remoting::types::{Clock, QueueId, QueueOffset, Timestamp, TopicName};
use store::message::Message;
use store::message::properties::{self, name};
use store::testing::MortalDisk;
use store::{Everything, ReadRequest, StoreConfig};
use tempfile::TempDir;
use tokio::sync::watch;

use super::handle::Handle;
use super::names::Kind;
use super::*;
use crate::config::BrokerConfig;
use crate::testing::{Surroundings, command, peer};
use crate::topic::{AttributeChanges, TIMER_TOPIC};

const START: Timestamp = Timestamp(1_700_000_000_000);
const LASTS_MS: i64 = 10_000;

/// A broker with topic `T` of two queues and a group `g`, and a timer that a test turns.
struct Fixture {
    pops: Arc<Pops>,
    peer: Peer,
    clock: Clock,
    timer: Mutex<Timer>,
    /// The topic of the last pop.
    asked: Mutex<TopicName>,
    folder: Arc<TempDir>,
    config: watch::Sender<Arc<BrokerConfig>>,
    surroundings: Surroundings,
}

/// Delivers what is due when it is told to.
#[derive(Default)]
struct Timer {
    read: i64,
    waiting: Vec<(i64, StoredCopy)>,
    /// Keys of what was delivered before a crash.
    known: HashSet<String>,
}

#[derive(Clone)]
struct StoredCopy {
    topic: String,
    queue: i32,
    properties: String,
    body: Vec<u8>,
}

/// A message as a consumer gets it, and how it acknowledges it.
#[derive(Clone, Debug)]
struct Popped {
    body: String,
    attempts: i32,
    topic: TopicName,
    queue: QueueId,
    offset: QueueOffset,
    handle: String,
}

/// An answer.
#[derive(Debug)]
struct Answered {
    code: ResponseCode,
    remark: String,
    reply: Option<PopMessageReply>,
    messages: Vec<Popped>,
}

impl Fixture {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let mut config = BrokerConfig::default();
        change(&mut config);
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::open(folder, config, &MortalDisk::after(usize::MAX), START).expect("a disk that lives")
    }

    /// `None`: the disk died meanwhile.
    fn open(folder: Arc<TempDir>, config: BrokerConfig, disk: &MortalDisk, now: Timestamp) -> Option<Self> {
        let surroundings = Surroundings::new();
        let config = watch::Sender::new(Arc::new(config));
        let clock = Clock::fixed(now);
        let ctx = Context { config: config.subscribe(), clock: clock.clone(), ..surroundings.ctx.clone() };
        let mut store_config = StoreConfig::new(folder.path().join("store"));
        store_config.commit_log_file_bytes = 64 << 10;
        store_config.consume_queue_file_bytes = 2000;
        (store_config.index.slots, store_config.index.entries) = (100, 400);
        store_config.light_queues = config.borrow().enable_lmq && config.borrow().enable_multi_dispatch;
        let (store, _) = disk.open(store_config, clock.clone()).ok()?;
        let path = folder.path().join("config");
        let topics = TopicTable::open(ctx.clone(), &path).unwrap();
        let groups = GroupTable::open(ctx.clone(), &path).unwrap();
        let clients =
            Clients::open(ctx.clone(), &path, Arc::clone(&topics), Arc::clone(&groups), Arc::default()).unwrap();
        let offsets = Offsets::open(
            ctx.clone(),
            &path,
            Arc::clone(&store),
            Arc::clone(&topics),
            Arc::clone(&groups),
            Arc::clone(&clients),
        );
        topics.put(TopicConfig::new("T", 2, 6), &AttributeChanges::default()).unwrap();
        groups.put_all(vec![SubscriptionGroupConfig::new("g")]).unwrap();
        let delivered = clock.clone();
        let parts = Parts {
            stats: Stats::new(ctx.clone()),
            ctx,
            store,
            topics,
            groups,
            clients,
            offsets: offsets.unwrap(),
            timer: Box::new(move || delivered.now()),
        };
        let pops = Pops::open(parts, &path).unwrap();
        let asked = Mutex::new("T".into());
        Some(Self { pops, peer: peer(7), clock, timer: Mutex::default(), asked, folder, config, surroundings })
    }

    /// Closes everything and opens it again, a moment later.
    fn restart(self) -> Self {
        self.pops.offsets.save();
        self.pops.persist().unwrap();
        self.opened_again()
    }

    /// Opens everything again, a moment later, with no more than is saved.
    fn opened_again(self) -> Self {
        let (folder, config, now) =
            (Arc::clone(&self.folder), BrokerConfig::clone(&self.config.borrow()), self.clock.now());
        let mut timer = std::mem::take(&mut *self.timer.lock());
        self.pops.store.close().unwrap();
        drop(self);
        let again = Self::open(folder, config, &MortalDisk::after(usize::MAX), Timestamp(now.0 + 1)).unwrap();
        *again.timer.lock() = std::mem::take(&mut timer);
        again
    }

    /// `false`: the store is dead.
    fn send_to(&self, queue: i32, body: &str, tags: &str) -> bool {
        let key = format!("key-{body}");
        let properties = format!("UNIQ_KEY\x01{key}\x02TAGS\x01{tags}\x02");
        self.put("T", queue, &properties, body.as_bytes())
    }

    fn send(&self, queue: i32, body: &str) {
        assert!(self.send_to(queue, body, "tag"));
    }

    fn put(&self, topic: &str, queue: i32, properties: &str, body: &[u8]) -> bool {
        let topic = TopicName::from(topic);
        let host = self.surroundings.ctx.identity.host;
        let mut batch = self.pops.store.batch();
        batch.push(&Message { properties, ..Message::new(&topic, QueueId(queue), body, host) }).unwrap();
        self.pops.store.append(&mut batch).is_ok()
    }

    fn all_of(&self, topic: &str, queue: i32, from: i64) -> Vec<(i64, StoredCopy)> {
        let mut all = Vec::new();
        let mut offset = QueueOffset(from);
        let topic = TopicName::from(topic);
        loop {
            let request = ReadRequest {
                topic: &topic,
                queue_id: QueueId(queue),
                offset,
                max_messages: 32,
                max_bytes: usize::MAX,
            };
            let outcome = self.pops.store.read(&request, &Everything);
            if outcome.count == 0 {
                return all;
            }
            for message in outcome.messages.iter().flat_map(|slice| take::each(slice)) {
                let copy = StoredCopy {
                    topic: message.topic.to_owned(),
                    queue: message.queue_id.0,
                    properties: message.properties.to_owned(),
                    body: message.body.to_vec(),
                };
                all.push((message.queue_offset.0, copy));
            }
            offset = outcome.next_offset;
        }
    }

    /// Lets time pass, has the timer deliver and brings back what is over.
    fn pass(&self, millis: i64) {
        self.clock.set(Timestamp(self.clock.now().0 + millis));
        self.deliver();
        self.pops.revive_all();
    }

    fn deliver(&self) {
        let mut timer = self.timer.lock();
        for (offset, mut record) in self.all_of(TIMER_TOPIC, 0, timer.read) {
            timer.read = offset + 1;
            let property = |name: &str| properties::get(&record.properties, name).unwrap().to_owned();
            let (due, key) = (property("TIMER_DELIVER_MS"), property(name::UNIQ_KEY));
            (record.topic, record.queue) = (property(name::REAL_TOPIC), property(name::REAL_QUEUE_ID).parse().unwrap());
            if !timer.known.contains(&key) {
                timer.waiting.push((due.parse().unwrap(), record));
            }
        }
        timer.waiting.sort_by_key(|(due, _)| *due);
        let now = self.clock.now().0;
        let due = timer.waiting.iter().take_while(|(due, _)| *due <= now).count();
        for (_, record) in timer.waiting.drain(..due) {
            if !self.put(&record.topic, record.queue, &record.properties, &record.body) {
                return;
            }
        }
    }

    fn request(&self, header: &impl EncodeHeader, code: RequestCode) -> RemotingCommand {
        RemotingCommand { ext: crate::testing::ext(header), ..RemotingCommand::request(code) }
    }

    fn send_pop(&self, header: &PopMessage) {
        *self.asked.lock() = header.topic.clone();
        self.pops.handle_batch(&mut vec![command(header)], &self.peer);
    }

    fn answers(&self) -> Vec<Answered> {
        let sent = self.peer.take_sent().unwrap();
        sent.iter().map(|answer| self.answered(answer)).collect()
    }

    fn answered(&self, answer: &RemotingCommand) -> Answered {
        let reply = PopMessageReply::decode(&answer.ext).ok();
        let messages = reply.as_ref().map_or_else(Vec::new, |reply| self.popped(reply, &answer.body));
        let remark = answer.remark.clone().unwrap_or_default();
        Answered { code: answer.response_code(), remark, reply, messages }
    }

    /// What a client makes of an answer.
    fn popped(&self, reply: &PopMessageReply, body: &[u8]) -> Vec<Popped> {
        let items = |info: &Option<String>| -> Vec<[String; 3]> {
            let items = info.as_deref().unwrap_or_default().split(';').filter(|item| !item.is_empty());
            items
                .map(|item| <[String; 3]>::try_from(item.split(' ').map(str::to_owned).collect::<Vec<_>>()).unwrap())
                .collect()
        };
        let starts = items(&reply.start_offset_info);
        let mut messages = take::each(body);
        let mut popped = Vec::new();
        for [kind, queue, offsets] in items(&reply.msg_offset_info) {
            let [_, _, start] = starts.iter().find(|[k, q, _]| (k, q) == (&kind, &queue)).unwrap();
            let asked = self.asked.lock().clone();
            let topic = Kind::topic(&kind, &asked, "g").unwrap();
            for offset in offsets.split(',') {
                let message = messages.next().expect("as many messages as offsets");
                let (pop_time, queue) = (reply.pop_time.0, queue.parse().unwrap());
                let handle = format!(
                    "{start} {pop_time} {} {} {kind} broker-a {queue} {offset}",
                    reply.invisible_time, reply.revive_queue
                );
                if let Some(given) = message.property(answer::POP_CK) {
                    assert_eq!(given, handle);
                }
                // A message of a light queue has its own topic the first time.
                assert!(message.topic == "T" || message.topic == asked.as_str());
                popped.push(Popped {
                    body: String::from_utf8(message.body.to_vec()).unwrap(),
                    attempts: message.reconsume_times,
                    topic: topic.clone(),
                    queue: QueueId(queue),
                    offset: QueueOffset(offset.parse().unwrap()),
                    handle,
                });
            }
        }
        assert!(messages.next().is_none(), "as many offsets as messages");
        popped
    }

    fn answer(&self) -> Answered {
        let [answer] = <[_; 1]>::try_from(self.answers()).unwrap();
        answer
    }

    /// Pops without waiting.
    fn pop(&self, header: &PopMessage) -> Answered {
        self.send_pop(header);
        self.answer()
    }

    /// Pops what another thread reads.
    async fn pop_later(&self, header: &PopMessage) -> Answered {
        self.send_pop(header);
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            if let Some(answer) = self.answers().pop() {
                return answer;
            }
        }
    }

    /// All there is, in no particular order.
    fn pop_all(&self) -> Vec<Popped> {
        let mut all = Vec::new();
        loop {
            let answer = self.pop(&any());
            if answer.messages.is_empty() {
                return all;
            }
            all.extend(answer.messages);
        }
    }

    fn ack(&self, message: &Popped) -> Answered {
        let header = AckMessage {
            consumer_group: "g".into(),
            topic: message.topic.clone(),
            queue_id: message.queue,
            extra_info: message.handle.clone(),
            offset: message.offset,
        };
        let request = self.request(&header, RequestCode::ACK_MESSAGE);
        self.pops.handle_batch(&mut vec![request], &self.peer);
        self.answer()
    }

    fn ack_ok(&self, message: &Popped) {
        let answer = self.ack(message);
        assert_eq!(answer.code, ResponseCode::SUCCESS, "{}", answer.remark);
    }
}

fn bodies(messages: &[Popped]) -> Vec<&str> {
    let mut bodies: Vec<_> = messages.iter().map(|message| message.body.as_str()).collect();
    bodies.sort_unstable();
    bodies
}

/// A pop of any queue that does not wait.
fn any() -> PopMessage {
    PopMessage {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: QueueId(-1),
        max_msg_nums: 32,
        invisible_time: LASTS_MS,
        poll_time: 0,
        born_time: None,
        init_mode: 0,
        expression_type: Some("TAG".into()),
        expression: Some("*".into()),
        order: None,
        attempt_id: None,
    }
}

fn parse(handle: &str) -> Handle<'_> {
    Handle::parse(handle).unwrap()
}
