use std::sync::Arc;

use bytes::Bytes;
use remoting::frame::ExtFields;
use remoting::header::Request;
use remoting::language::LanguageCode;
use remoting::protocol::ResponseCode;
use remoting::protocol::query::{QueryConsumeQueue, QueryMessage, UNIQUE_KEY_QUERY, ViewMessageById};
use remoting::router::{Call, Handle, IntoResponse, Reply};
use remoting::types::{PhysicalOffset, QueueId, Timestamp};
use remoting::version::Version;
use serde_json::{Value, json};

use super::Queries;
use crate::client::Clients;
use crate::send::fixture::{Fixture, Send};

fn queries(fixture: &Fixture) -> Arc<Queries> {
    let clients = Clients::open(
        fixture.ctx.clone(),
        &fixture.folder.path().join("config"),
        Arc::clone(&fixture.topics),
        Arc::clone(&fixture.groups),
        Arc::clone(&fixture.locks),
    )
    .unwrap();
    Queries::new(fixture.ctx.clone(), Arc::clone(&fixture.store), clients)
}

async fn ask<R: Request>(fixture: &Fixture, header: R) -> Result<Reply<R::Reply>, (ResponseCode, String)>
where
    Queries: Handle<R>,
{
    ask_with(fixture, header, ExtFields::default()).await
}

async fn ask_with<R: Request>(
    fixture: &Fixture,
    header: R,
    ext: ExtFields,
) -> Result<Reply<R::Reply>, (ResponseCode, String)>
where
    Queries: Handle<R>,
{
    let call = Call {
        header,
        body: Bytes::new(),
        peer: fixture.peer.clone(),
        version: Version::CURRENT,
        language: LanguageCode::JAVA,
        ext,
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

fn by_key(key: &str, max_num: i32) -> QueryMessage {
    QueryMessage {
        topic: "T".into(),
        key: key.to_owned(),
        max_num,
        begin_timestamp: Timestamp(0),
        end_timestamp: Timestamp(i64::MAX),
        index_type: None,
        last_key: None,
    }
}

/// The stored messages `at`, one behind the other.
fn bytes(fixture: &Fixture, at: &[usize]) -> Vec<u8> {
    let stored = fixture.queue("T", 0);
    at.iter().flat_map(|at| stored[*at].bytes().to_vec()).collect()
}

#[tokio::test]
async fn messages_are_found_by_key_unique_key_and_tags() {
    let fixture = Fixture::new();
    let sends = ["KEYS=a b;UNIQ_KEY=u0;TAGS=x;", "KEYS=b;UNIQ_KEY=u1;TAGS=y;", "UNIQ_KEY=u2;TAGS=x;"];
    fixture.send_all(sends.map(|properties| Send::to("T", "body").properties(properties)));
    let found = async |header: QueryMessage, ext: ExtFields| {
        let reply = ask_with(&fixture, header, ext).await.unwrap();
        assert_eq!(reply.response_code(), ResponseCode::SUCCESS);
        let header = reply.header().unwrap();
        assert_eq!(header.index_last_update_timestamp, fixture.queue("T", 0)[2].get().store_timestamp);
        assert_eq!(header.index_last_update_phyoffset, fixture.queue("T", 0)[2].get().physical_offset);
        reply.content()
    };
    let unique = || ExtFields::from_iter([(UNIQUE_KEY_QUERY, "true")]);
    let tags = QueryMessage { index_type: Some("T".to_owned()), ..by_key("x", 9) };
    assert_eq!(found(by_key("b", 9), ExtFields::default()).await, bytes(&fixture, &[0, 1]));
    assert_eq!(found(by_key("b", 1), ExtFields::default()).await, bytes(&fixture, &[1]), "the newest");
    assert_eq!(found(by_key("u2", 0), unique()).await, bytes(&fixture, &[2]), "as many as the broker likes");
    assert_eq!(found(tags, ExtFields::default()).await, bytes(&fixture, &[0, 2]));
}

#[tokio::test]
async fn as_many_are_found_as_the_settings_allow() {
    let fixture = Fixture::new();
    fixture.send_all((0..70).map(|_| Send::to("T", "body").properties("KEYS=k;")));
    let count = async |header: QueryMessage, ext: ExtFields| {
        let content = ask_with(&fixture, header, ext).await.unwrap().content();
        content.len() / fixture.queue("T", 0)[0].bytes().len()
    };
    assert_eq!(count(by_key("k", 1000), ExtFields::default()).await, 64);
    assert_eq!(count(by_key("k", 1000), ExtFields::from_iter([(UNIQUE_KEY_QUERY, "TRUE")])).await, 32);
    fixture.settings.send_modify(|settings| Arc::make_mut(settings).max_msgs_num_batch = 3);
    assert_eq!(count(by_key("k", 1000), ExtFields::default()).await, 3);
}

#[tokio::test]
async fn a_key_without_messages_is_answered_as_java_does() {
    let fixture = Fixture::new();
    fixture.send_all([Send::to("T", "body").properties("KEYS=k;")]);
    let past = QueryMessage { end_timestamp: Timestamp(1), ..by_key("k", 9) };
    let other_topic = QueryMessage { topic: "U".into(), ..by_key("k", 9) };
    for header in [by_key("none", 9), past, other_topic, by_key("k", 0), by_key("k", -1)] {
        let reply = ask(&fixture, header).await.unwrap();
        assert_eq!(reply.response_code(), ResponseCode::QUERY_NOT_FOUND);
        assert_eq!(reply.response_remark(), Some("can not find message, maybe time range not correct"));
        assert_eq!(reply.header().unwrap().index_last_update_timestamp, Timestamp(0));
    }
    fixture.settings.send_modify(|settings| Arc::make_mut(settings).index_file_read_enable = false);
    let reply = ask(&fixture, by_key("k", 9)).await.unwrap();
    assert_eq!(reply.response_code(), ResponseCode::QUERY_NOT_FOUND);
}
