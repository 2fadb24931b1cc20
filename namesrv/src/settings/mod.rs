//! Settings of the running name server: read by all, changed by `UPDATE_NAMESRV_CONFIG`.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use remoting::config::{self, BadEscape, SaveError, Settings, Update, UpdateError, decode_text, save_text};
use remoting::header::NoHeader;
use remoting::protocol::ResponseCode;
use remoting::protocol::config::{GetNamesrvConfig, UpdateNamesrvConfig};
use remoting::router::{Call, Handle, IntoResponse, Reply, Router};
use tokio::sync::Mutex;

use crate::config::NamesrvConfig;

/// The settings in force.
pub(crate) struct LiveConfig {
    current: ArcSwap<NamesrvConfig>,
    version: AtomicU64,
    /// Held by the one change under way.
    changing: Mutex<()>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("{0}")]
    Refused(#[from] UpdateError),
    #[error("{0}")]
    Save(#[from] SaveError),
    #[error("read {}: {cause}", .path.display())]
    Read { path: PathBuf, cause: std::io::Error },
    #[error("{}: {cause}", .path.display())]
    Text { path: PathBuf, cause: BadEscape },
}

impl IntoResponse for SettingsError {
    fn code(&self) -> ResponseCode {
        match self {
            Self::Refused(UpdateError::Frozen { .. }) => ResponseCode::NO_PERMISSION,
            Self::Refused(UpdateError::Text(_) | UpdateError::Wrong(_))
            | Self::Save(_)
            | Self::Read { .. }
            | Self::Text { .. } => ResponseCode::SYSTEM_ERROR,
        }
    }
}

impl LiveConfig {
    pub(crate) fn new(config: NamesrvConfig) -> Arc<Self> {
        Arc::new(Self {
            current: ArcSwap::from_pointee(config),
            version: AtomicU64::new(0),
            changing: Mutex::default(),
        })
    }

    pub(crate) fn routes(self: &Arc<Self>, router: &mut Router) {
        router.on::<UpdateNamesrvConfig>(self).on::<GetNamesrvConfig>(self);
    }

    pub(crate) fn now(&self) -> Arc<NamesrvConfig> {
        self.current.load_full()
    }

    /// Grows with each change, after it.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

impl Handle<GetNamesrvConfig> for LiveConfig {
    type Error = Infallible;

    async fn handle(&self, _: Call<GetNamesrvConfig>) -> Result<Reply<NoHeader>, Infallible> {
        Ok(Reply::done().body(self.now().print_all()))
    }
}

impl Handle<UpdateNamesrvConfig> for LiveConfig {
    type Error = SettingsError;

    /// The file is written first: what was answered with success survives a crash.
    async fn handle(&self, call: Call<UpdateNamesrvConfig>) -> Result<Reply<NoHeader>, SettingsError> {
        let _one_at_a_time = self.changing.lock().await;
        let update = Update::plan(&*self.now(), &decode_text(&call.body))?;
        let (path, changes) = (update.config.config_store_path.clone(), update.changes.clone());
        if !changes.is_empty() {
            tokio::task::spawn_blocking(move || write(path, &changes))
                .await
                .expect("writing does not panic, and blocking tasks are not cancelled once they run")?;
        }
        for (key, why) in &update.ignored {
            tracing::warn!(key, why, "a changed setting does nothing");
        }
        if !update.after_restart.is_empty() {
            tracing::info!(keys = ?update.after_restart, "changed settings wait for the next start");
        }
        tracing::info!(by = %call.peer.remote(), changes = ?update.changes, "settings changed");
        self.current.store(Arc::new(update.config));
        self.version.fetch_add(1, Ordering::Release);
        Ok(Reply::done())
    }
}

/// Changes lines of the file and leaves the rest as it is; Java rewrites it with every key it knows.
fn write(path: PathBuf, changes: &[(String, Option<String>)]) -> Result<(), SettingsError> {
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(cause) => return Err(SettingsError::Read { path, cause }),
    };
    let changes: Vec<_> = changes.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
    match config::edit(&decode_text(&bytes), &changes) {
        Ok(text) => Ok(save_text(&path, &text)?),
        Err(cause) => Err(SettingsError::Text { path, cause }),
    }
}
