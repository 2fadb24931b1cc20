//! mqadmin finds messages by key, by unique key, by place and by time, and shows what became of them.

use anyhow::{Context, Result, ensure};
use compat_tests::clients::{Client, Line};
use compat_tests::logs;
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};
use compat_tests::target::BROKER;

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(mqadmin_finds_messages_by_key),
    scenario!(mqadmin_finds_messages_by_key_after_kill_9).with(&[Client::Mqadmin]).alone().allowing(&[logs::KILLED]),
    scenario!(mqadmin_finds_a_message_by_its_unique_key),
    scenario!(mqadmin_prints_what_queues_hold).with(&[Client::Mqadmin]),
    scenario!(mqadmin_shows_the_entries_of_a_queue).with(&[Client::Mqadmin]),
    scenario!(mqadmin_measures_sends).with(&[Client::Mqadmin]),
    scenario!(mqadmin_shows_the_trace_of_a_message).with(&[Client::Mqadmin]),
];

/// Sends one message of these keys by mqadmin; its unique id.
async fn send(run: &Run, topic: &str, keys: &str, body: &str) -> Result<String> {
    let out = run.mqadmin(&["sendMessage", "-t", topic, "-p", body, "-k", keys, "-c", "the-tag"]).await?;
    let row = check::row(&out, &[BROKER])?;
    row.last().cloned().with_context(|| format!("no id in\n{out}"))
}

/// Ids, queues and offsets that `queryMsgByKey` printed.
async fn by_key(run: &Run, topic: &str, key: &str, more: &[&str]) -> Result<Vec<Vec<String>>> {
    let out = run.mqadmin(&[&["queryMsgByKey", "-t", topic, "-k", key], more].concat()).await?;
    let rows = out.lines().map(|line| line.split_whitespace().take(3).map(str::to_owned).collect());
    // Other lines are the head, or the failure that mqadmin makes of not finding any.
    let mut rows: Vec<Vec<String>> = rows.filter(|row: &Vec<_>| row.first().is_some_and(|id| is_id(id))).collect();
    rows.sort();
    Ok(rows)
}

