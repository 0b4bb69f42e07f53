//! What is put on record here, and what is found of it.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use bajavoz::model::Number;
use bajavoz::model::UnixMicros;
use bajavoz::store::Archive;
use bajavoz::store::Clock;
use bajavoz::store::Reader;
use bajavoz::suppression::OptOut;
use bajavoz::suppression::Origin;
use bajavoz::suppression::export::Entry;
use bajavoz::suppression::export::Filter;

/// Before the last digits of every number.
const FIRST: u64 = 34_600_000_000;

/// A clock that goes on by a millisecond at each reading.
pub(crate) fn clock() -> Clock {
    let now = AtomicI64::new(1_795_293_016_000_000);
    Arc::new(move || UnixMicros(now.fetch_add(1_000, Ordering::Relaxed)))
}

pub(crate) fn number(n: u64) -> Number {
    Number::from_e164_digits(FIRST + n).expect("the number is E.164")
}

pub(crate) fn optout(n: u64) -> OptOut {
    OptOut {
        number: number(n),
        lists: vec!["global".into(), "acme".into()],
        account: Some("acme".into()),
        campaign: Some("spring".into()),
        topic: Some("energy".into()),
        dialer: Some("vicidial".into()),
        trunk: None,
        digits: "9".parse().expect("9 is a key"),
        method: None,
        origin: Origin::DialledCode,
        sip_call_id: Some(format!("call-{n}@host")),
        leg: None,
        node: "madrid-1".into(),
        call: None,
        prompt_sha256: Some([7; 32]),
        key_events: Vec::new(),
        actor: None,
        reason: None,
        pressed_at: UnixMicros(1_795_000_000_000_000 + n.cast_signed()),
    }
}

/// The opt-outs that `reader` finds, each as often as it does.
pub(crate) fn found_by(reader: &Reader) -> Vec<u64> {
    let mut found = Vec::new();
    let visit = |entry: Entry| {
        found.push(entry.optout.number.digits() - FIRST);
        ControlFlow::Continue(())
    };
    reader.export(&Filter::default(), visit).expect("the rows are opt-outs");
    found
}

/// The opt-outs on record in the store in `dir`, which opens.
pub(crate) fn found_in(dir: &Path, name: &str) -> Vec<u64> {
    let opened = Archive::open_exclusive(dir);
    let (archive, _recovered) = opened.unwrap_or_else(|error| panic!("{name}: {}", told(&error)));
    found_by(&archive.reader().expect("the database can be read"))
}

/// An error with its causes.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push_str(&format!(": {error}"));
        cause = error.source();
    }
    told
}
