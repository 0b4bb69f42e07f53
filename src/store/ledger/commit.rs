//! The commit thread: drains the queue, seals, appends, syncs, answers, and signs checkpoints.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::model::WriterId;
use crate::store::Clock;
use crate::store::believed::Believed;
use crate::store::database::Projected;
use crate::store::journal::Journal;
use crate::store::keys::KeyFile;
use crate::store::projection::Feed;
use crate::store::random;
use crate::store::watch::Failure;
use crate::store::watch::OnEvent;
use crate::store::watch::StoreEvent;
use crate::suppression::Durable;
use crate::suppression::Erasure;
use crate::suppression::Fact;
use crate::suppression::LedgerError;
use crate::suppression::OptOut;
use crate::suppression::proof::Entropy;
use crate::suppression::proof::Hash;
use crate::suppression::proof::NumberKey;
use crate::suppression::proof::Place;
use crate::suppression::proof::Record;

use super::Job;
use super::LedgerStats;
use super::held::Held;
use super::sign::Signing;

/// Most facts in one sync: so many take about as long to seal as a slow disk takes to sync.
const GROUP_LEN_MAX: usize = 512;

/// Who is told how a fact ended.
#[derive(Clone, Copy)]
enum Asker {
    /// Whoever submitted it with this token.
    Token(u64),
    /// Nobody any more: it was refused before, and is written all the same.
    Late,
    /// Nobody: the ledger writes it by itself.
    Ledger,
}

/// Everything the commit thread owns.
pub(in crate::store) struct Committer {
    pub(in crate::store) journal: Journal,
    pub(in crate::store) record_len_max: usize,
    pub(in crate::store) keys: KeyFile,
    pub(in crate::store) writer: WriterId,
    pub(in crate::store) clock: Clock,
    /// No record is written as of before this.
    pub(in crate::store) believed: Arc<Believed>,
    pub(in crate::store) reopen_every: Duration,
    /// When the disk was tried last.
    pub(in crate::store) tried_at: UnixMicros,
    pub(in crate::store) held: Arc<Held>,
    pub(in crate::store) on_event: OnEvent,
    pub(in crate::store) feed: Feed,
    pub(in crate::store) failure: Arc<Failure>,
    pub(in crate::store) stats: Arc<LedgerStats>,
    /// The last record that is durable, and its hash.
    pub(in crate::store) head: (u64, Hash),
    pub(in crate::store) signing: Signing,
}

/// A fact that is sealed and not yet durable.
struct Waiting {
    asker: Asker,
    record: Record,
    fact: Fact,
    hash: Hash,
}

/// What goes to the disk with the next sync.
struct Pending {
    waiting: Vec<Waiting>,
    /// The last record, durable or waiting, and its hash.
    head: (u64, Hash),
    /// Records behind the last checkpoint of this stream.
    unsigned: u64,
}

impl Pending {
    const fn new(head: (u64, Hash), unsigned: u64) -> Self {
        Self { waiting: Vec::new(), head, unsigned }
    }
}

impl Committer {
    /// Works until it is told to close, or nobody can tell it any more.
    pub(in crate::store) fn run(mut self, queue: &Receiver<Job>) {
        let mut group = Vec::new();
        while let Some(job) = self.next(queue) {
            let mut next = Some(job);
            let mut control = None;
            while let Some(job) = next.take() {
                match job {
                    Job::Fact { token, fact } => group.push((Asker::Token(token), fact)),
                    Job::Wake => {}
                    other => control = Some(other),
                }
                if control.is_none() && group.len() < GROUP_LEN_MAX {
                    next = queue.try_recv().ok();
                }
            }
            self.commit(&mut group);
            self.commit_late();
            self.held.expire((self.clock)());
            match control {
                Some(Job::Checkpoint) => self.sign_now(),
                Some(Job::Retire(slots)) => self.keys.retire(&slots),
                Some(Job::Write { erasure, done }) => {
                    // Whoever waited may have given up.
                    let _ = done.send(self.write(*erasure));
                }
                Some(Job::Flush(done)) => self.feed.flush(done),
                Some(Job::Close) => break,
                #[cfg(test)]
                Some(Job::Panic) => panic!("the test has the commit thread panic"),
                Some(Job::Fact { .. } | Job::Wake) | None => {}
            }
        }
        self.close();
    }

