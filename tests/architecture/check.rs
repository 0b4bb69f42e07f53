//! Judges the paths of one file by the table.

use std::fmt;

use crate::paths::{self, Named, Role};
use crate::table::{self, FOREIGN, Kind, NOT_PURE, NOT_PURE_METHODS, ROOMS, Room};
use crate::tree::SourceFile;

/// Types that make a `static` a global that changes.
const CHANGING: &[&str] = &[
    "ArcSwap",
    "AtomicBool",
    "AtomicI32",
    "AtomicI64",
    "AtomicU16",
    "AtomicU32",
    "AtomicU64",
    "AtomicU8",
    "AtomicUsize",
    "Cell",
    "DashMap",
    "Mutex",
    "OnceCell",
    "OnceLock",
    "RefCell",
    "RwLock",
    "mut",
];

/// One broken rule, where it stands.
pub(crate) struct Finding {
    file: String,
    line: usize,
    what: String,
}

impl Finding {
    /// A finding at a line (0: the file as a whole).
    pub(crate) fn new(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src/{}:{}: {}", self.file, self.line, self.what)
    }
}

/// Everything in one file that the table forbids.
pub(crate) fn file(file: &SourceFile) -> Vec<Finding> {
    let Some(room) = table::room(file.room()) else {
        return Vec::new(); // lib.rs; a folder that is no room is a stray.
    };
    let named = paths::collect(file);
    named
        .iter()
        .filter_map(|path| {
            judge(room, file, path).map(|what| Finding::new(&file.name, path.line, what))
        })
        .collect()
}

fn judge(room: &Room, file: &SourceFile, path: &Named) -> Option<String> {
    let is_pure = room.kind == Kind::Pure && !path.in_test;
    let spelled = path.segments.join("::");
    match path.role {
        Role::Async => return is_pure.then(|| "async in a pure room".to_owned()),
        Role::Method => return impure_method(is_pure, &spelled),
        Role::Static => return global(is_pure, path),
        Role::Climbing => {
            return (!path.in_test).then(|| format!("{spelled}: name it from crate::"));
        }
        Role::Glob if !path.in_test => {
            return Some(format!("{spelled}::* hides what it names: list the names"));
        }
        _ => {}
    }
    match path.segments.first()?.as_str() {
        "crate" => door(room, path),
        "std" | "core" | "alloc" => {
            if path.segments.len() == 1 && path.role != Role::Used {
                return Some(format!("`use {spelled}` hides what is taken from it"));
            }
            impure_path(is_pure, path)
        }
        first => foreign(room, file, path, first).or_else(|| impure_path(is_pure, path)),
    }
}

fn door(room: &Room, path: &Named) -> Option<String> {
    let Some(target) = path.segments.get(1) else {
        return (path.role != Role::Used).then(|| "`use crate` hides the room".to_owned());
    };
    let is_open = target == room.name || room.doors.contains(&target.as_str());
    (!is_open)
        .then(|| format!("{} may not name {target} ({})", room.name, path.segments.join("::")))
}

fn foreign(room: &Room, file: &SourceFile, path: &Named, first: &str) -> Option<String> {
    let row = FOREIGN.iter().find(|row| row.name.replace('-', "_") == first)?;
    if path.role == Role::Used && path.segments.len() == 1 {
        return None; // a local name that looks like a crate
    }
    if path.role == Role::Reexported {
        return Some(format!("`pub use` hands {} out of the file that wraps it", row.name));
    }
    let is_home =
        row.places.iter().any(|place| *place == "*" || *place == room.name || *place == file.name);
    (!is_home && !path.in_test)
        .then(|| format!("{} belongs to {}, not here", row.name, row.places.join(", ")))
}

fn impure_path(is_pure: bool, path: &Named) -> Option<String> {
    if !is_pure {
        return None;
    }
    let mut segments = path.segments.clone();
    if matches!(segments[0].as_str(), "core" | "alloc") {
        "std".clone_into(&mut segments[0]);
    }
    let (banned, why) = NOT_PURE.iter().find(|(banned, _)| {
        let mut banned = banned.split("::");
        let mut own = segments.iter();
        banned.all(|segment| own.next().is_some_and(|part| part == segment))
    })?;
    Some(format!("{banned} in a pure room: {why}"))
}

fn impure_method(is_pure: bool, name: &str) -> Option<String> {
    let (_, why) = NOT_PURE_METHODS.iter().find(|(banned, _)| is_pure && *banned == name)?;
    Some(format!(".{name}() in a pure room: {why}"))
}

fn global(is_pure: bool, path: &Named) -> Option<String> {
    let last = path.segments.last()?;
    (is_pure && CHANGING.contains(&last.as_str()))
        .then(|| format!("a global that changes ({last}) in a pure room"))
}

