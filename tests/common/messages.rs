//! What a broker has in its queues.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use remoting::client::Client;
use remoting::protocol::ResponseCode;
use remoting::types::QueueOffset;
use store::message::StoredMessage;

use crate::common::pull_message;

/// All messages of a topic, each with a number as its body, by queue and offset; of a broker that has just been started, none.
pub(crate) async fn messages(
    client: &Client,
    broker: &str,
    (topic, group, queues): (&str, &str, i32),
    answer_max: Duration,
) -> HashMap<(i32, i64), u64> {
    let mut found = HashMap::new();
    for queue in 0..queues {
        let mut next = 0;
        loop {
            let pull = pull_message(topic, group, queue, QueueOffset(next), 0);
            let answer = client.call(broker, &pull, Bytes::new(), answer_max).await;
            let Some(answer) = answer.ok().filter(|answer| answer.code() == ResponseCode::SUCCESS) else { break };
            let mut bytes = &answer.0.body[..];
            while !bytes.is_empty() {
                let message = StoredMessage::parse(bytes).expect("a record");
                assert_eq!(message.queue_offset.0, next, "queue {queue} has a gap");
                found.insert((queue, next), String::from_utf8_lossy(message.body).parse().expect("a number"));
                next += 1;
                bytes = &bytes[message.size..];
            }
        }
    }
    found
}
