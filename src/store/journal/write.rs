//! Appends batches of one writer's records.

use std::io;

use crate::model::WriterId;
use crate::suppression::proof::Hash;

use super::batch::BatchWriter;
use super::batch::HEADER_LEN;
use super::batch::SegmentHeader;
use super::disk::JournalDisk;
use super::disk::JournalFile;
use super::read::SegmentName;

/// Size of a segment: some 16,000 opt-outs, zeroed in well under a second.
pub const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// How often a failed segment is tried to be cut before it is left as it is: half a minute, at a try
/// every five seconds.
const CUTS_MAX: u32 = 6;

/// The writing end of one writer's stream.
///
/// After any error the disk's state is unknown, and the stream must not be written any more; the
/// ledger sees to that. It goes on in a stream of another writer, by [`Self::begin_anew`]: the
/// batch that failed may be on disk under the numbers that a next segment of the same stream
/// would begin with.
pub struct Journal {
    disk: Box<dyn JournalDisk>,
    file: Box<dyn JournalFile>,
    segment: SegmentName,
    segment_bytes: u64,
    used_len: u64,
    next_seq: u64,
    batch: BatchWriter,
    /// How often it was tried to cut the end of the stream, which has failed; as often as is tried
    /// once it was cut.
    cuts_tried: u32,
}

impl Journal {
    /// Begins the stream of `writer` in a segment of its own.
    ///
    /// # Errors
    ///
    /// Those of the disk.
    pub fn create(
        mut disk: Box<dyn JournalDisk>,
        segment_bytes: u64,
        writer: WriterId,
    ) -> io::Result<Self> {
        let segment = SegmentName { writer, first_seq: 1 };
        let file = begin(disk.as_mut(), segment, Hash::NONE)?;
        let used_len = HEADER_LEN as u64;
        let mut batch = BatchWriter::default();
        batch.clear();
        Ok(Self { disk, file, segment, segment_bytes, used_len, next_seq: 1, batch, cuts_tried: 0 })
    }

    /// Gives the stream up and begins that of `writer`, in a segment of its own. What was pushed
    /// is forgotten; what of it stands in the old one is cut off before anything else is written,
    /// since it is going to be written anew and would be on record twice. A file that cannot be cut
    /// after some tries is left as it is: that is better than to record nothing any more.
    ///
    /// # Errors
    ///
    /// Those of the disk; the old stream is to be given up all the same, by trying again.
    pub fn begin_anew(&mut self, writer: WriterId) -> io::Result<()> {
        if self.cuts_tried < CUTS_MAX {
            self.cuts_tried += 1;
            match self.disk.finish(&self.segment.file_name(), self.used_len) {
                Ok(()) => self.cuts_tried = CUTS_MAX,
                Err(error) if self.cuts_tried < CUTS_MAX => return Err(error),
                // Then the end is settled at the next start.
                Err(error) => tracing::warn!(%error, "the failed segment keeps its full size"),
            }
        }
        let segment = SegmentName { writer, first_seq: 1 };
        self.file = begin(self.disk.as_mut(), segment, Hash::NONE)?;
        (self.segment, self.used_len, self.next_seq) = (segment, HEADER_LEN as u64, 1);
        self.cuts_tried = 0;
        self.batch.clear();
        Ok(())
    }

    /// Largest record that fits a segment of its own.
    pub const fn record_len_max(segment_bytes: u64) -> usize {
        (segment_bytes as usize).saturating_sub(HEADER_LEN + 64)
    }

    /// Adds a record to the batch being collected, unless it would not fit a segment with the
    /// others: then false, and it is to be pushed again after [`Self::commit`].
    #[must_use]
    pub fn push(&mut self, stored: &[u8]) -> bool {
        let is_first = self.batch.is_empty();
        let len = self.batch.len() + stored.len() + 32 + HEADER_LEN;
        if !is_first && len as u64 > self.segment_bytes {
            return false;
        }
        self.batch.push(stored);
        true
    }

    /// Writes the collected batch and returns once it is durable; `prev_hash` is the hash of the
    /// last record before it.
    ///
    /// # Errors
    ///
    /// Those of the disk. Whether the batch will be found after a restart is unknown then.
    pub fn commit(&mut self, prev_hash: Hash) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let len = self.batch.len() as u64;
        if self.used_len + len > self.segment_bytes {
            self.begin_segment(prev_hash)?;
        }
        let count = u64::from(self.batch.count());
        self.file.write_at(self.batch.seal(self.next_seq), self.used_len)?;
        self.file.sync()?;
        self.used_len += len;
        self.next_seq += count;
        self.batch.clear();
        Ok(())
    }

    /// Cuts the zeros off the last segment, since nothing will follow.
    ///
    /// # Errors
    ///
    /// Those of the disk; nothing is lost then.
    pub fn finish(mut self) -> io::Result<()> {
        self.disk.finish(&self.segment.file_name(), self.used_len)
    }

    /// Length on disk of the batch being collected.
    #[cfg(test)]
    pub(super) fn batch_len(&self) -> usize {
        self.batch.len()
    }

    /// Where the next batch goes.
    #[cfg(test)]
    pub(super) const fn place(&self) -> (SegmentName, u64) {
        (self.segment, self.used_len)
    }

    fn begin_segment(&mut self, prev_hash: Hash) -> io::Result<()> {
        let segment = SegmentName { writer: self.segment.writer, first_seq: self.next_seq };
        self.file = begin(self.disk.as_mut(), segment, prev_hash)?;
        self.segment = segment;
        self.used_len = HEADER_LEN as u64;
        Ok(())
    }
}

fn begin(
    disk: &mut dyn JournalDisk,
    segment: SegmentName,
    prev_hash: Hash,
) -> io::Result<Box<dyn JournalFile>> {
    let SegmentName { writer, first_seq } = segment;
    let header = SegmentHeader { writer, first_seq, prev_hash };
    disk.create(&segment.file_name(), &header.write())
}
