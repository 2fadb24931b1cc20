//! Records golden frames: stock clients, mqadmin and a few hand-made requests talk to the Java name server and broker
//! through a proxy, which keeps one request of each kind and one of each kind of answer, byte for byte.
//!
//! They are written to `compat-tests/golden/frames`, named as the README there says; `remoting/tests/golden.rs` reads them.
#![expect(clippy::print_stdout, reason = "says what it recorded")]

mod by_hand;
mod frame;
mod java;
mod proxy;
mod script;

use std::fs;

use anyhow::{Context, Result};
use compat_tests::artifacts::Artifacts;

use self::java::Java;
use self::proxy::Recorder;

/// Where stock peers connect: the proxy's side. Java itself listens on the same ports of 127.0.0.1.
const PROXY: &str = "127.0.0.2";
const BEHIND: &str = "127.0.0.1";
/// Below the ports that outgoing connections take.
const NAME_SERVER_PORT: u16 = 19876;
const BROKER_PORT: u16 = 21911;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(record())
}

async fn record() -> Result<()> {
    let artifacts = Artifacts::find()?;
    let scratch = artifacts.cache.join("golden");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).context("clear the last recording")?;
    }
    fs::create_dir_all(&scratch).context("create the scratch folder")?;
    let recorder = Recorder::default();
    for port in [NAME_SERVER_PORT, BROKER_PORT] {
        recorder.listen(port).await?;
    }
    let java = Java::start(&artifacts, &scratch).await?;
    script::run(&artifacts, &scratch).await?;
    // The broker's last words to its name server are recorded too.
    java.stop().await?;

    let frames = artifacts.workspace.join("compat-tests/golden/frames");
    if frames.exists() {
        fs::remove_dir_all(&frames).context("clear the last frames")?;
    }
    fs::create_dir_all(&frames).context("create the folder of frames")?;
    let kept = recorder.kept();
    for (name, bytes) in &kept {
        fs::write(frames.join(name), bytes).with_context(|| format!("write {name}"))?;
    }
    println!("{} frames in {}", kept.len(), frames.display());
    Ok(())
}
