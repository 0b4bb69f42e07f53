//! A call drawn as a ladder: what each side sent, when the key came, when the disk had it.

use std::fmt::Write;
use std::time::Instant;

use serde::Serialize;

use super::stage::Played;
use crate::model::UnixMicros;
use crate::net::clock;
use crate::suppression::export::Entry;

/// One line of a ladder.
struct Rung {
    at_ms: f64,
    text: String,
}

/// When a key came and what followed, in milliseconds from the dialer's INVITE.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Moments {
    /// The key went down, and its number was refused from then on.
    key_ms: f64,
    /// The record was on disk.
    durable_ms: f64,
    /// The confirmation prompt began.
    confirmed_ms: Option<f64>,
}

impl Moments {
    /// The moments of `call`, whose record is `entry`.
    pub(super) fn of(call: &Played, entry: &Entry) -> Self {
        let began = clock::wall_anchor().wall_at(call.began_at);
        let since = |wall: UnixMicros| (wall.0 - began.0) as f64 / 1_000.0;
        Self {
            key_ms: since(entry.optout.pressed_at),
            durable_ms: since(entry.durable_at.unwrap_or(entry.written_at)),
            confirmed_ms: entry.confirmed_at.map(since),
        }
    }
}

/// Draws a call that ended in an opt-out.
pub(super) fn draw(call: &Played, entry: &Entry) -> String {
    let mut rungs = Vec::new();
    for trace in &call.dialer.trace {
        let at_ms = ms_since(call.began_at, trace.at);
        rungs.push(Rung { at_ms, text: left(&trace.label, trace.sent) });
    }
    for trace in call.person.iter().flat_map(|person| &person.trace) {
        let at_ms = ms_since(call.began_at, trace.at);
        rungs.push(Rung { at_ms, text: right(&trace.label, !trace.sent) });
    }
    let Moments { key_ms, durable_ms, confirmed_ms } = Moments::of(call, entry);
    rungs.push(Rung { at_ms: key_ms, text: middle("key 9 down, number refused from here on") });
    let took = format!("durable, {:.1} ms after the key went down", durable_ms - key_ms);
    rungs.push(Rung { at_ms: durable_ms, text: middle(&took) });
    if let Some(at_ms) = confirmed_ms {
        rungs.push(Rung { at_ms, text: middle("confirmation prompt begins") });
    }
    rungs.sort_by(|a, b| a.at_ms.total_cmp(&b.at_ms));
    let person = if call.person.is_some() { "person" } else { "" };
    let mut drawing = format!("{:>9}  {:<22}{:<22}{person}\n", "ms", "dialer", "bajavoz");
    for Rung { at_ms, text } in rungs {
        // A String takes every write.
        let _ = writeln!(drawing, "{at_ms:>9.1}  {text}");
    }
    drawing
}

/// Milliseconds from `began_at` to `at`.
pub(super) fn ms_since(began_at: Instant, at: Instant) -> f64 {
    at.saturating_duration_since(began_at).as_secs_f64() * 1_000.0
}

/// Between dialer and engine.
fn left(label: &str, to_engine: bool) -> String {
    if to_engine { format!("|-- {label:-<16}>|") } else { format!("|<-- {label:-<16}|") }
}

/// Between engine and person.
fn right(label: &str, to_person: bool) -> String {
    let arrow = if to_person { format!("-- {label:-<16}>|") } else { format!("<-- {label:-<16}|") };
    format!("|{:20}|{arrow}", "")
}

fn middle(text: &str) -> String {
    format!("|{:20}* {text}", "")
}

/// One record in a line.
pub(super) fn summary(entry: &Entry) -> String {
    let opt_out = &entry.optout;
    let lists: Vec<&str> = opt_out.lists.iter().map(|list| list.as_str()).collect();
    format!(
        "{} {} digits={} method={} lists={} campaign={} record={}",
        opt_out.pressed_at.iso8601(),
        opt_out.number.reveal(),
        opt_out.digits,
        opt_out.method.map_or("none", crate::suppression::KeyMethod::as_str),
        lists.join(" "),
        opt_out.campaign.as_ref().map_or("none", |campaign| campaign.as_str()),
        entry.record,
    )
}
