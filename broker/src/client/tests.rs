use remoting::body::{
    CheckClientRequestBody, ConsumeType, ConsumerData, ConsumerIdList, ExpressionType, HeartbeatData, MessageModel,
    ProducerData, SubscriptionData, fastjson,
};
use remoting::connection::{ConnectionEvents, Peer};
use remoting::frame::RemotingCommand;
use remoting::protocol::client::{CheckClientConfig, GetConsumerList, Heartbeat, HeartbeatReply, UnregisterClient};
use remoting::protocol::{RequestCode, ResponseCode};
use remoting::router::{Handle, IntoResponse};
use remoting::types::TopicName;
use tokio::time::{Duration, advance, sleep};

use super::*;
use crate::testing::{Surroundings, call, peer};

struct Fixture {
    clients: Arc<Clients>,
    surroundings: Surroundings,
}

impl Fixture {
    fn new() -> Self {
        let surroundings = Surroundings::new();
        let ctx = surroundings.ctx.clone();
        let topics = TopicTable::open(ctx.clone(), surroundings.folder.path()).unwrap();
        let groups = GroupTable::open(ctx.clone(), surroundings.folder.path()).unwrap();
        let clients = Clients::open(ctx, surroundings.folder.path(), topics, groups, Arc::default()).unwrap();
        Self { clients, surroundings }
    }

    async fn heartbeat(&self, peer: &Peer, heartbeat: HeartbeatData) -> HeartbeatReply {
        let call = call(Heartbeat {}, fastjson::write(&heartbeat), peer);
        self.clients.handle(call).await.unwrap().header().unwrap().clone()
    }

    /// A heartbeat of a client named after its port.
    async fn consume(&self, peer: &Peer, group: &str, subscriptions: Vec<SubscriptionData>) -> HeartbeatReply {
        self.heartbeat(peer, consumer(peer, group, subscriptions)).await
    }

    async fn leave(&self, peer: &Peer, consumer: Option<&str>, producer: Option<&str>) {
        let header = UnregisterClient {
            client_id: id(peer).into(),
            consumer_group: consumer.map(Into::into),
            producer_group: producer.map(Into::into),
        };
        self.clients.handle(call(header, "", peer)).await.unwrap();
    }

    async fn list(&self, group: &str) -> Result<Vec<String>, ClientError> {
        let header = GetConsumerList { consumer_group: group.into() };
        let reply = self.clients.handle(call(header, "", &peer(9))).await?;
        let body: ConsumerIdList = fastjson::read(&reply.content()).unwrap();
        Ok(body.consumer_id_list.iter().map(ToString::to_string).collect())
    }

    /// Groups of which `peer` was told that they changed.
    fn notices(&self, peer: &Peer) -> Vec<String> {
        self.clients.send_notices();
        peer.take_sent().unwrap().iter().map(group_of_notice).collect()
    }
}

fn group_of_notice(notice: &RemotingCommand) -> String {
    assert_eq!(notice.request_code(), RequestCode::NOTIFY_CONSUMER_IDS_CHANGED);
    assert!(notice.is_one_way());
    notice.ext.get("consumerGroup").unwrap().to_owned()
}

fn id(peer: &Peer) -> String {
    format!("{}@1", peer.remote())
}

fn consumer(peer: &Peer, group: &str, subscriptions: Vec<SubscriptionData>) -> HeartbeatData {
    let data =
        ConsumerData { group_name: group.into(), subscription_data_set: subscriptions, ..ConsumerData::default() };
    HeartbeatData { client_id: id(peer).into(), consumer_data_set: vec![data], ..HeartbeatData::default() }
}

fn to(topic: &str, version: i64) -> SubscriptionData {
    crate::filter::subscription(&topic.into(), "*", None, version).unwrap()
}

