use remoting::body::{
    MessageQueueAssignment, MessageRequestMode, MessageRequestModes, QueryAssignmentReplyBody, RequestMode,
    SubscriptionGroupConfig, TopicConfig, fastjson,
};
use remoting::connection::Peer;
use remoting::protocol::client::Heartbeat;
use remoting::router::Handle;
use remoting::types::QueueId;

use super::*;
use crate::config::DefaultRequestMode;
use crate::register::Shown;
use crate::testing::{Surroundings, call, peer};
use crate::topic::AttributeChanges;

/// A broker whose name server says that topic `T` has four queues, and group `g` with two members.
struct Fixture {
    assignments: Arc<Assignments>,
    surroundings: Surroundings,
    peer: Peer,
}

impl Fixture {
    async fn new() -> Self {
        let surroundings = Surroundings::new();
        let assignments = Self::open(&surroundings);
        let this = Self { assignments, surroundings, peer: peer(7) };
        this.assignments.topics.put(TopicConfig::new("T", 4, 6), &AttributeChanges::default()).unwrap();
        this.assignments.groups.put_all(vec![SubscriptionGroupConfig::new("g")]).unwrap();
        for (port, client) in [(1, "c1"), (2, "c2")] {
            let body = format!(r#"{{"clientID":"{client}","consumerDataSet":[{{"groupName":"g"}}]}}"#);
            this.assignments.clients.handle(call(Heartbeat {}, body, &peer(port))).await.unwrap();
        }
        this
    }

    fn open(surroundings: &Surroundings) -> Arc<Assignments> {
        let (ctx, folder) = (surroundings.ctx.clone(), surroundings.folder.path());
        let topics = TopicTable::open(ctx.clone(), folder).unwrap();
        let groups = GroupTable::open(ctx.clone(), folder).unwrap();
        let clients =
            Clients::open(ctx.clone(), folder, Arc::clone(&topics), Arc::clone(&groups), Arc::default()).unwrap();
        let registrar = Registrar::new(ctx.clone(), Arc::clone(&topics), Arc::default(), Shown::AsTheyAre);
        let assignments = Assignments::open(ctx, folder, topics, groups, clients, registrar).unwrap();
        assignments.routes.learn("T", 4);
        assignments
    }

    /// The queues of a client and how it gets their messages; `None`: it keeps what it has.
    async fn ask(&self, topic: &str, client: &str, strategy: &str) -> Option<Vec<(i32, RequestMode)>> {
        let body = format!(
            r#"{{"clientId":"{client}","consumerGroup":"g","messageModel":"CLUSTERING","strategyName":"{strategy}","topic":"{topic}"}}"#
        );
        let reply = self.assignments.handle(call(QueryAssignment {}, body, &self.peer)).await.unwrap();
        let reply: QueryAssignmentReplyBody = fastjson::read(&reply.content()).unwrap();
        let queue = |assigned: MessageQueueAssignment| (assigned.message_queue.queue_id.0, assigned.mode);
        reply.message_queue_assignments.map(|queues| queues.into_iter().map(queue).collect())
    }

    async fn set(&self, topic: &str, group: &str, mode: &str) -> Result<(), AssignmentError> {
        let body = format!(r#"{{"consumerGroup":"{group}","mode":"{mode}","popShareQueueNum":0,"topic":"{topic}"}}"#);
        self.assignments.handle(call(SetMessageRequestMode {}, body, &self.peer)).await.map(|_| ())
    }
}

#[tokio::test]
async fn queues_are_divided_among_the_members() {
    let fixture = Fixture::new().await;
    let pull = |ids: [i32; 2]| Some(ids.map(|id| (id, RequestMode::Pull)).to_vec());
    assert_eq!(fixture.ask("T", "c1", "AVG").await, pull([0, 1]));
    assert_eq!(fixture.ask("T", "c2", "AVG").await, pull([2, 3]));
    assert_eq!(fixture.ask("T", "c2", "AVG_BY_CIRCLE").await, pull([1, 3]));
    assert_eq!(fixture.ask("T", "stranger", "AVG").await, Some(vec![]));
}

#[tokio::test]
async fn who_cannot_be_told_keeps_what_it_has() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.ask("T", "c1", "CONSISTENT_HASH").await, None);
    assert_eq!(fixture.ask("X", "c1", "AVG").await, None);
}

#[tokio::test]
async fn a_group_pops_once_it_is_told_to_also_after_a_restart() {
    let mut fixture = Fixture::new().await;
    fixture.set("T", "g", "POP").await.unwrap();
    assert_eq!(fixture.ask("T", "c1", "AVG").await, Some(vec![(-1, RequestMode::Pop)]));
    fixture.assignments = Fixture::open(&fixture.surroundings);
    let all = fixture.assignments.handle(call(GetAllMessageRequestMode {}, "", &fixture.peer)).await.unwrap();
    let all: MessageRequestModes = fastjson::read(&all.content()).unwrap();
    let mode = MessageRequestMode {
        consumer_group: "g".into(),
        mode: RequestMode::Pop,
        pop_share_queue_num: 0,
        topic: "T".into(),
    };
    assert_eq!(all.message_request_mode_map["T"]["g"], mode);
}

#[tokio::test]
async fn a_mode_is_for_a_topic_and_a_group_that_exist() {
    let fixture = Fixture::new().await;
    assert!(matches!(fixture.set("%RETRY%g", "g", "POP").await, Err(AssignmentError::RetryTopic)));
    assert!(matches!(fixture.set("X", "g", "POP").await, Err(AssignmentError::UnknownTopic(_))));
    fixture.surroundings.set(|config| config.auto_create_subscription_group = false);
    assert!(matches!(fixture.set("T", "unknown", "POP").await, Err(AssignmentError::UnknownGroup)));
}

#[tokio::test]
async fn settings_say_what_groups_do_that_nobody_told() {
    let fixture = Fixture::new().await;
    fixture.surroundings.set(|config| config.default_message_request_mode = DefaultRequestMode::Pop);
    assert_eq!(fixture.ask("T", "c1", "AVG").await, Some(vec![(-1, RequestMode::Pop)]));
    fixture.surroundings.set(|config| config.server_load_balancer_enable = false);
    assert_eq!(fixture.ask("T", "c1", "AVG").await.map(|queues| queues.len()), Some(4));
}

impl Routes {
    fn learn(&self, topic: &str, queues: i32) {
        let data = remoting::body::QueueData { read_queue_nums: queues, perm: 6, ..Default::default() };
        let route = remoting::body::TopicRouteData { queue_datas: vec![data], ..Default::default() };
        self.believe(&topic.into(), &route);
        assert_eq!(self.known.get(topic).unwrap().queues[0].queue_id, QueueId(0));
    }
}
