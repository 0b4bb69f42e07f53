//! What the engine counts: from its threads and records to the metrics page.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use tracing::field;

use super::keeper::Kept;
use crate::call::VoiceReport;
use crate::model::UnixMicros;
use crate::record::Cdr;
use crate::sip;
use crate::store::Counters;
use crate::store::Followed;
use crate::suppression::retention::Doubt;
use crate::telemetry::Metrics;
use crate::telemetry::RetentionFigures;
use crate::telemetry::Side;
use crate::telemetry::Snapshot;
use crate::telemetry::StoreFigures;

/// The engine's figures, shared by its threads.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) metrics: Metrics,
    /// The journal takes nothing.
    journal_down: AtomicBool,
    /// The database is behind the journal, since it cannot be written.
    database_down: AtomicBool,
    /// An opt-out was not made durable in time, and none has been since.
    unrecorded: AtomicBool,
    draining: AtomicBool,
}

impl Figures {
    pub(super) fn new(metrics: Metrics) -> Self {
        let [journal_down, database_down, unrecorded, draining] = [false; 4].map(AtomicBool::new);
        Self { metrics, journal_down, database_down, unrecorded, draining }
    }

    /// A call is over, or was refused: one line in the log, which names nobody.
    pub(super) fn note_call(&self, cdr: &Cdr) {
        let (dialer, campaign) = (cdr.dialer.as_ref(), cdr.campaign.as_ref());
        tracing::info!(
            call = %cdr.call,
            dialer = dialer.map(field::display),
            campaign = campaign.map(field::display),
            trunk = cdr.trunk.as_ref().map(field::display),
            disposition = cdr.disposition.as_str(),
            status = cdr.sip_status,
            list = cdr.list.as_ref().map(field::display),
            record = cdr.record.map(field::display),
            "call ended"
        );
        self.metrics.call_ended(dialer, campaign, cdr.disposition.as_str());
        if let (Some(list), Some(campaign)) = (&cdr.list, campaign) {
            self.metrics.call_blocked(list, campaign);
        }
    }

    /// The journal has failed, or is back. Told by the thread that writes it, in that order.
    pub(super) fn note_journal(&self, is_down: bool) {
        self.journal_down.store(is_down, Ordering::Relaxed);
    }

    /// The database cannot be written, or is back. Told by the thread that writes it.
    pub(super) fn note_database(&self, is_down: bool) {
        self.database_down.store(is_down, Ordering::Relaxed);
    }

    /// Whether the database is behind the journal, since it cannot be written.
    pub(super) fn is_database_down(&self) -> bool {
        self.database_down.load(Ordering::Relaxed)
    }

    /// How far this engine is behind the others, and what it met in following them.
    pub(super) fn note_feed(&self, followed: &Followed) {
        self.metrics.feed(followed.lag, followed.import_due, followed.lost);
        let mut met = Snapshot::default();
        met.refused("feed_hole", followed.holes);
        met.refused("feed_regression", followed.regressions);
        met.refused("feed_failed", followed.failures);
        self.metrics.publish("follow", met);
    }

    /// What was deleted since it was kept long enough, and why not more of it, by a look at `now`.
    pub(super) fn note_kept(&self, kept: &Kept, now: UnixMicros) {
        let seconds = |micros: i64| micros as f64 / 1e6;
        self.metrics.retention(RetentionFigures {
            numbers: kept.numbers,
            calls: kept.calls,
            oldest_s: kept.last.oldest.map_or(0.0, |oldest| seconds((now.0 - oldest.0).max(0))),
            looked_at_s: seconds(now.0),
            is_clock_doubted: kept.last.doubt.is_some(),
        });
        let mut met = Snapshot::default();
        met.refused("retention_clock_behind", kept.doubted[Doubt::Behind as usize]);
        met.refused("retention_clock_ahead", kept.doubted[Doubt::Ahead as usize]);
        met.refused("retention_failed", kept.failed);
        self.metrics.publish("retention", met);
    }

