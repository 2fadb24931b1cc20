//! Consumers that lease messages instead of owning queues, and what a proxy asks a broker on their behalf.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use compat_tests::clients::{Client, Consumer, Line};
use compat_tests::cluster::Layout;
use compat_tests::logs;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::Server;
use compat_tests::wire::{self, Answer};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(poppers_share_queues_and_get_each_message_once).lacking(NO_POP),
    scenario!(message_that_fails_is_popped_again).lacking(NO_POP),
    scenario!(higher_priorities_are_popped_first).with(&[Client::Java55]),
    scenario!(only_what_is_not_acknowledged_is_popped_again).with(&[Client::Java55]),
    scenario!(ordered_pops_lease_a_queue_as_a_whole).with(&[Client::Java55]),
    scenario!(acknowledged_messages_stay_so_after_kill_9)
        .alone_with(Layout::WITH_TIMER)
        .with(&[Client::Java55])
        .allowing(&[logs::KILLED]),
    scenario!(leases_are_handed_over_to_java_and_back).alone_with(Layout::WITH_TIMER).with(&[Client::Java55]),
];

const NO_POP: &[(Client, &str)] = &[(Client::Java49, "it does not pop"), (Client::Go, "it does not pop")];

const POP: i32 = 200_050;
const ACK: i32 = 200_051;
const CHANGE_INVISIBLE: i32 = 200_053;
const NOTIFICATION: i32 = 200_054;
const POLLING_INFO: i32 = 200_055;
const BATCH_ACK: i32 = 200_151;

const SUCCESS: i64 = 0;
const POLLING_TIMEOUT: i64 = 210;
const MESSAGE_ILLEGAL: i64 = 13;

/// How long leases last. Java takes no shorter time from its own client.
const LASTS: Duration = Duration::from_secs(5);

/// Consumers of a group that pops.
async fn poppers(run: &Run, labels: &[&str], topic: &str, settings: Line) -> Result<Vec<Consumer>> {
    let group = run.name("group");
    let broker = run.cluster.broker_address();
    let out = run.mqadmin(&["setConsumeMode", "-b", &broker, "-t", topic, "-g", &group, "-m", "POP"]).await?;
    ensure!(out.contains("success"), "setConsumeMode printed\n{out}");
    let mut consumers = Vec::new();
    for label in labels {
        let settings = Line::new("with").with("balance", "broker").and(&settings);
        consumers.push(run.push_with(label, &group, topic, settings).await?);
    }
    Ok(consumers)
}

async fn poppers_share_queues_and_get_each_message_once(run: Run) -> Result<()> {
    let topic = run.topic("topic", 4).await?;
    let producer = run.producer("producer").await?;
    let mut sent = producer.send(Line::send(&topic, "before").with("count", 60)).await?;
    let consumers = poppers(&run, &["first", "second"], &topic, Line::new("with")).await?;
    sent.extend(producer.send(Line::send(&topic, "during").with("count", 60)).await?);
    let all = || consumers.iter().flat_map(Consumer::received).collect::<Vec<_>>();
    let end = Instant::now() + Duration::from_secs(60);
    while all().len() < 120 && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Longer than leases last.
    tokio::time::sleep(LASTS + Duration::from_secs(4)).await;
    check::arrived_once(&sent, &all())
}

async fn message_that_fails_is_popped_again(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let producer = run.producer("producer").await?;
    let sent = producer.send(Line::send(&topic, "f").with("count", 3).with("tag", "t")).await?;
    let consumers = poppers(&run, &["consumer"], &topic, Line::new("with").with("fail", 1)).await?;
    let received = consumers[0].until_received(6).await?;
    for sent in &sent {
        let deliveries: Vec<_> = received.iter().filter(|received| sent.keys.contains(&received.key)).collect();
        let times: Vec<i32> = deliveries.iter().map(|received| received.reconsume_times).collect();
        ensure!(times == [0, 1], "{:?} was delivered with reconsume times {times:?}", sent.keys);
        for delivery in deliveries {
            ensure!(delivery.topic == topic && delivery.tag.as_deref() == Some("t"), "{delivery:?}");
            ensure!(delivery.msg_id == sent.msg_id, "unique id {} came back as {delivery:?}", sent.msg_id);
        }
    }
    Ok(())
}

