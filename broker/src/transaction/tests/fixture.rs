//! A broker's sends and transactions on a store in a folder, and producers that are connected to it.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use remoting::body::{HeartbeatData, ProducerData, fastjson};
use remoting::connection::{ConnectionEvents, Peer};
use remoting::frame::{ExtFields, RemotingCommand};
use remoting::header::DecodeHeader;
use remoting::language::LanguageCode;
use remoting::protocol::client::Heartbeat;
use remoting::protocol::transaction::{CheckTransactionState, EndTransaction};
use remoting::protocol::{RequestCode, ResponseCode};
use remoting::router::{Call, Handle, HandleBatch};
use remoting::types::{Clock, PhysicalOffset, QueueId, QueueOffset, Timestamp};
use remoting::version::Version;
use store::message::{StoredMessage, id};
use store::{RecoveryReport, Store, StoreConfig, StoreError};
use tokio::sync::watch;
use tokio::time::Duration;

use super::super::Transactions;
use crate::client::{Clients, Locks};
use crate::config::BrokerConfig;
use crate::context::{Context, Role};
use crate::delay::{Levels, Timers, Waits};
use crate::group::GroupTable;
use crate::ha::Copies;
use crate::offset::Offsets;
use crate::send::fixture::{Send, field};
use crate::send::{self, Sends};
use crate::stats::Stats;
use crate::testing::{command, peer};
use crate::topic::TopicTable;

pub(super) const COMMIT: i32 = 8;
pub(super) const ROLLBACK: i32 = 12;
pub(super) const UNKNOWN: i32 = 0;

pub(super) struct Fixture {
    pub(super) ctx: Context,
    pub(super) settings: watch::Sender<Arc<BrokerConfig>>,
    pub(super) role: watch::Sender<Role>,
    pub(super) store: Arc<Store>,
    pub(super) clients: Arc<Clients>,
    pub(super) offsets: Arc<Offsets>,
    pub(super) stats: Arc<Stats>,
    pub(super) transactions: Arc<Transactions>,
    sends: Arc<Sends>,
    /// Of the requests.
    peer: Peer,
}

/// Where a half message lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prepared {
    pub(super) queue_offset: QueueOffset,
    pub(super) physical_offset: PhysicalOffset,
}

/// What a producer was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) request: CheckTransactionState,
    pub(super) body: Bytes,
}

impl Asked {
    pub(super) fn about(&self) -> Prepared {
        let CheckTransactionState { tran_state_table_offset, commit_log_offset, .. } = self.request;
        Prepared { queue_offset: tran_state_table_offset, physical_offset: commit_log_offset }
    }

    pub(super) fn message(&self) -> StoredMessage<'_> {
        StoredMessage::parse(&self.body).unwrap()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.message().body.to_vec()).unwrap()
    }
}

impl Fixture {
    pub(super) fn new(folder: &Path) -> Self {
        Self::at(folder, Timestamp(1_000_000), Store::open).unwrap()
    }

    /// As a broker that was started at that time.
    pub(super) fn at(
        folder: &Path,
        now: Timestamp,
        open: impl FnOnce(StoreConfig, Clock) -> Result<(Arc<Store>, RecoveryReport), StoreError>,
    ) -> Result<Self, StoreError> {
        let (mut ctx, settings) = Context::for_tests(|settings| settings.timer_wheel_enable = false);
        let (role, watched) = watch::channel(Role::Master);
        ctx.role = watched;
        ctx.clock.set(now);
        let mut config = StoreConfig { commit_log_file_bytes: 1 << 20, ..StoreConfig::new(folder) };
        config.index.enable = false;
        let (store, _) = open(config, ctx.clock.clone())?;
        let config_dir = folder.join("config");
        let topics = TopicTable::open(ctx.clone(), &config_dir).unwrap();
        let groups = GroupTable::open(ctx.clone(), &config_dir).unwrap();
        let (locks, stats) = (Arc::<Locks>::default(), Stats::new(ctx.clone()));
        let clients =
            Clients::open(ctx.clone(), &config_dir, Arc::clone(&topics), Arc::clone(&groups), Arc::clone(&locks))
                .unwrap();
        let offsets = Offsets::open(
            ctx.clone(),
            &config_dir,
            Arc::clone(&store),
            Arc::clone(&topics),
            Arc::clone(&groups),
            Arc::clone(&clients),
        );
        let offsets = offsets.unwrap();
        let levels = Arc::new(Levels::new(ctx.settings().delay_levels().unwrap()));
        let timers = Timers::open(ctx.clone(), &config_dir, Arc::clone(&store), Arc::clone(&stats)).unwrap();
        let waits = Waits::new(levels, timers);
        let sends = Sends::new(send::Parts {
            ctx: ctx.clone(),
            store: Arc::clone(&store),
            topics: Arc::clone(&topics),
            groups,
            locks,
            stats: Arc::clone(&stats),
            waits: waits.clone(),
            copies: Copies::default(),
        });
        let transactions = Transactions::new(
            ctx.clone(),
            Arc::clone(&store),
            topics,
            Arc::clone(&clients),
            Arc::clone(&offsets),
            Arc::clone(&stats),
            waits,
        );
        Ok(Self { ctx, settings, role, store, clients, offsets, stats, transactions, sends, peer: peer(4567) })
    }

    /// Ends, and gives the store back. What is not saved is forgotten.
    pub(super) fn into_store(self) -> Arc<Store> {
        self.store
    }