#[tokio::test]
async fn the_first_heartbeat_makes_a_member_and_a_retry_topic() {
    let fixture = Fixture::new();
    let a = peer(1);
    let reply = fixture.consume(&a, "g", vec![to("T", 1)]).await;
    assert_eq!(reply, HeartbeatReply { supports_v2: true, subscriptions_changed: true });
    assert_eq!(fixture.list("g").await.unwrap(), [id(&a)]);
    let group = fixture.clients.consumers.group("g").unwrap();
    assert_eq!(group.subscription("T").unwrap().sub_string, "*");
    let retry = fixture.clients.topics.get("%RETRY%g").unwrap();
    assert_eq!((retry.read_queue_nums, retry.perm, retry.order, retry.topic_sys_flag), (1, 6, false, 0));
}

#[tokio::test]
async fn heartbeats_and_connections_are_counted() {
    let fixture = Fixture::new();
    let (a, stats) = (peer(1), &fixture.clients.stats);
    let known = |name, key| stats.view(name, key).is_some();
    assert!(!known("CONSUMER_REGISTER_TIME", "DefaultCluster") && !known("CHANNEL_ACTIVITY", "CONNECT"));
    fixture.clients.opened(&a);
    fixture.consume(&a, "g", vec![to("T", 1)]).await;
    assert!(known("CONSUMER_REGISTER_TIME", "DefaultCluster") && known("CHANNEL_ACTIVITY", "CONNECT"));
    assert!(!known("PRODUCER_REGISTER_TIME", "DefaultCluster"));
    produce(&fixture, &a, "p").await;
    assert!(known("PRODUCER_REGISTER_TIME", "DefaultCluster"));
    assert!(!["IDLE", "EXCEPTION", "CLOSE"].iter().any(|key| known("CHANNEL_ACTIVITY", key)));
    fixture.clients.idle(&a);
    assert!(known("CHANNEL_ACTIVITY", "IDLE") && !known("CHANNEL_ACTIVITY", "EXCEPTION"));
    fixture.clients.failed(&a);
    assert!(known("CHANNEL_ACTIVITY", "EXCEPTION") && !known("CHANNEL_ACTIVITY", "CLOSE"));
    fixture.clients.closed(&a);
    assert!(known("CHANNEL_ACTIVITY", "CLOSE"));
}

#[tokio::test]
async fn a_retry_topic_has_what_group_and_heartbeat_say() {
    let fixture = Fixture::new();
    let ordered = remoting::body::TopicConfig { order: true, ..remoting::body::TopicConfig::new("T", 4, 6) };
    fixture.clients.topics.put(ordered, &crate::topic::AttributeChanges::default()).unwrap();
    let group = remoting::body::SubscriptionGroupConfig {
        retry_queue_nums: 3,
        ..remoting::body::SubscriptionGroupConfig::new("g")
    };
    fixture.clients.groups.put_all(vec![group]).unwrap();
    let a = peer(1);
    let mut heartbeat = consumer(&a, "g", vec![to("T", 1)]);
    heartbeat.consumer_data_set[0].unit_mode = true;
    fixture.heartbeat(&a, heartbeat).await;
    let retry = fixture.clients.topics.get("%RETRY%g").unwrap();
    assert_eq!((retry.read_queue_nums, retry.order, retry.topic_sys_flag), (3, true, 2));
}

#[tokio::test]
async fn a_group_that_may_not_be_created_is_passed_over_in_silence() {
    let fixture = Fixture::new();
    fixture.surroundings.set(|config| config.auto_create_subscription_group = false);
    let reply = fixture.consume(&peer(1), "g", vec![to("T", 1)]).await;
    assert!(reply.supports_v2);
    assert!(fixture.clients.consumers.group("g").is_none());
}

