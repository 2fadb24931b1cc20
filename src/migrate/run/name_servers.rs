//! What a name server knows, before and after it is swapped.

use super::Runner;
use super::wait::Look;
use crate::migrate::checks::some;
use crate::migrate::desk::AskError;
use crate::migrate::notes::NameServerNote;
use crate::migrate::{MigrateError, say};

/// The queues of order topics are settings that name servers hold. Java: `NamesrvUtil.NAMESPACE_ORDER_TOPIC_CONFIG`.
const ORDER_TOPICS: &str = "ORDER_TOPIC_CONFIG";

impl Runner<'_> {
    pub(super) async fn note_name_server(&mut self, at: &str) -> Result<(), MigrateError> {
        let note = match self.knowledge(at).await {
            Ok(note) => note,
            // It is stopped already, and what it knew was written down before.
            Err(err) if err.is_gone() && self.state.name_server_notes.contains_key(at) => return Ok(()),
            Err(err) => return Err(err.into()),
        };
        let NameServerNote { brokers, topics, key_values } = &note;
        say(&format!("  {} brokers, {} topics, {} key-values", brokers.len(), topics.len(), key_values.len()));
        self.state.name_server_notes.insert(at.to_owned(), note);
        self.save()
    }

    async fn knowledge(&self, at: &str) -> Result<NameServerNote, AskError> {
        let (_, info) = self.desk.cluster_info(at).await?;
        let brokers = info.broker_addr_table.into_values().flat_map(|set| set.broker_addrs.into_values());
        Ok(NameServerNote {
            brokers: brokers.collect(),
            topics: self.desk.all_topics(at).await?,
            key_values: self.desk.key_values(at, ORDER_TOPICS).await?,
        })
    }

    /// Brokers register with a new name server within 30 s; key-values nobody would bring back.
    pub(super) async fn settle_name_server(&self, at: &str) -> Result<(), MigrateError> {
        let Some(noted) = self.state.name_server_notes.get(at) else { return Ok(()) };
        let now = self
            .until(&format!("{at} is to know all brokers and topics"), async || {
                let now = match self.knowledge(at).await {
                    Ok(now) => now,
                    Err(err) => return Ok(Look::not_yet(err)),
                };
                let mut brokers = Vec::new();
                for broker in noted.brokers.difference(&now.brokers) {
                    // One that has gone meanwhile does not come back for this.
                    if !self.desk.config(broker).await.is_err_and(|err| err.is_gone()) {
                        brokers.push(broker.as_str());
                    }
                }
                if !brokers.is_empty() {
                    return Ok(Look::not_yet(format!("these have not registered yet: {}", some(brokers.into_iter()))));
                }
                let topics: Vec<_> = noted.topics.difference(&now.topics).map(String::as_str).collect();
                // Without a broker its topics are unknown, too.
                if !topics.is_empty() && noted.brokers.is_subset(&now.brokers) {
                    return Ok(Look::not_yet(format!("it lacks topics: {}", some(topics.into_iter()))));
                }
                Ok(Look::Reached(now))
            })
            .await?;
        for (key, value) in &noted.key_values {
            if now.key_values.get(key) != Some(value) {
                say(&format!("  put back the setting of the order topic {key}: {value}"));
                self.desk.put_key_value(at, ORDER_TOPICS, key, value).await?;
            }
        }
        Ok(())
    }

    /// The address of a set's master, by the first name server that knows it.
    pub(super) async fn master_of(&self, set: &str) -> Option<String> {
        for at in &self.state.name_servers {
            let Ok((_, info)) = self.desk.cluster_info(at).await else { continue };
            let found = info.broker_addr_table.iter().find(|(name, _)| ***name == *set);
            if let Some(master) = found.and_then(|(_, set)| set.master()) {
                return Some(master.to_owned());
            }
        }
        None
    }
}
