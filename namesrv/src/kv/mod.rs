//! Key-value settings that clients and tools keep with name servers, in a file in Java's form.

mod file;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use remoting::body::{KvTable, fastjson};
use remoting::config::SaveError;
use remoting::header::NoHeader;
use remoting::protocol::ResponseCode;
use remoting::protocol::kv::{DeleteKvConfig, GetKvConfig, GetKvConfigReply, GetKvList, PutKvConfig};
use remoting::router::{Call, Handle, IntoResponse, Reply, Router};
use tokio::sync::Mutex;

pub(crate) use file::LoadError;

/// Namespace of the queues of ordered topics, `brokerA:4;brokerB:8` by topic.
const ORDER_TOPIC_CONFIG: &str = "ORDER_TOPIC_CONFIG";

/// Values by namespace and key.
type Tables = BTreeMap<String, BTreeMap<String, String>>;

pub(crate) struct Kv {
    path: PathBuf,
    tables: ArcSwap<Tables>,
    order_version: AtomicU64,
    /// Held by the one change under way.
    changing: Mutex<()>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum KvError {
    #[error("No config item, Namespace: {namespace} Key: {key}")]
    NoKey { namespace: String, key: String },
    #[error("No config item, Namespace: {namespace}")]
    NoNamespace { namespace: String },
    #[error("{0}")]
    Save(#[from] SaveError),
}

impl IntoResponse for KvError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::NoKey { .. } | Self::NoNamespace { .. } => ResponseCode::QUERY_NOT_FOUND,
            Self::Save(_) => ResponseCode::SYSTEM_ERROR,
        }
    }
}

impl Kv {
    /// Reads the file, if there is one. Blocks.
    ///
    /// # Errors
    /// [`LoadError`] for a file that is not in Java's form: to start without it would mean to overwrite it later.
    pub(crate) fn load(path: PathBuf) -> Result<Arc<Self>, LoadError> {
        let tables = ArcSwap::from_pointee(file::load(&path)?);
        Ok(Arc::new(Self { path, tables, order_version: AtomicU64::new(0), changing: Mutex::default() }))
    }

    pub(crate) fn routes(self: &Arc<Self>, router: &mut Router) {
        router.on::<PutKvConfig>(self).on::<GetKvConfig>(self).on::<DeleteKvConfig>(self).on::<GetKvList>(self);
    }

    /// The queues of an ordered topic.
    pub(crate) fn order_of(&self, topic: &str) -> Option<String> {
        self.get(ORDER_TOPIC_CONFIG, topic)
    }

    /// Grows with each change of ordered topics, after it.
    pub(crate) fn order_version(&self) -> u64 {
        self.order_version.load(Ordering::Acquire)
    }

    /// What brokers are told when they register: all ordered topics, as a [`KvTable`].
    pub(crate) fn order_topics(&self) -> Option<String> {
        self.list(ORDER_TOPIC_CONFIG)
    }

    fn get(&self, namespace: &str, key: &str) -> Option<String> {
        self.tables.load().get(namespace)?.get(key).cloned()
    }

    fn list(&self, namespace: &str) -> Option<String> {
        let table = self.tables.load().get(namespace)?.clone();
        Some(fastjson::write(&KvTable { table }))
    }

    /// Saves a change, then puts it in force; both or neither.
    async fn change(&self, namespace: &str, change: impl FnOnce(&mut Tables)) -> Result<(), KvError> {
        let _one_at_a_time = self.changing.lock().await;
        let before = self.tables.load_full();
        let mut after = Tables::clone(&before);
        change(&mut after);
        if after == *before {
            return Ok(());
        }
        let after = Arc::new(after);
        let (path, saved) = (self.path.clone(), Arc::clone(&after));
        tokio::task::spawn_blocking(move || file::save(&path, &saved))
            .await
            .expect("saving does not panic, and blocking tasks are not cancelled once they run")?;
        self.tables.store(after);
        if namespace == ORDER_TOPIC_CONFIG {
            self.order_version.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }
}

impl Handle<PutKvConfig> for Kv {
    type Error = KvError;

    async fn handle(&self, call: Call<PutKvConfig>) -> Result<Reply<NoHeader>, KvError> {
        let PutKvConfig { namespace, key, value } = call.header;
        tracing::info!(namespace, key, value, by = %call.peer.remote(), "key-value setting");
        let put = |tables: &mut Tables| drop(tables.entry(namespace.clone()).or_default().insert(key, value));
        self.change(&namespace, put).await?;
        Ok(Reply::done())
    }
}

impl Handle<DeleteKvConfig> for Kv {
    type Error = KvError;

    /// Absent or not, the answer is success; an emptied namespace stays, and lists as an empty table. Both as in Java.
    async fn handle(&self, call: Call<DeleteKvConfig>) -> Result<Reply<NoHeader>, KvError> {
        let DeleteKvConfig { namespace, key } = call.header;
        tracing::info!(namespace, key, by = %call.peer.remote(), "key-value setting deleted");
        let delete = |tables: &mut Tables| {
            if let Some(table) = tables.get_mut(&namespace) {
                table.remove(&key);
            }
        };
        self.change(&namespace, delete).await?;
        Ok(Reply::done())
    }
}

impl Handle<GetKvConfig> for Kv {
    type Error = KvError;

    async fn handle(&self, call: Call<GetKvConfig>) -> Result<Reply<GetKvConfigReply>, KvError> {
        let GetKvConfig { namespace, key } = call.header;
        match self.get(&namespace, &key) {
            Some(value) => Ok(GetKvConfigReply { value: Some(value) }.into()),
            None => Err(KvError::NoKey { namespace, key }),
        }
    }
}

impl Handle<GetKvList> for Kv {
    type Error = KvError;

    async fn handle(&self, call: Call<GetKvList>) -> Result<Reply<NoHeader>, KvError> {
        let GetKvList { namespace } = call.header;
        match self.list(&namespace) {
            Some(body) => Ok(Reply::done().body(body)),
            None => Err(KvError::NoNamespace { namespace }),
        }
    }
}
