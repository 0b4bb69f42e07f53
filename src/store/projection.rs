//! The projection thread: takes durable facts and call records into the database, behind.
//!
//! It may fall behind and it may fail; neither holds up an opt-out: nobody ever waits for room in
//! its queue. What it could not be handed it reads from the journal later, from its cursor; call
//! records, which stand nowhere else, are lost and counted.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::model::RecordId;
use crate::model::WriterId;
use crate::record::Cdr;
use crate::suppression::proof::Hash;

use super::StoreError;
use super::archive::open_record;
use super::journal::streams;
use super::keys::KeyFile;
use super::ledger::Held;
use super::sqlite::Cursor;
use super::sqlite::Database;
use super::sqlite::Projected;
use super::watch::Watch;

/// Messages that wait at most: groups of facts and single call records. A full queue loses call
/// records and makes facts be read from the journal instead; both are counted.
const QUEUE_LEN_MAX: usize = 1024;
/// Facts that wait in the queue at most, whatever their groups: some 16 MB. Four minutes of the
/// busiest node; a database that is away longer is caught up with from the journal, where these
/// facts stand anyway.
const FACTS_QUEUED_MAX: usize = 8192;
/// Call records written with one transaction at most.
const CALLS_MAX: usize = 512;
/// Facts written with one transaction at most.
const FACTS_MAX: usize = 1024;
/// How long a fact or call record waits for others to share its transaction, and how soon a
/// failed transaction is tried again. A transaction for each group took so much of the disk and
/// the processor that the commit thread's p99 rose fourfold (benches/journal.rs).
const IDLE_MAX: Duration = Duration::from_millis(50);
/// How long the thread looks away once it has taken in what waited. Whoever hands over to a thread
/// that waits pays for waking it, at 200 calls a second more than for all else that is done here.
const GATHER: Duration = Duration::from_millis(10);
/// The same under load, by the stamps of the facts that wait.
const WAIT_MAX_MICROS: i64 = 50_000;

enum Message {
    Facts {
        facts: Vec<Projected>,
        hash: Hash,
    },
    Call(Box<Cdr>),
    Flush(SyncSender<bool>),
    Close,
    #[cfg(test)]
    Panic,
}

/// What the projection has done and lost since the store was opened.
#[derive(Debug, Default)]
pub(super) struct ProjectionStats {
    /// Call records that found the queue full or the database failing.
    pub(super) calls_lost: AtomicU64,
    /// Transactions that failed.
    pub(super) failed: AtomicU64,
    /// Facts that found no room in the queue and are read from the journal instead.
    pub(super) overflowed: AtomicU64,
}

/// The way to the projection thread.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    messages: SyncSender<Message>,
    /// Set when facts could not be handed over and stand in the journal only.
    missed: Arc<AtomicBool>,
    /// The last record that is durable in each stream of this process (another one for each time
    /// that the disk failed), the one being written last: what the journal holds behind it may be
    /// lost in a power cut, and the database must never know more than the journal.
    durable: Arc<Mutex<Vec<RecordId>>>,
    /// Facts that stand in the queue.
    queued: Arc<AtomicUsize>,
    pub(super) stats: Arc<ProjectionStats>,
}

impl Feed {
    /// A feed with the far end of its queue.
    fn new() -> (Self, Receiver<Message>) {
        let (messages, queue) = sync_channel(QUEUE_LEN_MAX);
        let feed = Self {
            messages,
            missed: Arc::default(),
            durable: Arc::default(),
            queued: Arc::default(),
            stats: Arc::default(),
        };
        (feed, queue)
    }

