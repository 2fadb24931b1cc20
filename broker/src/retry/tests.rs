use std::sync::Arc;

use bytes::Bytes;
use remoting::body::{SubscriptionGroupConfig, TopicConfig};
use remoting::frame::ExtFields;
use remoting::language::LanguageCode;
use remoting::protocol::ResponseCode;
use remoting::protocol::send::ConsumerSendMsgBack;
use remoting::router::{Call, Handle, IntoResponse};
use remoting::types::PhysicalOffset;
use remoting::version::Version;
use store::message::id;

use super::{Retries, RetryError};
use crate::context::Role;
use crate::send::fixture::{Fixture, Send, Stored};
use crate::topic::AttributeChanges;

const FAQ: &str = "\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";

fn retries(fixture: &Fixture) -> Arc<Retries> {
    Retries::new(
        fixture.ctx.clone(),
        Arc::clone(&fixture.store),
        Arc::clone(&fixture.topics),
        Arc::clone(&fixture.groups),
        Arc::clone(&fixture.writer),
        Arc::clone(&fixture.stats),
    )
}

/// A message of `T` that consumer group `g` could not handle, given back as stock consumers do.
fn back(offset: PhysicalOffset) -> ConsumerSendMsgBack {
    ConsumerSendMsgBack {
        offset,
        group: "g".into(),
        delay_level: 0,
        origin_msg_id: Some("K".to_owned()),
        origin_topic: Some("T".into()),
        unit_mode: Some(false),
        max_reconsume_times: Some(16),
    }
}

async fn give_back(fixture: &Fixture, header: ConsumerSendMsgBack, version: Version) -> Result<(), RetryError> {
    let call = Call {
        header,
        body: Bytes::new(),
        peer: fixture.peer.clone(),
        version,
        language: LanguageCode::JAVA,
        ext: ExtFields::default(),
    };
    let reply = retries(fixture).handle(call).await?;
    assert_eq!(reply.response_code(), ResponseCode::SUCCESS);
    Ok(())
}

async fn refused(fixture: &Fixture, header: ConsumerSendMsgBack, code: ResponseCode, remark: &str) {
    let before = fixture.store.max_physical_offset();
    let err = give_back(fixture, header, Version::CURRENT).await.unwrap_err();
    assert_eq!((err.code(), err.to_string()), (code, remark.to_owned()));
    assert_eq!(fixture.store.max_physical_offset(), before, "nothing is stored");
}

/// A stored message of `T`, consumed `times` times before.
fn failed(fixture: &Fixture, times: i32) -> PhysicalOffset {
    let send = Send::to("T", "work").properties("UNIQ_KEY=K;TAGS=t;WAIT=true;").with("sysFlag", "1");
    fixture.send(send.with("reconsumeTimes", &times.to_string()));
    fixture.queue("T", 0).last().unwrap().get().physical_offset
}

fn waiting(fixture: &Fixture, level: i32) -> Vec<Stored> {
    fixture.queue("SCHEDULE_TOPIC_XXXX", level - 1)
}

#[tokio::test]
async fn a_failed_message_waits_for_its_next_attempt() {
    let fixture = Fixture::new();
    let offset = failed(&fixture, 0);
    give_back(&fixture, back(offset), Version::CURRENT).await.unwrap();
    let waiting = waiting(&fixture, 3);
    let again = waiting[0].get();
    assert_eq!((waiting.len(), waiting[0].body()), (1, "work".to_owned()));
    assert_eq!((again.reconsume_times, again.flag, again.sys_flag), (1, 7, 1));
    let source = fixture.queue("T", 0);
    let source = source[0].get();
    assert_eq!((again.born_timestamp, again.born_host), (source.born_timestamp, source.born_host));
    assert_eq!(again.store_host, fixture.ctx.identity.host);
    for (name, value) in [
        ("RETRY_TOPIC", "T"),
        ("ORIGIN_MESSAGE_ID", id::encode(source.store_host, offset).as_str()),
        ("WAIT", "false"),
        ("DELAY", "3"),
        ("REAL_TOPIC", "%RETRY%g"),
        ("REAL_QID", "0"),
        ("UNIQ_KEY", "K"),
        ("TAGS", "t"),
        ("MSG_REGION", "DefaultRegion"),
        ("CLUSTER", "cluster-a"),
    ] {
        assert_eq!(waiting[0].property(name), Some(value), "{name}");
    }
    assert_eq!(again.properties.matches("WAIT\u{1}").count(), 1, "{}", waiting[0].properties());
    let topic = fixture.topics.get("%RETRY%g").unwrap();
    assert_eq!((topic.write_queue_nums, topic.perm), (1, 6));
}

#[tokio::test]
async fn later_attempts_keep_the_first_topic_and_id_and_wait_longer() {
    let fixture = Fixture::new();
    let first = failed(&fixture, 0);
    give_back(&fixture, back(first), Version::CURRENT).await.unwrap();
    // The second failure is of the copy; which copy does not matter here.
    let second = waiting(&fixture, 3)[0].get().physical_offset;
    give_back(&fixture, back(second), Version::CURRENT).await.unwrap();
    let again = waiting(&fixture, 4);
    assert_eq!(again[0].get().reconsume_times, 2);
    assert_eq!(again[0].property("RETRY_TOPIC"), Some("T"));
    let origin = id::encode(fixture.ctx.identity.host, first);
    assert_eq!(again[0].property("ORIGIN_MESSAGE_ID"), Some(origin.as_str()));
    assert_eq!(again[0].property("REAL_TOPIC"), Some("%RETRY%g"));
}

