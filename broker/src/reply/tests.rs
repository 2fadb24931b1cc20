use std::net::SocketAddr;

use parking_lot::Mutex;
use remoting::body::{HeartbeatData, ProducerData, fastjson};
use remoting::client::{Client, ClientConfig};
use remoting::frame::ExtFields;
use remoting::header::NoHeader;
use remoting::protocol::client::Heartbeat;
use remoting::server::{Server, ServerConfig};
use remoting::types::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::client;
use crate::send::fixture::Fixture;
use crate::testing::{call, peer};

/// A producer that waits for replies, and keeps them.
#[derive(Default)]
struct Requester(Mutex<Vec<(PushReply, Bytes)>>);

#[derive(Debug, Error)]
#[error("not mine")]
struct NotMine;

impl IntoResponse for NotMine {
    fn code(&self) -> ResponseCode {
        ResponseCode::SYSTEM_ERROR
    }
}

impl Handle<PushReply> for Requester {
    type Error = NotMine;

    async fn handle(&self, call: Call<PushReply>) -> Result<Reply<NoHeader>, NotMine> {
        if call.body.starts_with(b"wrong") {
            return Err(NotMine);
        }
        self.0.lock().push((call.header, call.body));
        Ok(Reply::done())
    }
}

/// A broker that listens, and a requester `c1` connected to it.
struct Connected {
    fixture: Fixture,
    replies: Arc<Replies>,
    requester: Arc<Requester>,
    client: Client,
    stopping: CancellationToken,
    serving: JoinHandle<()>,
}

