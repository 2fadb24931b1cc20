//! Measures Ferromq against the Java broker: both started in turn on the same settings and driven by the same load.
//!
//! Processes are the unit: CPU and memory are what the system accounts to the broker, the load comes from this process
//! and from a stock Java producer. Rounds alternate, because machines are noisy: quote medians and ratios.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the report is the output")]

mod bound;
mod consume;
mod figures;
mod group_commit;
mod limits;
mod produce;
mod read_queue;
mod report;
mod stock;
mod suites;
mod target;
mod ticks;
mod wire;

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::report::Report;
use crate::suites::{Bench, Load, Suite};
use crate::target::{Kind, Programs};

const USAGE: &str = "\
usage: bench --ferromq BINARY --server-jars DIR --client-path CLASSPATH [--rounds N] [--messages N] [--body BYTES]
             [--connections N] [--in-flight N] [--paced PER_SECOND] [--java-threads N] [--java-messages N]
             [--pending N] [--light-queues N] [--flush ASYNC_FLUSH|SYNC_FLUSH] [--store-gib N] [--only java|ferromq] [--suites NAME,NAME]";

fn usage() -> String {
    format!("{USAGE}\nsuites: {}", Suite::ALL.map(Suite::name).join(","))
}

fn main() -> Result<()> {
    let (bench, suites) = parse(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    let mut report = Report::default();
    for suite in suites {
        runtime.block_on(suite.run(&bench, &mut report)).with_context(|| format!("suite {}", suite.name()))?;
    }
    let Load { messages, body_bytes, connections, in_flight, paced_per_second, .. } = &bench.load;
    println!(
        "\n{messages} messages of {body_bytes} bytes, {connections} connections with {in_flight} sends in flight; paced: {paced_per_second} per second; rounds: {}\n",
        bench.rounds
    );
    print!("{report}");
    Ok(())
}

/// Tells what is being done: a whole run takes many minutes.
fn progress(what: &str) {
    println!("{what}");
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<(Bench, Vec<Suite>)> {
    let (mut ferromq, mut server_jars, mut client_path) = (None, None, None);
    let (mut rounds, mut kinds, mut suites) = (3, Kind::ALL.to_vec(), Suite::ALL.to_vec());
    let mut load = Load {
        messages: 400_000,
        paced_per_second: 10_000,
        body_bytes: 1024,
        connections: 4,
        in_flight: 64,
        java_threads: 8,
        java_messages: 40_000,
        pending: 400_000,
        light_queues: 20_000,
        many_topics: 100_000,
        flush: "ASYNC_FLUSH".to_owned(),
        store_gib: 20,
    };
    while let Some(option) = words.next() {
        let value = words.next().with_context(|| format!("{option} needs a value\n{}", usage()))?;
        let number = || value.parse::<usize>().with_context(|| format!("{option} takes a number, not {value:?}"));
        match option.as_str() {
            "--ferromq" => ferromq = Some(PathBuf::from(&value)),
            "--server-jars" => server_jars = Some(PathBuf::from(&value)),
            "--client-path" => client_path = Some(PathBuf::from(&value)),
            "--rounds" => rounds = number()?,
            "--messages" => load.messages = number()?,
            "--body" => load.body_bytes = number()?,
            "--connections" => load.connections = number()?,
            "--in-flight" => load.in_flight = number()?,
            "--paced" => load.paced_per_second = number()?,
            "--java-threads" => load.java_threads = number()?,
            "--java-messages" => load.java_messages = number()?,
            "--pending" => load.pending = number()?,
            "--light-queues" => load.light_queues = number()?,
            "--many-topics" => load.many_topics = number()?,
            "--flush" => load.flush = value,
            "--store-gib" => load.store_gib = number()?,
            "--suites" => {
                suites.retain(|suite| value.split(',').any(|name| name == suite.name()));
                ensure!(suites.len() == value.split(',').count(), "{value:?} names an unknown suite\n{}", usage());
            }
            "--only" => kinds.retain(|kind| kind.name().to_lowercase().starts_with(&value)),
            _ => bail!("unknown option {option}\n{}", usage()),
        }
    }
    let programs = Programs { ferromq: ferromq.with_context(usage)?, server_jars: server_jars.with_context(usage)? };
    Ok((Bench { programs, client_path: client_path.with_context(usage)?, rounds, load, kinds }, suites))
}