    /// What the store has done and refused, and how many reversals wait or found no room to.
    pub(super) fn note_store(&self, counters: &Counters, (waiting, lost): (usize, u64)) {
        self.metrics.store(StoreFigures {
            facts: counters.facts,
            commits: counters.commits,
            journal_reopened: counters.journal_reopened,
            acks_pending: counters.acks_pending,
            optouts_unwritten: counters.optouts_unwritten,
            reversals_waiting: waiting as u64,
        });
        let mut met = Snapshot::default();
        met.refused("fact", counters.refused);
        met.refused("fact_failed", counters.failed);
        met.refused("journal_failed", counters.journal_failures);
        met.refused("optout_late_full", counters.optouts_overflowed);
        met.refused("optout_untold", counters.optouts_untold);
        met.refused("call_record_lost", counters.calls_lost);
        met.refused("database_failed", counters.projection_failed);
        met.refused("database_queue_full", counters.projection_overflowed);
        met.refused("reversal_waiting_full", lost);
        self.metrics.publish("store", met);
    }

    /// How many lines of the log found nobody who read them.
    pub(super) fn note_log(&self, lines_lost: u64) {
        let mut met = Snapshot::default();
        met.refused("log_line_lost", lines_lost);
        self.metrics.publish("log", met);
    }

    /// An opt-out could not be made durable, or not in time.
    pub(super) fn note_not_recorded(&self) {
        self.unrecorded.store(true, Ordering::Relaxed);
    }

    /// An opt-out was made durable, though perhaps too late for its call.
    pub(super) fn note_durable(&self) {
        self.unrecorded.store(false, Ordering::Relaxed);
    }

    /// No new call is taken any more.
    pub(super) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether no new call is taken any more.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether opt-outs cannot be made durable.
    pub(super) fn is_alarmed(&self) -> bool {
        self.journal_down.load(Ordering::Relaxed) || self.unrecorded.load(Ordering::Relaxed)
    }
}

/// Totals that a shard keeps beside what its machines count themselves.
#[derive(Debug, Default)]
pub(super) struct ShardTotals {
    requests: [[u64; METHODS.len()]; 2],
    responses: [[u64; 7]; 2],
    pub(super) strangers: u64,
    pub(super) wrong_code: u64,
    pub(super) calls_lost: u64,
    rtp_believed: u64,
    rtp_refused: u64,
    keys: [u64; 3],
}

/// The methods that are told apart; the rest is `other`.
const METHODS: [&str; 9] =
    ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "UPDATE", "PRACK", "other"];

const fn place(side: Side) -> usize {
    match side {
        Side::In => 0,
        Side::Out => 1,
    }
}

impl ShardTotals {
    /// A SIP datagram came or went; its first line says what it is.
    pub(super) fn note_sip(&mut self, side: Side, datagram: &[u8]) {
        if let Some(rest) = datagram.strip_prefix(b"SIP/2.0 ") {
            let class = rest.first().map_or(0, |digit| usize::from(digit.wrapping_sub(b'0')));
            let class = if class < 7 { class } else { 0 };
            self.responses[place(side)][class] += 1;
            return;
        }
        let end = datagram.iter().position(|&byte| byte == b' ').unwrap_or_default();
        let method = datagram.get(..end).unwrap_or_default();
        let known = METHODS.iter().position(|known| known.as_bytes() == method);
        self.requests[place(side)][known.unwrap_or(METHODS.len() - 1)] += 1;
    }

    /// A call's media closed.
    pub(super) fn note_voice(&mut self, report: &VoiceReport) {
        for leg in &report.legs {
            self.rtp_believed += leg.packets_in;
            self.rtp_refused += leg.packets_refused;
            for (total, count) in self.keys.iter_mut().zip(leg.keys) {
                *total += u64::from(count);
            }
        }
    }

