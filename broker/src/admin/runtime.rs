//! `clusterList`, `brokerStatus`: a table of texts about the running broker, whose forms dashboards and exporters parse.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use remoting::body::{KvTable, fastjson};
use remoting::connection::ConnectionLimits;
use remoting::header::NoHeader;
use remoting::protocol::admin::GetBrokerRuntimeInfo;
use remoting::router::{Call, Handle, Reply, Router};
use remoting::types::Timestamp;
use remoting::version::Version;
use store::message::StoredMessage;
use store::{Figures, PUT_TIME_BUCKETS, Rates, Store};

use super::AdminError;
use crate::context::Context;
use crate::delay::{Delays, Timers};
use crate::java_double::JavaDouble;
use crate::stats::Stats;

#[derive(Clone)]
pub(super) struct Runtime {
    pub(super) ctx: Context,
    pub(super) store: Arc<Store>,
    pub(super) delays: Arc<Delays>,
    pub(super) timers: Arc<Timers>,
    pub(super) stats: Arc<Stats>,
}

pub(super) fn routes(runtime: &Arc<Runtime>, router: &mut Router) {
    router.on::<GetBrokerRuntimeInfo>(runtime);
}

impl Handle<GetBrokerRuntimeInfo> for Runtime {
    type Error = AdminError;

    /// Java: `prepareRuntimeInfo`.
    async fn handle(&self, _: Call<GetBrokerRuntimeInfo>) -> Result<Reply<NoHeader>, AdminError> {
        let this = self.clone();
        // The first message may have to come from the disk.
        let table = tokio::task::spawn_blocking(move || this.table()).await?;
        Ok(Reply::done().body(fastjson::write(&KvTable { table })))
    }
}

type Table = BTreeMap<String, String>;

/// Java's thread pools have queues; here a connection is not read while its requests wait, so nothing ever queues.
const POOLS: [&str; 5] = ["send", "pull", "litePull", "query", "ack"];

impl Runtime {
    fn table(&self) -> Table {
        let mut table = Table::new();
        self.identity(&mut table);
        self.figures(&self.store.figures(), &mut table);
        self.disk(&mut table);
        self.totals(&mut table);
        pools(&mut table);
        self.timer(&mut table);
        table.extend(self.delays.running_stats());
        table
    }

    fn identity(&self, table: &mut Table) {
        let settings = self.ctx.settings();
        let active = self.ctx.role.borrow().delivers();
        put(table, "brokerActive", active);
        put(table, "brokerVersionDesc", Version::CURRENT);
        // Gone from Java 5.5, but exporters cannot do without.
        put(table, "brokerVersion", Version::CURRENT.0);
        put(table, "startAcceptSendRequestTimeStamp", settings.start_accept_send_request_time_stamp);
        put(table, "earliestMessageTimeStamp", self.earliest_message());
    }

    fn figures(&self, figures: &Figures, table: &mut Table) {
        put(table, "bootTimestamp", figures.boot_timestamp);
        put(table, "runtime", running_for(self.ctx.clock.now().since(figures.boot_timestamp)));
        put(table, "putMessageTimesTotal", figures.put_messages);
        put(table, "putMessageFailedTimes", figures.put_failed);
        put(table, "putMessageSizeTotal", figures.put_bytes);
        put(table, "putMessageAverageSize", JavaDouble(figures.put_bytes as f64 / figures.put_messages.max(1) as f64));
        put(table, "putMessageEntireTimeMax", figures.put_time_ms_max);
        put(table, "getMessageEntireTimeMax", figures.get_time_ms_max);
        put(table, "putMessageDistributeTime", distribution(&figures.put_time_buckets));
        put(table, "putLatency99", format!("{:.2}", figures.put_latency_99_ms));
        put(table, "putLatency999", format!("{:.2}", figures.put_latency_999_ms));
        put(table, "putTps", rates(&figures.put_tps));
        put(table, "getFoundTps", rates(&figures.get_found_tps));
        put(table, "getMissTps", rates(&figures.get_miss_tps));
        put(table, "getTotalTps", rates(&figures.get_total_tps));
        put(table, "getTransferredTps", rates(&figures.get_transferred_tps));
        // As 4.9 spelled it; old dashboards read this one.
        put(table, "getTransferedTps", rates(&figures.get_transferred_tps));
        put(table, "commitLogMinOffset", figures.min_physical_offset);
        put(table, "commitLogMaxOffset", figures.max_physical_offset);
        put(table, "dispatchMaxBuffer", figures.dispatch_behind_bytes_max);
        put(table, "dispatchBehindBytes", figures.dispatch_behind_bytes);
        // Java's lock around an append shows how long it is held; ours is held for a copy of memory.
        put(table, "pageCacheLockTimeMills", 0);
        let unflushed = figures.max_physical_offset.0 - figures.flushed_offset.0;
        put(table, "remainHowManyDataToFlush", byte_count(u64::try_from(unflushed).unwrap_or(0)));
        // What Java says without a pool of transient buffers.
        put(table, "remainTransientStoreBufferNumbs", i32::MAX);
        put(table, "commitLogDiskRatio", JavaDouble(figures.commit_log_disk_ratio));
        put(table, "consumeQueueDiskRatio", JavaDouble(figures.consume_queue_disk_ratio));
    }

