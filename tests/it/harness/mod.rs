//! The real binary between real sockets: what the tests of whole calls share.
//!
//! A [`Site`] is a folder with a configuration, a store and free ports; an [`Engine`] is the
//! program run in it. Whoever waits, waits for a fact with a deadline. A tool that is missing
//! fails the test with the line that installs it.

pub(crate) mod baresip;
pub(crate) mod capture;
pub(crate) mod dice;
pub(crate) mod disk;
pub(crate) mod dissection;
pub(crate) mod phones;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod sipp;
pub(crate) mod site;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use bajavoz::net::clock;

/// Between two looks at a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Only one test with load at a time: the machine is part of what is tested.
pub(crate) fn machine() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    // A test that failed leaves nothing behind that would harm the next.
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `look` finds what it looks for.
///
/// Panics after `patience`, naming `what`.
pub(crate) fn wait_for<T>(what: &str, patience: Duration, look: impl FnMut() -> Option<T>) -> T {
    wait_up_to(patience, look).unwrap_or_else(|| panic!("waited {patience:?} in vain: {what}"))
}

/// Waits until `look` finds what it looks for, for `patience` at most.
pub(crate) fn wait_up_to<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = clock::now() + patience;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if clock::now() >= until {
            return None;
        }
        std::thread::park_timeout(LOOK_AGAIN);
    }
}

/// Every file in `dir` and the folders in it.
pub(crate) fn files_in(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder that is there") {
        let path = entry.expect("it can be listed").path();
        match path.is_dir() {
            true => found.extend(files_in(&path)),
            // The admin socket is no file.
            false if path.is_file() => found.push(path),
            false => {}
        }
    }
    found
}

/// A number from the environment.
pub(crate) fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
