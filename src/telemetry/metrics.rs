//! The Prometheus metrics of one engine, in the OpenMetrics text format.
//!
//! Names follow the Prometheus customs: base units, `_total` on counters, and never a number or a
//! Call-ID as a label. Label values are words of ours (`&'static str`) or names from the
//! configuration; [`SERIES_MAX`] bounds what many reloads could pile up.
//!
//! `bajavoz_optout_commit_seconds` is the headline: from the key to the durable record.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::model::{CampaignName, DialerName, Digits, ListName, UnixMicros};
use crate::telemetry::retention::{RetentionFigures, RetentionGauges};
use crate::telemetry::totals::{Snapshot, Totals};

/// Most label sets of one family; what comes beyond is counted under labels that read `other`.
/// Our choice: a hundred campaigns with all their lists and codes, and a scrape of about 1 MiB.
pub const SERIES_MAX: usize = 4_096;

/// What such label values read.
const OTHER: &str = "other";

/// Upper ends of the commit histogram, in seconds: from half a millisecond (a journal on a fast
/// disk) over the 300 ms after which a shared store is no longer waited for, up to a minute.
const COMMIT_BUCKETS_S: [f64; 15] =
    [0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0];

/// The metrics; a clone is the same metrics.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    calls: Bounded<3, Counter>,
    calls_active: Bounded<1, Gauge>,
    calls_blocked: Bounded<2, Counter>,
    registry_age: Bounded<1, Gauge>,
    registry_days_left: Bounded<1, Gauge>,
    optouts: Bounded<4, Counter>,
    optout_commit: Histogram,
    store_alarm: Gauge,
    database_alarm: Gauge,
    facts_waiting: Gauge,
    store: StoreGauges,
    feed: FeedGauges,
    retention: RetentionGauges,
    config_reload: Gauge<f64, AtomicU64>,
    totals: Arc<Totals>,
}

/// One call in `bajavoz_calls_active`, until it is dropped.
#[derive(Debug)]
pub struct ActiveCall(Gauge);

impl Drop for ActiveCall {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What is told of following other engines.
#[derive(Debug, Default)]
struct FeedGauges {
    lag: Gauge<f64, AtomicU64>,
    import_due: Gauge<f64, AtomicU64>,
    streams_lost: Gauge,
}

impl FeedGauges {
    fn new(registry: &mut Registry) -> Self {
        let feed = Self::default();
        let seconds = [
            ("feed_lag", "For how long opt-outs of other engines may be unknown here", &feed.lag),
            (
                "feed_import_due",
                "For how long an import of another engine is known that is not in force here",
                &feed.import_due,
            ),
        ];
        for (name, help, gauge) in seconds {
            registry.register_with_unit(name, help, Unit::Seconds, gauge.clone());
        }
        registry.register(
            "feed_streams_lost",
            "Streams of other engines of which the database has less than is known here",
            feed.streams_lost.clone(),
        );
        feed
    }
}

/// How the store stands, beside what it refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreFigures {
    /// Facts made durable since the start.
    pub facts: u64,
    /// The groups they were made durable in.
    pub commits: u64,
    /// How often the journal was written again after an error.
    pub journal_reopened: u64,
    /// Answers given before the database had the fact, though it was to have it.
    pub acks_pending: u64,
    /// Opt-outs that were refused and that only this process knows.
    pub optouts_unwritten: u64,
    /// Reversals that wait for the records that they cancel.
    pub reversals_waiting: u64,
}

#[derive(Debug)]
struct StoreGauges {
    totals: [Counter; 4],
    now: [Gauge; 2],
}

impl StoreGauges {
    fn register(registry: &mut Registry) -> Self {
        let totals = [
            ("facts_durable", "Facts made durable"),
            ("journal_commits", "Groups of facts that were made durable by one sync"),
            ("journal_reopened", "Times that the journal was written again after an error"),
            ("acks_pending", "Answers given before the database had the fact it was to have"),
        ];
        let now = [
            ("optouts_unwritten", "Opt-outs refused in memory alone, since the disk took none"),
            ("reversals_waiting", "Reversals that wait for the records that they cancel"),
        ];
        Self {
            totals: totals.map(|(name, help)| {
                let counter = Counter::default();
                registry.register(name, help, counter.clone());
                counter
            }),
            now: now.map(|(name, help)| {
                let gauge = Gauge::default();
                registry.register(name, help, gauge.clone());
                gauge
            }),
        }
    }

