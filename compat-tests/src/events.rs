//! What client programs print: one JSON object per line. `clients/java` and `clients/go` write the same.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One line of a client program.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The role is started and takes commands.
    Ready,
    /// The program hosts roles on this port.
    Listening {
        /// On all addresses.
        port: u16,
    },
    /// The command with this id is over.
    Done {
        /// Number the command was sent with.
        id: u64,
    },
    /// The role was shut down in order.
    Stopped,
    Sent(Sent),
    Failed(Failed),
    /// A timed message was taken back.
    #[serde(rename_all = "camelCase")]
    Recalled {
        /// Its unique id.
        msg_id: String,
    },
    Received(Received),
    Replied(Replied),
    Assigned(Assigned),
    Checked(Checked),
    /// One run of mqadmin.
    Output {
        /// Standard output.
        out: String,
        /// Standard error.
        err: String,
    },
}

/// A send the broker answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// Message keys; several for a batch.
    pub keys: Vec<String>,
    /// Java's `SendStatus` name.
    pub status: String,
    /// The client's unique id; comma-separated for a batch.
    pub msg_id: String,
    /// The broker's id: store address and physical offset; empty for a transaction.
    pub offset_msg_id: String,
    /// Broker name.
    pub broker: String,
    pub queue_id: i32,
    /// Queue offset, of the first message for a batch.
    pub queue_offset: i64,
    /// By which a timed message may be taken back; else empty.
    #[serde(default)]
    pub recall_handle: String,
    /// When the application called, in milliseconds since the epoch by the client's clock.
    #[serde(default)]
    pub began: i64,
    /// When it had the answer.
    #[serde(default)]
    pub time: i64,
}

/// A call that failed, at the client or with the broker's code.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Failed {
    /// Keys of the messages, if it was a send.
    pub keys: Vec<String>,
    /// Response code, if the client tells one.
    pub code: Option<i32>,
    pub remark: String,
    /// The client's class of error.
    pub error: String,
    /// When the application called, if it was a send: as in [`Sent`].
    pub began: i64,
    /// When it was told.
    pub time: i64,
}

/// A message as the application saw it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Received {
    pub key: String,
    #[serde(default)]
    pub tag: Option<String>,
    pub topic: String,
    #[serde(default)]
    pub broker: Option<String>,
    pub queue_id: i32,
    pub queue_offset: i64,
    pub reconsume_times: i32,
    pub msg_id: String,
    /// Milliseconds since the epoch, by the producer's clock.
    pub born_time: i64,
    /// Milliseconds since the epoch, by the broker's clock.
    pub store_time: i64,
    pub properties: BTreeMap<String, String>,
    /// Body length in bytes, uncompressed.
    pub size: usize,
    /// CRC-32 of the body.
    pub crc: u32,
    /// The body as text, if it is short.
    #[serde(default)]
    pub body: Option<String>,
    /// Whether the application took the message; false asks for another delivery.
    pub ok: bool,
}

/// The reply to a request.
#[derive(Clone, Debug, Deserialize)]
pub struct Replied {
    /// Of the request.
    pub key: String,
    pub body: String,
    /// Of the reply.
    pub properties: BTreeMap<String, String>,
}

/// The queues a rebalance gave to this consumer, whenever they changed.
#[derive(Clone, Debug, Deserialize)]
pub struct Assigned {
    pub topic: String,
    pub queues: Vec<i32>,
    /// Consumers the client saw in its group.
    pub members: usize,
}

/// A producer was asked by the broker what became of a transaction.
#[derive(Clone, Debug, Deserialize)]
pub struct Checked {
    pub key: String,
}
