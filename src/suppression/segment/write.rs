//! Writing a segment, number by number, in the memory of one block.

use std::io::Write;

use sha2::{Digest, Sha256};

use crate::model::Number;

use super::BLOCK_NUMBERS;
use super::GAPS_LEN_MAX;
use super::SegmentError;
use super::SegmentHeader;
use super::SegmentName;
use super::block_crc;
use super::header_bytes;

/// Writes one segment.
#[derive(Debug)]
pub struct SegmentWriter<W> {
    out: W,
    hasher: Sha256,
    expected: u64,
    written: u64,
    block: u64,
    block_numbers: u16,
    first: u64,
    last: u64,
    gaps: Vec<u8>,
}

impl<W: Write> SegmentWriter<W> {
    /// Begins a segment of `header.count` numbers. Give it a buffered writer or not: it writes
    /// whole blocks.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Long`] and those of `out`.
    pub fn new(mut out: W, header: &SegmentHeader) -> Result<Self, SegmentError> {
        let bytes = header_bytes(header)?;
        out.write_all(&bytes)?;
        let mut hasher = Sha256::new();
        hasher.update(&bytes);
        Ok(Self {
            out,
            hasher,
            expected: header.count,
            written: 0,
            block: 0,
            block_numbers: 0,
            first: 0,
            last: 0,
            gaps: Vec::with_capacity(GAPS_LEN_MAX),
        })
    }

    /// Appends a number, which must come after the one before it.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Order`] and those of the output.
    pub fn push(&mut self, number: Number) -> Result<(), SegmentError> {
        let number = number.digits();
        if self.written > 0 && number <= self.last {
            return Err(SegmentError::Order { position: self.written });
        }
        if usize::from(self.block_numbers) == BLOCK_NUMBERS {
            self.finish_block()?;
        }
        if self.block_numbers == 0 {
            self.first = number;
        } else {
            write_varint(number - self.last - 1, &mut self.gaps);
        }
        self.block_numbers += 1;
        self.last = number;
        self.written += 1;
        Ok(())
    }

    /// Ends the segment; returns the output, flushed but not synced, and the segment's name.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Count`] when the header said otherwise, and those of the output.
    pub fn finish(mut self) -> Result<(W, SegmentName), SegmentError> {
        if self.written != self.expected {
            return Err(SegmentError::Count { expected: self.expected, found: self.written });
        }
        self.finish_block()?;
        self.out.flush()?;
        Ok((self.out, SegmentName(self.hasher.finalize().into())))
    }

    fn finish_block(&mut self) -> Result<(), SegmentError> {
        if self.block_numbers == 0 {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(self.gaps.len() + 16);
        bytes.extend_from_slice(&self.block_numbers.to_be_bytes());
        // See `GAPS_LEN_MAX`.
        bytes.extend_from_slice(&(self.gaps.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&self.first.to_be_bytes());
        bytes.append(&mut self.gaps);
        bytes.extend_from_slice(&block_crc(self.block, &bytes).to_be_bytes());
        self.hasher.update(&bytes);
        self.out.write_all(&bytes)?;
        self.block += 1;
        self.block_numbers = 0;
        Ok(())
    }
}

/// Seven bits an octet, the lowest first; all but the last have their high bit set.
fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
