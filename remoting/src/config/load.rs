//! From a file to structs: one file may feed several, as Java's do.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{BadEscape, Config, Properties, Unfit, WrongValue, decode_text, inert, missing, set};

/// Why there are no settings to start with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("read {}: {cause}", .path.display())]
    Read { path: PathBuf, cause: std::io::Error },
    #[error("{}: {cause}", .path.display())]
    Text { path: PathBuf, cause: BadEscape },
    #[error("{source_name}: {wrong}")]
    Wrong { source_name: String, wrong: WrongValue },
}

/// A key of a file that a person should know of, though the start goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// No struct has such a setting.
    Unknown { key: String, line: usize, nearest: Option<&'static str> },
    /// Java knows the key; here it does nothing.
    Inert { key: String, line: usize, reason: &'static str },
    /// Only the last one counts.
    Repeated { key: String, line: usize },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { key, line, nearest: Some(nearest) } => {
                write!(f, "line {line}: there is no setting {key}; {nearest} is the nearest one")
            }
            Self::Unknown { key, line, nearest: None } => write!(f, "line {line}: there is no setting {key}"),
            Self::Inert { key, line, reason } => write!(f, "line {line}: {key} does nothing here: {reason}"),
            Self::Repeated { key, line } => {
                write!(f, "line {line}: {key} is set again further down, which is what counts")
            }
        }
    }
}

/// Reads one properties text into several structs, then tells which keys none of them took.
#[derive(Debug, Default)]
pub struct Loader {
    source: String,
    properties: Properties,
    /// Keys that some struct has.
    taken: BTreeSet<&'static str>,
    inert: Vec<(&'static str, &'static str)>,
}

impl Loader {
    /// # Errors
    /// [`ConfigError`] if the file cannot be read or is not properties text.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let bytes = std::fs::read(path).map_err(|cause| ConfigError::Read { path: path.to_owned(), cause })?;
        let properties = Properties::parse(&decode_text(&bytes))
            .map_err(|cause| ConfigError::Text { path: path.to_owned(), cause })?;
        Ok(Self { source: path.display().to_string(), properties, ..Self::default() })
    }

    /// Properties that come from elsewhere than a file; `source` names it in errors.
    pub fn from_properties(source: impl Into<String>, properties: Properties) -> Self {
        Self { source: source.into(), properties, ..Self::default() }
    }

    /// `base` with the values of the file.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`] for a value that does not parse.
    pub fn apply<C: Config>(&mut self, base: C) -> Result<C, ConfigError> {
        let mut config = base;
        self.taken.extend(C::SETTINGS.iter().map(|setting| setting.key));
        self.taken.extend(C::MISSING.iter().flat_map(|missing| missing.keys.iter().map(|(key, _)| *key)));
        let inert_keys = C::INERT.iter().flat_map(|inert| inert.keys.iter().map(|key| (*key, inert.reason)));
        self.inert.extend(inert_keys);
        for property in self.effective() {
            set(&mut config, &property.key, &property.value, Some(property.line)).map_err(|wrong| self.wrong(wrong))?;
        }
        Ok(config)
    }

    /// Sets one value that the command line gives; it beats the file.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`] for a value that does not parse.
    pub fn set_flag<C: Config>(config: &mut C, flag: &str, key: &str, value: &str) -> Result<(), ConfigError> {
        set(config, key, value, None).map_err(|wrong| ConfigError::Wrong { source_name: flag.to_owned(), wrong })
    }

    /// Runs the rules that look at several values.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`], with the line if the file set the key.
    pub fn check<C: Config>(&self, config: &C) -> Result<(), ConfigError> {
        let Err(Unfit { key, reason }) = config.check() else { return Ok(()) };
        let value = C::SETTINGS.iter().find(|setting| setting.key == key).and_then(|setting| (setting.get)(config));
        let line = self.properties.get(key).map(|property| property.line);
        Err(self.wrong(WrongValue { key: key.to_owned(), value: value.unwrap_or_default(), line, reason }))
    }

    /// Keys to tell a person of, once each and in the order of the file.
    pub fn notices(&self) -> Vec<Notice> {
        let mut told = BTreeSet::new();
        self.properties
            .iter()
            .filter_map(|property| self.notice(property.key.clone(), property.line, &mut told))
            .collect()
    }

    fn notice(&self, key: String, line: usize, told: &mut BTreeSet<String>) -> Option<Notice> {
        let last = self.properties.get(&key).is_some_and(|last| last.line == line);
        if self.taken.contains(key.as_str()) {
            return (!last).then_some(Notice::Repeated { key, line });
        }
        if !told.insert(key.clone()) {
            return None;
        }
        match self.inert.iter().find(|(inert, _)| *inert == key) {
            Some((_, reason)) => Some(Notice::Inert { key, line, reason }),
            None => Some(Notice::Unknown { nearest: self.nearest(&key), key, line }),
        }
    }

    fn nearest(&self, key: &str) -> Option<&'static str> {
        let known = self.taken.iter().copied().chain(self.inert.iter().map(|(key, _)| *key));
        nearest(key, known)
    }

    /// The properties that count: of equal keys the last one.
    fn effective(&self) -> impl Iterator<Item = &super::Property> {
        let last = |property: &&super::Property| {
            self.properties.get(&property.key).is_some_and(|last| last.line == property.line)
        };
        self.properties.iter().filter(last)
    }

    fn wrong(&self, wrong: WrongValue) -> ConfigError {
        ConfigError::Wrong { source_name: self.source.clone(), wrong }
    }
}

/// Whether the key means something, be it that it does nothing.
pub fn is_known<C: Config>(key: &str) -> bool {
    C::SETTINGS.iter().any(|setting| setting.key == key) || inert::<C>(key).is_some() || missing::<C>(key).is_some()
}

/// The known key with the smallest edit distance, if it is near enough to be what was meant.
pub(super) fn nearest(key: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let far = key.chars().count() / 3 + 1;
    let distances = known.map(|known| (distance(key, known), known));
    distances.filter(|(distance, _)| *distance <= far).min().map(|(_, known)| known)
}

/// Insertions, deletions and replacements between two keys, ignoring case.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
