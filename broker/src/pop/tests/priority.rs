//! Pops of topics with priorities.

use super::*;

/// Topic `T` has three queues, one for each priority.
fn fixture(change: impl FnOnce(&mut BrokerConfig)) -> Fixture {
    let fixture = Fixture::with(change);
    let changes = AttributeChanges::parse("+message.type=PRIORITY").unwrap();
    // The type of a topic can be changed, so that an ordinary one may become such.
    fixture.pops.topics.put(TopicConfig::new("T", 3, 6), &changes).unwrap();
    fixture
}

fn send(fixture: &Fixture) {
    for (queue, body) in [(0, "low"), (2, "high"), (1, "mid"), (0, "low2"), (2, "high2")] {
        fixture.send(queue, body);
    }
}

/// In the order in which they come.
fn in_order(fixture: &Fixture) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let messages = fixture.pop(&PopMessage { max_msg_nums: 1, ..any() }).messages;
        if messages.is_empty() {
            return all;
        }
        all.extend(messages.into_iter().map(|message| message.body));
    }
}

#[tokio::test]
async fn higher_priorities_come_first() {
    let fixture = fixture(|_| {});
    send(&fixture);
    assert_eq!(in_order(&fixture), ["high", "high2", "mid", "low", "low2"]);
}

#[tokio::test]
async fn lower_ones_do_if_they_are_to() {
    let fixture = fixture(|config| config.priority_order_asc = false);
    send(&fixture);
    assert_eq!(in_order(&fixture), ["low", "low2", "mid", "high", "high2"]);
}

#[tokio::test]
async fn a_group_may_take_no_notice_of_priorities() {
    let fixture = fixture(|_| {});
    let group = SubscriptionGroupConfig {
        attributes: [("+priority.factor".to_owned(), "0".to_owned())].into(),
        ..SubscriptionGroupConfig::new("g")
    };
    fixture.pops.groups.put_all(vec![group]).unwrap();
    // Each pop begins at a queue of its own choice; always the same five times running happens once in 10^9 tries.
    let orders = (0..40).map(|_| {
        send(&fixture);
        let order = in_order(&fixture);
        assert_eq!(order.len(), 5);
        order
    });
    assert!(orders.into_iter().collect::<HashSet<_>>().len() > 1);
}

#[tokio::test]
async fn what_comes_again_comes_behind() {
    let fixture = fixture(|config| config.pop_from_retry_probability = 100);
    fixture.send(2, "failed");
    assert_eq!(in_order(&fixture), ["failed"]);
    fixture.pass(LASTS_MS);
    fixture.pass(2001);
    send(&fixture);
    let order = in_order(&fixture);
    assert_eq!(order, ["high", "high2", "mid", "low", "low2", "failed"]);
}