impl Connected {
    async fn new() -> Self {
        let fixture = Fixture::new();
        let clients = Clients::open(
            fixture.ctx.clone(),
            &fixture.folder.path().join("config"),
            Arc::clone(&fixture.topics),
            Arc::clone(&fixture.groups),
            Arc::clone(&fixture.locks),
        )
        .unwrap();
        let replies = Replies::new(
            fixture.ctx.clone(),
            Arc::clone(&clients),
            Arc::clone(&fixture.sends),
            Arc::clone(&fixture.writer),
            Arc::clone(&fixture.stats),
        );
        let mut router = Router::default();
        client::routes(&clients, &mut router);
        let server = Server::bind(ServerConfig::listening(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
        let addr = server.local_addr().unwrap().to_string();
        let stopping = CancellationToken::new();
        let serving = tokio::spawn(server.run(Arc::new(router), clients as _, stopping.clone()));
        let requester = Arc::<Requester>::default();
        let mut router = Router::default();
        router.on::<PushReply>(&requester);
        let client = Client::new(ClientConfig::default(), Arc::new(router), CancellationToken::new());
        let data = ProducerData { group_name: "askers".into() };
        let heartbeat =
            HeartbeatData { client_id: "c1".into(), producer_data_set: vec![data], ..HeartbeatData::default() };
        let body = Bytes::from(fastjson::write(&heartbeat));
        client.call(&addr, &Heartbeat {}, body, Duration::from_secs(5)).await.unwrap().success::<ExtFields>().unwrap();
        Self { fixture, replies, requester, client, stopping, serving }
    }

    /// Code, remark, message id and queue offset of the answer to a reply with `properties`.
    async fn reply(&self, properties: &str, body: &str) -> (ResponseCode, String, Option<(String, i64)>) {
        let header = SendReply(reply_with(properties));
        let body = Bytes::copy_from_slice(body.as_bytes());
        let answer = self.replies.handle(call(header, body, &peer(9))).await.unwrap();
        let place = answer.header().unwrap().as_ref().map(|header| (header.msg_id.clone(), header.queue_offset.0));
        (answer.response_code(), answer.response_remark().unwrap_or_default().to_owned(), place)
    }

    async fn stop(self) {
        self.client.close().await;
        self.stopping.cancel();
        self.serving.await.unwrap();
    }
}

fn reply_with(properties: &str) -> SendMessage {
    SendMessage {
        producer_group: "repliers".into(),
        topic: "cluster-a_REPLY_TOPIC".into(),
        default_topic: "TBW102".into(),
        default_topic_queue_nums: 4,
        queue_id: QueueId(0),
        sys_flag: sys_flag::COMPRESSED | sys_flag::TRANSACTION_PREPARED,
        born_timestamp: Timestamp(5),
        flag: 6,
        properties: Some(properties.to_owned()),
        reconsume_times: None,
        unit_mode: Some(false),
        max_reconsume_times: None,
        batch: None,
    }
}

const TO_C1: &str = "CORRELATION_ID\u{1}7\u{2}REPLY_TO_CLIENT\u{1}c1\u{2}";

#[tokio::test]
async fn a_reply_reaches_who_asked_and_is_stored() {
    let connected = Connected::new().await;
    let (code, _, place) = connected.reply(TO_C1, "yes").await;
    let (id, offset) = place.unwrap();
    assert_eq!((code, offset, id.len()), (ResponseCode::SUCCESS, 0, 32));
    let (push, body) = connected.requester.0.lock().pop().unwrap();
    assert_eq!(&body[..], b"yes");
    let now = connected.fixture.ctx.clock.now();
    let expect = PushReply {
        producer_group: "repliers".into(),
        topic: "cluster-a_REPLY_TOPIC".into(),
        default_topic: "TBW102".into(),
        default_topic_queue_nums: 4,
        queue_id: QueueId(0),
        sys_flag: sys_flag::COMPRESSED | sys_flag::TRANSACTION_PREPARED,
        born_timestamp: Timestamp(5),
        flag: 6,
        properties: Some(format!("{TO_C1}PUSH_REPLY_TIME\u{1}{now}\u{2}")),
        reconsume_times: None,
        unit_mode: Some(false),
        born_host: "127.0.0.1:9".to_owned(),
        store_host: "127.0.0.1:10911".to_owned(),
        store_timestamp: now,
    };
    assert_eq!(push, expect);
    let stored = connected.fixture.queue("cluster-a_REPLY_TOPIC", 0);
    let stored = stored[0].get();
    assert_eq!((stored.body, stored.properties, stored.sys_flag), (&b"yes"[..], TO_C1, sys_flag::COMPRESSED));
    connected.stop().await;
}

#[tokio::test]
async fn a_reply_that_is_not_to_be_stored_only_reaches_who_asked() {
    let connected = Connected::new().await;
    connected.fixture.settings.send_modify(|config| Arc::make_mut(config).store_reply_message_enable = false);
    assert_eq!(connected.reply(TO_C1, "yes").await, (ResponseCode::SUCCESS, String::new(), Some(("0".to_owned(), 0))));
    assert_eq!(connected.requester.0.lock().len(), 1);
    assert!(connected.fixture.queue("cluster-a_REPLY_TOPIC", 0).is_empty());
    connected.stop().await;
}

#[tokio::test]
async fn a_reply_that_does_not_reach_who_asked_is_stored_and_told() {
    let connected = Connected::new().await;
    let to_nobody = "REPLY_TO_CLIENT\u{1}c2\u{2}";
    for (properties, body, remark) in [
        ("", "yes", "reply message properties[REPLY_TO_CLIENT] is null"),
        (to_nobody, "yes", "push reply message fail, channel of <c2> not found."),
        (TO_C1, "wrong", "push reply message to c1fail."),
    ] {
        let (code, told, place) = connected.reply(properties, body).await;
        assert_eq!((code, told.as_str(), place.is_some()), (ResponseCode::SYSTEM_ERROR, remark, true));
    }
    assert_eq!(connected.fixture.queue("cluster-a_REPLY_TOPIC", 0).len(), 3);
    connected.stop().await;
}

#[tokio::test]
async fn a_reply_goes_through_the_checks_of_a_send() {
    let connected = Connected::new().await;
    let send = SendMessage { queue_id: QueueId(99), ..reply_with(TO_C1) };
    let answer = connected.replies.handle(call(SendReply(send), "yes", &peer(9))).await.unwrap();
    assert_eq!(answer.response_code(), ResponseCode::INVALID_PARAMETER);
    let send = SendMessage { topic: "SCHEDULE_TOPIC_XXXX".into(), ..reply_with(TO_C1) };
    let answer = connected.replies.handle(call(SendReply(send), "yes", &peer(9))).await.unwrap();
    assert_eq!(answer.response_code(), ResponseCode::NO_PERMISSION);
    assert!(connected.requester.0.lock().is_empty());
    connected.stop().await;
}
