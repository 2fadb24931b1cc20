//! The features that store messages, on a store in a temporary folder, for their tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use remoting::connection::Peer;
use remoting::frame::{ExtFields, RemotingCommand};
use remoting::protocol::{RequestCode, ResponseCode};
use remoting::router::HandleBatch;
use remoting::types::{Opaque, QueueId, QueueOffset};
use store::message::StoredMessage;
use store::{Store, StoreConfig};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Parts, Sends, Writer};
use crate::client::Locks;
use crate::config::BrokerConfig;
use crate::context::{Context, Role};
use crate::delay::{Levels, Timers, Waits};
use crate::group::GroupTable;
use crate::ha::{Acks, Copies};
use crate::stats::Stats;
use crate::topic::TopicTable;

pub(crate) struct Fixture {
    pub(crate) ctx: Context,
    pub(crate) settings: watch::Sender<Arc<BrokerConfig>>,
    pub(crate) role: watch::Sender<Role>,
    pub(crate) store: Arc<Store>,
    pub(crate) topics: Arc<TopicTable>,
    pub(crate) groups: Arc<GroupTable>,
    pub(crate) locks: Arc<Locks>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) levels: Arc<Levels>,
    pub(crate) timers: Arc<Timers>,
    /// Slaves; nobody waits for any unless the settings say so from the start.
    pub(crate) acks: Arc<Acks>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) sends: Arc<Sends>,
    pub(crate) peer: Peer,
    pub(crate) folder: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|_| {}, |_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut BrokerConfig), change_store: impl FnOnce(&mut StoreConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut ctx, settings) = Context::for_tests(change);
        let (role, watched) = watch::channel(Role::Master);
        ctx.role = watched;
        let mut config = StoreConfig {
            commit_log_file_bytes: 16 << 20,
            max_message_bytes: ctx.settings().max_message_size,
            delay_levels: ctx.settings().delay_levels().unwrap(),
            ..StoreConfig::new(folder.path())
        };
        change_store(&mut config);
        let (store, _) = Store::open(config, ctx.clock.clone()).unwrap();
        let config_dir = folder.path().join("config");
        let topics = TopicTable::open(ctx.clone(), &config_dir).unwrap();
        let groups = GroupTable::open(ctx.clone(), &config_dir).unwrap();
        let (locks, stats) = (Arc::new(Locks::default()), Stats::new(ctx.clone()));
        let levels = Arc::new(Levels::new(ctx.settings().delay_levels().unwrap()));
        let timers = Timers::open(ctx.clone(), &config_dir, Arc::clone(&store), Arc::clone(&stats)).unwrap();
        let waits = Waits::new(Arc::clone(&levels), Arc::clone(&timers));
        let acks = Acks::new(ctx.config.clone());
        let copies = Copies::of(&acks);
        let writer = Writer::new(Arc::clone(&store), waits.clone(), copies.clone());
        let sends = Sends::new(Parts {
            ctx: ctx.clone(),
            store: Arc::clone(&store),
            topics: Arc::clone(&topics),
            groups: Arc::clone(&groups),
            locks: Arc::clone(&locks),
            stats: Arc::clone(&stats),
            waits,
            copies,
        });
        let peer = Peer::detached(SocketAddr::from(([10, 0, 0, 7], 4567)));
        Self {
            ctx,
            settings,
            role,
            store,
            topics,
            groups,
            locks,
            stats,
            levels,
            timers,
            acks,
            writer,
            sends,
            peer,
            folder,
        }
    }

    /// Takes the sends as those of one read; their answers so far.
    pub(crate) fn send_all(&self, sends: impl IntoIterator<Item = Send>) -> Vec<RemotingCommand> {
        self.sends.handle_batch(&mut sends.into_iter().map(|send| send.0).collect(), &self.peer);
        self.answers()
    }

    /// Takes one send, which is answered at once.
    pub(crate) fn send(&self, send: Send) -> RemotingCommand {
        let answers = self.send_all([send]);
        assert_eq!(answers.len(), 1, "one answer, not {answers:?}");
        answers.into_iter().next().unwrap()
    }

    /// As [`Self::send`], only code and remark.
    pub(crate) fn outcome(&self, send: Send) -> (ResponseCode, Option<String>) {
        let answer = self.send(send);
        (answer.response_code(), answer.remark)
    }

    pub(crate) fn answers(&self) -> Vec<RemotingCommand> {
        self.peer.take_sent().unwrap()
    }

    /// Every message of a queue.
    pub(crate) fn queue(&self, topic: &str, queue: i32) -> Vec<Stored> {
        let entries = self.store.entries(topic, QueueId(queue), QueueOffset(0), 1000);
        entries.iter().map(|entry| Stored(self.store.record_at(entry.physical_offset).unwrap())).collect()
    }

    /// The body of every message of a queue.
    pub(crate) fn bodies(&self, topic: &str, queue: i32) -> Vec<String> {
        self.queue(topic, queue).iter().map(Stored::body).collect()
    }

    pub(crate) fn tags_codes(&self, topic: &str, queue: i32) -> Vec<i64> {
        let entries = self.store.entries(topic, QueueId(queue), QueueOffset(0), 1000);
        entries.iter().map(|entry| entry.tags_code).collect()
    }
}