/// One consumer, spoken by hand.
pub(crate) struct Popper<'a> {
    pub(crate) run: &'a Run,
    pub(crate) topic: String,
    pub(crate) group: String,
}

/// A message of an answer: its number, and what it is acknowledged with.
#[derive(Clone, Debug)]
pub(crate) struct Leased {
    pub(crate) body: String,
    topic: String,
    queue: String,
    pub(crate) offset: String,
    handle: String,
}

impl Popper<'_> {
    async fn call(&self, code: i32, more: Value) -> Result<Answer> {
        let fields = merged(json!({"consumerGroup": self.group, "topic": self.topic}), more);
        wire::call(&self.run.cluster.broker_address(), code, fields, &[]).await
    }

    async fn pop(&self, queue: &str, count: &str, more: Value) -> Result<(Answer, Vec<Leased>)> {
        let fields = json!({
            "queueId": queue, "maxMsgNums": count, "invisibleTime": LASTS.as_millis().to_string(), "pollTime": "0",
            "bornTime": "0", "initMode": "0",
        });
        let answer = self.call(POP, merged(fields, more)).await?;
        let leased = if answer.code == SUCCESS { self.leased(&answer)? } else { Vec::new() };
        Ok((answer, leased))
    }

    /// Leases so many messages, of which there have to be as many, and acknowledges the first.
    pub(crate) async fn lease(&self, count: usize, acknowledged: usize) -> Result<Vec<Leased>> {
        let mut leased = Vec::new();
        while leased.len() < count {
            leased.extend(self.pop("-1", "32", json!({})).await?.1);
        }
        for message in &leased[..acknowledged] {
            ensure!(self.ack(message).await? == SUCCESS, "{message:?}");
        }
        Ok(leased)
    }

    /// Pops and acknowledges until all these have come back.
    async fn take_again(&self, wanted: &BTreeSet<String>, twice_is_fine: bool) -> Result<BTreeSet<String>> {
        let mut again = BTreeSet::new();
        let end = Instant::now() + Duration::from_secs(60);
        while !again.is_superset(wanted) && Instant::now() < end {
            let (answer, leased) = self.pop("-1", "32", json!({"pollTime": "2000"})).await?;
            ensure!([SUCCESS, POLLING_TIMEOUT].contains(&answer.code), "{answer:?}");
            for message in leased {
                ensure!(self.ack(&message).await? == SUCCESS, "{message:?}");
                ensure!(again.insert(message.body.clone()) || twice_is_fine, "a second time: {message:?}");
            }
        }
        ensure!(again.is_superset(wanted), "{again:?} came back, not all of {wanted:?}");
        Ok(again)
    }

    /// These come back, each once, and nothing else does.
    pub(crate) async fn only_these_come_again(&self, wanted: &BTreeSet<String>) -> Result<()> {
        let again = self.take_again(wanted, false).await?;
        ensure!(again == *wanted, "{again:?} came back, not {wanted:?}");
        let (_, more) = self.pop("-1", "32", json!({"pollTime": "3000"})).await?;
        ensure!(more.is_empty(), "more came back: {more:?}");
        Ok(())
    }

    /// As a client takes an answer apart. Bodies are keys here, and told by the property that holds them.
    fn leased(&self, answer: &Answer) -> Result<Vec<Leased>> {
        let items = |name: &str| -> Vec<[String; 3]> {
            let items = answer.field(name).split(';');
            items.filter_map(|item| item.split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().ok()).collect()
        };
        let mut keys = keys_of(&answer.bytes).into_iter();
        let starts = items("startOffsetInfo");
        let mut all = Vec::new();
        for [kind, queue, offsets] in items("msgOffsetInfo") {
            let start = starts.iter().find(|[k, q, _]| (k, q) == (&kind, &queue)).context("a start")?;
            for offset in offsets.split(',') {
                let (time, lasts) = (answer.field("popTime"), answer.field("invisibleTime"));
                let revive = answer.field("reviveQid");
                let broker = compat_tests::target::BROKER;
                let handle = format!("{} {time} {lasts} {revive} {kind} {broker} {queue} {offset}", start[2]);
                let topic =
                    if kind == "0" { self.topic.clone() } else { format!("%RETRY%{}_{}", self.group, self.topic) };
                let body = keys.next().context("as many messages as offsets")?;
                all.push(Leased { body, topic, queue: queue.clone(), offset: offset.to_owned(), handle });
            }
        }
        Ok(all)
    }

    async fn ack(&self, message: &Leased) -> Result<i64> {
        let Leased { topic, queue, offset, handle, .. } = message;
        let fields = json!({"topic": topic, "queueId": queue, "offset": offset, "extraInfo": handle});
        Ok(self.call(ACK, fields).await?.code)
    }
}

