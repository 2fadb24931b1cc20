//! Topics and clients of less usual kinds: namespaces, units, queues that hold batches.

use std::collections::BTreeSet;
use std::io::Write;

use anyhow::{Result, ensure};
use compat_tests::clients::{Client, Line};
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::{BROKER, Server};
use compat_tests::wire;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::json;

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(namespaces_keep_topics_and_groups_apart),
    scenario!(second_kind_of_namespace_changes_no_names).with(&[Client::Java55]),
    scenario!(units_mark_the_topics_they_create).with(&[Client::Java55, Client::Java49]),
    scenario!(batch_queue_delivers_the_messages_of_batches).with(&[Client::Java55]),
    scenario!(compressed_batch_is_refused).with(&[Client::Java55]),
];

const SEND_BATCH_MESSAGE: i32 = 320;
const SUCCESS: i64 = 0;

async fn namespaces_keep_topics_and_groups_apart(run: Run) -> Result<()> {
    let (topic, group) = (run.name("topic"), run.name("group"));
    let mut consumers = Vec::new();
    for space in ["east", "west"] {
        run.cluster.create_topic(&format!("{space}%{topic}"), 2, false).await?;
        let settings = Line::new("with").with("namespace", space);
        let producer = run.producer_with(&format!("{space}-producer"), settings.clone()).await?;
        producer.send(Line::send(&topic, space).with("count", 5)).await?;
        // The first delivery fails: the retry topic, too, is the namespace's own.
        let label = format!("{space}-consumer");
        consumers.push((space, run.push_with(&label, &group, &topic, settings.with("fail", 1)).await?));
    }
    for (space, consumer) in consumers {
        let received = consumer.until_received(10).await?;
        let keys: BTreeSet<String> =
            received.iter().filter(|received| received.ok).map(|one| one.key.clone()).collect();
        ensure!(keys == check::numbered(space, 5), "in {space}: {keys:?}");
        ensure!(received.iter().all(|one| one.key.starts_with(space)), "of another namespace: {received:?}");
    }
    Ok(())
}

async fn second_kind_of_namespace_changes_no_names(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let settings = Line::new("with").with("namespaceV2", "space");
    let producer = run.producer_with("producer", settings.clone()).await?;
    let sent = producer.send(Line::send(&topic, "key").with("count", 5)).await?;
    let within = run.push_with("within", &run.name("within"), &topic, settings).await?;
    check::arrived_once(&sent, &within.until_received(5).await?)?;
    let without = run.push("without", &run.name("without"), &topic).await?;
    check::arrived_once(&sent, &without.until_received(5).await?)
}

async fn units_mark_the_topics_they_create(run: Run) -> Result<()> {
    let (topic, group) = (run.name("topic"), run.name("group"));
    let settings = Line::new("with").with("unit", "u1");
    let producer = run.producer_with("producer", settings.clone()).await?;
    let sent = producer.send(Line::send(&topic, "key")).await?;
    let consumer = run.push_with("consumer", &group, &topic, settings).await?;
    check::arrived_once(&sent, &consumer.until_received(1).await?)?;
    for (topic, mark) in [(topic, 1), (format!("%RETRY%{group}"), 2)] {
        let mark = format!("\"topicSysFlag\":{mark}");
        run.mqadmin_until(&["topicRoute", "-t", &topic], |out| out.replace([' ', '\t'], "").contains(&mark)).await?;
    }
    Ok(())
}

/// A topic whose queue holds batches.
async fn batch_topic(run: &Run) -> Result<String> {
    let topic = run.name("topic");
    let create =
        ["updateTopic", "-c", "DefaultCluster", "-t", &topic, "-r", "1", "-w", "1", "-a", "+queue.type=BatchCQ"];
    let created = run.mqadmin(&create).await?;
    ensure!(created.contains("success"), "{created}");
    Ok(topic)
}

async fn batch_queue_delivers_the_messages_of_batches(run: Run) -> Result<()> {
    let topic = batch_topic(&run).await?;
    let producer = run.producer("producer").await?;
    let batch = |key: &str| Line::send(&topic, key).with("mode", "batch").with("count", 4);
    producer.send(batch("first").with("size", 5000)).await?;
    producer.send(batch("second")).await?;
    let consumer = run.push("consumer", &run.name("group"), &topic).await?;
    let wanted: BTreeSet<String> = ["first", "second"].iter().flat_map(|key| check::numbered(key, 4)).collect();
    let received = consumer.until_keys(&wanted).await?;
    ensure!(check::keys_once(&received)? == wanted, "received {received:?}");
    let offsets: BTreeSet<i64> = received.iter().map(|received| received.queue_offset).collect();
    ensure!(offsets == (0..8).collect(), "queue offsets {offsets:?}");
    Ok(())
}

/// Stock producers compress no batches. One that did would leave the broker unable to count the messages.
async fn compressed_batch_is_refused(run: Run) -> Result<()> {
    let topic = batch_topic(&run).await?;
    let mut batch = Vec::new();
    for body in ["first", "second"] {
        // Size, magic, crc, flag, body, properties.
        let size = 4 * 5 + body.len() + 2;
        [size as i32, 0, 0, 0, body.len() as i32].iter().for_each(|number| batch.extend(number.to_be_bytes()));
        batch.extend(body.as_bytes());
        batch.extend(0_i16.to_be_bytes());
    }
    let mut compressed = ZlibEncoder::new(Vec::new(), Compression::default());
    compressed.write_all(&batch)?;
    let compressed = compressed.finish()?;
    for (sys_flag, body, wanted) in [("1", &compressed, refusal(&run)), ("0", &batch, SUCCESS)] {
        let fields = json!({
            "a": "group", "b": topic, "c": "TBW102", "d": "4", "e": "0", "f": sys_flag, "g": "0", "h": "0",
            "i": "UNIQ_KEY\u{1}7F000001000000000000000000000001\u{2}", "j": "0", "k": "false", "m": "true", "n": BROKER,
        });
        let answer = wire::call(&run.cluster.broker_address(), SEND_BATCH_MESSAGE, fields, body).await?;
        ensure!(answer.code == wanted, "with the flags {sys_flag}: {answer:?}");
    }
    Ok(())
}

/// Java does not expect it.
fn refusal(run: &Run) -> i64 {
    const SYSTEM_ERROR: i64 = 1;
    const MESSAGE_ILLEGAL: i64 = 13;
    if run.cluster.target.broker() == Server::Java { SYSTEM_ERROR } else { MESSAGE_ILLEGAL }
}
