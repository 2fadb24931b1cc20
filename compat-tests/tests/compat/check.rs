//! Comparing what was received with what was sent: by content and order, not only by count.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use compat_tests::events::{Received, Sent};

/// Every answered send was received exactly once, at the place its answer named, with its key as body.
pub(crate) fn arrived_once(sent: &[Sent], received: &[Received]) -> Result<()> {
    let mut expected = places(sent)?;
    for received in received {
        let place = (received.queue_id, received.queue_offset);
        let key = expected.remove(&place).with_context(|| format!("not sent to {place:?}, or twice: {received:?}"))?;
        ensure!(received.key == key, "{place:?} holds {} instead of {key}", received.key);
        ensure!(received.body.as_ref() == Some(&received.key), "another body: {received:?}");
    }
    ensure!(expected.is_empty(), "never received: {expected:?}");
    Ok(())
}

/// Queue and queue offset of every answered send, with its key.
pub(crate) fn places(sent: &[Sent]) -> Result<BTreeMap<(i32, i64), &str>> {
    let mut places = BTreeMap::new();
    for sent in sent {
        for (n, key) in (0..).zip(&sent.keys) {
            let place = (sent.queue_id, sent.queue_offset + n);
            let other = places.insert(place, key.as_str());
            ensure!(other.is_none(), "{key} and {other:?} were both put at {place:?}");
        }
    }
    Ok(places)
}

/// Every acknowledged message is where its answer said, and nothing else is; a send that failed may be stored or not, and a
/// retried one twice.
pub(crate) fn are_where_acknowledged(sent: &[Sent], received: &[Received]) -> Result<()> {
    let mut stored: BTreeMap<(i32, i64), &str> = BTreeMap::new();
    for received in received {
        let place = (received.queue_id, received.queue_offset);
        let other = stored.insert(place, &received.key);
        ensure!(other.is_none_or(|other| other == received.key), "{other:?} is at the place of {received:?}");
        ensure!(received.body.as_ref() == Some(&received.key), "another body: {received:?}");
    }
    for (place, key) in places(sent)? {
        let there = stored.get(&place);
        ensure!(there == Some(&key), "{key} was acknowledged at {place:?}, where {there:?} is");
    }
    Ok(())
}

/// What was sent to a broker set, and received from it.
pub(crate) type Traffic = (Vec<Sent>, Vec<Received>);

/// What was sent and received, for each broker set; nothing came from one that nothing was sent to.
pub(crate) fn by_broker(sent: &[Sent], received: &[Received]) -> Result<BTreeMap<String, Traffic>> {
    let mut brokers: BTreeMap<String, Traffic> = BTreeMap::new();
    for sent in sent {
        brokers.entry(sent.broker.clone()).or_default().0.push(sent.clone());
    }
    for received in received {
        let broker = received.broker.as_ref().with_context(|| format!("of which broker? {received:?}"))?;
        let (_, of_broker) = brokers.get_mut(broker).with_context(|| format!("not sent there: {received:?}"))?;
        of_broker.push(received.clone());
    }
    Ok(brokers)
}

/// Each queue was handed out in the order of its offsets, without gaps and repeats.
pub(crate) fn in_queue_order(received: &[Received]) -> Result<()> {
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    for received in received {
        let offset = next.entry(received.queue_id).or_insert(received.queue_offset);
        ensure!(received.queue_offset == *offset, "offset {offset} should come next: {received:?}");
        *offset += 1;
    }
    Ok(())
}

/// All keys of some sends.
pub(crate) fn keys_sent(sent: &[Sent]) -> BTreeSet<String> {
    sent.iter().flat_map(|sent| sent.keys.clone()).collect()
}

/// All keys of some deliveries, each of which must have come once.
pub(crate) fn keys_once(received: &[Received]) -> Result<BTreeSet<String>> {
    let mut keys = BTreeSet::new();
    for received in received {
        ensure!(keys.insert(received.key.clone()), "delivered again: {received:?}");
    }
    Ok(keys)
}

/// `<prefix>-0` to `<prefix>-<count - 1>`: what `send … count=` makes.
pub(crate) fn numbered(prefix: &str, count: usize) -> BTreeSet<String> {
    (0..count).map(|n| format!("{prefix}-{n}")).collect()
}

/// The columns of the first line of `table` that begin with `columns`.
pub(crate) fn row(table: &str, columns: &[&str]) -> Result<Vec<String>> {
    table
        .lines()
        .map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .find(|row| row.len() >= columns.len() && row.iter().zip(columns).all(|(cell, column)| cell == column))
        .with_context(|| format!("no row {columns:?} in\n{table}"))
}