/// Fields of a request, and more of them.
fn merged(mut fields: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut fields, more) {
        fields.extend(more);
    }
    fields
}

pub(crate) fn keys(leased: &[Leased]) -> BTreeSet<String> {
    leased.iter().map(|message| message.body.clone()).collect()
}

/// The keys of stored messages one after the other: texts between `KEYS`, 0x01 and 0x02.
fn keys_of(records: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(records);
    let keys = text.split("KEYS\u{1}").skip(1);
    keys.map(|rest| rest.split(['\u{2}', ' ']).next().unwrap_or_default().to_owned()).collect()
}

async fn only_what_is_not_acknowledged_is_popped_again(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let producer = run.producer("producer").await?;
    producer.send(Line::send(&topic, "k").with("count", 6)).await?;
    let popper = Popper { run: &run, group: run.name("group"), topic };
    let look = json!({"queueId": "-1", "pollTime": "0", "bornTime": "0"});
    ensure!(popper.call(NOTIFICATION, look.clone()).await?.field("hasMsg") == "true", "six messages");

    let (answer, leased) = popper.pop("0", "5", json!({})).await?;
    ensure!(answer.code == SUCCESS && leased.len() == 5, "{answer:?}");
    ensure!(answer.field("startOffsetInfo") == "0 0 0", "{answer:?}");
    ensure!(answer.field("msgOffsetInfo") == "0 0 0,1,2,3,4", "{answer:?}");
    ensure!(answer.field("restNum") == "1", "{answer:?}");
    ensure!(popper.ack(&leased[0]).await? == SUCCESS, "one acknowledged");
    let acks = json!({"brokerName": compat_tests::target::BROKER, "acks": [{
        "c": popper.group, "t": popper.topic, "r": "0", "so": 0, "q": 0,
        "rq": answer.field("reviveQid").parse::<i32>()?, "pt": answer.field("popTime").parse::<i64>()?,
        "it": LASTS.as_millis() as i64, "b": "Bg==",
    }]});
    let batch = wire::call(&run.cluster.broker_address(), BATCH_ACK, json!({}), acks.to_string().as_bytes()).await?;
    ensure!(batch.code == SUCCESS, "two more acknowledged: {batch:?}");
    let Leased { queue, offset, handle, .. } = &leased[3];
    let shorter = json!({"queueId": queue, "offset": offset, "extraInfo": handle, "invisibleTime": "1000"});
    let changed = popper.call(CHANGE_INVISIBLE, shorter).await?;
    ensure!(changed.code == SUCCESS && changed.field("invisibleTime") == "1000", "{changed:?}");
    let (_, last) = popper.pop("-1", "32", json!({})).await?;
    ensure!(last.len() == 1 && popper.ack(&last[0]).await? == SUCCESS, "the last: {last:?}");
    ensure!(popper.call(NOTIFICATION, look).await?.field("hasMsg") == "false", "nothing is left");
    ensure!(popper.call(POLLING_INFO, json!({"queueId": "-1"})).await?.field("pollingNum") == "0", "nobody waits");

    // The third was given up early, the fourth runs out; both come back once, and nothing else does.
    popper.only_these_come_again(&["k-3", "k-4"].map(str::to_owned).into()).await
}

