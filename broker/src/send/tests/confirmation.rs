//! When answers come, and when the store fails.

use super::*;

fn sync_flush(timeout: Duration) -> impl FnOnce(&mut StoreConfig) {
    move |config| {
        config.flush = FlushMode::Sync;
        config.sync_flush_timeout = timeout;
    }
}

/// Waits for answers that come from the store's own threads.
fn within_a_while<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(std::time::Instant::now() < deadline, "waited too long");
        std::thread::yield_now();
    }
}

#[test]
fn under_sync_flush_answers_come_once_the_disk_has_it() {
    let fixture = Fixture::with(|_| {}, sync_flush(Duration::from_secs(20)));
    let sends = || [Send::to("T", "a").opaque(1), Send::to("a b", "x").opaque(2), Send::to("T", "b").opaque(3)];
    let mut answers = fixture.send_all(sends());
    within_a_while(|| {
        answers.extend(fixture.answers());
        (answers.len() == 3).then_some(())
    });
    assert_eq!(answers.iter().map(|answer| answer.opaque.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(field(&answers[2], "queueOffset"), "1");
    assert!(fixture.store.figures().flushed_offset >= fixture.store.confirmed());
}

#[test]
fn a_flush_that_takes_too_long_is_answered_with_the_place_all_the_same() {
    let fixture = Fixture::with(|_| {}, sync_flush(Duration::ZERO));
    // With no time at all a flush may still win the race; it does not do so every time.
    let late = within_a_while(|| {
        let mut answers = fixture.send_all([Send::to("T", "a").properties("UNIQ_KEY=k")]);
        within_a_while(|| {
            answers.extend(fixture.answers());
            (!answers.is_empty()).then_some(())
        });
        answers.pop().filter(|answer| answer.response_code() == ResponseCode::FLUSH_DISK_TIMEOUT)
    });
    assert!(id::decode(field(&late, "msgId")).is_some());
    assert_eq!((field(&late, "queueId"), field(&late, "transactionId")), ("0", "k"));
    assert_eq!((field(&late, "MSG_REGION"), late.remark.as_deref()), ("DefaultRegion", None));
}

#[test]
fn a_closed_store_refuses_in_javas_words() {
    let fixture = Fixture::new();
    fixture.accepted(Send::to("T", "a"));
    fixture.store.close().unwrap();
    let (code, remark) = fixture.outcome(Send::to("T", "b"));
    assert_eq!(code, ResponseCode::SERVICE_NOT_AVAILABLE);
    let begin =
        "service not available now. It may be caused by one of the following reasons: the broker's disk is full";
    assert!(remark.unwrap().starts_with(begin));
}

#[test]
fn sends_are_counted() {
    let fixture = Fixture::new();
    let batch = Send::batch("T", &[("b", ""), ("c", "")]).with("queueId", "1");
    let delayed = Send::to("T", "e").properties("DELAY=1;");
    fixture.send_all([Send::to("T", "a"), batch, Send::to("a b", "no"), Send::to("T", "d"), delayed]);
    assert_eq!(fixture.stats.daily_totals().now.put, 4, "the schedule topic belongs to the system");
    for (name, key) in [("TOPIC_PUT_NUMS", "T"), ("QUEUE_PUT_NUMS", "T@1"), ("QUEUE_PUT_NUMS", "SCHEDULE_TOPIC_XXXX@0")]
    {
        assert!(fixture.stats.view(name, key).is_some(), "{name} {key}");
    }
    fixture.store.close().unwrap();
    fixture.send(Send::to("T", "f"));
    assert_eq!(fixture.stats.daily_totals().now.put, 4, "what is not stored does not count");
}

#[test]
fn two_peers_get_their_own_answers() {
    let fixture = Fixture::new();
    let other = Peer::detached(std::net::SocketAddr::from(([10, 0, 0, 8], 1)));
    fixture.sends.handle_batch(&mut vec![Send::to("T", "a").opaque(1).0], &fixture.peer);
    fixture.sends.handle_batch(&mut vec![Send::to("T", "b").opaque(2).0], &other);
    assert_eq!(fixture.answers()[0].opaque.0, 1);
    let answers = other.take_sent().unwrap();
    assert_eq!((answers.len(), answers[0].opaque.0), (1, 2));
    assert_eq!(fixture.queue("T", 0)[1].get().born_host, other.remote());
}
