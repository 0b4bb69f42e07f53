//! The store as the engine uses it: one value that owns the threads.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::model::WriterId;
use crate::record::Cdr;
use crate::suppression::Ack;
use crate::suppression::Fact;
use crate::suppression::FactLedger;
use crate::suppression::Index;
use crate::suppression::LedgerError;
use crate::suppression::import::Import;
use crate::suppression::import::Part;
use crate::suppression::proof::Hash;
use crate::suppression::proof::PublicKey;
use crate::suppression::proof::Signer;

use super::Clock;
use super::StoreError;
use super::archive::Archive;
use super::archive::Hold;
use super::archive::Recovered;
use super::archive::fill_from_journal;
use super::archive::journal_dir;
use super::believed::Believed;
use super::follow::Followed;
use super::follow::Follower;
use super::follow::Following;
use super::journal::Journal;
use super::journal::JournalDisk;
use super::journal::RealDisk;
use super::journal::SEGMENT_BYTES;
use super::keys::KeyFile;
use super::ledger::AckPolicy;
use super::ledger::CHECKPOINT_EVERY;
use super::ledger::CHECKPOINT_RECORDS_MAX;
use super::ledger::Committer;
use super::ledger::Held;
use super::ledger::Ledger;
use super::ledger::QUEUE_LEN_MAX;
use super::ledger::REOPEN_EVERY;
use super::ledger::Signing;
use super::numbers::NumberChoice;
use super::numbers::stored_call;
use super::projection::Backlog;
use super::projection::Projection;
use super::publish::Publisher;
use super::random;
use super::reader::Reader;
use super::segments::Segments;
use super::site::Site;
use super::site::Target;
use super::watch::OnEvent;
use super::watch::Watch;

/// How a store is opened.
pub struct Settings {
    /// The store's folder; made when it is missing.
    pub dir: PathBuf,
    /// The database behind the journal.
    pub target: Target,
    /// How numbers are kept: as it was chosen when the store was made.
    pub numbers: NumberChoice,
    /// Facts that may wait for the disk.
    pub queue_len_max: usize,
    /// Size of a journal segment, 8 KiB or more.
    pub segment_bytes: u64,
    /// The wall clock.
    pub clock: Clock,
    /// How soon after an error of the disk it is tried again.
    pub reopen_every: Duration,
    /// When a fact counts as durable.
    pub ack: AckPolicy,
    /// How other nodes are followed that write to the same database; nothing for a store that is
    /// only asked. The index is filled with what this node knows itself before the store is open, and
    /// by the follower with everything else.
    pub following: Option<Following>,
    /// How long a record stays without a signed checkpoint behind it, while the journal works.
    pub checkpoint_every: Duration,
    /// Records between two checkpoints at most, 1 or more.
    pub checkpoint_records_max: u64,
    /// Told what the store has to tell unasked.
    pub on_event: OnEvent,
}

impl Settings {
    /// The defaults, for the folder `dir`; events are told to nobody.
    pub fn new(dir: impl Into<PathBuf>, clock: Clock) -> Self {
        Self {
            dir: dir.into(),
            target: Target::default(),
            numbers: NumberChoice::default(),
            queue_len_max: QUEUE_LEN_MAX,
            segment_bytes: SEGMENT_BYTES,
            clock,
            reopen_every: REOPEN_EVERY,
            ack: AckPolicy::default(),
            following: None,
            checkpoint_every: CHECKPOINT_EVERY,
            checkpoint_records_max: CHECKPOINT_RECORDS_MAX,
            on_event: Arc::new(|_event| {}),
        }
    }
}

/// What a store has done and refused since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Facts made durable.
    pub facts: u64,
    /// Groups they were made durable in, each with one sync.
    pub commits: u64,
    /// Facts that were not taken: the queue was full, or the journal had failed.
    pub refused: u64,
    /// Facts that were taken and answered with an error.
    pub failed: u64,
    /// Errors of the disk after which nothing was written until it was back.
    pub journal_failures: u64,
    /// How often it was back, and a new stream begun.
    pub journal_reopened: u64,
    /// Opt-outs that were refused and are on disk by now.
    pub optouts_late: u64,
    /// Opt-outs that were refused and that only this process knows: they end with it unless the
    /// disk takes them.
    pub optouts_unwritten: u64,
    /// Those of them that found no room to wait in, and are never written.
    pub optouts_overflowed: u64,
    /// Answers given before the database had the fact, though it was to have it.
    pub acks_pending: u64,
    /// Opt-outs that were answered as not recorded and came into the database later, of which
    /// nobody was told then: there was no room to keep them for that.
    pub optouts_untold: u64,
    /// Call records lost.
    pub calls_lost: u64,
    /// Transactions of the database that failed; their facts are taken in later.
    pub projection_failed: u64,
    /// Facts that found no room on their way to the database, since it was stalled; they are
    /// taken in later, from the journal.
    pub projection_overflowed: u64,
    /// Facts that are durable here and, as far as is known, not yet in the database.
    pub facts_waiting: u64,
}