/// The `mod` lines of lib.rs that break the order of the storeys.
pub(crate) fn order(name: &str, source: &str) -> Vec<Finding> {
    let Ok(syntax) = syn::parse_file(source) else {
        return vec![Finding::new(name, 0, "does not parse")];
    };
    let mut findings = Vec::new();
    let mut highest: &Room = &ROOMS[0];
    for item in &syntax.items {
        let syn::Item::Mod(module) = item else { continue };
        let line = module.ident.span().start().line;
        let Some(room) = table::room(&module.ident.to_string()) else {
            findings.push(Finding::new(name, line, format!("{} is not a room", module.ident)));
            continue;
        };
        // Wiring stands last in any order: it alone may know itself.
        if room.level < highest.level && room.kind != Kind::Wiring {
            let what = format!("{} stands after {}, which may name it", room.name, highest.name);
            findings.push(Finding::new(name, line, what));
        } else if room.level > highest.level {
            highest = room;
        }
    }
    findings
}

/// Sources with a violation: name, file, source, and a piece of the finding.
#[rustfmt::skip]
pub(crate) const PLANTED: &[(&str, &str, &str, &str)] = &[
    ("a closed door in a use line", "sip/uri.rs", "use crate::media::rtp;", "sip may not name media"),
    ("a closed door in an expression", "sip/uri.rs", "fn f() { crate::store::open(); }", "sip may not name store"),
    ("a closed door in a type", "menu/code.rs", "struct S { s: crate::sip::Uri }", "menu may not name sip"),
    ("a closed door in a pattern", "menu/code.rs", "fn f(x: u8) { match x { crate::sip::X => {} _ => {} } }", "menu may not name sip"),
    ("a closed door in a group", "menu/code.rs", "use crate::{model::Digit, sip::Uri};", "menu may not name sip"),
    ("a closed door through super", "menu/code.rs", "use super::super::sip::Uri;", "menu may not name sip"),
    ("a closed door inside a macro", "menu/code.rs", "fn f() { assert_eq!(1, crate::sip::MAX); }", "menu may not name sip"),
    ("a closed door in macro_rules", "menu/code.rs", "macro_rules! m { () => { $crate::sip::x() } }", "menu may not name sip"),
    ("a closed door in a derive", "menu/code.rs", "#[derive(crate::sip::Mirror)] struct S;", "menu may not name sip"),
    ("a closed door in a test", "menu/code.rs", "#[cfg(test)] mod tests { use crate::sip::Uri; }", "menu may not name sip"),
    ("a closed door in a visibility path", "menu/code.rs", "fn f<T: crate::sip::Speak>() {}", "menu may not name sip"),
    ("a driver that names another driver", "net/udp.rs", "use crate::store::Ledger;", "net may not name store"),
    ("the program beyond the command line", "main.rs", "fn main() { bajavoz::engine::run(); }", "main may not name engine"),
    ("the whole crate under a new name", "menu/code.rs", "use crate as house;", "hides the room"),
    ("a foreign crate in the wrong room", "sip/uri.rs", "use dashmap::DashMap;", "dashmap belongs to"),
    ("a foreign crate in an expression", "sip/uri.rs", "fn f() { hound::WavReader::open(x); }", "hound belongs to"),
    ("a foreign crate with leading colons", "sip/uri.rs", "fn f() { ::hound::read(); }", "hound belongs to"),
    ("a foreign crate in the wrong file", "model/digit.rs", "use rlibphonenumber::PhoneNumber;", "rlibphonenumber belongs to model/number.rs"),
    ("a foreign macro", "call/leg.rs", "fn f() { tokio::select! { _ = x => {} } }", "tokio belongs to"),
    ("a foreign attribute", "call/leg.rs", "#[tokio::main] fn f() {}", "tokio belongs to"),
    ("a foreign crate handed out", "media/prompt.rs", "pub use hound::WavReader;", "hands hound out"),
    ("an external crate by its old spelling", "sip/uri.rs", "extern crate hound;", "hound belongs to"),
    ("the clock", "sip/uri.rs", "use std::time::Instant; fn f() { Instant::now(); }", "the clock"),
    ("the clock by its full name", "sip/uri.rs", "fn f() { std::time::Instant::now(); }", "the clock"),
    ("the clock through a module", "sip/uri.rs", "use std::time; fn f() { time::Instant::now(); }", "the clock"),
    ("the clock under a new name", "sip/uri.rs", "use std::time::Instant as I; fn f() { I::now(); }", "the clock"),
    ("the clock through a type alias", "sip/uri.rs", "use std::time::Instant; type I = Instant; fn f() { I::now(); }", "the clock"),
    ("the clock in angle brackets", "sip/uri.rs", "fn f() { <std::time::Instant>::now(); }", "the clock"),
    ("the clock as a function value", "sip/uri.rs", "fn f() { x.get_or_insert_with(std::time::Instant::now); }", "the clock"),
    ("the clock inside a macro", "sip/uri.rs", "use std::time::Instant; fn f() { vec![Instant::now()]; }", "the clock"),
    ("the clock by a method", "sip/uri.rs", "fn f(x: std::time::Instant) { x.elapsed(); }", ".elapsed()"),
    ("the clock by a method in a macro", "sip/uri.rs", "fn f() { assert!(x.elapsed() > y); }", ".elapsed()"),
    ("the wall clock", "record/cdr.rs", "use std::time::SystemTime;", "std::time::SystemTime"),
    ("the wall clock of a crate", "campaign/hours.rs", "fn f() { jiff::Timestamp::now(); }", "jiff::Timestamp::now"),
    ("a file", "suppression/index.rs", "fn f() { std::fs::read(x); }", "files"),
    ("a socket", "media/rtp.rs", "use std::net::{SocketAddr, UdpSocket};", "sockets"),
    ("a thread", "media/rtp.rs", "fn f() { std::thread::spawn(g); }", "threads"),
    ("the environment", "campaign/mod.rs", "fn f() { std::env::var(\"X\"); }", "the environment"),
    ("a process", "campaign/mod.rs", "fn f() { std::process::exit(1); }", "processes"),
    ("a random table", "sip/dialog.rs", "use std::collections::HashMap; fn f() { HashMap::new(); }", "randomness"),
    ("random state", "sip/dialog.rs", "use std::hash::RandomState;", "randomness"),
    ("a random identifier", "model/ids.rs", "fn f() { uuid::Uuid::new_v4(); }", "randomness"),
    ("an async function", "call/leg.rs", "async fn f() {}", "async"),
    ("an awaited value in a macro", "call/leg.rs", "fn f() { join!(x.await); }", "async"),
    ("a glob of the standard library", "sip/uri.rs", "use std::time::*;", "hides what it names"),
    ("a glob of a room", "engine/run.rs", "use crate::sip::*;", "hides what it names"),
    ("the standard library under a new name", "sip/uri.rs", "use std as s;", "hides what is taken"),
    ("two storeys up", "sip/transaction/key.rs", "use super::super::uri::Uri;", "name it from crate::"),
    ("two storeys up in an expression", "sip/transaction/key.rs", "fn f() { super::super::uri::g(); }", "name it from crate::"),
    ("a global that changes", "dtmf/tone.rs", "static X: std::sync::Mutex<u8> = y;", "a global that changes"),
    ("a mutable static", "dtmf/tone.rs", "static mut X: u8 = 0;", "a global that changes"),
];

