//! Looks after what is past its time, at the start and once a day, on a thread of its own.
//!
//! What is decided by when is pure ([`crate::suppression::retention`]); what is done is the desk's.
//! Here are the waits, the log and the figures. A panic costs one step: calls go on without it, and
//! evidence that is kept for longer is no reason to end the engine.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
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

impl Kept {
    /// Takes note of a step.
    fn count(&mut self, done: &Retained, is_failed: bool) {
        self.numbers += done.numbers;
        self.calls += done.calls;
        self.failed += u64::from(is_failed);
        if let Some(doubt) = done.doubt {
            self.doubted[doubt as usize] += 1;
        }
        // One that failed before it knew how old anything is leaves that as it was.
        if !is_failed || done.oldest.is_some() {
            self.last = *done;
        }
    }
}

/// How long to wait for the next step.
const fn wait_after(done: &Retained, is_failed: bool) -> Duration {
    let has_got_on = done.numbers + done.calls > 0;
    match is_failed {
        _ if done.is_more && has_got_on => GO_ON_AFTER,
        true => AGAIN_AFTER,
        false => EVERY,
    }
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
        let Self { desk, watchman, .. } = self;
        let step = || desk.retain(watchman, is_day_seen, is_over);
        let (done, result) = catch_unwind(AssertUnwindSafe(step)).map_or_else(
            |_panic| (Retained::default(), None),
            |(done, result)| (done, Some(result)),
        );
        let is_failed = !matches!(result, Some(Ok(())));
        self.kept.count(&done, is_failed);
        tell(&done, result.as_ref());
        self.figures.note_kept(&self.kept, clock::unix_now());
        wait_after(&done, is_failed)
    }
}

/// Tells what a step has done, and how it ended; nothing where it panicked.
fn tell(done: &Retained, result: Option<&Result<(), DeskError>>) {
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
    match result {
        Some(Ok(())) => {}
        Some(Err(error)) => {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "what was kept long enough is not deleted yet");
        }
        None => tracing::error!("what was kept long enough is not deleted yet: a panic"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UnixMicros;
    use crate::suppression::retention::Doubt;

    #[test]
    fn what_a_step_has_done_counts_however_it_ends() {
        let done = Retained { numbers: 3, calls: 2, is_more: true, ..Retained::default() };
        let done = Retained { oldest: Some(UnixMicros(7)), doubt: Some(Doubt::Ahead), ..done };
        let mut kept = Kept::default();
        kept.count(&done, true);
        kept.count(&Retained::default(), true);
        assert_eq!((kept.numbers, kept.calls, kept.failed), (3, 2, 2));
        assert_eq!((kept.doubted[Doubt::Ahead as usize], kept.last), (1, done));
        assert_eq!(wait_after(&done, true), GO_ON_AFTER, "there is more, and it gets on");
        let stuck = Retained { is_more: true, ..Retained::default() };
        assert_eq!(wait_after(&stuck, true), AGAIN_AFTER);
        assert_eq!(wait_after(&Retained::default(), false), EVERY);
    }
}