/// A store open for writing.
///
/// Share it by `Arc`: every method takes `&self`. Dropping it ends it as [`Self::close`] does,
/// save that errors are lost.
#[derive(Debug)]
pub struct Store {
    // The order matters when it is dropped: the ledger feeds the projection, and the lock goes
    // last.
    follower: Option<Follower>,
    pub(super) ledger: Ledger,
    pub(super) projection: Projection,
    _publisher: Option<Publisher>,
    pub(super) site: Site,
    pub(super) signer: Signer,
    pub(super) believed: Arc<Believed>,
    _lock: Hold,
}

impl Store {
    /// Takes hold of the store, recovers it, and begins a stream of its own.
    ///
    /// `on_ack` gets the answer to each submitted fact, on a thread of the store: it must hand the
    /// answer on and return.
    ///
    /// # Errors
    ///
    /// As [`Archive::open_exclusive`], and when the journal's first segment cannot be made.
    pub fn open(
        settings: Settings,
        on_ack: impl Fn(Ack) + Send + Sync + 'static,
    ) -> Result<(Self, Recovered), StoreError> {
        let disk = RealDisk::new(journal_dir(&settings.dir), settings.segment_bytes);
        Self::open_on(settings, Box::new(disk), Box::new(on_ack))
    }

    /// As [`Self::open`], on a disk of the caller's.
    pub(super) fn open_on(
        settings: Settings,
        disk: Box<dyn JournalDisk>,
        on_ack: Box<dyn Fn(Ack) + Send + Sync>,
    ) -> Result<(Self, Recovered), StoreError> {
        let Settings {
            dir,
            target,
            numbers,
            queue_len_max,
            segment_bytes,
            clock,
            reopen_every,
            on_event,
            ack,
            following,
            ..
        } = settings;
        let (archive, mut recovered) = Archive::open(&dir, &target, &numbers, &clock)?;
        let (_publisher, on_event) = Publisher::start(&archive.site, on_event)?;
        let held = Arc::new(Held::new(ack, on_ack, Arc::clone(&on_event)));
        let keys_path = dir.join("keys");
        let signer = archive.keys.signer().map_err(StoreError::io("sign under", &keys_path))?;
        let Archive { site, database, keys, past, loose_ends, lock: _lock } = archive;
        let signing = Signing::new(
            signer.clone(),
            settings.checkpoint_every,
            settings.checkpoint_records_max,
            loose_ends,
        );
        let (writer, journal) = begin(disk, segment_bytes, &dir)?;
        let reading_keys =
            KeyFile::open_read_only(&keys_path).map_err(StoreError::io("open", &keys_path))?;
        let watch = Watch::new("projection", &on_event);
        let backlog = Backlog { journal_dir: journal_dir(&dir), keys: reading_keys, past };
        let projection =
            Projection::start(database, backlog, Arc::clone(&held), watch, Arc::clone(&on_event))?;
        let feed = projection.feed.clone();
        if let Some(Following { index, .. }) = &following {
            // Before anybody follows: what stands here is older than what the follower brings.
            (recovered.filled, recovered.left_out) = fill_from_journal(&site, index, &feed.own())?;
        }
        let believed = Arc::new(Believed::of(&dir));
        let watch = Watch::new("commit", &on_event);
        let ledger = Ledger::start(queue_len_max, watch, |failure, stats| Committer {
            journal,
            record_len_max: Journal::record_len_max(segment_bytes),
            keys,
            writer,
            tried_at: clock(),
            clock,
            believed: Arc::clone(&believed),
            reopen_every,
            held: Arc::clone(&held),
            on_event: Arc::clone(&on_event),
            feed: feed.clone(),
            failure,
            stats,
            head: (0, Hash::NONE),
            signing,
        })?;
        let follower = following.map(|following| {
            let watch = Watch::new("follow", &on_event);
            Follower::start(site.clone(), following, feed, ledger.pen(), watch)
        });
        let follower = follower.transpose()?;
        let store =
            Self { follower, ledger, projection, _publisher, site, signer, believed, _lock };
        Ok((store, recovered))
    }

    /// Keeps a call record, a moment later and with others; lost in a crash, or when the
    /// database is too slow (see [`Counters::calls_lost`]).
    pub fn record_call(&self, call: Cdr) {
        self.projection.feed.call(stored_call(&self.site.numbers, call));
    }

