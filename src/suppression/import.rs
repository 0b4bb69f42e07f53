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
use crate::model::NumberReader;

use super::range::Range;

mod base;
mod columns;
mod error;
mod exported;
mod fact;
mod lines;
mod reading;
mod registry;
mod reject;
mod table;

pub use base::{base_of, layers, listing};
pub use error::ImportError;
pub use exported::{Exported, Whom, is_name};
pub use fact::{EASTERNMOST_US, REACH_MAX};
pub use fact::{Import, Imported, Part, TakenOff, Withdrawal, standing, withdrawals};
pub use lines::LINE_LEN_MAX;
pub use reject::{Reason, Rejected};

use columns::Columns;
use lines::Joined;
use lines::Lines;
use reading::Last;
use reading::Reading;
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

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "the tests cut files that they made themselves")]
mod tests;
