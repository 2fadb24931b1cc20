//! Groups that read so far behind that they would cost the others their memory.

use std::collections::BTreeMap;

use remoting::body::SubscriptionGroupConfig;
use store::ReadOutcome;
use store::message::StoredMessage;

use super::reader::Reader;
use super::request::Pull;

impl Reader {
    /// With `disableConsumeIfConsumerReadSlowly`, a group behind by more than `consumerFallbehindThreshold` may no
    /// longer consume until an administrator lets it. Java: `BrokerController.protectBroker`.
    pub(super) fn watch_fall_behind(&self, pull: &Pull, outcome: &ReadOutcome) {
        if !self.ctx.config.borrow().disable_consume_if_consumer_read_slowly {
            return;
        }
        let first = outcome.messages.first().and_then(|messages| StoredMessage::parse(messages).ok());
        let Some(first) = first else { return };
        let behind = u64::try_from(self.store.max_physical_offset().0 - first.physical_offset.0).unwrap_or(0);
        if behind <= self.ctx.settings().consumer_fallbehind_threshold {
            return;
        }
        let group = &pull.header.consumer_group;
        let Some(config) = self.groups.get(group) else { return };
        tracing::warn!(%group, bytes = behind, "a group is too far behind and may not consume until it is let again");
        // Attributes are changes here, and there are none.
        let attributes = BTreeMap::new();
        let config =
            SubscriptionGroupConfig { consume_enable: false, attributes, ..SubscriptionGroupConfig::clone(&config) };
        if let Err(err) = self.groups.put_all(vec![config]) {
            tracing::error!(%group, %err, "a group that is too far behind goes on consuming");
        }
    }
}
