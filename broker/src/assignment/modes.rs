//! How groups get the messages of topics.

use parking_lot::Mutex;
use remoting::body::{MessageRequestMode, MessageRequestModes, RequestMode, fastjson};
use remoting::config::SaveError;
use remoting::header::NoHeader;
use remoting::protocol::assignment::{GetAllMessageRequestMode, SetMessageRequestMode};
use remoting::router::{Call, Handle, Reply};

use super::{AssignmentError, Assignments};
use crate::persist::{Home, LoadError, TableFile};
use crate::topic::validate::RETRY_PREFIX;

const FILE: &str = "messageRequestMode.json";

/// Bounded by the topics and groups there are, as nothing else is taken.
pub(super) struct Modes {
    table: Mutex<MessageRequestModes>,
    file: TableFile,
}

impl Modes {
    pub(super) fn load(home: &Home) -> Result<Self, LoadError> {
        let table = Mutex::new(home.load(FILE)?.unwrap_or_default());
        Ok(Self { table, file: home.file(FILE) })
    }

    /// With the queues that poppers share.
    pub(super) fn get(&self, topic: &str, group: &str) -> Option<(RequestMode, i32)> {
        let table = self.table.lock();
        let set = table.message_request_mode_map.get(topic)?.get(group)?;
        Some((set.mode, set.pop_share_queue_num))
    }

    /// Takes over what the master of this slave has. Java: `SlaveSynchronize.syncMessageRequestMode`.
    fn copy(&self, master: MessageRequestModes) {
        let mut table = self.table.lock();
        if *table == master {
            return;
        }
        *table = master;
        drop(table);
        self.file.changed();
        let means = "how groups consume could not be saved; a restart would forget its last changes";
        self.file.save_or_log(means, || fastjson::write(&*self.table.lock()));
    }

    fn set(&self, mode: MessageRequestMode) -> Result<(), SaveError> {
        let mut table = self.table.lock();
        let groups = table.message_request_mode_map.entry(mode.topic.clone()).or_default();
        groups.insert(mode.consumer_group.clone(), mode);
        drop(table);
        self.file.changed();
        self.file.save(|| fastjson::write(&*self.table.lock()))
    }
}

impl Assignments {
    /// For slaves.
    pub(crate) fn modes(&self) -> MessageRequestModes {
        self.modes.table.lock().clone()
    }

    /// Grows whenever a mode is set.
    pub(crate) fn step(&self) -> u64 {
        self.modes.file.step()
    }

    /// Takes over what the master of this slave has. Blocks.
    pub(crate) fn copy(&self, modes: MessageRequestModes) {
        self.modes.copy(modes);
    }
}

impl Handle<SetMessageRequestMode> for Assignments {
    type Error = AssignmentError;

    /// Java: `QueryAssignmentProcessor.setMessageRequestMode`.
    async fn handle(&self, call: Call<SetMessageRequestMode>) -> Result<Reply<NoHeader>, AssignmentError> {
        let mode: MessageRequestMode = fastjson::read(&call.body)?;
        if mode.topic.starts_with(RETRY_PREFIX) {
            return Err(AssignmentError::RetryTopic);
        }
        if self.topics.get(&mode.topic).is_none() {
            return Err(AssignmentError::UnknownTopic(mode.topic));
        }
        if self.groups.find(&mode.consumer_group).is_none() {
            return Err(AssignmentError::UnknownGroup);
        }
        tracing::info!(group = %mode.consumer_group, topic = %mode.topic, mode = mode.mode.name(), "mode set");
        self.modes.set(mode)?;
        Ok(Reply::done())
    }
}

impl Handle<GetAllMessageRequestMode> for Assignments {
    type Error = AssignmentError;

    /// Java: `AdminBrokerProcessor.getAllMessageRequestMode`.
    async fn handle(&self, _: Call<GetAllMessageRequestMode>) -> Result<Reply<NoHeader>, AssignmentError> {
        Ok(Reply::done().body(fastjson::write(&*self.modes.table.lock())))
    }
}
