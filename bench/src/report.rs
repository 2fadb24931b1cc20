//! The table: per figure the median of each target and their ratio.

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
}

#[derive(Default)]
pub(crate) struct Report {
    values: BTreeMap<(Figure, &'static str), Vec<f64>>,
}

impl Report {
    pub(crate) fn add(&mut self, figure: Figure, kind: Kind, value: f64) {
        self.values.entry((figure, kind.name())).or_default().push(value);
    }

    fn median(&self, figure: Figure, kind: Kind) -> f64 {
        median(self.values.get(&(figure, kind.name())).cloned().unwrap_or_default())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [java, ours] = Kind::ALL;
        writeln!(f, "| figure (median) | {} | {} | ours / Java |", java.name(), ours.name())?;
        writeln!(f, "| --- | ---: | ---: | ---: |")?;
        for &figure in Figure::ALL {
            let (java, ours, digits) = (self.median(figure, java), self.median(figure, ours), figure.digits());
            writeln!(f, "| {} | {java:.digits$} | {ours:.digits$} | {:.3} |", figure.label(), ours / java)?;
        }
        Ok(())
    }
}
