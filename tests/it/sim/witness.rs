//! What a bystander at the engine's sockets, disk and media sees, call by call.
//!
//! What must never happen at any moment is a fault at once; the rest is judged at the end, in
//! `invariants`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use bajavoz::call::Measure;
use bajavoz::call::VoiceCommand;
use bajavoz::call::VoiceId;
use bajavoz::model::Number;
use bajavoz::model::RecordId;
use bajavoz::record::Cdr;
use bajavoz::record::Disposition;
use bajavoz::suppression::Confirmation;
use bajavoz::suppression::Fact;
use bajavoz::suppression::OptOut;

use super::ledger::Fate;
use super::ledger::Ledger;
use super::network::CARRIER;
use super::plan::Plan;

/// All that was seen.
#[derive(Default)]
pub(super) struct Witness {
    pub(super) faults: Vec<String>,
    numbers: Vec<Number>,
    /// SIP Call-IDs of both legs to the call in the plan.
    by_call_id: BTreeMap<String, usize>,
    voices: BTreeMap<(u64, VoiceId), usize>,
    arriving: Option<usize>,
    /// What this life of the engine must know to be refused.
    blocked: BTreeSet<Number>,
    pub(super) calls: Vec<Seen>,
    pub(super) legs: BTreeMap<String, LegSeen>,
    /// Voices opened and not yet told to close, in this life.
    pub(super) closed: BTreeMap<(u64, VoiceId), u32>,
}

/// What was seen of one call.
#[derive(Default)]
pub(super) struct Seen {
    /// In which lives of the engine its INVITE came, and whether the number was refused then.
    pub(super) invited: BTreeMap<u64, bool>,
    pub(super) records: Vec<(u64, Disposition)>,
    pub(super) opt_outs: Vec<Submitted>,
    pub(super) confirmations: Vec<Confirmation>,
    pub(super) told: Vec<Told>,
    /// Call-ID of the leg to the carrier.
    pub(super) carrier_call_id: Option<String>,
}

/// An opt-out handed to the ledger.
pub(super) struct Submitted {
    pub(super) at: Instant,
    pub(super) life: u64,
    pub(super) record: RecordId,
    pub(super) opt_out: OptOut,
    pub(super) fate: Fate,
}

/// A prompt after an opt-out.
pub(super) struct Told {
    pub(super) at: Instant,
    pub(super) life: u64,
    pub(super) name: &'static str,
}

/// What was seen on one SIP dialog.
#[derive(Default)]
pub(super) struct LegSeen {
    pub(super) acknowledged_at: Option<Instant>,
    /// The peer's BYE reached the engine.
    pub(super) bye_in: Option<Instant>,
    /// The engine's BYE left, with its outcome.
    pub(super) bye_out: Option<(Instant, String)>,
}