#[tokio::test]
async fn members_are_told_of_changes_and_only_of_changes() {
    let fixture = Fixture::new();
    let (a, b) = (peer(1), peer(2));
    fixture.consume(&a, "g", vec![to("T", 1)]).await;
    assert_eq!(fixture.notices(&a), ["g"]);
    fixture.consume(&a, "g", vec![to("T", 1)]).await;
    assert!(fixture.notices(&a).is_empty(), "nothing changed");

    fixture.consume(&b, "g", vec![to("T", 2)]).await;
    assert_eq!((fixture.notices(&a), fixture.notices(&b)), (vec!["g".into()], vec!["g".into()]), "a member joined");
    assert_eq!(fixture.clients.consumers.group("g").unwrap().subscription("T").unwrap().sub_version, 2);
    fixture.consume(&a, "g", vec![to("T", 1)]).await;
    assert!(fixture.notices(&a).is_empty(), "an older version of a subscription says nothing new");
    assert_eq!(fixture.clients.consumers.group("g").unwrap().subscription("T").unwrap().sub_version, 2);
    fixture.consume(&b, "g", vec![to("T", 3)]).await;
    assert!(fixture.notices(&a).is_empty(), "nor does a newer one");

    fixture.consume(&a, "g", vec![to("T", 3), to("U", 3)]).await;
    assert_eq!(fixture.notices(&b), ["g"], "a topic is new");
    a.take_sent().unwrap();
    fixture.consume(&a, "g", vec![to("U", 3)]).await;
    assert_eq!(fixture.notices(&b), ["g"], "a topic is gone: the last heartbeat wins");
    assert!(fixture.clients.consumers.group("g").unwrap().subscription("T").is_none());

    a.take_sent().unwrap();
    fixture.leave(&b, Some("g"), None).await;
    assert_eq!(fixture.notices(&a), ["g"], "a member left");
    assert!(fixture.notices(&b).is_empty());
    assert_eq!(fixture.list("g").await.unwrap(), [id(&a)]);
}

#[tokio::test]
async fn some_groups_are_never_told() {
    let told = async |change: &dyn Fn(&Fixture), model| {
        let fixture = Fixture::new();
        change(&fixture);
        let a = peer(1);
        let mut heartbeat = consumer(&a, "g", vec![to("T", 1)]);
        heartbeat.consumer_data_set[0].message_model = model;
        fixture.heartbeat(&a, heartbeat).await;
        !fixture.notices(&a).is_empty()
    };
    let quiet_group = |fixture: &Fixture| {
        let quiet = remoting::body::SubscriptionGroupConfig {
            notify_consumer_ids_changed_enable: false,
            ..remoting::body::SubscriptionGroupConfig::new("g")
        };
        fixture.clients.groups.put_all(vec![quiet]).unwrap();
    };
    let quiet_broker =
        |fixture: &Fixture| fixture.surroundings.set(|config| config.notify_consumer_ids_changed_enable = false);
    assert!(told(&|_| {}, MessageModel::Clustering).await);
    assert!(!told(&|_| {}, MessageModel::Broadcasting).await);
    assert!(!told(&quiet_group, MessageModel::Clustering).await);
    assert!(!told(&quiet_broker, MessageModel::Clustering).await);
}

#[tokio::test(start_paused = true)]
async fn notices_come_at_once_or_within_15_s() {
    let fixture = Fixture::new();
    fixture.clients.start();
    let (a, b) = (peer(1), peer(2));
    fixture.consume(&a, "g", vec![to("T", 1)]).await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(a.take_sent().unwrap().len(), 1);

    fixture.surroundings.set(|config| config.real_time_notify_consumer_change = false);
    fixture.consume(&b, "g", vec![to("T", 1)]).await;
    sleep(Duration::from_secs(14)).await;
    assert!(a.take_sent().unwrap().is_empty());
    sleep(Duration::from_secs(2)).await;
    assert_eq!(a.take_sent().unwrap().len(), 1);
    fixture.surroundings.ctx.stopping.cancel();
    fixture.surroundings.ctx.tasks.close();
    fixture.surroundings.ctx.tasks.wait().await;
}

#[tokio::test]
async fn a_closed_connection_leaves_all_its_groups() {
    let fixture = Fixture::new();
    let (a, b) = (peer(1), peer(2));
    for group in ["g1", "g2"] {
        fixture.consume(&a, group, vec![to("T", 1)]).await;
        fixture.consume(&b, group, vec![to("T", 1)]).await;
    }
    produce(&fixture, &a, "p").await;
    fixture.notices(&b);
    a.close();
    fixture.clients.closed(&a);
    let mut told = fixture.notices(&b);
    told.sort();
    assert_eq!(told, ["g1", "g2"]);
    assert_eq!(fixture.list("g1").await.unwrap(), [id(&b)]);
    assert!(fixture.clients.producers.any("p").is_none());
    fixture.clients.closed(&b);
    assert!(fixture.clients.consumers.groups().is_empty(), "a group without members is no group");
    assert!(!fixture.clients.consumers.has(a.id()) && !fixture.clients.producers.has(a.id()));
}

