//! A name server as brokers, clients and tools see it: over connections.
#![allow(clippy::unwrap_used, reason = "clippy does not take helpers of tests for tests")]

mod brokers;
mod routes;
mod tools;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use namesrv::{Namesrv, NamesrvConfig};
use remoting::body::{
    BrokerMemberGroupBody, ClusterInfo, DataVersion, KvTable, RegisterBrokerBody, TopicConfig, TopicConfigWrapper,
    TopicList, TopicRouteData, fastjson,
};
use remoting::client::{Client, ClientConfig};
use remoting::config::Millis;
use remoting::connection::{CallError, Response};
use remoting::frame::{FrameCodec, RemotingCommand};
use remoting::header::{DecodeHeader, NoHeader, Request};
use remoting::protocol::config::{GetNamesrvConfig, UpdateNamesrvConfig};
use remoting::protocol::kv::{DeleteKvConfig, GetKvConfig, GetKvConfigReply, GetKvList, PutKvConfig};
use remoting::protocol::register::{
    BrokerHeartbeat, GetBrokerMemberGroup, NotifyMinBrokerId, QueryDataVersion, QueryDataVersionReply, RegisterBroker,
    RegisterBrokerReply, RegisterTopic, UnregisterBroker,
};
use remoting::protocol::route::{
    AddWritePerm, AddWritePermReply, DeleteTopicInNamesrv, GetAllTopics, GetClusterInfo, GetNamesrvSystemTopics,
    GetRoute, GetTopicsByCluster, GetUnitTopics, WipeWritePerm, WipeWritePermReply,
};
use remoting::protocol::{RequestCode, ResponseCode};
use remoting::router::{Call, Handle, Reply, Router};
use remoting::server::{Server, ServerConfig};
use remoting::types::{BrokerId, Clock, Timestamp, TopicName};
use remoting::version::Version;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::codec::{Decoder, Encoder};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(5);

/// A name server on a port of its own, its time held still.
struct Site {
    namesrv: Namesrv,
    folder: TempDir,
    clock: Clock,
}

impl Site {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(adjust: impl FnOnce(&mut NamesrvConfig)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), adjust).await
    }

    async fn start_in(folder: TempDir, adjust: impl FnOnce(&mut NamesrvConfig)) -> Self {
        let mut config = NamesrvConfig {
            bind_address: "127.0.0.1".to_owned(),
            listen_port: 0,
            kv_config_path: folder.path().join("kvConfig.json"),
            config_store_path: folder.path().join("namesrv.conf"),
            scan_not_active_broker_interval: Millis::new(10),
            ..NamesrvConfig::default()
        };
        adjust(&mut config);
        let clock = Clock::fixed(Timestamp(1_700_000_000_000));
        let namesrv = Namesrv::start(config, clock.clone(), &CancellationToken::new()).await.unwrap();
        Self { namesrv, folder, clock }
    }

    fn caller(&self) -> Caller {
        Caller { client: client(), addr: self.namesrv.addr().to_string() }
    }

    async fn restart(self, adjust: impl FnOnce(&mut NamesrvConfig)) -> Self {
        self.namesrv.stop().await;
        Self::start_in(self.folder, adjust).await
    }
}

fn client() -> Client {
    Client::new(ClientConfig::default(), Arc::new(Router::default()), CancellationToken::new())
}

/// One connection to a name server.
struct Caller {
    client: Client,
    addr: String,
}

impl Caller {
    async fn send<R: Request>(&self, header: R, body: impl Into<Bytes>) -> Response {
        self.client.call(&self.addr, &header, body.into(), PATIENCE).await.unwrap()
    }

    async fn ask<R: Request>(&self, header: R) -> Bytes {
        self.send(header, "").await.success::<NoHeader>().unwrap().1
    }

    async fn header<R: Request, H: DecodeHeader>(&self, header: R) -> H {
        self.send(header, "").await.success::<H>().unwrap().0
    }

    /// Code and remark of an answer that is no success.
    async fn refusal<R: Request>(&self, header: R, body: impl Into<Bytes>) -> (ResponseCode, String) {
        match self.send(header, body).await.success::<NoHeader>().unwrap_err() {
            CallError::Refused { code, remark } => (code, remark),
            other => panic!("{other}"),
        }
    }

    async fn route(&self, topic: &str) -> Option<TopicRouteData> {
        let response = self.send(get_route(topic), "").await;
        match response.code() {
            ResponseCode::SUCCESS => Some(fastjson::read(&response.success::<NoHeader>().unwrap().1).unwrap()),
            ResponseCode::TOPIC_NOT_EXIST => None,
            other => panic!("{other}"),
        }
    }

    async fn register(&self, broker: &RegisterBroker, body: &RegisterBrokerBody) -> RegisterBrokerReply {
        let response = self.send(broker.clone(), fastjson::write(body)).await;
        response.success().unwrap().0
    }

    async fn topics(&self, list: Bytes) -> Vec<String> {
        let list: TopicList = fastjson::read(&list).unwrap();
        list.topic_list.iter().map(ToString::to_string).collect()
    }

    /// Waits until a topic has a route or has none.
    async fn wait_for_route(&self, topic: &str, there: bool) {
        let changed = async {
            while self.route(topic).await.is_some() != there {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, changed).await.unwrap();
    }
}

fn get_route(topic: &str) -> GetRoute {
    GetRoute { topic: topic.into(), accept_standard_json_only: None }
}

fn broker(name: &str, id: i64, addr: &str) -> RegisterBroker {
    RegisterBroker {
        broker_name: name.into(),
        broker_addr: addr.to_owned(),
        cluster_name: "C".into(),
        ha_server_addr: format!("{addr}2"),
        broker_id: BrokerId(id),
        heartbeat_timeout_millis: None,
        enable_acting_master: Some(false),
        compressed: Some(false),
        body_crc32: None,
        zone_name: None,
    }
}

fn topics(counter: i64, names: &[&str]) -> RegisterBrokerBody {
    let table: BTreeMap<_, _> =
        names.iter().map(|name| (TopicName::new(name), Arc::new(TopicConfig::new(*name, 4, 6)))).collect();
    let data_version = DataVersion { counter, ..DataVersion::default() };
    RegisterBrokerBody {
        filter_server_list: Vec::new(),
        topic_config_serialize_wrapper: TopicConfigWrapper {
            data_version,
            topic_config_table: table,
            ..TopicConfigWrapper::default()
        },
    }
}

/// Sends one request of a caller of any version and reads its answer.
async fn raw(addr: SocketAddr, request: RemotingCommand) -> RemotingCommand {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let mut bytes = BytesMut::new();
    FrameCodec::default().encode(&request, &mut bytes).unwrap();
    stream.write_all(&bytes).await.unwrap();
    bytes.clear();
    let mut codec = FrameCodec::default();
    loop {
        if let Some(answer) = codec.decode(&mut bytes).unwrap() {
            return answer;
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "the connection closed");
    }
}
