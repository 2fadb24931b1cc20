use super::*;

fn with_light_queues() -> Surroundings {
    Surroundings::with(|config| config.enable_lmq = true)
}

impl Fixture {
    /// A message in the light queue.
    fn put_light(&self, queue: &str) {
        let mut batch = self.offsets.store.batch();
        let topic = queue.into();
        let host = self.surroundings.ctx.identity.host;
        batch.push(&Message::new(&topic, LIGHT_QUEUE, b"x", host)).unwrap();
        self.offsets.store.append(&mut batch).unwrap();
    }
}

#[tokio::test]
async fn offsets_of_light_queues_are_in_a_file_of_javas() {
    let surroundings = with_light_queues();
    // As Java 5.5.0 writes it; it reads the two tables.
    let text = r#"{"dataVersion":{"counter":0},"groupTopicMap":{},"lmqOffsetTable":{"%LMQ%a@%LMQ%g":7},"offsetTable":{"%LMQ%a@g":{0:5},"T@g":{1:3}},"pullOffsetTable":{}}"#;
    write_offsets(&surroundings, "lmqConsumerOffset.json", text);
    write_offsets(&surroundings, "consumerOffset.json", r#"{"offsetTable":{"T@g":{1:99}}}"#);
    let fixture = Fixture::on(surroundings);
    let of = |group: &str, topic: &str, queue| fixture.get(group, topic, queue);
    assert_eq!((of("%LMQ%g", "%LMQ%a", 0), of("g", "%LMQ%a", 0), of("g", "T", 1)), (Some(7), Some(5), Some(3)));
    fixture.put_light("%LMQ%a");
    fixture.commit("%LMQ%g", "%LMQ%a", 0, 8);
    let java = fixture.offsets.to_java();
    assert!(
        java.contains(r#""lmqOffsetTable":{"%LMQ%a@%LMQ%g":8},"offsetTable":{"%LMQ%a@g":{0:5},"T@g":{1:3}}"#),
        "{java}"
    );
    let fixture = fixture.reopen();
    assert_eq!((fixture.get("%LMQ%g", "%LMQ%a", 0), fixture.get("g", "T", 1)), (Some(8), Some(3)));
}

#[tokio::test]
async fn turning_light_queues_on_keeps_the_offsets_there_are() {
    let surroundings = with_light_queues();
    write_offsets(&surroundings, "consumerOffset.json", r#"{"offsetTable":{"T@g":{1:99}}}"#);
    let fixture = Fixture::on(surroundings);
    assert_eq!(fixture.get("g", "T", 1), Some(99));
    fixture.commit("g", "T", 1, 100);
    assert_eq!(fixture.reopen().get("g", "T", 1), Some(100));
}

#[tokio::test]
async fn nothing_is_kept_of_light_queues_that_nobody_has_sent_to() {
    let fixture = Fixture::on(with_light_queues());
    fixture.put_light("%LMQ%there");
    for queue in ["%LMQ%there", "%LMQ%1", "%LMQ%2"] {
        fixture.commit("g", queue, 0, 1);
    }
    assert_eq!(fixture.offsets.topics_of("g"), ["%LMQ%there"]);
}
