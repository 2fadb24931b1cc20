//! Batches for queues that hold batches.

use super::*;

#[test]
fn a_batch_for_queues_of_batches_becomes_one_record() {
    let fixture = Fixture::new();
    fixture.put_topic(TopicConfig::new("B", 1, 6), "+queue.type=BatchCQ");
    let refused = "topic[B] has the queue type BatchCQ: it takes batches with a unique id, and no single messages";
    fixture.refused(Send::to("B", "x"), ResponseCode::MESSAGE_ILLEGAL, refused);
    fixture.refused(Send::batch("B", &[("x", "")]), ResponseCode::MESSAGE_ILLEGAL, refused);
    for base in [0, 3] {
        let batch = Send::batch("B", &[("x", "KEYS=k"), ("y", ""), ("z", "")]);
        let answer = fixture.send(batch.properties("UNIQ_KEY=U1;WAIT=true"));
        assert_eq!(answer.response_code(), ResponseCode::SUCCESS);
        assert_eq!(answer.ext.get("queueOffset"), Some(base.to_string().as_str()));
        assert_eq!(answer.ext.get("batchUniqId"), Some("U1"));
        assert!(!answer.ext.get("msgId").unwrap().contains(','), "one id for one record");
    }
    assert_eq!(fixture.store.max_offset("B", QueueId(0)), Some(QueueOffset(6)));
    let stored = fixture.queue("B", 0);
    assert_eq!(stored[3].get().sys_flag, 0xC0);
    assert_eq!(stored[3].property("INNER_NUM"), Some("3"));
    assert_eq!(stored[3].property("INNER_BASE"), Some("0000000000000000003"));
    assert_eq!(stored[3].property("CLUSTER"), Some("cluster-a"));
    let plain = fixture.send(Send::batch("T", &[("x", "")]).properties("UNIQ_KEY=U1"));
    assert_eq!(plain.ext.get("batchUniqId"), None);
}

#[test]
fn client_batches_have_rules_of_their_own() {
    let fixture = Fixture::new();
    let check = |send: Send, remark: &str| fixture.refused(send, ResponseCode::MESSAGE_ILLEGAL, remark);
    let one = [("x", "")];
    check(Send::batch("%RETRY%g", &one), "batch request does not support retry group %RETRY%g");
    let long = format!("%DLQ%{}", "g".repeat(123));
    check(Send::batch(&long, &one), "message topic length too long 128");
    check(Send::batch("T", &one).properties("DELAY=1"), ILLEGAL);
    check(Send::batch("T", &one).with("sysFlag", "8"), ILLEGAL);
    check(Send::batch("T", &[("x", ""), ("y", "")]).body(vec![0; 30]), "message 1 of the batch is malformed");
    check(Send::batch("T", &one).body(vec![0; (4 << 20) + 1]), ILLEGAL);
    // What the elements say of delays does not count, as in Java.
    fixture.accepted(Send::batch("T", &[("x", "DELAY=3;")]));
}
