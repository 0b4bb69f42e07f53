//! The lines of a file, each with its number and in bounded memory.

use std::collections::VecDeque;
use std::io;
use std::io::Read;
use std::ops::Range;

use super::ImportError;
use super::exported::is_export;

/// Longest line in octets; the rest of a longer one is skipped, and the line rejected. Our choice:
/// a row with a long note fits, a file without line ends does not fill the memory.
pub const LINE_LEN_MAX: usize = 64 * 1024;

/// How much is held at a time, several times [`LINE_LEN_MAX`]. Our choice: a quarter of the
/// second-level cache.
const BUFFER_LEN: usize = 256 * 1024;

/// The byte order mark of UTF-8.
pub(super) const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// Separators of tables, the likeliest of equally frequent ones first.
const SEPARATORS: [u8; 3] = [b';', b'\t', b','];

/// One line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// Which, from 1.
    pub(super) number: u64,
    /// Octets of the text before it.
    pub(super) begin: u64,
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
    begin: u64,
    text: Vec<u8>,
    is_ended: bool,
    is_long: bool,
}

impl Kept {
    fn of(line: &Line<'_>) -> Self {
        let Line { number, begin, text, is_ended, is_long } = *line;
        Self { number, begin, text: text.to_vec(), is_ended, is_long }
    }

    fn line(&self) -> Line<'_> {
        let Self { number, begin, is_ended, is_long, .. } = *self;
        Line { number, begin, text: &self.text, is_ended, is_long }
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
    /// What was read, of which `ready` is still to be looked at.
    buffer: Box<[u8]>,
    ready: Range<usize>,
    /// Octets of the text before the buffer.
    before: u64,
    /// Lines that were read.
    read: u64,
    current: Kept,
    ahead: VecDeque<Kept>,
}

impl<R: Read> Lines<R> {
    /// The lines of `input`.
    pub(super) fn new(input: R) -> Result<Self, ImportError> {
        let mut lines = Self {
            input,
            buffer: vec![0; BUFFER_LEN].into(),
            ready: 0..0,
            before: 0,
            read: 0,
            current: Kept::default(),
            ahead: VecDeque::new(),
        };
        while lines.ready.len() < UTF8_MARK.len() && lines.refill()? {}
        let begin = lines.ready();
        if begin.starts_with(b"\xff\xfe") || begin.starts_with(b"\xfe\xff") {
            return Err(ImportError::Utf16);
        }
        if begin.starts_with(UTF8_MARK) {
            lines.ready.start += UTF8_MARK.len();
        }
        Ok(lines)
    }

    /// Octets and lines before the next line.
    pub(super) fn place(&self) -> (u64, u64) {
        let ahead = self.ahead.front().map(|line| (line.begin, line.number - 1));
        ahead.unwrap_or_else(|| (self.octets(), self.read))
    }

    /// Leaves out everything before the place that [`Self::place`] told of the same input, which lies
    /// ahead; its first line may have been looked at.
    pub(super) fn skip_to(&mut self, (octets, lines): (u64, u64)) -> io::Result<()> {
        self.ahead.clear();
        while self.octets() < octets {
            if self.ready.is_empty() && !self.refill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let len = usize::try_from(octets - self.octets()).unwrap_or(usize::MAX);
            self.ready.start += len.min(self.ready.len());
        }
        self.read = lines;
        Ok(())
    }

    /// Octets of the text before what is ready.
    const fn octets(&self) -> u64 {
        self.before + self.ready.start as u64
    }

    /// The next line. It stands in what was read, and is copied only where it is longer than may be.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        if let Some(kept) = self.ahead.pop_front() {
            self.current = kept;
            return Ok(Some(self.current.line()));
        }
        let mut searched = 0;
        let (len, is_ended) = loop {
            let unsearched = self.ready().get(searched..).unwrap_or_default();
            if let Some(end) = memchr::memchr(b'\n', unsearched) {
                break (searched + end, true);
            }
            searched = self.ready.len();
            if searched > LINE_LEN_MAX {
                return self.long().map(Some);
            }
            if !self.refill()? {
                if searched == 0 {
                    return Ok(None);
                }
                break (searched, false);
            }
        };
        self.read += 1;
        let (from, begin) = (self.ready.start, self.octets());
        self.ready.start += len + usize::from(is_ended);
        let is_long = len > LINE_LEN_MAX;
        let text = self.buffer.get(from..from + len.min(LINE_LEN_MAX)).unwrap_or_default();
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        Ok(Some(Line { number: self.read, begin, text, is_ended, is_long }))
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
            taken.push(Kept::of(&line));
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
                let kept = Kept::of(&line);
                self.ahead.push_front(kept);
                break;
            }
        }
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

    /// The line that begins what is ready, which is longer than may be: its beginning, the rest
    /// skipped.
    fn long(&mut self) -> io::Result<Line<'_>> {
        self.read += 1;
        let begin = self.octets();
        let text = self.ready().get(..LINE_LEN_MAX).unwrap_or_default();
        let text = text.strip_suffix(b"\r").unwrap_or(text).to_vec();
        let is_ended = loop {
            if let Some(end) = memchr::memchr(b'\n', self.ready()) {
                self.ready.start += end + 1;
                break true;
            }
            self.ready.start = self.ready.end;
            if !self.refill()? {
                break false;
            }
        };
        self.current = Kept { number: self.read, begin, text, is_ended, is_long: true };
        Ok(self.current.line())
    }

    fn ready(&self) -> &[u8] {
        self.buffer.get(self.ready.clone()).unwrap_or_default()
    }

    /// Reads on behind what is ready, which must leave room; false at the end.
    fn refill(&mut self) -> io::Result<bool> {
        self.buffer.copy_within(self.ready.clone(), 0);
        self.before += self.ready.start as u64;
        self.ready = 0..self.ready.len();
        let room = self.buffer.get_mut(self.ready.end..).unwrap_or_default();
        let len = loop {
            match self.input.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.ready.end += len;
        Ok(len > 0)
    }
}
