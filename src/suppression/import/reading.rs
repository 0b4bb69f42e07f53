//! What becomes of each line: a number, a range, or what is rejected.

use std::io;
use std::io::Read;

use serde::{Deserialize, Serialize};

use crate::model::BulkReader;
use crate::model::Number;
use crate::suppression::range::Range;
use crate::suppression::range::RangeError;

use super::ImportError;
use super::Mark;
use super::RANGES_MAX;
use super::Reason;
use super::Rejected;
use super::Shape;
use super::Sink;
use super::Tally;
use super::Whole;
use super::lines::Line;
use super::lines::Lines;
use super::registry::Record;
use super::table::Head;

/// Zeros behind a point that no number is written with: figures stand in groups of three and more.
const ZEROS_OF_NO_NUMBER_MAX: usize = 2;

/// `text` as it was before a program kept its column as decimals, `600123456.0`: with the point taken
/// for a separator, as people write one, it would be a number with digits more, somebody else's.
///
/// # Errors
///
/// [`Reason::Decimals`] where it is a number in either way, as three zeros and more may leave open.
pub(super) fn without_decimals<'a>(
    numbers: &mut BulkReader,
    text: &'a [u8],
) -> Result<&'a [u8], Reason> {
    // Nearly every text ends here.
    if text.trim_ascii_end().last() != Some(&b'0') {
        return Ok(text);
    }
    match decimals(text.trim_ascii_end()) {
        None => Ok(text),
        Some((whole, 1..=ZEROS_OF_NO_NUMBER_MAX)) => Ok(whole),
        Some((whole, _zeros)) => match (numbers.read(whole), numbers.read(text)) {
            (Ok(_), Ok(_)) => Err(Reason::Decimals),
            (Ok(_), Err(_)) => Ok(whole),
            (Err(_), _) => Ok(text),
        },
    }
}

/// Digits alone, and how many zeros stand behind a point after them.
fn decimals(text: &[u8]) -> Option<(&[u8], usize)> {
    let zeros = text.iter().rev().take_while(|octet| **octet == b'0').count();
    let whole = text.get(..text.len() - zeros)?.strip_suffix(b".")?;
    let digits = whole.strip_prefix(b"+").unwrap_or(whole);
    let is_whole = zeros > 0 && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_whole.then_some((whole, zeros))
}

/// The range that `text` is meant for; nothing where it is meant for a number.
pub(super) fn meant_range(text: &[u8]) -> Option<Result<Range, RangeError>> {
    // A number has neither a star nor a second plus.
    let is_odd = |(at, octet): (usize, &u8)| *octet == b'*' || (*octet == b'+' && at > 0);
    text.iter().enumerate().find(|it| is_odd(*it))?;
    let text = std::str::from_utf8(text).ok().filter(|text| Range::is_meant(text))?;
    Some(text.parse())
}

/// How the file's last record went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Last {
    pub(super) line: u64,
    /// Whether it lacks what every whole file ends with.
    pub(super) is_cut: bool,
    /// Whether its line has no end, and others have one.
    pub(super) is_unended: bool,
}

/// What goes on with each line.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) numbers: BulkReader,
    pub(super) wide_ranges: bool,
    pub(super) number_key: Option<String>,
    pub(super) tally: Tally,
    /// Of what was read before.
    pub(super) last: Last,
}

impl Reading {
    /// Tells the sink how far the file is read, where it wants to hear that.
    pub(super) fn tell_place<R: Read>(
        &self,
        lines: &Lines<R>,
        last: Last,
        head: Option<&Head>,
        sink: &mut impl Sink,
    ) -> io::Result<()> {
        if !sink.wants_mark() {
            return Ok(());
        }
        let (octets, lines) = lines.place();
        sink.marked(&Mark { octets, lines, tally: self.tally.clone(), last, head: head.cloned() })
    }

    /// Takes the text of a number, and says whether it is one.
    pub(super) fn text(
        &mut self,
        line: &Line<'_>,
        text: &[u8],
        sink: &mut impl Sink,
    ) -> Result<bool, ImportError> {
        let text = match without_decimals(&mut self.numbers, text) {
            Ok(text) => text,
            Err(reason) => return self.reject(line, reason, sink),
        };
        // Nearly every line ends here. What the byte path takes for a number is meant for one.
        if let Some(number) = self.numbers.at_once(text) {
            return self.listed(number, sink);
        }
        if let Some(range) = meant_range(text) {
            return self.range(line, range, sink);
        }
        match self.numbers.read(text) {
            Ok(number) => self.listed(number, sink),
            Err(error) => self.reject(line, Reason::Number(error), sink),
        }
    }

