//! Where the broker lives that is killed, and how its clients speak to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use remoting::client::Client;
use remoting::protocol::ResponseCode;
use remoting::protocol::send::SendMessage;

use super::common::{Process, free_port, send_message, update_topic};

pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(20);

pub(crate) struct Field {
    folder: PathBuf,
    port: u16,
    settings: String,
}

impl Field {
    /// `settings`: lines beside those that make files small.
    pub(crate) fn new(folder: &Path, settings: String) -> Self {
        let port = free_port();
        Self { folder: folder.to_owned(), port, settings }
    }

    pub(crate) fn start(&self) -> Process {
        let settings = format!(
            "brokerName=victim\nbrokerIP1=127.0.0.1\nlistenPort={}\nstorePathRootDir={}\n\
             mappedFileSizeCommitLog=1048576\nmappedFileSizeConsumeQueue=6000\nmaxMessageSize=65536\nflushConsumerOffsetInterval=100\n{}",
            self.port,
            self.folder.join("store").display(),
            self.settings
        );
        let file = self.folder.join("broker.conf");
        fs::write(&file, settings).expect("the settings");
        let log = fs::File::options().create(true).append(true).open(self.folder.join("log")).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferromq"));
        command.arg("broker").arg("-c").arg(file).env("RUST_LOG", "warn");
        Process(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("the broker"))
    }

    pub(crate) fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Creates the topic, of one queue, as often as it takes for the broker to be up.
    pub(crate) async fn until_up(&self, client: &Client, topic: &str) {
        let since = Instant::now();
        loop {
            match client.call(&self.addr(), &update_topic(topic, 1), Bytes::new(), ANSWER_MAX).await {
                Ok(answer) if answer.code() == ResponseCode::SUCCESS => return,
                outcome => assert!(since.elapsed() < 3 * ANSWER_MAX, "{outcome:?}\n{}", self.log()),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A message for the queue of the topic.
pub(crate) fn send_to(topic: &str, properties: String) -> SendMessage {
    SendMessage { properties: Some(properties), ..send_message(topic, 1, 0) }
}
