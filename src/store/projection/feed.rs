//! The way to the projection thread: what is handed to it, and how far each stream reaches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;
use std::sync::mpsc::sync_channel;

use crate::model::NodeName;
use crate::model::UnixMicros;
use crate::model::WriterId;
use crate::record::Cdr;
use crate::store::StoreError;
use crate::store::archive::Reach;
use crate::store::database::Projected;
use crate::suppression::proof::Hash;

/// Messages that wait at most: groups of facts and single call records. A full queue loses call
/// records and makes facts be read from the journal instead; both are counted.
const QUEUE_LEN_MAX: usize = 1024;
/// Facts that wait in the queue at most, whatever their groups: some 16 MB. Four minutes of the
/// busiest node; a database that is away longer is caught up with from the journal, where these
/// facts stand anyway.
const FACTS_QUEUED_MAX: usize = 8192;

pub(super) enum Message {
    Facts {
        facts: Vec<Projected>,
        hash: Hash,
    },
    Call(Box<Cdr>),
    Flush(SyncSender<bool>),
    Forget(Forgetting),
    Close,
    #[cfg(test)]
    Panic,
}

/// Call records to take away, at most so many, and who is told how many that were.
pub(in crate::store) struct Forgetting {
    pub(in crate::store) node: NodeName,
    /// Of calls that ended before; without one, none.
    pub(in crate::store) limit: Option<UnixMicros>,
    pub(in crate::store) len_max: u64,
    pub(in crate::store) done: SyncSender<Result<u64, StoreError>>,
}

/// What the projection has done and lost since the store was opened.
#[derive(Debug, Default)]
pub(in crate::store) struct ProjectionStats {
    /// Call records that found the queue full or the database failing.
    pub(in crate::store) calls_lost: AtomicU64,
    /// Transactions that failed.
    pub(in crate::store) failed: AtomicU64,
    /// Facts that found no room in the queue and are read from the journal instead.
    pub(in crate::store) overflowed: AtomicU64,
}

/// The way to the projection thread.
#[derive(Clone, Debug)]
pub(in crate::store) struct Feed {
    pub(super) messages: SyncSender<Message>,
    /// Set when facts could not be handed over and stand in the journal only.
    pub(super) missed: Arc<AtomicBool>,
    /// Set when the database was found to have lost records, so that what is believed to be there
    /// is to be asked for.
    pub(super) lost: Arc<AtomicBool>,
    /// How far each stream reaches: those of processes before us where the database is shared, and
    /// ours (another one for each time that the disk failed), the one being written last. What the
    /// journal holds behind our last durable record may be lost in a power cut, and the database
    /// must never know more than the journal.
    durable: Arc<Mutex<Vec<Reach>>>,
    /// Facts that stand in the queue.
    pub(super) queued: Arc<AtomicUsize>,
    pub(in crate::store) stats: Arc<ProjectionStats>,
}

impl Feed {
    /// A feed with the far end of its queue.
    pub(super) fn new(past: Vec<Reach>) -> (Self, Receiver<Message>) {
        let (messages, queue) = sync_channel(QUEUE_LEN_MAX);
        let feed = Self {
            messages,
            missed: Arc::new(AtomicBool::new(past.iter().any(is_behind))),
            lost: Arc::default(),
            durable: Arc::new(Mutex::new(past)),
            queued: Arc::default(),
            stats: Arc::default(),
        };
        (feed, queue)
    }

    /// Hands over durable facts of one stream, the last of which has `hash`; without room they
    /// are left to be read from the journal. Never waits.
    pub(in crate::store) fn facts(&self, facts: Vec<Projected>, hash: Hash) {
        let Some(last) = facts.last().map(|projected| projected.record().id) else { return };
        {
            let mut durable = self.reaches();
            match durable.last_mut().filter(|reach| reach.last.writer == last.writer) {
                Some(reach) => reach.last = last,
                None => durable.push(Reach { last, is_past: false, taken: 0 }),
            }
        }
        let count = facts.len();
        // We alone add, so that the sum cannot pass the limit behind our back.
        let has_room = self.queued.load(Ordering::Acquire) + count <= FACTS_QUEUED_MAX;
        self.queued.fetch_add(count, Ordering::AcqRel);
        if !has_room || self.messages.try_send(Message::Facts { facts, hash }).is_err() {
            self.queued.fetch_sub(count, Ordering::AcqRel);
            self.stats.overflowed.fetch_add(count as u64, Ordering::Relaxed);
            self.missed.store(true, Ordering::Release);
        }
    }

    pub(super) fn reaches(&self) -> MutexGuard<'_, Vec<Reach>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This node's own streams, those of processes before us too, and how much of each the database
    /// is known to have.
    pub(in crate::store) fn own(&self) -> BTreeMap<WriterId, u64> {
        self.reaches().iter().map(|reach| (reach.last.writer, reach.taken)).collect()
    }

