//! The ledger: a bounded queue in front of one thread that makes facts durable in groups.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::suppression::Erasure;
use crate::suppression::Fact;
use crate::suppression::FactLedger;
use crate::suppression::LedgerError;

use super::StoreError;
use super::watch::Failure;
use super::watch::Watch;

mod commit;
mod held;
mod late;
mod sign;

pub(super) use commit::Committer;
pub use held::AckPolicy;
pub(super) use held::Held;
pub(super) use late::Late;
pub(super) use sign::{CHECKPOINT_EVERY, CHECKPOINT_RECORDS_MAX, LooseEnd, Signing};

/// Facts that wait at most by default. The busiest node makes some 33 a second, so that a full
/// queue means a disk that has hung for minutes; the callers then hear the fallback prompt.
pub const QUEUE_LEN_MAX: usize = 8192;

/// How soon after an error of the disk it is tried again, by default: soon for whoever presses a
/// key next, and seldom for a disk that is being repaired. A try writes a segment's zeros.
pub(super) const REOPEN_EVERY: Duration = Duration::from_secs(5);

/// One thing for the commit thread to do.
pub(super) enum Job {
    /// Make this durable and answer with the token.
    Fact { token: u64, fact: Box<Fact> },
    /// Write what was refused, if the disk takes it.
    Wake,
    /// Sign everything before.
    Checkpoint,
    /// Seal nothing that comes behind this under the keys in these slots.
    Retire(Vec<u32>),
    /// Make this durable behind everything before, and tell whether it is.
    Write { erasure: Box<Erasure>, done: SyncSender<Result<(), LedgerError>> },
    /// Settle everything before, and tell whether it is in the database.
    Flush(SyncSender<bool>),
    /// End after everything before.
    Close,
    /// Panic.
    #[cfg(test)]
    Panic,
}

/// What the ledger has done and refused since it was opened.
#[derive(Debug, Default)]
pub(super) struct LedgerStats {
    pub(super) refused: AtomicU64,
    pub(super) facts: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) reopened: AtomicU64,
    /// Opt-outs that were refused and wait to be written all the same.
    pub(super) late: Late,
}

/// The handle of the commit thread; `submit` may be called from any thread.
#[derive(Debug)]
pub struct Ledger {
    jobs: SyncSender<Job>,
    queue_len_max: usize,
    failure: Arc<Failure>,
    pub(super) stats: Arc<LedgerStats>,
    thread: Option<JoinHandle<()>>,
}

impl Ledger {
    /// Starts the thread around `committer`.
    pub(super) fn start(
        queue_len_max: usize,
        watch: Watch,
        committer: impl FnOnce(Arc<Failure>, Arc<LedgerStats>) -> Committer,
    ) -> Result<Self, StoreError> {
        let (jobs, queue): (_, Receiver<Job>) = sync_channel(queue_len_max);
        let failure = Arc::new(Failure::default());
        let stats = Arc::new(LedgerStats::default());
        let committer = committer(Arc::clone(&failure), Arc::clone(&stats));
        let thread = std::thread::Builder::new()
            .name("commit".to_owned())
            .spawn(move || {
                let _watch = watch;
                committer.run(&queue);
            })
            .map_err(StoreError::io("start", "the commit thread"))?;
        Ok(Self { jobs, queue_len_max, failure, stats, thread: Some(thread) })
    }

    /// Why the journal cannot be written now; every fact is refused with it until it can.
    pub fn failure(&self) -> Option<LedgerError> {
        self.failure.current()
    }

    /// Waits until everything submitted before is durable, or answered with an error, and in the
    /// database.
    ///
    /// # Errors
    ///
    /// As [`super::Store::flush`].
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        let (done, wait) = sync_channel(1);
        self.jobs.send(Job::Flush(done)).map_err(|_error| StoreError::Closed)?;
        match wait.recv() {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::Behind),
            Err(_gone) => Err(StoreError::Closed),
        }
    }

    /// Counts a fact that is not taken, and keeps it for later when it is an opt-out.
    fn refuse(&self, fact: Fact) {
        self.stats.refused.fetch_add(1, Ordering::Relaxed);
        if let Fact::OptOut(optout) = fact {
            self.stats.late.keep(optout);
            // Where the queue is full the thread has something to do, and looks after it.
            let _ = self.jobs.try_send(Job::Wake);
        }
    }

    /// Has everything submitted before signed, before the next [`Self::flush`] returns.
    ///
    /// # Errors
    ///
    /// [`StoreError::Closed`].
    pub(super) fn checkpoint(&self) -> Result<(), StoreError> {
        self.jobs.send(Job::Checkpoint).map_err(|_error| StoreError::Closed)
    }

    /// For a thread of the store that erases.
    pub(super) fn pen(&self) -> Pen {
        Pen(self.jobs.clone())
    }

    /// Has nothing more sealed under the keys in `slots` than what was submitted before.
    ///
    /// # Errors
    ///
    /// [`StoreError::Closed`].
    pub(super) fn retire(&self, slots: Vec<u32>) -> Result<(), StoreError> {
        self.jobs.send(Job::Retire(slots)).map_err(|_error| StoreError::Closed)
    }

    #[cfg(test)]
    pub(super) fn break_down(&self) {
        self.jobs.send(Job::Panic).expect("the thread lives until now");
    }

    /// Ends the thread after everything submitted before.
    pub(super) fn close(&mut self) -> Result<(), StoreError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        // When the thread is gone already there is nobody to tell.
        let _ = self.jobs.send(Job::Close);
        thread.join().map_err(|_panic| StoreError::Closed)
    }
}

/// Puts erasures on record for a thread of the store, which waits for them.
#[derive(Clone, Debug)]
pub(super) struct Pen(SyncSender<Job>);

impl Pen {
    /// Durable when this returns, behind everything submitted before.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritten`], and [`StoreError::Closed`].
    pub(super) fn write(&self, erasure: Erasure) -> Result<(), StoreError> {
        let (done, wait) = sync_channel(1);
        let job = Job::Write { erasure: Box::new(erasure), done };
        self.0.send(job).map_err(|_error| StoreError::Closed)?;
        let written = wait.recv().map_err(|_gone| StoreError::Closed)?;
        written.map_err(|source| StoreError::Unwritten { source })
    }

    /// As [`Ledger::retire`]; what was submitted before is in the journal when this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError::Closed`].
    pub(super) fn retire(&self, slots: Vec<u32>) -> Result<(), StoreError> {
        let (done, wait) = sync_channel(1);
        let closed = |_error| StoreError::Closed;
        self.0.send(Job::Retire(slots)).map_err(closed)?;
        self.0.send(Job::Flush(done)).map_err(closed)?;
        // Whether the database has it is no matter.
        wait.recv().map(drop).map_err(|_gone| StoreError::Closed)
    }
}

impl FactLedger for Ledger {
    fn submit(&self, token: u64, fact: Fact) -> Result<(), LedgerError> {
        if let Some(failure) = self.failure.current() {
            self.refuse(fact);
            return Err(failure);
        }
        let job = Job::Fact { token, fact: Box::new(fact) };
        self.jobs.try_send(job).map_err(|error| {
            let (error, job) = match error {
                TrySendError::Full(job) => (LedgerError::Full { len_max: self.queue_len_max }, job),
                TrySendError::Disconnected(job) => (LedgerError::Closed, job),
            };
            if let Job::Fact { fact, .. } = job {
                self.refuse(*fact);
            }
            error
        })
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // What could not be closed is recovered at the next start.
        let _ = self.close();
    }
}