#[tokio::test]
async fn a_heartbeat_that_overtakes_its_connections_end_leaves_nothing() {
    let fixture = Fixture::new();
    let a = peer(1);
    a.close();
    fixture.clients.closed(&a);
    fixture.consume(&a, "g", vec![to("T", 1)]).await;
    assert!(fixture.clients.consumers.groups().is_empty());
}

#[tokio::test(start_paused = true)]
async fn silent_clients_are_forgotten_after_120_s() {
    let fixture = Fixture::new();
    let (a, b) = (peer(1), peer(2));
    fixture.consume(&a, "g", vec![to("T", 1)]).await;
    fixture.consume(&b, "g", vec![to("T", 1)]).await;
    produce(&fixture, &a, "p").await;
    advance(Duration::from_secs(60)).await;
    fixture.consume(&b, "g", vec![to("T", 1)]).await;
    fixture.notices(&b);
    advance(Duration::from_secs(60)).await;
    fixture.clients.expire();
    assert_eq!(fixture.clients.consumers.group("g").unwrap().members().len(), 2, "not yet");
    advance(Duration::from_millis(1)).await;
    fixture.clients.expire();
    assert_eq!(fixture.list("g").await.unwrap(), [id(&b)]);
    assert!(fixture.clients.producers.any("p").is_none());
    assert_eq!(fixture.notices(&b), ["g"]);
    assert!(a.is_closed() && !b.is_closed());
}

#[tokio::test(start_paused = true)]
async fn members_that_disagree_on_what_to_consume_stay_members() {
    let fixture = Fixture::new();
    let (a, b) = (peer(1), peer(2));
    for _ in 0..10 {
        fixture.consume(&a, "g", vec![to("T", 1)]).await;
        fixture.consume(&b, "g", vec![to("U", 1)]).await;
        advance(Duration::from_secs(30)).await;
        fixture.clients.expire();
    }
    assert_eq!(fixture.list("g").await.unwrap(), [id(&a), id(&b)]);
}

#[tokio::test(start_paused = true)]
async fn a_client_silent_in_one_group_keeps_its_connection_for_the_others() {
    let fixture = Fixture::new();
    let a = peer(1);
    fixture.consume(&a, "old", vec![to("T", 1)]).await;
    advance(Duration::from_secs(100)).await;
    fixture.consume(&a, "new", vec![to("T", 1)]).await;
    advance(Duration::from_secs(100)).await;
    fixture.clients.expire();
    assert!(fixture.clients.consumers.group("old").is_none());
    assert!(fixture.clients.consumers.group("new").is_some() && !a.is_closed());
}

#[tokio::test]
async fn a_client_on_two_connections_is_listed_once() {
    let fixture = Fixture::new();
    let (old, new) = (peer(1), peer(2));
    fixture.consume(&old, "g", vec![to("T", 1)]).await;
    fixture.heartbeat(&new, consumer(&old, "g", vec![to("T", 1)])).await;
    assert_eq!(fixture.clients.consumers.group("g").unwrap().members().len(), 2);
    assert_eq!(fixture.list("g").await.unwrap(), [id(&old)]);
    fixture.clients.closed(&old);
    assert_eq!(fixture.list("g").await.unwrap(), [id(&old)], "the newer connection is still there");
}

#[tokio::test]
async fn a_group_nobody_is_in_has_no_list() {
    let fixture = Fixture::new();
    let err = fixture.list("g").await.unwrap_err();
    assert_eq!((err.code(), err.to_string()), (ResponseCode::SYSTEM_ERROR, "no consumer for this group, g".into()));
}

