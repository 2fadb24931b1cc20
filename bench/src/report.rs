//! The table: per figure the median of each target, what the machine allows, and the ratios.

use std::collections::BTreeMap;
use std::fmt;

use crate::figures::median;
use crate::target::Kind;

macro_rules! figures {
    ($($figure:ident $label:literal $digits:literal;)*) => {
        /// In the order of the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Figure { $($figure,)* }

        impl Figure {
            const ALL: &'static [Self] = &[$(Self::$figure,)*];

            fn label(self) -> &'static str {
                match self { $(Self::$figure => $label,)* }
            }

            fn digits(self) -> usize {
                match self { $(Self::$figure => $digits,)* }
            }
        }
    };
}

figures! {
    FirstSend "start of the process to first send, ms" 1;
    IdleResident "resident memory idle, MiB" 1;
    IdleOwn "own memory idle (without files), MiB" 1;
    SendRate "sends per second, closed loop" 0;
    SendMib "MiB sent per second, closed loop" 1;
    SendCpu "broker CPU s per million sends, closed loop" 2;
    SendP50 "send latency p50, closed loop, µs" 0;
    SendP99 "send latency p99, closed loop, µs" 0;
    SendP999 "send latency p99.9, closed loop, µs" 0;
    SendMax "send latency max, closed loop, µs" 0;
    PacedCpu "broker CPU s per million sends, paced" 2;
    PacedP50 "send latency p50, paced, µs" 0;
    PacedP99 "send latency p99, paced, µs" 0;
    PacedP999 "send latency p99.9, paced, µs" 0;
    PacedBothCpu "broker CPU s per million sends with tail reads, paced" 2;
    TailCpu "broker CPU s per million tail reads alone, paced" 2;
    BothCpu "broker CPU s per million sends with tail reads, closed loop" 2;
    FullTailCpu "broker CPU s per million tail reads alone, closed loop" 2;
    BacklogRate "backlog reads per second" 0;
    BacklogCpu "broker CPU s per million backlog reads" 2;
    StockRate "stock Java producer, sync sends per second" 0;
    StockCpu "broker CPU s per million stock sends" 2;
    PeakResident "peak resident memory, MiB" 1;
    LoadedOwn "own memory under load (without files), MiB" 1;
    SyncRate "SYNC_FLUSH sends per second" 0;
    SyncDiskRate "as many messages written and synced per second, and nothing else" 0;
    SyncP99 "SYNC_FLUSH send latency p99, µs" 0;
    CatchUpMib "MiB read per second from one queue" 0;
    CatchUpLargeMib "MiB read per second from one queue, pulls of 1024 messages" 0;
    SqlAllCpu "broker CPU s per million messages of which SQL 92 takes all" 2;
    SqlFewCpu "broker CPU s per million messages of which SQL 92 takes one percent" 2;
    TransactionRate "transactions per second, closed loop" 0;
    TransactionCpu "broker CPU s per million transactions, closed loop" 2;
    CheckCpu "broker CPU s per million transactions in doubt asked about" 2;
    DoubtOwn "own memory before many transactions are in doubt (without files), MiB" 1;
    DoubtOwnMany "own memory while they are (without files), MiB" 1;
    DelayCpu "broker CPU s per million timed messages, sent and delivered" 2;
    DelayP50 "lateness of timed messages p50, ms" 1;
    DelayP99 "lateness of timed messages p99, ms" 1;
    DelayOwn "own memory before many timed messages wait (without files), MiB" 1;
    DelayOwnMany "own memory while they wait (without files), MiB" 1;
    PopCpu "broker CPU s per million messages popped, acknowledged and worked off" 2;
    LightOwn "own memory before there are light queues (without files), MiB" 1;
    LightOwnMany "own memory with many of them (without files), MiB" 1;
    LightOwnRead "own memory when a group has read them all (without files), MiB" 1;
    LightFirstSend "start with them to first send, ms" 1;
    LightOwnAgain "own memory after that start (without files), MiB" 1;
    SomeQueuesResident "32,000 queues of 4,000 topics: resident memory with a message in each, MiB" 1;
    SomeQueuesFirstSend "32,000 queues of 4,000 topics: start to first send, ms" 1;
    SomeQueuesResidentAgain "32,000 queues of 4,000 topics: resident memory after that start, MiB" 1;
    ManyQueuesResident "8 queues of each of --many-topics: resident memory with a message in each, MiB" 1;
    ManyQueuesFirstSend "8 queues of each of --many-topics: start to first send, ms" 1;
    ManyQueuesResidentAgain "8 queues of each of --many-topics: resident memory after that start, MiB" 1;
    LoopbackMib "MiB per second through loopback, one way and nothing else" 0;
    MemoryMib "MiB copied in memory per second" 0;
    NewFileMib "MiB per second that a new file takes, not waiting for the disk" 0;
    CalmP99 "send latency p99, paced, nothing else, µs" 0;
    StormP99 "send latency p99, paced, with rolls, deletion and a cold replay, µs" 0;
    StormP999 "send latency p99.9, paced, with rolls, deletion and a cold replay, µs" 0;
    StormMax "send latency max, paced, with rolls, deletion and a cold replay, µs" 0;
    ReplayMib "MiB read per second by the cold replay" 0;
    BoundCalmP99 "send latency p99, paced, with 2 GiB of memory, µs" 0;
    BoundLinkP99 "send latency p99, paced, with 2 GiB of memory and a replay of 6 GiB over what a gigabit link carries, µs" 0;
    BoundLinkMib "MiB read per second by that replay" 0;
    BoundReplayP99 "send latency p99, paced, with 2 GiB of memory and a replay of 6 GiB as fast as it goes, µs" 0;
    BoundReplayMib "MiB read per second by that replay" 0;
    GroupStart "start of three replicas to first send, ms" 0;
    GroupRate "three replicas: sends per second, closed loop" 0;
    GroupP50 "three replicas: send latency p50, closed loop, µs" 0;
    GroupP99 "three replicas: send latency p99, closed loop, µs" 0;
    GroupP999 "three replicas: send latency p99.9, closed loop, µs" 0;
    GroupPacedP99 "three replicas: send latency p99, paced at an eighth, µs" 0;
    GroupPacedP999 "three replicas: send latency p99.9, paced at an eighth, µs" 0;
    GroupCpu "CPU s of three replicas per million sends, closed loop" 2;
    GroupReplicaCost "CPU of one replica per send, of a single broker's" 2;
    GroupStockRate "three replicas: stock Java producer, sync sends per second" 0;
    GroupStockCpu "CPU s of three replicas per million stock sends" 2;
    GroupOwn "own memory of three replicas under load (without files), MiB" 1;
    RefillCalmP99 "three replicas: send latency p99, paced, all there, µs" 0;
    RefillP99 "three replicas: send latency p99, paced, while one that was wiped is filled, µs" 0;
    RefillSeconds "until a replica that was wiped has everything again, s" 1;
    RefillMib "MiB per second it was filled with" 0;
    HaAsyncRate "ASYNC_MASTER with a slave: sends per second, closed loop" 0;
    HaAsyncHeldRate "ASYNC_MASTER with a slave: sends per second, until the slave has them all" 0;
    HaAsyncCpu "ASYNC_MASTER with a slave: CPU s of both per million sends, closed loop" 2;
    HaLagP50 "ASYNC_MASTER with a slave: until it shows a message p50, at half of that, ms" 2;
    HaLagP99 "ASYNC_MASTER with a slave: until it shows a message p99, at half of that, ms" 2;
    HaSyncRate "SYNC_MASTER and inSyncReplicas 2: sends per second, closed loop" 0;
    HaSyncCpu "SYNC_MASTER and inSyncReplicas 2: CPU s of both per million sends, closed loop" 2;
    HaSyncP99 "SYNC_MASTER and inSyncReplicas 2: send latency p99, closed loop, µs" 0;
    HaSyncShare "SYNC_MASTER and inSyncReplicas 2: sends per second, of ASYNC_MASTER's" 3;
    HaSyncHeldShare "SYNC_MASTER and inSyncReplicas 2: sends per second until the slave has them all, of ASYNC_MASTER's" 3;
    HaCatchUpMib "MiB per second of the log that a slave copies which was away" 0;
    HaCatchUpReadMib "MiB per second until it shows all of that" 0;
    RecoverySend "start after kill -9 to first send, ms" 0;
}

