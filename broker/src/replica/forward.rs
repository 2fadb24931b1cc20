//! Requests that reach a follower and are the leader's business: passed on, and the answer passed back.
//!
//! Stock clients ask their name server where a group's leader is only every 30 s. Until then they go on with the broker they
//! know, so it answers for the leader. While there is none, requests wait for the next one for a moment.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::Mutex;
use remoting::client::{Client, ClientConfig};
use remoting::connection::{CallError, Peer, ReplyTo, Response};
use remoting::frame::RemotingCommand;
use remoting::header::{DecodeHeader, NoHeader};
use remoting::protocol::offset::QueryConsumerOffset;
use remoting::protocol::{RequestCode, ResponseCode};
use remoting::router::{HandleBatch, IntoResponse, Router};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::offset::{OffsetError, Offsets};

/// What changes something, or must be known exactly: all that a follower does not answer by itself.
pub(super) const CODES: [RequestCode; 38] = [
    RequestCode::SEND_MESSAGE,
    RequestCode::SEND_MESSAGE_V2,
    RequestCode::SEND_BATCH_MESSAGE,
    RequestCode::CONSUMER_SEND_MSG_BACK,
    RequestCode::END_TRANSACTION,
    RequestCode::SEND_REPLY_MESSAGE,
    RequestCode::SEND_REPLY_MESSAGE_V2,
    RequestCode::RECALL_MESSAGE,
    RequestCode::QUERY_CONSUMER_OFFSET,
    RequestCode::UPDATE_CONSUMER_OFFSET,
    RequestCode::INVOKE_BROKER_TO_RESET_OFFSET,
    RequestCode::CLONE_GROUP_OFFSET,
    RequestCode::QUERY_CORRECTION_OFFSET,
    RequestCode::GET_CONSUME_STATS,
    RequestCode::QUERY_CONSUME_TIME_SPAN,
    RequestCode::GET_BROKER_CONSUME_STATS,
    RequestCode::QUERY_TOPICS_BY_CONSUMER,
    RequestCode::QUERY_TOPIC_CONSUME_BY_WHO,
    RequestCode::UPDATE_AND_CREATE_TOPIC,
    RequestCode::UPDATE_AND_CREATE_TOPIC_LIST,
    RequestCode::DELETE_TOPIC_IN_BROKER,
    RequestCode::CLEAN_UNUSED_TOPIC,
    RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
    RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST,
    RequestCode::DELETE_SUBSCRIPTIONGROUP,
    RequestCode::UPDATE_AND_GET_GROUP_FORBIDDEN,
    RequestCode::LOCK_BATCH_MQ,
    RequestCode::UNLOCK_BATCH_MQ,
    RequestCode::RESUME_CHECK_HALF_MESSAGE,
    RequestCode::SET_MESSAGE_REQUEST_MODE,
    RequestCode::QUERY_ASSIGNMENT,
    RequestCode::POP_MESSAGE,
    RequestCode::ACK_MESSAGE,
    RequestCode::BATCH_ACK_MESSAGE,
    RequestCode::CHANGE_MESSAGE_INVISIBLETIME,
    RequestCode::NOTIFICATION,
    RequestCode::POLLING_INFO,
    RequestCode::GROUP_CHANGE,
];

/// Longest wait for a leader, less than the 3 s that stock clients have for a send.
const LEADER_PATIENCE: Duration = Duration::from_millis(2500);
/// Longest wait for the leader's answer: pops wait for messages there.
const ANSWER_PATIENCE: Duration = Duration::from_secs(40);
/// Between two tries of a leader that cannot be reached, or does not lead yet.
const RETRY_PAUSE: Duration = Duration::from_millis(10);
/// Requests that may be on their way at a time; more are refused.
const UNDER_WAY_MAX: usize = 20_000;
/// How often a request may be passed on: by a follower that does not know yet who leads, and once more.
const PASSES_MAX: u32 = 4;
/// Ext field that counts this.
const PASSES: &str = "ferromqPasses";

/// Passes requests on.
pub(super) struct Forwarder {
    /// Where the leader serves, `host:port`.
    leader: watch::Receiver<Option<String>>,
    client: Client,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    /// A follower's, as the group has agreed on them.
    offsets: Mutex<Option<Arc<Offsets>>>,
    /// For what outlives a call.
    this: std::sync::Weak<Self>,
}

impl Forwarder {
    pub(super) fn new(leader: watch::Receiver<Option<String>>) -> Arc<Self> {
        let client = Client::new(ClientConfig::default(), Arc::new(Router::default()), CancellationToken::new());
        let (places, tasks) = (Arc::new(Semaphore::new(UNDER_WAY_MAX)), TaskTracker::new());
        Arc::new_cyclic(|this| Self { leader, client, places, tasks, offsets: Mutex::default(), this: this.clone() })
    }

