//! What Java's name server and broker have passed. They do not change, so they are asked again when what they are asked has.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha1::{Digest, Sha1};

use crate::plan::Test;
use crate::target::Target;

/// Where it is noted, in this crate's folder.
const FILE: &str = "passed-on-java.txt";

/// Files and folders that no scenario is made of: documents, what runs and reports them and says what lines our own servers may
/// write, and other programs.
const NOT_ASKED: [&str; 17] = [
    "README.md",
    FILE,
    "golden",
    "src/bin",
    "src/faults",
    "src/logs.rs",
    "src/matrix.rs",
    "src/migration",
    "src/plan.rs",
    "src/proven.rs",
    "src/replicas.rs",
    "src/suite",
    "src/times.rs",
    "tests/group_faults.rs",
    "tests/migration.rs",
    "tests/replicas.rs",
    "tests/sql92",
];

/// Tests that Java passed, of scenarios as they are now.
#[derive(Debug, Default)]
pub(crate) struct Proven {
    /// Of all that scenarios are made of.
    digest: String,
    tests: BTreeSet<String>,
    /// The note is of other scenarios than these, or there is none.
    outdated: bool,
}

impl Proven {
    /// What was noted of scenarios as they are now.
    ///
    /// # Errors
    /// If a file cannot be read, or the note is not one.
    pub(crate) fn read() -> Result<Self> {
        let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
        let digest = digest_of(crate_dir)?;
        let path = crate_dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.with_context(|| format!("read {}", path.display()))?,
        };
        let tests = parse(&text, &digest).with_context(|| format!("{} is damaged: delete it", path.display()))?;
        Ok(Self { digest, outdated: tests.is_none(), tests: tests.unwrap_or_default() })
    }

    /// Whether this test need not be run.
    pub(crate) fn has(&self, test: &Test) -> bool {
        test.target == Target::Java && self.tests.contains(&test.to_string())
    }

    /// Notes what else Java has passed. Only a run of `all` begins a new note: others would leave most of it out.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn add(&self, passed: BTreeSet<String>, all: bool) -> Result<()> {
        if passed.is_subset(&self.tests) || (self.outdated && !all) {
            return Ok(());
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
        let text = text(&self.digest, &passed.union(&self.tests).cloned().collect());
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }
}

fn text(digest: &str, tests: &BTreeSet<String>) -> String {
    let mut text = format!(
        "# Written by runs of the tests: what Java's name server and broker passed, of scenarios with this digest (src/proven.rs).\n\
         digest {digest}\n"
    );
    for test in tests {
        text.push_str(test);
        text.push('\n');
    }
    text
}

/// The tests of a note, if it is of scenarios with this digest.
fn parse(text: &str, digest: &str) -> Result<Option<BTreeSet<String>>> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let Some(first) = lines.next() else { return Ok(None) };
    let Some(noted) = first.strip_prefix("digest ") else { bail!("no digest, but {first:?}") };
    Ok((noted == digest).then(|| lines.map(str::to_owned).collect()))
}

/// A digest of all files that scenarios are made of, and of their names.
fn digest_of(crate_dir: &Path) -> Result<String> {
    let mut files = Vec::new();
    collect(crate_dir, crate_dir, &mut files)?;
    files.sort();
    let mut digest = Sha1::new();
    for file in files {
        let path = crate_dir.join(&file);
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let name = file.as_os_str().as_encoded_bytes();
        for part in [name, &bytes] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    Ok(digest.finalize().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
}

fn collect(crate_dir: &Path, dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let path = entry?.path();
        let name = path.strip_prefix(crate_dir)?;
        if NOT_ASKED.iter().any(|other| name == Path::new(other)) {
            continue;
        }
        if path.is_dir() {
            collect(crate_dir, &path, files)?;
        } else {
            files.push(name.to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_counts_for_the_scenarios_it_was_made_of() {
        let tests: BTreeSet<_> = ["a/java-5.5.0/on-java", "b/go-2.1.2/on-java"].map(str::to_owned).into();
        let text = text("1f", &tests);
        assert_eq!(parse(&text, "1f").unwrap(), Some(tests));
        assert_eq!(parse(&text, "2f").unwrap(), None);
        assert_eq!(parse("", "1f").unwrap(), None);
        assert!(parse("a/java-5.5.0/on-java\n", "1f").is_err());
    }

    #[test]
    fn the_digest_is_of_names_and_contents_of_what_scenarios_are_made_of() {
        let held = tempfile::tempdir().unwrap();
        let dir = held.path();
        fs::create_dir_all(dir.join("src/bin")).unwrap();
        fs::write(dir.join("src/a.rs"), "one").unwrap();
        let first = digest_of(dir).unwrap();
        fs::write(dir.join("src/bin/other.rs"), "another program").unwrap();
        fs::write(dir.join("README.md"), "a document").unwrap();
        assert_eq!(digest_of(dir).unwrap(), first);
        fs::write(dir.join("src/a.rs"), "two").unwrap();
        let second = digest_of(dir).unwrap();
        assert_ne!(second, first);
        fs::rename(dir.join("src/a.rs"), dir.join("src/b.rs")).unwrap();
        assert_ne!(digest_of(dir).unwrap(), second);
    }
}
