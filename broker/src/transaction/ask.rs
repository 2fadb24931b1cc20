//! Asking a producer: `CHECK_TRANSACTION_STATE`.
//!
//! Java: `AbstractTransactionalMessageCheckListener.sendCheckMessage`.

use remoting::protocol::transaction::CheckTransactionState;
use remoting::types::TopicName;
use store::Position;
use store::message::{encode_at, id};

use super::Transactions;
use super::half::{Half, half_topic};

impl Transactions {
    /// Asks one of the producers that are connected, another one each time. `properties` are those of the copy of `half` that
    /// was stored at `position`, which the answer is to name. False if there is none, or it reads too slowly.
    pub(super) fn ask(&self, half: &Half<'_>, properties: &str, position: &Position) -> bool {
        let (Some(group), Some(topic), Some(queue_id)) = (half.group, half.real_topic, half.real_queue) else {
            return false;
        };
        let Some(producer) = self.clients.producers.any(group) else { return false };
        let unique_key = half.unique_key.map(str::to_owned);
        let request = CheckTransactionState {
            topic: Some(half_topic().clone()),
            tran_state_table_offset: position.queue_offset,
            commit_log_offset: position.physical_offset,
            msg_id: unique_key.clone(),
            transaction_id: unique_key,
            offset_msg_id: Some(id::encode(half.stored.store_host, position.physical_offset)),
            broker_name: Some(self.ctx.identity.name.clone()),
        };
        let topic = TopicName::new(topic);
        let message = half.message(&topic, queue_id, properties);
        let stored = half.stored.store_timestamp;
        let mut body = Vec::new();
        encode_at(&mut body, &message, position.queue_offset, position.physical_offset, stored);
        producer.one_way(&request, body.into())
    }
}
