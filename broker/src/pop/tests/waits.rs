//! Pops and notifications that wait.

use remoting::protocol::pop::{Notification, NotificationReply, PollingInfo};
use remoting::router::Handle as _;

use super::*;
use crate::testing::call;

fn patient() -> PopMessage {
    PopMessage { poll_time: 5000, ..any() }
}

fn notification() -> Notification {
    Notification {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: QueueId(-1),
        poll_time: 5000,
        born_time: None,
        order: None,
        attempt_id: None,
    }
}

impl Fixture {
    /// Serves whoever is told to be.
    pub(super) async fn settle(&self) {
        // As the task of pulls and pops do.
        for _ in 0..3 {
            if let Ok(grown) = tokio::time::timeout(std::time::Duration::ZERO, self.pops.store.grown()).await {
                grown.iter().for_each(|queue| self.pops.grown(queue));
            }
            for key in self.pops.waiting.take_woken(self.clock.now()) {
                self.pops.serve_key(&key);
            }
        }
    }

    async fn polling(&self) -> i32 {
        let asked = PollingInfo { consumer_group: "g".into(), topic: "T".into(), queue_id: QueueId(-1) };
        self.pops.handle(call(asked, "", &self.peer)).await.unwrap().header().unwrap().polling_num
    }

    fn told(&self) -> Vec<(bool, bool)> {
        let sent = self.peer.take_sent().unwrap();
        let reply = |answer: &RemotingCommand| NotificationReply::decode(&answer.ext).unwrap();
        sent.iter().map(|answer| (reply(answer).has_msg, reply(answer).polling_full)).collect()
    }

    fn notice(&self, header: &Notification) {
        self.pops.handle_batch(&mut vec![command(header)], &self.peer);
    }
}

#[tokio::test]
async fn a_pop_waits_for_a_message() {
    let fixture = Fixture::new();
    fixture.send_pop(&patient());
    fixture.settle().await;
    assert!(fixture.answers().is_empty());
    assert_eq!(fixture.polling().await, 1);
    fixture.send(1, "a");
    fixture.settle().await;
    assert_eq!(bodies(&fixture.answer().messages), ["a"]);
    assert_eq!(fixture.polling().await, 0);
}

#[tokio::test]
async fn one_message_serves_one_pop_and_many_serve_many() {
    let fixture = Fixture::new();
    (0..3).for_each(|_| fixture.send_pop(&PopMessage { max_msg_nums: 1, ..patient() }));
    fixture.send(0, "a");
    fixture.settle().await;
    assert_eq!(fixture.answers().len(), 1);
    ["b", "c"].iter().for_each(|body| fixture.send(0, body));
    fixture.settle().await;
    assert_eq!(fixture.answers().len(), 2);
}

#[tokio::test]
async fn a_message_that_comes_back_ends_a_wait() {
    let fixture = Fixture::new();
    fixture.send(0, "a");
    fixture.pop_all();
    fixture.send_pop(&PopMessage { poll_time: 60_000, ..any() });
    fixture.pass(LASTS_MS);
    fixture.pass(2001);
    fixture.settle().await;
    let answer = fixture.answer();
    assert_eq!((bodies(&answer.messages), answer.messages[0].attempts), (vec!["a"], 1));
}

#[tokio::test]
async fn a_message_that_is_not_wanted_ends_no_wait() {
    let fixture = Fixture::new();
    fixture.send_pop(&PopMessage { expression: Some("other".into()), ..patient() });
    fixture.send(0, "a");
    fixture.settle().await;
    assert!(fixture.answers().is_empty());
    assert!(fixture.send_to(0, "b", "other"));
    fixture.settle().await;
    assert_eq!(bodies(&fixture.answer().messages), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_in_time_and_when_the_broker_stops() {
    let fixture = Fixture::new();
    let serving = tokio::spawn(Arc::clone(&fixture.pops).serve_waiting());
    fixture.send_pop(&patient());
    fixture.clock.set(Timestamp(START.0 + 4999));
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(fixture.answers().is_empty());
    fixture.clock.set(Timestamp(START.0 + 5000));
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(fixture.answer().code, ResponseCode::POLLING_TIMEOUT);
    fixture.send_pop(&patient());
    fixture.notice(&notification());
    fixture.surroundings.ctx.stopping.cancel();
    serving.await.unwrap();
    assert_eq!(fixture.peer.take_sent().unwrap().len(), 2);
}

#[tokio::test]
async fn too_many_may_not_wait() {
    let fixture = Fixture::with(|config| config.pop_polling_size = 1);
    (0..3).for_each(|_| fixture.send_pop(&patient()));
    assert_eq!(fixture.answer().code, ResponseCode::POLLING_FULL);
    let fixture = Fixture::with(|config| config.max_pop_polling_size = 1);
    fixture.send_pop(&patient());
    fixture.notice(&notification());
    assert_eq!(fixture.told(), [(false, true)]);
}

#[tokio::test]
async fn a_notification_tells_of_messages_and_takes_none() {
    let fixture = Fixture::new();
    fixture.notice(&notification());
    fixture.settle().await;
    assert_eq!(fixture.told(), []);
    fixture.send(0, "a");
    fixture.settle().await;
    assert_eq!(fixture.told(), [(true, false)]);
    fixture.notice(&notification());
    assert_eq!(fixture.told(), [(true, false)]);
    assert_eq!(bodies(&fixture.pop_all()), ["a"]);
    fixture.notice(&Notification { poll_time: 0, ..notification() });
    assert_eq!(fixture.told(), [(false, false)]);
}

#[tokio::test]
async fn as_many_are_told_as_there_are_messages() {
    let fixture = Fixture::new();
    (0..3).for_each(|_| fixture.notice(&notification()));
    ["a", "b"].iter().for_each(|body| fixture.send(0, body));
    fixture.settle().await;
    assert_eq!(fixture.told(), [(true, false), (true, false)]);
}