#[derive(Default)]
pub(crate) struct Report {
    values: BTreeMap<(Figure, &'static str), Vec<f64>>,
}

/// Whose figures the machine's limits are: what its disk or network does without any broker.
const MACHINE: &str = "machine";

impl Report {
    pub(crate) fn add(&mut self, figure: Figure, kind: Kind, value: f64) {
        self.values.entry((figure, kind.name())).or_default().push(value);
    }

    /// What the machine allows, measured beside the brokers.
    pub(crate) fn add_limit(&mut self, figure: Figure, value: f64) {
        self.values.entry((figure, MACHINE)).or_default().push(value);
    }

    fn median(&self, figure: Figure, of: &'static str) -> f64 {
        median(self.values.get(&(figure, of)).cloned().unwrap_or_default())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [java, ours] = Kind::ALL.map(Kind::name);
        writeln!(f, "| figure (median) | {java} | {ours} | ours / Java | machine | ours / machine |")?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: | ---: |")?;
        for &figure in Figure::ALL {
            let [java, ours, machine] = [java, ours, MACHINE].map(|of| self.median(figure, of));
            if [java, ours, machine].iter().all(|value| value.is_nan()) {
                continue;
            }
            let value = |value: f64, digits| if value.is_nan() { String::new() } else { format!("{value:.digits$}") };
            let row = [(java, figure.digits()), (ours, figure.digits()), (ours / java, 3)];
            let row = row.into_iter().chain([(machine, figure.digits()), (ours / machine, 3)]);
            let cells: Vec<String> = row.map(|(number, digits)| value(number, digits)).collect();
            writeln!(f, "| {} | {} |", figure.label(), cells.join(" | "))?;
        }
        Ok(())
    }
}
