//! Reading a segment from its beginning to its end, in the memory of one block.

use std::io;
use std::io::Read;

use sha2::{Digest, Sha256};

use crate::model::Number;
use crate::model::UnixMicros;

use super::BLOCK_NUMBERS;
use super::Content;
use super::GAP_LEN_MAX;
use super::GAPS_LEN_MAX;
use super::HEAD_LEN;
use super::MAGIC;
use super::SegmentError;
use super::SegmentHeader;
use super::SegmentName;
use super::TEXT_LEN_MAX;
use super::VERSION;
use super::block_crc;

/// Reads one segment: an iterator over its numbers, ascending.
///
/// Each number is handed out once its block's checksum was right; that the whole file is the one
/// that was asked for is known when the iterator has ended without an error, and not before. After
/// an error it ends.
#[derive(Debug)]
pub struct SegmentReader<R> {
    input: Source<R>,
    header: SegmentHeader,
    name: SegmentName,
    blocks: Blocks,
    numbers: std::vec::IntoIter<u64>,
    is_over: bool,
}

impl<R: Read> SegmentReader<R> {
    /// Reads the header of the segment `name`. Give it a buffered reader.
    ///
    /// # Errors
    ///
    /// [`SegmentError`] for what is no header of ours, and those of `input`.
    pub fn open(input: R, name: SegmentName) -> Result<Self, SegmentError> {
        let mut input = Source { input, hasher: Sha256::new(), offset: 0 };
        let header = read_header(&mut input)?;
        let blocks = Blocks { block: 0, left: header.count, last: 0 };
        Ok(Self { input, header, name, blocks, numbers: Vec::new().into_iter(), is_over: false })
    }

    /// What the segment says of its numbers.
    pub const fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// Reads to the end, for whoever wants to know only whether all of it is right.
    ///
    /// # Errors
    ///
    /// The first that there is.
    pub fn verify(mut self) -> Result<SegmentHeader, SegmentError> {
        for number in &mut self {
            number?;
        }
        Ok(self.header)
    }

    fn advance(&mut self) -> Result<Option<Number>, SegmentError> {
        loop {
            if let Some(number) = self.numbers.next() {
                let number = Number::from_key(number);
                return number.map(Some).ok_or_else(|| self.blocks.damaged(0, "no number"));
            }
            if self.blocks.left == 0 {
                self.end()?;
                return Ok(None);
            }
            let numbers = self.blocks.read(&mut self.input)?;
            self.numbers = numbers.into_iter();
        }
    }

    /// Behind the last number there is nothing, and all of it has the right name.
    fn end(&mut self) -> Result<(), SegmentError> {
        let offset = self.input.offset;
        let mut one = [0];
        if self.input.fill(&mut one)? > 0 {
            return Err(SegmentError::Trailing { offset });
        }
        let found = SegmentName(self.input.hasher.clone().finalize().into());
        if found != self.name {
            return Err(SegmentError::Name { expected: self.name, found });
        }
        Ok(())
    }
}

impl<R: Read> Iterator for SegmentReader<R> {
    type Item = Result<Number, SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.advance().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

/// The input with what was read of it.
#[derive(Debug)]
pub(super) struct Source<R> {
    input: R,
    hasher: Sha256,
    offset: u64,
}

impl<R: Read> Source<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, hasher: Sha256::new(), offset: 0 }
    }

    /// Fills `bytes` as far as the input goes.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<usize, SegmentError> {
        let mut len = 0;
        while let Some(rest) = bytes.get_mut(len..).filter(|rest| !rest.is_empty()) {
            match self.input.read(rest) {
                Ok(0) => break,
                Ok(count) => len += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.hasher.update(bytes.get(..len).unwrap_or_default());
        self.offset += len as u64;
        Ok(len)
    }

    fn exact(&mut self, bytes: &mut [u8], block: u64) -> Result<(), SegmentError> {
        if self.fill(bytes)? < bytes.len() {
            return Err(SegmentError::Truncated { block, offset: self.offset });
        }
        Ok(())
    }

    fn array<const N: usize>(&mut self, all: &mut Vec<u8>) -> Result<[u8; N], SegmentError> {
        let mut bytes = [0; N];
        self.exact(&mut bytes, 0)?;
        all.extend_from_slice(&bytes);
        Ok(bytes)
    }

    fn text(&mut self, all: &mut Vec<u8>) -> Result<String, SegmentError> {
        let len = usize::from(u16::from_be_bytes(self.array(all)?));
        if len > TEXT_LEN_MAX {
            return Err(SegmentError::Header { what: "a text is too long" });
        }
        let mut bytes = vec![0; len];
        self.exact(&mut bytes, 0)?;
        all.extend_from_slice(&bytes);
        String::from_utf8(bytes)
            .map_err(|_error| SegmentError::Header { what: "a text is not UTF-8" })
    }
}