#[tokio::test]
async fn a_body_that_does_not_parse_is_refused() {
    let fixture = Fixture::new();
    let err = fixture.clients.handle(call(Heartbeat {}, "{\"clientID\":", &peer(1))).await.unwrap_err();
    assert_eq!(err.code(), ResponseCode::SYSTEM_ERROR);
}

#[tokio::test]
async fn short_heartbeats_are_enough_once_a_full_one_was_taken() {
    let fixture = Fixture::new();
    let (a, b) = (peer(1), peer(2));
    let beat = async |peer: &Peer, fingerprint, short| {
        let subscriptions = if short { vec![] } else { vec![to("T", 1)] };
        let heartbeat = HeartbeatData {
            heartbeat_fingerprint: fingerprint,
            without_sub: short,
            ..consumer(peer, "g", subscriptions)
        };
        fixture.heartbeat(peer, heartbeat).await.subscriptions_changed
    };
    let subscribed = || fixture.clients.consumers.group("g").unwrap().subscription("T").is_some();

    assert!(beat(&a, 7, true).await, "we know nothing of the group, so a full heartbeat has to follow");
    assert!(!subscribed());
    assert!(beat(&a, 7, true).await, "and again, until it comes");
    assert!(!beat(&a, 7, false).await);
    assert!(subscribed());
    assert!(!beat(&a, 7, true).await);
    assert!(!beat(&b, 7, true).await, "another member with the same subscriptions");
    assert!(subscribed());
    assert_eq!(fixture.clients.consumers.group("g").unwrap().members().len(), 2);
    assert!(beat(&b, 8, false).await, "other subscriptions: the others have to say theirs again");
    assert!(beat(&a, 7, true).await);
}

#[tokio::test]
async fn pull_consumers_are_not_registered_where_they_are_rejected() {
    let fixture = Fixture::new();
    fixture.surroundings.set(|config| config.reject_pull_consumer_enable = true);
    let a = peer(1);
    for (consume_type, member) in [(ConsumeType::ConsumeActively, false), (ConsumeType::ConsumePassively, true)] {
        let mut heartbeat = consumer(&a, "g", vec![to("T", 1)]);
        heartbeat.consumer_data_set[0].consume_type = consume_type;
        fixture.heartbeat(&a, heartbeat).await;
        assert_eq!(fixture.clients.consumers.group("g").is_some(), member, "{consume_type:?}");
    }
}

async fn produce(fixture: &Fixture, peer: &Peer, group: &str) {
    let producer_data_set = vec![ProducerData { group_name: group.into() }];
    fixture
        .heartbeat(peer, HeartbeatData { client_id: id(peer).into(), producer_data_set, ..HeartbeatData::default() })
        .await;
}

#[tokio::test]
async fn producers_take_turns_and_dead_ones_are_passed_over() {
    let fixture = Fixture::new();
    let (a, b) = (peer(1), peer(2));
    produce(&fixture, &a, "p").await;
    produce(&fixture, &b, "p").await;
    produce(&fixture, &b, "q").await;
    let mut turns: Vec<_> = (0..4).map(|_| fixture.clients.producers.any("p").unwrap().id()).collect();
    turns.sort();
    assert_eq!(turns, [a.id(), a.id(), b.id(), b.id()]);
    a.close();
    assert!((0..4).all(|_| fixture.clients.producers.any("p") == Some(b.clone())));
    assert_eq!(fixture.clients.producers.members("p").len(), 2);
    fixture.leave(&b, None, Some("p")).await;
    assert!(fixture.clients.producers.any("p").is_none());
    assert_eq!(fixture.clients.producers.client(&id(&b)), Some(b.clone()), "it is still in another group");
    fixture.leave(&b, None, Some("q")).await;
    assert!(fixture.clients.producers.client(&id(&b)).is_none());
    assert_eq!(fixture.clients.producers.snapshot().len(), 1);
}

#[tokio::test]
async fn producers_are_not_kept_where_nobody_needs_them() {
    let fixture = Fixture::new();
    fixture.surroundings.set(|config| {
        config.enable_register_producer = false;
        config.reject_transaction_message = true;
    });
    produce(&fixture, &peer(1), "p").await;
    assert!(fixture.clients.producers.snapshot().is_empty());
}

