//! What is told of evidence and call records that are past their time.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use prometheus_client::registry::Unit;

/// How retention stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RetentionFigures {
    /// Numbers whose evidence was deleted since the start.
    pub numbers: u64,
    /// Call records that were.
    pub calls: u64,
    /// How old the oldest evidence was at the last look, in seconds; 0 where there is none.
    pub oldest_s: f64,
    /// When that was, Unix time in seconds.
    pub looked_at_s: f64,
    /// Whether the clock is not believed.
    pub is_clock_doubted: bool,
}

#[derive(Debug, Default)]
pub(super) struct RetentionGauges {
    numbers: Counter,
    calls: Counter,
    oldest: Gauge<f64, AtomicU64>,
    looked_at: Gauge<f64, AtomicU64>,
    clock_alarm: Gauge,
}

impl RetentionGauges {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let gauges = Self::default();
        registry.register(
            "evidence_deleted",
            "Numbers whose evidence was deleted since it was kept long enough",
            gauges.numbers.clone(),
        );
        registry.register(
            "call_records_deleted",
            "Call records that were deleted since they were kept long enough",
            gauges.calls.clone(),
        );
        registry.register_with_unit(
            "evidence_oldest",
            "Age of the oldest evidence at the last look",
            Unit::Seconds,
            gauges.oldest.clone(),
        );
        registry.register_with_unit(
            "retention_timestamp",
            "When evidence was looked after last, Unix time",
            Unit::Seconds,
            gauges.looked_at.clone(),
        );
        registry.register(
            "retention_clock_alarm",
            "1 while the clock is not believed, so that less or nothing is deleted by it",
            gauges.clock_alarm.clone(),
        );
        gauges
    }

    pub(super) fn set(&self, figures: RetentionFigures) {
        self.numbers.inner().store(figures.numbers, Ordering::Relaxed);
        self.calls.inner().store(figures.calls, Ordering::Relaxed);
        self.oldest.set(figures.oldest_s);
        self.looked_at.set(figures.looked_at_s);
        self.clock_alarm.set(i64::from(figures.is_clock_doubted));
    }
}
