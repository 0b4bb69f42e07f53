//! Tables: rows of fields, one of which is the number. A number a line is a table of one column.

use std::borrow::Cow;
use std::io::Read;

use serde::Deserialize;
use serde::Serialize;

use super::Columns;
use super::ImportError;
use super::Joined;
use super::Lines;
use super::Reason;
use super::Sink;
use super::exported;
use super::lines::Line;
use super::reading::Last;
use super::reading::Reading;

/// Lines of one row at most: a quoted field may hold line ends. Our choice: an address has a
/// handful, and a quote that nobody closed swallows no more than this before it is noticed.
const ROW_LINES_MAX: usize = 16;

/// How a table is read.
#[derive(Debug)]
pub(super) struct Table<'a> {
    separator: Option<u8>,
    named: Option<&'a str>,
    /// Whether it is one of our exports.
    is_export: bool,
    head: Head,
}

/// What the first row of a table says of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    columns: Option<Columns>,
    /// Of one of our exports.
    export: Option<exported::Columns>,
}

impl<'a> Table<'a> {
    /// A table of the columns between `separator`; without one each line is a field.
    pub(super) fn new(separator: Option<u8>, named: Option<&'a str>) -> Self {
        Self { separator, named, is_export: false, head: Head::default() }
    }

    /// One of our exports.
    pub(super) fn of_export(separator: Option<u8>) -> Self {
        Self { separator, named: None, is_export: true, head: Head::default() }
    }

    /// With what the first row said, where it was read before.
    pub(super) fn with_head(self, head: Option<Head>) -> Self {
        Self { head: head.unwrap_or_default(), ..self }
    }

    /// Reads every row.
    pub(super) fn read<R: Read>(
        mut self,
        lines: &mut Lines<R>,
        reading: &mut Reading,
        sink: &mut impl Sink,
    ) -> Result<Last, ImportError> {
        let mut last = reading.last;
        let mut row = Vec::new();
        loop {
            reading.tell_place(lines, last, Some(&self.head), sink)?;
            let Some(line) = lines.next()? else { return Ok(last) };
            last.line = line.number;
            // What we write ends with a line's end.
            last.is_cut = self.is_export && !line.is_ended;
            let is_blank = line.text.trim_ascii().is_empty();
            last.is_unended = !line.is_ended && !is_blank && line.number > 1;
            if line.is_long {
                reading.reject(&line, Reason::Long, sink)?;
                continue;
            }
            if is_blank {
                continue;
            }
            if !self.is_open(line.text) {
                self.row(&line, reading, sink)?;
                continue;
            }
            // A quoted field goes on in the next line: rare, and worth a copy.
            row.clear();
            row.extend_from_slice(line.text);
            let (number, begin) = (line.number, line.begin);
            let joined = lines.join(&mut row, ROW_LINES_MAX, |row| self.is_open(row))?;
            (_, last.line) = lines.place();
            let line = Line { number, begin, text: &row, is_ended: true, is_long: false };
            match joined {
                Joined::Closed { is_ended } => {
                    last.is_cut = self.is_export && !is_ended;
                    last.is_unended = !is_ended;
                    self.row(&line, reading, sink)?;
                }
                Joined::Open => drop(reading.reject(&line, Reason::Quote, sink)?),
                Joined::Over => last.is_cut = true,
            }
        }
    }

    fn row(
        &mut self,
        line: &Line<'_>,
        reading: &mut Reading,
        sink: &mut impl Sink,
    ) -> Result<(), ImportError> {
        if self.is_export {
            return self.exported(line, reading, sink);
        }
        let columns = match self.head.columns {
            Some(columns) => columns,
            None => {
                let first: Vec<Vec<u8>> =
                    self.fields(line.text).map(|field| cell(&field).to_vec()).collect();
                let columns = Columns::of(&first, self.named, &mut reading.numbers)?;
                self.head.columns = Some(columns);
                if columns.has_header {
                    return Ok(());
                }
                columns
            }
        };
        match self.fields(line.text).nth(columns.number) {
            Some(field) => reading.text(line, cell(&field), sink)?,
            None => {
                let (column, found) = (columns.number + 1, self.fields(line.text).count());
                reading.reject(line, Reason::Columns { column, found }, sink)?
            }
        };
        Ok(())
    }

