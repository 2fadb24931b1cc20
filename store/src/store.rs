//! stub being filled
#![allow(unused, clippy::todo)]
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use remoting::types::{Clock, PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName};

use crate::arrivals::Arrivals;
use crate::batch::{AppendBatch, Appended};
use crate::config::StoreConfig;
use crate::consume_queue::{Boundary, Entry};
use crate::error::{AppendError, StoreError};
use crate::figures::Figures;
use crate::read::{EntryFilter, ReadOutcome, ReadRequest};
use crate::recovery::RecoveryReport;
use crate::watermark::Confirmation;

/// The message store of one broker.
#[derive(Debug)]
pub struct Store {}

impl Store {
    pub fn open(config: StoreConfig, clock: Clock) -> Result<(Arc<Self>, RecoveryReport), StoreError> {
        todo!()
    }
    pub fn close(&self) -> Result<(), StoreError> {
        todo!()
    }
    /// An empty batch with this store's limits.
    pub fn batch(&self) -> AppendBatch {
        todo!()
    }
    pub fn append<'b>(&self, batch: &'b mut AppendBatch) -> Result<Appended<'b>, AppendError> {
        todo!()
    }
    pub fn confirmed(&self) -> PhysicalOffset {
        todo!()
    }
    pub fn when_confirmed(&self, end: PhysicalOffset, then: Box<dyn FnOnce(Confirmation) + Send>) {
        todo!()
    }
    pub async fn append_and_confirm<'b>(
        &self,
        batch: &'b mut AppendBatch,
    ) -> Result<(Appended<'b>, Confirmation), AppendError> {
        todo!()
    }
    pub fn read(&self, request: &ReadRequest<'_>, filter: &dyn EntryFilter) -> ReadOutcome {
        todo!()
    }
    pub fn entries(&self, topic: &str, queue_id: QueueId, from: QueueOffset, max: usize) -> Vec<Entry> {
        todo!()
    }
    /// One whole stored record, if there is one at `offset`.
    pub fn record_at(&self, offset: PhysicalOffset) -> Option<Bytes> {
        todo!()
    }
    /// First offset kept; `None`: no such queue.
    pub fn min_offset(&self, topic: &str, queue_id: QueueId) -> Option<QueueOffset> {
        todo!()
    }
    /// One behind the last offset; `None`: no such queue.
    pub fn max_offset(&self, topic: &str, queue_id: QueueId) -> Option<QueueOffset> {
        todo!()
    }
    pub fn offset_by_time(&self, topic: &str, queue_id: QueueId, at: Timestamp, boundary: Boundary) -> QueueOffset {
        todo!()
    }
    pub fn store_time(&self, topic: &str, queue_id: QueueId, offset: QueueOffset) -> Option<Timestamp> {
        todo!()
    }
    pub fn earliest_store_time(&self, topic: &str, queue_id: QueueId) -> Option<Timestamp> {
        todo!()
    }
    pub fn in_memory(&self, offset: PhysicalOffset) -> bool {
        todo!()
    }
    pub fn min_physical_offset(&self) -> PhysicalOffset {
        todo!()
    }
    pub fn max_physical_offset(&self) -> PhysicalOffset {
        todo!()
    }
    pub fn arrivals(&self, topic: &TopicName, queue_id: QueueId) -> Arrivals {
        todo!()
    }
    pub fn delete_topic(&self, topic: &str) -> Result<bool, StoreError> {
        todo!()
    }
    pub fn topics(&self) -> Vec<TopicName> {
        todo!()
    }
    /// Ids of the queues that a topic has here, ascending.
    pub fn queues(&self, topic: &str) -> Vec<QueueId> {
        todo!()
    }
    pub fn figures(&self) -> Figures {
        todo!()
    }
}
