//! What `setup/prepare.sh` laid ready under `target/compat`, and the Ferromq binary.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The Java side every scenario is first proved on; also the version of mqadmin.
pub const JAVA_SERVER: &str = "5.5.0";
/// An older Java broker, whose stores are taken over and handed back.
pub const OLD_JAVA_SERVER: &str = "4.9.7";

/// Paths the harness starts programs from. All of them are valid inside containers too: the cache is mounted under its
/// own path.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// The workspace.
    pub workspace: PathBuf,
    /// `target/compat`, whatever `CARGO_TARGET_DIR` says.
    pub cache: PathBuf,
    /// Name and tag of the image `prepare.sh` built.
    pub image: String,
}

impl Artifacts {
    /// Finds the prepared files.
    ///
    /// # Errors
    /// If the set-up was not run.
    pub fn find() -> Result<Self> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("find the workspace")?.to_owned();
        let cache = workspace.join("target/compat");
        let Ok(image) = fs::read_to_string(cache.join("image")) else {
            bail!("the compatibility tests are not set up: run compat-tests/setup/prepare.sh");
        };
        Ok(Self { workspace, cache, image: image.trim().to_owned() })
    }

    /// Class path of the Java name server, broker and mqadmin of `version`.
    pub fn server_class_path(&self, version: &str) -> String {
        format!("{}/*", self.cache.join("jars").join(format!("server-{version}")).display())
    }

    /// Class path of mqadmin behind our line-by-line main.
    pub fn mqadmin_class_path(&self) -> String {
        format!("{}:{}", self.cache.join("java/mqadmin.jar").display(), self.server_class_path(JAVA_SERVER))
    }

    /// Class path of our Java client program with the stock client of `version`.
    pub fn client_class_path(&self, version: &str) -> String {
        let program = self.cache.join(format!("java/client-{version}.jar"));
        let library = self.cache.join(format!("jars/client-{version}"));
        format!("{}:{}/*", program.display(), library.display())
    }

    /// Our Go client program, built with the stock module.
    pub fn go_client(&self) -> PathBuf {
        self.cache.join("go/client")
    }

    /// The Ferromq binary under test: `FERROMQ_BIN`, else the debug build, whose arithmetic is checked.
    ///
    /// # Errors
    /// If there is none.
    pub fn ferromq(&self) -> Result<PathBuf> {
        let built = match env::var_os("FERROMQ_BIN") {
            Some(path) => PathBuf::from(path),
            None => env::var_os("CARGO_TARGET_DIR")
                .map_or_else(|| self.workspace.join("target"), PathBuf::from)
                .join("debug/ferromq"),
        };
        if !built.is_file() {
            bail!("no Ferromq binary at {}: run `cargo build` or set FERROMQ_BIN", built.display());
        }
        Ok(built)
    }
}
