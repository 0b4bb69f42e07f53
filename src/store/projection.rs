//! The projection thread: takes durable facts and call records into the database, behind.
//!
//! It may fall behind and it may fail; neither holds up an opt-out: nobody ever waits for room in
//! its queue. What it could not be handed it reads from the journal later, from its cursor; call
//! records stand nowhere else: so many wait in memory, and those beyond are lost and counted.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::model::RecordId;
use crate::model::WriterId;
use crate::record::Cdr;
use crate::suppression::proof::Hash;

use super::StoreError;
use super::archive::Reach;
use super::archive::open_record;
use super::database::Cursor;
use super::database::Database;
use super::database::Projected;
use super::journal::Stream;
use super::journal::streams;
use super::keys::KeyFile;
use super::ledger::Held;
use super::postgres::ServerError;
use super::watch::OnEvent;
use super::watch::StoreEvent;
use super::watch::Watch;
use feed::Message;
use feed::is_behind;

mod feed;

pub(super) use feed::Feed;
pub(super) use feed::Forgetting;
/// Call records written with one transaction at most.
const CALLS_MAX: usize = 512;
/// Call records that wait for a database that is away, some 1 KB each; at 50 calls a second it may
/// be away for five minutes before any is lost.
const CALLS_WAIT_MAX: usize = 16_384;
/// Facts written with one transaction at most.
const FACTS_MAX: usize = 1024;
/// The fewest that a slow way to the database is given at a time: some 50 KB.
const FACTS_MIN: usize = 16;
/// How long a fact or call record waits for others to share its transaction, and how soon a
/// failed transaction is tried again. A transaction for each group took so much of the disk and
/// the processor that the commit thread's p99 rose fourfold (benches/journal.rs).
const IDLE_MAX: Duration = Duration::from_millis(50);
/// How long the thread looks away once it has taken in what waited. Whoever hands over to a thread
/// that waits pays for waking it, at 200 calls a second more than for all else that is done here.
const GATHER: Duration = Duration::from_millis(10);
/// Messages after which a database that fails is tried again, however many more wait.
const SETTLE_EVERY: u32 = 64;
/// The same under load, by the stamps of the facts that wait.
const WAIT_MAX_MICROS: i64 = 50_000;

/// How many missed facts are handed to the database in one transaction, which has to come to its end
/// in a given time: half as many after each that did not, and an eighth more after each that did.
/// Else a way on which a full group takes too long would never bring one over.
#[derive(Clone, Copy, Debug)]
struct GroupSize(usize);

impl GroupSize {
    fn worked(&mut self) {
        self.0 = (self.0 + self.0 / 8 + 1).min(FACTS_MAX);
    }

    fn failed(&mut self) {
        self.0 = (self.0 / 2).max(FACTS_MIN);
    }
}

/// What is not yet in the database, and where it is read.
#[derive(Debug)]
pub(super) struct Backlog {
    pub(super) journal_dir: PathBuf,
    /// A handle of its own, for facts read from the journal.
    pub(super) keys: KeyFile,
    /// Streams of processes before us that a shared database may lack, or lose.
    pub(super) past: Vec<Reach>,
}

/// The projection thread, with its handle.
#[derive(Debug)]
pub(super) struct Projection {
    pub(super) feed: Feed,
    pub(super) held: Arc<Held>,
    thread: Option<JoinHandle<()>>,
}

