//! Load from a stock Java client.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::suites::Load;
use crate::target::NAME_SERVER;

/// Messages per second of the stock Java producer, sending synchronously from several threads.
pub(crate) async fn producer(java: &Path, load: &Load, topic: &str) -> Result<f64> {
    let begun = Instant::now();
    let output = tokio::process::Command::new("java")
        .args(["-XX:+UseSerialGC", "-Xmx256m", "-cp"])
        .arg(java)
        .args(["ferromq.StockProducer", NAME_SERVER, topic])
        .args([load.java_threads, load.java_messages, load.body_bytes].map(|number| number.to_string()))
        .stdin(Stdio::null())
        .output()
        .await
        .context("start the stock Java producer")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(|line| line.strip_prefix("per second: ")?.parse().ok());
    match rate {
        Some(rate) => Ok(rate),
        None => bail!(
            "the stock Java producer failed after {:?}: {text}{}",
            begun.elapsed(),
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}