    /// All of it, with what the endpoint counted, as the metrics page shows it.
    pub(super) fn snapshot(&self, sip: &sip::Counters) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for side in [Side::In, Side::Out] {
            for (method, total) in METHODS.iter().zip(self.requests[place(side)]) {
                snapshot.sip_requests(method, side, total);
            }
            for (class, total) in (0..7).zip(self.responses[place(side)]) {
                snapshot.sip_responses(class * 100, side, total);
            }
        }
        snapshot.rtp_packets("believed", self.rtp_believed);
        snapshot.rtp_packets("refused", self.rtp_refused);
        for (method, total) in ["event", "tone", "info"].into_iter().zip(self.keys) {
            snapshot.dtmf_events(method, "pressed", total);
        }
        for (reason, total) in refusals(sip) {
            snapshot.refused(reason, total);
        }
        snapshot.refused("stranger", self.strangers);
        snapshot.refused("wrong_code", self.wrong_code);
        snapshot.refused("call_lost", self.calls_lost);
        snapshot
    }
}

/// What the endpoint refused, by reason.
const fn refusals(sip: &sip::Counters) -> [(&'static str, u64); 21] {
    [
        ("sip_unreadable", sip.unreadable),
        ("sip_unanswerable", sip.unanswerable),
        ("sip_request_invalid", sip.requests_invalid),
        ("sip_response_invalid", sip.responses_invalid),
        ("sip_response_stray", sip.responses_stray),
        ("sip_ack_stray", sip.acks_stray),
        ("sip_request_stray", sip.requests_stray),
        ("sip_info_late", sip.infos_late),
        ("sip_request_stale", sip.requests_stale),
        ("sip_request_merged", sip.requests_merged),
        ("sip_extension", sip.extensions_refused),
        ("sip_method", sip.methods_refused),
        ("sip_hops", sip.hops_exhausted),
        ("sip_closed", sip.refused_closed),
        ("sip_sessions_full", sip.refused_sessions),
        ("sip_transactions_full", sip.refused_transactions),
        ("sip_glare", sip.refused_glare),
        ("sip_offer_pending", sip.refused_pending),
        ("sip_early_dialogs_full", sip.early_dialogs_refused),
        ("sip_header", sip.headers_refused),
        ("sip_transmit_dropped", sip.transmits_dropped),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CallId;
    use crate::model::Number;
    use crate::record::Disposition;
    use crate::record::KeyCounts;
    use crate::record::LegRecord;
    use crate::telemetry::Format;
    use crate::telemetry::log;
    use crate::telemetry::page::Page;

    #[test]
    fn lines_of_the_log_that_were_lost_are_told() {
        let figures = Figures::new(Metrics::new("test"));
        figures.note_log(3);
        let page = figures.metrics.render();
        assert!(page.contains("bajavoz_refused_total{reason=\"log_line_lost\"} 3\n"), "{page}");
    }

    #[test]
    fn a_call_is_one_line_of_the_log_and_names_nobody() {
        let figures = Figures::new(Metrics::new("test"));
        let cdr = Cdr {
            call: CallId::new(UnixMicros(0), 7, 7),
            node: "madrid-1".into(),
            dialer: Some("local".into()),
            campaign: Some("promo".into()),
            account: Some("acme".into()),
            trunk: None,
            mode: None,
            number: Number::from_e164("+34600123456"),
            disposition: Disposition::Suppressed,
            list: Some("robinson".into()),
            record: None,
            sip_status: Some(603),
            reason: None,
            started_at: UnixMicros(0),
            answered_at: None,
            ended_at: UnixMicros(1),
            // A dialer may make it of the number.
            a: LegRecord { sip_call_id: "34600123456@dialer".to_owned(), ..LegRecord::default() },
            b: None,
            keys: KeyCounts::default(),
        };
        let page = Page::default();
        let writer = page.clone();
        let logs = log::subscriber(Format::Json, "info", false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(logs, || figures.note_call(&cdr));
        let text = page.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "call ended");
        assert_eq!((&line["disposition"], &line["status"]), (&"suppressed".into(), &603.into()));
        assert_eq!((&line["dialer"], &line["campaign"]), (&"local".into(), &"promo".into()));
        assert_eq!(line["call"], cdr.call.to_string());
        assert!(!text.contains("600123456"), "{text}");
    }
}
