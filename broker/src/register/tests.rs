use std::net::SocketAddr;
use std::time::Duration;

use remoting::body::{KvTable, RegisterBrokerBody, TopicConfig, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::ResponseCode;
use remoting::protocol::register::{QueryDataVersion, QueryDataVersionReply, RegisterBroker, RegisterBrokerReply};
use remoting::router::{Call, Handle, IntoResponse, Reply};
use remoting::server::{Server, ServerConfig};
use remoting::version::Version;
use tokio::sync::watch;

use super::*;
use crate::config::BrokerRole;
use crate::testing::Surroundings;
use crate::topic::AttributeChanges;

/// A name server that notes what it is told.
struct NameServer {
    addr: SocketAddr,
    heard: Arc<Heard>,
    stopping: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Heard {
    /// One line per request.
    lines: Mutex<Vec<String>>,
    count: watch::Sender<usize>,
    ordered: Mutex<Option<&'static str>>,
    /// Registrations that are refused from now on.
    refuse: Mutex<bool>,
}

#[derive(Debug, thiserror::Error)]
#[error("register broker failed")]
struct Refused;

impl IntoResponse for Refused {
    fn code(&self) -> ResponseCode {
        ResponseCode::SYSTEM_ERROR
    }
}

impl Heard {
    fn note(&self, line: String) {
        let mut lines = self.lines.lock();
        lines.push(line);
        self.count.send_replace(lines.len());
    }
}

impl Handle<RegisterBroker> for Heard {
    type Error = Refused;

    async fn handle(&self, call: Call<RegisterBroker>) -> Result<Reply<RegisterBrokerReply>, Refused> {
        assert!(call.version >= Version::V5_0_0, "Java drops part of what older brokers send");
        let header = call.header;
        assert_eq!(header.body_crc32, Some((crc32fast::hash(&call.body) & 0x7FFF_FFFF) as i32));
        assert_eq!(
            (&*header.broker_name, &*header.cluster_name, header.broker_id.0),
            ("broker-a", "DefaultCluster", 0)
        );
        assert_eq!((&*header.broker_addr, &*header.ha_server_addr), ("127.0.0.1:10911", "127.0.0.1:10912"));
        let body = RegisterBrokerBody::read(&call.body, header.compressed == Some(true), call.version).unwrap();
        let topics = body.topic_config_serialize_wrapper;
        if *self.refuse.lock() {
            self.note("refused".to_owned());
            return Err(Refused);
        }
        let mine = topics.topic_config_table.values().filter(|topic| topic.topic_name.starts_with("My"));
        let mine: Vec<_> = mine.map(|topic| format!("{}:{}", topic.topic_name, topic.perm)).collect();
        let kind = if topics.topic_config_table.len() > 10 { "all" } else { "some" };
        self.note(format!("{kind} v{} {}", topics.data_version.counter, mine.join(",")));
        let ordered = *self.ordered.lock();
        let table = ordered.into_iter().map(|topic| (topic.to_owned(), "broker-a:1".to_owned())).collect();
        let reply = RegisterBrokerReply { ha_server_addr: None, master_addr: None };
        Ok(Reply::new(reply).body(fastjson::write(&KvTable { table })))
    }
}

impl Handle<UnregisterBroker> for Heard {
    type Error = Refused;

    async fn handle(&self, call: Call<UnregisterBroker>) -> Result<Reply<NoHeader>, Refused> {
        self.note(format!("bye {} {}", call.header.broker_name, call.header.broker_addr));
        Ok(Reply::done())
    }
}

impl Handle<QueryDataVersion> for Heard {
    type Error = Refused;

    async fn handle(&self, _: Call<QueryDataVersion>) -> Result<Reply<QueryDataVersionReply>, Refused> {
        self.note("version?".to_owned());
        Ok(QueryDataVersionReply { changed: false }.into())
    }
}

impl NameServer {
    fn start(listen: SocketAddr) -> Self {
        let heard = Arc::new(Heard::default());
        let mut router = Router::default();
        router.on::<RegisterBroker>(&heard).on::<UnregisterBroker>(&heard).on::<QueryDataVersion>(&heard);
        let server = Server::bind(ServerConfig::listening(listen)).unwrap();
        let addr = server.local_addr().unwrap();
        let stopping = CancellationToken::new();
        let running = tokio::spawn(server.run(Arc::new(router), Arc::new(()), stopping.clone()));
        Self { addr, heard, stopping, running }
    }

    fn anywhere() -> Self {
        Self::start(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    async fn stop(self) -> SocketAddr {
        self.stopping.cancel();
        self.running.await.unwrap();
        self.addr
    }

    fn lines(&self) -> Vec<String> {
        self.heard.lines.lock().clone()
    }

    /// The line of that number, once it is there.
    async fn line(&self, number: usize) -> String {
        let mut count = self.heard.count.subscribe();
        let waiting = count.wait_for(|count| *count > number);
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("the line comes").unwrap();
        self.lines()[number].clone()
    }
}

struct Broker {
    surroundings: Surroundings,
    topics: Arc<TopicTable>,
    registrar: Arc<Registrar>,
}

impl Broker {
    fn new(name_servers: &[SocketAddr]) -> Self {
        let list = name_servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(";");
        let surroundings = Surroundings::with(|settings| settings.namesrv_addr = Some(list));
        let topics = TopicTable::open(surroundings.ctx.clone(), surroundings.folder.path()).unwrap();
        let registrar = Registrar::new(
            surroundings.ctx.clone(),
            Arc::clone(&topics),
            Arc::new(Router::default()),
            Shown::AsTheyAre,
        );
        registrar.start();
        Self { surroundings, topics, registrar }
    }

    fn put(&self, topic: &str) {
        self.topics.put(TopicConfig::new(topic, 4, 6), &AttributeChanges::default()).unwrap();
    }
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn name_servers_hear_all_topics_then_each_change_then_goodbye() {
    let servers = [NameServer::anywhere(), NameServer::anywhere()];
    let broker = Broker::new(&[servers[0].addr, servers[1].addr]);
    broker.registrar.register_now().await;
    broker.put("MyA");
    broker.registrar.register_now().await;
    broker.topics.create_on_send(&"MyB".into(), "TBW102", 4, false).unwrap();
    broker.registrar.register_now().await;
    broker.topics.delete("MyA").unwrap();
    broker.registrar.register_now().await;
    broker.registrar.close().await;
    for server in servers {
        let expect = ["all v0 ", "some v1 MyA:6", "some v2 MyB:6", "bye broker-a 127.0.0.1:10911"];
        assert_eq!(server.lines(), expect);
    }
}

#[tokio::test]
async fn one_living_name_server_is_enough() {
    let server = NameServer::anywhere();
    let broker = Broker::new(&[nobody(), server.addr, nobody()]);
    broker.registrar.register_now().await;
    broker.put("MyA");
    broker.registrar.register_now().await;
    assert_eq!(server.lines(), ["all v0 ", "some v1 MyA:6"]);
    broker.registrar.close().await;
}

#[tokio::test]
async fn without_name_servers_nothing_waits() {
    let broker = Broker::new(&[]);
    broker.put("MyA");
    broker.registrar.register_now().await;
    broker.registrar.close().await;
}

#[tokio::test]
async fn a_restarted_name_server_hears_everything_at_once() {
    let server = NameServer::anywhere();
    let broker = Broker::new(&[server.addr]);
    broker.put("MyA");
    broker.registrar.register_now().await;
    let addr = server.stop().await;
    broker.put("MyB");
    broker.registrar.register_now().await;
    let server = NameServer::start(addr);
    assert_eq!(server.line(0).await, "all v2 MyA:6,MyB:6");
    broker.registrar.close().await;
}

#[tokio::test]
async fn a_refused_change_is_followed_by_everything() {
    let server = NameServer::anywhere();
    let broker = Broker::new(&[server.addr]);
    broker.registrar.register_now().await;
    *server.heard.refuse.lock() = true;
    broker.put("MyA");
    assert_eq!(server.line(1).await, "refused");
    *server.heard.refuse.lock() = false;
    let mut number = 2;
    while server.line(number).await == "refused" {
        number += 1;
    }
    assert_eq!(server.line(number).await, "all v1 MyA:6");
    broker.registrar.close().await;
}

#[tokio::test]
async fn settings_change_while_it_runs() {
    let servers = [NameServer::anywhere(), NameServer::anywhere()];
    let broker = Broker::new(&[servers[0].addr]);
    broker.put("MyA");
    broker.registrar.register_now().await;
    broker.surroundings.set(|settings| settings.broker_permission = 4);
    broker.topics.touch();
    broker.registrar.register_now().await;
    assert_eq!(servers[0].lines().last().unwrap(), "all v2 MyA:4");
    broker.surroundings.set(|settings| settings.namesrv_addr = Some(servers[1].addr.to_string()));
    assert_eq!(servers[1].line(0).await, "all v2 MyA:4");
    let before = servers[0].lines().len();
    broker.put("MyB");
    broker.registrar.register_now().await;
    assert_eq!(servers[1].lines(), ["all v2 MyA:4", "some v3 MyB:4"]);
    assert_eq!(servers[0].lines().len(), before, "it is not ours any more");
    broker.registrar.close().await;
}

#[tokio::test]
async fn topics_ordered_by_the_name_server_are_marked() {
    let server = NameServer::anywhere();
    *server.heard.ordered.lock() = Some("MyA");
    let broker = Broker::new(&[server.addr]);
    broker.put("MyA");
    broker.registrar.register_now().await;
    let mut changes = broker.topics.changes();
    changes.wait_for(|step| *step >= 2).await.unwrap();
    assert!(broker.topics.get("MyA").unwrap().order);
    broker.registrar.close().await;
}

#[tokio::test]
async fn a_version_that_is_known_need_not_be_registered() {
    let server = NameServer::anywhere();
    let broker = Broker::new(&[server.addr]);
    broker.surroundings.set(|settings| settings.force_register = false);
    broker.registrar.register_now().await;
    let link = Arc::clone(broker.registrar.links.lock().values().next().unwrap());
    link.register(&broker.registrar.shared, true).await.unwrap();
    assert_eq!(server.lines(), ["all v0 ", "version?"]);
    broker.surroundings.set(|settings| settings.force_register = true);
    link.register(&broker.registrar.shared, true).await.unwrap();
    assert_eq!(server.lines(), ["all v0 ", "version?", "all v0 "]);
    broker.registrar.close().await;
}

#[tokio::test]
async fn a_slave_that_need_not_register_does_to_hear_of_its_master() {
    let server = NameServer::anywhere();
    let broker = Broker::new(&[server.addr]);
    broker.surroundings.set(|settings| {
        settings.force_register = false;
        settings.broker_role = BrokerRole::Slave;
    });
    broker.registrar.register_now().await;
    let link = Arc::clone(broker.registrar.links.lock().values().next().unwrap());
    link.register(&broker.registrar.shared, true).await.unwrap();
    assert_eq!(server.lines(), ["all v0 ", "all v0 "]);
    broker.registrar.close().await;
}

#[tokio::test]
async fn a_master_is_where_name_servers_say_that_answer() {
    let broker = Broker::new(&[]);
    broker.surroundings.set(|settings| settings.broker_role = BrokerRole::Slave);
    let shared = &broker.registrar.shared;
    let says = |server: &str, master: Option<&str>| {
        let addr = |port: u16| master.map(|host| format!("{host}:{port}"));
        shared.learn(server, RegisterBrokerReply { ha_server_addr: addr(10912), master_addr: addr(10911) });
    };
    let known = || broker.surroundings.ctx.master.at().borrow().clone().and_then(|master| master.addr);
    says("a", None);
    assert_eq!(known(), None);
    says("b", Some("new"));
    says("a", Some("old"));
    assert_eq!(known().unwrap(), "old:10911", "the first one counts");
    shared.forget("a");
    assert_eq!(known().unwrap(), "new:10911", "but for what a dead one said");
    says("a", Some("old"));
    says("a", None);
    assert_eq!(known().unwrap(), "new:10911", "nor does what it no longer knows");
    says("b", None);
    assert_eq!(known().unwrap(), "new:10911", "it will come back");
    broker.registrar.close().await;
}
