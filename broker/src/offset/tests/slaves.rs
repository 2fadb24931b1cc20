use super::*;

impl Fixture {
    /// Of a slave.
    fn of_slave() -> Self {
        let surroundings = Surroundings::new();
        surroundings.role.send_replace(Role::Slave);
        Self::on(surroundings)
    }

    fn copy(&self, key: &str, offsets: &[(i32, i64)], counter: i64) {
        let data_version = DataVersion { counter, ..DataVersion::default() };
        let offset_table = [(key.to_owned(), offsets.iter().copied().collect())].into();
        self.offsets.copy(OffsetNews { data_version, offset_table });
    }

    fn own(&self) -> Vec<(String, i32, i64)> {
        let own = self.offsets.own().into_iter();
        own.map(|own| (format!("{}@{}", own.topic, own.group), own.queue.0, own.offset.0)).collect()
    }
}

#[tokio::test]
async fn a_slave_gets_the_whole_table() {
    let fixture = Fixture::new();
    fixture.commit("g", "T", 1, 4);
    let reply = fixture.offsets.handle(call(GetAllConsumerOffset {}, "", &peer(1))).await.unwrap();
    let text = String::from_utf8(reply.content()).unwrap();
    assert!(text.ends_with("\"offsetTable\":{\"T@g\":{1:4}}}"), "{text}");
}

#[tokio::test]
async fn a_slaves_offsets_are_its_masters_but_for_what_was_committed_here() {
    let fixture = Fixture::of_slave();
    fixture.copy("T@g", &[(0, 10), (1, 10)], 3);
    fixture.copy("T@other", &[(0, 1)], 4);
    assert_eq!((fixture.get("g", "T", 0), fixture.get("other", "T", 0)), (Some(10), Some(1)));
    assert_eq!(fixture.offsets.version().counter, 4);
    fixture.copy("T@g", &[(0, 4)], 5);
    assert_eq!(fixture.get("g", "T", 0), Some(4), "an administrator has moved the group back");
    assert_eq!(fixture.own(), []);

    fixture.commit("g", "T", 0, 8);
    fixture.commit("g", "T", 1, 9);
    assert_eq!(fixture.own(), [("T@g".to_owned(), 0, 8), ("T@g".to_owned(), 1, 9)]);
    // The master is back with what it knew; of one queue that is more.
    fixture.copy("T@g", &[(0, 4), (1, 10)], 5);
    assert_eq!((fixture.get("g", "T", 0), fixture.get("g", "T", 1)), (Some(8), Some(10)));
    let fixture = fixture.reopen();
    assert_eq!(fixture.own(), [("T@g".to_owned(), 0, 8)], "it is not forgotten by a restart");
    fixture.copy("T@g", &[(0, 4)], 5);
    assert_eq!(fixture.get("g", "T", 0), Some(8));
    // The master has it.
    fixture.copy("T@g", &[(0, 8)], 6);
    assert_eq!(fixture.own(), []);
    fixture.copy("T@g", &[(0, 5)], 7);
    assert_eq!(fixture.get("g", "T", 0), Some(5));
}

#[tokio::test]
async fn what_was_handed_over_is_forgotten_unless_more_was_committed_meanwhile() {
    let fixture = Fixture::of_slave();
    fixture.commit("g", "T", 0, 8);
    fixture.commit("g", "T", 1, 3);
    let handed = fixture.offsets.own();
    fixture.commit("g", "T", 1, 5);
    handed.iter().for_each(|own| fixture.offsets.disown(own));
    assert_eq!(fixture.own(), [("T@g".to_owned(), 1, 5)]);
    fixture.offsets.own().iter().for_each(|own| fixture.offsets.disown(own));
    assert_eq!(fixture.own(), []);
    assert_eq!(fixture.reopen().own(), []);
}

#[tokio::test]
async fn nothing_is_told_of_what_is_gone_or_was_not_taken() {
    let fixture = Fixture::of_slave();
    fixture.offsets.topics.put(TopicConfig::new("U", 2, 6), &crate::topic::AttributeChanges::default()).unwrap();
    fixture.commit("g", "T", 0, 8);
    fixture.commit("g", "U", 0, 9);
    fixture.offsets.progress(&"g".into(), &"U".into()).reset(QueueId(1), QueueOffset(1));
    let dropped = Some("Offset has been previously reset".to_owned());
    assert_eq!(fixture.commit("g", "U", 1, 9), (ResponseCode::SUCCESS, dropped));
    assert_eq!(fixture.own(), [("T@g".to_owned(), 0, 8), ("U@g".to_owned(), 0, 9)]);
    fixture.offsets.remove_topic("T");
    let fixture = fixture.reopen();
    assert_eq!(fixture.own(), [("U@g".to_owned(), 0, 9)]);
    fixture.offsets.remove_group("g");
    assert_eq!(fixture.own(), []);
    assert_eq!(fixture.reopen().own(), []);
}

