use std::net::SocketAddr;
use std::time::Duration;

use remoting::body::{ConsumerData, ConsumerStatusBody, HeartbeatData, MessageQueue, fastjson::ObjectKey};
use remoting::client::{Client, ClientConfig};
use remoting::frame::ExtFields;
use remoting::protocol::callback::{
    ConsumeMessageDirectly, GetConsumerRunningInfo, GetConsumerStatus, GetConsumerStatusFromClient,
};
use remoting::protocol::client::Heartbeat;
use remoting::router::{Call, Reply};
use remoting::server::{Server, ServerConfig};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::client;

/// A consumer that answers what it is asked.
struct Consumer;

#[derive(Debug, thiserror::Error)]
#[error("busy")]
struct Busy;

impl IntoResponse for Busy {
    fn code(&self) -> ResponseCode {
        ResponseCode::SYSTEM_BUSY
    }
}

impl Handle<GetConsumerRunningInfo> for Consumer {
    type Error = Busy;

    async fn handle(&self, call: Call<GetConsumerRunningInfo>) -> Result<Reply<ExtFields>, Busy> {
        if call.header.jstack_enable == Some(true) {
            return Err(Busy);
        }
        Ok(Reply::new([("who", &*call.header.client_id)].into_iter().collect()).body("info".to_owned()))
    }
}

impl Handle<ConsumeMessageDirectly> for Consumer {
    type Error = Busy;

    async fn handle(&self, call: Call<ConsumeMessageDirectly>) -> Result<Reply<ExtFields>, Busy> {
        let ConsumeMessageDirectly { broker_name, topic_sys_flag, group_sys_flag, .. } = call.header;
        let message = store::message::StoredMessage::parse(&call.body).unwrap();
        let body = std::str::from_utf8(message.body).unwrap();
        let facts = format!("{} {topic_sys_flag:?} {group_sys_flag:?} {body}", broker_name.unwrap());
        Ok(Reply::new(ExtFields::default()).body(facts))
    }
}

impl Handle<GetConsumerStatusFromClient> for Consumer {
    type Error = Busy;

    async fn handle(&self, call: Call<GetConsumerStatusFromClient>) -> Result<Reply<ExtFields>, Busy> {
        let queue = MessageQueue { topic: call.header.topic, ..MessageQueue::default() };
        let status = ConsumerStatusBody {
            message_queue_table: [(ObjectKey(queue), 42)].into(),
            ..ConsumerStatusBody::default()
        };
        Ok(Reply::new(ExtFields::default()).body(fastjson::write(&status)))
    }
}

