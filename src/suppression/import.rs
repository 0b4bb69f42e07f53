//! Files of numbers, read line by line: CSV, a number a line, and the shapes of national
//! registries.
//!
//! ```text
//! input (BufRead) -> lines -> a row's cell, or a registry's record -> Number -> Sink
//!                                                     \-> Rejected: line, text, reason -> Sink
//! ```
//!
//! Nothing is guessed and nothing is dropped in silence: each line is a number, blank, the header,
//! or rejected with its reason. A file that ends in the middle of a record is refused whole, since
//! what is missing from it cannot be known. Reading changes nothing by itself; what becomes of the
//! numbers is the sink's affair.
//!
//! Deliberately absent: spreadsheets, whose rows come here as lines (`store::import::xlsx`), XML (save
//! it as CSV or text), and UTF-16 (refused by name). An import only adds: what a registry's change list takes off goes to the sink apart.

#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::io;
use std::io::BufRead;
use std::io::Read;

use serde::{Deserialize, Serialize};

use crate::model::BulkReader;
use crate::model::Number;
use crate::model::NumberError;
use crate::model::NumberReader;

use super::range::Range;
use super::range::RangeError;

mod base;
mod columns;
mod exported;
mod fact;
mod lines;
mod registry;
mod table;

pub use base::{base_of, layers, listing};
pub use exported::{Exported, Whom, is_name};
pub use fact::{Import, Imported, Part, REACH_MAX, TakenOff, Withdrawal, standing, withdrawals};
pub use lines::LINE_LEN_MAX;

use columns::Columns;
use lines::Joined;
use lines::Line;
use lines::Lines;
use registry::Record;
use table::Head;
use table::Table;

/// The shape of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// A table with a separator; RFC 4180 with `,`, `;` or tab.
    Csv,
    /// A number a line.
    Txt,
    /// The full list of the United States' registry: `201,5551234` or `2015551234` a line.
    FtcFull,
    /// Its change list: number, further items, and `A` (added) or `D` (deleted) as an item.
    FtcChange,
    /// The full file of the United Kingdom's TPS or CTPS: records of twelve characters, the
    /// national number with or without a space behind the dialling code, and CR LF.
    Tps,
    /// What `optout export` writes, as CSV or JSON lines: each row has lists of its own.
    Export,
}

impl Shape {
    /// Every shape, in the order of the variants.
    pub const ALL: [Self; 6] =
        [Self::Csv, Self::Txt, Self::FtcFull, Self::FtcChange, Self::Tps, Self::Export];

    /// The name in records, on the command line and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Txt => "txt",
            Self::FtcFull => "ftc-full",
            Self::FtcChange => "ftc-change",
            Self::Tps => "tps",
            Self::Export => "export",
        }
    }

    /// The shape of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.as_str() == name)
    }

    /// The registry that the file is of, so that its change list finds its full list.
    pub const fn registry(self) -> Option<&'static str> {
        match self {
            Self::Csv | Self::Txt | Self::Export => None,
            Self::FtcFull | Self::FtcChange => Some("ftc"),
            Self::Tps => Some("tps"),
        }
    }

    /// Whether the file is all of a registry, so that the next one has about as many lines.
    pub const fn is_whole_registry(self) -> bool {
        matches!(self, Self::FtcFull | Self::Tps)
    }
}

/// How a file is read.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its shape; `None` tells a table from a number a line by the first line. Registries are
    /// never guessed, since their numbers stand without a country.
    pub shape: Option<Shape>,
    /// Whose national numbers are meant.
    pub numbers: NumberReader,
    /// The column of the number by its name or its place from 1, for tables where names do not
    /// say it.
    pub column: Option<String>,
    /// By what a table, or a number a line, counts as whole whose last line has no end though
    /// others have one: what stands there may be the beginning of somebody else's number.
    pub whole: Whole,
    /// Whether ranges may be [wide](Range::is_wide).
    pub wide_ranges: bool,
    /// Under which key the store hashes numbers, where it does: hashes of an export count if they
    /// are under the same.
    pub number_key: Option<String>,
}

/// By what a file counts as whole whose end does not say so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Whole {
    /// By nothing: it is refused.
    #[default]
    Unsaid,
    /// Whoever reads it says so.
    Said,
    /// It has so many lines, the header and blank ones not counted, as its source says.
    Lines(u64),
}

