//! Keeps the store as the settings and the topics say that may change while the broker runs: mostly its retention.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use remoting::body::TopicConfig;
use remoting::types::TopicName;
use store::Store;

use crate::context::Context;
use crate::topic::{RESERVE_TIME, TopicTable};

/// Starts the tasks that follow both.
pub(crate) fn start(ctx: &Context, store: &Arc<Store>, topics: &Arc<TopicTable>) {
    follow_settings(ctx.clone(), Arc::clone(store));
    follow_topics(ctx, Arc::clone(store), Arc::clone(topics));
}

fn follow_settings(ctx: Context, store: Arc<Store>) {
    ctx.tasks.clone().spawn(async move {
        let mut settings = ctx.config.clone();
        let mut in_force = settings.borrow_and_update().retention().ok();
        loop {
            tokio::select! {
                () = ctx.stopping.cancelled() => return,
                changed = settings.changed() => if changed.is_err() { return },
            }
            // A change whose values do not fit is refused before it comes here.
            let asked = {
                let now = settings.borrow_and_update();
                store.set_memory_ratio(now.access_message_in_memory_max_ratio);
                now.retention().ok()
            };
            if let Some(retention) = asked.clone().filter(|_| asked != in_force) {
                tracing::info!(?retention, "retention follows the settings");
                store.set_retention(retention);
                in_force = asked;
            }
        }
    });
}

fn follow_topics(ctx: &Context, store: Arc<Store>, topics: Arc<TopicTable>) {
    let stopping = ctx.stopping.clone();
    ctx.tasks.spawn(async move {
        let mut changes = topics.changes();
        let (mut step, all) = topics.snapshot_with_step();
        let mut in_force = HashMap::new();
        apply(&mut in_force, all.topic_config_table.values());
        store.set_topic_retention(in_force.clone());
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
            changes.borrow_and_update();
            let mut wanted = in_force.clone();
            // A deleted topic has no queues; what is left of it here harms nobody until it is made again, which tells.
            let (now, changed) = topics.changed_since(step).unwrap_or_else(|| topics.snapshot_with_step());
            step = now;
            apply(&mut wanted, changed.topic_config_table.values());
            if wanted != in_force {
                in_force = wanted;
                store.set_topic_retention(in_force.clone());
            }
        }
    });
}

fn apply<'a>(kept: &mut HashMap<TopicName, Duration>, topics: impl Iterator<Item = &'a Arc<TopicConfig>>) {
    for topic in topics {
        match reserve_time(topic) {
            Some(time) => _ = kept.insert(topic.topic_name.clone(), time),
            None => _ = kept.remove(&topic.topic_name),
        }
    }
}

/// How long the topic keeps its messages, if it has a rule of its own.
fn reserve_time(topic: &TopicConfig) -> Option<Duration> {
    let hours: u64 = topic.attributes.get(RESERVE_TIME)?.parse().ok()?;
    (hours > 0).then(|| Duration::from_secs(hours.saturating_mul(3600)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_with_hours_of_their_own_are_followed() {
        let topic = |name: &str, hours: &str| {
            let mut config = TopicConfig::new(name, 1, 6);
            config.attributes.insert(RESERVE_TIME.to_owned(), hours.to_owned());
            Arc::new(config)
        };
        let mut kept = HashMap::new();
        let plain = Arc::new(TopicConfig::new("plain", 1, 6));
        apply(&mut kept, [topic("a", "2"), topic("b", "1"), topic("c", "-1"), topic("d", "0"), plain].iter());
        assert_eq!(
            kept,
            HashMap::from([("a".into(), Duration::from_secs(7200)), ("b".into(), Duration::from_secs(3600))])
        );
        apply(&mut kept, [topic("a", "3"), Arc::new(TopicConfig::new("b", 1, 6))].iter());
        assert_eq!(kept, HashMap::from([("a".into(), Duration::from_secs(3 * 3600))]), "changed and taken back");
    }
}
