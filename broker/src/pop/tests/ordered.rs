//! Ordered pops.

use remoting::protocol::pop::ChangeInvisibleTime;
use remoting::router::Handle as _;

use super::*;
use crate::testing::call;

fn ordered() -> PopMessage {
    PopMessage { order: Some(true), queue_id: QueueId(0), ..any() }
}

impl Fixture {
    async fn ack_in_order(&self, message: &Popped) -> Answered {
        let header = AckMessage {
            consumer_group: "g".into(),
            topic: message.topic.clone(),
            queue_id: message.queue,
            extra_info: message.handle.clone(),
            offset: message.offset,
        };
        let request = self.request(&header, RequestCode::ACK_MESSAGE);
        self.pops.handle_batch(&mut vec![request], &self.peer);
        self.late_answer().await
    }

    /// A pop that may wait for the disk, as after a start.
    async fn pop_from_disk(&self) -> Answered {
        self.send_pop(&ordered());
        self.late_answer().await
    }

    async fn late_answer(&self) -> Answered {
        loop {
            let mut answers = self.answers();
            if let Some(answer) = answers.pop() {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_queue_is_leased_as_a_whole() {
    let fixture = Fixture::new();
    (0..6).for_each(|number| fixture.send(0, &number.to_string()));
    let first = fixture.pop(&PopMessage { max_msg_nums: 3, ..ordered() });
    assert_eq!(bodies(&first.messages), ["0", "1", "2"]);
    let reply = first.reply.unwrap();
    assert_eq!((reply.revive_queue, reply.order_count_info.as_deref()), (999, Some("0 0 0")));
    assert!(fixture.pop(&ordered()).messages.is_empty(), "the queue is leased");
    for message in &first.messages {
        assert_eq!(fixture.ack_in_order(message).await.code, ResponseCode::SUCCESS);
    }
    assert_eq!(bodies(&fixture.pop(&ordered()).messages), ["3", "4", "5"]);
}

#[tokio::test]
async fn a_lease_that_is_over_is_given_again_from_the_queue_and_counted() {
    let fixture = Fixture::new();
    ["a", "b"].iter().for_each(|body| fixture.send(0, body));
    fixture.pop(&ordered());
    fixture.pass(LASTS_MS - 1);
    assert!(fixture.pop(&ordered()).messages.is_empty());
    fixture.pass(1);
    let again = fixture.pop(&ordered());
    assert_eq!((bodies(&again.messages), again.messages[0].topic.as_str()), (vec!["a", "b"], "T"));
    assert_eq!(again.reply.unwrap().order_count_info.as_deref(), Some("0 qo0%0 1;0 qo0%1 1;0 0 1"));
    assert!(fixture.all_of("%RETRY%g_T", 0, 0).is_empty());
}

#[tokio::test]
async fn the_same_attempt_gets_the_same_lease() {
    let fixture = Fixture::new();
    ["a", "b"].iter().for_each(|body| fixture.send(0, body));
    let attempt = |name: &str| PopMessage { attempt_id: Some(name.into()), ..ordered() };
    assert_eq!(bodies(&fixture.pop(&attempt("x")).messages), ["a", "b"]);
    assert!(fixture.pop(&attempt("y")).messages.is_empty());
    assert_eq!(bodies(&fixture.pop(&attempt("x")).messages), ["a", "b"]);
}

#[tokio::test]
async fn only_what_is_not_acknowledged_is_given_again() {
    let fixture = Fixture::new();
    ["a", "b", "c"].iter().for_each(|body| fixture.send(0, body));
    let first = fixture.pop(&ordered()).messages;
    fixture.ack_in_order(&first[1]).await;
    fixture.pass(LASTS_MS);
    let again = fixture.pop(&ordered()).messages;
    assert_eq!(bodies(&again), ["a", "c"]);
    for message in &again {
        fixture.ack_in_order(message).await;
    }
    fixture.send(0, "d");
    assert_eq!(bodies(&fixture.pop(&ordered()).messages), ["d"]);
}

#[tokio::test]
async fn acknowledgements_of_another_lease_change_nothing() {
    let fixture = Fixture::new();
    ["a", "b"].iter().for_each(|body| fixture.send(0, body));
    let first = fixture.pop(&PopMessage { max_msg_nums: 1, ..ordered() }).messages;
    fixture.pass(LASTS_MS);
    fixture.pop(&PopMessage { max_msg_nums: 1, ..ordered() });
    assert_eq!(fixture.ack_in_order(&first[0]).await.code, ResponseCode::SUCCESS);
    assert!(fixture.pop(&ordered()).messages.is_empty(), "the second lease holds");
    let handle = format!("0 {} {LASTS_MS} 999 0 broker-a 0 1", fixture.clock.now().0);
    let stranger = Popped { offset: QueueOffset(1), handle, ..first[0].clone() };
    assert_eq!(fixture.ack_in_order(&stranger).await.code, ResponseCode::MESSAGE_ILLEGAL);
}

#[tokio::test]
async fn a_message_of_a_lease_can_be_hidden_longer() {
    let fixture = Fixture::new();
    fixture.send(0, "a");
    let popped = fixture.pop(&ordered()).messages.remove(0);
    let change = ChangeInvisibleTime {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: QueueId(0),
        extra_info: popped.handle.clone(),
        offset: popped.offset,
        invisible_time: 3 * LASTS_MS,
        suspend: None,
    };
    fixture.pass(1000);
    let reply = fixture.pops.handle(call(change, "", &fixture.peer)).await.unwrap();
    assert_eq!(reply.header().unwrap().invisible_time, 3 * LASTS_MS + 1000);
    fixture.pass(3 * LASTS_MS - 1);
    assert!(fixture.pop(&ordered()).messages.is_empty());
    fixture.pass(1);
    assert_eq!(bodies(&fixture.pop(&ordered()).messages), ["a"]);
}

#[tokio::test]
async fn the_end_of_a_lease_ends_a_wait() {
    let fixture = Fixture::new();
    fixture.send(0, "a");
    let popped = fixture.pop(&ordered()).messages.remove(0);
    fixture.send_pop(&PopMessage { poll_time: 60_000, ..ordered() });
    fixture.pass(LASTS_MS);
    fixture.settle_alarms();
    assert_eq!(bodies(&fixture.answer().messages), ["a"]);
    fixture.send_pop(&PopMessage { poll_time: 60_000, ..ordered() });
    fixture.send(0, "b");
    fixture.settle_alarms();
    assert!(fixture.answers().is_empty());
    let again =
        Popped { handle: popped.handle.replace(&START.0.to_string(), &fixture.clock.now().0.to_string()), ..popped };
    fixture.pops.ack_ordered(&ack::Ordered::of(&again), fixture.peer.remote()).await.unwrap();
    fixture.settle_alarms();
    assert_eq!(bodies(&fixture.answer().messages), ["b"]);
}

impl Fixture {
    fn settle_alarms(&self) {
        for key in self.pops.waiting.take_woken(self.clock.now()) {
            self.pops.serve_key(&key);
        }
    }
}

impl ack::Ordered {
    fn of(message: &Popped) -> Self {
        Self {
            topic: message.topic.clone(),
            group: "g".into(),
            queue: message.queue,
            offset: message.offset,
            pop_time: parse(&message.handle).pop_time,
        }
    }
}

#[tokio::test]
async fn a_restart_keeps_the_lease_and_what_was_acknowledged() {
    let fixture = Fixture::new();
    ["a", "b", "c"].iter().for_each(|body| fixture.send(0, body));
    let popped = fixture.pop(&ordered()).messages;
    fixture.ack_in_order(&popped[0]).await;
    let fixture = fixture.restart();
    assert!(fixture.pop_from_disk().await.messages.is_empty());
    fixture.ack_in_order(&popped[1]).await;
    fixture.pass(LASTS_MS);
    assert_eq!(bodies(&fixture.pop_later(&ordered()).await.messages), ["c"]);
}

#[tokio::test]
async fn offsets_of_queues_that_do_not_exist_keep_nobody_from_popping_and_acknowledging() {
    let fixture = Fixture::new();
    ["a", "b"].iter().for_each(|body| fixture.send(0, body));
    let progress = fixture.pops.offsets.progress(&"g".into(), &"T".into());
    (2..100_002).for_each(|queue| {
        progress.commit(QueueId(queue), QueueOffset(1));
    });
    let popped = fixture.pop(&PopMessage { max_msg_nums: 1, ..ordered() }).messages;
    assert_eq!(bodies(&popped), ["a"]);
    fixture.ack_in_order(&popped[0]).await;
    assert_eq!(bodies(&fixture.pop(&ordered()).messages), ["b"]);
}

#[tokio::test]
async fn a_reset_outlives_acknowledgements_until_a_pop_takes_it() {
    let fixture = Fixture::new();
    ["a", "b"].iter().for_each(|body| fixture.send(0, body));
    let popped = fixture.pop(&ordered()).messages;
    fixture.ack_in_order(&popped[0]).await;
    let progress = fixture.pops.offsets.progress(&"g".into(), &"T".into());
    progress.reset(QueueId(0), QueueOffset(0));
    fixture.ack_in_order(&popped[1]).await;
    assert_eq!(bodies(&fixture.pop(&ordered()).messages), ["a", "b"]);
}

#[tokio::test]
async fn a_lease_survives_a_kill_after_offsets_were_saved() {
    let fixture = Fixture::new();
    ["a", "b"].iter().for_each(|body| fixture.send(0, body));
    let popped = fixture.pop(&ordered()).messages;
    fixture.ack_in_order(&popped[1]).await;
    fixture.pops.offsets.save();
    let fixture = fixture.opened_again();
    assert!(fixture.pop_from_disk().await.messages.is_empty());
    fixture.pass(LASTS_MS);
    assert_eq!(bodies(&fixture.pop_from_disk().await.messages), ["a"]);
}