    fn exported(
        &mut self,
        line: &Line<'_>,
        reading: &mut Reading,
        sink: &mut impl Sink,
    ) -> Result<(), ImportError> {
        let cells: Vec<Vec<u8>> =
            self.fields(line.text).map(|field| cell(&field).to_vec()).collect();
        let Some(columns) = &self.head.export else {
            self.head.export = Some(exported::Columns::of(&cells)?);
            return Ok(());
        };
        let exported = columns.read(&cells, &mut reading.numbers);
        reading.exported(line, exported, sink)
    }

    /// The fields of a row, without their quotes (RFC 4180 section 2).
    fn fields<'t>(&self, row: &'t [u8]) -> Fields<'t> {
        Fields { separator: self.separator, rest: Some(row) }
    }

    /// Whether a quoted field of the row has no end.
    fn is_open(&self, row: &[u8]) -> bool {
        if memchr::memchr(b'"', row).is_none() {
            return false;
        }
        let mut rest = Some(row);
        while let Some(field) = rest.and_then(|text| Field::split(text, self.separator)) {
            if !field.is_closed {
                return true;
            }
            rest = field.rest;
        }
        false
    }
}

/// What a cell says: without space around it, and without the apostrophe by which spreadsheets
/// and our own exports mark text.
fn cell(field: &[u8]) -> &[u8] {
    let field = field.trim_ascii();
    field.strip_prefix(b"'").unwrap_or(field)
}

struct Fields<'t> {
    separator: Option<u8>,
    rest: Option<&'t [u8]>,
}

impl<'t> Iterator for Fields<'t> {
    type Item = Cow<'t, [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let field = Field::split(self.rest?, self.separator)?;
        self.rest = field.rest;
        Some(field.text)
    }
}

/// A field at the beginning of a row's rest.
struct Field<'t> {
    text: Cow<'t, [u8]>,
    /// What follows its separator; nothing behind the last field.
    rest: Option<&'t [u8]>,
    /// Whether its quote was closed, where it has one.
    is_closed: bool,
}

impl<'t> Field<'t> {
    fn split(row: &'t [u8], separator: Option<u8>) -> Option<Self> {
        if let Some(quoted) = row.strip_prefix(b"\"") {
            return Self::split_quoted(quoted, separator);
        }
        let end = separator.and_then(|separator| memchr::memchr(separator, row));
        let text = Cow::Borrowed(row.get(..end.unwrap_or(row.len()))?);
        Some(Self { text, rest: end.and_then(|end| row.get(end + 1..)), is_closed: true })
    }

    fn split_quoted(quoted: &'t [u8], separator: Option<u8>) -> Option<Self> {
        let mut text = Cow::Borrowed(b"".as_slice());
        let mut rest = quoted;
        loop {
            let Some(quote) = memchr::memchr(b'"', rest) else {
                return Some(Self { text, rest: None, is_closed: false });
            };
            let (inside, after) = (rest.get(..quote)?, rest.get(quote + 1..)?);
            if text.is_empty() {
                text = Cow::Borrowed(inside);
            } else {
                text.to_mut().extend_from_slice(inside);
            }
            let Some(more) = after.strip_prefix(b"\"") else {
                let end = separator.and_then(|separator| memchr::memchr(separator, after));
                let rest = end.and_then(|end| after.get(end + 1..));
                return Some(Self { text, rest, is_closed: true });
            };
            // A doubled quote is one.
            text.to_mut().push(b'"');
            rest = more;
        }
    }
}
