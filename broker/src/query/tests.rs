use std::sync::Arc;

use bytes::Bytes;
use remoting::frame::ExtFields;
use remoting::header::Request;
use remoting::language::LanguageCode;
use remoting::protocol::ResponseCode;
use remoting::protocol::query::{QueryConsumeQueue, ViewMessageById};
use remoting::router::{Call, Handle, IntoResponse, Reply};
use remoting::types::{PhysicalOffset, QueueId};
use remoting::version::Version;
use serde_json::{Value, json};

use super::Queries;
use crate::client::Clients;
use crate::send::fixture::{Fixture, Send};

fn queries(fixture: &Fixture) -> Arc<Queries> {
    let clients = Clients::new(
        fixture.ctx.clone(),
        Arc::clone(&fixture.topics),
        Arc::clone(&fixture.groups),
        Arc::clone(&fixture.locks),
    );
    Queries::new(Arc::clone(&fixture.store), clients)
}

async fn ask<R: Request>(fixture: &Fixture, header: R) -> Result<Reply<R::Reply>, (ResponseCode, String)>
where
    Queries: Handle<R>,
{
    let call = Call {
        header,
        body: Bytes::new(),
        peer: fixture.peer.clone(),
        version: Version::CURRENT,
        language: LanguageCode::JAVA,
        ext: ExtFields::default(),
    };
    queries(fixture).handle(call).await.map_err(|err| (err.code(), err.to_string()))
}

fn page(topic: &str, index: i64, count: i32, group: Option<&str>) -> QueryConsumeQueue {
    QueryConsumeQueue {
        topic: Some(topic.into()),
        queue_id: QueueId(0),
        index,
        count,
        consumer_group: group.map(Into::into),
    }
}

async fn json(fixture: &Fixture, header: QueryConsumeQueue) -> Value {
    let reply = ask(fixture, header).await.unwrap();
    assert_eq!(reply.response_code(), ResponseCode::SUCCESS);
    serde_json::from_slice(&reply.content()).unwrap()
}

#[tokio::test]
async fn a_message_is_shown_as_it_is_stored() {
    let fixture = Fixture::new();
    fixture.send_all([Send::to("T", "a"), Send::to("T", "b")]);
    for stored in fixture.queue("T", 0) {
        let offset = stored.get().physical_offset;
        let reply = ask(&fixture, ViewMessageById { topic: None, offset }).await.unwrap();
        assert_eq!(reply.content(), stored.bytes());
    }
}

#[tokio::test]
async fn where_no_message_begins_there_is_none() {
    let fixture = Fixture::new();
    fixture.send_all([Send::to("T", "a")]);
    for offset in [1, 100_000, 1 << 50, -1] {
        let asked = ask(&fixture, ViewMessageById { topic: Some("T".into()), offset: PhysicalOffset(offset) }).await;
        let remark = format!("can not find message by the offset, {offset}");
        assert_eq!(asked.unwrap_err(), (ResponseCode::SYSTEM_ERROR, remark));
    }
}

#[tokio::test]
async fn entries_of_a_queue_are_shown_by_page() {
    let fixture = Fixture::new();
    fixture.send_all((0..5).map(|_| Send::to("T", "x").properties("UNIQ_KEY=k;TAGS=TagA;")));
    let stored = fixture.queue("T", 0);
    let line = |at: usize| {
        let message = stored[at].get();
        json!({"eval": false, "physicOffset": message.physical_offset, "physicSize": message.size, "tagsCode": 2_598_919})
    };
    let expect = json!({"maxQueueIndex": 5, "minQueueIndex": 0, "queueData": [line(1), line(2)]});
    assert_eq!(json(&fixture, page("T", 1, 2, None)).await, expect);
    let expect = json!({"maxQueueIndex": 5, "minQueueIndex": 0, "queueData": [line(4)]});
    assert_eq!(json(&fixture, page("T", 4, 10, None)).await, expect);
    let expect = json!({"filterData": "g@T is not online!", "maxQueueIndex": 5, "minQueueIndex": 0, "queueData": []});
    assert_eq!(json(&fixture, page("T", 0, -1, Some("g"))).await, expect);
}

#[tokio::test]
async fn a_queue_or_entry_that_does_not_exist_is_said_to() {
    let fixture = Fixture::new();
    fixture.send_all([Send::to("T", "a")]);
    let unknown = ask(&fixture, page("U", 0, 1, None)).await.unwrap_err();
    assert_eq!(unknown, (ResponseCode::SYSTEM_ERROR, "0@U is not exist!".to_owned()));
    let beyond = ask(&fixture, page("T", 1, 1, None)).await.unwrap();
    // As in Java: a success with a remark and no body.
    assert_eq!((beyond.response_code(), beyond.content()), (ResponseCode::SUCCESS, Vec::new()));
}
