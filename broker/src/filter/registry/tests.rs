use super::*;
use crate::testing::Surroundings;

struct Fixture {
    filters: Arc<Filters>,
    surroundings: Surroundings,
}

impl Fixture {
    fn new() -> Self {
        let surroundings = Surroundings::new();
        Self { filters: Self::open(&surroundings), surroundings }
    }

    fn open(surroundings: &Surroundings) -> Arc<Filters> {
        Filters::open(surroundings.ctx.clone(), &surroundings.folder.path().into()).unwrap()
    }

    /// As after a stop.
    fn reopen(&mut self) {
        self.filters.persist();
        self.filters = Self::open(&self.surroundings);
    }

    /// A heartbeat of group `g` with `topic=expression` each.
    fn beat(&self, version: i64, subscriptions: &[(&str, &str)]) {
        let subscription = |(topic, text): &(&str, &str)| SubscriptionData {
            topic: (*topic).into(),
            sub_string: (*text).to_owned(),
            sub_version: version,
            expression_type: ExpressionType(if *text == "*" { "TAG" } else { "SQL92" }.to_owned()),
            ..SubscriptionData::default()
        };
        self.filters.register(&"g".into(), &subscriptions.iter().map(subscription).collect::<Vec<_>>());
    }

    fn pass(&self, seconds: u64) {
        self.surroundings.ctx.clock.advance(Duration::from_secs(seconds));
    }

    /// Expression, version, and whether it is alive.
    fn check(&self, topic: &str, expect: Option<(&str, i64, bool)>) {
        let known = self.filters.get(topic, "g");
        let known = known.as_ref().map(|known| (known.text.as_str(), known.client_version, known.dead.is_none()));
        assert_eq!(known, expect, "{topic}");
    }
}

#[test]
fn the_newest_version_counts() {
    let fixture = Fixture::new();
    fixture.beat(5, &[("T", "a > 1"), ("U", "*")]);
    fixture.check("T", Some(("a > 1", 5, true)));
    fixture.check("U", None);
    fixture.beat(4, &[("T", "a > 2")]);
    fixture.beat(5, &[("T", "a > 2")]);
    fixture.check("T", Some(("a > 1", 5, true)));
    fixture.beat(6, &[("T", "a > 1")]);
    fixture.check("T", Some(("a > 1", 6, true)));
    fixture.beat(7, &[("T", "a > 2")]);
    fixture.check("T", Some(("a > 2", 7, true)));
}

#[test]
fn a_wrong_expression_ends_the_one_before() {
    let fixture = Fixture::new();
    fixture.beat(5, &[("T", "a > 1"), ("U", "a >")]);
    fixture.check("U", None);
    fixture.beat(6, &[("T", "a >")]);
    fixture.check("T", None);
}

#[test]
fn the_dead_come_back_or_are_forgotten_after_a_day() {
    let fixture = Fixture::new();
    fixture.beat(5, &[("T", "a > 1"), ("U", "a > 1")]);
    fixture.beat(5, &[("T", "a > 1")]);
    fixture.check("U", Some(("a > 1", 5, false)));
    fixture.filters.unregister(&"g".into());
    fixture.check("T", Some(("a > 1", 5, false)));
    fixture.pass(24 * 3600 - 1);
    fixture.beat(5, &[("T", "a > 1")]);
    fixture.check("T", Some(("a > 1", 5, true)));
    fixture.filters.clean();
    fixture.check("U", Some(("a > 1", 5, false)));
    fixture.pass(1);
    fixture.filters.clean();
    fixture.check("U", None);
    fixture.pass(48 * 3600);
    fixture.filters.clean();
    fixture.check("T", Some(("a > 1", 5, true)));
}

#[test]
fn a_restart_keeps_them_as_the_dead() {
    let mut fixture = Fixture::new();
    fixture.beat(5, &[("T", "a > 1")]);
    fixture.reopen();
    fixture.check("T", Some(("a > 1", 5, false)));
    assert!(fixture.filters.get("T", "g").unwrap().expression.matches("a\u{1}2\u{2}"));
    fixture.beat(5, &[("T", "a > 1")]);
    fixture.check("T", Some(("a > 1", 5, true)));
    // Java ignores the places of another bloom filter, and so do we.
    fixture.surroundings.set(|config| config.expect_consumer_num_use_filter = 64);
    fixture.reopen();
    fixture.check("T", None);
}
