//! Asking a Java master for its tables, each as a whole. Masters of 4.9 to 5.5 differ: the older ones know no pages, versions of
//! fewer tables, and nothing of modes and timers.
//!
//! Java: `BrokerOuterAPI`, `SlaveSynchronize`.

use std::collections::BTreeMap;

use bytes::Bytes;
use remoting::body::{
    DataVersion, DelayOffsets, KvTable, LightConsumerOffsets, MessageRequestModes, OffsetNews,
    SubscriptionGroupWrapper, TableNews, TimerMetrics, TopicConfigWrapper, TopicNews, fastjson,
};
use remoting::client::Client;
use remoting::connection::CallError;
use remoting::frame::ExtFields;
use remoting::header::Request;
use remoting::protocol::admin::GetBrokerRuntimeInfo;
use remoting::protocol::assignment::GetAllMessageRequestMode;
use remoting::protocol::group::GetAllGroupConfig;
use remoting::protocol::offset::{GetAllConsumerOffset, GetAllDelayOffset};
use remoting::protocol::timer::{GetTimerCheckPoint, GetTimerMetrics};
use remoting::protocol::topic::GetAllTopicConfig;
use serde::de::DeserializeOwned;
use store::LIGHT_QUEUE;
use store::timer::{CHECKPOINT_BYTES, TimerCheckpoint};
use thiserror::Error;
use tokio::time::Duration;

use super::tables::numbers;
use crate::ha;

/// Longest wait for one answer; a master may have many topics.
const PATIENCE: Duration = Duration::from_secs(30);
/// Entries of one page. Java: `splitMetadataSize`.
const PAGE: i32 = 2000;
/// Pages asked for until a table that changes all the time is given up for this time.
const PAGES_MAX: usize = 10_000;

