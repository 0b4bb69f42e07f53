//! One number in a segment, without reading the other blocks.

use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;

use crate::model::Number;

use super::BLOCK_NUMBERS;
use super::HEAD_LEN;
use super::SegmentError;
use super::read::Head;
use super::read::Source;
use super::read::numbers;
use super::read::read_header;

/// The place of `number` among the numbers of the segment that `input` begins with, counted from 0;
/// nothing when it is not among them. For people who ask, not for calls. Reads the head of each block up to the number's (a registry of 250 million has 31 thousand) and
/// that one block whole, and holds that block against its checksum.
///
/// # Errors
///
/// [`SegmentError`], save [`SegmentError::Name`]: the file is not read whole.
pub fn find(mut input: impl Read + Seek, number: Number) -> Result<Option<u64>, SegmentError> {
    let header = read_header(&mut Source::new(&mut input))?;
    let wanted = number.digits();
    let mut offset = input.stream_position()?;
    // The block whose numbers begin at or before the wanted one, of those seen so far.
    let mut found: Option<(u64, u64, Head)> = None;
    for block in 0..header.count.div_ceil(BLOCK_NUMBERS as u64) {
        let mut bytes = [0; HEAD_LEN];
        let cut = |_error| SegmentError::Truncated { block, offset };
        input.read_exact(&mut bytes).map_err(cut)?;
        let damaged = SegmentError::Block { block, offset, what: "its head is none" };
        let head = Head::read(&bytes).ok_or(damaged)?;
        if head.first > wanted {
            break;
        }
        found = Some((block, offset, head));
        let rest = (head.gaps_len + 4) as u64;
        input.seek(SeekFrom::Current(rest.cast_signed()))?;
        offset += HEAD_LEN as u64 + rest;
    }
    let Some((block, offset, head)) = found else { return Ok(None) };
    input.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; HEAD_LEN + head.gaps_len + 4];
    let cut = |_error| SegmentError::Truncated { block, offset };
    input.read_exact(&mut bytes).map_err(cut)?;
    let damaged = |what| SegmentError::Block { block, offset, what };
    let place = numbers(&bytes, head, block).map_err(damaged)?.binary_search(&wanted);
    Ok(place.ok().map(|place| block * BLOCK_NUMBERS as u64 + place as u64))
}
