use bytes::Bytes;
use remoting::frame::ExtFields;
use remoting::language::LanguageCode;
use remoting::protocol::ResponseCode;
use remoting::protocol::transaction::ResumeCheckHalfMessage;
use remoting::router::{Call, Handle, IntoResponse};
use remoting::types::{QueueId, QueueOffset};
use remoting::version::Version;
use store::message::id;

use super::super::ResumeError;
use super::super::check::Look;
use super::super::turn::Turn;
use super::fixture::{Asked, COMMIT, Fixture, Prepared, ROLLBACK, properties};
use crate::testing::peer;

const HALF: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
const OP: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
const GIVEN_UP: &str = "TRANS_CHECK_MAX_TIME_TOPIC";

fn texts(asked: &[Asked]) -> Vec<String> {
    asked.iter().map(Asked::text).collect()
}

#[tokio::test]
async fn a_producer_is_asked_about_what_nobody_ends() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    let producer = fixture.producer(1).await;
    let first = fixture.prepare("x");
    fixture.pass(6);
    fixture.transactions.check().await;
    assert!(fixture.asked(&producer).is_empty(), "it is not old enough");
    fixture.pass(1);
    fixture.transactions.check().await;
    let asked = fixture.asked(&producer);
    let (request, message) = (&asked[0].request, asked[0].message());
    assert_eq!(request.topic.as_deref(), Some(HALF));
    assert_eq!((request.msg_id.as_deref(), request.transaction_id.as_deref()), (Some("K-x"), Some("K-x")));
    assert_eq!(request.broker_name.as_deref(), Some("broker-a"));
    let copy = Prepared { queue_offset: QueueOffset(1), physical_offset: message.physical_offset };
    assert_eq!(asked[0].about(), copy);
    assert_eq!(request.offset_msg_id, Some(id::encode(fixture.ctx.identity.host, copy.physical_offset)));
    assert_eq!((message.topic, message.queue_id, message.queue_offset), ("T", QueueId(0), QueueOffset(1)));
    assert_eq!((message.body, message.flag), (&b"x"[..], 7));
    let text = "TRAN_MSG=true;PGROUP=PG;UNIQ_KEY=K-x;TAGS=tag;KEYS=key;MSG_REGION=DefaultRegion;TRACE_ON=true;\
                CLUSTER=cluster-a;__transactionId__=K-x;REAL_TOPIC=T;REAL_QID=0;TRANSACTION_CHECK_TIMES=1;";
    assert_eq!((properties(&asked[0].body), properties(&fixture.records(HALF)[1])), (text.to_owned(), text.to_owned()));
    assert_eq!(fixture.bodies(OP), ["0,"], "the copy replaces it");
    assert_eq!(fixture.in_doubt(), [1]);

    fixture.answer(&asked[0], COMMIT);
    assert_eq!(fixture.bodies("T"), ["x"]);
    fixture.pass(60);
    fixture.transactions.check().await;
    assert!(fixture.asked(&producer).is_empty());
    fixture.transactions.write_ops().await;
    fixture.transactions.check().await;
    assert_eq!((fixture.starts(), first.queue_offset), ((2, 2), QueueOffset(0)));
}

#[tokio::test]
async fn a_look_reads_only_what_is_in_doubt() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    let producer = fixture.producer(1).await;
    for number in 0..1000 {
        let half = fixture.prepare(&number.to_string());
        if number % 250 != 7 {
            fixture.end(half, if number % 2 == 0 { COMMIT } else { ROLLBACK });
        }
    }
    fixture.pass(10);
    let halves: Vec<_> = fixture.in_doubt().into_iter().map(QueueOffset).collect();
    let look = Look { settings: fixture.ctx.settings(), began: fixture.ctx.clock.now(), gather: false };
    let turn = Turn::of(&fixture.store, &look, look.began, &halves);
    assert_eq!((turn.read, turn.replaced.len(), turn.over), (4, 4, false));
    fixture.transactions.check().await;
    assert_eq!(texts(&fixture.asked(&producer)), ["7", "257", "507", "757"]);
    fixture.transactions.check().await;
    assert_eq!(fixture.asked(&producer).len(), 0, "what was asked about a moment ago is not asked about again");
}

#[tokio::test]
async fn another_producer_of_the_group_is_asked_when_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    let (gone, other) = (fixture.producer(1).await, fixture.producer(2).await);
    let stranger = peer(3);
    fixture.leave(&gone);
    for number in 0..3 {
        fixture.prepare(&number.to_string());
    }
    fixture.pass(10);
    fixture.transactions.check().await;
    assert_eq!(texts(&fixture.asked(&other)), ["0", "1", "2"]);
    assert!(fixture.asked(&gone).is_empty() && fixture.asked(&stranger).is_empty());
    // Nobody is there: they are asked again by the next look, which counts.
    fixture.leave(&other);
    fixture.pass(30);
    fixture.transactions.check().await;
    let late = fixture.producer(4).await;
    fixture.pass(30);
    fixture.transactions.check().await;
    let asked = fixture.asked(&late);
    assert_eq!(texts(&asked), ["0", "1", "2"]);
    assert!(properties(&asked[0].body).ends_with("TRANSACTION_CHECK_TIMES=3;"));
}