    /// Holds `heads`, the last record of each stream in the database, against `own`, which is what
    /// it was known to have before they were asked for. What it has lost is forwarded again; of how
    /// many streams that was.
    pub(in crate::store) fn hold_against(
        &self,
        own: &BTreeMap<WriterId, u64>,
        heads: &[(WriterId, u64)],
    ) -> usize {
        let heads: BTreeMap<WriterId, u64> = heads.iter().copied().collect();
        let mut lost = 0;
        for reach in self.reaches().iter_mut() {
            let head = heads.get(&reach.last.writer).copied().unwrap_or_default();
            if own.get(&reach.last.writer).is_some_and(|known| head < *known) {
                reach.taken = reach.taken.min(head);
                lost += 1;
            }
        }
        if lost > 0 {
            self.lost.store(true, Ordering::Release);
            self.missed.store(true, Ordering::Release);
        }
        lost
    }

    /// Whether the database has everything of processes before us.
    pub(in crate::store) fn is_recovered(&self) -> bool {
        !self.reaches().iter().any(|reach| reach.is_past && is_behind(reach))
    }

    /// Facts that are durable here and, as far as is known, not yet in the database.
    pub(in crate::store) fn waiting(&self) -> u64 {
        let of = |reach: &Reach| reach.last.seq.saturating_sub(reach.taken);
        self.reaches().iter().map(of).sum()
    }

    /// Hands over a call record, or counts it as lost.
    pub(in crate::store) fn call(&self, call: Cdr) {
        if self.messages.try_send(Message::Call(Box::new(call))).is_err() {
            self.stats.calls_lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Has call records taken away that are past their time; waits for room in the queue.
    ///
    /// # Errors
    ///
    /// [`StoreError::Closed`].
    pub(in crate::store) fn forget(&self, forgetting: Forgetting) -> Result<(), StoreError> {
        self.messages.send(Message::Forget(forgetting)).map_err(|_gone| StoreError::Closed)
    }

    /// Has `done` told whether everything before is in the database, once it was tried; without
    /// room in the queue it is not, and that is told at once. Never waits, since who calls is the
    /// commit thread.
    pub(in crate::store) fn flush(&self, done: SyncSender<bool>) {
        match self.messages.try_send(Message::Flush(done)) {
            // When the thread is gone `done` is dropped, which tells the waiting side.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(message)) => {
                if let Message::Flush(done) = message {
                    // Whoever waited may have given up.
                    let _ = done.try_send(false);
                }
            }
        }
    }
}

#[cfg(test)]
impl Feed {
    /// Has the thread panic.
    pub(in crate::store) fn break_down(&self) {
        self.messages.send(Message::Panic).expect("the thread lives until now");
    }
}

/// Whether the database may lack some of a stream.
pub(super) const fn is_behind(reach: &Reach) -> bool {
    reach.taken < reach.last.seq
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::RecordId;
    use crate::model::UnixMicros;
    use crate::suppression::Confirmation;
    use crate::suppression::Fact;
    use crate::suppression::Outcome;
    use crate::suppression::proof::Entropy;
    use crate::suppression::proof::Place;
    use crate::suppression::proof::Record;

    /// A group of `count` facts; what they say does not matter to the queue.
    fn group(count: usize) -> Vec<Projected> {
        let confirmation = Confirmation {
            record: RecordId { writer: WriterId(1), seq: 1 },
            durable_at: UnixMicros(1),
            at: UnixMicros(2),
            outcome: Outcome::Played,
        };
        let fact = Fact::Confirmed(confirmation);
        let place = Place {
            id: RecordId { writer: WriterId(1), seq: 2 },
            prev_hash: Hash::NONE,
            written_at: UnixMicros(3),
        };
        let entropy = Entropy::new([7; _]);
        let record = Record::seal(&fact, place, None, &entropy);
        let record = record.expect("a confirmation needs no key");
        let projected = |_| Projected::new(record.clone(), None).expect("it has no number");
        (0..count).map(projected).collect()
    }

    #[test]
    fn nobody_waits_for_a_projection_that_stands_still() {
        let (feed, _nobody_reads) = Feed::new(Vec::new());
        for _ in 0..2 * QUEUE_LEN_MAX {
            feed.facts(group(1), Hash::NONE);
        }
        // On a thread of its own, so that a feed that waits is a failure and not a standstill.
        let (answer, asked) = sync_channel(1);
        let asking = feed.clone();
        std::thread::spawn(move || {
            let (done, wait) = sync_channel(1);
            asking.flush(done);
            answer.send(wait.try_recv()).expect("the test listens");
        });
        let told = asked.recv_timeout(Duration::from_secs(20)).expect("a full queue is no wait");
        assert_eq!(told, Ok(false), "who asks is told at once that the database is behind");
        assert_eq!(feed.stats.overflowed.load(Ordering::Relaxed), QUEUE_LEN_MAX as u64);
        assert!(feed.missed.load(Ordering::Relaxed), "the journal is read for them");
    }

    #[test]
    fn the_queue_holds_so_many_facts_however_large_the_groups() {
        let (feed, queue) = Feed::new(Vec::new());
        for _ in 0..16 {
            feed.facts(group(512), Hash::NONE);
        }
        assert_eq!(feed.stats.overflowed.load(Ordering::Relaxed), 0, "the limit itself");
        feed.facts(group(1), Hash::NONE);
        assert_eq!(feed.stats.overflowed.load(Ordering::Relaxed), 1);
        assert_eq!(queue.try_iter().count(), 16);
    }
}