/// What tasks do on it while the clock and tokio's time stand still until moved.
impl Fixture {
    /// Lets time pass, in steps small enough that every task gets its turn at the right moment.
    pub(crate) async fn pass(&self, millis: u64) {
        for _ in 0..millis {
            self.ctx.clock.advance(Duration::from_millis(1));
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Ends all tasks, as a clean stop does; the clock goes on meanwhile.
    pub(crate) async fn stop(&self) {
        self.ctx.stopping.cancel();
        self.ctx.tasks.close();
        while !self.ctx.tasks.is_empty() {
            self.pass(1).await;
        }
    }

    /// Makes it ready for tasks again.
    pub(crate) fn go_on(&mut self) {
        self.ctx.stopping = CancellationToken::new();
        self.ctx.tasks = TaskTracker::new();
    }
}

/// A stored message.
pub(crate) struct Stored(Bytes);

impl Stored {
    pub(crate) fn get(&self) -> StoredMessage<'_> {
        StoredMessage::parse(&self.0).unwrap()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn body(&self) -> String {
        String::from_utf8(self.get().body.to_vec()).unwrap()
    }

    /// The properties with visible separators.
    pub(crate) fn properties(&self) -> String {
        self.get().properties.replace('\u{1}', "=").replace('\u{2}', ";")
    }

    pub(crate) fn property(&self, name: &str) -> Option<&str> {
        store::message::properties::get(self.get().properties, name)
    }
}

/// A send as a producer makes it.
pub(crate) struct Send(pub(crate) RemotingCommand);

impl Send {
    /// `body` to queue 0 of `topic`, in the long form.
    pub(crate) fn to(topic: &str, body: &str) -> Self {
        let mut command = RemotingCommand::request(RequestCode::SEND_MESSAGE);
        command.ext = ExtFields::from_iter([
            ("producerGroup", "PG"),
            ("topic", topic),
            ("defaultTopic", "TBW102"),
            ("defaultTopicQueueNums", "4"),
            ("queueId", "0"),
            ("sysFlag", "0"),
            ("bornTimestamp", "999000"),
            ("flag", "7"),
        ]);
        command.body = Bytes::copy_from_slice(body.as_bytes());
        Self(command)
    }

    /// Several messages, each of a body and properties.
    pub(crate) fn batch(topic: &str, messages: &[(&str, &str)]) -> Self {
        let mut send = Self::to(topic, "");
        send.0.code = RequestCode::SEND_BATCH_MESSAGE.0;
        let mut body = Vec::new();
        for (text, properties) in messages {
            let properties = encoded(properties);
            body.extend([0; 12]);
            body.extend(9i32.to_be_bytes());
            body.extend((text.len() as i32).to_be_bytes());
            body.extend(text.as_bytes());
            body.extend((properties.len() as i16).to_be_bytes());
            body.extend(properties.as_bytes());
        }
        send.0.body = body.into();
        send.with("batch", "true")
    }

    /// Sets a field; the last one counts.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.0.ext.push(key, value);
        self
    }

    /// `name=value;…`
    pub(crate) fn properties(self, text: &str) -> Self {
        self.with("properties", &encoded(text))
    }

    pub(crate) fn opaque(mut self, opaque: i32) -> Self {
        self.0.opaque = Opaque(opaque);
        self
    }

    pub(crate) fn one_way(mut self) -> Self {
        self.0.flag |= RemotingCommand::ONE_WAY;
        self
    }

    pub(crate) fn version(mut self, version: i32) -> Self {
        self.0.version = remoting::version::Version(version);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.0.body = body.into();
        self
    }
}

fn encoded(text: &str) -> String {
    text.replace('=', "\u{1}").replace(';', "\u{2}")
}

/// What an answer says of where the message went.
pub(crate) fn field<'a>(answer: &'a RemotingCommand, name: &str) -> &'a str {
    answer.ext.get(name).unwrap_or("")
}
