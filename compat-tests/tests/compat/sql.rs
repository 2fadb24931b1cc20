//! A subscription by an SQL 92 expression gets the messages whose properties match it, and nothing else.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use compat_tests::clients::{Client, Line};
use compat_tests::scenario;
use compat_tests::scenario::{Run, Scenario};

use crate::check;

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!(sql_subscription_gets_what_matches_only),
    scenario!(sql_of_a_pull_consumer_gets_what_matches_only)
        .lacking(&[(Client::Go, "its pull consumer gets nothing by an expression, from Java either")]),
    scenario!(wrong_sql_is_refused_at_the_start).with(&[Client::Java55, Client::Java49]),
    scenario!(sql_is_refused_by_a_broker_that_is_told_to).alone().with(&[Client::Java55]),
];

const COLORS: [&str; 3] = ["red", "it's", "blue"];
const EXPRESSION: &str = "(size BETWEEN 2 AND 4 AND color IN ('red', 'it''s')) OR (color IS NULL AND size >= 8) \
    OR (color = 'blue' AND weight > 0.5 AND NOT (TAGS = 'heavy'))";

/// Sizes 0 to 9 in every color and in none; every fourth is tagged, and what is blue has a weight.
async fn send_all(run: &Run, topic: &str) -> Result<BTreeSet<String>> {
    let producer = run.producer("producer").await?;
    let mut wanted = BTreeSet::new();
    for size in 0..10 {
        for color in COLORS.into_iter().map(Some).chain([None]) {
            let key = format!("{}-{size}", color.unwrap_or("none"));
            let mut line = Line::send(topic, &key).with("prop.size", size).with("queue", size % 2);
            if let Some(color) = color {
                line = line.with("prop.color", color);
            }
            if color == Some("blue") {
                line = line.with("prop.weight", format!("0.{size}"));
            }
            let heavy = size % 4 == 0;
            if heavy {
                line = line.with("tag", "heavy");
            }
            producer.send(line).await?;
            let wants = match color {
                None => size >= 8,
                // A message without a tag leaves open whether it is heavy.
                Some("blue") => false,
                Some(_) => (2..=4).contains(&size),
            };
            if wants {
                wanted.insert(key);
            }
        }
    }
    // Behind all others: what should not come would have come before.
    for queue in 0..2 {
        let key = format!("last-{queue}");
        let line = Line::send(topic, &key).with("prop.color", "blue").with("prop.weight", "1").with("queue", queue);
        producer.send(line.with("tag", "light")).await?;
        wanted.insert(key);
    }
    Ok(wanted)
}

async fn sql_subscription_gets_what_matches_only(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let early = run.push_with("early", &run.name("early"), &topic, Line::new("with").with("sql", EXPRESSION)).await?;
    let wanted = send_all(&run, &topic).await?;
    let late = run.push_with("late", &run.name("late"), &topic, Line::new("with").with("sql", EXPRESSION)).await?;
    for consumer in [early, late] {
        let keys = check::keys_once(&consumer.until_keys(&wanted).await?)?;
        ensure!(keys == wanted, "received {keys:?}, wanted {wanted:?}");
    }
    Ok(())
}

async fn sql_of_a_pull_consumer_gets_what_matches_only(run: Run) -> Result<()> {
    let topic = run.topic("topic", 2).await?;
    let wanted = send_all(&run, &topic).await?;
    let consumer = run.pull_with("pull", &run.name("group"), &topic, Line::new("with").with("sql", EXPRESSION)).await?;
    let keys = check::keys_once(&consumer.command(Line::new("poll").with("count", wanted.len())).await?)?;
    ensure!(keys == wanted, "received {keys:?}, wanted {wanted:?}");
    Ok(())
}

async fn wrong_sql_is_refused_at_the_start(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    for (label, sql, words) in [
        ("cut-short", "size >", "Encountered \"<EOF>\" at line 1"),
        ("unordered", "size > 'big'", "''big'' cannot be compared"),
    ] {
        let refused = run.push_with(label, &run.name(label), &topic, Line::new("with").with("sql", sql)).await;
        let refusal = format!("{:?}", refused.err());
        ensure!(refusal.contains("code: Some(23)") && refusal.contains(&words.replace('"', "\\\"")), "{refusal}");
    }
    Ok(())
}

async fn sql_is_refused_by_a_broker_that_is_told_to(run: Run) -> Result<()> {
    let topic = run.topic("topic", 1).await?;
    let off = ["updateBrokerConfig", "-c", "DefaultCluster", "-k", "enablePropertyFilter", "-v", "false"];
    run.mqadmin(&off).await?;
    let sql = Line::new("with").with("sql", "size > 1");
    let refused = run.push_with("refused", &run.name("group"), &topic, sql).await;
    let refusal = format!("{:?}", refused.err());
    ensure!(refusal.contains("code: Some(1)"), "{refusal}");
    ensure!(refusal.contains("The broker does not support consumer to filter message by SQL92"), "{refusal}");
    Ok(())
}
