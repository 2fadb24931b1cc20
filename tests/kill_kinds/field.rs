//! Where the broker lives that is killed, and how its clients speak to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use remoting::client::Client;
use remoting::protocol::send::SendMessage;

use super::common::ports::free_port;
use super::common::{Process, processes, send_message};

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
        processes::start("broker", &self.folder, &settings, Some("warn"))
    }

    pub(crate) fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn log(&self) -> String {
        processes::log_of(&self.folder)
    }

    /// Creates the topic, of one queue, as often as it takes for the broker to be up.
    pub(crate) async fn until_up(&self, client: &Client, topic: &str) {
        processes::until_up(client, &self.addr(), (topic, 1), ANSWER_MAX, || self.log()).await;
    }
}

/// A message for the queue of the topic.
pub(crate) fn send_to(topic: &str, properties: String) -> SendMessage {
    SendMessage { properties: Some(properties), ..send_message(topic, 1, 0) }
}
