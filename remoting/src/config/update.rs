//! A change of settings while the process runs.

use super::load::{is_known, nearest};
use super::{BadEscape, Config, Properties, WrongValue, inert, set};

/// Why a change is refused; nothing of it took effect.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// Java's words and code (`NO_PERMISSION`).
    #[error("Can not update config in black list.")]
    Frozen { key: String },
    #[error("{0}")]
    Text(#[from] BadEscape),
    /// Java says success and ignores such a value.
    #[error("{0}")]
    Wrong(#[from] WrongValue),
}

/// What an accepted change does.
#[derive(Clone, Debug, PartialEq)]
pub struct Update<C> {
    pub config: C,
    /// Settings named by the change, with their new text; for the file.
    pub changes: Vec<(String, Option<String>)>,
    /// Keys that were named and do nothing, each with the reason.
    pub ignored: Vec<(String, String)>,
    /// Of the changed settings those that wait for the next start.
    pub after_restart: Vec<&'static str>,
}

impl<C: Config> Update<C> {
    /// What `current` becomes by a properties text. Keys that are unknown or inert are accepted and do nothing.
    ///
    /// # Errors
    /// [`UpdateError`]; `current` stays in force as a whole.
    pub fn plan(current: &C, text: &str) -> Result<Self, UpdateError> {
        let properties = Properties::parse(text)?;
        if let Some(frozen) = properties.iter().find(|property| is_frozen(current, &property.key)) {
            return Err(UpdateError::Frozen { key: frozen.key.clone() });
        }
        let mut update =
            Self { config: current.clone(), changes: Vec::new(), ignored: Vec::new(), after_restart: Vec::new() };
        for property in properties.iter() {
            update.take(&property.key, &property.value)?;
        }
        update.config.check().map_err(|unfit| WrongValue {
            value: properties.get(unfit.key).map_or_else(String::new, |property| property.value.clone()),
            key: unfit.key.to_owned(),
            line: None,
            reason: unfit.reason,
        })?;
        Ok(update)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), WrongValue> {
        let Some(setting) = C::SETTINGS.iter().find(|setting| setting.key == key) else {
            set(&mut self.config, key, value, None)?;
            self.ignored.push((key.to_owned(), why_ignored::<C>(key)));
            return Ok(());
        };
        let before = (setting.get)(&self.config);
        set(&mut self.config, key, value, None)?;
        let after = (setting.get)(&self.config);
        if setting.needs_restart() && before != after {
            self.after_restart.push(setting.key);
        }
        self.changes.retain(|(changed, _)| changed != key);
        self.changes.push((key.to_owned(), after));
        Ok(())
    }
}

fn is_frozen<C: Config>(config: &C, key: &str) -> bool {
    C::FROZEN.contains(&key) || config.black_list().split(';').any(|frozen| frozen.trim() == key)
}

fn why_ignored<C: Config>(key: &str) -> String {
    if is_known::<C>(key) {
        return inert::<C>(key).unwrap_or("it has this value anyway").to_owned();
    }
    match nearest(key, C::SETTINGS.iter().map(|setting| setting.key)) {
        Some(nearest) => format!("there is no such setting; {nearest} is the nearest one"),
        None => "there is no such setting".to_owned(),
    }
}
