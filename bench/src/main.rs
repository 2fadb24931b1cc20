//! Measures Ferromq against the Java broker: both started in turn on the same settings and driven by the same load.
//!
//! Processes are the unit: CPU and memory are what the system accounts to the broker, the load comes from this process
//! and from a stock Java producer. Rounds alternate, because machines are noisy: quote medians and ratios.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the report is the output")]

mod consume;
mod figures;
mod phases;
mod produce;
mod report;
mod target;
mod wire;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::phases::Load;
use crate::report::Report;
use crate::target::{Kind, Programs};

const USAGE: &str = "\
usage: bench --ferromq BINARY --server-jars DIR --client-path CLASSPATH [--rounds N] [--messages N] [--body BYTES]
             [--connections N] [--in-flight N] [--paced PER_SECOND] [--java-threads N] [--java-messages N]
             [--flush ASYNC_FLUSH|SYNC_FLUSH] [--only java|ferromq]";

struct Arguments {
    programs: Programs,
    client_path: PathBuf,
    rounds: usize,
    load: Load,
    kinds: Vec<Kind>,
}

fn main() -> Result<()> {
    let arguments = parse(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    let mut report = Report::default();
    for round in 1..=arguments.rounds {
        for &kind in &arguments.kinds {
            println!("round {round} of {}: {}", arguments.rounds, kind.name());
            let phases = phases::run(kind, &arguments.programs, &arguments.load, &arguments.client_path, &mut report);
            runtime.block_on(phases).with_context(|| format!("measure {}", kind.name()))?;
        }
    }
    let Load { messages, body_bytes, connections, in_flight, paced_per_second, flush, .. } = &arguments.load;
    println!(
        "\n{messages} messages of {body_bytes} bytes, {connections} connections with {in_flight} sends in flight, {flush}; paced: {paced_per_second} per second\n"
    );
    print!("{report}");
    Ok(())
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments> {
    let (mut ferromq, mut server_jars, mut client_path) = (None, None, None);
    let (mut rounds, mut kinds) = (3, Kind::ALL.to_vec());
    let mut load = Load {
        messages: 400_000,
        paced_per_second: 10_000,
        body_bytes: 1024,
        connections: 4,
        in_flight: 64,
        java_threads: 8,
        java_messages: 40_000,
        flush: "ASYNC_FLUSH".to_owned(),
    };
    while let Some(option) = words.next() {
        let value = words.next().with_context(|| format!("{option} needs a value\n{USAGE}"))?;
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
            "--flush" => load.flush = value,
            "--only" => kinds.retain(|kind| kind.name().to_lowercase().starts_with(&value)),
            _ => bail!("unknown option {option}\n{USAGE}"),
        }
    }
    let programs = Programs { ferromq: ferromq.context(USAGE)?, server_jars: server_jars.context(USAGE)? };
    Ok(Arguments { programs, client_path: client_path.context(USAGE)?, rounds, load, kinds })
}
