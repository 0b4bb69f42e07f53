//! The demo as one JSON document: what `demo --json` prints.

use std::net::SocketAddr;

use serde::Serialize;

use super::Scene;
use super::invitation::Invitation;
use super::ladder;
use super::ladder::Moments;
use super::stage::Played;
use crate::suppression::export::Entry;

/// Everything that the demo showed.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    /// `passed`, or `failed` with the fault; the exit code says the same.
    verdict: &'static str,
    fault: Option<String>,
    /// Where the engine received SIP.
    sip: SocketAddr,
    /// Where the carrier did.
    carrier: SocketAddr,
    /// The calls in which 9 was pressed.
    pub(super) calls: Vec<Call>,
    /// The opt-outs, as `bajavoz optout export --format jsonl` writes them.
    pub(super) records: Vec<Entry>,
    /// How the same numbers were refused when they were called again.
    pub(super) refusals: Vec<Refusal>,
    /// How many of those calls reached the carrier all the same.
    pub(super) carrier_invites: u64,
    /// How to try further; null where the engine ends with the demo.
    pub(super) stays: Option<Invitation>,
}

/// One call in which 9 was pressed. Times are in milliseconds from the dialer's INVITE.
#[derive(Debug, Serialize)]
pub(super) struct Call {
    scene: &'static str,
    number: &'static str,
    campaign: &'static str,
    #[serde(flatten)]
    moments: Moments,
    /// The status of the INVITE.
    status: Option<u16>,
    /// What the engine's BYE told the dialer.
    outcome: Option<String>,
    messages: Vec<Message>,
}

/// A SIP message or key, as the telephone at the end of its leg saw it.
#[derive(Debug, Serialize)]
struct Message {
    ms: f64,
    /// `dialer` or `person`.
    leg: &'static str,
    /// Who sent it: `engine`, or the telephone at the end of the leg.
    from: &'static str,
    what: String,
}

/// The answer to a call of a suppressed number.
#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    pub(super) number: &'static str,
    pub(super) status: u16,
    pub(super) outcome: String,
}

impl Document {
    /// A demo in which nothing has gone wrong yet.
    pub(super) fn new(sip: SocketAddr, carrier: SocketAddr) -> Self {
        Self {
            verdict: "passed",
            fault: None,
            sip,
            carrier,
            calls: Vec::new(),
            records: Vec::new(),
            refusals: Vec::new(),
            carrier_invites: 0,
            stays: None,
        }
    }

    /// Notes what went wrong.
    pub(super) fn fail(&mut self, error: &anyhow::Error) {
        self.verdict = "failed";
        self.fault = Some(format!("{error:#}"));
    }
}

impl Call {
    /// What both ends saw of `scene`, and the record of it.
    pub(super) fn of(scene: Scene, call: &Played, entry: &Entry) -> Self {
        let legs = [("dialer", Some(&call.dialer)), ("person", call.person.as_ref())];
        let traces = legs.into_iter().flat_map(|(leg, phone)| {
            phone.into_iter().flat_map(|phone| &phone.trace).map(move |trace| (leg, trace))
        });
        let mut messages: Vec<Message> = traces
            .map(|(leg, trace)| Message {
                ms: ladder::ms_since(call.began_at, trace.at),
                leg,
                from: if trace.sent { leg } else { "engine" },
                what: trace.label.clone(),
            })
            .collect();
        messages.sort_by(|a, b| a.ms.total_cmp(&b.ms));
        Self {
            scene: scene.title,
            number: scene.number,
            campaign: scene.campaign,
            moments: Moments::of(call, entry),
            status: call.dialer.status,
            outcome: call.dialer.outcome.clone(),
            messages,
        }
    }
}
