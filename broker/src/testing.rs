//! What tests of features share: a broker's context, a peer that keeps what it is sent, requests.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use remoting::connection::Peer;
use remoting::frame::{ExtFields, RemotingCommand};
use remoting::header::{EncodeHeader, FieldSink, Request};
use remoting::language::LanguageCode;
use remoting::router::Call;
use remoting::types::{BrokerId, Clock, Host, Timestamp};
use remoting::version::Version;
use store::{Store, StoreConfig};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::BrokerConfig;
use crate::context::{Context, Identity, Mastery, Role};

/// A context whose settings, role and clock the test turns, and a folder that goes with it.
pub(crate) struct Surroundings {
    pub(crate) ctx: Context,
    pub(crate) config: watch::Sender<Arc<BrokerConfig>>,
    pub(crate) role: watch::Sender<Role>,
    pub(crate) folder: TempDir,
}

impl Surroundings {
    pub(crate) fn new() -> Self {
        let identity = Identity {
            cluster: "DefaultCluster".into(),
            name: "broker-a".into(),
            id: BrokerId::MASTER,
            host: Host { ip: [127, 0, 0, 1].into(), port: 10911 },
            ha_addr: "127.0.0.1:10912".into(),
        };
        let config = watch::Sender::new(Arc::new(BrokerConfig::default()));
        let role = watch::Sender::new(Role::Master);
        let ctx = Context {
            identity: Arc::new(identity),
            config: config.subscribe(),
            role: role.subscribe(),
            master: Mastery::default(),
            clock: Clock::fixed(Timestamp(1_700_000_000_000)),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        };
        Self { ctx, config, role, folder: tempfile::tempdir().unwrap() }
    }

    /// A store in the folder, with small files. `percent` of the machine's memory is taken to hold the end of the log.
    pub(crate) fn store(&self, percent: u32) -> Arc<Store> {
        let config = StoreConfig {
            commit_log_file_bytes: 1 << 20,
            access_message_in_memory_max_ratio: percent,
            ..StoreConfig::new(self.folder.path().join("store"))
        };
        Store::open(config, self.ctx.clock.clone()).unwrap().0
    }

    /// With other settings than the defaults.
    pub(crate) fn with(change: impl FnOnce(&mut BrokerConfig)) -> Self {
        let surroundings = Self::new();
        surroundings.set(change);
        surroundings
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut BrokerConfig)) {
        self.config.send_modify(|config| change(Arc::make_mut(config)));
    }
}

/// A peer at `127.0.0.1:<port>` that is connected to nothing; read what it was sent with `take_sent`.
pub(crate) fn peer(port: u16) -> Peer {
    Peer::detached(SocketAddr::from(([127, 0, 0, 1], port)))
}

pub(crate) fn call<R>(header: R, body: impl Into<Bytes>, peer: &Peer) -> Call<R> {
    Call {
        header,
        body: body.into(),
        peer: peer.clone(),
        version: Version::V5_5_0,
        language: LanguageCode::JAVA,
        ext: ExtFields::default(),
    }
}

/// A request as it comes from the wire, for handlers of batches.
pub(crate) fn command<R: Request>(header: &R) -> RemotingCommand {
    RemotingCommand { ext: ext(header), ..RemotingCommand::request(R::CODE) }
}

pub(crate) fn ext(header: &impl EncodeHeader) -> ExtFields {
    struct Collect(ExtFields);
    impl FieldSink for Collect {
        fn put(&mut self, key: &str, value: &str) {
            self.0.push(key, value);
        }
    }
    let mut fields = Collect(ExtFields::default());
    header.encode(&mut fields);
    fields.0
}