#[tokio::test]
async fn the_consumer_may_choose_the_level() {
    let fixture = Fixture::new();
    let offset = failed(&fixture, 5);
    for (asked, level) in [(1, 1), (0, 8), (99, 18)] {
        let header = ConsumerSendMsgBack { delay_level: asked, ..back(offset) };
        give_back(&fixture, header, Version::CURRENT).await.unwrap();
        assert_eq!(waiting(&fixture, level).len(), 1, "{asked}");
    }
}

#[tokio::test]
async fn a_message_that_failed_too_often_becomes_a_dead_letter() {
    let fixture = Fixture::new();
    let letters = || fixture.queue("%DLQ%g", 0);
    let offset = failed(&fixture, 16);
    give_back(&fixture, back(offset), Version::CURRENT).await.unwrap();
    let letter = &letters()[0];
    assert_eq!((letter.body(), letter.get().reconsume_times), ("work".to_owned(), 17));
    assert_eq!([letter.property("DELAY"), letter.property("RETRY_TOPIC")], [Some("0"), Some("T")]);
    assert_eq!(letter.property("REAL_TOPIC"), None);
    let topic = fixture.topics.get("%DLQ%g").unwrap();
    assert_eq!((topic.write_queue_nums, topic.perm), (1, 6));

    // At once, if the consumer says so.
    let header = ConsumerSendMsgBack { delay_level: -1, ..back(failed(&fixture, 0)) };
    give_back(&fixture, header, Version::CURRENT).await.unwrap();
    assert_eq!(letters().len(), 2);
}

#[tokio::test]
async fn the_limit_is_the_groups_or_of_clients_that_know_it_their_own() {
    let fixture = Fixture::new();
    let config = SubscriptionGroupConfig { retry_max_times: 3, ..SubscriptionGroupConfig::new("g") };
    fixture.groups.put_all(vec![config]).unwrap();
    let offset = failed(&fixture, 3);
    for (own_limit, version, dead_letters) in
        [(Some(4), 121, 0), (Some(4), 120, 1), (None, 513, 2), (Some(3), 513, 3), (Some(-1), 513, 4)]
    {
        let header = ConsumerSendMsgBack { max_reconsume_times: own_limit, ..back(offset) };
        give_back(&fixture, header, Version(version)).await.unwrap();
        assert_eq!(fixture.queue("%DLQ%g", 0).len(), dead_letters, "{own_limit:?} {version}");
    }
}

#[tokio::test]
async fn what_cannot_be_taken_back_is_refused_in_javas_words() {
    let fixture = Fixture::with(|settings| settings.auto_create_subscription_group = false, |_| {});
    let offset = failed(&fixture, 0);
    let remark = format!("subscription group not exist, g {FAQ}");
    refused(&fixture, back(offset), ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, &remark).await;
    fixture.groups.put_all(vec![SubscriptionGroupConfig::new("g")]).unwrap();

    for wrong in [offset.0 + 1, 1 << 40, -1] {
        let remark = format!("look message by offset failed, {wrong}");
        refused(&fixture, back(PhysicalOffset(wrong)), ResponseCode::SYSTEM_ERROR, &remark).await;
    }

    let read_only = TopicConfig { perm: TopicConfig::READ, ..TopicConfig::new("%RETRY%g", 1, 4) };
    fixture.topics.put(read_only, &AttributeChanges::parse("").unwrap()).unwrap();
    let remark = "the topic[%RETRY%g] sending message is forbidden";
    refused(&fixture, back(offset), ResponseCode::NO_PERMISSION, remark).await;

    fixture.settings.send_modify(|settings| Arc::make_mut(settings).broker_permission = TopicConfig::READ);
    let remark = "the broker[127.0.0.1] sending message is forbidden";
    refused(&fixture, back(offset), ResponseCode::NO_PERMISSION, remark).await;

    fixture.role.send_replace(Role::Slave);
    refused(&fixture, back(offset), ResponseCode::SYSTEM_ERROR, "no master available along with 127.0.0.1").await;
}

#[tokio::test]
async fn a_group_without_retry_queues_retries_nothing() {
    let fixture = Fixture::new();
    let config = SubscriptionGroupConfig { retry_queue_nums: 0, ..SubscriptionGroupConfig::new("g") };
    fixture.groups.put_all(vec![config]).unwrap();
    let before = fixture.store.max_physical_offset();
    give_back(&fixture, back(PhysicalOffset(12345)), Version::CURRENT).await.unwrap();
    assert_eq!(fixture.store.max_physical_offset(), before);
}

#[tokio::test]
async fn a_closed_store_is_named_as_java_names_it() {
    let fixture = Fixture::new();
    let offset = failed(&fixture, 0);
    fixture.store.close().unwrap();
    refused(&fixture, back(offset), ResponseCode::SYSTEM_ERROR, "SERVICE_NOT_AVAILABLE").await;
}

#[tokio::test]
async fn attempts_are_counted() {
    let fixture = Fixture::new();
    give_back(&fixture, back(failed(&fixture, 0)), Version::CURRENT).await.unwrap();
    let header = ConsumerSendMsgBack { delay_level: -1, ..back(failed(&fixture, 0)) };
    give_back(&fixture, header, Version::CURRENT).await.unwrap();
    for (name, key) in [
        ("SNDBCK_PUT_NUMS", "T@g"),
        ("SNDBCK2DLQ_TIMES", "owner@T@g@SEND_BACK_TO_DLQ"),
        ("QUEUE_PUT_NUMS", "SCHEDULE_TOPIC_XXXX@2"),
    ] {
        assert!(fixture.stats.view(name, key).is_some(), "{name} {key}");
    }
}
