//! Opens a copy of a store that Java wrote and compares every message it serves with the manifest that was recorded with
//! the Java client: `check_manifest <store folder> <manifest.json> [<commit log file bytes> <queue file bytes>]`.
#![expect(clippy::print_stdout, reason = "prints what it found")]

use std::collections::BTreeMap;
use std::error::Error;

use remoting::types::{Clock, QueueId, QueueOffset, TopicName};
use serde_json::Value;
use store::message::{StoredMessage, properties};
use store::{Everything, ReadRequest, ReadStatus, Store, StoreConfig};

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let (Some(root), Some(manifest)) = (args.next(), args.next()) else {
        return Err(
            "usage: check_manifest <store folder> <manifest.json> [<commit log file bytes> <queue file bytes>]".into(),
        );
    };
    let mut config = StoreConfig::new(root);
    config.commit_log_file_bytes = args.next().map_or(Ok(1 << 20), |text| text.parse())?;
    config.consume_queue_file_bytes = args.next().map_or(Ok(600), |text| text.parse())?;
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest)?)?;
    let (store, report) = Store::open(config, Clock::system())?;
    println!("{report:#?}");

    let mut expected: BTreeMap<(&str, i64), Vec<&Value>> = BTreeMap::new();
    let mut elsewhere = 0;
    for message in manifest["messages"].as_array().ok_or("no messages")? {
        if message["innerBatch"] == true || message["fromCompactionLog"] == true {
            elsewhere += 1;
            continue;
        }
        let key = (message["topic"].as_str().ok_or("topic")?, message["queueId"].as_i64().ok_or("queueId")?);
        expected.entry(key).or_default().push(message);
    }
    let mut served = 0;
    for ((topic, queue_id), messages) in &expected {
        served +=
            check_queue(&store, topic, *queue_id, messages).map_err(|error| format!("{topic}-{queue_id}: {error}"))?;
    }
    for queue in manifest["queues"].as_array().ok_or("no queues")? {
        let (topic, id) =
            (queue["topic"].as_str().ok_or("topic")?, QueueId(queue["queueId"].as_i64().ok_or("queueId")? as i32));
        let ours = (store.min_offset(topic, id), store.max_offset(topic, id));
        let javas = [&queue["minOffset"], &queue["maxOffset"]].map(|offset| offset.as_i64().map(QueueOffset));
        if ours != (javas[0], javas[1]) && queue["maxOffset"] != 0 {
            println!("{topic}-{id}: offsets {ours:?}, manifest {javas:?}");
        }
    }
    println!("{served} messages served as recorded, {elsewhere} of other kinds of queue not looked at");
    store.close()?;
    Ok(())
}

/// Reads the queue from its start and compares; returns the number of messages.
fn check_queue(store: &Store, topic: &str, queue_id: i64, messages: &[&Value]) -> Result<usize, Failure> {
    let topic = TopicName::new(topic);
    let queue_id = QueueId(queue_id as i32);
    let (mut offset, mut served) = (QueueOffset(0), 0);
    loop {
        let request = ReadRequest { topic: &topic, queue_id, offset, max_messages: 32, max_bytes: usize::MAX };
        let read = store.read(&request, &Everything);
        if read.status != ReadStatus::Found {
            break;
        }
        for mut bytes in read.messages.iter().map(|run| &run[..]) {
            while !bytes.is_empty() {
                let message = StoredMessage::parse(bytes)?;
                bytes = &bytes[message.size..];
                // Brokers go on writing after the manifest was taken, transaction checks for one.
                let Some(expected) = messages.get(served) else {
                    println!("{topic}-{queue_id}: offset {} is newer than the manifest", message.queue_offset);
                    continue;
                };
                compare(&message, expected).map_err(|what| format!("message {served} differs: {what}"))?;
                served += 1;
            }
        }
        offset = read.next_offset;
    }
    if served == messages.len() {
        Ok(served)
    } else {
        Err(format!("{served} served, {} recorded", messages.len()).into())
    }
}

fn compare(message: &StoredMessage<'_>, expected: &Value) -> Result<(), Failure> {
    message.check_crc()?;
    let number = |name: &str, ours: i64| match expected[name].as_i64() {
        Some(theirs) if theirs != ours => Err(format!("{name}: {ours}, recorded {theirs}")),
        _ => Ok(()),
    };
    if expected.get("lmqOffset").is_none() {
        number("queueOffset", message.queue_offset.0)?;
    }
    number("physicalOffset", message.physical_offset.0)?;
    number("storeSize", message.size as i64)?;
    number("flag", message.flag.into())?;
    number("bodyCRC", message.body_crc.into())?;
    number("reconsumeTimes", message.reconsume_times.into())?;
    number("preparedTransactionOffset", message.prepared_transaction_offset)?;
    number("bornTimestamp", message.born_timestamp.0)?;
    number("storeTimestamp", message.store_timestamp.0)?;
    for (name, value) in expected["properties"].as_object().ok_or("properties")? {
        let ours = properties::get(message.properties, name);
        if ours != value.as_str() {
            return Err(format!("property {name}: {ours:?}, recorded {value}").into());
        }
    }
    Ok(())
}
