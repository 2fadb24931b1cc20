//! The stock Java name server and broker, kept small.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Launch, setting};
use crate::artifacts::Artifacts;
use crate::cluster::Layout;
use crate::machine::Machine;
use crate::stage::Stage;

/// What makes a Java broker fit a small and busy machine that runs several: small files, no refusal of a fairly full
/// disk, no flow control because a request waited its usual 200 ms, a background task that uses a tenth of a core at its
/// usual setting, and one that uses a whole core from the start until it flushes for the first time.
const BROKER_SETTINGS: &str = "\
diskMaxUsedSpaceRatio=95
waitTimeMillsInSendQueue=10000
waitTimeMillsInPullQueue=20000
waitTimeMillsInHeartbeatQueue=60000
waitTimeMillsInAdminBrokerQueue=30000
osPageCacheBusyTimeOutMills=10000
timerFlushIntervalMs=10000
transactionMetricFlushInterval=200
transactionOpMsgMaxSize=1
";

/// From the last end of a transaction plus an interval on, 5.5.0 uses a whole core. So that is long, and every end is written at
/// once, by `transactionOpMsgMaxSize`.
const END_INTERVAL_MS: u32 = 600_000;
/// Where transactions end all the time: 5.5.0 may miss that it is to write down an end, and notices after the interval only (a wake-up
/// between two steps of `ServiceThread.waitForRunning` is lost, with all behind it). Until then it asks about what has ended,
/// and delivers that again.
const BUSY_END_INTERVAL_MS: u32 = 3000;

/// What a Java broker has beside the settings of all brokers.
pub(super) fn broker_settings(layout: Layout) -> String {
    let interval = if layout.transactions { BUSY_END_INTERVAL_MS } else { END_INTERVAL_MS };
    [
        BROKER_SETTINGS.to_owned(),
        setting("transactionOpBatchInterval", interval),
        setting("timerWheelEnable", layout.timer),
    ]
    .concat()
}

pub(super) fn name_server(stage: &Stage, machine: &Machine, version: &str, config: &Path) -> Launch {
    let heap = ["-Xms64m", "-Xmx256m"];
    let args = ["-c", &config.display().to_string()];
    launch(stage, machine, ("namesrv", version), &heap, "org.apache.rocketmq.namesrv.NamesrvStartup", &args)
}

pub(super) fn broker(stage: &Stage, machine: &Machine, version: &str, config: &Path, name_servers: &str) -> Launch {
    let flags = [
        "-Xms256m",
        "-Xmx512m",
        "-Drocketmq.broker.diskSpaceWarningLevelRatio=0.99",
        "-Drocketmq.broker.diskSpaceCleanForciblyRatio=0.98",
        // Java 4.9 unmaps its files with what later JDKs hide; refused that, it stops without saving the offsets.
        "--add-opens=java.base/java.nio=ALL-UNNAMED",
        "--add-opens=java.base/jdk.internal.ref=ALL-UNNAMED",
    ];
    let args = ["-c", &config.display().to_string(), "-n", name_servers];
    launch(stage, machine, ("broker", version), &flags, "org.apache.rocketmq.broker.BrokerStartup", &args)
}

/// Java 4.9 does not start without such a file for its `program`; an empty one keeps its logs to errors on the console.
pub(super) fn write_old_logback(machine: &Machine, program: &str) -> Result<()> {
    let dir = machine.dir().join("conf");
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    let path = dir.join(format!("logback_{program}.xml"));
    fs::write(&path, "<configuration/>\n").with_context(|| format!("write {}", path.display()))
}

fn launch(
    stage: &Stage,
    machine: &Machine,
    (archive, version): (&str, &str),
    flags: &[&str],
    main: &str,
    args: &[&str],
) -> Launch {
    let home = machine.dir().display();
    let mut all = jvm(&stage.artifacts, archive);
    // Else each start makes an RSA key for a certificate nobody asks for: seconds of CPU time.
    all.push("-Dtls.server.mode=disabled".to_owned());
    all.extend(flags.iter().map(|&flag| flag.to_owned()));
    all.extend([format!("-Duser.home={home}"), format!("-Drocketmq.home.dir={home}")]);
    all.extend(["-cp".to_owned(), stage.artifacts.server_class_path(version), main.to_owned()]);
    all.extend(args.iter().map(|&arg| arg.to_owned()));
    Launch { program: "java".to_owned(), args: all }
}

/// Flags that shorten the start of a JVM that lives for seconds. `archive` names the class-data archive `archive.sh`
/// made; a JVM it does not fit, such as another version on loopback, silently does without.
pub(crate) fn jvm(artifacts: &Artifacts, archive: &str) -> Vec<String> {
    let mut flags: Vec<String> =
        ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xlog:disable"].map(str::to_owned).into();
    let archive = artifacts.cache.join("cds").join(archive).with_added_extension("jsa");
    flags.push(format!("-XX:SharedArchiveFile={}", archive.display()));
    flags
}