    /// Waits until everything submitted before is settled and can be asked for.
    ///
    /// # Errors
    ///
    /// [`StoreError::Behind`] while the database cannot be written, and [`StoreError::Closed`]
    /// when a thread is gone.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.ledger.flush()
    }

    /// Has everything submitted before signed by a checkpoint, unless the journal fails meanwhile,
    /// and waits until it can be asked for.
    ///
    /// # Errors
    ///
    /// As [`Self::flush`].
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        self.ledger.checkpoint()?;
        self.flush()
    }

    /// The key that the store's checkpoints and bundles verify by.
    pub fn proof_key(&self) -> PublicKey {
        self.signer.public()
    }

    /// Whether the database lacks a record that was answered without it, though it was to have it.
    pub fn is_behind(&self) -> bool {
        self.projection.held.is_behind()
    }

    /// Hands the segments of `import` to the nodes that share the database, before its record is
    /// submitted, so that whoever reads the record finds them. What is there already is left as it
    /// is; a database of our own needs none. `tell` hears how many octets of how many are done.
    ///
    /// # Errors
    ///
    /// [`StoreError::Segment`] for one that is missing or damaged, and those of the database.
    pub fn publish(
        &self,
        import: &Import,
        tell: &mut dyn FnMut(u64, u64),
    ) -> Result<(), StoreError> {
        if !self.site.is_shared() {
            return Ok(());
        }
        let segments = Segments::of(&self.site.dir);
        let len = |part: &Part| segments.path(part).metadata().map_or(0, |metadata| metadata.len());
        let of = import.parts().map(|(part, _content)| len(part)).sum();
        let mut done = 0;
        self.site.database()?.publish(import, &mut |octets| {
            done += octets;
            tell(done, of);
            true
        })
    }

    /// A connection for questions; open one for each thread that asks.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub fn reader(&self) -> Result<Reader, StoreError> {
        self.site.reader()
    }

    /// How far this node is behind the others; nothing where it follows none.
    pub fn followed(&self) -> Option<Followed> {
        self.follower.as_ref().map(Follower::followed)
    }

    /// Fills `index` with what this node itself has written, and with the numbers of the imports
    /// that it knew at its last start: for one that follows no other, while the shared database is
    /// away. How many they were, and how many were left out.
    ///
    /// # Errors
    ///
    /// Those of a journal that cannot be read.
    pub fn fill_from_journal(&self, index: &Index) -> Result<(u64, u64), StoreError> {
        fill_from_journal(&self.site, index, &BTreeMap::new())
    }

    /// Why the journal cannot be written now, if it cannot: the alarm to raise.
    pub fn failure(&self) -> Option<LedgerError> {
        self.ledger.failure()
    }

    /// What was done and refused so far.
    pub fn counters(&self) -> Counters {
        let (ledger, projection) = (&self.ledger.stats, &self.projection.feed.stats);
        Counters {
            facts: ledger.facts.load(Ordering::Relaxed),
            commits: ledger.commits.load(Ordering::Relaxed),
            refused: ledger.refused.load(Ordering::Relaxed),
            failed: ledger.failed.load(Ordering::Relaxed),
            journal_failures: ledger.failures.load(Ordering::Relaxed),
            journal_reopened: ledger.reopened.load(Ordering::Relaxed),
            optouts_late: ledger.late.written(),
            optouts_unwritten: ledger.late.unwritten(),
            optouts_overflowed: ledger.late.overflowed(),
            acks_pending: self.projection.held.pending(),
            optouts_untold: self.projection.held.untold(),
            calls_lost: projection.calls_lost.load(Ordering::Relaxed),
            projection_failed: projection.failed.load(Ordering::Relaxed),
            projection_overflowed: projection.overflowed.load(Ordering::Relaxed),
            facts_waiting: self.projection.feed.waiting(),
        }
    }

    /// Has `thread` panic.
    #[cfg(test)]
    pub(crate) fn break_down(&self, thread: &str) {
        match thread {
            "commit" => self.ledger.break_down(),
            _ => self.projection.feed.break_down(),
        }
    }

    /// Settles everything submitted before, ends the threads and lets go of the store.
    ///
    /// # Errors
    ///
    /// [`StoreError::Closed`] when a thread had panicked.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.follower = None;
        self.ledger.close()?;
        self.projection.close()
    }
}

/// A stream of our own, on `disk` in the store's folder `dir`.
fn begin(
    disk: Box<dyn JournalDisk>,
    segment_bytes: u64,
    dir: &Path,
) -> Result<(WriterId, Journal), StoreError> {
    let writer = random::writer().map_err(StoreError::io("draw", "a writer id"))?;
    let journal = Journal::create(disk, segment_bytes, writer)
        .map_err(StoreError::io("create a segment in", journal_dir(dir)))?;
    Ok((writer, journal))
}

impl FactLedger for Store {
    fn submit(&self, token: u64, fact: Fact) -> Result<(), LedgerError> {
        self.ledger.submit(token, fact)
    }
}
