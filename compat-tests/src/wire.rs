//! The few questions the harness itself asks a server, as raw remoting frames. Scenarios use stock clients.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::dialogue::PATIENCE;

const PULL_MESSAGE: i32 = 11;
const QUERY_CONSUMER_OFFSET: i32 = 14;
const UPDATE_AND_CREATE_TOPIC: i32 = 17;
const GET_ALL_TOPIC_CONFIG: i32 = 21;
const GET_BROKER_RUNTIME_INFO: i32 = 28;
const GET_MAX_OFFSET: i32 = 30;
const GET_ALL_CONSUMER_OFFSET: i32 = 43;
const GET_ROUTEINFO_BY_TOPIC: i32 = 105;
const GET_BROKER_CLUSTER_INFO: i32 = 106;
const GET_ALL_SUBSCRIPTION_GROUPS: i32 = 201;
const SUCCESS: i64 = 0;
/// Version number sent with requests; any 5.x value gets standard JSON.
const VERSION: i32 = 479;
/// Time between two looks at something that cannot be waited on.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Longest time for one question; a server that is starting may take the connection and not answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Largest answer taken.
const FRAME_MAX: u32 = 16 * 1024 * 1024;

/// A server's answer: response code, remark, header fields, and body.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: i64,
    pub remark: String,
    /// Texts by name.
    pub fields: Value,
    pub bytes: Vec<u8>,
    body: String,
}

impl Answer {
    /// The text of a header field; empty if it is not there.
    pub fn field(&self, name: &str) -> &str {
        self.fields[name].as_str().unwrap_or_default()
    }
}

async fn ask(address: &str, code: i32, fields: Value) -> Result<Answer> {
    call(address, code, fields, &[]).await
}

/// Sends what no stock client sends by itself, such as what a proxy does.
///
/// # Errors
/// If there is no answer.
pub async fn call(address: &str, code: i32, fields: Value, body: &[u8]) -> Result<Answer> {
    timeout(ANSWER_LIMIT, ask_once(address, code, fields, body)).await.with_context(|| format!("wait for {address}"))?
}

/// Frame: `[length: u32][header length: u32, top byte 0 for JSON][header][body]`, big-endian.
async fn ask_once(address: &str, code: i32, fields: Value, body: &[u8]) -> Result<Answer> {
    let header = json!({
        "code": code, "language": "OTHER", "version": VERSION, "opaque": 1, "flag": 0, "extFields": fields,
    })
    .to_string();
    let header_length = u32::try_from(header.len()).context("size the header")?;
    let body_length = u32::try_from(body.len()).context("size the body")?;
    let mut frame = Vec::new();
    frame.extend((header_length + 4 + body_length).to_be_bytes());
    frame.extend(header_length.to_be_bytes());
    frame.extend(header.as_bytes());
    frame.extend(body);

    let mut stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
    stream.write_all(&frame).await?;
    let length = stream.read_u32().await?;
    ensure!((4..=FRAME_MAX).contains(&length), "answer of {length} bytes");
    let header_length = stream.read_u32().await? & 0x00ff_ffff;
    ensure!(header_length + 4 <= length, "header of {header_length} bytes in an answer of {length}");
    let mut header = vec![0; header_length as usize];
    stream.read_exact(&mut header).await?;
    let mut body = vec![0; (length - 4 - header_length) as usize];
    stream.read_exact(&mut body).await?;
    let header: Value = serde_json::from_slice(&header).context("read the answer's header")?;
    Ok(Answer {
        code: header["code"].as_i64().context("find the response code")?,
        remark: header["remark"].as_str().unwrap_or_default().to_owned(),
        fields: header["extFields"].clone(),
        body: String::from_utf8_lossy(&body).into_owned(),
        bytes: body,
    })
}

/// Looks again until `look` gives a value.
///
/// # Errors
/// If it never does; with the last error of a look.
pub async fn eventually<T>(what: &str, look: impl AsyncFn() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    let mut last = String::new();
    while Instant::now() < end {
        match look().await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => last.clear(),
            Err(err) => last = format!(": {err:#}"),
        }
        sleep(LOOK_AGAIN).await;
    }
    bail!("{what} did not happen within {PATIENCE:?}{last}");
}

/// Waits until something listens at `address`.
///
/// # Errors
/// If nothing does in time.
pub async fn until_listening(address: &str) -> Result<()> {
    eventually(&format!("a listener at {address}"), async || {
        TcpStream::connect(address).await?;
        Ok(Some(()))
    })
    .await
}

/// Waits until a name server lists `broker_address`, or no longer does.
///
/// # Errors
/// If it does not get there in time.
pub async fn until_registered(name_server: &str, broker_address: &str, wanted: bool) -> Result<()> {
    let what = format!("{broker_address} {} {name_server}", if wanted { "in" } else { "out of" });
    eventually(&what, async || {
        let answer = ask(name_server, GET_BROKER_CLUSTER_INFO, json!({})).await?;
        let listed = answer.code == SUCCESS && answer.body.contains(&format!("\"{broker_address}\""));
        Ok((listed == wanted).then_some(()))
    })
    .await
}