    /// The next thing to do; in between, answers that have waited long enough are given out, the
    /// disk is tried while the journal has failed, and while it works, what nobody has signed for
    /// long is signed.
    fn next(&mut self, queue: &Receiver<Job>) -> Option<Job> {
        loop {
            let now = (self.clock)();
            let is_failing = self.failure.current().is_some();
            let upkeep =
                if is_failing { Some(self.reopen_every) } else { self.signing.due_in(now) };
            let answers = self.held.due_in(now);
            let job = match upkeep.into_iter().chain(answers).min() {
                Some(wait) => queue.recv_timeout(wait),
                None => queue.recv().map_err(|_gone| RecvTimeoutError::Disconnected),
            };
            let is_for_answers =
                answers.is_some_and(|wait| upkeep.is_none_or(|other| wait < other));
            match job {
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if is_for_answers => {
                    self.held.expire((self.clock)())
                }
                Err(RecvTimeoutError::Timeout) if is_failing => self.reopen(),
                Err(RecvTimeoutError::Timeout) => self.sign_now(),
                Ok(job) => {
                    // Those who ask the store things must not keep it from trying.
                    let waited = Duration::from_micros(now.0.abs_diff(self.tried_at.0));
                    if is_failing && waited >= self.reopen_every {
                        self.reopen();
                    }
                    return Some(job);
                }
            }
        }
    }

    /// Begins a new stream if the disk takes it. The old one is left as a crash would leave it,
    /// cut behind the last record that was acknowledged where the disk lets us: what else stands
    /// in it may be found at the next start, or not.
    fn reopen(&mut self) {
        self.tried_at = (self.clock)();
        let begun = self.keys.make_room().and_then(|()| random::writer()).and_then(|writer| {
            self.journal.begin_anew(writer)?;
            Ok(writer)
        });
        match begun {
            Ok(writer) => {
                let (seq, hash) = self.head;
                self.signing.leave(RecordId { writer: self.writer, seq }, hash);
                (self.writer, self.head) = (writer, (0, Hash::NONE));
                self.stats.reopened.fetch_add(1, Ordering::Relaxed);
                self.failure.clear();
                self.commit_late();
                if self.failure.current().is_none() {
                    tracing::info!(%writer, "the journal is written again; opt-outs are confirmed");
                    (self.on_event)(StoreEvent::JournalBack);
                }
            }
            Err(error) => tracing::debug!(%error, "the journal still cannot be written"),
        }
    }

    /// Makes durable what was refused before, oldest first, as long as the disk takes it. Nobody
    /// is answered: who pressed was told that it failed.
    fn commit_late(&mut self) {
        let stats = Arc::clone(&self.stats);
        let mut group = Vec::new();
        while self.failure.current().is_none() && !stats.late.is_empty() {
            let taken = std::iter::from_fn(|| stats.late.take()).take(GROUP_LEN_MAX);
            group.extend(taken.map(|optout| (Asker::Late, Box::new(Fact::OptOut(optout)))));
            self.commit(&mut group);
        }
    }

    /// Makes a group durable and answers each of its facts.
    fn commit(&mut self, group: &mut Vec<(Asker, Box<Fact>)>) {
        let mut batch = Pending::new(self.head, self.signing.unsigned());
        if self.head.0 == 0 && !group.is_empty() {
            self.push_links(&mut batch);
        }
        for (asker, fact) in group.drain(..) {
            if let Some(failure) = self.failure.current() {
                self.refuse(asker, Some(*fact), failure);
                continue;
            }
            self.push(&mut batch, asker, *fact);
            if self.signing.is_full(batch.unsigned) {
                self.push_checkpoint(&mut batch);
            }
        }
        if self.signing.due_in((self.clock)()).is_some_and(|wait| wait.is_zero()) {
            self.push_checkpoint(&mut batch);
        }
        self.sync(&mut batch.waiting);
    }

