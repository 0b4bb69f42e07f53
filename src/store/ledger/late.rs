//! Opt-outs that were refused, kept in memory until the disk takes them.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::suppression::OptOut;

/// Opt-outs kept at most. One takes some 1 KiB, all together 64 MiB; the busiest node's 33 a
/// second fill it in half an hour of a disk that is away.
pub(super) const LATE_LEN_MAX: usize = 65_536;

/// Shared by who submits and by the commit thread.
#[derive(Debug)]
pub(in crate::store) struct Late {
    queue: Mutex<VecDeque<Box<OptOut>>>,
    len_max: usize,
    overflowed: AtomicU64,
    unwritten: AtomicU64,
    written: AtomicU64,
}

impl Late {
    pub(in crate::store) fn new(len_max: usize) -> Self {
        Self {
            queue: Mutex::default(),
            len_max,
            overflowed: AtomicU64::new(0),
            unwritten: AtomicU64::new(0),
            written: AtomicU64::new(0),
        }
    }

    /// Keeps an opt-out that was refused. What finds no room is counted, and stays unwritten.
    pub(in crate::store) fn keep(&self, optout: Box<OptOut>) {
        self.unwritten.fetch_add(1, Ordering::Relaxed);
        let mut queue = self.lock();
        if queue.len() < self.len_max {
            queue.push_back(optout);
        } else {
            self.overflowed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The next to write; it counts as unwritten until [`Self::is_written`].
    pub(in crate::store) fn take(&self) -> Option<Box<OptOut>> {
        self.lock().pop_front()
    }

    /// Takes one back that the disk refused again; its place was its own already.
    pub(in crate::store) fn put_back(&self, optout: Box<OptOut>) {
        self.lock().push_back(optout);
    }

    /// One that was taken is durable.
    pub(in crate::store) fn is_written(&self) {
        self.unwritten.fetch_sub(1, Ordering::Relaxed);
        self.written.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::store) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Opt-outs that were refused and that only this process knows.
    pub(in crate::store) fn unwritten(&self) -> u64 {
        self.unwritten.load(Ordering::Relaxed)
    }

    /// Those of them that found no room here, and are never written.
    pub(in crate::store) fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }

    /// Opt-outs that were refused and are durable by now.
    pub(in crate::store) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Box<OptOut>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Late {
    fn default() -> Self {
        Self::new(LATE_LEN_MAX)
    }
}