impl Settings {
    /// Whatever shape and column the file has, with national numbers as `numbers` reads them.
    pub const fn new(numbers: NumberReader) -> Self {
        Self {
            shape: None,
            numbers,
            column: None,
            whole: Whole::Unsaid,
            wide_ranges: false,
            number_key: None,
        }
    }
}

/// Where what was read goes.
pub trait Sink {
    /// A number that stands on the list.
    ///
    /// # Errors
    ///
    /// Those of the sink, which end the reading.
    fn listed(&mut self, number: Number) -> io::Result<()>;

    /// A number that a registry's change list took off.
    ///
    /// # Errors
    ///
    /// As [`Self::listed`].
    fn taken_off(&mut self, number: Number) -> io::Result<()>;

    /// A row of an export, with the lists that it is for. A range is in the tally too, where it is
    /// for any.
    ///
    /// # Errors
    ///
    /// As [`Self::listed`].
    fn exported(&mut self, exported: &Exported) -> io::Result<()>;

    /// A line that is no number.
    ///
    /// # Errors
    ///
    /// As [`Self::listed`].
    fn rejected(&mut self, rejected: &Rejected<'_>) -> io::Result<()>;

    /// Whether it wants to hear how far the file is read: asked before each row.
    fn wants_mark(&self) -> bool {
        false
    }

    /// So far the file is read, and everything before is handed over: reading [`from`](read_from)
    /// there gives the rest.
    ///
    /// # Errors
    ///
    /// As [`Self::listed`].
    fn marked(&mut self, _mark: &Mark) -> io::Result<()> {
        Ok(())
    }
}

/// How far a file is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Octets of its text before the next line.
    pub octets: u64,
    /// Lines before it.
    pub lines: u64,
    /// What was read of them.
    pub tally: Tally,
    last: Last,
    head: Option<Head>,
}

/// A line that is no number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected<'a> {
    /// Which line of the file, from 1.
    pub line: u64,
    /// Its text, without the line's end.
    pub text: &'a [u8],
    /// Why.
    pub reason: Reason,
}

/// Why a line is no number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// A row that ends before the number's column.
    #[error("expected the number in column {column}, found {found} columns")]
    Columns {
        /// The number's column, from 1.
        column: usize,
        /// How many the row has.
        found: usize,
    },
    /// A line too long to be looked at.
    #[error("expected at most {LINE_LEN_MAX} octets in a line")]
    Long,
    /// A change that says neither or both of added and deleted.
    #[error("expected one of A (added) and D (deleted)")]
    Mark,
    /// A text that is no number.
    #[error("{0}")]
    Number(NumberError),
    /// A text that is meant for a range, and is none.
    #[error("{0}")]
    Range(RangeError),
    /// A range more than an import may have.
    #[error("expected at most {RANGES_MAX} ranges in a file")]
    Ranges,
    /// A record that has not the registry's form.
    #[error("expected {expected}")]
    Record {
        /// The form.
        expected: &'static str,
    },
    /// A quoted field that does not end.
    #[error("expected a closing quote")]
    Quote,
}

impl Reason {
    /// What people are told of the lines that are counted under `word`, behind how many they are:
    /// "2 with a short code". A word that is none of ours, as a later version may write, says itself.
    pub fn in_words(word: &str) -> &str {
        match word {
            "columns" => "without the number's column",
            "long" => "longer than a line may be",
            "mark" => "without an A or a D of its own",
            "character" => "with characters that no number has",
            "emergency" => "with an emergency number",
            "empty" => "without a number",
            "invalid" => "with a number that its country does not assign",
            "short_code" => "with a short code of no named region",
            "unreadable" => "in no form of a number that is known there",
            "range" => "with a range that is none, or one too many",
            "record" => "not in the registry's form",
            "quote" => "with a quote that does not end",
            other => other,
        }
    }

