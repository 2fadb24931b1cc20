use remoting::protocol::ResponseCode;
use remoting::protocol::transaction::EndTransaction;
use remoting::types::{PhysicalOffset, QueueId, QueueOffset, TopicName};
use store::message::StoredMessage;

use super::fixture::{COMMIT, Fixture, ROLLBACK, UNKNOWN, properties};
use crate::context::Role;
use crate::send::fixture::{Send, field};

const HALF: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
const OP: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";

#[tokio::test]
async fn a_half_message_is_shown_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    let send = Send::to("T", "x").properties("TRAN_MSG=true;PGROUP=PG;UNIQ_KEY=K;a=1;").with("sysFlag", "5");
    let answer = fixture.send(send.with("queueId", "2"));
    assert_eq!(answer.response_code(), ResponseCode::SUCCESS);
    assert_eq!(
        [field(&answer, "queueId"), field(&answer, "queueOffset"), field(&answer, "transactionId")],
        ["2", "0", "K"]
    );
    assert_eq!(fixture.store.topics().len(), 1, "its own topic gets nothing");
    let records = fixture.records(HALF);
    let half = StoredMessage::parse(&records[0]).unwrap();
    assert_eq!((half.queue_id, half.sys_flag, half.flag, half.prepared_transaction_offset), (QueueId(0), 1, 7, 0));
    let text = "TRAN_MSG=true;PGROUP=PG;UNIQ_KEY=K;a=1;MSG_REGION=DefaultRegion;TRACE_ON=true;CLUSTER=cluster-a;\
                __transactionId__=K;REAL_TOPIC=T;REAL_QID=2;";
    assert_eq!(properties(&records[0]), text);
    // One without a key of its own is given one.
    let answer = fixture.send(Send::to("T", "y").properties("TRAN_MSG=true;PGROUP=PG;"));
    let made = format!("__transactionId__={};", field(&answer, "transactionId"));
    assert!(properties(&fixture.records(HALF)[1]).contains(&made), "{made}");
}

#[tokio::test]
async fn a_committed_message_is_stored_where_it_belongs() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    let half = fixture.prepare_with("x", "a=1;");
    fixture.pass(1);
    assert_eq!(fixture.end(half, COMMIT), ResponseCode::SUCCESS);
    let records = fixture.records("T");
    let committed = StoredMessage::parse(&records[0]).unwrap();
    let source = fixture.records(HALF);
    let source = StoredMessage::parse(&source[0]).unwrap();
    assert_eq!((committed.body, committed.sys_flag, committed.queue_offset), (&b"x"[..], 8, QueueOffset(0)));
    assert_eq!(committed.prepared_transaction_offset, half.physical_offset.0);
    assert_eq!((committed.flag, committed.born_timestamp), (source.flag, source.born_timestamp));
    assert_eq!((committed.born_host, committed.store_host), (source.born_host, source.store_host));
    assert_eq!(committed.store_timestamp, source.store_timestamp.after(std::time::Duration::from_secs(1)));
    let text = "TRAN_MSG=true;PGROUP=PG;UNIQ_KEY=K-x;TAGS=tag;KEYS=key;a=1;MSG_REGION=DefaultRegion;TRACE_ON=true;\
                CLUSTER=cluster-a;__transactionId__=K-x;";
    assert_eq!(properties(&records[0]), text);
    let entries = fixture.store.entries("T", QueueId(0), QueueOffset(0), 9);
    assert_eq!(entries[0].tags_code, i64::from(store::message::java_hash("tag")));
    assert!(fixture.stats.view("TOPIC_PUT_NUMS", "T").is_some());
    assert_eq!(fixture.in_doubt(), [0; 0]);
}

#[tokio::test]
async fn what_is_resolved_is_written_down_in_javas_form() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    let halves: Vec<_> = (0..12).map(|number| fixture.prepare(&number.to_string())).collect();
    let headers = halves
        .iter()
        .skip(1)
        .map(|half| Fixture::header(*half, if half.queue_offset.0 % 2 == 0 { COMMIT } else { ROLLBACK }));
    let answers = fixture.end_all(&headers.collect::<Vec<_>>());
    assert_eq!(answers, vec![(ResponseCode::SUCCESS, None); 11]);
    assert_eq!(fixture.bodies("T"), ["2", "4", "6", "8", "10"]);
    assert_eq!(fixture.bodies(OP), [""; 0], "not at once");
    fixture.transactions.write_ops().await;
    assert_eq!(fixture.bodies(OP), ["2,4,6,8,10,1,3,5,7,9,11,"]);
    let op = fixture.records(OP).remove(0);
    assert_eq!(properties(&op), "WAIT=true;TAGS=d;");
    let op = StoredMessage::parse(&op).unwrap();
    assert_eq!((op.sys_flag, op.born_host, op.store_host), (0, fixture.ctx.identity.host, fixture.ctx.identity.host));
    assert_eq!(fixture.starts(), (0, 0));
    fixture.end(halves[0], ROLLBACK);
    fixture.transactions.write_ops().await;
    assert_eq!(fixture.bodies(OP).last().unwrap(), "0,");
    assert_eq!(fixture.starts(), (12, 2));
    fixture.transactions.write_ops().await;
    assert_eq!(fixture.bodies(OP).len(), 2, "there is nothing to say");
}

