//! Pops of light queues, whose offsets are others than those of the topic that their messages belong to.

use super::*;

const LIGHT: &str = "%LMQ%a";

fn fixture() -> Fixture {
    Fixture::with(|config| (config.enable_lmq, config.enable_multi_dispatch) = (true, true))
}

impl Fixture {
    fn send_light(&self, body: &str, names: &str) {
        let properties = format!("UNIQ_KEY\x01key-{body}\x02TAGS\x01tag\x02INNER_MULTI_DISPATCH\x01{names}\x02");
        assert!(self.put("T", 0, &properties, body.as_bytes()));
    }

    fn pop_light(&self) -> Vec<Popped> {
        self.pop(&light()).messages
    }
}

fn light() -> PopMessage {
    PopMessage { topic: LIGHT.into(), queue_id: QueueId(-1), ..any() }
}

fn offsets(messages: &[Popped]) -> Vec<i64> {
    messages.iter().map(|message| message.offset.0).collect()
}

#[tokio::test]
async fn leases_have_the_offsets_of_the_light_queue() {
    let fixture = fixture();
    fixture.send(0, "before");
    fixture.send_light("a", LIGHT);
    fixture.send_light("b", "%LMQ%b,%LMQ%a");
    fixture.send(0, "between");
    fixture.send_light("other", "%LMQ%b");
    fixture.send_light("c", LIGHT);
    let popped = fixture.pop_light();
    assert_eq!((bodies(&popped), offsets(&popped)), (vec!["a", "b", "c"], vec![0, 1, 2]));
    assert!(fixture.pop_light().is_empty(), "all is leased");
    for message in [&popped[0], &popped[2]] {
        fixture.ack_ok(message);
    }
    fixture.pass(LASTS_MS);
    fixture.pass(2001);
    let again = fixture.pop_light();
    assert_eq!(bodies(&again), ["b"]);
    assert_eq!((again[0].attempts, &*again[0].topic), (1, "%RETRY%g_%LMQ%a"));
    fixture.ack_ok(&again[0]);
    fixture.pass(LASTS_MS);
    fixture.pass(2001);
    assert!(fixture.pop_light().is_empty(), "all is acknowledged");
    let ends = [LIGHT, "%LMQ%b"].map(|queue| fixture.pops.store.max_offset(queue, QueueId(0)).unwrap().0);
    assert_eq!(ends, [3, 2], "what came again is in no light queue once more");
}

#[tokio::test]
async fn what_is_acknowledged_stays_so_over_a_restart() {
    let fixture = fixture();
    ["a", "b", "c"].into_iter().for_each(|body| fixture.send_light(body, LIGHT));
    let popped = fixture.pop_light();
    fixture.ack_ok(&popped[1]);
    let fixture = fixture.opened_again();
    assert!(fixture.pop_light().is_empty(), "all is leased");
    fixture.pass(LASTS_MS);
    fixture.pass(2001);
    assert_eq!(bodies(&fixture.pop_light()), ["a", "c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_ordered_pop_leases_a_light_queue_as_a_whole() {
    let fixture = fixture();
    fixture.send(0, "before");
    ["a", "b", "c"].into_iter().for_each(|body| fixture.send_light(body, LIGHT));
    let ordered = PopMessage { order: Some(true), queue_id: QueueId(0), max_msg_nums: 2, ..light() };
    let popped = fixture.pop(&ordered).messages;
    assert_eq!((bodies(&popped), offsets(&popped)), (vec!["a", "b"], vec![0, 1]));
    assert!(fixture.pop(&ordered).messages.is_empty(), "the queue is leased");
    for message in &popped {
        let Popped { topic, queue, offset, handle, .. } = message.clone();
        let ack = ack::Ordered { topic, group: "g".into(), queue, offset, pop_time: parse(&handle).pop_time };
        fixture.pops.ack_ordered(&ack, fixture.peer.remote()).await.unwrap();
    }
    let next = fixture.pop(&ordered).messages;
    assert_eq!((bodies(&next), offsets(&next)), (vec!["c"], vec![2]));
    // Not acknowledged, it is given again from the queue itself.
    fixture.pass(LASTS_MS + 1);
    assert_eq!(bodies(&fixture.pop(&ordered).messages), ["c"]);
}