/// A table was not got.
#[derive(Debug, Error)]
pub(crate) enum AskError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the {what} of a broker do not parse: {cause}")]
    Body { what: &'static str, cause: serde_json::Error },
    #[error("the master's news do not parse: {0}")]
    News(#[from] std::io::Error),
    #[error("the master's {what} change faster than they can be told")]
    Restless { what: &'static str },
    #[error("the master does not tell where its log ends")]
    NoEnd,
}

/// All tables. Those that the master does not have are absent.
pub(super) async fn everything(client: &Client, addr: &str) -> Result<TableNews, AskError> {
    let ask = Ask { client, addr, within: PATIENCE };
    Ok(TableNews {
        seen: String::new(),
        topics: Some(ask.topics().await?),
        groups: Some(ask.groups().await?),
        offsets: Some(offset_news(ask.table("consumer offsets", &GetAllConsumerOffset {}).await?)),
        delays: ask.delays().await?,
        modes: ask.maybe::<_, MessageRequestModes>("request modes", &GetAllMessageRequestMode {}).await?,
        timer: timer(client, addr).await?.map(|checkpoint| numbers(&checkpoint)),
        timer_metrics: ask.maybe::<_, TimerMetrics>("timer metrics", &GetTimerMetrics {}).await?,
        returning: false,
        log_end: Some(log_end(client, addr).await?),
    })
}

/// What the master has delivered of delayed and timed messages, and nothing else.
pub(super) async fn delivered_news(client: &Client, addr: &str) -> Result<TableNews, AskError> {
    let ask = Ask { client, addr, within: PATIENCE };
    let delays = ask.delays().await?;
    let timer = timer(client, addr).await?.map(|checkpoint| numbers(&checkpoint));
    if delays.is_none() && timer.is_none() {
        return Ok(TableNews::default());
    }
    Ok(TableNews { delays, timer, log_end: Some(log_end(client, addr).await?), ..TableNews::default() })
}

/// Where the master's log ends. To be asked after what it has delivered, which is in the log before that.
async fn log_end(client: &Client, addr: &str) -> Result<i64, AskError> {
    Ok(ha::bounds(client, addr).await?.ok_or(AskError::NoEnd)?.end.0)
}

/// How far the master's timer is; `None` if it has none.
pub(super) async fn timer(client: &Client, addr: &str) -> Result<Option<TimerCheckpoint>, AskError> {
    let answer = client.call(addr, &GetTimerCheckPoint {}, Bytes::new(), PATIENCE).await?;
    let body = answer.success::<ExtFields>().ok().map(|(_, body)| body);
    let bytes = body.as_deref().and_then(|body| body.first_chunk::<CHECKPOINT_BYTES>());
    Ok(bytes.map(TimerCheckpoint::decode))
}

/// All consumer offsets of another broker of the set.
pub(super) fn offset_news(all: LightConsumerOffsets) -> OffsetNews {
    let LightConsumerOffsets { data_version, lmq_offset_table, mut offset_table } = all;
    for (key, offset) in lmq_offset_table {
        offset_table.entry(key).or_default().insert(LIGHT_QUEUE.0, offset);
    }
    OffsetNews { data_version, offset_table }
}

/// A broker that is asked for its tables.
pub(super) struct Ask<'a> {
    pub(super) client: &'a Client,
    pub(super) addr: &'a str,
    /// Longest wait for one answer.
    pub(super) within: Duration,
}

impl Ask<'_> {
    /// Whether it delivers what waits; `None` if it does not say. Java: `BrokerController.isSpecialServiceRunning`.
    pub(super) async fn delivers(&self) -> Result<Option<bool>, AskError> {
        let info: Option<KvTable> = self.maybe("figures", &GetBrokerRuntimeInfo {}).await?;
        Ok(info.and_then(|info| info.table.get("brokerActive")?.parse().ok()))
    }

    /// `None` if it has had no delayed messages.
    pub(super) async fn delays(&self) -> Result<Option<DelayOffsets>, AskError> {
        self.maybe("delay offsets", &GetAllDelayOffset {}).await
    }

    async fn topics(&self) -> Result<TopicNews, AskError> {
        let mut known = Pages::default();
        for _ in 0..PAGES_MAX {
            let (topic_seq, data_version) = known.next();
            let request = GetAllTopicConfig { topic_seq, data_version, max_topic_num: Some(PAGE) };
            let (ext, page): (_, TopicConfigWrapper) = self.page("topics", &request).await?;
            let mapped = page.topic_queue_mapping_detail_map.len();
            if mapped > 0 {
                tracing::error!(
                    topics = mapped,
                    "the master has static topics, which are not served here: do not make this \
                    slave a master before a Java broker has deleted them"
                );
            }
            if known.add(page.topic_config_table, page.data_version, ext.get("totalTopicNum")) {
                let set = known.table.into_values().collect();
                return Ok(TopicNews {
                    data_version: known.version.unwrap_or_default(),
                    gone: Vec::new(),
                    set,
                    whole: true,
                });
            }
        }
        Err(AskError::Restless { what: "topics" })
    }

    async fn groups(&self) -> Result<SubscriptionGroupWrapper, AskError> {
        let mut known = Pages::default();
        let mut forbidden_table = BTreeMap::new();
        for _ in 0..PAGES_MAX {
            let (group_seq, data_version) = known.next();
            let request = GetAllGroupConfig { group_seq, data_version, max_group_num: Some(PAGE) };
            let (ext, page): (_, SubscriptionGroupWrapper) = self.page("consumer groups", &request).await?;
            forbidden_table.extend(page.forbidden_table);
            if known.add(page.subscription_group_table, page.data_version, ext.get("totalGroupNum")) {
                let data_version = known.version.unwrap_or_default();
                return Ok(SubscriptionGroupWrapper {
                    data_version,
                    forbidden_table,
                    subscription_group_table: known.table,
                });
            }
        }
        Err(AskError::Restless { what: "consumer groups" })
    }

    async fn page<R: Request, T: DeserializeOwned + Send + 'static>(
        &self,
        what: &'static str,
        request: &R,
    ) -> Result<(ExtFields, T), AskError> {
        let answer = self.client.call(self.addr, request, Bytes::new(), self.within).await?;
        let (ext, body) = answer.success::<ExtFields>()?;
        // All offsets come in one page, whatever there is of them.
        let reading = tokio::task::spawn_blocking(move || fastjson::read(&body));
        let page = reading.await.expect("reading tables does not panic");
        Ok((ext, page.map_err(|cause| AskError::Body { what, cause })?))
    }

    async fn table<R: Request, T: DeserializeOwned + Send + 'static>(
        &self,
        what: &'static str,
        request: &R,
    ) -> Result<T, AskError> {
        Ok(self.page(what, request).await?.1)
    }

    /// `None` if it refuses: it does not know the table, or has nothing in it.
    pub(super) async fn maybe<R: Request, T: DeserializeOwned + Send + 'static>(
        &self,
        what: &'static str,
        request: &R,
    ) -> Result<Option<T>, AskError> {
        match self.table(what, request).await {
            Ok(table) => Ok(Some(table)),
            Err(AskError::Call(CallError::Refused { code, remark })) => {
                tracing::debug!(what, %code, remark, "a broker does not tell");
                Ok(None)
            }
            Err(err) => Err(err),
        }
    }
}

