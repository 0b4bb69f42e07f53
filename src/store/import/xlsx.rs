//! A spreadsheet (XLSX) as the table that it holds: its rows as lines of CSV, as they are asked for.
//!
//! ```text
//! ZIP: workbook -> sheets in their order; shared texts -> memory
//! sheet -> inflate -> rows of cells -> a line for each row, blank for those that are not there
//! ```
//!
//! It reads what `optout export --format xlsx` writes (a table over as many sheets as it needs, each
//! with the header), also after Excel or LibreOffice saved it anew, which moves the texts into a
//! table of their own; and any other table of numbers. Formulas, dates and styles are nothing to
//! it: a cell is what stands in it. Whoever made the file may mean us harm: everything that is kept
//! in memory has a maximum, and a sheet that unpacks to far more than a table would is refused.
//!
//! ZIP and XML are read by crates ([`archive`], [`xml`]), which take what they find; the limits are
//! ours. Deliberately absent: ZIP64 and encryption, which are refused, and XLS. calamine 0.38 would do
//! all of it, but keeps shared texts and tags of any length in memory, and unpacks whatever there is.
//!
//! Source: ECMA-376 part 1, sections 18.2 (workbook), 18.3 (sheets) and 18.4 (shared texts).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::io::Read;
use std::rc::Rc;

use super::input::Meter;
use crate::suppression::import::LINE_LEN_MAX;
use archive::Archive;
use archive::Entry;
use archive::Window;
use xml::Xml;

mod archive;
mod xml;

pub(super) use archive::MAGIC;

/// Sheets at most: 268 million rows.
const SHEETS_MAX: usize = 256;
/// Rows of a sheet at most, as in Excel.
const ROWS_MAX: u64 = 1_048_576;
/// Columns of a sheet at most, as in Excel.
const COLUMNS_MAX: usize = 16_384;
/// Shared texts at most, in octets with what it takes to find each. Our choice: a million rows of
/// an export that a spreadsheet has saved anew have some 250 MB of them.
const SHARED_LEN_MAX: usize = 512 << 20;
/// What it takes to find one.
const SHARED_END_LEN: usize = size_of::<usize>();

/// Which lines are rows of which sheet; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Sheets(Rc<RefCell<Vec<Sheet>>>);

#[derive(Debug)]
struct Sheet {
    name: String,
    /// Lines before its first row.
    lines_before: u64,
}

impl Sheets {
    /// The sheet and the row, counted from 1, of a line.
    pub(super) fn row_of(&self, line: u64) -> Option<(String, u64)> {
        let sheets = self.0.borrow();
        let end = sheets.partition_point(|sheet| sheet.lines_before < line);
        let sheet = end.checked_sub(1).and_then(|at| sheets.get(at))?;
        Some((sheet.name.clone(), line - sheet.lines_before))
    }

    fn begin(&self, name: &str, lines_before: u64) {
        self.0.borrow_mut().push(Sheet { name: name.to_owned(), lines_before });
    }
}

/// An open workbook.
#[derive(Debug)]
pub(super) struct Workbook {
    archive: Archive,
    found: Vec<Found>,
    shared: Shared,
}

/// A sheet of it.
#[derive(Debug)]
struct Found {
    name: String,
    /// Where it is in the archive.
    place: usize,
    window: Window,
}

impl Workbook {
    /// Opens the workbook in `file`; `meter` learns how far it is read.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] for what is no workbook, and those of the file.
    pub(super) fn open(file: File, meter: Meter) -> io::Result<Self> {
        Self::with_shared_max(file, meter, SHARED_LEN_MAX)
    }

    fn with_shared_max(file: File, meter: Meter, shared_len_max: usize) -> io::Result<Self> {
        let archive = Archive::open(file, meter)?;
        let found = sheets_of(&archive)?;
        let shared = match archive.place("xl/sharedStrings.xml") {
            Some(place) => {
                let mut window = archive.window();
                Shared::read(Xml::new(archive.entry(place, &mut window)?), shared_len_max)?
            }
            None => Shared::default(),
        };
        Ok(Self { archive, found, shared })
    }

    /// Its rows; `sheets` learns which is which.
    pub(super) fn rows(&mut self, sheets: Sheets) -> XlsxRows<'_> {
        sheets.0.borrow_mut().clear();
        let Self { archive, found, shared } = self;
        XlsxRows {
            archive,
            coming: found.iter_mut(),
            sheets,
            shared,
            current: None,
            header: None,
            lines: 0,
            ready: Vec::new(),
            at: 0,
        }
    }
}

