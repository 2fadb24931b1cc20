//! Transactions: what was committed comes, what was rolled back never does, and who did not say is asked.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use remoting::body::{HeartbeatData, ProducerData, fastjson};
use remoting::client::{Client, ClientConfig};
use remoting::connection::CallError;
use remoting::header::NoHeader;
use remoting::protocol::ResponseCode;
use remoting::protocol::client::Heartbeat;
use remoting::protocol::send::{SendMessage, SendMessageReply};
use remoting::protocol::transaction::{CheckTransactionState, EndTransaction};
use remoting::router::{Call, Handle, Reply, Router};
use remoting::types::{Clock, PhysicalOffset, QueueOffset};
use store::message::{StoredMessage, id};
use tokio_util::sync::CancellationToken;

use super::field::{ANSWER_MAX, send_to};
use super::{Seen, number_of};

pub(crate) const TOPIC: &str = "transacted";
pub(crate) const SETTINGS: &str =
    "transactionTimeOut=1500\ntransactionCheckInterval=500\ntransactionCheckMax=1000\ntransactionOpBatchInterval=300\n";
const GROUP: &str = "transactors";
/// Java: `MessageSysFlag.TRANSACTION_PREPARED_TYPE`, `TRANSACTION_COMMIT_TYPE`, `TRANSACTION_ROLLBACK_TYPE`.
const PREPARED: i32 = 4;
const COMMIT: i32 = 8;
const ROLLBACK: i32 = 12;

/// How the transaction of a number ends, and whether its producer says so before it is asked.
fn plan(number: u64) -> (i32, bool) {
    (if number.is_multiple_of(3) { ROLLBACK } else { COMMIT }, !number.is_multiple_of(5))
}

#[derive(Default)]
pub(crate) struct Transacted(Mutex<Known>);

#[derive(Default)]
struct Known {
    next_number: u64,
    /// Half messages that were acknowledged.
    prepared: HashSet<u64>,
}

impl Transacted {
    /// Begins transactions and ends most until the broker is gone.
    pub(crate) async fn send(self: Arc<Self>, addr: String) {
        let Ok(client) = self.join(&addr).await else { return };
        loop {
            let number = {
                let mut known = self.0.lock();
                known.next_number += 1;
                known.next_number
            };
            let properties = format!("UNIQ_KEY\u{1}t{number}\u{2}TRAN_MSG\u{1}true\u{2}PGROUP\u{1}{GROUP}\u{2}");
            // One that is older than messages are kept would be given up unasked.
            let born_timestamp = Clock::system().now();
            let header = SendMessage { sys_flag: PREPARED, born_timestamp, ..send_to(TOPIC, properties) };
            let Ok(answer) = client.call(&addr, &header, number.to_string().into(), ANSWER_MAX).await else { return };
            assert_eq!(answer.code(), ResponseCode::SUCCESS, "{answer:?}");
            self.0.lock().prepared.insert(number);
            let (what, at_once) = plan(number);
            if !at_once {
                continue;
            }
            let (reply, _) = answer.success::<SendMessageReply>().expect("a reply");
            let (_, place) = id::decode(&reply.msg_id).expect("the id of a message");
            let end = end(reply.queue_offset, place, what, false, format!("t{number}"));
            let Ok(answer) = client.call(&addr, &end, Bytes::new(), ANSWER_MAX).await else { return };
            assert_eq!(answer.code(), ResponseCode::SUCCESS, "{answer:?}");
        }
    }

    /// A producer of the group, which answers when it is asked, as long as this client lives.
    ///
    /// # Errors
    /// The broker is gone.
    pub(crate) async fn join(&self, addr: &str) -> Result<Client, CallError> {
        let mut router = Router::default();
        router.on::<CheckTransactionState>(&Arc::new(Asked));
        let client = Client::new(ClientConfig::default(), Arc::new(router), CancellationToken::new());
        let body = HeartbeatData {
            client_id: "transactor".into(),
            producer_data_set: vec![ProducerData { group_name: GROUP.into() }],
            ..HeartbeatData::default()
        };
        client.call(addr, &Heartbeat {}, fastjson::write(&body).into(), ANSWER_MAX).await?;
        Ok(client)
    }

    /// How many that are to be committed have not come yet.
    pub(crate) fn open(&self, seen: &[Seen]) -> usize {
        let seen: HashSet<u64> = seen.iter().map(|seen| seen.number).collect();
        let known = self.0.lock();
        known.prepared.iter().filter(|number| plan(**number).0 == COMMIT && !seen.contains(number)).count()
    }

    /// After all came.
    pub(crate) fn check(&self, seen: &[Seen]) {
        let known = self.0.lock();
        let planned = known.prepared.iter().map(|number| plan(*number)).collect::<HashSet<_>>();
        assert_eq!(planned.len(), 4, "too few transactions: {:?}", known.prepared.len());
        let mut times = HashMap::<u64, usize>::new();
        seen.iter().for_each(|seen| *times.entry(seen.number).or_default() += 1);
        for (number, times) in times {
            assert_eq!(plan(number).0, COMMIT, "{number} was rolled back");
            // Whoever answers a question late may commit both the half message and its copy.
            assert!(times <= 2, "{number} came {times} times");
        }
    }
}

fn end(
    tran_state_table_offset: QueueOffset,
    commit_log_offset: PhysicalOffset,
    what: i32,
    asked: bool,
    msg_id: String,
) -> EndTransaction {
    EndTransaction {
        topic: Some(TOPIC.into()),
        producer_group: GROUP.into(),
        tran_state_table_offset,
        commit_log_offset,
        commit_or_rollback: what,
        from_transaction_check: Some(asked),
        msg_id,
        transaction_id: None,
    }
}

/// Answers the broker's questions.
struct Asked;

impl Handle<CheckTransactionState> for Asked {
    type Error = Infallible;

    async fn handle(&self, call: Call<CheckTransactionState>) -> Result<Reply<NoHeader>, Infallible> {
        let CheckTransactionState { tran_state_table_offset, commit_log_offset, msg_id, .. } = call.header;
        let message = StoredMessage::parse(&call.body).expect("a half message");
        let (what, _) = plan(number_of(message.body));
        let end = end(tran_state_table_offset, commit_log_offset, what, true, msg_id.unwrap_or_default());
        call.peer.one_way(&end, Bytes::new());
        Ok(Reply::done())
    }
}
