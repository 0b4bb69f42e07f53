//! The lines of an import that are no number, as a file of their own.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::suppression::export::defused;
use crate::suppression::import::Rejected;

use super::PrepareError;
use super::checked::Checked;
use super::checked::Sum;
use super::xlsx::Sheets;

/// Rejected lines as CSV: line, or sheet and row of a spreadsheet; reason as it is counted, the reason
/// in words, text.
#[derive(Debug)]
pub(super) struct Rejects {
    path: PathBuf,
    out: csv::Writer<Checked>,
    sheets: Option<Sheets>,
}

impl Rejects {
    /// Makes the file anew, for our user alone; `sheets` are those of a spreadsheet.
    pub(super) fn create(path: &Path, sheets: Option<Sheets>) -> Result<Self, PrepareError> {
        let file = Checked::create(path).map_err(PrepareError::io("create", path))?;
        let mut out = csv::Writer::from_writer(file);
        let place: &[&str] = if sheets.is_some() { &["sheet", "row"] } else { &["line"] };
        let header = out.write_record(place.iter().chain(&["reason", "why", "text"]));
        header.map_err(|error| PrepareError::io("write", path)(error.into()))?;
        Ok(Self { path: path.to_owned(), out, sheets })
    }

    /// Goes on with what is in `file`.
    pub(super) fn resume(path: &Path, file: Checked, sheets: Option<Sheets>) -> Self {
        Self { path: path.to_owned(), out: csv::Writer::from_writer(file), sheets }
    }

    /// What is in the file, all of which survives a power cut.
    pub(super) fn sync(&mut self) -> io::Result<Sum> {
        self.out.flush()?;
        self.out.get_ref().sync()?;
        Ok(self.out.get_ref().sum())
    }

    /// Writes a line.
    pub(super) fn write(&mut self, rejected: &Rejected<'_>) -> io::Result<()> {
        let text = String::from_utf8_lossy(rejected.text);
        let (why, text) = (rejected.reason.to_string(), defused(&text));
        let rest = [rejected.reason.word(), why.as_str(), text.as_str()];
        let place = match &self.sheets {
            None => vec![rejected.line.to_string()],
            Some(sheets) => {
                let (sheet, row) = sheets.row_of(rejected.line).unwrap_or_default();
                vec![defused(&sheet), row.to_string()]
            }
        };
        Ok(self.out.write_record(place.iter().map(String::as_str).chain(rest))?)
    }

    /// Ends the file.
    pub(super) fn finish(mut self) -> Result<(), PrepareError> {
        self.out.flush().map_err(PrepareError::io("write", &self.path))
    }
}
