//! Pulls that wait for a message.

use tokio::time::Instant;

use super::*;

/// How late a pull that waits may end.
const LATE: Duration = suspend::LOOK_PERIOD.saturating_add(Duration::from_millis(2));

#[tokio::test(start_paused = true)]
async fn a_pull_that_finds_nothing_waits_only_if_it_says_so() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.pull(&from(0)).code, ResponseCode::PULL_NOT_FOUND);
    fixture.send(&waiting_from(0));
    fixture.settle().await;
    assert!(fixture.answers().is_empty());
    assert_eq!(fixture.waiting(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_pull_wakes_when_a_message_comes_to_its_queue() {
    let fixture = Fixture::new().await;
    let started = Instant::now();
    fixture.send(&waiting_from(0));
    fixture.settle().await;
    fixture.append(1, "", b"elsewhere");
    fixture.settle().await;
    assert!(fixture.answers().is_empty());
    fixture.append(0, "", b"a");
    fixture.settle().await;
    let answer = fixture.answer();
    assert_eq!((answer.bodies(), answer.next()), (vec!["a".into()], 1));
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(fixture.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_came_before_the_wait_is_not_missed() {
    let fixture = Fixture::new().await;
    fixture.send(&waiting_from(0));
    fixture.append(0, "", b"a");
    fixture.settle().await;
    assert_eq!(fixture.answer().bodies(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_pull_ends_at_its_deadline() {
    let fixture = Fixture::new().await;
    fixture.append(0, "", b"a");
    fixture.send(&waiting_from(1));
    sleep(Duration::from_millis(14_999)).await;
    assert!(fixture.answers().is_empty());
    sleep(LATE).await;
    assert_eq!(fixture.answer().summary(), (ResponseCode::PULL_NOT_FOUND, "OFFSET_OVERFLOW_ONE", 1));
    assert_eq!(fixture.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_long_polls_a_pull_waits_a_second() {
    let fixture = Fixture::new().await;
    fixture.surroundings.set(|config| config.long_polling_enable = false);
    fixture.send(&waiting_from(0));
    sleep(Duration::from_millis(999)).await;
    assert!(fixture.answers().is_empty());
    sleep(LATE).await;
    assert_eq!(fixture.answer().code, ResponseCode::PULL_NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn absurd_patience_harms_nobody() {
    let fixture = Fixture::new().await;
    for (patience, waits) in [(i64::MAX, true), (-1, false), (i64::MIN, false)] {
        fixture.send(&PullMessage { suspend_timeout_millis: patience, ..waiting_from(0) });
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(fixture.answers().is_empty(), waits, "{patience}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_pull_ends_with_its_connection() {
    let fixture = Fixture::new().await;
    fixture.send(&waiting_from(0));
    fixture.send(&waiting_from(0));
    fixture.settle().await;
    assert_eq!(fixture.waiting(), 2);
    fixture.peer.close();
    sleep(LATE).await;
    assert_eq!(fixture.waiting(), 0);
    // If it is we who stop, these still arrive.
    let answers = fixture.answers();
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0].summary(), (ResponseCode::PULL_NOT_FOUND, "OFFSET_OVERFLOW_ONE", 0));
    fixture.surroundings.ctx.stopping.cancel();
    fixture.surroundings.ctx.tasks.close();
    fixture.surroundings.ctx.tasks.wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_waiting_pull_is_checked_again_and_does_not_commit_again() {
    let fixture = Fixture::new().await;
    let flags = PullSysFlag::SUSPEND | PullSysFlag::COMMIT_OFFSET;
    let header = PullMessage { sys_flag: flags, commit_offset: QueueOffset(7), ..from(0) };
    fixture.send(&header);
    assert_eq!(fixture.committed(), Some(7), "the first time");
    let progress = fixture.pulls.reader.offsets.progress(&"g".into(), &"T".into());
    progress.commit(QueueId(0), QueueOffset(9));
    fixture.settle().await;
    fixture.append(0, "", b"a");
    fixture.settle().await;
    assert_eq!(fixture.answer().code, ResponseCode::SUCCESS);
    assert_eq!(fixture.committed(), Some(9));

    fixture.send(&waiting_from(1));
    fixture.settle().await;
    fixture.put_topic(TopicConfig::new("T", 2, TopicConfig::WRITE));
    fixture.append(0, "", b"b");
    fixture.settle().await;
    assert_eq!(fixture.answer().forbidden_type, Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_pull_is_told_of_a_reset() {
    let fixture = Fixture::new().await;
    fixture.append(0, "", b"a");
    fixture.send(&waiting_from(1));
    fixture.settle().await;
    let progress = fixture.pulls.reader.offsets.progress(&"g".into(), &"T".into());
    progress.reset(QueueId(0), QueueOffset(0));
    sleep(Duration::from_secs(16)).await;
    assert_eq!(fixture.answer().summary(), (ResponseCode::PULL_OFFSET_MOVED, "OFFSET_RESET", 0));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_pull_ends_when_its_topic_is_deleted() {
    let fixture = Fixture::new().await;
    fixture.append(0, "", b"a");
    fixture.send(&waiting_from(1));
    fixture.settle().await;
    fixture.pulls.reader.topics.delete("T").unwrap();
    fixture.pulls.reader.store.delete_topic("T").unwrap();
    fixture.settle().await;
    assert_eq!(fixture.answer().code, ResponseCode::TOPIC_NOT_EXIST);
}

#[tokio::test(start_paused = true)]
async fn messages_a_pull_does_not_want_do_not_wake_it_but_move_it_on() {
    let fixture = Fixture::subscribed("A").await;
    fixture.append(0, "A", b"a");
    fixture.send(&waiting_from(1));
    fixture.settle().await;
    fixture.append(0, "B", b"b");
    fixture.settle().await;
    sleep(Duration::from_millis(4_900)).await;
    assert!(fixture.answers().is_empty());
    sleep(Duration::from_millis(200)).await;
    assert_eq!(fixture.answer().summary(), (ResponseCode::PULL_NOT_FOUND, "OFFSET_OVERFLOW_ONE", 2), "5 s after b");

    fixture.send(&waiting_from(2));
    fixture.settle().await;
    fixture.append(0, "B", b"b");
    fixture.settle().await;
    fixture.append(0, "A", b"a");
    fixture.settle().await;
    let answer = fixture.answer();
    assert_eq!((answer.bodies(), answer.next()), (vec!["a".into()], 4));
}

#[tokio::test(start_paused = true)]
async fn one_pull_too_many_is_told_to_come_again() {
    let fixture = Fixture::new().await;
    for _ in 0..waiting::WAITING_MAX {
        fixture.send(&waiting_from(0));
    }
    fixture.settle().await;
    assert!(fixture.answers().is_empty());
    let answer = fixture.pull(&waiting_from(0));
    assert_eq!(answer.code, ResponseCode::SYSTEM_BUSY);
    assert_eq!(answer.remark, "[OVERLOAD]system busy, start flow control for a while");
    fixture.append(0, "", b"a");
    fixture.settle().await;
    assert_eq!(fixture.answers().len(), waiting::WAITING_MAX);
    fixture.send(&waiting_from(1));
    fixture.settle().await;
    assert!(fixture.answers().is_empty());
}
