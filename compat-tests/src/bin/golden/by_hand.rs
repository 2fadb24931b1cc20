//! Requests that no stock peer sends in the script.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::frame::request;
use crate::{BROKER_PORT, NAME_SERVER_PORT, PROXY};

const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Request code, header fields and body of a request no stock client sends.
type Ask<'a> = (u32, &'a [(&'a str, &'a str)], String);
/// The same, put together of parts.
type OwnAsk<'a> = (u32, Vec<(&'a str, &'a str)>, String);

pub(crate) async fn run() -> Result<()> {
    let queue = [("topic", "golden_topic"), ("queueId", "0")];
    // The first message of all: the broker's address and port, and physical offset 0.
    let first_message = format!("7F000002{BROKER_PORT:08X}{:016X}", 0);
    let broker: &[Ask] = &[
        (
            14,
            &[
                ("consumerGroup", "golden_new"),
                ("topic", "golden_topic"),
                ("queueId", "0"),
                ("setZeroIfNotFound", "false"),
            ],
            String::new(),
        ),
        (
            15,
            &[("consumerGroup", "golden_push"), ("topic", "golden_topic"), ("queueId", "0"), ("commitOffset", "1")],
            String::new(),
        ),
        (21, &[], String::new()),
        (29, &[("topic", "golden_topic"), ("queueId", "0"), ("timestamp", "0")], String::new()),
        (30, &queue, String::new()),
        (31, &queue, String::new()),
        (32, &queue, String::new()),
        (33, &[("offset", "0")], String::new()),
        (33, &[("offset", "99999999999")], String::new()),
        (43, &[], String::new()),
        (45, &[], String::new()),
        (60, &[], String::new()),
        (61, &[], String::new()),
        (5001, &[("E_T", "F")], String::new()),
        (5001, &[("E_T", "R")], String::new()),
        (201, &[], String::new()),
        (305, &[], String::new()),
        (306, &[], String::new()),
        (308, &[("compareGroup", "golden_push"), ("topic", "golden_topic")], String::new()),
        (
            314,
            &[
                ("srcGroup", "golden_push"),
                ("destGroup", "golden_clone"),
                ("topic", "golden_topic"),
                ("offline", "true"),
            ],
            String::new(),
        ),
        (315, &[("statsName", "TOPIC_PUT_NUMS"), ("statsKey", "golden_topic")], String::new()),
        (316, &[], String::new()),
        (321, &[("topic", "golden_topic"), ("queueId", "0"), ("index", "0"), ("count", "2")], String::new()),
        (329, &[], String::new()),
        (351, &[("topic", "golden_topic")], String::new()),
        (352, &[("group", "golden_push")], String::new()),
        (353, &[("group", "golden_push"), ("topic", "golden_topic")], String::new()),
        (
            361,
            &[
                ("consumerGroup", "golden_pull"),
                ("topic", "golden_topic"),
                ("queueId", "0"),
                ("queueOffset", "0"),
                ("maxMsgNums", "1"),
                ("sysFlag", "20"),
                ("commitOffset", "0"),
                ("suspendTimeoutMillis", "0"),
                ("subscription", "*"),
                ("subVersion", "0"),
            ],
            String::new(),
        ),
        (37, &end_of_transaction("8", "99999999999"), String::new()),
        (37, &end_of_transaction("12", "0"), String::new()),
        (323, &[("topic", "golden_topic"), ("msgId", "nothing")], String::new()),
        (323, &[("topic", "golden_topic"), ("msgId", &first_message)], String::new()),
        (905, &[("minBrokerId", "0"), ("brokerName", "golden-a")], String::new()),
        (906, &[], String::new()),
        (907, &[], String::new()),
        (908, &[("masterFlushOffset", "0")], String::new()),
        (46, &[], subscription("a > 1", "SQL92")),
        (46, &[], subscription("*", "TAG")),
        (4711, &[], String::new()),
    ];
    for (code, fields, body) in broker {
        exchange(BROKER_PORT, &request(*code, fields, body.as_bytes())).await?;
    }
    transaction().await?;
    pops().await?;
    let address = format!("{PROXY}:{BROKER_PORT}");
    let member = [("clusterName", "golden"), ("brokerName", "golden-a"), ("brokerAddr", &address), ("brokerId", "0")];
    let beats = [
        &member[..],
        &[
            ("heartbeatTimeoutMills", "10000"),
            ("epoch", "1"),
            ("maxOffset", "2"),
            ("confirmOffset", "1"),
            ("electionPriority", "3"),
        ],
    ]
    .concat();
    let set = [("clusterName", "golden"), ("brokerName", "golden-a")];
    let version = json!({"counter": 1, "stateVersion": 0, "timestamp": 1}).to_string();
    let route = json!({"brokerDatas": [], "filterServerTable": {}, "queueDatas": []}).to_string();
    let name_server: &[Ask] = &[
        (101, &[("namespace", "none"), ("key", "none")], String::new()),
        (217, &[("topic", "golden_registered")], route),
        (219, &[("namespace", "none")], String::new()),
        (100, &[("namespace", "space"), ("key", "key"), ("value", "value")], String::new()),
        (101, &[("namespace", "space"), ("key", "key")], String::new()),
        (219, &[("namespace", "space")], String::new()),
        (224, &[("cluster", "golden")], String::new()),
        (304, &[], String::new()),
        (311, &[], String::new()),
        (312, &[], String::new()),
        (313, &[], String::new()),
        (322, &member, version),
        (901, &set, String::new()),
        (904, &beats, String::new()),
        (4711, &[], String::new()),
    ];
    for (code, fields, body) in name_server {
        exchange(NAME_SERVER_PORT, &request(*code, fields, body.as_bytes())).await?;
    }
    broker_set().await
}

