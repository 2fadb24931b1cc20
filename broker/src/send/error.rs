//! Why a message is not stored. Texts are Java's remarks, which people search for.

use std::net::IpAddr;

use jiff::tz::TimeZone;
use remoting::body::TopicConfig;
use remoting::header::HeaderError;
use remoting::protocol::RequestCode;
use remoting::types::{GroupName, Host, QueueId, Timestamp, TopicName};
use store::{AppendError, Confirmation, IllegalMessage};
use thiserror::Error;

use crate::delay::TimerRefusal;
use crate::ha::{Held, TooFewInSync};
use crate::response::SEE;
use crate::topic::{NameError, TopicError};

/// A send was refused.
#[derive(Debug, Error)]
pub(crate) enum SendError {
    /// This broker is no master.
    #[error("[REJECTREQUEST]system busy, start flow control for a while")]
    Rejected,
    #[error("{request}: {cause}")]
    Header { request: RequestCode, cause: HeaderError },
    /// Java fails on it with a null pointer.
    #[error("the message has no body")]
    NoBody,
    #[error("broker unable to service, until {}", human(*.until))]
    NotYet { until: Timestamp },
    /// Applies to order topics only, which must not get messages behind their back elsewhere.
    #[error("the broker[{ip}] sending message is forbidden")]
    BrokerForbidden { ip: IpAddr },
    #[error(transparent)]
    TopicName(#[from] NameError),
    #[error("Sending message to topic[{topic}] is forbidden.")]
    TopicForbidden { topic: TopicName },
    /// It does not exist, and is not created.
    #[error(transparent)]
    TopicUnknown(#[from] TopicError),
    #[error("request queueId[{queue_id}] is illegal, {topic} Producer: {producer}")]
    QueueId { queue_id: QueueId, topic: TopicText, producer: Host },
    #[error("topic[{topic}] has no queue to write to")]
    NoQueue { topic: TopicName },
    #[error("subscription group not exist, {group} {SEE}")]
    GroupUnknown { group: GroupName },
    #[error("Required message key is missing")]
    KeyMissing,
    #[error("the broker[{ip}] sending transaction message is forbidden")]
    TransactionForbidden { ip: IpAddr },
    #[error("the delay level is {text:?}, which is not a number")]
    DelayLevel { text: String },
    #[error(transparent)]
    Timer(#[from] TimerRefusal),
    /// Java stores such a message, and no consumer ever gets it.
    #[error("topic[{topic}] has the queue type BatchCQ: it takes batches with a unique id, and no single messages")]
    QueueType { topic: TopicName },
    #[error("message topic length too long {chars}")]
    BatchTopicTooLong { chars: usize },
    #[error("batch request does not support retry group {topic}")]
    BatchToRetry { topic: TopicName },
    #[error("message {index} of the batch is malformed")]
    BadBatch { index: usize },
    #[error(
        "the message is illegal, maybe msg body or properties length not matched. msg body length limit {body_bytes_max}B, msg properties length limit 32KB."
    )]
    Illegal { body_bytes_max: usize },
    #[error(transparent)]
    Put(#[from] PutError),
}

impl SendError {
    pub(super) fn illegal(cause: IllegalMessage, body_bytes_max: usize) -> Self {
        match cause {
            IllegalMessage::BadBatch { index } => Self::BadBatch { index },
            _ => Self::Illegal { body_bytes_max },
        }
    }

    /// Refused before Java puts region and trace switch into its answer.
    pub(super) fn is_early(&self) -> bool {
        matches!(self, Self::Rejected | Self::Header { .. } | Self::NoBody)
    }
}

/// The store did not take a message, or cannot say that it keeps it.
#[derive(Debug, Error)]
pub(crate) enum PutError {
    #[error("the message can never be stored: {0}")]
    Illegal(#[from] IllegalMessage),
    #[error(transparent)]
    Timer(#[from] TimerRefusal),
    #[error(
        "service not available now. It may be caused by one of the following reasons: the broker's disk is full, messages are put to the slave, message store has been shut down, etc. ({0})"
    )]
    Unavailable(AppendError),
    /// Used shares of the disks; the index lies beside the queues.
    #[error(
        "service not available now. It may be caused by one of the following reasons: the broker's disk is full [CL: {commit_log:5.2} CQ: {consume_queue:5.2} INDEX: {consume_queue:5.2}], messages are put to the slave, message store has been shut down, etc."
    )]
    DiskFull { commit_log: f64, consume_queue: f64 },
    /// The append before it waits for the disk. Clients try elsewhere, or later. Java: `OS_PAGE_CACHE_BUSY`.
    #[error("[PC_SYNCHRONIZED]broker busy, start flow control for a while")]
    Busy,
    #[error("create mapped file failed, server is busy or broken. ({0})")]
    Io(AppendError),
    /// Written, but not surely on disk in time.
    #[error("not flushed in time")]
    FlushTimeout,
    /// Written, but not held by enough slaves in time.
    #[error("not held by slaves in time")]
    SlaveTimeout,
    /// Written, but too few slaves are there to hold it.
    #[error("no slaves to hold it")]
    NoSlaves,
    /// Not written, as it would not be safe.
    #[error(transparent)]
    TooFewInSync(TooFewInSync),
    /// Written, and then the flush failed or the store was closed: nobody knows whether it will be there.
    #[error(
        "service not available now. It may be caused by one of the following reasons: the broker's disk is full, messages are put to the slave, message store has been shut down, etc. (the flush failed)"
    )]
    FlushFailed,
}