    /// Makes an erasure durable that the store itself has to put on record.
    fn write(&mut self, erasure: Erasure) -> Result<(), LedgerError> {
        self.failure.current().map_or(Ok(()), Err)?;
        let mut batch = Pending::new(self.head, self.signing.unsigned());
        if self.head.0 == 0 {
            self.push_links(&mut batch);
        }
        let before = batch.head;
        self.push(&mut batch, Asker::Ledger, Fact::Erasure(Box::new(erasure)));
        let is_sealed = batch.head != before;
        self.sync(&mut batch.waiting);
        self.failure.current().map_or(Ok(()), Err)?;
        if is_sealed { Ok(()) } else { Err(LedgerError::Unsealed) }
    }

    /// Signs everything that is durable and not yet signed, that of streams before this one too.
    fn sign_now(&mut self) {
        if self.failure.current().is_some() {
            return;
        }
        let mut batch = Pending::new(self.head, self.signing.unsigned());
        if self.head.0 == 0 && self.signing.has_unsigned_ends() {
            self.push_links(&mut batch);
        }
        if batch.unsigned > 0 {
            self.push_checkpoint(&mut batch);
        }
        self.sync(&mut batch.waiting);
    }

    /// Puts the ends of streams before this one at its beginning, signed.
    fn push_links(&mut self, batch: &mut Pending) {
        if self.failure.current().is_some() {
            return;
        }
        for fact in self.signing.links((self.clock)()) {
            self.push(batch, Asker::Ledger, fact);
        }
    }

    fn push_checkpoint(&mut self, batch: &mut Pending) {
        let (seq, hash) = batch.head;
        if seq > 0 && self.failure.current().is_none() {
            let record = RecordId { writer: self.writer, seq };
            let fact = self.signing.checkpoint(record, hash, (self.clock)());
            self.push(batch, Asker::Ledger, fact);
        }
    }

    /// Seals a fact behind those that wait for the same sync.
    fn push(&mut self, batch: &mut Pending, asker: Asker, fact: Fact) {
        let is_signature = self.signing.is_own(self.writer, &fact);
        match self.seal(batch.head, &fact) {
            Ok((record, stored)) => {
                if !self.journal.push(&stored) {
                    self.sync(&mut batch.waiting);
                    // An empty batch takes every record that is not too large.
                    let _ = self.journal.push(&stored);
                }
                let hash = record.hash();
                batch.head = (record.id.seq, hash);
                batch.unsigned = if is_signature { 0 } else { batch.unsigned + 1 };
                batch.waiting.push(Waiting { asker, record, fact, hash });
            }
            Err(error) => self.refuse(asker, Some(fact), error),
        }
    }

    fn seal(
        &mut self,
        (seq, prev_hash): (u64, Hash),
        fact: &Fact,
    ) -> Result<(Record, Vec<u8>), LedgerError> {
        let key = self.key_for(fact).map_err(|error| self.fail(&error))?;
        let mut entropy = [0; Entropy::LEN];
        random::fill(&mut entropy).map_err(|error| self.fail(&error))?;
        let id = RecordId { writer: self.writer, seq: seq + 1 };
        let written_at = self.believed.or_later((self.clock)());
        let place = Place { id, prev_hash, written_at };
        let record = Record::seal(fact, place, key.as_ref(), &Entropy::new(entropy))
            .map_err(|_error| LedgerError::Unsealed)?;
        let mut stored = Vec::with_capacity(1024);
        record.write(&mut stored);
        if stored.len() > self.record_len_max {
            return Err(LedgerError::Large { found: stored.len(), max: self.record_len_max });
        }
        Ok((record, stored))
    }

    fn key_for(&mut self, fact: &Fact) -> io::Result<Option<NumberKey>> {
        match fact {
            Fact::OptOut(optout) => self.keys.key_of(optout.number).map(Some),
            Fact::Reversal(reversal) => self.keys.key_of(reversal.number).map(Some),
            Fact::Erasure(erasure) => {
                // Nothing more is sealed under what is about to be destroyed, the number itself least
                // of all.
                self.keys.retire(&erasure.slots);
                let has_number = !erasure.number.is_keyed();
                has_number.then(|| self.keys.key_of(erasure.number)).transpose()
            }
            Fact::Audio(_) | Fact::Checkpoint(_) | Fact::Confirmed(_) | Fact::Import(_) => Ok(None),
        }
    }