    /// Ends as a broker that is stopped.
    pub(super) async fn stop(self) {
        self.transactions.write_ops().await;
        self.transactions.commit_offsets();
        self.offsets.save();
        self.store.close().unwrap();
    }

    pub(super) fn pass(&self, seconds: u64) {
        self.ctx.clock.advance(Duration::from_secs(seconds));
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut BrokerConfig)) {
        self.settings.send_modify(|config| change(Arc::make_mut(config)));
    }

    pub(super) fn send(&self, send: Send) -> RemotingCommand {
        self.sends.handle_batch(&mut vec![send.0], &self.peer);
        let mut answers = self.peer.take_sent().unwrap();
        assert_eq!(answers.len(), 1);
        answers.remove(0)
    }

    /// A half message for queue 0 of `T`; `None` if it was not taken.
    pub(super) fn try_prepare(&self, body: &str, properties: &str) -> Option<Prepared> {
        let text = format!("TRAN_MSG=true;PGROUP=PG;UNIQ_KEY=K-{body};TAGS=tag;KEYS=key;{properties}");
        let now = self.ctx.clock.now().to_string();
        let send = Send::to("T", body).properties(&text).with("sysFlag", "4").with("bornTimestamp", &now);
        let answer = self.send(send);
        let (_, physical_offset) = id::decode(field(&answer, "msgId"))?;
        Some(Prepared { queue_offset: QueueOffset(field(&answer, "queueOffset").parse().unwrap()), physical_offset })
    }

    pub(super) fn prepare(&self, body: &str) -> Prepared {
        self.prepare_with(body, "")
    }

    pub(super) fn prepare_with(&self, body: &str, properties: &str) -> Prepared {
        self.try_prepare(body, properties).expect("it is taken")
    }

    pub(super) fn header(half: Prepared, what: i32) -> EndTransaction {
        EndTransaction {
            topic: Some("T".into()),
            producer_group: "PG".into(),
            tran_state_table_offset: half.queue_offset,
            commit_log_offset: half.physical_offset,
            commit_or_rollback: what,
            from_transaction_check: None,
            msg_id: "K".to_owned(),
            transaction_id: None,
        }
    }

    /// Answers to these requests of one read.
    pub(super) fn end_all(&self, headers: &[EndTransaction]) -> Vec<(ResponseCode, Option<String>)> {
        self.transactions.handle_batch(&mut headers.iter().map(command).collect(), &self.peer);
        let answers = self.peer.take_sent().unwrap();
        answers.into_iter().map(|answer| (answer.response_code(), answer.remark)).collect()
    }

    pub(super) fn end(&self, half: Prepared, what: i32) -> ResponseCode {
        self.end_all(&[Self::header(half, what)])[0].0
    }

    /// The producer says so when it is asked.
    pub(super) fn answer(&self, asked: &Asked, what: i32) {
        let header = EndTransaction { from_transaction_check: Some(true), ..Self::header(asked.about(), what) };
        self.end_all(&[header]);
    }

    /// A producer of the group `PG`.
    pub(super) async fn producer(&self, port: u16) -> Peer {
        let peer = peer(port);
        let producer_data_set = vec![ProducerData { group_name: "PG".into() }];
        let data =
            HeartbeatData { client_id: format!("p-{port}").into(), producer_data_set, ..HeartbeatData::default() };
        let call = Call {
            header: Heartbeat {},
            body: fastjson::write(&data).into(),
            peer: peer.clone(),
            version: Version::CURRENT,
            language: LanguageCode::JAVA,
            ext: ExtFields::default(),
        };
        self.clients.handle(call).await.unwrap();
        peer
    }

    pub(super) fn leave(&self, peer: &Peer) {
        peer.close();
        self.clients.closed(peer);
    }

    /// What the producer was asked since the last time.
    pub(super) fn asked(&self, producer: &Peer) -> Vec<Asked> {
        let sent = producer.take_sent().unwrap();
        let asked = sent.into_iter().map(|command| {
            assert_eq!(command.request_code(), RequestCode::CHECK_TRANSACTION_STATE);
            assert!(command.is_one_way());
            Asked { request: CheckTransactionState::decode(&command.ext).unwrap(), body: command.body }
        });
        asked.collect()
    }

    /// Stored messages of queue 0.
    pub(super) fn records(&self, topic: &str) -> Vec<Bytes> {
        let entries = self.store.entries(topic, QueueId(0), QueueOffset(0), 10_000);
        entries.iter().map(|entry| self.store.record_at(entry.physical_offset).unwrap()).collect()
    }

    pub(super) fn bodies(&self, topic: &str) -> Vec<String> {
        let text = |record: Bytes| String::from_utf8(StoredMessage::parse(&record).unwrap().body.to_vec()).unwrap();
        self.records(topic).into_iter().map(text).collect()
    }

    pub(super) fn in_doubt(&self) -> Vec<i64> {
        let mut doubts = self.transactions.doubts.lock();
        doubts.extend(super::super::half_end(&self.store));
        let list = doubts.list(QueueOffset(0), QueueOffset(i64::MAX), usize::MAX);
        list.into_iter().map(|half| half.0).collect()
    }

    /// Where the next start begins to look.
    pub(super) fn starts(&self) -> (i64, i64) {
        let (half, op) = self.transactions.doubts.lock().starts();
        (half.0, op.0)
    }
}

/// With visible separators.
pub(super) fn properties(record: &[u8]) -> String {
    StoredMessage::parse(record).unwrap().properties.replace('\u{1}', "=").replace('\u{2}', ";")
}