impl PutError {
    /// What became of a message that is written.
    ///
    /// # Errors
    /// How it falls short of being stored. Of a late flush and late slaves the latter is told, as in Java.
    pub(crate) fn unless_safe(confirmation: Confirmation, held: Held) -> Result<(), Self> {
        match (confirmation, held) {
            (Confirmation::Failed, _) => Err(Self::FlushFailed),
            (_, Held::TooLate) => Err(Self::SlaveTimeout),
            (_, Held::NoSlaves) => Err(Self::NoSlaves),
            (Confirmation::FlushTimeout, Held::Enough) => Err(Self::FlushTimeout),
            (Confirmation::Confirmed, Held::Enough) => Ok(()),
        }
    }

    /// It is stored, only not as safely as wanted: producers are told its place.
    pub(crate) fn is_stored(&self) -> bool {
        matches!(self, Self::FlushTimeout | Self::SlaveTimeout | Self::NoSlaves)
    }

    /// A message that is written counts, as late as it may reach the disk.
    ///
    /// # Errors
    /// [`PutError::FlushFailed`].
    pub(crate) fn unless_written(confirmation: Confirmation) -> Result<(), Self> {
        match confirmation {
            Confirmation::Confirmed | Confirmation::FlushTimeout => Ok(()),
            Confirmation::Failed => Err(Self::FlushFailed),
        }
    }

    /// Java's name of the outcome. Java: `PutMessageStatus`.
    pub(crate) fn java_name(&self) -> &'static str {
        match self {
            Self::Illegal(IllegalMessage::PropertiesTooLarge { .. }) => "PROPERTIES_SIZE_EXCEEDED",
            Self::Illegal(_) => "MESSAGE_ILLEGAL",
            Self::Timer(refusal) => refusal.java_name(),
            Self::Unavailable(_) | Self::DiskFull { .. } | Self::FlushFailed => "SERVICE_NOT_AVAILABLE",
            Self::Busy => "OS_PAGE_CACHE_BUSY",
            Self::Io(_) => "CREATE_MAPPED_FILE_FAILED",
            Self::FlushTimeout => "FLUSH_DISK_TIMEOUT",
            Self::SlaveTimeout => "FLUSH_SLAVE_TIMEOUT",
            Self::NoSlaves => "SLAVE_NOT_AVAILABLE",
            Self::TooFewInSync(_) => "IN_SYNC_REPLICAS_NOT_ENOUGH",
        }
    }
}

impl From<AppendError> for PutError {
    fn from(err: AppendError) -> Self {
        match err {
            AppendError::Io(_)
            | AppendError::TooLargeForFile { .. }
            | AppendError::Empty
            | AppendError::QueueKind { .. } => Self::Io(err),
            AppendError::Busy { .. } => Self::Busy,
            AppendError::DiskFull { commit_log, consume_queue } => Self::DiskFull { commit_log, consume_queue },
            AppendError::Closed
            | AppendError::Poisoned
            | AppendError::QueuesFailing
            | AppendError::NotLeader
            | AppendError::Copying => Self::Unavailable(err),
        }
    }
}

/// A topic's settings as Java prints them. Java: `TopicConfig.toString`.
#[derive(Debug, Error)]
#[error(
    "TopicConfig [topicName={}, readQueueNums={}, writeQueueNums={}, perm={}, topicFilterType={}, topicSysFlag={}, order={}, attributes={{{}}}]",
    .0.topic_name, .0.read_queue_nums, .0.write_queue_nums, perm_text(.0), .0.topic_filter_type, .0.topic_sys_flag,
    .0.order, attributes_text(.0)
)]
pub(crate) struct TopicText(pub(super) Box<TopicConfig>);

/// Java: `UtilAll.timeMillisToHumanString2`.
fn human(at: Timestamp) -> String {
    let zoned = jiff::Timestamp::from_millisecond(at.0).map(|at| at.to_zoned(TimeZone::system()));
    zoned.map_or_else(|_| at.to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%S,%3f").to_string())
}

fn perm_text(config: &TopicConfig) -> String {
    let mark = |set: bool, mark: char| if set { mark } else { '-' };
    [mark(config.is_readable(), 'R'), mark(config.is_writable(), 'W'), mark(config.is_inherited(), 'X')]
        .iter()
        .collect()
}

fn attributes_text(config: &TopicConfig) -> String {
    config.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}