    /// The word under which it is counted.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Columns { .. } => "columns",
            Self::Long => "long",
            Self::Mark => "mark",
            Self::Number(NumberError::Character { .. }) => "character",
            Self::Number(NumberError::Emergency) => "emergency",
            Self::Number(NumberError::Empty) => "empty",
            Self::Number(NumberError::Invalid { .. }) => "invalid",
            Self::Number(NumberError::ShortCode { .. }) => "short_code",
            Self::Number(_) => "unreadable",
            Self::Range(_) | Self::Ranges => "range",
            Self::Record { .. } => "record",
            Self::Quote => "quote",
        }
    }
}

/// Ranges of one import at most. Our choice: number plans and operators' blocks have tens; they
/// stand in the record, and 1,000 of them take 30 kB.
pub const RANGES_MAX: usize = 1000;

/// What was read of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Rows or records: all lines but the header and blank ones.
    pub read: u64,
    /// Numbers that stand on the list, those that come twice counted twice.
    pub listed: u64,
    /// Numbers that a change list took off, likewise.
    pub taken_off: u64,
    /// Ranges that stand on the list, each once; [`RANGES_MAX`] at most, also of those that are read
    /// back.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "fact::no_more_than::<_, _, RANGES_MAX>"
    )]
    pub ranges: Vec<Range>,
    /// Rejected lines by [`Reason::word`].
    pub rejected: BTreeMap<String, u64>,
}

impl Tally {
    /// Rejected lines of every reason.
    pub fn rejected_sum(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// Why a file is refused whole. Nothing of it counts then, whatever the sink has got.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The column that was asked for is not there.
    #[error("there is no column `{named}`; the first line has {found}")]
    ColumnUnknown {
        /// As it was asked for.
        named: String,
        /// The columns' names.
        found: String,
    },
    /// Several columns may be the number's.
    #[error("columns {columns} may each be the number's; say which with --column")]
    ColumnAmbiguous {
        /// Their places from 1 and names.
        columns: String,
    },
    /// No column is the number's.
    #[error(
        "no column is called as numbers are (phone, number, telefono, numero, ..) and the first \
         line holds no number; say which with --column"
    )]
    ColumnMissing,
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It cannot be read, or its sink failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another number of lines than its source says, where its end does not say that it is whole.
    #[error("expected {expected} lines, found {found}, and the last has no end; fetch it again")]
    Lines {
        /// As its source says.
        expected: u64,
        /// As there are.
        found: u64,
    },
    /// Not one line is a number.
    #[error(
        "none of the {read} lines is a number that could be read; most are lines {}",
        Reason::in_words(most)
    )]
    NoNumber {
        /// How many lines there are.
        read: u64,
        /// The most frequent reason, by its [`Reason::word`].
        most: String,
    },
    /// It ends in the middle of a record.
    #[error("the file is cut: line {line} is its last and has no end; fetch it again")]
    Truncated {
        /// The last line.
        line: u64,
    },
    /// Its last line has no end, and others have one.
    #[error(
        "line {line} is the last and has no end, as others have: it may be cut, and its number \
         another's; fetch the file again, or say that it is whole (--whole), or how many lines it \
         has (--expect)"
    )]
    Unended {
        /// The last line.
        line: u64,
    },
    /// A range that takes in a large part of a country.
    #[error(
        "line {line} is a range that takes in a large part of a country or more; \
         if that is meant, say --wide-ranges"
    )]
    Wide {
        /// Which line.
        line: u64,
    },
    /// The text is UTF-16.
    #[error("the file is UTF-16; save it as UTF-8")]
    Utf16,
}