pub(super) fn read_header<R: Read>(input: &mut Source<R>) -> Result<SegmentHeader, SegmentError> {
    let mut all = Vec::new();
    if &input.array(&mut all)? != MAGIC {
        return Err(SegmentError::Header { what: "it is no segment" });
    }
    let [version, content] = input.array(&mut all)?;
    if version != VERSION {
        return Err(SegmentError::Version { found: version });
    }
    let list = input.text(&mut all)?;
    let source = input.text(&mut all)?;
    let [has_as_of] = input.array(&mut all)?;
    let as_of = UnixMicros(i64::from_be_bytes(input.array(&mut all)?));
    let count = u64::from_be_bytes(input.array(&mut all)?);
    let crc = crc32fast::hash(&all);
    if u32::from_be_bytes(input.array(&mut all)?) != crc {
        return Err(SegmentError::Header { what: "its checksum is another" });
    }
    let content =
        Content::from_code(content).ok_or(SegmentError::Header { what: "its content is none" })?;
    let as_of = (has_as_of == 1).then_some(as_of);
    Ok(SegmentHeader { content, list: list.as_str().into(), source, as_of, count })
}

/// Where a reader is among the blocks.
#[derive(Debug)]
struct Blocks {
    block: u64,
    /// Numbers that are still to come.
    left: u64,
    last: u64,
}

impl Blocks {
    fn read<R: Read>(&mut self, input: &mut Source<R>) -> Result<Vec<u64>, SegmentError> {
        let offset = input.offset;
        let mut bytes = vec![0; HEAD_LEN];
        input.exact(&mut bytes, self.block)?;
        let head = Head::read(&bytes).ok_or_else(|| self.damaged(offset, "its head is none"))?;
        let wanted = self.left.min(BLOCK_NUMBERS as u64);
        if u64::from(head.numbers) != wanted || head.gaps_len > GAPS_LEN_MAX {
            return Err(self.damaged(offset, "its length is another"));
        }
        bytes.resize(HEAD_LEN + head.gaps_len + 4, 0);
        input.exact(bytes.get_mut(HEAD_LEN..).unwrap_or_default(), self.block)?;
        let numbers =
            numbers(&bytes, head, self.block).map_err(|what| self.damaged(offset, what))?;
        if self.block > 0 && head.first <= self.last {
            return Err(self.damaged(offset, "it does not ascend from the block before"));
        }
        self.last = numbers.last().copied().unwrap_or_default();
        self.left -= wanted;
        self.block += 1;
        Ok(numbers)
    }

    const fn damaged(&self, offset: u64, what: &'static str) -> SegmentError {
        SegmentError::Block { block: self.block, offset, what }
    }
}

/// The head of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) numbers: u16,
    pub(super) gaps_len: usize,
    pub(super) first: u64,
}

impl Head {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.split_first_chunk()?;
        let (gaps_len, rest) = rest.split_first_chunk()?;
        let (first, _) = rest.split_first_chunk()?;
        Some(Self {
            numbers: u16::from_be_bytes(*numbers),
            gaps_len: usize::from(u16::from_be_bytes(*gaps_len)),
            first: u64::from_be_bytes(*first),
        })
    }
}

/// The numbers of a whole block, its checksum last, or what is wrong with it.
pub(super) fn numbers(bytes: &[u8], head: Head, block: u64) -> Result<Vec<u64>, &'static str> {
    let (covered, crc) = bytes.split_last_chunk().ok_or("it has no checksum")?;
    if u32::from_be_bytes(*crc) != block_crc(block, covered) {
        return Err("its checksum is another");
    }
    let mut gaps = covered.get(HEAD_LEN..).unwrap_or_default();
    let mut numbers = Vec::with_capacity(usize::from(head.numbers));
    let mut last = head.first;
    numbers.push(last);
    while let Some((gap, rest)) = read_varint(gaps) {
        last = last.checked_add(gap + 1).ok_or("its gaps are too large")?;
        numbers.push(last);
        gaps = rest;
    }
    let is_whole = gaps.is_empty() && numbers.len() == usize::from(head.numbers);
    if is_whole { Ok(numbers) } else { Err("its gaps are not as many as its numbers") }
}

/// A gap and what follows it; nothing when there is none that is whole.
fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    let mut rest = bytes;
    for place in 0..GAP_LEN_MAX {
        let (&octet, after) = rest.split_first()?;
        rest = after;
        value |= u64::from(octet & 0x7f) << (7 * place);
        if octet < 0x80 {
            return Some((value, rest));
        }
    }
    None
}