impl Projection {
    /// Starts the thread; `on_event` hears that the database fails, and that it works again.
    pub(super) fn start(
        database: Database,
        backlog: Backlog,
        held: Arc<Held>,
        watch: Watch,
        on_event: OnEvent,
    ) -> Result<Self, StoreError> {
        let Backlog { journal_dir, keys, past } = backlog;
        let is_failing = past.iter().any(is_behind);
        let knows_cursors = past.is_empty();
        let (feed, queue) = Feed::new(past);
        let projector = Projector {
            held: Arc::clone(&held),
            database,
            keys,
            journal_dir,
            cursors: Vec::new(),
            knows_cursors,
            feed: feed.clone(),
            on_event,
            calls: Vec::new(),
            waiting: Vec::new(),
            waiting_hash: Hash::NONE,
            is_failing,
            missed_at_once: GroupSize(FACTS_MAX),
            is_hurried: false,
            unsettled: 0,
        };
        if is_failing {
            (projector.on_event)(StoreEvent::DatabaseFailed);
        }
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
    /// disk failed; and the streams that the database knew when it was back.
    cursors: Vec<Cursor>,
    /// Whether no stream of a process before us is to be taken in, or it is known from where on.
    knows_cursors: bool,
    feed: Feed,
    on_event: OnEvent,
    calls: Vec<Cdr>,
    /// Facts that wait for a transaction, and the hash of the last.
    waiting: Vec<Projected>,
    waiting_hash: Hash,
    is_failing: bool,
    missed_at_once: GroupSize,
    /// Whether somebody waits for what was taken from the queue.
    is_hurried: bool,
    /// Messages since it was last tried to bring the database up to date.
    unsettled: u32,
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
                    self.feed.queued.fetch_sub(facts.len(), Ordering::AcqRel);
                    self.facts(facts, hash);
                    self.is_hurried = self.held.is_awaited();
                }
                Ok(Message::Call(call)) => self.call(*call),
                Ok(Message::Flush(done)) => {
                    self.settle();
                    // Whoever waited may have given up.
                    let is_behind =
                        self.feed.missed.load(Ordering::Acquire) || !self.calls.is_empty();
                    let _ = done.send(!is_behind);
                }
                Ok(Message::Forget(Forgetting { node, limit, len_max, done })) => {
                    self.settle();
                    let forgotten = limit
                        .map_or(Ok(0), |limit| self.database.forget_calls(&node, limit, len_max));
                    self.database.scrub();
                    // As above.
                    let _ = done.send(forgotten);
                }
                Err(RecvTimeoutError::Timeout) => self.settle(),
                #[cfg(test)]
                Ok(Message::Panic) => panic!("the test has the projection thread panic"),
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => break,
            }
            self.settle_at_times();
        }
        self.settle();
    }

    fn settle(&mut self) {
        self.take_in();
        while !self.calls.is_empty() && !self.is_failing {
            self.take_in();
        }
        self.catch_up();
    }

    /// While the database fails it is tried again when nothing else is to do, and at least so
    /// often.
    fn settle_at_times(&mut self) {
        if self.is_failing || self.feed.missed.load(Ordering::Acquire) {
            self.unsettled += 1;
            if self.unsettled >= SETTLE_EVERY {
                self.unsettled = 0;
                self.settle();
            }
        }
    }

    fn call(&mut self, call: Cdr) {
        if self.calls.len() >= CALLS_WAIT_MAX {
            self.feed.stats.calls_lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.calls.push(call);
        if self.calls.len() >= CALLS_MAX && !self.is_failing {
            self.take_in();
        }
    }

    /// Puts a group to those that wait for a transaction, unless one before it was missed: then
    /// the journal is read instead.
    fn facts(&mut self, facts: Vec<Projected>, hash: Hash) {
        let id = |projected: &Projected| projected.record().id;
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
            self.feed.missed.store(true, Ordering::Release);
            return;
        }
        self.waiting.extend(facts);
        self.waiting_hash = hash;
        let written_at = |projected: &Projected| projected.record().written_at.0;
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
        let calls_len = self.calls.len().min(CALLS_MAX);
        let calls: Vec<Cdr> = self.calls.drain(..calls_len).collect();
        if facts.is_empty() && calls.is_empty() {
            return;
        }
        let cursor = facts.last().map(|last| {
            let RecordId { writer, seq } = last.record().id;
            Cursor { writer, seq, hash: self.waiting_hash, is_closed: false }
        });
        match self.database.take_in(cursor, &facts, &calls) {
            Ok(()) => {
                if let Some(cursor) = cursor {
                    *self.cursor(cursor.writer) = cursor;
                    self.note_taken(cursor);
                }
                self.worked();
            }
            Err(error) => {
                self.failed(&error);
                self.calls.splice(..0, calls);
                if cursor.is_some() {
                    self.feed.missed.store(true, Ordering::Release);
                }
            }
        }
    }

    /// Tells who waits for the database, and who asks how many facts wait.
    fn note_taken(&self, cursor: Cursor) {
        self.held.is_stored(RecordId { writer: cursor.writer, seq: cursor.seq });
        let mut reaches = self.feed.reaches();
        // The stream that is being written is the last.
        let of_writer = reaches.iter_mut().rfind(|reach| reach.last.writer == cursor.writer);
        if let Some(reach) = of_writer {
            reach.taken = cursor.seq;
        }
    }

    /// Counts a failed transaction; says so once, until one works again.
    fn failed(&mut self, error: &StoreError) {
        if !matches!(error, StoreError::Server(ServerError::Later)) {
            self.feed.stats.failed.fetch_add(1, Ordering::Relaxed);
        }
        if self.database.is_shared() || matches!(error, StoreError::Moved) {
            // A server that takes its place may know less than this one did.
            self.forget_cursors();
        }
        if !std::mem::replace(&mut self.is_failing, true) {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "the database cannot be written; facts wait in the journal");
            (self.on_event)(StoreEvent::DatabaseFailed);
        }
    }

    /// Has the database asked how far each stream is there, and what is missing read again.
    fn forget_cursors(&mut self) {
        self.knows_cursors = false;
        self.cursors.clear();
        self.feed.missed.store(true, Ordering::Release);
    }

    /// The database took what it was given; it is back once it has everything.
    fn worked(&mut self) {
        if self.is_failing && !self.feed.missed.load(Ordering::Acquire) {
            self.is_failing = false;
            tracing::info!("the database is written again");
            (self.on_event)(StoreEvent::DatabaseBack);
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

    /// Reads what was missed from the journal: from our own streams, the last of which may be
    /// growing, and from those of processes before us.
    fn catch_up(&mut self) {
        if self.feed.lost.swap(false, Ordering::AcqRel) {
            self.forget_cursors();
            if !std::mem::replace(&mut self.is_failing, true) {
                (self.on_event)(StoreEvent::DatabaseFailed);
            }
        }
        if !self.feed.missed.swap(false, Ordering::AcqRel) {
            return;
        }
        match self.read_all_missed() {
            Ok(()) => self.worked(),
            Err(error) => {
                self.failed(&error);
                self.feed.missed.store(true, Ordering::Release);
            }
        }
    }

    fn read_all_missed(&mut self) -> Result<(), StoreError> {
        if !self.knows_cursors {
            for known in self.database.cursors()? {
                *self.cursor(known.writer) = known;
            }
            self.knows_cursors = true;
        }
        let reaches: Vec<Reach> = self.feed.reaches().clone();
        let streams = streams(&self.journal_dir)?;
        let mut done = Ok(());
        for reach in reaches {
            let stream = streams.iter().find(|stream| stream.writer == reach.last.writer);
            if let Some(stream) = stream {
                // A stream that the database refuses holds up none of the others.
                let read = self.read_missed(reach, stream);
                done = done.and(read);
            }
        }
        done
    }

    fn read_missed(&mut self, reach: Reach, stream: &Stream) -> Result<(), StoreError> {
        let RecordId { writer, seq: last_seq } = reach.last;
        let mut cursor = *self.cursor(writer);
        if cursor.seq < last_seq {
            // A batch that is being written right now looks like a cut one: it is handed over
            // later.
            let mut facts: Vec<Projected> = Vec::new();
            let read = stream.read(cursor.seq, |record| {
                if record.id.seq > last_seq {
                    return Ok(());
                }
                let fact = open_record(&self.keys, &record)?;
                facts.push(Projected::new(record, fact)?);
                if facts.len() >= self.missed_at_once.0 {
                    self.take_missed(&mut facts)
                } else {
                    Ok(())
                }
            });
            if matches!(read, Ok(_) | Err(StoreError::Unkept { .. })) {
                // What stands before a record that nobody can read is not to wait for it.
                self.take_missed(&mut facts)?;
            }
            read?;
            cursor = *self.cursor(writer);
        }
        if reach.is_past && !cursor.is_closed {
            let closed = Cursor { is_closed: true, ..cursor };
            self.database.take_in(Some(closed), &[], &[])?;
            *self.cursor(writer) = closed;
        }
        self.note_taken(cursor);
        Ok(())
    }

    /// Takes in `facts` of one stream and empties them.
    fn take_missed(&mut self, facts: &mut Vec<Projected>) -> Result<(), StoreError> {
        let Some(record) = facts.last().map(Projected::record) else { return Ok(()) };
        let RecordId { writer, seq } = record.id;
        let next = Cursor { writer, seq, hash: record.hash(), is_closed: false };
        if let Err(error) = self.database.take_in(Some(next), facts, &[]) {
            if !matches!(error, StoreError::Server(ServerError::Later)) {
                self.missed_at_once.failed();
            }
            return Err(error);
        }
        self.missed_at_once.worked();
        *self.cursor(writer) = next;
        self.note_taken(next);
        facts.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_that_takes_few_facts_at_a_time_gets_few_and_no_fewer() {
        for carried in [FACTS_MIN, 40, 700, FACTS_MAX] {
            let (mut size, mut failures, mut facts) = (GroupSize(FACTS_MAX), 0, 0);
            for _ in 0..1_000 {
                if size.0 <= carried {
                    facts += size.0;
                    size.worked();
                } else {
                    failures += 1;
                    size.failed();
                }
                assert!((FACTS_MIN..=FACTS_MAX).contains(&size.0));
            }
            assert!(facts > 300 * carried, "{facts} facts by {carried}, {failures} failures");
        }
    }
}
