//! `enablePopMessageThreshold`: what a group has under lease is bounded.

use super::*;

/// More than two of a queue are too many.
fn fixture() -> Fixture {
    Fixture::with(|config| {
        (config.enable_pop_message_threshold, config.pop_inflight_message_threshold) = (true, 2);
        // The retry topic comes last.
        config.pop_from_retry_probability = 0;
    })
}

fn three() -> PopMessage {
    PopMessage { max_msg_nums: 3, queue_id: QueueId(0), ..any() }
}

#[tokio::test]
async fn no_more_of_a_queue_is_given_until_less_is_under_lease() {
    let fixture = fixture();
    (0..8).for_each(|number| fixture.send(0, &number.to_string()));
    fixture.send(1, "other");
    let first = fixture.pop(&three()).messages;
    assert_eq!(first.len(), 3);
    let full = fixture.pop(&three());
    assert!(full.messages.is_empty());
    assert_eq!(full.reply.unwrap().rest_num, 5, "those that are not given");
    assert_eq!(bodies(&fixture.pop(&any()).messages), ["other"], "each queue is counted by itself");
    fixture.ack_ok(&first[0]);
    let second = fixture.pop(&three()).messages;
    assert_eq!(bodies(&second), ["3", "4", "5"]);
    second.iter().for_each(|message| fixture.ack_ok(message));
    assert_eq!(bodies(&fixture.pop(&three()).messages), ["6", "7"]);
}

#[tokio::test]
async fn what_comes_back_is_under_lease_no_more() {
    let fixture = fixture();
    (0..5).for_each(|number| fixture.send(0, &number.to_string()));
    assert_eq!(fixture.pop(&three()).messages.len(), 3);
    fixture.pass(LASTS_MS);
    assert!(fixture.pop(&three()).messages.is_empty());
    fixture.pass(2001);
    assert_eq!(bodies(&fixture.pop(&three()).messages), ["0", "3", "4"], "the first retry, behind the queue");
}

#[tokio::test]
async fn a_pop_that_waits_is_served_when_less_is_under_lease() {
    let fixture = fixture();
    (0..5).for_each(|number| fixture.send(0, &number.to_string()));
    let first = fixture.pop(&three()).messages;
    fixture.send_pop(&PopMessage { poll_time: 5000, ..three() });
    fixture.settle().await;
    assert!(fixture.answers().is_empty(), "it waits");
    let header = AckMessage {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: QueueId(0),
        extra_info: first[0].handle.clone(),
        offset: first[0].offset,
    };
    let request = fixture.request(&header, RequestCode::ACK_MESSAGE);
    fixture.pops.handle_batch(&mut vec![request], &fixture.peer);
    fixture.settle().await;
    let given = fixture.answers().into_iter().flat_map(|answer| answer.messages).collect::<Vec<_>>();
    assert_eq!(bodies(&given), ["3", "4"]);
}

#[tokio::test]
async fn nothing_is_counted_unless_it_is_to_be() {
    let fixture = Fixture::with(|config| config.pop_inflight_message_threshold = 0);
    (0..5).for_each(|number| fixture.send(0, &number.to_string()));
    assert_eq!(fixture.pop(&three()).messages.len(), 3);
    assert_eq!(fixture.pop(&three()).messages.len(), 2);
}