    /// Syncs what was pushed and answers; after an error nothing is written to this stream any more.
    fn sync(&mut self, waiting: &mut Vec<Waiting>) {
        let result = match self.failure.current() {
            Some(failure) => Err(failure),
            None => self.journal.commit(self.head.1).map_err(|error| self.fail(&error)),
        };
        if let Err(error) = result {
            for Waiting { asker, fact, .. } in waiting.drain(..) {
                self.refuse(asker, Some(fact), error);
            }
            return;
        }
        let Some(last) = waiting.last() else { return };
        self.head = (last.record.id.seq, last.hash);
        let durable_at = (self.clock)();
        self.stats.commits.fetch_add(1, Ordering::Relaxed);
        let mut facts = Vec::with_capacity(waiting.len());
        for Waiting { asker, record, fact, .. } in waiting.drain(..) {
            let id = record.id;
            self.signing.is_durable(durable_at, &fact, self.writer);
            match asker {
                Asker::Token(token) => {
                    let durable = Durable { record: id, durable_at, is_pending: false };
                    self.held.is_on_disk(token, durable, optout_of(&fact));
                }
                Asker::Late => self.tell_late(id, &fact),
                Asker::Ledger => {}
            }
            if !matches!(asker, Asker::Ledger) {
                self.stats.facts.fetch_add(1, Ordering::Relaxed);
            }
            match Projected::new(record, Some(fact)) {
                Ok(projected) => facts.push(projected),
                // It was written a moment ago; the journal is read for it, and says so again.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, record = %id, "a record cannot be read again");
                }
            }
        }
        self.feed.facts(facts, self.head.1);
    }

    /// Ends the stream: what the disk holds after a failed step is unknown, and a second sync may
    /// lie.
    fn fail(&self, error: &io::Error) -> LedgerError {
        let failure = LedgerError::Failed { kind: error.kind(), code: error.raw_os_error() };
        if self.failure.raise(failure) {
            self.stats.failures.fetch_add(1, Ordering::Relaxed);
            tracing::error!(error = %failure, "no opt-out is confirmed until the disk is back");
            (self.on_event)(StoreEvent::JournalFailed(failure));
        }
        failure
    }

    /// Answers that `fact` is not durable. An opt-out that the disk refused is kept for later.
    fn refuse(&self, asker: Asker, fact: Option<Fact>, error: LedgerError) {
        let is_for_later = matches!(error, LedgerError::Failed { .. });
        match (asker, fact) {
            (Asker::Late, Some(Fact::OptOut(optout))) if is_for_later => {
                self.stats.late.put_back(optout);
            }
            (Asker::Token(_), Some(Fact::OptOut(optout))) if is_for_later => {
                self.stats.late.keep(optout);
            }
            (Asker::Late, _) => tracing::error!(%error, "a refused opt-out is never written"),
            // What was not signed stays unsigned, and is signed with what comes after it.
            (Asker::Token(_) | Asker::Ledger, _) => {}
        }
        if let Asker::Token(token) = asker {
            self.stats.failed.fetch_add(1, Ordering::Relaxed);
            self.held.refuse(token, error);
        }
    }

    /// Tells that an opt-out is durable whose submitter had been told that it is not.
    fn tell_late(&self, record: RecordId, fact: &Fact) {
        self.stats.late.is_written();
        tracing::info!(%record, "an opt-out that had been refused is on disk");
        if let Fact::OptOut(optout) = fact {
            (self.on_event)(StoreEvent::WrittenLate { optout: optout.clone(), record });
        }
    }

    fn close(mut self) {
        if !self.stats.late.is_empty() {
            // The last chance of what only this process knows.
            if self.failure.current().is_some() {
                self.reopen();
            }
            self.commit_late();
        }
        let unwritten = self.stats.late.unwritten();
        if unwritten > 0 {
            tracing::error!(unwritten, "opt-outs end with this process: the disk never took them");
        }
        if self.signing.unsigned() > 0 {
            self.sign_now();
        }
        if self.failure.current().is_none()
            && let Err(error) = self.journal.finish()
        {
            tracing::warn!(%error, "the journal's last segment keeps its full size");
        }
    }
}

const fn optout_of(fact: &Fact) -> Option<&OptOut> {
    match fact {
        Fact::OptOut(optout) => Some(optout),
        _ => None,
    }
}