/// A broker that listens, and a consumer connected to it.
struct Connected {
    fixture: Fixture,
    client: Client,
    stopping: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

impl Connected {
    async fn new() -> Self {
        let fixture = Fixture::new();
        let mut router = Router::default();
        client::routes(&fixture.clients, &mut router);
        let server = Server::bind(ServerConfig::listening(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
        let addr = server.local_addr().unwrap().to_string();
        let stopping = CancellationToken::new();
        let serving = tokio::spawn(server.run(Arc::new(router), Arc::clone(&fixture.clients) as _, stopping.clone()));
        let consumer = Arc::new(Consumer);
        let mut router = Router::default();
        router.on::<GetConsumerRunningInfo>(&consumer).on::<ConsumeMessageDirectly>(&consumer);
        router.on::<GetConsumerStatusFromClient>(&consumer);
        let client = Client::new(ClientConfig::default(), Arc::new(router), CancellationToken::new());
        let data = ConsumerData { group_name: "G".into(), ..ConsumerData::default() };
        let heartbeat =
            HeartbeatData { client_id: "c1".into(), consumer_data_set: vec![data], ..HeartbeatData::default() };
        let body = Bytes::from(fastjson::write(&heartbeat));
        client.call(&addr, &Heartbeat {}, body, Duration::from_secs(5)).await.unwrap().success::<ExtFields>().unwrap();
        Self { fixture, client, stopping, serving }
    }

    async fn stop(self) {
        self.client.close().await;
        self.stopping.cancel();
        self.serving.await.unwrap();
    }
}

fn running_info(client: &str, jstack: bool) -> GetConsumerRunningInfo {
    GetConsumerRunningInfo { consumer_group: "G".into(), client_id: client.into(), jstack_enable: Some(jstack) }
}

/// The request as the wire brings it: its header also as ext fields.
fn wired<R: Request + Clone>(header: R) -> Call<R> {
    let ext = crate::testing::ext(&header);
    Call { ext, ..call(header, "", &peer(9)) }
}

#[tokio::test]
async fn what_a_consumer_answers_goes_back_as_it_is() {
    let connected = Connected::new().await;
    let relay = &connected.fixture.admin.relay;
    let reply = relay.handle(wired(running_info("c1", false))).await.unwrap();
    assert_eq!((reply.response_code(), reply.content()), (ResponseCode::SUCCESS, b"info".to_vec()));
    assert_eq!(reply.header().unwrap().get("who"), Some("c1"));
    let reply = relay.handle(wired(running_info("c1", true))).await.unwrap();
    assert_eq!((reply.response_code(), reply.response_remark()), (ResponseCode::SYSTEM_BUSY, Some("busy")));
    let (code, remark) =
        relay.handle(wired(running_info("c2", false))).await.map_err(|err| (err.code(), err.to_string())).unwrap_err();
    assert_eq!((code, remark.as_str()), (ResponseCode::SYSTEM_ERROR, "The Consumer <G> <c2> not online"));
    connected.stop().await;
}

#[tokio::test]
async fn a_consumer_is_given_the_stored_message() {
    let connected = Connected::new().await;
    let fixture = &connected.fixture;
    fixture.append("T", 0, 1);
    let direct = |id: String| ConsumeMessageDirectly {
        consumer_group: "G".into(),
        client_id: Some("c1".into()),
        msg_id: Some(id),
        broker_name: Some("of the caller".to_owned()),
        topic: Some("T".into()),
        topic_sys_flag: None,
        group_sys_flag: None,
    };
    let host = fixture.surroundings.ctx.identity.host;
    let id = store::message::id::encode(host, fixture.store.min_physical_offset());
    let reply = fixture.admin.relay.handle(wired(direct(id))).await.unwrap();
    assert_eq!(String::from_utf8(reply.content()).unwrap(), "broker-a Some(0) Some(0) hello");
    for wrong in ["", "7F00000100002A9F00000000000FFFFF"] {
        let refusal = fixture.admin.relay.handle(wired(direct(wrong.to_owned()))).await.map(|_| ()).unwrap_err();
        assert_eq!(refusal.code(), ResponseCode::SYSTEM_ERROR, "{refusal}");
    }
    connected.stop().await;
}

#[tokio::test]
async fn offsets_in_consumers_are_collected() {
    let connected = Connected::new().await;
    let relay = &connected.fixture.admin.relay;
    let status = |group: &str, client: Option<&str>| GetConsumerStatus {
        topic: "T".into(),
        group: group.into(),
        client_addr: client.map(str::to_owned),
    };
    for client in [None, Some(""), Some("c1")] {
        let body: ConsumerStatusBody = ask_json(relay, status("G", client)).await.unwrap();
        let tables: Vec<_> = body.consumer_table.iter().map(|(id, table)| (id.as_str(), table.len())).collect();
        assert_eq!(tables, [("c1", 1)]);
    }
    let body: ConsumerStatusBody = ask_json(relay, status("G", Some("c2"))).await.unwrap();
    assert!(body.consumer_table.is_empty());
    let nobody = ask(relay, status("H", None), "").await;
    let remark = "No Any Consumer online in the consumer group: [H]";
    assert_eq!(nobody, refused(ResponseCode::SYSTEM_ERROR, remark));
    connected.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_does_not_answer_is_not_waited_for() {
    let fixture = Fixture::new();
    let data = ConsumerData { group_name: "G".into(), ..ConsumerData::default() };
    let heartbeat = HeartbeatData { client_id: "c1".into(), consumer_data_set: vec![data], ..HeartbeatData::default() };
    let silent = peer(7);
    fixture.clients.handle(call(Heartbeat {}, fastjson::write(&heartbeat), &silent)).await.unwrap();
    let answer = fixture.admin.relay.handle(wired(running_info("c1", false))).await;
    let (code, remark) = answer.map(|_| ()).map_err(|err| (err.code(), err.to_string())).unwrap_err();
    assert_eq!(code, ResponseCode::CONSUME_MSG_TIMEOUT);
    assert_eq!(remark, "consumer <G> <c1> Timeout: no answer within 10s");
    assert_eq!(silent.take_sent().unwrap()[0].ext.get("clientId"), Some("c1"));
}
