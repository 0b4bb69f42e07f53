//! The lines of a file, each with its number and in bounded memory.

use std::collections::VecDeque;
use std::io;
use std::io::BufRead;

use super::ImportError;
use super::exported::is_export;

/// Longest line in octets; the rest of a longer one is skipped, and the line rejected. Our choice:
/// a row with a long note fits, a file without line ends does not fill the memory.
pub const LINE_LEN_MAX: usize = 64 * 1024;

/// The byte order mark of UTF-8.
pub(super) const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// Separators of tables, the likeliest of equally frequent ones first.
const SEPARATORS: [u8; 3] = [b';', b'\t', b','];

/// One line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// Which, from 1.
    pub(super) number: u64,
    /// Without its end, be it LF or CR LF.
    pub(super) text: &'a [u8],
    /// Whether it had an end.
    pub(super) is_ended: bool,
    /// Whether it was longer than [`LINE_LEN_MAX`], so that `text` is its beginning.
    pub(super) is_long: bool,
}

/// A line that was read before its time.
#[derive(Debug, Default)]
struct Kept {
    number: u64,
    text: Vec<u8>,
    is_ended: bool,
    is_long: bool,
}

impl Kept {
    fn line(&self) -> Line<'_> {
        let Self { number, is_ended, is_long, .. } = *self;
        Line { number, text: &self.text, is_ended, is_long }
    }
}

/// How a row over several lines ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// With its quote closed.
    Closed {
        /// Whether its last line had an end.
        is_ended: bool,
    },
    /// Too long, or in too many lines.
    Open,
    /// The file ended first.
    Over,
}

/// The lines of an input, without a byte order mark.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    read: u64,
    current: Kept,
    ahead: VecDeque<Kept>,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `input`.
    pub(super) fn new(mut input: R) -> Result<Self, ImportError> {
        let begin = fill(&mut input)?;
        if begin.starts_with(b"\xff\xfe") || begin.starts_with(b"\xfe\xff") {
            return Err(ImportError::Utf16);
        }
        if begin.starts_with(UTF8_MARK) {
            input.consume(UTF8_MARK.len());
        }
        Ok(Self { input, read: 0, current: Kept::default(), ahead: VecDeque::new() })
    }

    /// The next line.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        match self.ahead.pop_front() {
            Some(kept) => self.current = kept,
            None if !self.read_line()? => return Ok(None),
            None => {}
        }
        Ok(Some(self.current.line()))
    }

    /// Appends the lines behind `row` to it until `is_open` says no; so that a row has `lines_max`
    /// at most. Otherwise `row` stays as it was, and its followers come again as lines.
    pub(super) fn join(
        &mut self,
        row: &mut Vec<u8>,
        lines_max: usize,
        is_open: impl Fn(&[u8]) -> bool,
    ) -> io::Result<Joined> {
        let len = row.len();
        let mut taken = Vec::new();
        while taken.len() + 1 < lines_max {
            let Some(line) = self.next()? else { return Ok(Joined::Over) };
            row.push(b'\n');
            row.extend_from_slice(line.text);
            let (is_long, is_ended) = (line.is_long, line.is_ended);
            taken.push(std::mem::take(&mut self.current));
            if is_long {
                break;
            }
            if !is_open(row) {
                return Ok(Joined::Closed { is_ended });
            }
        }
        row.truncate(len);
        for line in taken.into_iter().rev() {
            self.ahead.push_front(line);
        }
        Ok(Joined::Open)
    }

    /// The first line that is not blank, left where it is.
    fn first(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            let Some(line) = self.next()? else { return Ok(None) };
            let is_blank = line.text.trim_ascii().is_empty();
            if !is_blank {
                break;
            }
        }
        self.ahead.push_front(std::mem::take(&mut self.current));
        Ok(self.ahead.front().map(|kept| kept.text.as_slice()))
    }

    /// Whether the first line has more than one field, or a quoted one.
    pub(super) fn looks_like_table(&mut self) -> io::Result<bool> {
        let first = self.first()?.unwrap_or_default();
        Ok(first.iter().any(|octet| *octet == b'"' || SEPARATORS.contains(octet)))
    }

    /// Whether the first line is that of one of our exports.
    pub(super) fn looks_like_export(&mut self) -> io::Result<bool> {
        Ok(is_export(self.first()?.unwrap_or_default()))
    }

    /// Whether the first line is an object of JSON.
    pub(super) fn looks_like_json(&mut self) -> io::Result<bool> {
        Ok(self.first()?.unwrap_or_default().trim_ascii_start().starts_with(b"{"))
    }

    /// The separator that is most frequent outside quotes in the first line.
    pub(super) fn separator(&mut self) -> io::Result<Option<u8>> {
        let first = self.first()?.unwrap_or_default();
        let count = |separator| {
            let mut is_quoted = false;
            let outside = first.iter().filter(|&&octet| {
                is_quoted ^= octet == b'"';
                !is_quoted && octet == separator
            });
            outside.count()
        };
        let found = SEPARATORS.map(|separator| (count(separator), separator));
        // Of equal ones `max_by_key` would take the last.
        let best = found.into_iter().rev().max_by_key(|(count, _separator)| *count);
        Ok(best.filter(|(count, _separator)| *count > 0).map(|(_count, separator)| separator))
    }

    /// Reads a line into `current`; false at the end.
    fn read_line(&mut self) -> io::Result<bool> {
        let current = &mut self.current;
        current.text.clear();
        current.is_ended = false;
        current.is_long = false;
        loop {
            let bytes = fill(&mut self.input)?;
            if bytes.is_empty() {
                break;
            }
            let end = memchr::memchr(b'\n', bytes);
            let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
            let room = LINE_LEN_MAX.saturating_sub(current.text.len());
            current.is_long |= part.len() > room;
            current.text.extend_from_slice(part.get(..room).unwrap_or(part));
            let len = part.len() + usize::from(end.is_some());
            self.input.consume(len);
            if end.is_some() {
                current.is_ended = true;
                break;
            }
        }
        if current.text.is_empty() && !current.is_ended {
            return Ok(false);
        }
        if current.text.last() == Some(&b'\r') {
            current.text.pop();
        }
        self.read += 1;
        current.number = self.read;
        Ok(true)
    }
}

/// What the input holds ready; empty at its end.
pub(super) fn fill(input: &mut impl BufRead) -> io::Result<&[u8]> {
    // The borrow of a loop that returns it is beyond the compiler, so that it is filled twice.
    loop {
        match input.fill_buf() {
            Ok(_ready) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    input.fill_buf()
}
