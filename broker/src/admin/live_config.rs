//! The settings in force, changed while the broker runs and kept in the file they came from.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use remoting::config::{Settings as _, Update, UpdateError, decode_text, edit, save_text};
use tokio::sync::watch;

use crate::config::BrokerConfig;
use crate::persist;

/// The one place that replaces settings. Java: `Configuration`.
pub(crate) struct LiveConfig {
    current: watch::Sender<Arc<BrokerConfig>>,
    /// The `-c` file, or the one that takes its place.
    file: PathBuf,
    /// Held while a change is made.
    changing: Mutex<()>,
}

/// What became of a change.
pub(super) struct Changed {
    pub(super) before: Arc<BrokerConfig>,
    pub(super) after: Arc<BrokerConfig>,
    /// For a person: what was named and does nothing, or nothing yet.
    pub(super) notes: Vec<String>,
    pub(super) saved: Result<(), String>,
}

impl LiveConfig {
    /// `file` is what the broker was started with. Without one, changes go to `broker.properties` next to the broker's
    /// other tables, as in Java.
    pub(crate) fn new(config: BrokerConfig, file: Option<PathBuf>) -> (Arc<Self>, watch::Receiver<Arc<BrokerConfig>>) {
        let file = file.unwrap_or_else(|| config.store_path_root_dir.join("config/broker.properties"));
        let (current, settings) = watch::channel(Arc::new(config));
        (Arc::new(Self { current, file, changing: Mutex::new(()) }), settings)
    }

    /// Properties text of all settings.
    pub(super) fn text(&self) -> String {
        self.current.borrow().print_all()
    }

    /// Puts a properties text in force and into the file.
    ///
    /// # Errors
    /// [`UpdateError`]; nothing changed then.
    pub(super) fn change(&self, text: &str) -> Result<Changed, UpdateError> {
        let _changing = self.changing.lock();
        let before = Arc::clone(&self.current.borrow());
        let update = Update::plan(&*before, text)?;
        let after = Arc::new(update.config);
        self.current.send_replace(Arc::clone(&after));
        let ignored = update.ignored.into_iter().map(|(key, reason)| format!("{key} does nothing: {reason}"));
        let later = update.after_restart.into_iter().map(|key| format!("{key} takes effect at the next start"));
        let notes = ignored.chain(later).collect();
        let saved = persist::blocking(|| self.save(&update.changes));
        Ok(Changed { before, after, notes, saved })
    }

    /// Changes those lines of the file; Java writes all settings there and drops comments.
    fn save(&self, changes: &[(String, Option<String>)]) -> Result<(), String> {
        let old = match std::fs::read(&self.file) {
            Ok(bytes) => decode_text(&bytes).into_owned(),
            Err(err) if err.kind() == io::ErrorKind::NotFound => String::new(),
            Err(err) => return Err(format!("read {}: {err}", self.file.display())),
        };
        let changes: Vec<_> = changes.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        let new = edit(&old, &changes).map_err(|err| format!("{}: {err}", self.file.display()))?;
        if new == old {
            return Ok(());
        }
        save_text(&self.file, &new).map_err(|err| err.to_string())
    }
}