async fn higher_priorities_are_popped_first(run: Run) -> Result<()> {
    let topic = run.name("topic");
    let typed = "+message.type=PRIORITY";
    let out =
        run.mqadmin(&["updateTopic", "-c", "DefaultCluster", "-t", &topic, "-r", "3", "-w", "3", "-a", typed]).await?;
    ensure!(out.contains("success"), "updateTopic printed\n{out}");
    let producer = run.producer("producer").await?;
    for (key, priority) in [("low", "0"), ("high", "2"), ("mid", "1"), ("higher", "7"), ("lower", "0")] {
        let sent = producer.send(Line::send(&topic, key).with("system._SYS_MSG_PRIORITY_", priority)).await?;
        let wanted = priority.parse::<i32>()?.min(2);
        ensure!(sent[0].queue_id == wanted, "priority {priority} went to queue {}", sent[0].queue_id);
    }
    let popper = Popper { run: &run, group: run.name("group"), topic };
    let mut order = Vec::new();
    while order.len() < 5 {
        let (answer, leased) = popper.pop("-1", "1", json!({})).await?;
        ensure!(leased.len() == 1, "{answer:?}");
        order.push(leased[0].body.clone());
    }
    ensure!(order == ["high", "higher", "mid", "low", "lower"], "popped in the order {order:?}");
    Ok(())
}

async fn ordered_pops_lease_a_queue_as_a_whole(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let producer = run.producer("producer").await?;
    producer.send(Line::send(&topic, "o").with("count", 4)).await?;
    let popper = Popper { run: &run, group: run.name("group"), topic };
    let attempt = |name: &str| json!({"order": "true", "attemptId": name});
    let (answer, first) = popper.pop("0", "2", attempt("a")).await?;
    ensure!(answer.code == SUCCESS && answer.field("reviveQid") == "999", "{answer:?}");
    ensure!(answer.field("orderCountInfo") == "0 0 0", "{answer:?}");
    let (answer, none) = popper.pop("0", "2", attempt("b")).await?;
    ensure!(answer.code == POLLING_TIMEOUT && none.is_empty(), "the queue is leased: {answer:?}");
    let (_, same) = popper.pop("0", "2", attempt("a")).await?;
    let bodies = |leased: &[Leased]| leased.iter().map(|leased| leased.body.clone()).collect::<Vec<_>>();
    ensure!(bodies(&same) == bodies(&first), "the same attempt: {same:?}");
    let stranger = Leased { offset: "3".to_owned(), ..same[0].clone() };
    ensure!(popper.ack(&stranger).await? == MESSAGE_ILLEGAL, "not leased");
    for message in &same {
        ensure!(popper.ack(message).await? == SUCCESS, "{message:?}");
    }
    let (_, second) = popper.pop("0", "2", attempt("b")).await?;
    ensure!(bodies(&second) == ["o-2", "o-3"], "behind the first: {second:?}");
    tokio::time::sleep(LASTS).await;
    let (answer, again) = popper.pop("0", "2", attempt("c")).await?;
    ensure!(bodies(&again) == bodies(&second) && again[0].topic == popper.topic, "from the queue again: {again:?}");
    let mut counts: Vec<_> = answer.field("orderCountInfo").split(';').collect();
    counts.sort_unstable();
    ensure!(counts == ["0 0 1", "0 qo0%2 1", "0 qo0%3 1"], "{answer:?}");
    Ok(())
}

/// Java's offsets are seconds old when it is killed, so there what was acknowledged comes again, too.
async fn acknowledged_messages_stay_so_after_kill_9(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let producer = run.producer("producer").await?;
    producer.send(Line::send(&topic, "k").with("count", 8)).await?;
    let popper = Popper { run: &run, group: run.name("group"), topic };
    let leased = popper.lease(8, 5).await?;
    run.kill_broker().await?;
    run.start_broker().await?;
    let open = keys(&leased[5..]);
    if run.cluster.target.broker() == Server::Java {
        return popper.take_again(&open, true).await.map(drop);
    }
    popper.only_these_come_again(&open).await
}

async fn leases_are_handed_over_to_java_and_back(run: Run) -> Result<()> {
    let own = run.cluster.target.broker();
    run.begin_with(Server::Java).await?;
    for (number, next) in [own, Server::Java].into_iter().enumerate() {
        let topic = run.topic(&format!("topic-{number}"), 1).await?;
        let producer = run.producer(&format!("producer-{number}")).await?;
        producer.send(Line::send(&topic, "h").with("count", 6)).await?;
        let popper = Popper { run: &run, group: run.name(&format!("group-{number}")), topic };
        let leased = popper.lease(6, 2).await?;
        run.stop_broker().await?;
        run.start_broker_of(next).await?;
        popper.only_these_come_again(&keys(&leased[2..])).await.with_context(|| format!("leases go on in {next:?}"))?;
    }
    Ok(())
}
