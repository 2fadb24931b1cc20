//! Where figures are written: names, types, units and values, as Prometheus reads them.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Labels of one series, besides those of all metrics.
pub(crate) type Labels = Vec<(&'static str, String)>;

/// What a metric is called, with its unit at the end if it has one, and what it says.
pub(crate) type Named = (&'static str, Option<Unit>, &'static str);

/// The figures of one moment.
pub(crate) struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    pub(crate) fn gauge(&mut self, named: Named, value: impl Into<f64>) -> fmt::Result {
        let (name, unit, help) = named;
        let encoder = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        ConstGauge::<f64>::new(value.into()).encode(encoder)
    }

    pub(crate) fn gauges(&mut self, named: Named, series: impl IntoIterator<Item = (Labels, f64)>) -> fmt::Result {
        let (name, unit, help) = named;
        let mut encoder = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        for (labels, value) in series {
            ConstGauge::new(value).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Its name gets `_total` behind it.
    pub(crate) fn counter(&mut self, named: Named, value: u64) -> fmt::Result {
        let (name, unit, help) = named;
        let encoder = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    pub(crate) fn counters(&mut self, named: Named, series: impl IntoIterator<Item = (Labels, u64)>) -> fmt::Result {
        let (name, unit, help) = named;
        let mut encoder = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        for (labels, value) in series {
            ConstCounter::new(value).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Times in seconds, counted by the upper ends of their buckets; the last count is of those behind all ends.
    pub(crate) fn times(
        &mut self,
        (name, help): (&'static str, &'static str),
        labels: &Labels,
        total: Duration,
        ends: &[Duration],
        counts: &[u64],
    ) -> fmt::Result {
        let ends = ends.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        let buckets: Vec<_> = ends.zip(counts.iter().copied()).collect();
        let mut encoder = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        let mut encoder = encoder.encode_family(labels)?;
        encoder.encode_histogram::<NoLabelSet>(total.as_secs_f64(), counts.iter().sum(), &buckets, None)
    }
}

type Tell = dyn Fn(&mut Page<'_>) -> fmt::Result + Send + Sync;

/// Whoever has figures.
pub(super) struct Room(pub(super) Box<Tell>);

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Room")
    }
}

impl Collector for Room {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0(&mut Page(encoder))
    }
}