impl Witness {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            numbers: plan.calls.iter().map(|call| call.number).collect(),
            calls: plan.calls.iter().map(|_| Seen::default()).collect(),
            ..Self::default()
        }
    }

    pub(super) fn fault(&mut self, text: String) {
        self.faults.push(text);
    }

    /// The dialer's phone of call `n` has this Call-ID.
    pub(super) fn name(&mut self, call_id: &str, n: usize) {
        self.by_call_id.insert(call_id.to_owned(), n);
    }

    /// The call to which a leg of this Call-ID belongs.
    pub(super) fn call_of(&self, call_id: &str) -> Option<usize> {
        self.by_call_id.get(call_id).copied()
    }

    /// A SIP datagram arrives at the engine.
    pub(super) fn reaches_engine(&mut self, now: Instant, life: u64, bytes: &[u8]) {
        let Some(call_id) = header(bytes, "Call-ID") else { return };
        let Some(n) = self.call_of(&call_id) else { return };
        if bytes.starts_with(b"INVITE ") {
            let is_blocked = self.blocked.contains(&self.numbers[n]);
            self.calls[n].invited.entry(life).or_insert(is_blocked);
            self.arriving = Some(n);
        } else if bytes.starts_with(b"ACK ") {
            self.legs.entry(call_id).or_default().acknowledged_at.get_or_insert(now);
        } else if bytes.starts_with(b"BYE ") {
            self.legs.entry(call_id).or_default().bye_in.get_or_insert(now);
        }
    }

    /// A SIP datagram leaves the engine.
    pub(super) fn leaves_engine(&mut self, now: Instant, to: SocketAddr, bytes: &[u8]) {
        let Some(call_id) = header(bytes, "Call-ID") else { return };
        if bytes.starts_with(b"BYE ") {
            let outcome = header(bytes, "X-Bajavoz-Outcome").unwrap_or_default();
            self.legs.entry(call_id).or_default().bye_out.get_or_insert((now, outcome));
        } else if to == CARRIER
            && let Some(n) = self.call_of_invite(bytes)
            && self.by_call_id.insert(call_id.clone(), n).is_none()
        {
            self.calls[n].carrier_call_id = Some(call_id);
            if self.blocked.contains(&self.numbers[n]) {
                self.fault(format!("call {n}: the carrier is asked for a number that opted out"));
            }
        }
    }

    /// The call for which an INVITE asks the carrier.
    pub(super) fn call_of_invite(&self, bytes: &[u8]) -> Option<usize> {
        bytes.starts_with(b"INVITE ").then(|| self.call_of(&header(bytes, "X-CID")?)).flatten()
    }

    /// The engine wants ports for a call.
    pub(super) fn opens(&mut self, life: u64, voice: VoiceId) {
        if let Some(n) = self.arriving {
            self.voices.insert((life, voice), n);
        }
    }

    /// The engine tells a call's media something.
    pub(super) fn commands(
        &mut self,
        now: Instant,
        life: u64,
        voice: VoiceId,
        command: &VoiceCommand,
        ledger: &Ledger,
    ) {
        let Some(&n) = self.voices.get(&(life, voice)) else { return };
        if matches!(command, VoiceCommand::Close) {
            *self.closed.entry((life, voice)).or_default() += 1;
        }
        let VoiceCommand::Play { prompts, .. } = command else { return };
        let name = ["en/done", "en/already", "en/failed"]
            .into_iter()
            .find(|name| prompts.iter().any(|prompt| prompt.name() == *name));
        let Some(name) = name else { return };
        self.calls[n].told.push(Told { at: now, life, name });
        if name == "en/failed" {
            return;
        }
        let call = &self.calls[n];
        let told = call.told.iter().filter(|told| told.life == life && told.name != "en/failed");
        let on_disk = |submitted: &&Submitted| {
            submitted.life == life && ledger.disk.iter().any(|kept| kept.record == submitted.record)
        };
        if told.count() > call.opt_outs.iter().filter(on_disk).count() {
            self.fault(format!("call {n}: {name} is played before a record is on the disk"));
        }
    }

    /// The engine hands a fact to the ledger.
    pub(super) fn submits(
        &mut self,
        at: Instant,
        life: u64,
        record: RecordId,
        fact: &Fact,
        fate: Fate,
    ) {
        match fact {
            Fact::OptOut(opt_out) => {
                self.blocked.insert(opt_out.number);
                let leg = opt_out.sip_call_id.as_deref().unwrap_or_default();
                let Some(n) = self.call_of(leg) else {
                    return self.fault(format!("an opt-out of no call: {opt_out:?}"));
                };
                if opt_out.number != self.numbers[n] {
                    self.fault(format!("call {n}: an opt-out of somebody else"));
                }
                let opt_out = (**opt_out).clone();
                self.calls[n].opt_outs.push(Submitted { at, life, record, opt_out, fate });
            }
            Fact::Confirmed(confirmation) => {
                let is_its = |call: &&mut Seen| {
                    call.opt_outs.iter().any(|submitted| submitted.record == confirmation.record)
                };
                match self.calls.iter_mut().find(is_its) {
                    Some(call) => call.confirmations.push(*confirmation),
                    None => self.fault("a confirmation of no opt-out".to_owned()),
                }
            }
            _ => self.fault("a fact of an unknown kind".to_owned()),
        }
    }

    /// The engine keeps a call record.
    pub(super) fn records(&mut self, life: u64, cdr: &Cdr) {
        match self.call_of(&cdr.a.sip_call_id) {
            Some(n) => self.calls[n].records.push((life, cdr.disposition)),
            None => self.fault("a record of no call".to_owned()),
        }
    }

    pub(super) fn measures(&mut self, measure: &Measure) {
        if *measure == Measure::CallLost {
            self.fault("a call's step panicked".to_owned());
        }
    }

    /// The engine is gone, and knows what the disk knows.
    pub(super) fn crashes(&mut self, ledger: &Ledger) {
        self.blocked = ledger.opt_outs().map(|(_, opt_out)| opt_out.number).collect();
    }
}

/// The first value of a header, by its long name.
pub(super) fn header(bytes: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.split("\r\n").take_while(|line| !line.is_empty()).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}
