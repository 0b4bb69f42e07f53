//! What is put on record here, and what is found of it.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use bajavoz::model;
use bajavoz::model::UnixMicros;
use bajavoz::store::Archive;
use bajavoz::store::Clock;
use bajavoz::store::Reader;
use bajavoz::suppression;
use bajavoz::suppression::OptOut;
use bajavoz::suppression::export::Entry;
use bajavoz::suppression::export::Filter;

pub(crate) use sample::number;

#[path = "../../src/store/tests/sample.rs"]
mod sample;

/// A clock that goes on by a millisecond at each reading.
pub(crate) fn clock() -> Clock {
    let now = AtomicI64::new(1_795_293_016_000_000);
    Arc::new(move || UnixMicros(now.fetch_add(1_000, Ordering::Relaxed)))
}

/// The opt-out `n`, of a campaign with a topic.
pub(crate) fn optout(n: u64) -> OptOut {
    OptOut { topic: Some("energy".into()), ..sample::optout(n) }
}

/// The opt-outs that `reader` finds, each as often as it does.
pub(crate) fn found_by(reader: &Reader) -> Vec<u64> {
    let mut found = Vec::new();
    let visit = |entry: Entry| {
        found.push(entry.optout.number.digits() - number(0).digits());
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