/// Stock producers end their transactions one-way, so that there is no answer.
async fn transaction() -> Result<()> {
    let send = [
        ("producerGroup", "golden_doubt"),
        ("topic", "golden_topic"),
        ("defaultTopic", "TBW102"),
        ("defaultTopicQueueNums", "4"),
        ("queueId", "0"),
        ("sysFlag", "4"),
        ("bornTimestamp", "0"),
        ("flag", "0"),
        ("properties", "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}golden_doubt\u{2}"),
    ];
    let answer = exchange(BROKER_PORT, &request(10, &send, b"half")).await?;
    let header: Value = serde_json::from_slice(&answer[4..]).context("the answer to a half message")?;
    let field = |name: &str| header["extFields"][name].as_str().with_context(|| format!("no {name} in {header}"));
    let (_, offset) = field("msgId")?.split_at(16);
    let offset = i64::from_str_radix(offset, 16).context("an offset")?.to_string();
    let mut end = end_of_transaction("8", &offset);
    end[1].1 = field("queueOffset")?;
    exchange(BROKER_PORT, &request(37, &end, b"")).await?;
    Ok(())
}

fn end_of_transaction<'a>(end: &'a str, offset: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("producerGroup", "golden_doubt"),
        ("tranStateTableOffset", "0"),
        ("commitLogOffset", offset),
        ("commitOrRollback", end),
        ("msgId", "golden"),
    ]
}

