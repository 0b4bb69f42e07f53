//! When the ledger signs, and what: its own stream now and then, and the ends of those before it.

use std::time::Duration;

use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::model::WriterId;
use crate::suppression::Fact;
use crate::suppression::proof::Checkpoint;
use crate::suppression::proof::Hash;
use crate::suppression::proof::Signer;

/// Most records between two checkpoints of a stream: a bundle holds so many of other people's at
/// most for each of its own (200 kB), and one signature for so many costs nothing beside the sync
/// that they share.
pub(in crate::store) const CHECKPOINT_RECORDS_MAX: u64 = 256;

/// How long a record stays unsigned at most, while the journal works: one sync in so many minutes
/// on an idle engine. Whoever asks for a proof need not wait; what is asked for is signed at once.
pub(in crate::store) const CHECKPOINT_EVERY: Duration = Duration::from_secs(5 * 60);

/// The end of a stream that no later stream names yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct LooseEnd {
    pub(in crate::store) record: RecordId,
    pub(in crate::store) hash: Hash,
    /// Whether the stream ends with a checkpoint of its own.
    pub(in crate::store) is_signed: bool,
}

/// What the commit thread knows of signatures.
pub(in crate::store) struct Signing {
    signer: Signer,
    every: Duration,
    records_max: u64,
    /// Ends of streams before this one, to be named at its beginning.
    loose: Vec<LooseEnd>,
    /// Durable records behind the last checkpoint of this stream, and since when the first is so.
    unsigned: u64,
    unsigned_since: UnixMicros,
}

impl Signing {
    /// Signs with `signer` after `every` or `records_max` records; `loose` are the ends of streams
    /// before.
    pub(in crate::store) const fn new(
        signer: Signer,
        every: Duration,
        records_max: u64,
        loose: Vec<LooseEnd>,
    ) -> Self {
        Self { signer, every, records_max, loose, unsigned: 0, unsigned_since: UnixMicros(0) }
    }

    /// Records that are durable and not signed in this stream.
    pub(super) const fn unsigned(&self) -> u64 {
        self.unsigned
    }

    /// Whether a stream before this one ends without a signature.
    pub(super) fn has_unsigned_ends(&self) -> bool {
        self.loose.iter().any(|end| !end.is_signed)
    }

    /// Whether so many unsigned records ask for a checkpoint.
    pub(super) const fn is_full(&self, unsigned: u64) -> bool {
        unsigned >= self.records_max
    }

    /// How long until the next checkpoint is due; never, when everything is signed.
    pub(super) fn due_in(&self, now: UnixMicros) -> Option<Duration> {
        // A clock that was set back is waited for no longer than the whole time.
        let age = u64::try_from(now.0.saturating_sub(self.unsigned_since.0)).unwrap_or_default();
        (self.unsigned > 0).then(|| self.every.saturating_sub(Duration::from_micros(age)))
    }

    /// A checkpoint of the stream that ends with `record`.
    pub(super) fn checkpoint(&self, record: RecordId, hash: Hash, at: UnixMicros) -> Fact {
        Fact::Checkpoint(Checkpoint::sign(&self.signer, record, hash, at))
    }

    /// The checkpoints to begin a stream with.
    pub(super) fn links(&self, at: UnixMicros) -> Vec<Fact> {
        self.loose.iter().map(|end| self.checkpoint(end.record, end.hash, at)).collect()
    }

    /// Whether `fact` is a checkpoint of the stream of `writer` itself.
    pub(super) fn is_own(&self, writer: WriterId, fact: &Fact) -> bool {
        matches!(fact, Fact::Checkpoint(checkpoint) if checkpoint.writer == writer)
    }

    /// Takes note of a record that the disk has, as the clock says `now`.
    pub(super) fn is_durable(&mut self, now: UnixMicros, fact: &Fact, writer: WriterId) {
        match fact {
            Fact::Checkpoint(checkpoint) if checkpoint.writer == writer => self.unsigned = 0,
            fact => {
                if self.unsigned == 0 {
                    self.unsigned_since = now;
                }
                self.unsigned += 1;
                if let Fact::Checkpoint(link) = fact {
                    self.loose.retain(|end| end.record != link.record());
                }
            }
        }
    }

    /// The stream is given up behind `record`; the next one names its end.
    pub(super) fn leave(&mut self, record: RecordId, hash: Hash) {
        if record.seq > 0 {
            let is_signed = self.unsigned == 0;
            self.loose.push(LooseEnd { record, hash, is_signed });
        }
        self.unsigned = 0;
    }
}
