//! What happened in a campaign, for people; and how much happened in all of them.

use std::fmt::Write;
use std::time::Instant;

use bajavoz::cli::phones::Phone;
use bajavoz::record::Disposition;

use super::network::Weather;
use super::world::World;

/// The campaign, line by line.
pub(super) fn of(world: &World) -> String {
    let plan = &world.plan;
    let mut text = format!(
        "{:?}\n{:?}\nledger {:?}, crash at {:?}, drain at {:?}, strangers: {}\n",
        plan.style, plan.weather, plan.temper, plan.crash_at, plan.drain_at, plan.strangers
    );
    let ms = |at: Instant| (at - world.zero).as_micros() as f64 / 1000.0;
    for (n, call) in plan.calls.iter().enumerate() {
        let seen = &world.witness.calls[n];
        // Writing into a string does not fail.
        let _ = writeln!(
            text,
            "call {n}: {} from {:?}, wish {:?}, invited {:?}, records {:?}",
            call.campaign, call.start_at, call.wish, seen.invited, seen.records
        );
        let called = world
            .carrier
            .phones()
            .find(|phone| Some(phone.call_id()) == seen.carrier_call_id.as_deref());
        let mut lines: Vec<(Instant, String)> = Vec::new();
        for (side, phone) in [("caller", world.callers[n].as_ref()), ("called", called)] {
            lines.extend(phone.into_iter().flat_map(|phone| said_by(side, phone)));
        }
        for submitted in &seen.opt_outs {
            let it = &submitted.opt_out;
            let what = format!("opt-out {} {} {:?}", submitted.record, it.digits, submitted.fate);
            lines.push((submitted.at, format!("engine submits {what} {:?}", it.origin)));
        }
        lines.extend(seen.told.iter().map(|told| (told.at, format!("engine plays {}", told.name))));
        lines.sort_by_key(|(at, _)| *at);
        for (at, line) in lines {
            let _ = writeln!(text, "  {:9.1} {line}", ms(at)); // As above.
        }
    }
    text
}

fn said_by(side: &str, phone: &Phone) -> Vec<(Instant, String)> {
    let report = phone.report();
    let traced = report.trace.iter().map(|line| {
        let way = if line.sent { "says" } else { "gets" };
        (line.at, format!("{side} {way} {}", line.label))
    });
    let mut lines: Vec<_> = traced.collect();
    if let Some((first, _)) = report.heard.loud {
        lines.push((first, format!("{side} hears a confirmation")));
    }
    if let Some((at, by_other)) = report.ended_at {
        let outcome = report.outcome.unwrap_or_default();
        lines.push((at, format!("{side} is done (by the other: {by_other}) {outcome}")));
    }
    lines
}

/// How much happened.
#[derive(Debug, Default)]
pub(super) struct Tally {
    campaigns: u64,
    calls: u64,
    lossless: u64,
    crashes: u64,
    opt_outs: u64,
    told: u64,
    heard: u64,
    not_recorded: u64,
    suppressed: u64,
    cancelled: u64,
    refused_by_carrier: u64,
    steps: u64,
}

impl Tally {
    pub(super) fn add(&mut self, world: &World) {
        self.campaigns += 1;
        self.calls += world.plan.calls.len() as u64;
        self.lossless += u64::from(Weather::is_lossless(&world.plan.weather));
        self.crashes += world.life;
        self.steps += world.steps;
        for call in &world.witness.calls {
            self.opt_outs += call.opt_outs.len() as u64;
            self.told += call.told.len() as u64;
            for (_, disposition) in &call.records {
                match disposition {
                    Disposition::NotRecorded => self.not_recorded += 1,
                    Disposition::Suppressed => self.suppressed += 1,
                    Disposition::Cancelled => self.cancelled += 1,
                    Disposition::Busy | Disposition::NoAnswer => self.refused_by_carrier += 1,
                    _ => {}
                }
            }
        }
        let phones = world.callers.iter().flatten().chain(world.carrier.phones());
        self.heard += phones.filter(|phone| phone.report().heard.loud.is_some()).count() as u64;
    }

    /// Whether every kind of thing has happened in one of a hundred campaigns at least.
    pub(super) fn has_all(&self, campaigns: u64) -> bool {
        let counts = [
            self.lossless,
            self.crashes,
            self.opt_outs,
            self.told,
            self.heard,
            self.not_recorded,
            self.suppressed,
            self.cancelled,
            self.refused_by_carrier,
        ];
        counts.into_iter().all(|count| count * 100 >= campaigns)
    }
}