/// The rows of all sheets as CSV.
pub(super) struct XlsxRows<'a> {
    archive: &'a Archive,
    /// Those that are still to come.
    coming: std::slice::IterMut<'a, Found>,
    sheets: Sheets,
    shared: &'a Shared,
    current: Option<Current<'a>>,
    /// The header of the first sheet that has any row.
    header: Option<Vec<String>>,
    /// Lines that were made so far.
    lines: u64,
    ready: Vec<u8>,
    at: usize,
}

/// The sheet that is read.
struct Current<'a> {
    name: &'a str,
    xml: Xml<Entry<'a>>,
    /// The row that was read last; 0 before the first.
    row: u64,
    has_begun: bool,
}

impl XlsxRows<'_> {
    /// Makes the next line ready, or some blank ones; false behind the last.
    fn advance(&mut self) -> io::Result<bool> {
        self.ready.clear();
        self.at = 0;
        loop {
            if self.current.is_none() {
                let Some(Found { name, place, window }) = self.coming.next() else {
                    return Ok(false);
                };
                self.sheets.begin(name, self.lines);
                let xml = Xml::new(self.archive.entry(*place, window)?);
                self.current = Some(Current { name, xml, row: 0, has_begun: false });
            }
            let Some(current) = &mut self.current else { return Ok(false) };
            let Some((row, cells)) = current.next(self.shared)? else {
                self.current = None;
                continue;
            };
            // So that a line's number says its row.
            for _ in current.row + 1..row {
                self.ready.push(b'\n');
            }
            self.lines += row - current.row;
            current.row = row;
            // As spreadsheets keep rows of which somebody has coloured the cells.
            if cells.iter().all(|cell| cell.trim().is_empty()) {
                self.ready.push(b'\n');
                return Ok(true);
            }
            let is_first = !std::mem::replace(&mut current.has_begun, true);
            match &self.header {
                Some(header) if is_first && *header == cells => self.ready.push(b'\n'),
                Some(_) if is_first => {
                    let name = current.name;
                    return Err(damaged(&format!("its sheet `{name}` has other columns")));
                }
                Some(_) => put(&cells, &mut self.ready),
                None => {
                    put(&cells, &mut self.ready);
                    self.header = Some(cells);
                }
            }
            return Ok(true);
        }
    }
}

impl Read for XlsxRows<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.at == self.ready.len() && !self.advance()? {
            return Ok(0);
        }
        let len = self.ready.get(self.at..).unwrap_or_default().read(bytes)?;
        self.at += len;
        Ok(len)
    }
}

/// One line of CSV (RFC 4180) whose fields are all quoted. A line's end within a cell becomes a
/// space: no name, number or time has one. An apostrophe in front is doubled, since readers of our
/// tables take one off.
fn put(cells: &[String], line: &mut Vec<u8>) {
    for (at, cell) in cells.iter().enumerate() {
        line.extend_from_slice(if at > 0 { b",\"" } else { b"\"" });
        if cell.starts_with('\'') {
            line.push(b'\'');
        }
        for &octet in cell.as_bytes() {
            match octet {
                b'\n' | b'\r' => line.push(b' '),
                b'"' => line.extend_from_slice(b"\"\""),
                octet => line.push(octet),
            }
        }
        line.push(b'"');
    }
    line.push(b'\n');
}