    /// Hands over durable facts of one stream, the last of which has `hash`; without room they
    /// are left to be read from the journal. Never waits.
    pub(super) fn facts(&self, facts: Vec<Projected>, hash: Hash) {
        let Some(last) = facts.last().map(|projected| projected.record.id) else { return };
        {
            let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
            match durable.last_mut().filter(|head| head.writer == last.writer) {
                Some(head) => *head = last,
                None => durable.push(last),
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

    /// Hands over a call record, or counts it as lost.
    pub(super) fn call(&self, call: Cdr) {
        if self.messages.try_send(Message::Call(Box::new(call))).is_err() {
            self.stats.calls_lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Has `done` told whether everything before is in the database, once it was tried; without
    /// room in the queue it is not, and that is told at once. Never waits, since who calls is the
    /// commit thread.
    pub(super) fn flush(&self, done: SyncSender<bool>) {
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
    pub(super) fn break_down(&self) {
        self.messages.send(Message::Panic).expect("the thread lives until now");
    }
}

/// The projection thread, with its handle.
#[derive(Debug)]
pub(super) struct Projection {
    pub(super) feed: Feed,
    pub(super) held: Arc<Held>,
    thread: Option<JoinHandle<()>>,
}

impl Projection {
    /// Starts the thread; `keys` is a handle of its own, for facts read from the journal.
    pub(super) fn start(
        database: Database,
        keys: KeyFile,
        journal_dir: PathBuf,
        held: Arc<Held>,
        watch: Watch,
    ) -> Result<Self, StoreError> {
        let (feed, queue) = Feed::new();
        let projector = Projector {
            held: Arc::clone(&held),
            database,
            keys,
            journal_dir,
            cursors: Vec::new(),
            missed: Arc::clone(&feed.missed),
            durable: Arc::clone(&feed.durable),
            queued: Arc::clone(&feed.queued),
            stats: Arc::clone(&feed.stats),
            calls: Vec::new(),
            waiting: Vec::new(),
            waiting_hash: Hash::NONE,
            is_failing: false,
            is_hurried: false,
        };
        let thread = std::thread::Builder::new()
            .name("projection".to_owned())
            .spawn(move || {
                let _watch = watch;
                projector.run(&queue);
            })
            .map_err(StoreError::io("start", "the projection thread"))?;
        Ok(Self { feed, held, thread: Some(thread) })
    }

    /// Ends the thread after everything handed over before.
    pub(super) fn close(&mut self) -> Result<(), StoreError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        // When the thread is gone already there is nobody to tell.
        let _ = self.feed.messages.send(Message::Close);
        let ended = thread.join();
        self.held.close();
        ended.map_err(|_panic| StoreError::Closed)
    }
}

impl Drop for Projection {
    fn drop(&mut self) {
        // What did not reach the database is taken in at the next start.
        let _ = self.close();
    }
}

struct Projector {
    /// Who waits for the database.
    held: Arc<Held>,
    database: Database,
    keys: KeyFile,
    journal_dir: PathBuf,
    /// How far each stream of this process has been taken in: one, and one for each time that the
    /// disk failed.
    cursors: Vec<Cursor>,
    missed: Arc<AtomicBool>,
    durable: Arc<Mutex<Vec<RecordId>>>,
    queued: Arc<AtomicUsize>,
    stats: Arc<ProjectionStats>,
    calls: Vec<Cdr>,
    /// Facts that wait for a transaction, and the hash of the last.
    waiting: Vec<Projected>,
    waiting_hash: Hash,
    is_failing: bool,
    /// Whether somebody waits for what was taken from the queue.
    is_hurried: bool,
}

/// The next message, when there is one within [`IDLE_MAX`].
fn next(queue: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
    queue.try_recv().or_else(|_none_waits| {
        // Nobody unparks the thread; one that did would only have it look sooner.
        std::thread::park_timeout(GATHER);
        queue.try_recv().or_else(|_none_came| queue.recv_timeout(IDLE_MAX))
    })
}

impl Projector {
    /// As [`next`]; but where people wait for the database nothing is gathered: what came in while
    /// the last transaction was made is the next one.
    fn next(&mut self, queue: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        if !self.held.waits() {
            return next(queue);
        }
        let is_hurried = std::mem::take(&mut self.is_hurried);
        let next = queue.try_recv();
        next.or_else(|_none_waits| match is_hurried {
            true => Err(RecvTimeoutError::Timeout),
            false => queue.recv_timeout(IDLE_MAX),
        })
    }

    fn run(mut self, queue: &Receiver<Message>) {
        loop {
            match self.next(queue) {
                Ok(Message::Facts { facts, hash }) => {
                    self.queued.fetch_sub(facts.len(), Ordering::AcqRel);
                    self.facts(facts, hash);
                    self.is_hurried = self.held.is_awaited();
                }
                Ok(Message::Call(call)) => {
                    self.calls.push(*call);
                    if self.calls.len() >= CALLS_MAX {
                        self.take_in();
                    }
                }
                Ok(Message::Flush(done)) => {
                    self.settle();
                    // Whoever waited may have given up.
                    let _ = done.send(!self.missed.load(Ordering::Acquire));
                }
                Err(RecvTimeoutError::Timeout) => self.settle(),
                #[cfg(test)]
                Ok(Message::Panic) => panic!("the test has the projection thread panic"),
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        self.take_in();
        self.catch_up();
    }

    /// Puts a group to those that wait for a transaction, unless one before it was missed: then
    /// the journal is read instead.
    fn facts(&mut self, facts: Vec<Projected>, hash: Hash) {
        let id = |projected: &Projected| projected.record.id;
        let (Some(first), Some(last)) = (facts.first().map(id), facts.last().map(id)) else {
            return;
        };
        if self.waiting.last().is_some_and(|waiting| id(waiting).writer != last.writer) {
            self.take_in();
        }
        let known = match self.waiting.last() {
            Some(waiting) => id(waiting).seq,
            None => self.cursor(last.writer).seq,
        };
        if last.seq <= known {
            return; // The journal was read while this group stood in the queue.
        }
        if first.seq != known + 1 {
            self.missed.store(true, Ordering::Release);
            return;
        }
        self.waiting.extend(facts);
        self.waiting_hash = hash;
        let written_at = |projected: &Projected| projected.record.written_at.0;
        let oldest = self.waiting.first().map_or(0, written_at);
        let newest = self.waiting.last().map_or(0, written_at);
        let is_old = newest.saturating_sub(oldest) >= WAIT_MAX_MICROS;
        if is_old || self.waiting.len() >= FACTS_MAX {
            self.take_in();
        }
    }

    /// Writes what waits in one transaction.
    fn take_in(&mut self) {
        let facts = std::mem::take(&mut self.waiting);
        let calls = std::mem::take(&mut self.calls);
        if facts.is_empty() && calls.is_empty() {
            return;
        }
        let cursor = facts.last().map(|last| {
            let RecordId { writer, seq } = last.record.id;
            Cursor { writer, seq, hash: self.waiting_hash, is_closed: false }
        });
        match self.database.take_in(cursor, &facts, &calls) {
            Ok(()) => {
                if let Some(cursor) = cursor {
                    *self.cursor(cursor.writer) = cursor;
                    self.held.is_stored(RecordId { writer: cursor.writer, seq: cursor.seq });
                }
                self.worked();
            }
            Err(error) => {
                self.failed(&error, calls.len());
                if cursor.is_some() {
                    self.missed.store(true, Ordering::Release);
                }
            }
        }
    }

    /// Counts a failed transaction; says so once, until one works again.
    fn failed(&mut self, error: &StoreError, calls_lost: usize) {
        self.stats.failed.fetch_add(1, Ordering::Relaxed);
        self.stats.calls_lost.fetch_add(calls_lost as u64, Ordering::Relaxed);
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::warn!(%error, "the database cannot be written; facts wait in the journal");
        }
    }

    fn worked(&mut self) {
        if std::mem::take(&mut self.is_failing) {
            tracing::info!("the database is written again");
        }
    }

    /// The place in a stream of this process, from its beginning where it is new.
    fn cursor(&mut self, writer: WriterId) -> &mut Cursor {
        let at = self.cursors.iter().position(|cursor| cursor.writer == writer);
        let at = at.unwrap_or_else(|| {
            self.cursors.push(Cursor { writer, seq: 0, hash: Hash::NONE, is_closed: false });
            self.cursors.len() - 1
        });
        &mut self.cursors[at]
    }

    /// Reads what was missed from our own streams in the journal, the last of which may be growing.
    fn catch_up(&mut self) {
        if !self.missed.swap(false, Ordering::AcqRel) {
            return;
        }
        let durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match durable.into_iter().try_for_each(|head| self.read_missed(head)) {
            Ok(()) => self.worked(),
            Err(error) => {
                self.failed(&error, 0);
                self.missed.store(true, Ordering::Release);
            }
        }
    }

    fn read_missed(&mut self, head: RecordId) -> Result<(), StoreError> {
        let mut cursor = *self.cursor(head.writer);
        if cursor.seq >= head.seq {
            return Ok(());
        }
        let after = cursor.seq;
        let streams = streams(&self.journal_dir)?;
        let stream = streams.into_iter().find(|stream| stream.writer == head.writer);
        let Some(stream) = stream else { return Ok(()) };
        let Self { database, keys, cursors, held, .. } = self;
        let mut facts: Vec<Projected> = Vec::new();
        let mut take_in = |facts: &mut Vec<Projected>| {
            let Some(Projected { record, .. }) = facts.last() else { return Ok(()) };
            let next = Cursor { seq: record.id.seq, hash: record.hash(), ..cursor };
            database.take_in(Some(next), facts, &[])?;
            held.is_stored(record.id);
            cursor = next;
            if let Some(known) = cursors.iter_mut().find(|known| known.writer == next.writer) {
                *known = next;
            }
            facts.clear();
            Ok::<_, StoreError>(())
        };
        // A batch that is being written right now looks like a cut one: it is handed over later.
        stream.read(after, |record| {
            if record.id.seq > head.seq {
                return Ok(());
            }
            let fact = open_record(keys, &record)?;
            facts.push(Projected { record, fact });
            if facts.len() >= FACTS_MAX { take_in(&mut facts) } else { Ok(()) }
        })?;
        take_in(&mut facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        (0..count).map(|_| Projected { record: record.clone(), fact: None }).collect()
    }

    #[test]
    fn nobody_waits_for_a_projection_that_stands_still() {
        let (feed, _nobody_reads) = Feed::new();
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
        let (feed, queue) = Feed::new();
        for _ in 0..16 {
            feed.facts(group(512), Hash::NONE);
        }
        assert_eq!(feed.stats.overflowed.load(Ordering::Relaxed), 0, "the limit itself");
        feed.facts(group(1), Hash::NONE);
        assert_eq!(feed.stats.overflowed.load(Ordering::Relaxed), 1);
        assert_eq!(queue.try_iter().count(), 16);
    }
}
