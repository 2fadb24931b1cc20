use super::*;

#[tokio::test]
async fn groups_and_topics_take_their_offsets_with_them() {
    let fixture = Fixture::new();
    fixture.offsets.groups.put_all(vec![SubscriptionGroupConfig::new("h")]).unwrap();
    for group in ["g", "h"] {
        fixture.commit(group, "T", 0, 1);
    }
    fixture.offsets.remove_group("g");
    assert_eq!((fixture.get("g", "T", 0), fixture.get("h", "T", 0)), (None, Some(1)));
    fixture.offsets.remove_topic("T");
    assert_eq!(fixture.get("h", "T", 0), None);
    let fixture = fixture.reopen();
    assert_eq!(fixture.get("h", "T", 0), None);
}

#[tokio::test]
async fn a_group_takes_over_the_offsets_of_another() {
    let fixture = Fixture::new();
    fixture.commit("g", "T", 0, 4);
    let copy = async |topic: Option<&str>, offline| {
        let header = CloneGroupOffset {
            src_group: "g".into(),
            dest_group: "h".into(),
            topic: topic.map(Into::into),
            offline: Some(offline),
        };
        fixture.offsets.handle(call(header, "", &peer(1))).await.unwrap();
        let copied = fixture.get("h", "T", 0);
        fixture.offsets.remove_group("h");
        copied
    };
    assert_eq!(copy(Some("T"), false).await, Some(4));
    assert_eq!(copy(None, false).await, Some(4), "no topic: all");
    assert_eq!(copy(Some("X"), false).await, None);
    join(&fixture, &peer(2), "U").await;
    assert_eq!(copy(Some("T"), false).await, None, "the group is online and consumes something else");
    assert_eq!(copy(Some("T"), true).await, Some(4));
}
