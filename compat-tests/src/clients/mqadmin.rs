//! The stock mqadmin, kept running behind `clients/mqadmin` so that a command does not cost a JVM start.

use std::fs;

use anyhow::{Context, Result};

use super::line::encode;
use crate::cluster::Cluster;
use crate::process::Process;
use crate::target::java::jvm;

/// The credentials file RocketMQ is shipped with: because of it every stock mqadmin signs its requests.
const TOOLS_YML: &str = "accessKey: rocketmq2\nsecretKey: 12345678\n";

/// A running mqadmin.
#[derive(Debug)]
pub struct Mqadmin(Process);

impl Mqadmin {
    /// Starts the tool on the clients' machine.
    ///
    /// # Errors
    /// If it does not come up.
    pub(crate) async fn start(cluster: &Cluster) -> Result<Self> {
        let machine = &cluster.clients;
        let home = machine.dir().join("mqadmin.home");
        fs::create_dir_all(home.join("conf")).context("create mqadmin's home")?;
        fs::write(home.join("conf/tools.yml"), TOOLS_YML).context("write tools.yml")?;
        let mut args = jvm(&cluster.stage().artifacts, "mqadmin");
        args.extend(["-Xmx256m".to_owned(), format!("-Duser.home={}", home.display())]);
        args.push(format!("-Drocketmq.home.dir={}", home.display()));
        args.push(format!("-Drocketmq.namesrv.addr={}", cluster.name_servers()));
        args.extend(["-cp".to_owned(), cluster.stage().artifacts.mqadmin_class_path(), "ferromq.Admin".to_owned()]);
        let process = machine.run("mqadmin", "java", &args)?;
        process.dialogue.until("start", |journal| journal.ready).await?;
        Ok(Self(process))
    }

    pub(crate) async fn runs(&self) -> bool {
        self.0.runs().await
    }

    /// Runs one command. The tool exits with 0 even when it fails, so callers look at the text; what it printed to
    /// standard error is added after the output.
    ///
    /// # Errors
    /// If the tool does not answer.
    pub(crate) async fn run(&self, args: &[&str]) -> Result<String> {
        let before = self.0.dialogue.look(|journal| journal.outputs.len());
        let words: Vec<String> = args.iter().map(|arg| encode(arg)).collect();
        self.0.dialogue.write_line(&words.join(" ")).await?;
        self.0.dialogue.until(&format!("run {args:?}"), |journal| journal.outputs.len() > before).await?;
        Ok(self
            .0
            .dialogue
            .look(|journal| journal.outputs[before..].iter().map(|(out, err)| format!("{out}{err}")).collect()))
    }
}
