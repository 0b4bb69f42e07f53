//! Looks after what is past its time, at the start and once a day, on a thread of its own.
//!
//! What is decided by when is pure ([`crate::suppression::retention`]); what is done is the desk's.
//! Here are the waits, the log and the figures.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use super::desk::Desk;
use super::desk::DeskError;
use super::desk::Retained;
use super::error::EngineError;
use super::figures::Figures;
use crate::net::clock;
use crate::suppression::Watchman;
use crate::suppression::retention::EVERY;

/// How soon one step follows another that had too much to do: the disk has calls to look after too.
const GO_ON_AFTER: Duration = Duration::from_secs(5);

/// How soon what failed is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(600);

/// What was deleted and refused since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// The last step.
    pub(super) last: Retained,
    /// All steps.
    pub(super) numbers: u64,
    pub(super) calls: u64,
    pub(super) doubted: [u64; 2],
    pub(super) failed: u64,
}

/// The handle of the thread.
#[derive(Debug)]
pub(super) struct Keeper {
    is_over: Arc<AtomicBool>,
    wake: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread.
    pub(super) fn start(desk: Arc<Desk>, figures: Arc<Figures>) -> Result<Self, EngineError> {
        let is_over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&is_over);
        let (wake, woken) = channel();
        let thread = std::thread::Builder::new()
            .name("retention".to_owned())
            .spawn(move || {
                let mut rounds = Rounds { desk, figures, watchman: None, kept: Kept::default() };
                let mut day_began = clock::now();
                let mut is_first = true;
                loop {
                    let now = clock::now();
                    let is_day_seen = !is_first && has_passed(day_began, now);
                    if is_day_seen {
                        day_began = now;
                    }
                    is_first = false;
                    let wait = rounds.step(is_day_seen, &|| ended.load(Ordering::Acquire));
                    match woken.recv_timeout(wait) {
                        Err(RecvTimeoutError::Timeout) => {}
                        Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
                    }
                }
            })
            .map_err(EngineError::Thread)?;
        Ok(Self { is_over, wake: Some(wake), thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // A panic of its own has deleted nothing that was not to be, and is logged.
            let _ = thread.join();
        }
    }
}

fn has_passed(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) >= EVERY
}

/// What one step after the other needs.
struct Rounds {
    desk: Arc<Desk>,
    figures: Arc<Figures>,
    watchman: Option<Watchman>,
    kept: Kept,
}

impl Rounds {
    /// One step; how long to wait for the next.
    fn step(&mut self, is_day_seen: bool, is_over: &dyn Fn() -> bool) -> Duration {
        let done = self.desk.retain(&mut self.watchman, is_day_seen, is_over);
        let wait = match &done {
            Ok(done) if done.is_more => GO_ON_AFTER,
            Ok(_done) => EVERY,
            Err(_error) => AGAIN_AFTER,
        };
        self.count(&done);
        tell(&done);
        self.figures.note_kept(&self.kept, clock::unix_now());
        wait
    }

    fn count(&mut self, done: &Result<Retained, DeskError>) {
        let Ok(done) = done else {
            self.kept.failed += 1;
            return;
        };
        self.kept.last = *done;
        self.kept.numbers += done.numbers;
        self.kept.calls += done.calls;
        if let Some(doubt) = done.doubt {
            self.kept.doubted[doubt as usize] += 1;
        }
    }
}

fn tell(done: &Result<Retained, DeskError>) {
    match done {
        Ok(done) => {
            if let Some(doubt) = done.doubt {
                tracing::error!(
                    clock = doubt.as_str(),
                    "the clock is not believed; no evidence is deleted by it"
                );
            }
            let Retained { numbers, records, audio, calls, .. } = *done;
            if numbers + calls > 0 {
                tracing::info!(numbers, records, audio, calls, "deleted what was kept long enough");
            }
        }
        Err(error) => {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "what was kept long enough is not deleted yet");
        }
    }
}
