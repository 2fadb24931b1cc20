use remoting::body::{GroupForbidden, SubscriptionGroupWrapper};
use remoting::protocol::group::{
    DeleteGroup, GetAllGroupConfig, GetGroupConfig, UpdateGroup, UpdateGroupForbidden, UpdateGroupList,
};

use super::*;

#[tokio::test]
async fn a_group_is_created_shown_and_deleted() {
    let fixture = Fixture::with(|settings| settings.auto_create_subscription_group = false);
    let groups = &fixture.admin.groups;
    // As mqadmin sends it.
    let config = r#"{"attributes":{},"brokerId":0,"consumeBroadcastEnable":false,"consumeEnable":true,"groupName":"A",
        "groupRetryPolicy":{"type":"CUSTOMIZED"},"retryMaxTimes":3,"retryQueueNums":1}"#;
    ask(groups, UpdateGroup {}, config).await.unwrap();
    ask(groups, UpdateGroup {}, "").await.unwrap();
    let shown: Value = ask_json(groups, GetGroupConfig { group: "A".into() }).await.unwrap();
    assert_eq!((&shown["retryMaxTimes"], &shown["consumeTimeoutMinute"]), (&3.into(), &15.into()));
    fixture.commit("A", "T", 0, 5);
    let delete = |clean| DeleteGroup { group_name: "A".into(), clean_offset: clean };
    ask(groups, delete(None), "").await.unwrap();
    assert_eq!(fixture.offsets.groups_of("T").len(), 1, "offsets stay unless asked for");
    ask(groups, delete(Some(true)), "").await.unwrap();
    assert!(fixture.offsets.groups_of("T").is_empty());
    let unknown = ask(groups, GetGroupConfig { group: "A".into() }, "").await;
    assert_eq!(unknown, refused(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, "No group in this broker"));
    let nameless = ask(groups, UpdateGroup {}, "{}").await;
    assert_eq!(nameless, refused(ResponseCode::INVALID_PARAMETER, "The specified group is blank."));
}

#[tokio::test]
async fn groups_are_told_at_once_or_in_pages() {
    let fixture = Fixture::new();
    let groups = &fixture.admin.groups;
    ask(groups, UpdateGroupList {}, r#"{"groupConfigList":[{"groupName":"A"},{"groupName":"B"}]}"#).await.unwrap();
    fixture.groups.forbid_read(&"B".into(), &"T".into(), true).unwrap();
    let page = |group_seq, max_group_num| GetAllGroupConfig { group_seq, data_version: None, max_group_num };
    let all: SubscriptionGroupWrapper = ask_json(groups, page(None, None)).await.unwrap();
    assert_eq!(all, fixture.groups.snapshot());
    let first: SubscriptionGroupWrapper = ask_json(groups, page(Some(0), Some(1))).await.unwrap();
    assert_eq!(first.subscription_group_table.keys().collect::<Vec<_>>(), ["A"]);
    assert!(first.forbidden_table.is_empty(), "of the groups of the page only");
}

#[tokio::test]
async fn a_group_may_be_kept_from_a_topic() {
    let fixture = Fixture::new();
    let groups = &fixture.admin.groups;
    let ask_for = async |readable| {
        let header = UpdateGroupForbidden { group: "G".into(), topic: "T".into(), readable };
        ask_json::<_, _, GroupForbidden>(groups, header).await.unwrap().readable
    };
    assert!(ask_for(None).await);
    assert!(!ask_for(Some(false)).await);
    assert!(!ask_for(None).await && fixture.groups.is_read_forbidden("G", "T"));
    assert!(ask_for(Some(true)).await);
}
