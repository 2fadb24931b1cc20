//! Heartbeats: how clients join their groups and stay in them.

use remoting::body::{ConsumeType, ConsumerData, HeartbeatData, fastjson};
use remoting::connection::Peer;
use remoting::language::LanguageCode;
use remoting::protocol::client::{Heartbeat, HeartbeatReply};
use remoting::router::{Call, Handle, Reply};
use remoting::types::ClientId;
use remoting::version::Version;
use tokio::time::Instant;

use super::consumer_group::Joining;
use super::{ClientError, Clients, Member};

impl Handle<Heartbeat> for Clients {
    type Error = ClientError;

    /// Java: `ClientManageProcessor.heartBeat`, `heartBeatV2`.
    async fn handle(&self, call: Call<Heartbeat>) -> Result<Reply<HeartbeatReply>, ClientError> {
        let body: HeartbeatData = fastjson::read(&call.body)?;
        let client = Client { peer: call.peer, id: body.client_id, language: call.language, version: call.version };
        let fingerprint = body.heartbeat_fingerprint;
        let mut news = false;
        for consumer in body.consumer_data_set {
            let begun = Instant::now();
            news |= self.join(&client, consumer, fingerprint, body.without_sub);
            self.stats.consumer_joined(begun.elapsed().as_millis() as u64);
        }
        let settings = self.ctx.settings();
        // Producers are looked up only to check transactions. Java: `ProducerManager.registerProducer`.
        if settings.enable_register_producer || !settings.reject_transaction_message {
            for producer in body.producer_data_set {
                let begun = Instant::now();
                self.producers.join(&producer.group_name, self.member(&client), self.ctx.clock.now());
                self.stats.producer_joined(begun.elapsed().as_millis() as u64);
            }
        }
        if client.peer.is_closed() {
            // Its end may have been noticed before these groups were joined.
            self.forget(client.peer.id());
        }
        // The first version knows no short heartbeats, so there is always news.
        let subscriptions_changed = fingerprint == 0 || news;
        Ok(HeartbeatReply { supports_v2: true, subscriptions_changed }.into())
    }
}

/// Whose heartbeat it is.
struct Client {
    peer: Peer,
    id: ClientId,
    language: LanguageCode,
    version: Version,
}

impl Clients {
    /// Makes the client a member of one group; true if it has to send its subscriptions in full.
    ///
    /// `short`: the subscriptions were left out, as the broker knows them by their fingerprint.
    fn join(&self, client: &Client, consumer: ConsumerData, fingerprint: i32, short: bool) -> bool {
        if consumer.consume_type == ConsumeType::ConsumeActively && self.ctx.settings().reject_pull_consumer_enable {
            return false;
        }
        let group = &consumer.group_name;
        // A group that does not exist and may not be created is passed over in silence, as in Java.
        let Some(config) = self.groups.find(group) else { return false };
        let is_ordered = |topic: &str| self.topics.get(topic).is_some_and(|topic| topic.order);
        let ordered = consumer.subscription_data_set.iter().any(|subscription| is_ordered(&subscription.topic));
        self.topics.create_retry(group, config.retry_queue_nums, consumer.unit_mode, ordered);

        let known = self.consumers.group(group).and_then(|group| group.fingerprint);
        // A short heartbeat for a group whose subscriptions we do not know must be followed by a full one, or its pulls
        // would fail for as long as the client sees no change. Java asks for none.
        let news = if short { known != Some(fingerprint) } else { known.is_some_and(|known| known != fingerprint) };

        if !short {
            self.filters.register(group, &consumer.subscription_data_set);
        }
        let joining = Joining {
            consume_type: consumer.consume_type,
            model: consumer.message_model,
            from_where: consumer.consume_from_where,
            subscriptions: (!short).then_some((consumer.subscription_data_set, fingerprint)),
        };
        if self.consumers.join(group, self.member(client), joining, self.ctx.clock.now()) {
            tracing::info!(%group, client_id = %client.id, remote = %client.peer.remote(), "a consumer group changed");
            self.notifier.changed(group);
        }
        news
    }

    fn member(&self, client: &Client) -> Member {
        let Client { peer, id, language, version } = client;
        Member::new(peer.clone(), id.clone(), *language, *version, self.ctx.clock.now())
    }
}