#[tokio::test]
async fn a_committed_message_with_a_delay_level_waits() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    let half = fixture.prepare_with("x", "DELAY=2;");
    assert_eq!(fixture.bodies(HALF), ["x"], "what is delayed is the message, not its half");
    fixture.end(half, COMMIT);
    let entries = fixture.store.entries("SCHEDULE_TOPIC_XXXX", QueueId(1), QueueOffset(0), 9);
    let record = fixture.store.record_at(entries[0].physical_offset).unwrap();
    assert!(properties(&record).ends_with("DELAY=2;REAL_TOPIC=T;REAL_QID=0;"), "{}", properties(&record));
    assert_eq!(entries[0].tags_code, 1_005_000);
    assert_eq!(fixture.in_doubt(), [0; 0]);
}

#[tokio::test]
async fn requests_that_are_wrong_end_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    let half = fixture.prepare("x");
    let immune = fixture.prepare_with("immune", "CHECK_IMMUNITY_TIME_IN_SECONDS=10;");
    let plain = fixture.send(Send::to("T", "plain"));
    let (_, plain) = store::message::id::decode(field(&plain, "msgId")).unwrap();
    fixture.pass(11);
    let header = || Fixture::header(half, COMMIT);
    let check = |header: EndTransaction, code: ResponseCode, remark: Option<&str>| {
        for what in [COMMIT, ROLLBACK] {
            let header = EndTransaction { commit_or_rollback: what, ..header.clone() };
            assert_eq!(fixture.end_all(&[header]), [(code, remark.map(str::to_owned))]);
        }
        assert_eq!(fixture.bodies("T"), ["plain"]);
        assert_eq!(fixture.in_doubt(), [0, 1]);
    };
    let error = ResponseCode::SYSTEM_ERROR;
    let missing = Some("Find prepared transaction message failed");
    check(EndTransaction { commit_log_offset: PhysicalOffset(1 << 40), ..header() }, error, missing);
    check(EndTransaction { commit_log_offset: PhysicalOffset(-1), ..header() }, error, missing);
    check(EndTransaction { commit_log_offset: PhysicalOffset(1), ..header() }, error, missing);
    check(EndTransaction { commit_log_offset: plain, ..header() }, error, missing);
    check(EndTransaction { producer_group: "other".into(), ..header() }, error, Some("The producer group wrong"));
    let wrong = EndTransaction { tran_state_table_offset: QueueOffset(1), ..header() };
    check(wrong, error, Some("The transaction state table offset wrong"));
    check(Fixture::header(immune, COMMIT), ResponseCode::ILLEGAL_OPERATION, None);
    fixture.role.send_replace(Role::Slave);
    check(header(), ResponseCode::SLAVE_NOT_AVAILABLE, None);
    fixture.role.send_replace(Role::Master);

    let nonsense = EndTransaction { commit_or_rollback: 4, ..header() };
    assert_eq!(fixture.end_all(&[nonsense]), [(error, Some("commitOrRollback field wrong".to_owned()))]);
    assert_eq!(fixture.end_all(&[Fixture::header(half, UNKNOWN)]), [], "one that does not know is not answered");
    // One that was asked is not too late.
    let asked = EndTransaction { from_transaction_check: Some(true), ..Fixture::header(immune, COMMIT) };
    assert_eq!(fixture.end_all(&[asked]), [(ResponseCode::SUCCESS, None)]);
}

#[tokio::test]
async fn nothing_is_resolved_that_could_not_be_stored() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    let (commit, rollback) = (fixture.prepare("c"), fixture.prepare("r"));
    fixture.store.close().unwrap();
    let answers = fixture.end_all(&[Fixture::header(commit, COMMIT), Fixture::header(rollback, ROLLBACK)]);
    let refused = (ResponseCode::SERVICE_NOT_AVAILABLE, Some("Service not available now.".to_owned()));
    assert_eq!(answers, [refused, (ResponseCode::SUCCESS, None)]);
    assert_eq!(fixture.in_doubt(), [0]);
}

#[tokio::test]
async fn a_broker_can_refuse_transactions() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    fixture.set(|settings| settings.reject_transaction_message = true);
    let answer = fixture.send(Send::to("T", "x").properties("TRAN_MSG=true;PGROUP=PG;"));
    assert_eq!(answer.response_code(), ResponseCode::NO_PERMISSION);
    let remark = "the broker[127.0.0.1] sending transaction message is forbidden";
    assert_eq!(answer.remark.as_deref(), Some(remark));
    assert!(fixture.store.min_offset(&TopicName::new(HALF), QueueId(0)).is_none());
}
