//! A `SYNC_MASTER` answers once slaves hold what it stored.

use std::time::Instant;

use super::*;
use crate::config::BrokerRole;
use crate::ha::TestSlave;

/// Which sends have been answered, and how.
fn codes(fixture: &Fixture) -> Vec<(i32, ResponseCode)> {
    fixture.answers().iter().map(|answer| (answer.opaque.0, answer.response_code())).collect()
}

fn sync_master() -> Fixture {
    let settings = |settings: &mut crate::config::BrokerConfig| {
        settings.broker_role = BrokerRole::SyncMaster;
        settings.in_sync_replicas = 2;
    };
    Fixture::with(settings, |_| {})
}

#[test]
fn answers_come_once_a_slave_holds_the_messages() {
    let fixture = sync_master();
    let slave = TestSlave::enter(&fixture.acks);
    let first = fixture.send_all([Send::to("T", "a").opaque(1), Send::to("a b", "x").opaque(2)]);
    assert_eq!(first.iter().map(|answer| answer.opaque.0).collect::<Vec<_>>(), [2], "what is refused waits for nobody");
    let end = fixture.store.max_physical_offset();
    fixture.send_all([Send::to("T", "b").opaque(3)]);
    assert_eq!(codes(&fixture), []);
    assert_eq!(fixture.bodies("T", 0), ["a", "b"], "readers do not wait for slaves");
    slave.holds(&fixture.acks, end);
    assert_eq!(codes(&fixture), [(1, ResponseCode::SUCCESS)]);
    slave.holds(&fixture.acks, fixture.store.max_physical_offset());
    assert_eq!(codes(&fixture), [(3, ResponseCode::SUCCESS)]);
}

#[test]
fn slaves_that_take_too_long_are_told_of_with_the_place_all_the_same() {
    let fixture = sync_master();
    fixture.send_all([Send::to("T", "a").properties("UNIQ_KEY=k").opaque(1)]);
    fixture.acks.expire(Instant::now() + Duration::from_secs(2));
    assert_eq!(codes(&fixture), []);
    fixture.acks.expire(Instant::now() + Duration::from_secs(4));
    let answers = fixture.answers();
    assert_eq!((answers.len(), answers[0].response_code()), (1, ResponseCode::FLUSH_SLAVE_TIMEOUT));
    assert!(id::decode(field(&answers[0], "msgId")).is_some());
    assert_eq!((field(&answers[0], "transactionId"), answers[0].remark.as_deref()), ("k", None));
    assert_eq!(fixture.stats.daily_totals().now.put, 1);
}

#[test]
fn messages_may_say_that_they_need_no_slave() {
    let fixture = sync_master();
    let nobody = |text: &str| Send::to("T", text).properties("WAIT=false;");
    let batch = Send::batch("T", &[("c", "")]).properties("WAIT=false;");
    let answers = fixture.send_all([nobody("a").opaque(1), Send::to("T", "b").opaque(2), batch.opaque(3)]);
    assert_eq!(answers.iter().map(|answer| answer.opaque.0).collect::<Vec<_>>(), [1, 3]);
    assert_eq!((field(&answers[0], "queueOffset"), field(&answers[1], "queueOffset")), ("0", "2"));
    assert_eq!(fixture.send(nobody("d")).response_code(), ResponseCode::SUCCESS);
    fixture.acks.expire(Instant::now() + Duration::from_secs(4));
    assert_eq!(codes(&fixture), [(2, ResponseCode::FLUSH_SLAVE_TIMEOUT)]);
}

#[test]
fn without_slaves_messages_are_refused_or_answered_at_once_as_the_settings_say() {
    let fixture = sync_master();
    fixture.settings.send_modify(|settings| std::sync::Arc::make_mut(settings).min_in_sync_replicas = 2);
    fixture.refused(Send::to("T", "a"), ResponseCode::SYSTEM_ERROR, "in-sync replicas not enough");
    fixture.refused(Send::batch("T", &[("c", "")]), ResponseCode::SYSTEM_ERROR, "in-sync replicas not enough");
    assert_eq!(fixture.send(Send::to("T", "b").properties("WAIT=false;")).response_code(), ResponseCode::SUCCESS);
    fixture.settings.send_modify(|settings| {
        let settings = std::sync::Arc::make_mut(settings);
        (settings.min_in_sync_replicas, settings.ha_slave_fallbehind_max) = (1, Some(1000));
    });
    let answer = fixture.send(Send::to("T", "a"));
    assert_eq!(answer.response_code(), ResponseCode::SLAVE_NOT_AVAILABLE);
    assert!(id::decode(field(&answer, "msgId")).is_some());
}

#[tokio::test]
async fn what_the_broker_stores_for_clients_waits_for_slaves_too() {
    let fixture = sync_master();
    fixture.put_topic(TopicConfig::new("T", 1, 6), "");
    let topic = remoting::types::TopicName::from("T");
    let message = |properties| store::message::Message {
        topic: &topic,
        queue_id: QueueId(0),
        flag: 0,
        sys_flag: 0,
        born_timestamp: Timestamp(1),
        born_host: fixture.peer.remote(),
        store_host: fixture.ctx.identity.host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: b"a",
        properties,
    };
    let at_once = message("WAIT\u{1}false\u{2}");
    fixture.writer.put(&at_once, 0).await.unwrap();
    let waits = message("");
    let put = async { fixture.writer.put(&waits, 0).await.map(|_| ()).map_err(|err| err.java_name()) };
    let expiry = async { fixture.acks.expire(Instant::now() + Duration::from_secs(4)) };
    let (put, ()) = tokio::join!(put, expiry);
    assert_eq!(put, Err("FLUSH_SLAVE_TIMEOUT"));
    assert_eq!(fixture.bodies("T", 0), ["a", "a"]);
}
