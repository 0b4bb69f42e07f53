//! Reads a journal for examination: what is damaged too, as far as it can be made out.
//!
//! Where a batch does not check out, its records are found by the octets that each begins with:
//! version, writer and place. So that one touched octet is told from all those that are whole, and
//! named by its record.

use std::fs;

use crate::model::WriterId;
use crate::suppression::proof::Record;

use super::JournalError;
use super::batch::ALIGN;
use super::batch::BATCH_HEADER_LEN;
use super::batch::Batch;
use super::batch::HEADER_LEN;
use super::batch::SegmentHeader;
use super::read::SegmentName;
use super::read::Stream;

/// The part of a segment's header that says something.
const HEADER_USED_LEN: usize = 60;

/// One thing that stands in a stream.
#[derive(Debug)]
pub(in crate::store) enum Piece<'a> {
    /// A record, or what should be one.
    Record {
        /// Its place: what it says itself where its batch checks out, else where it stands.
        seq: u64,
        /// Its stored form.
        stored: &'a [u8],
        /// Whether its batch checks out.
        is_checked: bool,
    },
    /// Something around the records is not what was written.
    Damage {
        /// The segment's file name.
        segment: String,
        /// Where in it.
        offset: u64,
        /// The record that comes next.
        seq: u64,
        /// What is damaged.
        what: &'static str,
        /// Whether it stands behind the last whole batch of the stream, as a cut write does.
        is_tail: bool,
    },
}

impl Stream {
    /// Hands everything in the stream to `visit`, in order; what is damaged is no error.
    ///
    /// # Errors
    ///
    /// [`JournalError::Io`].
    pub(in crate::store) fn salvage(
        &self,
        visit: &mut dyn FnMut(Piece<'_>),
    ) -> Result<(), JournalError> {
        let mut segments = self.segments().iter().peekable();
        let mut due = 1;
        while let Some(&segment) = segments.next() {
            let path = self.path_of(segment);
            let bytes = fs::read(&path).map_err(|source| JournalError::Io {
                doing: "read",
                path,
                source,
            })?;
            let is_last = segments.peek().is_none();
            due = Salvage { segment, bytes: &bytes, is_last, visit }.run(due);
        }
        Ok(())
    }
}

/// One segment.
struct Salvage<'a> {
    segment: SegmentName,
    bytes: &'a [u8],
    is_last: bool,
    visit: &'a mut dyn FnMut(Piece<'_>),
}

impl Salvage<'_> {
    /// Goes through the segment, whose first record is `due`, and returns the one due after it.
    fn run(mut self, due: u64) -> u64 {
        let SegmentName { writer, first_seq } = self.segment;
        let header = SegmentHeader::read(self.bytes)
            .is_some_and(|header| header.writer == writer && header.first_seq == first_seq);
        let unused = self.bytes.get(HEADER_USED_LEN..HEADER_LEN).unwrap_or(b"x");
        if !header || !is_zero(unused) {
            self.damage(0, due, "the segment's header", false);
        }
        let (mut at, mut due) = (HEADER_LEN, due.max(first_seq));
        loop {
            let left = self.bytes.get(at..).unwrap_or_default();
            if is_zero(left) {
                return due;
            }
            if let Some(batch) = Batch::read(left) {
                due = self.batch(&batch, left, at, due);
                at += batch.len;
            } else {
                let next = next_batch(left, due).map(|(offset, _batch)| offset);
                let end = next.unwrap_or(left.len());
                let is_tail = next.is_none() && self.is_last;
                due = self.unchecked(left.get(..end).unwrap_or(left), at, due, is_tail);
                at += end;
            }
        }
    }

    /// The records of a batch that checks out.
    fn batch(&mut self, batch: &Batch<'_>, left: &[u8], at: usize, due: u64) -> u64 {
        let mut next = batch.first_seq;
        let mut count = 0;
        for stored in batch.records() {
            let said = Record::parse(stored).ok().map(|record| record.id);
            let seq = said.filter(|id| id.writer == self.segment.writer).map_or(next, |id| id.seq);
            (self.visit)(Piece::Record { seq, stored, is_checked: true });
            next = seq + 1;
            count += 1;
        }
        let padding = left.get(batch.used_len()..batch.len);
        if count != batch.count || !padding.is_some_and(is_zero) {
            self.damage(at, batch.first_seq, "the frame of a batch", false);
        }
        next.max(due)
    }

    /// What can be made out in octets that are no whole batch.
    fn unchecked(&mut self, area: &[u8], at: usize, due: u64, is_tail: bool) -> u64 {
        self.damage(at, due, "a batch does not check out", is_tail);
        let first = find_record(area, 0, self.segment.writer, due);
        let mut begin = first.unwrap_or(BATCH_HEADER_LEN + 4);
        let mut seq = due;
        loop {
            let said = begin.checked_sub(4).and_then(|at| area.get(at..)?.first_chunk::<4>());
            let len = said.map_or(0, |len| u32::from_be_bytes(*len) as usize);
            let by_len = begin.checked_add(len).filter(|end| len > 0 && *end <= area.len());
            let next = find_record(area, begin + 1, self.segment.writer, seq + 1);
            let end = match (next, by_len) {
                (Some(next), _) => next - 4,
                (None, Some(end)) => end,
                (None, None) => return seq,
            };
            let stored = area.get(begin..end).unwrap_or_default();
            (self.visit)(Piece::Record { seq, stored, is_checked: false });
            (begin, seq) = (end + 4, seq + 1);
        }
    }

    fn damage(&mut self, offset: usize, seq: u64, what: &'static str, is_tail: bool) {
        let (segment, offset) = (self.segment.file_name(), offset as u64);
        (self.visit)(Piece::Damage { segment, offset, seq, what, is_tail });
    }
}

fn is_zero(octets: &[u8]) -> bool {
    octets.iter().all(|&octet| octet == 0)
}

/// The next whole batch with a record that is `due` or later.
fn next_batch(left: &[u8], due: u64) -> Option<(usize, Batch<'_>)> {
    let offsets = (ALIGN..left.len()).step_by(ALIGN);
    let mut batches =
        offsets.filter_map(|offset| Some((offset, Batch::read(left.get(offset..)?)?)));
    batches.find(|(_offset, batch)| batch.first_seq >= due)
}

/// Where a record begins that says of itself that it is `seq` of `writer`.
fn find_record(area: &[u8], from: usize, writer: WriterId, seq: u64) -> Option<usize> {
    let mut pattern = vec![1];
    pattern.extend_from_slice(&writer.0.to_be_bytes());
    pattern.extend_from_slice(&seq.to_be_bytes());
    let at = area.get(from..)?.windows(pattern.len()).position(|octets| octets == pattern)?;
    (from + at >= 4).then_some(from + at)
}
