//! A cluster of fake processes, each of which runs as long as a file is there: it says its make, its role and its id.
//!
//! They answer what a move asks. All brokers of a set have the same messages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use remoting::body::{
    BrokerData, ClusterInfo, ConsumerOffsets, KvTable, MessageQueue, ProducerTableInfo, QueueData,
    SubscriptionGroupConfig, SubscriptionGroupWrapper, TopicConfig, TopicConfigWrapper, TopicList, TopicOffset,
    TopicRouteData, TopicStatsTable, fastjson,
};
use remoting::frame::{ExtFields, FrameCodec, RemotingCommand};
use remoting::language::LanguageCode;
use remoting::protocol::{RequestCode, ResponseCode};
use remoting::types::{BrokerName, ClusterName, QueueId, TopicName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::codec::{Decoder, Encoder};

use super::ports;

const LOOK: Duration = Duration::from_millis(10);
const MESSAGES: i64 = 10;

#[derive(Default)]
pub(super) struct World {
    folder: PathBuf,
    name_servers: Vec<String>,
    /// The set of each broker.
    brokers: BTreeMap<String, String>,
    /// Make, role and id of each process that runs.
    pub(super) up: BTreeMap<String, (String, String, i64)>,
    key_values: BTreeMap<String, BTreeMap<String, String>>,
    /// Name server and set.
    pub(super) wiped: BTreeSet<(String, String)>,
    /// In the files of Java's brokers, and of ours.
    pub(super) permissions: BTreeMap<(String, String), String>,
    /// As those of 5.5.0 under a master of 5.5.0.
    pub(super) java_slaves_lack_offsets: bool,
    /// Slaves that were given offsets of consumers.
    given_offsets: BTreeSet<String>,
    /// How often an offset was put forward.
    pub(super) put_forward: usize,
    /// For how many more looks at its configuration a Java broker that has started does not know its role.
    unsettled: BTreeMap<String, u32>,
    /// What never ought to be.
    pub(super) wrong: Vec<String>,
}

pub(super) struct Fake {
    pub(super) world: Arc<Mutex<World>>,
    tasks: Vec<JoinHandle<()>>,
    folder: tempfile::TempDir,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn free() -> String {
    format!("127.0.0.1:{}", ports::free_port())
}

impl Fake {
    /// A name server and, in each set, as many Java brokers as said, the first one the master.
    pub(super) async fn start(sets: &[(&str, usize)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World { folder: folder.path().to_owned(), ..World::default() };
        world.name_servers.push(free());
        write(&world.folder, &world.name_servers[0], "java - 0");
        world.key_values.insert(world.name_servers[0].clone(), [("t".to_owned(), "a:2".to_owned())].into());
        for (set, count) in sets {
            for id in 0..*count {
                let address = free();
                let role = if id == 0 { "ASYNC_MASTER" } else { "SLAVE" };
                write(&world.folder, &address, &format!("java {role} {id}"));
                world.brokers.insert(address, (*set).to_owned());
            }
        }
        let addresses: Vec<_> = world.name_servers.iter().chain(world.brokers.keys()).cloned().collect();
        let count = addresses.len();
        let world = Arc::new(Mutex::new(world));
        let tasks = addresses.into_iter().map(|address| tokio::spawn(live(Arc::clone(&world), address))).collect();
        let fake = Self { world, tasks, folder };
        fake.until(|world| world.up.len() == count).await;
        fake
    }

    pub(super) async fn until(&self, holds: impl Fn(&World) -> bool) {
        while !holds(&self.world.lock()) {
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn name_servers(&self) -> String {
        self.world.lock().name_servers.join(";")
    }

    /// Commands that start and stop the processes.
    pub(super) fn hooks(&self) -> PathBuf {
        let folder = self.folder.path().display();
        let start = |make: &str, role: &str| {
            // The command of a tool that was ended may run beside the next one's.
            format!("echo {make} {role} > {folder}/new.$$ && mv {folder}/new.$$ {folder}/$MIGRATE_PORT")
        };
        let mut text = String::new();
        for (section, role) in [("brokers", "$MIGRATE_ROLE $MIGRATE_BROKER_ID"), ("name servers", "- 0")] {
            text += &format!("[{section}]\n");
            for make in ["java", "ferromq"] {
                text += &format!("start-{make} = {}\n", start(make, role));
                text += &format!("stop-{make} = rm -f {folder}/$MIGRATE_PORT\n");
            }
        }
        let path = self.path("hooks.ini");
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn port(address: &str) -> &str {
    address.rsplit_once(':').unwrap().1
}

fn write(folder: &Path, address: &str, what: &str) {
    std::fs::write(folder.join(port(address)), what).unwrap();
}

/// One address: a process runs there while its file is there, and another one once the file says something else.
async fn live(world: Arc<Mutex<World>>, address: String) {
    let file = world.lock().folder.join(port(&address));
    let (mut running, mut process): (Option<String>, Option<JoinHandle<()>>) = (None, None);
    loop {
        let wanted = std::fs::read_to_string(&file).ok().map(|text| text.trim().to_owned());
        if wanted != running {
            if let Some(process) = process.take() {
                process.abort();
                let _ = process.await;
                world.lock().up.remove(&address);
            }
            if let Some(wanted) = &wanted {
                let listener = TcpListener::bind(&address).await.unwrap();
                world.lock().begin(&address, wanted);
                process = Some(tokio::spawn(serve(Arc::clone(&world), address.clone(), listener)));
            }
            running = wanted;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn serve(world: Arc<Mutex<World>>, address: String, listener: TcpListener) {
    // With the listener, all connections go.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(connection(Arc::clone(&world), address.clone(), stream));
    }
}

async fn connection(world: Arc<Mutex<World>>, address: String, mut stream: TcpStream) {
    let (mut codec, mut bytes) = (FrameCodec::default(), BytesMut::new());
    loop {
        while let Some(request) = codec.decode(&mut bytes).unwrap() {
            let mut answer = world.lock().answer(&address, &request);
            (answer.opaque, answer.flag) = (request.opaque, RemotingCommand::RESPONSE);
            let mut out = BytesMut::new();
            codec.encode(&answer, &mut out).unwrap();
            if stream.write_all(&out).await.is_err() {
                return;
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

impl World {
    fn begin(&mut self, address: &str, what: &str) {
        let words: Vec<_> = what.split(' ').collect();
        let (make, role, id) = (words[0].to_owned(), words[1].to_owned(), words[2].parse().unwrap());
        if self.name_servers.contains(&address.to_owned()) {
            // What it held was in its memory.
            if make == "ferromq" {
                self.key_values.remove(address);
            }
            self.wiped.retain(|(server, _)| server != address);
        }
        if let Some(set) = self.brokers.get(address) {
            self.wiped.retain(|(_, wiped)| wiped != set);
            let masters = self
                .up
                .iter()
                .filter(|(other, (_, role, _))| self.brokers.get(*other) == Some(set) && role.ends_with("MASTER"));
            if role.ends_with("MASTER") && masters.count() > 0 {
                self.wrong.push(format!("{address} is a second master"));
            }
        }
        self.unsettled.insert(address.to_owned(), if make == "java" { 2 } else { 0 });
        self.up.insert(address.to_owned(), (make, role, id));
    }

    fn answer(&mut self, address: &str, request: &RemotingCommand) -> RemotingCommand {
        let field = |name: &str| request.ext.get(name).unwrap_or_default().to_owned();
        let mut ext = ExtFields::default();
        let mut code = ResponseCode::SUCCESS;
        let body = match request.request_code() {
            RequestCode::GET_BROKER_CLUSTER_INFO => fastjson::write(&self.cluster()),
            RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER => {
                fastjson::write(&TopicList { topic_list: vec!["t".into()], ..TopicList::default() })
            }
            RequestCode::GET_KVLIST_BY_NAMESPACE => {
                let table = self.key_values.get(address).cloned().unwrap_or_default();
                if table.is_empty() {
                    code = ResponseCode::QUERY_NOT_FOUND;
                }
                fastjson::write(&KvTable { table })
            }
            RequestCode::PUT_KV_CONFIG => {
                self.key_values.entry(address.to_owned()).or_default().insert(field("key"), field("value"));
                String::new()
            }
            RequestCode::WIPE_WRITE_PERM_OF_BROKER => {
                ext.push("wipeTopicCount", "1");
                self.wiped.insert((address.to_owned(), field("brokerName")));
                String::new()
            }
            RequestCode::ADD_WRITE_PERM_OF_BROKER => {
                ext.push("addTopicCount", "1");
                self.wiped.remove(&(address.to_owned(), field("brokerName")));
                String::new()
            }
            RequestCode::GET_ROUTEINFO_BY_TOPIC => fastjson::write_standard(&self.route(address)),
            RequestCode::GET_BROKER_CONFIG => {
                let (make, role, id) = &self.up[address];
                let permission = self.permission(address, make);
                let set = &self.brokers[address];
                let looks = self.unsettled.get_mut(address).filter(|looks| **looks > 0);
                let id = if looks.map(|looks| *looks -= 1).is_some() { &-1 } else { id };
                format!(
                    "brokerName={set}\nbrokerRole={role}\nbrokerId={id}\nbrokerPermission={permission}\nstorePathRootDir=/data\n"
                )
            }
            RequestCode::UPDATE_BROKER_CONFIG => {
                let body = String::from_utf8_lossy(&request.body);
                let (_, value) = body.trim().split_once('=').unwrap();
                let make = self.up[address].0.clone();
                if self.unsettled[address] > 0 {
                    self.wrong.push(format!("{address} writes that its id is -1"));
                }
                self.permissions.insert((address.to_owned(), make), value.to_owned());
                String::new()
            }
            RequestCode::GET_BROKER_RUNTIME_INFO => {
                let pairs =
                    [("brokerVersionDesc", "V4_9_7"), ("commitLogMinOffset", "0"), ("commitLogMaxOffset", "1000")];
                fastjson::write(&KvTable { table: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into() })
            }
            RequestCode::GET_ALL_TOPIC_CONFIG => {
                let topic = Arc::new(TopicConfig::new("t", 1, 6));
                let topic_config_table = BTreeMap::from([(TopicName::new("t"), topic)]);
                fastjson::write(&TopicConfigWrapper { topic_config_table, ..TopicConfigWrapper::default() })
            }
            RequestCode::GET_ALL_SUBSCRIPTIONGROUP_CONFIG => {
                let group = Arc::new(SubscriptionGroupConfig::new("g"));
                let subscription_group_table = BTreeMap::from([("g".into(), group)]);
                fastjson::write(&SubscriptionGroupWrapper {
                    subscription_group_table,
                    ..SubscriptionGroupWrapper::default()
                })
            }
            RequestCode::GET_TOPIC_STATS_INFO => {
                let (broker_name, topic) = (BrokerName::new(&self.brokers[address]), TopicName::new("t"));
                let queue = MessageQueue { broker_name, queue_id: QueueId(0), topic };
                let at = TopicOffset { max_offset: MESSAGES, ..TopicOffset::default() };
                let offset_table = BTreeMap::from([(fastjson::ObjectKey(queue), at)]);
                fastjson::write(&TopicStatsTable { offset_table, ..TopicStatsTable::default() })
            }
            RequestCode::GET_ALL_CONSUMER_OFFSET => {
                let mut offset_table = BTreeMap::from([("t@g".to_owned(), BTreeMap::from([(0, 4)]))]);
                if self.lacks_offsets(address) {
                    offset_table.clear();
                }
                fastjson::write(&ConsumerOffsets { offset_table, ..ConsumerOffsets::default() })
            }
            RequestCode::UPDATE_CONSUMER_OFFSET => {
                self.put_forward += 1;
                self.given_offsets.insert(address.to_owned());
                String::new()
            }
            RequestCode::QUERY_CONSUME_QUEUE => {
                let at: i64 = field("index").parse().unwrap();
                format!(r#"{{"queueData":[{{"physicOffset":{}}}]}}"#, at * 100)
            }
            RequestCode::VIEW_MESSAGE_BY_ID => format!("the record at {}", field("offset")),
            RequestCode::GET_ALL_PRODUCER_INFO => fastjson::write(&ProducerTableInfo::default()),
            RequestCode::GET_CONSUMER_CONNECTION_LIST => {
                code = ResponseCode::CONSUMER_NOT_ONLINE;
                String::new()
            }
            _ => {
                code = ResponseCode::REQUEST_CODE_NOT_SUPPORTED;
                String::new()
            }
        };
        let mut answer = RemotingCommand::request(RequestCode(code.0));
        let java = self.up.get(address).is_none_or(|(make, ..)| make == "java");
        answer.language = if java { LanguageCode::JAVA } else { LanguageCode::RUST };
        (answer.ext, answer.body) = (ext, Bytes::from(body));
        answer
    }

    pub(super) fn permission(&self, address: &str, make: &str) -> String {
        self.permissions.get(&(address.to_owned(), make.to_owned())).cloned().unwrap_or_else(|| "6".to_owned())
    }

    fn lacks_offsets(&self, address: &str) -> bool {
        let (make, role, _) = &self.up[address];
        self.java_slaves_lack_offsets && make == "java" && role == "SLAVE" && !self.given_offsets.contains(address)
    }

    fn cluster(&self) -> ClusterInfo {
        let mut info = ClusterInfo::default();
        for (address, set) in &self.brokers {
            let Some((_, _, id)) = self.up.get(address) else { continue };
            let name = BrokerName::new(set);
            let data = info.broker_addr_table.entry(name.clone()).or_insert_with(|| BrokerData {
                broker_name: name.clone(),
                cluster: ClusterName::new("c"),
                ..BrokerData::default()
            });
            data.broker_addrs.insert(*id, address.clone());
            let sets = info.cluster_addr_table.entry(ClusterName::new("c")).or_default();
            if !sets.contains(&name) {
                sets.push(name);
            }
        }
        info
    }

    fn route(&self, server: &str) -> TopicRouteData {
        let mut route = TopicRouteData::default();
        for (address, set) in &self.brokers {
            let Some((make, role, _)) = self.up.get(address).filter(|(_, role, _)| role.ends_with("MASTER")) else {
                continue;
            };
            let _ = role;
            let closed =
                self.wiped.contains(&(server.to_owned(), set.clone())) || self.permission(address, make) == "4";
            let perm = if closed { 4 } else { 6 };
            let broker_name = BrokerName::new(set);
            route.queue_datas.push(QueueData {
                broker_name,
                perm,
                read_queue_nums: 1,
                write_queue_nums: 1,
                ..QueueData::default()
            });
        }
        route
    }
}