    /// Takes a number; always true.
    fn listed(&mut self, number: Number, sink: &mut impl Sink) -> Result<bool, ImportError> {
        self.tally.read += 1;
        self.tally.listed += 1;
        sink.listed(number)?;
        Ok(true)
    }

    /// Takes a range, or says why it is none.
    fn range(
        &mut self,
        line: &Line<'_>,
        range: Result<Range, RangeError>,
        sink: &mut impl Sink,
    ) -> Result<bool, ImportError> {
        let range = match range {
            Ok(range) => range,
            Err(error) => return self.reject(line, Reason::Range(error), sink),
        };
        if let Some(number) = range.only() {
            return self.listed(number, sink);
        }
        if !self.may_be(range) {
            return Err(ImportError::Wide { line: line.number });
        }
        if !self.keep(range) {
            return self.reject(line, Reason::Ranges, sink);
        }
        self.tally.read += 1;
        Ok(true)
    }

    /// Whether a range may be as wide as it is.
    pub(super) fn may_be(&self, range: Range) -> bool {
        self.wide_ranges || !range.is_wide()
    }

    /// Keeps a range, once; false where there are too many.
    pub(super) fn keep(&mut self, range: Range) -> bool {
        let is_known = self.tally.ranges.contains(&range);
        if !is_known && self.tally.ranges.len() < RANGES_MAX {
            self.tally.ranges.push(range);
            return true;
        }
        is_known
    }

    /// Rejects a line; always false.
    pub(super) fn reject(
        &mut self,
        line: &Line<'_>,
        reason: Reason,
        sink: &mut impl Sink,
    ) -> Result<bool, ImportError> {
        self.tally.read += 1;
        match self.tally.rejected.get_mut(reason.word()) {
            Some(count) => *count += 1,
            None => drop(self.tally.rejected.insert(reason.word().to_owned(), 1)),
        }
        sink.rejected(&Rejected { line: line.number, text: line.text, reason })?;
        Ok(false)
    }

    pub(super) fn registry<R: Read>(
        &mut self,
        shape: Shape,
        lines: &mut Lines<R>,
        sink: &mut impl Sink,
    ) -> Result<Last, ImportError> {
        let mut last = self.last;
        loop {
            self.tell_place(lines, last, None, sink)?;
            let Some(line) = lines.next()? else { return Ok(last) };
            let text = line.text.trim_ascii();
            if text.is_empty() && !line.is_long {
                continue;
            }
            let record = if line.is_long { Err(Reason::Long) } else { Record::read(shape, text) };
            let is_rejected = record.is_err();
            match record {
                Ok(Record::Listed(number)) => {
                    self.tally.listed += 1;
                    sink.listed(number)?;
                }
                Ok(Record::TakenOff(number)) => {
                    self.tally.taken_off += 1;
                    sink.taken_off(number)?;
                }
                Err(reason) => drop(self.reject(&line, reason, sink)?),
            }
            self.tally.read += u64::from(!is_rejected);
            // A cut number of the United Kingdom may be one of the shorter ones; elsewhere every
            // number is as long, so that one that is whole was not cut.
            let is_cut = !line.is_ended && (is_rejected || shape == Shape::Tps);
            last = Last { line: line.number, is_cut, is_unended: false };
        }
    }

    /// Refuses what is no whole file of numbers.
    pub(super) fn judge(&self, shape: Shape, last: &Last, whole: Whole) -> Result<(), ImportError> {
        if last.is_cut {
            return Err(ImportError::Truncated { line: last.line });
        }
        let is_whole = match whole {
            Whole::Unsaid => false,
            Whole::Said => true,
            Whole::Lines(lines) => lines == self.tally.read,
        };
        if last.is_unended && !is_whole {
            return Err(match whole {
                Whole::Lines(expected) => ImportError::Lines { expected, found: self.tally.read },
                Whole::Unsaid | Whole::Said => ImportError::Unended { line: last.line },
            });
        }
        if self.tally.read == 0 {
            return Err(ImportError::Empty);
        }
        // An export may hold nothing but what was reversed.
        let is_read = shape == Shape::Export && self.tally.rejected_sum() < self.tally.read;
        let has_numbers = self.tally.listed + self.tally.taken_off > 0;
        if !has_numbers && self.tally.ranges.is_empty() && !is_read {
            let most = self.tally.rejected.iter().max_by_key(|(_reason, count)| **count);
            let most = most.map(|(reason, _count)| reason.clone()).unwrap_or_default();
            return Err(ImportError::NoNumber { read: self.tally.read, most });
        }
        Ok(())
    }
}