#[tokio::test]
async fn subscriptions_are_checked_before_a_client_starts_with_them() {
    let fixture = Fixture::new();
    let check_text = async |expression_type: &str, text: &str| {
        let body = CheckClientRequestBody {
            subscription_data: SubscriptionData {
                expression_type: ExpressionType(expression_type.into()),
                sub_string: text.to_owned(),
                ..to("T", 1)
            },
            ..CheckClientRequestBody::default()
        };
        let answer = fixture.clients.handle(call(CheckClientConfig {}, fastjson::write(&body), &peer(1))).await;
        answer.map_or_else(|err| (err.code(), err.to_string()), |reply| (reply.response_code(), String::new()))
    };
    let check = async |expression_type: &str| check_text(expression_type, "a > 1").await;
    assert_eq!(check("TAG").await, (ResponseCode::SUCCESS, String::new()));
    assert_eq!(check("").await, (ResponseCode::SUCCESS, String::new()));
    let refused = "The broker does not support consumer to filter message by SQL92".to_owned();
    assert_eq!(check("SQL92").await, (ResponseCode::SYSTEM_ERROR, refused));
    fixture.surroundings.set(|config| config.enable_property_filter = true);
    assert_eq!(check("SQL92").await, (ResponseCode::SUCCESS, String::new()));
    let words = "java.lang.RuntimeException: Value ''x'' cannot be compared.".to_owned();
    assert_eq!(check_text("SQL92", "a > 'x'").await, (ResponseCode::SUBSCRIPTION_PARSE_FAILED, words));
    let words = "there are no expressions of the type SQL95".to_owned();
    assert_eq!(check("SQL95").await, (ResponseCode::SUBSCRIPTION_PARSE_FAILED, words));
}

#[tokio::test(start_paused = true)]
async fn subscriptions_that_came_with_pulls_are_kept_for_ten_minutes() {
    let fixture = Fixture::new();
    let consumers = &fixture.clients.consumers;
    let topic = TopicName::from("T");
    let keep = |text: &str| {
        let build = || crate::filter::subscription(&topic, text, None, 1).map(|built| (built, None));
        consumers
            .attached
            .keep(&"g".into(), &topic, |known| crate::filter::is_same(known, text, None), build)
            .unwrap()
            .0
    };
    let first = keep("A");
    assert!(Arc::ptr_eq(&first, &keep("A")));
    assert_eq!(keep("B").sub_string, "B");
    assert_eq!(consumers.subscription("g", "T").unwrap().sub_string, "B");
    fixture.consume(&peer(1), "g", vec![to("T", 1)]).await;
    assert_eq!(consumers.subscription("g", "T").unwrap().sub_string, "*", "members know better");
    fixture.leave(&peer(1), Some("g"), None).await;
    advance(Duration::from_secs(599)).await;
    fixture.clients.expire();
    assert!(consumers.attached.get("g", "T").is_some());
    advance(Duration::from_secs(2)).await;
    fixture.clients.expire();
    assert!(consumers.attached.get("g", "T").is_none());
}

#[tokio::test(start_paused = true)]
async fn the_filter_of_a_group_dies_with_its_last_member() {
    let fixture = Fixture::new();
    let by_sql = |version| SubscriptionData {
        expression_type: ExpressionType(ExpressionType::SQL92.to_owned()),
        sub_string: "a > 1".to_owned(),
        ..to("T", version)
    };
    let is_alive = || fixture.clients.filters.describe(&"T".into(), &"g".into()).contains("\"dead\": false");
    let (first, second) = (peer(1), peer(2));
    fixture.consume(&first, "g", vec![by_sql(5)]).await;
    fixture.consume(&second, "g", vec![by_sql(5)]).await;
    fixture.clients.closed(&first);
    assert!(is_alive());
    fixture.leave(&second, Some("g"), None).await;
    assert!(!is_alive());
    fixture.consume(&first, "g", vec![by_sql(5)]).await;
    assert!(is_alive());
}