/// Sources without a violation: name, file, source.
#[rustfmt::skip]
pub(crate) const HONEST: &[(&str, &str, &str)] = &[
    ("addresses are values", "sip/via.rs", "use std::net::{IpAddr, SocketAddr};"),
    ("an instant is a value", "sip/timer.rs", "use std::time::{Duration, Instant}; fn f(now: Instant) -> Instant { now + Duration::from_secs(1) }"),
    ("an open door", "campaign/mod.rs", "use crate::menu::CodeBook; use crate::model::Digits;"),
    ("a room names itself", "sip/uri.rs", "use crate::sip::name::Method; use super::error::SipError;"),
    ("a crate at home", "media/prompt.rs", "use hound::WavReader; fn f() { hound::read(); }"),
    ("a crate in its file", "model/number.rs", "use rlibphonenumber::PHONE_NUMBER_UTIL;"),
    ("a local module that shares a crate's name", "suppression/mod.rs", "mod csv; fn f() { csv::import(); }"),
    ("a local variable that shares a crate's name", "sip/uri.rs", "fn f(libc: u8) -> u8 { libc }"),
    ("a test may take a clock and an oracle", "sip/uri.rs", "#[cfg(test)] mod tests { use super::*; fn f() { std::time::Instant::now(); rsip::x(); } }"),
    ("a table with a stated hasher", "sip/dialog.rs", "use std::collections::HashMap; fn f() { HashMap::with_hasher(x); }"),
    ("a test may climb", "sip/transaction/key.rs", "#[cfg(test)] mod tests { use super::super::schedule::UDP; }"),
    ("a constant table", "media/g711.rs", "static TABLE: [i16; 256] = build();"),
    ("a driver reads the clock", "net/clock.rs", "fn f() { std::time::Instant::now(); }"),
    ("a driver waits", "net/udp.rs", "use tokio::net::UdpSocket; async fn f() { x.await; }"),
    ("serde is everywhere", "record/cdr.rs", "use serde::Serialize; #[derive(Serialize)] struct S;"),
    ("a range in a macro is no method", "sip/uri.rs", "fn f() { assert!(matches!(x, 0..elapsed)); }"),
];