/// A table that comes in pages, which belong together as long as its version stays.
struct Pages<K, V> {
    table: BTreeMap<K, V>,
    version: Option<DataVersion>,
    /// Entries got; with those of a page that repeats some.
    got: usize,
}

impl<K, V> Default for Pages<K, V> {
    fn default() -> Self {
        Self { table: BTreeMap::new(), version: None, got: 0 }
    }
}

impl<K: Ord, V> Pages<K, V> {
    /// What the next page is asked for by: entries got already, and the version that they are of.
    fn next(&self) -> (Option<i32>, Option<String>) {
        let version = self.version.map_or_else(String::new, |version| fastjson::write(&version));
        (Some(i32::try_from(self.got).unwrap_or(i32::MAX)), Some(version))
    }

    /// True if that was all. `total` is absent with masters that know no pages.
    fn add(&mut self, page: BTreeMap<K, V>, version: DataVersion, total: Option<&str>) -> bool {
        if self.version.is_some_and(|known| known != version) {
            self.table.clear();
            self.got = 0;
            // The master begins again, too, as it is told an older version.
            self.version = None;
            return false;
        }
        self.version = Some(version);
        let is_last = page.is_empty();
        self.got += page.len();
        self.table.extend(page);
        let total = total.and_then(|total| total.parse::<usize>().ok());
        is_last || total.is_none_or(|total| self.got >= total)
    }
}

#[cfg(test)]
mod tests {
    use remoting::types::Timestamp;

    use super::*;

    fn version(counter: i64) -> DataVersion {
        DataVersion { counter, state_version: 0, timestamp: Timestamp(5) }
    }

    fn page(entries: std::ops::Range<i32>) -> BTreeMap<i32, ()> {
        entries.map(|number| (number, ())).collect()
    }

    #[test]
    fn pages_are_put_together() {
        let mut pages = Pages::default();
        assert_eq!(pages.next(), (Some(0), Some(String::new())));
        assert!(!pages.add(page(0..2000), version(1), Some("2500")));
        let text = r#"{"counter":1,"stateVersion":0,"timestamp":5}"#;
        assert_eq!(pages.next(), (Some(2000), Some(text.to_owned())));
        assert!(pages.add(page(2000..2500), version(1), Some("2500")));
        assert_eq!(pages.table.len(), 2500);
    }

    #[test]
    fn a_table_that_changes_between_pages_is_read_anew() {
        let mut pages = Pages::default();
        assert!(!pages.add(page(0..2000), version(1), Some("2500")));
        assert!(!pages.add(page(0..2000), version(2), Some("2600")));
        assert_eq!(pages.next(), (Some(0), Some(String::new())));
        assert!(!pages.add(page(0..2000), version(2), Some("2600")));
        assert!(pages.add(page(2000..2600), version(2), Some("2600")));
    }

    #[test]
    fn masters_without_pages_tell_all_at_once() {
        let mut pages = Pages::default();
        assert!(pages.add(page(0..5000), version(1), None));
        // One that lost entries on the way must not be asked for ever.
        let mut pages = Pages::default();
        assert!(!pages.add(page(0..10), version(1), Some("12")));
        assert!(pages.add(page(0..0), version(1), Some("12")));
    }

    #[test]
    fn offsets_of_every_release_are_read() {
        // 4.9.7 writes no version; 5.x writes one, and with light queues another table.
        let old = r#"{"offsetTable":{"T@g":{0:5,1:7}}}"#;
        let new = r#"{"dataVersion":{"counter":3,"stateVersion":0,"timestamp":9},"lmqOffsetTable":{"%LMQ%a@%LMQ%g":7},
            "offsetTable":{"T@g":{0:5,1:7}}}"#;
        let read = |text: &str| offset_news(fastjson::read(text.as_bytes()).unwrap());
        assert_eq!(read(old).offset_table["T@g"], [(0, 5), (1, 7)].into());
        assert_eq!(read(old).data_version, DataVersion::default());
        assert_eq!(read(new).offset_table["%LMQ%a@%LMQ%g"], [(0, 7)].into());
        assert_eq!(read(new).data_version.counter, 3);
    }
}