/// Waits until a name server lists `address` as broker `id` of the set `name`.
///
/// # Errors
/// If it does not in time.
pub async fn until_listed(name_server: &str, name: &str, id: usize, address: &str) -> Result<()> {
    eventually(&format!("{address} as broker {id} of {name} at {name_server}"), async || {
        let listed = brokers_of(name_server, name).await?;
        Ok(listed.get(&(id as u64)).is_some_and(|listed| listed == address).then_some(()))
    })
    .await
}

/// Address of each broker of this name, by id, as a name server lists them.
///
/// # Errors
/// If there is no answer.
pub async fn brokers_of(name_server: &str, name: &str) -> Result<BTreeMap<u64, String>> {
    let answer = ask(name_server, GET_BROKER_CLUSTER_INFO, json!({})).await?;
    ensure!(answer.code == SUCCESS, "brokers of {name_server}: {} {}", answer.code, answer.remark);
    let body: Value = serde_json::from_str(&quoted(&answer.body)).context("read the brokers")?;
    let Some(listed) = body["brokerAddrTable"][name]["brokerAddrs"].as_object() else { return Ok(BTreeMap::new()) };
    let listed = listed.iter().map(|(id, address)| {
        let id = id.parse().with_context(|| format!("read broker id {id}"))?;
        Ok((id, address.as_str().context("read a broker's address")?.to_owned()))
    });
    listed.collect()
}

/// Java writes numbers as keys without quotes.
fn quoted(json: &str) -> String {
    let mut quoted = String::with_capacity(json.len());
    let (mut inside, mut before) = (false, ' ');
    let mut rest = json;
    while let Some(next) = rest.chars().next() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if !inside && digits > 0 && "{,".contains(before) && rest[digits..].starts_with(':') {
            quoted.extend(["\"", &rest[..digits], "\""]);
            rest = &rest[digits..];
            continue;
        }
        inside ^= next == '"' && before != '\\';
        quoted.push(next);
        before = next;
        rest = &rest[next.len_utf8()..];
    }
    quoted
}

/// How far a broker's log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// Physical offset behind its last message.
    pub end: i64,
    /// Bytes that its queues do not know of yet.
    pub undispatched: i64,
}

/// # Errors
/// If there is no answer.
pub async fn log_end(broker: &str) -> Result<LogEnd> {
    let answer = ask(broker, GET_BROKER_RUNTIME_INFO, json!({})).await?;
    ensure!(answer.code == SUCCESS, "figures of {broker}: {} {}", answer.code, answer.remark);
    let body: Value = serde_json::from_str(&answer.body).context("read the figures")?;
    let figure = |name: &str| {
        let text = body["table"][name].as_str().with_context(|| format!("find {name} of {broker}"))?;
        text.parse().with_context(|| format!("read {name} of {broker}"))
    };
    Ok(LogEnd { end: figure("commitLogMaxOffset")?, undispatched: figure("dispatchBehindBytes")? })
}

/// Whether a broker has settings of `topic`.
///
/// # Errors
/// If there is no answer.
pub async fn has_topic(broker: &str, topic: &str) -> Result<bool> {
    let answer = ask(broker, GET_ALL_TOPIC_CONFIG, json!({})).await?;
    ensure!(answer.code == SUCCESS, "topics of {broker}: {} {}", answer.code, answer.remark);
    Ok(answer.body.contains(&format!("\"{topic}\"")))
}

/// How often a broker has messages of `group` tried again; `None` if it does not know the group.
///
/// # Errors
/// If there is no answer.
pub async fn retries_of(broker: &str, group: &str) -> Result<Option<i64>> {
    let answer = ask(broker, GET_ALL_SUBSCRIPTION_GROUPS, json!({})).await?;
    ensure!(answer.code == SUCCESS, "groups of {broker}: {} {}", answer.code, answer.remark);
    let body: Value = serde_json::from_str(&quoted(&answer.body)).context("read the groups")?;
    Ok(body["subscriptionGroupTable"][group]["retryMaxTimes"].as_i64())
}

/// The offsets that a broker has for `group` in `topic`, by queue, as they are written.
///
/// # Errors
/// If there is no answer.
pub async fn offsets_of(broker: &str, topic: &str, group: &str) -> Result<BTreeMap<String, i64>> {
    let answer = ask(broker, GET_ALL_CONSUMER_OFFSET, json!({})).await?;
    ensure!(answer.code == SUCCESS, "offsets of {broker}: {} {}", answer.code, answer.remark);
    let body: Value = serde_json::from_str(&quoted(&answer.body)).context("read the offsets")?;
    let Some(offsets) = body["offsetTable"][format!("{topic}@{group}")].as_object() else { return Ok(BTreeMap::new()) };
    let offsets = offsets.iter().map(|(queue, offset)| Ok((queue.clone(), offset.as_i64().context("read an offset")?)));
    offsets.collect()
}