async fn resume(fixture: &Fixture, id: Option<String>) -> Result<(), ResumeError> {
    let call = Call {
        header: ResumeCheckHalfMessage { topic: None, msg_id: id },
        body: Bytes::new(),
        peer: peer(9),
        version: Version::CURRENT,
        language: LanguageCode::JAVA,
        ext: ExtFields::default(),
    };
    fixture.transactions.handle(call).await.map(drop)
}

#[tokio::test]
async fn what_nobody_knows_is_given_up_and_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    fixture.set(|settings| settings.transaction_check_max = 2);
    let producer = fixture.producer(1).await;
    fixture.prepare("x");
    for asked in [1, 1, 0, 0] {
        fixture.pass(30);
        fixture.transactions.check().await;
        assert_eq!(fixture.asked(&producer).len(), asked);
    }
    let given_up = fixture.records(GIVEN_UP);
    assert_eq!((given_up.len(), fixture.in_doubt()), (1, vec![]));
    assert!(properties(&given_up[0]).ends_with("REAL_TOPIC=T;REAL_QID=0;TRANSACTION_CHECK_TIMES=2;"));

    let offset = store::message::StoredMessage::parse(&given_up[0]).unwrap().physical_offset;
    resume(&fixture, Some(id::encode(fixture.ctx.identity.host, offset))).await.unwrap();
    assert!(properties(fixture.records(HALF).last().unwrap()).ends_with("TRANSACTION_CHECK_TIMES=0;"));
    fixture.pass(30);
    fixture.transactions.check().await;
    let asked = fixture.asked(&producer);
    fixture.answer(&asked[0], COMMIT);
    assert_eq!(fixture.bodies("T"), ["x"]);

    for id in [None, Some("x".to_owned()), Some(id::encode(fixture.ctx.identity.host, offset.after(1)))] {
        let err = resume(&fixture, id).await.unwrap_err();
        let remark = "Exception was thrown when putting message back to RMQ_SYS_TRANS_HALF_TOPIC.";
        assert_eq!((err.code(), err.to_string().as_str()), (ResponseCode::SYSTEM_ERROR, remark));
    }
}

#[tokio::test]
async fn one_that_says_when_to_ask_is_left_alone_until_then() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    let producer = fixture.producer(1).await;
    let immune = fixture.prepare_with("immune", "CHECK_IMMUNITY_TIME_IN_SECONDS=100;");
    fixture.prepare("other");
    for _ in 0..3 {
        fixture.pass(30);
        fixture.transactions.check().await;
        assert_eq!(texts(&fixture.asked(&producer)), ["other"]);
    }
    assert_eq!(fixture.starts().0, immune.queue_offset.0, "the next start looks at it again");
    // The producer still names the half message that it knows, and it is one message that is committed.
    assert_eq!(fixture.end(immune, COMMIT), ResponseCode::SUCCESS);
    fixture.pass(30);
    fixture.transactions.check().await;
    assert_eq!(texts(&fixture.asked(&producer)), ["other"]);
    assert_eq!(fixture.bodies("T"), ["immune"]);
}

#[tokio::test]
async fn many_in_doubt_are_asked_about_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    let producer = fixture.producer(1).await;
    let large = "x".repeat(3000);
    let bodies: Vec<_> = (0..600).map(|number| format!("{number}-{large}")).collect();
    for body in &bodies {
        fixture.prepare(body);
    }
    fixture.pass(10);
    fixture.transactions.check().await;
    let asked = fixture.asked(&producer);
    assert!(texts(&asked) == bodies, "{} were asked about", asked.len());
    assert_eq!(fixture.in_doubt(), (600..1200).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_that_cannot_be_stored_again_is_asked_about_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    let producer = fixture.producer(1).await;
    // No property more fits.
    let before = properties(&{
        fixture.prepare_with("y", "a=1;");
        fixture.records(HALF).remove(0)
    });
    let room = i16::MAX as usize - before.len();
    fixture.prepare_with("z", &format!("a={};", "v".repeat(room + 1)));
    fixture.pass(10);
    fixture.transactions.check().await;
    let asked = fixture.asked(&producer);
    assert_eq!(texts(&asked), ["y", "z"]);
    assert_eq!(asked[1].about().queue_offset, QueueOffset(1));
    fixture.answer(&asked[1], COMMIT);
    assert_eq!(fixture.bodies("T"), ["z"]);
}