    fn disk(&self, table: &mut Table) {
        let settings = self.ctx.settings();
        let root = &settings.store_path_root_dir;
        let commit_log = settings.store_path_commit_log.clone().unwrap_or_else(|| root.join("commitlog"));
        if let Some(ratio) = table.get("commitLogDiskRatio").cloned() {
            put(table, &format!("commitLogDiskRatio_{}", commit_log.display()), ratio);
        }
        if let Some((total, free)) = capacity(root) {
            let text = format!("Total : {}, Free : {}.", byte_count(total), byte_count(free));
            put(table, "commitLogDirCapacity", text);
        }
    }

    fn totals(&self, table: &mut Table) {
        let totals = self.stats.daily_totals();
        for (when, total) in [
            ("YesterdayMorning", totals.yesterday_morning),
            ("TodayMorning", totals.today_morning),
            ("TodayNow", totals.now),
        ] {
            put(table, &format!("msgPutTotal{when}"), total.put);
            put(table, &format!("msgGetTotal{when}"), total.get);
        }
    }

    fn timer(&self, table: &mut Table) {
        let figures = self.timers.figures();
        put(table, "timerReadBehind", figures.read_behind_seconds);
        put(table, "timerOffsetBehind", figures.offset_behind);
        put(table, "timerCongestNum", figures.pending);
        put(table, "timerEnqueueTps", JavaDouble(figures.enqueue_tps));
        put(table, "timerDequeueTps", JavaDouble(figures.dequeue_tps));
    }

    /// When the first message kept was stored; −1 without one.
    fn earliest_message(&self) -> Timestamp {
        let first = self.store.record_at(self.store.min_physical_offset());
        let stored = first.and_then(|record| Some(StoredMessage::parse(&record).ok()?.store_timestamp));
        stored.unwrap_or(Timestamp(-1))
    }
}

fn put(table: &mut Table, key: &str, value: impl ToString) {
    table.insert(key.to_owned(), value.to_string());
}

fn pools(table: &mut Table) {
    let capacity = ConnectionLimits::default().running_max;
    for pool in POOLS {
        put(table, &format!("{pool}ThreadPoolQueueSize"), 0);
        put(table, &format!("{pool}ThreadPoolQueueCapacity"), capacity);
        put(table, &format!("{pool}ThreadPoolQueueHeadWaitTimeMills"), 0);
    }
    put(table, "EndTransactionQueueSize", 0);
    put(table, "EndTransactionThreadPoolQueueCapacity", capacity);
}

/// Over 10 s, 60 s and 600 s; 0 where that long has not passed, though Java leaves a gap there.
fn rates(rates: &Rates) -> String {
    rates.map(|rate| JavaDouble(rate.unwrap_or(0.0)).to_string()).join(" ")
}

fn distribution(buckets: &[u64; PUT_TIME_BUCKETS.len()]) -> String {
    PUT_TIME_BUCKETS.iter().zip(buckets).map(|(name, count)| format!("{name}:{count} ")).collect()
}

fn running_for(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    format!("[ {days} days, {hours} hours, {minutes} minutes, {} seconds ]", seconds % 60)
}

/// Java: `MixAll.humanReadableByteCount`.
fn byte_count(bytes: u64) -> String {
    const UNITS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let exponent = bytes.ilog2() / 10;
    let unit = UNITS[exponent as usize - 1];
    format!("{:.1} {unit}iB", bytes as f64 / 1024_f64.powf(f64::from(exponent)))
}

/// Bytes of the disk that holds `path`: all, and those that anybody may take.
fn capacity(path: &Path) -> Option<(u64, u64)> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some((disk.f_blocks * disk.f_frsize, disk.f_bfree * disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_spelled_as_exporters_expect() {
        let check = |bytes, expect: &str| assert_eq!(byte_count(bytes), expect);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1.0 KiB");
        check(5 * 1024 + 512, "5.5 KiB");
        check(252 << 30, "252.0 GiB");
        check((1 << 20) - 1, "1024.0 KiB");
        check(u64::MAX, "16.0 EiB");
    }

    #[test]
    fn rates_are_three_numbers_from_the_start() {
        assert_eq!(rates(&[None, None, None]), "0.0 0.0 0.0");
        assert_eq!(rates(&[Some(10.5), Some(3.0), None]), "10.5 3.0 0.0");
    }

    #[test]
    fn times_are_spelled_as_java_does() {
        assert_eq!(running_for(Duration::from_secs(153)), "[ 0 days, 0 hours, 2 minutes, 33 seconds ]");
        assert_eq!(running_for(Duration::from_secs(90_061)), "[ 1 days, 1 hours, 1 minutes, 1 seconds ]");
        let buckets = std::array::from_fn(|number| number as u64);
        assert!(distribution(&buckets).starts_with("[<=0ms]:0 [0~10ms]:1 [10~50ms]:2 "));
        assert!(distribution(&buckets).ends_with("[10s~]:12 "));
    }
}