#[tokio::test]
async fn a_slave_that_becomes_the_master_tells_nobody() {
    let fixture = Fixture::of_slave();
    fixture.commit("g", "T", 0, 8);
    fixture.offsets.save();
    // The table of all offsets may be a bit older.
    write_offsets(&fixture.surroundings, "consumerOffset.json", r#"{"offsetTable":{"T@g":{0:5,1:7}}}"#);
    let Fixture { offsets, surroundings } = fixture;
    offsets.store.close().unwrap();
    drop(offsets);
    surroundings.role.send_replace(Role::Master);
    let fixture = Fixture::on(surroundings);
    assert_eq!((fixture.get("g", "T", 0), fixture.get("g", "T", 1)), (Some(8), Some(7)));
    fixture.surroundings.role.send_replace(Role::Slave);
    let fixture = fixture.reopen();
    assert_eq!((fixture.get("g", "T", 0), fixture.own()), (Some(8), vec![]));
}

#[tokio::test]
async fn what_a_slave_hands_over_moves_nobody_back() {
    let fixture = Fixture::new();
    fixture.append("T", 0, 20);
    fixture.commit("g", "T", 0, 10);
    assert_eq!(fixture.own(), [], "a master has no master");
    let hand_over = |offset| {
        let header = UpdateConsumerOffset {
            consumer_group: "g".into(),
            topic: "T".into(),
            queue_id: QueueId(0),
            commit_offset: QueueOffset(offset),
            forward: Some(true),
        };
        let answer = fixture.update(command(&header));
        (answer.1, fixture.get("g", "T", 0))
    };
    let step = fixture.offsets.step();
    assert_eq!(hand_over(7), (Some("More is committed already".to_owned()), Some(10)));
    assert_eq!(fixture.offsets.step(), step, "other slaves need not be told");
    assert_eq!(hand_over(10), (None, Some(10)));
    assert_eq!(hand_over(12), (None, Some(12)));
    fixture.reset(reset_one(0, 3)).await.unwrap();
    let refused = Some("Offset has been previously reset".to_owned());
    assert_eq!(hand_over(12), (refused, Some(3)));
}

#[tokio::test]
async fn slaves_are_told_what_changed() {
    let fixture = Fixture::new();
    fixture.commit("g", "T", 0, 1);
    let (era, all) = fixture.offsets.news(None);
    assert_eq!(all.offset_table, [("T@g".to_owned(), [(0, 1)].into())].into());
    let step = fixture.offsets.step();
    let (era, none) = fixture.offsets.news(Some(era));
    assert!(none.offset_table.is_empty());
    fixture.commit("g", "T", 0, 1);
    fixture.commit("g", "U", 0, 1);
    fixture.offsets.progress(&"g".into(), &"T".into()).pull(QueueId(0), QueueOffset(7), None, false);
    assert!(fixture.offsets.step() > step);
    // A second slave, which asks for itself.
    assert_eq!(fixture.offsets.news(None).1.offset_table.len(), 1, "topic U does not exist");
    let (_, news) = fixture.offsets.news(Some(era));
    assert!(news.offset_table.is_empty(), "the same once more, and a pull, are no change");
    fixture.commit("g", "T", 1, 5);
    let (_, news) = fixture.offsets.news(Some(era));
    assert_eq!(news.offset_table, [("T@g".to_owned(), [(0, 1), (1, 5)].into())].into());
    fixture.reset(reset_one(0, 0)).await.unwrap();
    let (_, news) = fixture.offsets.news(Some(era + 2));
    assert_eq!(news.offset_table["T@g"], [(0, 0), (1, 5)].into());
}

#[tokio::test]
async fn a_master_takes_what_a_slave_had_meanwhile_only_where_that_is_ahead() {
    let fixture = Fixture::new();
    fixture.commit("g", "T", 0, 5);
    let slaves = r#"{"offsetTable":{"T@g":{0:3,1:9},"U@h":{0:2}}}"#;
    assert_eq!(fixture.offsets.merge_forward(fastjson::read(slaves.as_bytes()).unwrap()), 2);
    let of = |group, topic, queue| fixture.get(group, topic, queue);
    assert_eq!((of("g", "T", 0), of("g", "T", 1), of("h", "U", 0)), (Some(5), Some(9), Some(2)));
}
