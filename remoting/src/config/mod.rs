//! Settings: Java's `.properties` text ⇄ one typed struct per process, declared with [`config!`](crate::config!).
//!
//! The same declaration serves the file given with `-c`, a change at run time, the listing that tools ask for, `-p`, and
//! `docs/config.md`.

mod file;
mod load;
mod macros;
mod properties;
mod update;
mod value;

pub use file::{SaveError, save_text};
pub use load::{ConfigError, Loader, Notice, is_known};
pub use properties::{BadEscape, Properties, Property, decode_text, edit, line};
pub use update::{Update, UpdateError};
pub use value::{Hours, Millis, Minutes, Seconds, Value};

/// One line of a [`config!`](crate::config!) declaration.
pub struct Setting<C: 'static> {
    /// Java's property name.
    pub key: &'static str,
    /// Lines of its documentation.
    pub doc: &'static [&'static str],
    /// What stands after the name: `important`, `restart`, `machine`.
    pub flags: &'static [&'static str],
    /// What a text has to be, to continue "which is not …".
    pub expected: &'static str,
    /// `None` if the text is not such a value.
    pub set: fn(&mut C, &str) -> Option<()>,
    /// The text of the value; `None` if the setting has none.
    pub get: fn(&C) -> Option<String>,
}

impl<C> Setting<C> {
    /// Whether `-m` prints it.
    pub fn is_important(&self) -> bool {
        self.flags.contains(&"important")
    }

    /// Whether the default depends on the machine.
    pub fn is_of_machine(&self) -> bool {
        self.flags.contains(&"machine")
    }

    /// Whether a change waits for the next start.
    pub fn needs_restart(&self) -> bool {
        self.flags.contains(&"restart")
    }
}

/// A struct declared with [`config!`](crate::config!).
pub trait Settings: Clone + Default + 'static {
    /// In the order of their declaration.
    const SETTINGS: &'static [Setting<Self>];

    /// Properties text of all settings, by name.
    fn print_all(&self) -> String {
        print(self, |_| true)
    }

    /// As [`Settings::print_all`], of the settings a person looks at first.
    fn print_important(&self) -> String {
        print(self, Setting::is_important)
    }
}

/// What a declaration line cannot say.
pub trait Config: Settings {
    /// Java's keys that are accepted and do nothing here.
    const INERT: &'static [Inert] = &[];

    /// Java's keys for what is not there yet. To ignore them would break a promise, so only their harmless value is
    /// accepted.
    const MISSING: &'static [Missing] = &[];

    /// Keys that nobody changes at run time; naming one refuses the whole change, as in Java.
    const FROZEN: &'static [&'static str] = &[];

    /// Further frozen keys, separated by `;`. Java: `configBlackList`.
    fn black_list(&self) -> &str {
        ""
    }

    /// Rules for values that parse.
    ///
    /// # Errors
    /// [`Unfit`] names the key at fault.
    fn check(&self) -> Result<(), Unfit> {
        Ok(())
    }
}

/// Java keys that do nothing here, and why.
#[derive(Clone, Copy, Debug)]
pub struct Inert {
    pub reason: &'static str,
    pub keys: &'static [&'static str],
}

/// A feature that is not there yet, and the keys that ask for it.
#[derive(Clone, Copy, Debug)]
pub struct Missing {
    pub feature: &'static str,
    /// Each with the value that does not ask for the feature.
    pub keys: &'static [(&'static str, &'static str)],
}

/// A value that parses and yet cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    pub key: &'static str,
    /// To continue "key is value, which …".
    pub reason: String,
}

impl Unfit {
    pub fn new(key: &'static str, reason: impl Into<String>) -> Self {
        Self { key, reason: reason.into() }
    }
}

/// A text that is no value of its setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{key} is {value:?}, which {reason}", place(*.line))]
pub struct WrongValue {
    pub key: String,
    pub value: String,
    /// `None` if it does not come from a file.
    pub line: Option<usize>,
    pub reason: String,
}

fn place(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!("line {line}: "))
}

fn print<C: Settings>(config: &C, wanted: fn(&Setting<C>) -> bool) -> String {
    let mut settings: Vec<_> = C::SETTINGS.iter().filter(|setting| wanted(setting)).collect();
    settings.sort_unstable_by_key(|setting| setting.key);
    let values = settings.iter().filter_map(|setting| (setting.get)(config).map(|value| line(setting.key, &value)));
    values.collect()
}

/// Sets one value; a key that is no setting changes nothing.
fn set<C: Config>(config: &mut C, key: &str, value: &str, line: Option<usize>) -> Result<(), WrongValue> {
    let wrong = |reason| WrongValue { key: key.to_owned(), value: value.to_owned(), line, reason };
    if let Some((harmless, feature)) = missing::<C>(key) {
        let asks = !value.eq_ignore_ascii_case(harmless);
        let reason = || format!("asks for what is not there yet: {feature}; only {harmless:?} is accepted");
        return if asks { Err(wrong(reason())) } else { Ok(()) };
    }
    let Some(setting) = C::SETTINGS.iter().find(|setting| setting.key == key) else { return Ok(()) };
    (setting.set)(config, value).ok_or_else(|| wrong(format!("is not {}", setting.expected)))
}

fn inert<C: Config>(key: &str) -> Option<&'static str> {
    C::INERT.iter().find(|inert| inert.keys.contains(&key)).map(|inert| inert.reason)
}

/// The harmless value of a key that asks for a missing feature, and the feature.
fn missing<C: Config>(key: &str) -> Option<(&'static str, &'static str)> {
    let mut keys = C::MISSING.iter().flat_map(|missing| missing.keys.iter().map(|key| (key, missing.feature)));
    keys.find(|((name, _), _)| *name == key).map(|((_, harmless), feature)| (*harmless, feature))
}

#[cfg(test)]
mod tests;