/// What is wrong with the file.
fn damaged(what: &str) -> io::Error {
    let why = format!("the spreadsheet cannot be read: {what}; fetch it again, or save it as CSV");
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The sheets of the workbook in their order, with the name that people see.
fn sheets_of(archive: &Archive) -> io::Result<Vec<Found>> {
    let (mut window, mut other) = (archive.window(), archive.window());
    let part = |name| {
        let place = archive.place(name);
        place.ok_or_else(|| damaged("it is a ZIP file without a workbook"))
    };
    let mut targets = BTreeMap::new();
    let mut xml = Xml::new(archive.entry(part("xl/_rels/workbook.xml.rels")?, &mut window)?);
    while xml.next()? {
        let kind = xml.attribute("Type")?.unwrap_or_default();
        if !xml.is("Relationship") || !kind.ends_with("/worksheet") {
            continue;
        }
        if let (Some(id), Some(target)) = (xml.attribute("Id")?, xml.attribute("Target")?) {
            targets.insert(id, target);
        }
    }
    let mut sheets = Vec::new();
    let mut xml = Xml::new(archive.entry(part("xl/workbook.xml")?, &mut other)?);
    while xml.next()? {
        if !xml.is("sheet") {
            continue;
        }
        let (name, id) = (xml.attribute("name")?, xml.attribute("r:id")?);
        // What is no worksheet, such as a chart, holds no rows.
        let Some(target) = id.and_then(|id| targets.get(&id)) else { continue };
        let path = match target.strip_prefix('/') {
            Some(whole) => whole.to_owned(),
            None => format!("xl/{target}"),
        };
        let place = archive.place(&path).ok_or_else(|| damaged("one of its sheets is missing"))?;
        let name = name.unwrap_or_default();
        sheets.push(Found { name, place, window: archive.window() });
        if sheets.len() > SHEETS_MAX {
            return Err(damaged(&format!("it has more than {SHEETS_MAX} sheets")));
        }
    }
    if sheets.is_empty() {
        return Err(damaged("it has no sheet"));
    }
    Ok(sheets)
}

/// The texts that cells name by their place.
#[derive(Debug, Default)]
struct Shared {
    text: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Shared {
    fn read(mut xml: Xml<Entry<'_>>, len_max: usize) -> io::Result<Self> {
        let mut shared = Self::default();
        while xml.next()? {
            if xml.is("si") {
                let text = xml.texts("si")?;
                let len = shared.text.len() + text.len();
                if len + (shared.ends.len() + 1) * SHARED_END_LEN > len_max {
                    return Err(damaged("it has too many texts"));
                }
                shared.text.push_str(&text);
                shared.ends.push(len);
            }
        }
        Ok(shared)
    }

    fn get(&self, place: usize) -> Option<&str> {
        let begin = place.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        self.text.get(begin?..*self.ends.get(place)?)
    }
}

impl Current<'_> {
    /// The next row and its cells; nothing behind the last. Of a row that is too long for a line,
    /// only so much is kept as tells it to be.
    fn next(&mut self, shared: &Shared) -> io::Result<Option<(u64, Vec<String>)>> {
        let xml = &mut self.xml;
        loop {
            if !xml.next()? {
                return Err(damaged("it is cut"));
            }
            if xml.is("/worksheet") {
                // To the end, where the checksum is.
                while xml.next()? {}
                return Ok(None);
            }
            if xml.is("row") {
                break;
            }
        }
        let row = match xml.attribute("r")? {
            Some(row) => row.parse().ok(),
            None => Some(self.row + 1),
        };
        let row = row.filter(|row| (self.row + 1..=ROWS_MAX).contains(row));
        let row = row.ok_or_else(|| damaged("a row is out of its place"))?;
        Ok(Some((row, cells(xml, shared)?)))
    }
}

/// The cells up to the end of the row.
fn cells(xml: &mut Xml<Entry<'_>>, shared: &Shared) -> io::Result<Vec<String>> {
    let (mut cells, mut len) = (Vec::new(), 0);
    loop {
        if !xml.next()? {
            return Err(damaged("it is cut"));
        }
        if xml.is("/row") {
            return Ok(cells);
        }
        if !xml.is("c") {
            continue;
        }
        let column = match xml.attribute("r")? {
            Some(place) => column(&place),
            None => Some(cells.len()),
        };
        let column = column.filter(|column| (cells.len()..COLUMNS_MAX).contains(column));
        let column = column.ok_or_else(|| damaged("a cell is out of its place"))?;
        let text = cell(xml, shared)?;
        cells.resize(column, String::new());
        cells.push(if len > LINE_LEN_MAX { String::new() } else { text });
        len += cells.last().map_or(0, String::len);
    }
}

/// The text of the cell whose tag was read; none where it has no value.
fn cell(xml: &mut Xml<Entry<'_>>, shared: &Shared) -> io::Result<String> {
    let kind = xml.attribute("t")?.unwrap_or_default();
    if kind == "inlineStr" {
        return xml.texts("c");
    }
    let mut value = None;
    while !xml.is("/c") {
        if !xml.next()? {
            return Err(damaged("it is cut"));
        }
        if xml.is("/v") {
            value = Some(xml.text());
        }
    }
    match value {
        Some(place) if kind == "s" => {
            let text = place.trim().parse().ok().and_then(|place| shared.get(place));
            text.map(str::to_owned).ok_or_else(|| damaged("a text is missing"))
        }
        value => Ok(value.unwrap_or_default()),
    }
}

/// The column of a place such as `AB12`, from 0.
fn column(place: &str) -> Option<usize> {
    let letters = place.bytes().take_while(u8::is_ascii_uppercase);
    let add = |column: usize, letter: u8| {
        column.checked_mul(26)?.checked_add(usize::from(letter - b'A') + 1)
    };
    letters.map(Some).try_fold(0, |column, letter| add(column, letter?))?.checked_sub(1)
}

#[cfg(test)]
pub(super) mod tests;
