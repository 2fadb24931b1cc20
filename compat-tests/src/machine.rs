//! A place that runs processes: a container on the cluster's own network, or this machine's loopback.
//!
//! A container is a machine that stays while its processes come and go: a broker is killed and started again on the
//! same address and disk, as after a crash. Paths are the same inside and outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use testcontainers::core::{AccessMode, Mount};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::artifacts::Artifacts;
use crate::process::Process;

/// A container that was forgotten ends by itself after this long.
const LIFETIME_SECONDS: &str = "3600";

/// Longest time until a container has started; the daemon has to share the processors with all tests.
const START_MAX: Duration = Duration::from_secs(300);

/// Where machines come from.
#[derive(Clone, Debug)]
pub enum Place {
    /// Containers on the network of this name.
    Containers { network: String },
    /// Plain processes on 127.0.0.1.
    Loopback,
}

/// What a process can be sent.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// `SIGTERM`: end in order.
    Term,
    /// `SIGKILL`: gone at once.
    Kill,
    /// `SIGSTOP`: hold still, with all connections open.
    Stop,
    /// `SIGCONT`: go on.
    Continue,
}

/// A disk of a machine's own.
#[derive(Clone, Copy, Debug)]
pub struct Disk {
    /// Where it is, in the machine's directory.
    pub folder: &'static str,
    pub mib: u32,
}

/// One running machine.
#[derive(Debug)]
pub struct Machine {
    name: String,
    /// Its files: data, configuration, logs.
    dir: PathBuf,
    /// The address other machines reach it at.
    ip: String,
    container: Option<Container>,
}

#[derive(Debug)]
struct Container {
    id: String,
    network: String,
    is_cut: AtomicBool,
    /// Emptied when the machine is removed.
    handle: Mutex<Option<ContainerAsync<GenericImage>>>,
}

impl Machine {
    /// Brings up the machine `name` with its own directory below `dir`.
    ///
    /// # Errors
    /// If the container does not start.
    pub async fn start(
        artifacts: &Artifacts,
        place: &Place,
        dir: &Path,
        name: &str,
        disk: Option<Disk>,
    ) -> Result<Self> {
        let own = dir.join(name);
        fs::create_dir_all(&own).with_context(|| format!("create {}", own.display()))?;
        let Place::Containers { network } = place else {
            ensure!(disk.is_none(), "only a container has a disk of its own");
            return Ok(Self { name: name.to_owned(), dir: own, ip: "127.0.0.1".to_owned(), container: None });
        };
        let (image, tag) = artifacts.image.split_once(':').context("split image name and tag")?;
        let at_its_path = |path: &Path| {
            let path = path.display().to_string();
            Mount::bind_mount(path.clone(), path)
        };
        let mut request = GenericImage::new(image, tag)
            .with_container_name(format!("{network}-{name}"))
            .with_hostname(name)
            .with_network(network)
            .with_mount(at_its_path(&artifacts.cache).with_access_mode(AccessMode::ReadOnly))
            .with_mount(at_its_path(dir))
            .with_cmd(["sleep", LIFETIME_SECONDS])
            .with_startup_timeout(START_MAX)
            .with_host_config_modifier(|host| {
                host.auto_remove = Some(true);
                host.init = Some(true);
            });
        if let Some(Disk { folder, mib }) = disk {
            let path = own.join(folder).display().to_string();
            request = request.with_mount(Mount::tmpfs_mount(path).with_size_bytes(i64::from(mib) << 20));
        }
        let container = request.start().await.with_context(|| format!("start container {network}-{name}"))?;
        let ip = container.get_bridge_ip_address().await.context("ask for the container's address")?.to_string();
        let (id, network) = (container.id().to_owned(), network.clone());
        let container =
            Some(Container { id, network, is_cut: AtomicBool::new(false), handle: Mutex::new(Some(container)) });
        Ok(Self { name: name.to_owned(), dir: own, ip, container })
    }

    /// Directory of its files, the same inside and outside.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Address for other machines.
    pub fn ip(&self) -> &str {
        &self.ip
    }

    /// Whether ports must differ between machines.
    pub fn shares_ports(&self) -> bool {
        self.container.is_none()
    }

