//! Starts what was planned, waits for a signal, and stops in reverse.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process;
use std::thread;
use std::time::Duration;

use broker::assemble::{Broker, Ended};
use broker::config::BrokerConfig;
use namesrv::Namesrv;
use remoting::types::Clock;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::settings::Plan;

#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("start the runtime: {0}")]
    Runtime(io::Error),
    #[error("the name server failed to start: {0}")]
    Namesrv(#[from] namesrv::StartError),
    #[error("the broker takes no more part in its group: the log above says why")]
    LeftGroup,
    #[error("the broker failed to start: {0}")]
    Broker(#[from] broker::assemble::StartError),
}

/// Runs until a signal has stopped everything.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub(crate) fn run(plan: Plan) -> Result<(), StartError> {
    raise_open_files_limit();
    let runtime = runtime().map_err(StartError::Runtime)?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(StartError::Runtime)?;
        let mut processes = Processes::start(plan).await?;
        let outcome = loop {
            tokio::select! {
                _ = signals.next() => break Ok(()),
                ended = processes.ended() => match ended {
                    Ended::Failed => break Err(StartError::LeftGroup),
                    // Not given up for a signal: what was begun is soon done, and the signal is seen then.
                    Ended::Filled => processes = processes.start_broker_again().await?,
                }
            }
        };
        tracing::info!("stopping; a second signal ends the process at once");
        tokio::select! {
            () = processes.stop() => tracing::info!("stopped"),
            signal = signals.next() => {
                tracing::warn!("ended by a second signal, before everything was saved");
                process::exit(128 + signal);
            }
        }
        outcome
    });
    // Everything was awaited above; what is left are threads without work.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Threads of the runtime's own are for what blocks: opening files, flushing, large lists.
const BLOCKING_THREADS_MAX: usize = 64;
const STACK_BYTES: usize = 512 << 10;

fn runtime() -> io::Result<Runtime> {
    // With one worker, whatever computes for a while would hold up everything else.
    let workers = thread::available_parallelism().map_or(2, usize::from).max(2);
    Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_keep_alive(Duration::from_secs(5))
        .thread_stack_size(STACK_BYTES)
        .thread_name("ferromq")
        .enable_all()
        .build()
}

/// A connection is an open file, and so is a piece of the log; the usual limit of 1024 is soon met. Java raises it, too.
fn raise_open_files_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(err) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%err, "raise the limit of open files");
    }
}

/// What runs in this process.
struct Processes {
    namesrv: Option<Namesrv>,
    broker: Option<Broker>,
    /// Where the broker saves changed settings.
    config_file: Option<PathBuf>,
}

impl Processes {
    async fn start(plan: Plan) -> Result<Self, StartError> {
        let Plan { namesrv, broker, config_file, .. } = plan;
        let namesrv = match namesrv {
            Some(config) => Some(Namesrv::start(config, Clock::system(), &CancellationToken::new()).await?),
            None => None,
        };
        if let Some(namesrv) = &namesrv {
            print(&format!("The Name Server boot success. serializeType=JSON, address {}\n", namesrv.addr()));
        }
        let Some(config) = broker else { return Ok(Self { namesrv, broker: None, config_file }) };
        let config = match &namesrv {
            Some(namesrv) => with_own_name_server(config, namesrv.addr()),
            None => config,
        };
        let (name, name_servers) = (config.broker_name.clone(), config.namesrv_addr.clone());
        let data = config.store_path_root_dir.clone();
        let started = Broker::start(config, config_file.clone(), Clock::system()).await;
        let broker = match started {
            Ok(broker) => broker,
            Err(err) => {
                Self { namesrv, broker: None, config_file }.stop().await;
                return Err(err.into());
            }
        };
        let addr = broker.identity().addr();
        let of_name_servers = name_servers.map_or_else(String::new, |list| format!(" and name server is {list}"));
        print(&format!("The broker[{name}, {addr}] boot success. serializeType=JSON{of_name_servers}\n"));
        if let Some(namesrv) = &namesrv {
            print(&format!(
                "Clients and mqadmin connect to {}; the data is in {}.\n",
                reach(namesrv.addr()),
                data.display()
            ));
        }
        Ok(Self { namesrv, broker: Some(broker), config_file })
    }

    /// Returns when one of them cannot go on as it is.
    async fn ended(&self) -> Ended {
        match &self.broker {
            Some(broker) => broker.ended().await,
            None => std::future::pending().await,
        }
    }

    /// Stops the broker and starts it with the settings that it had, on the files that it was given meanwhile.
    ///
    /// # Errors
    /// It does not start; nothing runs then.
    async fn start_broker_again(mut self) -> Result<Self, StartError> {
        let Some(broker) = self.broker.take() else { return Ok(self) };
        let config = broker.settings();
        tracing::info!("the broker starts again, with the files that its group has sent");
        broker.stop().await;
        match Broker::start(config, self.config_file.clone(), Clock::system()).await {
            Ok(broker) => Ok(Self { broker: Some(broker), ..self }),
            Err(err) => {
                self.stop().await;
                Err(err.into())
            }
        }
    }

    /// The broker first: it tells the name server that it leaves.
    async fn stop(self) {
        if let Some(broker) = self.broker {
            broker.stop().await;
        }
        if let Some(namesrv) = self.namesrv {
            namesrv.stop().await;
        }
    }
}

/// The broker registers with the name server beside it, and with those that were asked for.
fn with_own_name_server(config: BrokerConfig, own: SocketAddr) -> BrokerConfig {
    let own = reach(own).to_string();
    let others = config.name_servers().into_iter().filter(|other| *other != own);
    let all: Vec<_> = std::iter::once(own.clone()).chain(others).collect();
    BrokerConfig { namesrv_addr: Some(all.join(";")), ..config }
}

/// Where a listener on this machine is reached from this machine.
fn reach(listening: SocketAddr) -> SocketAddr {
    match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, listening.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, listening.port())),
        _ => listening,
    }
}

/// Writes to the standard output: what was asked for, and Java's lines of success for scripts that wait for them.
/// Everything else is logged to the standard error.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    // Nobody reads on: no reason for a server to end.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The number of the next signal.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_name_server_comes_first_and_once() {
        let check = |given: Option<&str>, expect: &str| {
            let config = BrokerConfig { namesrv_addr: given.map(str::to_owned), ..BrokerConfig::default() };
            let config = with_own_name_server(config, "0.0.0.0:9876".parse().unwrap());
            assert_eq!(config.namesrv_addr.as_deref(), Some(expect));
        };
        check(None, "127.0.0.1:9876");
        check(Some("127.0.0.1:9876"), "127.0.0.1:9876");
        check(Some("ns2:9876;ns3:9876"), "127.0.0.1:9876;ns2:9876;ns3:9876");
    }
}
