//! The lines of an import that are no number, as a file of their own.

use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::suppression::export::defused;
use crate::suppression::import::Rejected;

use super::PrepareError;
use super::xlsx::Sheets;

/// Rejected lines as CSV: line, or sheet and row of a spreadsheet; reason as it is counted, the reason
/// in words, text.
#[derive(Debug)]
pub(super) struct Rejects {
    path: PathBuf,
    out: csv::Writer<File>,
    sheets: Option<Sheets>,
}

impl Rejects {
    /// Makes the file anew, for our user alone; `sheets` are those of a spreadsheet.
    pub(super) fn create(path: &Path, sheets: Option<Sheets>) -> Result<Self, PrepareError> {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        // Numbers are in it: for our user alone, as the store is.
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(PrepareError::io("create", path))?;
        let mut out = csv::Writer::from_writer(file);
        let place: &[&str] = if sheets.is_some() { &["sheet", "row"] } else { &["line"] };
        let header = out.write_record(place.iter().chain(&["reason", "why", "text"]));
        header.map_err(|error| PrepareError::io("write", path)(error.into()))?;
        Ok(Self { path: path.to_owned(), out, sheets })
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