/// Whether `input`, of which nothing is taken, begins as one of our exports does. It may be asked
/// of a file's beginning: its first line is looked at as far as it stands ready.
///
/// # Errors
///
/// Those of `input`.
pub fn is_export(input: &mut impl BufRead) -> io::Result<bool> {
    let begin = loop {
        match input.fill_buf() {
            Ok(_ready) => break input.fill_buf()?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    };
    let begin = begin.strip_prefix(lines::UTF8_MARK).unwrap_or(begin).trim_ascii_start();
    Ok(exported::is_export(begin.split(|octet| *octet == b'\n').next().unwrap_or_default()))
}

/// Reads all of `input` into `sink` and says what it was.
///
/// # Errors
///
/// [`ImportError`]; the file counts for nothing then.
pub fn read(
    input: impl Read,
    settings: Settings,
    sink: &mut impl Sink,
) -> Result<(Shape, Tally), ImportError> {
    read_from(input, settings, None, sink).map(|(shape, mark)| (shape, mark.tally))
}

/// As [`read`], from where `mark` says that the same text was read before; and where it ends.
///
/// # Errors
///
/// As [`read`].
pub fn read_from(
    input: impl Read,
    settings: Settings,
    mark: Option<Mark>,
    sink: &mut impl Sink,
) -> Result<(Shape, Mark), ImportError> {
    let mut lines = Lines::new(input)?;
    let place = mark.as_ref().map(|mark| (mark.octets, mark.lines));
    let Mark { tally, last, head, .. } = mark.unwrap_or_default();
    let mut reading = Reading {
        numbers: BulkReader::new(settings.numbers),
        wide_ranges: settings.wide_ranges,
        number_key: settings.number_key,
        tally,
        last,
    };
    let shape = match settings.shape {
        Some(shape) => shape,
        None if settings.column.is_none() && lines.looks_like_export()? => Shape::Export,
        None if settings.column.is_some() || lines.looks_like_table()? => Shape::Csv,
        None => Shape::Txt,
    };
    let table = match shape {
        Shape::Csv => Some(Table::new(lines.separator()?, settings.column.as_deref())),
        Shape::Txt => Some(Table::new(None, settings.column.as_deref())),
        Shape::Export if lines.looks_like_json()? => None,
        Shape::Export => Some(Table::of_export(lines.separator()?)),
        Shape::FtcFull | Shape::FtcChange | Shape::Tps => None,
    };
    // The first line has been looked at; all before the place is known.
    place.map_or(Ok(()), |place| lines.skip_to(place))?;
    let last = match table {
        Some(table) => table.with_head(head).read(&mut lines, &mut reading, sink)?,
        None if shape == Shape::Export => reading.json(&mut lines, sink)?,
        None => reading.registry(shape, &mut lines, sink)?,
    };
    reading.judge(shape, &last, settings.whole)?;
    let (octets, lines) = lines.place();
    Ok((shape, Mark { octets, lines, tally: reading.tally, last, head: None }))
}

/// The range that `text` is meant for; nothing where it is meant for a number.
fn meant_range(text: &[u8]) -> Option<Result<Range, RangeError>> {
    // A number has neither a star nor a second plus.
    let is_odd = |(at, octet): (usize, &u8)| *octet == b'*' || (*octet == b'+' && at > 0);
    text.iter().enumerate().find(|it| is_odd(*it))?;
    let text = std::str::from_utf8(text).ok().filter(|text| Range::is_meant(text))?;
    Some(text.parse())
}

/// How the file's last record went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Last {
    line: u64,
    /// Whether it lacks what every whole file ends with.
    is_cut: bool,
    /// Whether its line has no end, and others have one.
    is_unended: bool,
}

/// What goes on with each line.
#[derive(Debug)]
struct Reading {
    numbers: BulkReader,
    wide_ranges: bool,
    number_key: Option<String>,
    tally: Tally,
    /// Of what was read before.
    last: Last,
}

impl Reading {
    /// Tells the sink how far the file is read, where it wants to hear that.
    fn tell_place<R: Read>(
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
    fn text(
        &mut self,
        line: &Line<'_>,
        text: &[u8],
        sink: &mut impl Sink,
    ) -> Result<bool, ImportError> {
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
        if range.is_wide() && !self.wide_ranges {
            return Err(ImportError::Wide { line: line.number });
        }
        if !self.keep(range) {
            return self.reject(line, Reason::Ranges, sink);
        }
        self.tally.read += 1;
        Ok(true)
    }

    /// Keeps a range, once; false where there are too many.
    fn keep(&mut self, range: Range) -> bool {
        let is_known = self.tally.ranges.contains(&range);
        if !is_known && self.tally.ranges.len() < RANGES_MAX {
            self.tally.ranges.push(range);
            return true;
        }
        is_known
    }

    /// Rejects a line; always false.
    fn reject(
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

    fn registry<R: Read>(
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
    fn judge(&self, shape: Shape, last: &Last, whole: Whole) -> Result<(), ImportError> {
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

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "the tests cut files that they made themselves")]
mod tests;
