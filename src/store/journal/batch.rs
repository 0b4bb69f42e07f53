//! The bytes of a segment header and of a batch.

use crate::model::WriterId;
use crate::suppression::proof::Hash;

/// Where the first batch begins: a page of its own for the header.
pub(super) const HEADER_LEN: usize = 4096;
/// Batches begin at multiples of this, so that a search for one need not look at every octet.
pub(super) const ALIGN: usize = 16;
/// Length of a batch's own header.
pub(super) const BATCH_HEADER_LEN: usize = 24;

const SEGMENT_MAGIC: [u8; 8] = *b"bajavoz\x01";
const BATCH_MAGIC: [u8; 4] = *b"BTCH";

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) writer: WriterId,
    pub(super) first_seq: u64,
    pub(super) prev_hash: Hash,
}

impl SegmentHeader {
    /// Magic, writer, first seq, previous hash, CRC-32 of all that.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(60);
        out.extend_from_slice(&SEGMENT_MAGIC);
        out.extend_from_slice(&self.writer.0.to_be_bytes());
        out.extend_from_slice(&self.first_seq.to_be_bytes());
        out.extend_from_slice(&self.prev_hash.0);
        out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
        out
    }

    /// `None` when it does not check out.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut left = bytes;
        let magic: [u8; 8] = take(&mut left)?;
        let writer = WriterId(u64::from_be_bytes(take(&mut left)?));
        let first_seq = u64::from_be_bytes(take(&mut left)?);
        let prev_hash = Hash(take(&mut left)?);
        let covered = bytes.get(..bytes.len() - left.len())?;
        let crc = u32::from_be_bytes(take(&mut left)?);
        let is_whole = magic == SEGMENT_MAGIC && crc == crc32fast::hash(covered);
        is_whole.then_some(Self { writer, first_seq, prev_hash })
    }
}

/// Collects records into a batch in a buffer that is reused.
#[derive(Debug, Default)]
pub(super) struct BatchWriter {
    bytes: Vec<u8>,
    count: u32,
}

impl BatchWriter {
    /// Empties it.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(BATCH_HEADER_LEN, 0);
        self.count = 0;
    }

    /// Appends a record.
    pub(super) fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(&(record.len() as u32).to_be_bytes());
        self.bytes.extend_from_slice(record);
        self.count += 1;
    }

    /// Whether it holds no record.
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many records it holds.
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// Its length on disk once it is sealed.
    pub(super) fn len(&self) -> usize {
        self.bytes.len().next_multiple_of(ALIGN)
    }

    /// The batch, padded, whose first record is `first_seq`.
    pub(super) fn seal(&mut self, first_seq: u64) -> &[u8] {
        let len = (self.bytes.len() - BATCH_HEADER_LEN) as u32;
        let mut header = Vec::with_capacity(BATCH_HEADER_LEN);
        header.extend_from_slice(&BATCH_MAGIC);
        header.extend_from_slice(&len.to_be_bytes());
        header.extend_from_slice(&[0; 4]);
        header.extend_from_slice(&first_seq.to_be_bytes());
        header.extend_from_slice(&self.count.to_be_bytes());
        self.bytes.splice(..BATCH_HEADER_LEN, header);
        let crc = batch_crc(&self.bytes).unwrap_or_default();
        self.bytes.splice(8..12, crc.to_be_bytes());
        self.bytes.resize(self.len(), 0);
        &self.bytes
    }
}

/// A whole batch as it stands in a segment.
pub(super) struct Batch<'a> {
    pub(super) first_seq: u64,
    pub(super) count: u32,
    /// On disk, with padding.
    pub(super) len: usize,
    payload: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The batch that `bytes` begin with; `None` when none does or it does not check out.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut left = bytes;
        if take::<4>(&mut left)? != BATCH_MAGIC {
            return None;
        }
        let len = usize::try_from(u32::from_be_bytes(take(&mut left)?)).ok()?;
        let crc = u32::from_be_bytes(take(&mut left)?);
        let first_seq = u64::from_be_bytes(take(&mut left)?);
        let count = u32::from_be_bytes(take(&mut left)?);
        let payload = left.get(..len)?;
        let end = BATCH_HEADER_LEN + len;
        if batch_crc(bytes.get(..end)?)? != crc {
            return None;
        }
        Some(Self { first_seq, count, len: end.next_multiple_of(ALIGN), payload })
    }

    /// Its length without padding.
    pub(super) const fn used_len(&self) -> usize {
        BATCH_HEADER_LEN + self.payload.len()
    }

    /// Its records in order; ends early when their lengths do not add up.
    pub(super) fn records(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut left = self.payload;
        std::iter::from_fn(move || {
            let len = usize::try_from(u32::from_be_bytes(take(&mut left)?)).ok()?;
            let (record, rest) = left.split_at_checked(len)?;
            left = rest;
            Some(record)
        })
    }
}

/// CRC-32 (IEEE 802.3) of a batch with its own CRC left out.
fn batch_crc(batch: &[u8]) -> Option<u32> {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(batch.get(..8)?);
    hasher.update(batch.get(12..)?);
    Some(hasher.finalize())
}

fn take<const N: usize>(left: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = left.split_first_chunk()?;
    *left = rest;
    Some(*head)
}