    fn set(&self, figures: StoreFigures) {
        let StoreFigures { facts, commits, journal_reopened, acks_pending, .. } = figures;
        for (counter, total) in
            self.totals.iter().zip([facts, commits, journal_reopened, acks_pending])
        {
            counter.inner().store(total, Ordering::Relaxed);
        }
        let now = [figures.optouts_unwritten, figures.reversals_waiting];
        for (gauge, value) in self.now.iter().zip(now) {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}

/// What is told of the age of registries.
fn age_gauges(registry: &mut Registry) -> [Bounded<1, Gauge>; 2] {
    [
        ("registry_age_days", "Days since that for which a registry was last imported"),
        (
            "registry_days_left",
            "Days until a registry is too old; below 0 once it is, or was never imported",
        ),
    ]
    .map(|(name, help)| Bounded::register(registry, name, help))
}

/// What is told of the database behind the journal.
fn database_gauges(registry: &mut Registry) -> [Gauge; 2] {
    [
        (
            "database_alarm",
            "1 while the database cannot be written, or lacks a fact that was answered without it",
        ),
        ("facts_waiting", "Durable facts of this node that are not known to be in the database"),
    ]
    .map(|(name, help)| {
        let gauge = Gauge::default();
        registry.register(name, help, gauge.clone());
        gauge
    })
}

impl Metrics {
    /// All at zero; `version` is told in `bajavoz_build_info`.
    pub fn new(version: &'static str) -> Self {
        let mut registry = Registry::with_prefix("bajavoz");
        registry.register("build", "The running build", Info::new([("version", version)]));
        let calls = Bounded::register(&mut registry, "calls", "Calls that ended, by outcome");
        let calls_active =
            Bounded::register(&mut registry, "calls_active", "Calls that are up or being set up");
        let calls_blocked = Bounded::register(
            &mut registry,
            "calls_blocked",
            "Calls refused because the number is suppressed",
        );
        let optouts =
            Bounded::register(&mut registry, "optouts", "Opt-outs made durable, once per list");
        let [registry_age, registry_days_left] = age_gauges(&mut registry);
        let optout_commit = Histogram::new(COMMIT_BUCKETS_S);
        registry.register_with_unit(
            "optout_commit",
            "From the key to the durable record",
            Unit::Seconds,
            optout_commit.clone(),
        );
        let store_alarm = Gauge::default();
        registry.register(
            "store_alarm",
            "1 while opt-outs cannot be made durable as configured",
            store_alarm.clone(),
        );
        let [database_alarm, facts_waiting] = database_gauges(&mut registry);
        let store = StoreGauges::register(&mut registry);
        let feed = FeedGauges::new(&mut registry);
        let retention = RetentionGauges::register(&mut registry);
        let config_reload = Gauge::<f64, AtomicU64>::default();
        registry.register_with_unit(
            "config_reload_timestamp",
            "When the running configuration was loaded, Unix time",
            Unit::Seconds,
            config_reload.clone(),
        );
        let totals = Arc::new(Totals::default());
        registry.register_collector(Box::new(Arc::clone(&totals)));
        Self(Arc::new(Inner {
            registry,
            calls,
            calls_active,
            calls_blocked,
            registry_age,
            registry_days_left,
            optouts,
            optout_commit,
            store_alarm,
            database_alarm,
            facts_waiting,
            store,
            feed,
            retention,
            config_reload,
            totals,
        }))
    }

    /// A call begins; it is active until the returned value is dropped.
    #[must_use]
    pub fn call_begins(&self, campaign: &CampaignName) -> ActiveCall {
        let gauge = self.0.calls_active.at([("campaign", campaign.to_string())]);
        gauge.inc();
        ActiveCall(gauge)
    }

    /// A call ended, or was refused, with `outcome`. A call that no campaign took has none.
    pub fn call_ended(
        &self,
        dialer: Option<&DialerName>,
        campaign: Option<&CampaignName>,
        outcome: &'static str,
    ) {
        let labels = [
            ("dialer", name_of(dialer)),
            ("campaign", name_of(campaign)),
            ("outcome", outcome.to_owned()),
        ];
        self.0.calls.at(labels).inc();
    }

    /// How many days old the registry of `list` is, where it was ever imported, of `days_max` that
    /// it may be.
    pub fn registry_age(&self, list: &ListName, days: Option<u32>, days_max: u32) {
        let labels = || [("list", list.to_string())];
        if let Some(days) = days {
            self.0.registry_age.at(labels()).set(days.into());
        }
        let left = days.map_or(-1, |days| i64::from(days_max) - i64::from(days));
        self.0.registry_days_left.at(labels()).set(left);
    }

    /// How the store stands.
    pub fn store(&self, figures: StoreFigures) {
        self.0.store.set(figures);
    }

    /// How retention stands.
    pub fn retention(&self, figures: RetentionFigures) {
        self.0.retention.set(figures);
    }

    /// A call was refused because `list` holds its number.
    pub fn call_blocked(&self, list: &ListName, campaign: &CampaignName) {
        let labels = [("list", list.to_string()), ("campaign", campaign.to_string())];
        self.0.calls_blocked.at(labels).inc();
    }

    /// An opt-out became durable on `list`; `digits` are those of the campaign's code, if any.
    pub fn opted_out(
        &self,
        origin: &'static str,
        list: &ListName,
        campaign: Option<&CampaignName>,
        digits: Option<&Digits>,
    ) {
        let labels = [
            ("origin", origin.to_owned()),
            ("list", list.to_string()),
            ("campaign", name_of(campaign)),
            ("digit", name_of(digits)),
        ];
        self.0.optouts.at(labels).inc();
    }

    /// How long one opt-out took from the key to the durable record.
    pub fn optout_committed(&self, took: Duration) {
        self.0.optout_commit.observe(took.as_secs_f64());
    }

    /// Whether opt-outs cannot be made durable as configured.
    pub fn store_alarm(&self, is_raised: bool) {
        self.0.store_alarm.set(i64::from(is_raised));
    }

    /// Whether the database cannot be written or is behind an answer, and how many durable facts it lacks by it.
    pub fn database(&self, is_away: bool, facts_waiting: u64) {
        self.0.database_alarm.set(i64::from(is_away));
        self.0.facts_waiting.set(i64::try_from(facts_waiting).unwrap_or(i64::MAX));
    }

    /// For how long this engine may have missed what others have made durable, for how long an import
    /// of another is known that is not in force here, and of how many streams the database has lost
    /// records that this engine knows.
    pub fn feed(&self, lag: Duration, import_due: Duration, streams_lost: u64) {
        let feed = &self.0.feed;
        feed.lag.set(lag.as_secs_f64());
        feed.import_due.set(import_due.as_secs_f64());
        feed.streams_lost.set(i64::try_from(streams_lost).unwrap_or(i64::MAX));
    }

    /// A configuration was loaded at `at`.
    pub fn config_loaded(&self, at: UnixMicros) {
        self.0.config_reload.set(at.0 as f64 / 1e6);
    }

    /// Replaces the totals of `thread` (such as `media-0`) by `snapshot`.
    pub fn publish(&self, thread: &str, snapshot: Snapshot) {
        self.0.totals.publish(thread, snapshot);
    }

    /// The exposition in OpenMetrics text.
    pub fn render(&self) -> String {
        let mut page = String::new();
        // Writing to a String does not fail, and neither do our collectors by themselves.
        if text::encode(&mut page, &self.0.registry).is_err() {
            page.clear();
        }
        page
    }
}

/// Label names and values of one series.
type Labels<const N: usize> = [(&'static str, String); N];

/// A family of at most [`SERIES_MAX`] label sets.
#[derive(Debug)]
struct Bounded<const N: usize, M> {
    family: Family<Labels<N>, M>,
    len: AtomicUsize,
}

impl<const N: usize, M> Bounded<N, M>
where
    M: Clone + Default,
    Family<Labels<N>, M>: Metric,
{
    fn register(registry: &mut Registry, name: &'static str, help: &'static str) -> Self {
        let family = Family::default();
        registry.register(name, help, family.clone());
        Self { family, len: AtomicUsize::new(0) }
    }

    fn at(&self, labels: Labels<N>) -> M {
        if let Some(metric) = self.family.get(&labels) {
            return metric.clone();
        }
        // Two threads that meet here count one set twice: the bound errs on the safe side.
        let claimed = self.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |len| {
            (len < SERIES_MAX).then_some(len + 1)
        });
        if claimed.is_ok() {
            self.family.get_or_create_owned(&labels)
        } else {
            self.family.get_or_create_owned(&labels.map(|(name, _)| (name, OTHER.to_owned())))
        }
    }
}

fn name_of(name: Option<&impl ToString>) -> String {
    name.map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::telemetry::Side;

    use super::*;

    /// The samples of a page: name with labels, and value.
    fn sample<'a>(page: &'a str, series: &str) -> Option<&'a str> {
        page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
    }

    /// Metrics of which each family has something to say.
    fn filled() -> Metrics {
        let metrics = Metrics::new("1.2.3");
        let (dialer, campaign) = (DialerName::from("alpha"), CampaignName::from("promo"));
        let list = ListName::from("dnc");
        metrics.call_ended(Some(&dialer), Some(&campaign), "opt-out");
        metrics.call_ended(None, None, "forbidden");
        metrics.call_blocked(&list, &campaign);
        metrics.opted_out("dialled_code", &list, Some(&campaign), "*9".parse().ok().as_ref());
        metrics.optout_committed(Duration::from_micros(700));
        metrics.store_alarm(true);
        metrics.database(true, 17);
        metrics.feed(Duration::from_millis(1_250), Duration::from_millis(500), 2);
        let (facts, commits, journal_reopened, acks_pending) = (9, 4, 1, 2);
        let (optouts_unwritten, reversals_waiting) = (3, 5);
        metrics.store(StoreFigures {
            facts,
            commits,
            journal_reopened,
            acks_pending,
            optouts_unwritten,
            reversals_waiting,
        });
        let (numbers, calls, oldest_s, looked_at_s) = (6, 8, 86_400.5, 1_795_000_001.0);
        let is_clock_doubted = true;
        metrics.retention(RetentionFigures {
            numbers,
            calls,
            oldest_s,
            looked_at_s,
            is_clock_doubted,
        });
        for (list, days) in [("old", Some(40)), ("new", Some(3)), ("never", None)] {
            metrics.registry_age(&list.into(), days, 31);
        }
        metrics.config_loaded(UnixMicros(1_795_000_000_500_000));
        metrics
    }

    #[test]
    fn every_family_stands_on_the_page() {
        let metrics = filled();
        let active = metrics.call_begins(&CampaignName::from("promo"));
        let page = metrics.render();
        #[rustfmt::skip]
        let cases = [
            ("bajavoz_build_info{version=\"1.2.3\"}",                                              "1"),
            ("bajavoz_calls_total{dialer=\"alpha\",campaign=\"promo\",outcome=\"opt-out\"}",   "1"),
            ("bajavoz_calls_total{dialer=\"\",campaign=\"\",outcome=\"forbidden\"}",           "1"),
            ("bajavoz_calls_active{campaign=\"promo\"}",                                           "1"),
            ("bajavoz_calls_blocked_total{list=\"dnc\",campaign=\"promo\"}",                     "1"),
            ("bajavoz_optouts_total{origin=\"dialled_code\",list=\"dnc\",campaign=\"promo\",digit=\"*9\"}", "1"),
            ("bajavoz_optout_commit_seconds_bucket{le=\"0.0005\"}",                                "0"),
            ("bajavoz_optout_commit_seconds_bucket{le=\"0.001\"}",                                 "1"),
            ("bajavoz_optout_commit_seconds_count",                                                  "1"),
            ("bajavoz_store_alarm",                                                                  "1"),
            ("bajavoz_database_alarm",                                                               "1"),
            ("bajavoz_facts_waiting",                                                                "17"),
            ("bajavoz_feed_lag_seconds",                                                             "1.25"),
            ("bajavoz_feed_import_due_seconds",                                                      "0.5"),
            ("bajavoz_feed_streams_lost",                                                            "2"),
            ("bajavoz_facts_durable_total",                                                          "9"),
            ("bajavoz_journal_commits_total",                                                        "4"),
            ("bajavoz_journal_reopened_total",                                                       "1"),
            ("bajavoz_acks_pending_total",                                                           "2"),
            ("bajavoz_optouts_unwritten",                                                            "3"),
            ("bajavoz_reversals_waiting",                                                            "5"),
            ("bajavoz_evidence_deleted_total",                                                       "6"),
            ("bajavoz_call_records_deleted_total",                                                   "8"),
            ("bajavoz_evidence_oldest_seconds",                                                      "86400.5"),
            ("bajavoz_retention_timestamp_seconds",                                                  "1795000001.0"),
            ("bajavoz_retention_clock_alarm",                                                        "1"),
            ("bajavoz_registry_age_days{list=\"old\"}",                                              "40"),
            ("bajavoz_registry_days_left{list=\"old\"}",                                             "-9"),
            ("bajavoz_registry_days_left{list=\"new\"}",                                             "28"),
            ("bajavoz_registry_days_left{list=\"never\"}",                                           "-1"),
            ("bajavoz_config_reload_timestamp_seconds",                                              "1795000000.5"),
        ];
        for (series, want) in cases {
            assert_eq!(sample(&page, series), Some(want), "{series}\n{page}");
        }
        assert!(page.ends_with("# EOF\n"), "{page}");
        drop(active);
        let page = metrics.render();
        assert_eq!(sample(&page, "bajavoz_calls_active{campaign=\"promo\"}"), Some("0"), "{page}");
    }

    #[test]
    fn totals_of_threads_add_up_and_are_replaced() {
        let metrics = Metrics::new("1.2.3");
        let mut media = Snapshot::default();
        media.rtp_packets("relayed", 7);
        media.ports_in_use(3);
        metrics.publish("media-0", media.clone());
        metrics.publish("media-1", media.clone());
        media.clear();
        media.rtp_packets("relayed", 10);
        metrics.publish("media-1", media);
        let mut shard = Snapshot::default();
        shard.sip_requests("INVITE", Side::In, 5);
        shard.sip_responses(200, Side::Out, 4);
        shard.sip_responses(777, Side::In, 2);
        shard.dtmf_events("event", "pressed", 6);
        shard.refused("unknown-dialer", 9);
        metrics.publish("shard-0", shard);
        let page = metrics.render();
        #[rustfmt::skip]
        let cases = [
            ("bajavoz_rtp_packets_total{result=\"relayed\"}",                     "17"),
            ("bajavoz_ports_in_use",                                                "3"),
            ("bajavoz_sip_requests_total{method=\"INVITE\",side=\"in\"}",       "5"),
            ("bajavoz_sip_responses_total{code=\"200\",side=\"out\"}",          "4"),
            ("bajavoz_sip_responses_total{code=\"0\",side=\"in\"}",             "2"),
            ("bajavoz_dtmf_events_total{method=\"event\",result=\"pressed\"}",  "6"),
            ("bajavoz_refused_total{reason=\"unknown-dialer\"}",                  "9"),
        ];
        for (series, want) in cases {
            assert_eq!(sample(&page, series), Some(want), "{series}\n{page}");
        }
    }

    #[test]
    fn too_many_series_fold_into_other() {
        let metrics = Metrics::new("1.2.3");
        for number in 0..SERIES_MAX + 5 {
            let campaign = CampaignName::from(format!("c{number}").as_str());
            metrics.call_blocked(&ListName::from("dnc"), &campaign);
        }
        let page = metrics.render();
        let folded = "bajavoz_calls_blocked_total{list=\"other\",campaign=\"other\"}";
        assert_eq!(sample(&page, folded), Some("5"));
        let known = "bajavoz_calls_blocked_total{list=\"dnc\",campaign=\"c0\"}";
        assert_eq!(sample(&page, known), Some("1"));
    }
}