/// Pops and what belongs to them. Java takes any handle that is spelled like one.
async fn pops() -> Result<()> {
    let place = [("consumerGroup", "golden_pop"), ("topic", "golden_topic")];
    let queue = [&place[..], &[("queueId", "0")]].concat();
    let handle = [("extraInfo", "0 1700000000000 60000 0 0 golden-a 0 0"), ("offset", "0")];
    let pop = [
        ("queueId", "-1"),
        ("maxMsgNums", "4"),
        ("invisibleTime", "60000"),
        ("pollTime", "0"),
        ("bornTime", "0"),
        ("initMode", "0"),
    ];
    let pop = [&place[..], &pop].concat();
    let ordered = [&pop[..], &[("order", "true"), ("attemptId", "a"), ("exp", "*"), ("expType", "TAG")]].concat();
    let look = [&queue[..], &[("pollTime", "0"), ("bornTime", "0")]].concat();
    let acks = json!({"acks": [{
        "b": "Aw==", "c": "golden_pop", "it": 60000, "pt": 1_700_000_000_000_i64, "q": 0, "r": "0", "rq": 0, "so": 0,
        "t": "golden_topic",
    }], "brokerName": "golden-a"});
    let mode = json!({"consumerGroup": "golden_pop", "mode": "POP", "popShareQueueNum": 0, "topic": "golden_topic"});
    let asked = json!({
        "clientId": "c", "consumerGroup": "golden_pop", "messageModel": "BROADCASTING", "strategyName": "AVG",
        "topic": "golden_topic",
    });
    let asks: Vec<OwnAsk> = vec![
        (200_050, pop, String::new()),
        (200_050, ordered, String::new()),
        (200_051, [&queue[..], &handle].concat(), String::new()),
        (200_051, [&queue[..], &[("extraInfo", handle[0].1), ("offset", "99999")]].concat(), String::new()),
        (200_151, Vec::new(), acks.to_string()),
        (200_053, [&queue[..], &handle, &[("invisibleTime", "5000")]].concat(), String::new()),
        (200_054, look, String::new()),
        (200_055, queue.clone(), String::new()),
        (200_052, [&queue[..], &[("maxMsgNums", "2")]].concat(), String::new()),
        (200_056, Vec::new(), String::new()),
        (401, Vec::new(), mode.to_string()),
        (402, Vec::new(), String::new()),
        (400, Vec::new(), asked.to_string()),
    ];
    for (code, fields, body) in asks {
        exchange(BROKER_PORT, &request(code, &fields, body.as_bytes())).await?;
    }
    Ok(())
}

fn subscription(text: &str, kind: &str) -> String {
    let subscription = json!({
        "classFilterMode": false, "codeSet": [], "expressionType": kind, "subString": text, "subVersion": 1,
        "tagsSet": [], "topic": "golden_topic",
    });
    json!({"clientId": "c", "group": "g", "subscriptionData": subscription}).to_string()
}

/// A slave registers, then its master, of which the slave is told at the real broker's address; then the slave again,
/// to learn its master and the order topics.
async fn broker_set() -> Result<()> {
    let order = [("namespace", "ORDER_TOPIC_CONFIG"), ("key", "golden_order"), ("value", "golden-b:4")];
    exchange(NAME_SERVER_PORT, &request(100, &order, b"")).await?;
    let slave = format!("{PROXY}:{BROKER_PORT}");
    let topics = json!({"dataVersion": {"counter": 0, "stateVersion": 0, "timestamp": 1}, "topicConfigTable": {}});
    let body = json!({"filterServerList": [], "topicConfigSerializeWrapper": topics}).to_string();
    // One connection, as a broker whose connection ends is forgotten.
    let mut stream = TcpStream::connect((PROXY, NAME_SERVER_PORT)).await.context("connect")?;
    for (id, address) in [("1", slave.as_str()), ("0", "127.0.0.2:1"), ("1", &slave)] {
        let member = [
            ("clusterName", "golden"),
            ("brokerName", "golden-b"),
            ("brokerId", id),
            ("brokerAddr", address),
            ("haServerAddr", "127.0.0.2:2"),
            ("enableActingMaster", "true"),
        ];
        timeout(ANSWER_MAX, ask(&mut stream, &request(103, &member, body.as_bytes()))).await.context("no answer")??;
    }
    Ok(())
}

/// Sends a request through the proxy; the answer's frame without its length.
pub(crate) async fn exchange(port: u16, request: &[u8]) -> Result<Vec<u8>> {
    let answer = async {
        let mut stream = TcpStream::connect((PROXY, port)).await?;
        ask(&mut stream, request).await
    };
    timeout(ANSWER_MAX, answer).await.context("no answer")?
}

async fn ask(stream: &mut TcpStream, request: &[u8]) -> Result<Vec<u8>> {
    let answer = async {
        stream.write_all(request).await?;
        let length = stream.read_u32().await?;
        let mut answer = vec![0; length as usize];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    answer.await.context("an answer")
}