    /// Starts a program; its output goes to `<name>.out` and `<name>.err` in [`Self::dir`], which is also its working
    /// directory and home.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn run(&self, name: &str, program: &str, args: &[String]) -> Result<Process> {
        let home = self.dir.join(format!("{name}.home"));
        fs::create_dir_all(&home).with_context(|| format!("create {}", home.display()))?;
        let mut command = match &self.container {
            None => {
                let mut command = Command::new(program);
                command.args(args).current_dir(&self.dir).env("HOME", &home);
                command
            }
            Some(container) => {
                let mut command = Command::new("docker");
                command.args(["exec", "--interactive", "--user", &caller(), "--env"]);
                command.arg(format!("HOME={}", home.display())).arg("--workdir").arg(&self.dir).arg(&container.id);
                // A signal needs the number the process has inside.
                command.args(["sh", "-c", r#"echo $$ >"$0" && exec "$@""#]).arg(self.pid_file(name));
                command.arg(program).args(args);
                command
            }
        };
        command.env_remove("NAMESRV_ADDR");
        Process::start(name, command, &self.dir)
    }

    /// Ends a process of this machine and waits until it is gone.
    ///
    /// # Errors
    /// If the signal cannot be sent or the process stays.
    pub async fn end(&self, process: &Process, signal: Signal) -> Result<()> {
        self.send(process, signal).await?;
        process.ended().await
    }

    /// Sends a signal to a process of this machine, unless it is over.
    ///
    /// # Errors
    /// If the signal cannot be sent.
    pub async fn send(&self, process: &Process, signal: Signal) -> Result<()> {
        if process.runs().await {
            let pid = match &self.container {
                None => process.pid().await.context("find the process")?.to_string(),
                Some(_) => fs::read_to_string(self.pid_file(process.name())).context("read the pid file")?,
            };
            let signal = match signal {
                Signal::Term => "-TERM",
                Signal::Kill => "-KILL",
                Signal::Stop => "-STOP",
                Signal::Continue => "-CONT",
            };
            let mut command = match &self.container {
                None => Command::new("kill"),
                Some(container) => {
                    let mut command = Command::new("docker");
                    command.args(["exec", &container.id, "kill"]);
                    command
                }
            };
            let sent = command.args([signal, pid.trim()]).stdin(Stdio::null()).output().await.context("run kill")?;
            // A process that just ended by itself is as good.
            ensure!(
                sent.status.success() || !process.runs().await,
                "{signal} to {} on {}: {}",
                process.name(),
                self.name,
                String::from_utf8_lossy(&sent.stderr)
            );
        }
        Ok(())
    }

    /// Runs a line of shell in the machine's directory and tells what it printed.
    ///
    /// # Errors
    /// If it fails, with what it printed.
    pub async fn shell(&self, line: &str) -> Result<String> {
        let container = self.container()?;
        let mut command = Command::new("docker");
        command.args(["exec", "--user", &caller(), "--workdir"]).arg(&self.dir);
        let output = command.args([&container.id, "sh", "-c", line]).stdin(Stdio::null()).output().await?;
        let printed = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{line}` on {}: {printed}", self.name);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Sends a process the signal of this name, and tells between which times, in milliseconds since the epoch: asking
    /// Docker for it takes much longer than the signal.
    ///
    /// # Errors
    /// If it was not sent.
    pub async fn strike(&self, process: &Process, signal: &str) -> Result<(i64, i64)> {
        let pid_file = self.pid_file(process.name());
        let line =
            format!("pid=$(cat '{}') && date +%s%3N && kill -{signal} \"$pid\" && date +%s%3N", pid_file.display());
        let printed = self.shell(&line).await?;
        let times: Vec<i64> = printed.lines().filter_map(|time| time.parse().ok()).collect();
        let [before, after] = times[..] else { bail!("`{line}` on {} printed {printed}", self.name) };
        Ok((before, after))
    }

    /// Takes the machine off the network: its processes go on, and nobody hears of it.
    ///
    /// # Errors
    /// If it is no container, or is off.
    pub async fn cut(&self) -> Result<()> {
        self.network("disconnect").await
    }

    /// Undoes [`Self::cut`].
    ///
    /// # Errors
    /// If it was not done, or the machine got another address: one that is cut has to be back before others come.
    pub async fn mend(&self) -> Result<()> {
        self.network("connect").await?;
        let id = &self.container()?.id;
        let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let output = Command::new("docker").args(["inspect", "--format", address, id]).output().await?;
        let address = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        ensure!(address == self.ip, "{} was {} and is back as {address}", self.name, self.ip);
        Ok(())
    }

    /// Whether it is off the network.
    pub fn is_cut(&self) -> bool {
        self.container.as_ref().is_some_and(|container| container.is_cut.load(Ordering::Relaxed))
    }

    async fn network(&self, act: &str) -> Result<()> {
        let Container { id, network, is_cut, .. } = self.container()?;
        let output = Command::new("docker").args(["network", act, network, id]).output().await?;
        let printed = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{act} {} and its network: {printed}", self.name);
        is_cut.store(act == "disconnect", Ordering::Relaxed);
        Ok(())
    }

    fn container(&self) -> Result<&Container> {
        self.container.as_ref().context("only a container can do this")
    }

    /// Id of the container, if it is one.
    pub(crate) fn container_id(&self) -> Option<&str> {
        self.container.as_ref().map(|container| container.id.as_str())
    }

    /// CPU time of all its processes so far, if it is a container and the kernel tells.
    pub fn cpu_time(&self) -> Option<Duration> {
        let id = self.container_id()?;
        let usage = fs::read_to_string(format!("/sys/fs/cgroup/cpuacct/docker/{id}/cpuacct.usage"));
        if let Ok(nanoseconds) = usage {
            return nanoseconds.trim().parse().ok().map(Duration::from_nanos);
        }
        let unified = [format!("docker/{id}"), format!("system.slice/docker-{id}.scope")];
        let stat =
            unified.iter().find_map(|group| fs::read_to_string(format!("/sys/fs/cgroup/{group}/cpu.stat")).ok())?;
        let microseconds = stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
        microseconds.parse().ok().map(Duration::from_micros)
    }

    /// Removes the container, by its id. A busy daemon refuses at times; the end of the run tries again.
    pub async fn remove(&self) {
        if let Some(container) = &self.container
            && let Some(handle) = container.handle.lock().await.take()
            && let Err(err) = handle.rm().await
        {
            eprintln!("container {} is left until the end of the run: {err}", container.id);
        }
    }

    fn pid_file(&self, process: &str) -> PathBuf {
        self.dir.join(format!("{process}.pid"))
    }
}

/// `uid:gid` of whoever runs the tests, so that files in the shared directories belong to them.
fn caller() -> String {
    format!("{}:{}", rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw())
}