    /// What is known here while nobody leads.
    pub(super) fn know(&self, offsets: &Arc<Offsets>) {
        *self.offsets.lock() = Some(Arc::clone(offsets));
    }

    /// Lets what is under way come to an end.
    pub(super) async fn close(&self) {
        self.client.close().await;
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn pass_on(&self, mut command: RemotingCommand, peer: &Peer) {
        let to = ReplyTo::of(&command);
        let passes = command.ext.get(PASSES).and_then(|text| text.parse().ok()).unwrap_or(0_u32);
        command.ext.push(PASSES, &(passes + 1).to_string());
        let answer = if passes < PASSES_MAX { self.answer(&command).await } else { Err(Lost::NoLeader) };
        match answer {
            Ok(None) => {}
            Ok(Some(Response(answer))) => {
                let code = answer.response_code();
                peer.replies(|out| out.reply(to, code, answer.remark.as_deref(), &answer.ext, answer.body));
            }
            Err(Lost::NoLeader) if command.request_code() == RequestCode::QUERY_CONSUMER_OFFSET => {
                self.find_offset(&command, to, peer);
            }
            Err(lost) => {
                tracing::debug!(code = %command.request_code(), ?lost, "a request could not be passed on to the leader");
                let remark = match lost {
                    Lost::NoLeader => "the group has no leader at the moment, try again",
                    Lost::Unknown => "the leader went away before it answered, try again",
                };
                peer.replies(|out| {
                    out.reply(to, ResponseCode::SERVICE_NOT_AVAILABLE, Some(remark), &NoHeader, Bytes::new())
                });
            }
        }
    }

    /// Without a leader a consumer goes on from where the group has agreed that it is: it can read, and may get messages again
    /// that it has just had.
    fn find_offset(&self, command: &RemotingCommand, to: ReplyTo, peer: &Peer) {
        let found = match (QueryConsumerOffset::decode(&command.ext), &*self.offsets.lock()) {
            (Ok(asked), Some(offsets)) => offsets.find(&asked),
            (Err(cause), _) => Err(OffsetError::Header { request: RequestCode::QUERY_CONSUMER_OFFSET, cause }),
            (_, None) => Err(OffsetError::NotFound),
        };
        peer.replies(|out| match found {
            Ok(found) => out.reply(to, ResponseCode::SUCCESS, None, &found, Bytes::new()),
            Err(err) => out.reply(to, err.code(), Some(&err.to_string()), &NoHeader, Bytes::new()),
        });
    }

    /// Asks leader after leader, until one has taken the request.
    async fn answer(&self, command: &RemotingCommand) -> Result<Option<Response>, Lost> {
        let deadline = Instant::now() + LEADER_PATIENCE;
        let mut leader = self.leader.clone();
        loop {
            let known = timeout_at(deadline, leader.wait_for(Option::is_some)).await;
            let address = known.ok().and_then(|known| known.ok()?.clone()).ok_or(Lost::NoLeader)?;
            let within = deadline.saturating_duration_since(Instant::now());
            let asked = match self.client.peer(&address, within).await {
                Ok(leader) => leader.pass_on(command, ANSWER_PATIENCE).await,
                Err(err) => Err(err),
            };
            match asked {
                // It does not lead any more, and has done nothing.
                Ok(Some(answer)) if answer.code() == ResponseCode::SERVICE_NOT_AVAILABLE => {
                    if Instant::now() >= deadline {
                        return Ok(Some(answer));
                    }
                }
                Ok(answer) => return Ok(answer),
                Err(CallError::Connect { .. } | CallError::TooManyWaiting) if Instant::now() < deadline => {}
                Err(CallError::Connect { .. } | CallError::TooManyWaiting) => return Err(Lost::NoLeader),
                Err(_) => return Err(Lost::Unknown),
            }
            sleep(RETRY_PAUSE).await;
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
enum Lost {
    NoLeader,
    /// The leader may have done what it was asked to.
    Unknown,
}

impl HandleBatch for Forwarder {
    fn handle_batch(&self, commands: &mut Vec<RemotingCommand>, peer: &Peer) {
        let commands = std::mem::take(commands);
        let places = u32::try_from(commands.len())
            .ok()
            .and_then(|many| Arc::clone(&self.places).try_acquire_many_owned(many).ok());
        let (Some(places), Some(this)) = (places, self.this.upgrade()) else {
            let refused = commands.iter().map(ReplyTo::of);
            let remark = "too many requests wait for the leader of the group";
            peer.replies(|out| {
                refused.for_each(|to| out.reply(to, ResponseCode::SYSTEM_BUSY, Some(remark), &NoHeader, Bytes::new()));
            });
            return;
        };
        let (busy, peer) = (peer.busy(), peer.clone());
        self.tasks.spawn(async move {
            // They leave in the order in which they came.
            join_all(commands.into_iter().map(|command| this.pass_on(command, &peer))).await;
            drop((busy, places));
        });
    }
}