/// The queue offset that the next message of a queue gets, as far as the broker can read.
///
/// # Errors
/// If there is no answer.
pub async fn max_offset(broker: &str, topic: &str, queue: i32) -> Result<i64> {
    let end = ask(broker, GET_MAX_OFFSET, json!({ "topic": topic, "queueId": queue.to_string() })).await?;
    ensure!(end.code == SUCCESS, "the end of {topic}-{queue} at {broker}: {} {}", end.code, end.remark);
    end.field("offset").parse().with_context(|| format!("read the end of {topic}-{queue} at {broker}"))
}

/// The first messages of a queue from `offset` on, as they are stored, and the offset behind them; `None` if there are none.
///
/// # Errors
/// If there is no answer.
pub async fn read(broker: &str, topic: &str, queue: i32, offset: i64) -> Result<Option<(Vec<u8>, i64)>> {
    let at_once_with_its_own_subscription = "4";
    let fields = json!({
        "consumerGroup": "TOOLS_CONSUMER", "topic": topic, "queueId": queue.to_string(),
        "queueOffset": offset.to_string(), "maxMsgNums": "8", "sysFlag": at_once_with_its_own_subscription,
        "commitOffset": "0", "suspendTimeoutMillis": "0", "subscription": "*", "subVersion": "0", "expressionType": "TAG",
    });
    let answer = ask(broker, PULL_MESSAGE, fields).await?;
    if answer.code != SUCCESS {
        ensure!(answer.bytes.is_empty(), "messages of {broker} with {} {}", answer.code, answer.remark);
        return Ok(None);
    }
    let next = answer.field("nextBeginOffset").parse().context("read the next offset")?;
    Ok(Some((answer.bytes, next)))
}

/// Whether the offsets that `group` has committed are behind the last message of every queue of `topic`.
///
/// # Errors
/// If there is no answer, or no route.
pub async fn has_read_all(name_server: &str, broker: &str, topic: &str, group: &str) -> Result<bool> {
    let route = ask(name_server, GET_ROUTEINFO_BY_TOPIC, json!({ "topic": topic })).await?;
    let route: Value = serde_json::from_str(&route.body).with_context(|| format!("read the route of {topic}"))?;
    let queues = route["queueDatas"][0]["readQueueNums"].as_i64().context("find the number of queues")?;
    for queue in 0..queues {
        let queue = queue.to_string();
        let end = ask(broker, GET_MAX_OFFSET, json!({ "topic": topic, "queueId": queue })).await?;
        ensure!(end.code == SUCCESS, "the end of queue {queue} of {topic}: {} {}", end.code, end.remark);
        let at = json!({ "topic": topic, "queueId": queue, "consumerGroup": group });
        let at = ask(broker, QUERY_CONSUMER_OFFSET, at).await?;
        if end.field("offset") != "0" && end.field("offset") != at.field("offset") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Creates a topic with `queues` queues at the broker and waits until every name server routes to it.
///
/// # Errors
/// If the broker refuses or the route does not come.
pub async fn create_topic(broker: &str, name_servers: &[String], topic: &str, queues: u32, order: bool) -> Result<()> {
    let fields = json!({
        "topic": topic, "defaultTopic": "TBW102", "readQueueNums": queues.to_string(),
        "writeQueueNums": queues.to_string(), "perm": "6", "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0",
        "order": order.to_string(), "force": "false",
    });
    let answer = ask(broker, UPDATE_AND_CREATE_TOPIC, fields).await?;
    ensure!(answer.code == SUCCESS, "create topic {topic}: {} {}", answer.code, answer.remark);
    for name_server in name_servers {
        until_routed(name_server, topic, broker, true).await?;
    }
    Ok(())
}

/// Waits until a name server's route of `topic` leads to `broker`, or no longer does.
///
/// # Errors
/// If it does not get there in time.
pub async fn until_routed(name_server: &str, topic: &str, broker: &str, wanted: bool) -> Result<()> {
    let what = format!("a route of {topic} to {broker} {} {name_server}", if wanted { "in" } else { "out of" });
    eventually(&what, async || {
        let answer = ask(name_server, GET_ROUTEINFO_BY_TOPIC, json!({ "topic": topic })).await?;
        let routed = answer.code == SUCCESS && answer.body.contains(&format!("\"{broker}\""));
        Ok((routed == wanted).then_some(()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn number_keys_get_quotes() {
        assert_eq!(quoted(r#"{"a":{0:"x",12:"{1:"},"b":[1,2]}"#), r#"{"a":{"0":"x","12":"{1:"},"b":[1,2]}"#);
        assert_eq!(quoted(r#"{"0":"\"{1:"}"#), r#"{"0":"\"{1:"}"#);
    }
}