fn is_id(text: &str) -> bool {
    text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

async fn mqadmin_finds_messages_by_key(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let producer = run.producer("producer").await?;
    let line = Line::send(&topic, "k").with("tag", "the-tag").with("count", 5);
    let sent = producer.send(line).await?;
    for sent in &sent {
        let [key] = sent.keys.as_slice() else { anyhow::bail!("one key each: {sent:?}") };
        let expect = vec![sent.msg_id.clone(), sent.queue_id.to_string(), sent.queue_offset.to_string()];
        let found = by_key(&run, &topic, key, &[]).await?;
        ensure!(found == [expect.clone()], "{key}: {found:?}, not {expect:?}");
    }
    let past = by_key(&run, &topic, "k-0", &["-e", "1000"]).await?;
    ensure!(past.is_empty(), "found before it was sent: {past:?}");
    let none = by_key(&run, &topic, "nobody-has-it", &[]).await?;
    ensure!(none.is_empty(), "found without being there: {none:?}");

    // One key of several messages, several keys of one.
    let mut ids = Vec::new();
    for keys in ["red big", "red small", "blue big"] {
        ids.push(send(&run, &topic, keys, "a body").await?);
    }
    for (key, which) in [("red", [0, 1]), ("big", [0, 2])] {
        let found = by_key(&run, &topic, key, &[]).await?;
        let found: Vec<_> = found.iter().map(|row| row[0].as_str()).collect();
        let mut expect = which.map(|at| ids[at].as_str());
        expect.sort_unstable();
        ensure!(found == expect, "{key}: {found:?}, not {expect:?}");
    }
    let tagged = by_key(&run, &topic, "the-tag", &["-p", "T"]).await?;
    ensure!(tagged.len() == sent.len() + ids.len(), "all of a tag: {tagged:?}");
    let newest = by_key(&run, &topic, "red", &["-m", "1"]).await?;
    ensure!(newest.len() == 1 && newest[0][0] == ids[1], "the newest of two: {newest:?}");
    Ok(())
}

async fn mqadmin_finds_messages_by_key_after_kill_9(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let before = send(&run, &topic, "once", "before").await?;
    ensure!(by_key(&run, &topic, "once", &[]).await?.len() == 1, "not found before the crash");
    run.kill_broker().await?;
    run.start_broker().await?;
    let found = by_key(&run, &topic, "once", &[]).await?;
    ensure!(found.len() == 1 && found[0][0] == before, "after the crash: {found:?}, not {before}");
    let after = send(&run, &topic, "once", "after").await?;
    let found = by_key(&run, &topic, "once", &[]).await?;
    let ids: Vec<_> = found.iter().map(|row| &row[0]).collect();
    ensure!(ids.len() == 2 && ids.contains(&&before) && ids.contains(&&after), "both: {found:?}");
    Ok(())
}

async fn mqadmin_finds_a_message_by_its_unique_key(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let producer = run.producer("producer").await?;
    let line = Line::send(&topic, "k").with("tag", "the-tag").with("count", 2);
    for sent in producer.send(line).await? {
        let [key] = sent.keys.as_slice() else { anyhow::bail!("one key each: {sent:?}") };
        let (queue, offset) = (sent.queue_id.to_string(), sent.queue_offset.to_string());
        let by_unique_key = run.mqadmin(&["queryMsgByUniqueKey", "-t", &topic, "-i", &sent.msg_id]).await?;
        // An id that is no offset id is looked up as a unique key.
        let by_id = run.mqadmin(&["queryMsgById", "-t", &topic, "-i", &sent.msg_id]).await?;
        let place = ["queryMsgByOffset", "-t", &topic, "-b", BROKER, "-i", &queue, "-o", &offset, "-f", "UTF-8"];
        let by_place = run.mqadmin(&place).await?;
        for out in [&by_unique_key, &by_id, &by_place] {
            for (what, value) in [
                ("Topic:", topic.clone()),
                ("Tags:", "[the-tag]".to_owned()),
                ("Keys:", format!("[{key}]")),
                ("Queue ID:", queue.clone()),
                ("Queue Offset:", offset.clone()),
                ("Reconsume Times:", "0".to_owned()),
                ("Store Host:", run.cluster.broker_address()),
            ] {
                let found = out.lines().find_map(|line| line.strip_prefix(what)).map(str::trim);
                ensure!(found == Some(&value), "{what} is {found:?}, not {value} in\n{out}");
            }
            ensure!(out.contains(&format!("UNIQ_KEY={}", sent.msg_id)), "no unique id {} in\n{out}", sent.msg_id);
        }
    }
    Ok(())
}

async fn mqadmin_prints_what_queues_hold(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(send(&run, &topic, "k", &format!("body-{number}")).await?);
    }
    let whole = |out: &str| {
        let printed: Vec<_> = out.lines().filter(|line| line.starts_with("MSGID:")).collect();
        let are_they = printed.len() == 3
            && (0..3).all(|at| printed[at].contains(&ids[at]) && printed[at].contains(&format!("body-{at}")));
        ensure!(are_they, "other messages than {ids:?} in\n{out}");
        Ok(())
    };
    whole(&run.mqadmin(&["printMsg", "-t", &topic, "-d", "true"]).await?)?;
    let queue = ["-t", &topic, "-a", BROKER, "-i", "0"];
    whole(&run.mqadmin(&[&["printMsgByQueue"], &queue[..], &["-p", "true", "-d", "true"]].concat()).await?)?;
    let counted = run.mqadmin(&[&["printMsgByQueue"], &queue[..], &["-f", "true"]].concat()).await?;
    ensure!(counted.contains("the-tag") && counted.contains('3'), "three of a tag in\n{counted}");
    whole(&run.mqadmin(&["consumeMessage", "-t", &topic]).await?)?;
    let one = run.mqadmin(&["consumeMessage", "-t", &topic, "-b", BROKER, "-i", "0", "-o", "1", "-c", "1"]).await?;
    ensure!(one.contains(&ids[1]) && !one.contains(&ids[0]) && !one.contains(&ids[2]), "only {} in\n{one}", ids[1]);
    Ok(())
}

async fn mqadmin_shows_the_entries_of_a_queue(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    for number in 0..3 {
        send(&run, &topic, "k", &format!("body-{number}")).await?;
    }
    let out = run
        .mqadmin(&["queryCq", "-t", &topic, "-q", "0", "-i", "1", "-c", "2", "-b", &run.cluster.broker_address()])
        .await?;
    ensure!(out.contains("max: 3") && out.contains("min: 0"), "bounds in\n{out}");
    ensure!(out.matches("physicOffset").count() == 2, "two entries in\n{out}");
    Ok(())
}

async fn mqadmin_measures_sends(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let out = run.mqadmin(&["checkMsgSendRT", "-t", &topic, "-a", "5", "-s", "64"]).await?;
    let sent = out.lines().filter(|line| line.starts_with(BROKER) && line.contains("true")).count();
    ensure!(sent == 5 && out.contains("Avg RT"), "five sends in\n{out}");
    Ok(())
}

async fn mqadmin_shows_the_trace_of_a_message(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let out = run.mqadmin(&["sendMessage", "-t", &topic, "-p", "traced", "-k", "the-key", "-m", "true"]).await?;
    let row = check::row(&out, &[BROKER])?;
    let id = row.last().with_context(|| format!("no id in\n{out}"))?;
    let trace = run.mqadmin_until(&["queryMsgTraceById", "-i", id], |out| out.contains("Pub")).await?;
    let row = check::row(&trace, &["Pub"])?;
    ensure!(row.contains(&"success".to_owned()), "how it went in\n{trace}");
    Ok(())
}
