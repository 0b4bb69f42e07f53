//! Metrics that mirror the counters of the pure rooms.
//!
//! Endpoint, media legs and sockets count in plain fields, without atomics or locks. Now and then
//! each thread hands over a [`Snapshot`] of its totals under its own name; a scrape adds up the
//! latest of each thread. So the hot path knows nothing of metrics.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelValue, EncodeMetric};
use prometheus_client::encoding::{LabelSetEncoder, LabelValueEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// The role in which a SIP message was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Received by us.
    In,
    /// Sent by us.
    Out,
}

/// The totals of one thread since its start; labels are our own words, so that no outsider can
/// add to their number.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    values: Vec<(Mirrored, Labels, u64)>,
}

impl Snapshot {
    /// Empties it for the next totals and keeps its room.
    pub fn clear(&mut self) {
        self.values.clear();
    }

    /// Requests of `method` seen on `side`.
    pub fn sip_requests(&mut self, method: &'static str, side: Side, total: u64) {
        self.add(Mirrored::SipRequests, [Value::Word(method), side.into()], total);
    }

    /// Responses with status `code` seen on `side`; a code outside 100 to 699 counts as 0.
    pub fn sip_responses(&mut self, code: u16, side: Side, total: u64) {
        let code = if (100..700).contains(&code) { code } else { 0 };
        self.add(Mirrored::SipResponses, [Value::Code(code), side.into()], total);
    }

    /// RTP packets by what became of them.
    pub fn rtp_packets(&mut self, result: &'static str, total: u64) {
        self.add(Mirrored::RtpPackets, [Value::Word(result), Value::None], total);
    }

    /// Keys heard by `method`, by what fusion made of them.
    pub fn dtmf_events(&mut self, method: &'static str, result: &'static str, total: u64) {
        self.add(Mirrored::DtmfEvents, [Value::Word(method), Value::Word(result)], total);
    }

    /// What a limit or a rule refused, by its reason.
    pub fn refused(&mut self, reason: &'static str, total: u64) {
        self.add(Mirrored::Refused, [Value::Word(reason), Value::None], total);
    }

    /// Media port pairs that are out now.
    pub fn ports_in_use(&mut self, pairs: u64) {
        self.add(Mirrored::PortsInUse, [Value::None, Value::None], pairs);
    }

    fn add(&mut self, family: Mirrored, values: [Value; 2], total: u64) {
        self.values.push((family, Labels { family, values }, total));
    }
}

/// The latest snapshot of each thread.
#[derive(Default)]
pub(super) struct Totals {
    threads: Mutex<BTreeMap<String, Snapshot>>,
}

impl Totals {
    pub(super) fn publish(&self, thread: &str, snapshot: Snapshot) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        match threads.get_mut(thread) {
            Some(latest) => *latest = snapshot,
            None => {
                threads.insert(thread.to_owned(), snapshot);
            }
        }
    }

    fn sums(&self) -> BTreeMap<(Mirrored, Labels), u64> {
        let mut sums = BTreeMap::new();
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for (family, labels, total) in threads.values().flat_map(|snapshot| &snapshot.values) {
            let sum: &mut u64 = sums.entry((*family, *labels)).or_default();
            *sum = sum.saturating_add(*total);
        }
        sums
    }
}

impl fmt::Debug for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Totals(..)")
    }
}

impl Collector for Totals {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let sums = self.sums();
        for family in Mirrored::ALL {
            let (name, help, _) = family.describe();
            let is_gauge = family == Mirrored::PortsInUse;
            let kind = if is_gauge { MetricType::Gauge } else { MetricType::Counter };
            let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
            if is_gauge {
                let sum = sums
                    .iter()
                    .filter(|((of, _), _)| *of == family)
                    .map(|(_, sum)| *sum)
                    .sum::<u64>();
                ConstGauge::new(i64::try_from(sum).unwrap_or(i64::MAX)).encode(metric)?;
                continue;
            }
            for ((_, labels), sum) in sums.iter().filter(|((of, _), _)| *of == family) {
                ConstCounter::new(*sum).encode(metric.encode_family(labels)?)?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mirrored {
    SipRequests,
    SipResponses,
    RtpPackets,
    DtmfEvents,
    Refused,
    PortsInUse,
}

impl Mirrored {
    const ALL: [Self; 6] = [
        Self::SipRequests,
        Self::SipResponses,
        Self::RtpPackets,
        Self::DtmfEvents,
        Self::Refused,
        Self::PortsInUse,
    ];

    /// Name (without prefix and `_total`), help and label names.
    const fn describe(self) -> (&'static str, &'static str, &'static [&'static str]) {
        match self {
            Self::SipRequests => {
                ("sip_requests", "SIP requests received and sent", &["method", "side"])
            }
            Self::SipResponses => {
                ("sip_responses", "SIP responses received and sent", &["code", "side"])
            }
            Self::RtpPackets => ("rtp_packets", "RTP packets by what became of them", &["result"]),
            Self::DtmfEvents => {
                ("dtmf_events", "Keys heard, by method and result", &["method", "result"])
            }
            Self::Refused => ("refused", "What limits and rules refused, by reason", &["reason"]),
            Self::PortsInUse => ("ports_in_use", "Media port pairs in use", &[]),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    None,
    Word(&'static str),
    Code(u16),
}

impl From<Side> for Value {
    fn from(side: Side) -> Self {
        match side {
            Side::In => Self::Word("in"),
            Side::Out => Self::Word("out"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    family: Mirrored,
    values: [Value; 2],
}

impl prometheus_client::encoding::EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let (_, _, names) = self.family.describe();
        for (name, value) in names.iter().zip(self.values) {
            let mut label = encoder.encode_label();
            let mut key = label.encode_label_key()?;
            fmt::Write::write_str(&mut key, name)?;
            let mut text = key.encode_label_value()?;
            value.encode(&mut text)?;
            text.finish()?;
        }
        Ok(())
    }
}

impl EncodeLabelValue for Value {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Word(word) => EncodeLabelValue::encode(word, encoder),
            Self::Code(code) => EncodeLabelValue::encode(&u32::from(*code), encoder),
        }
    }
}
