//! The lines of an import that are no number, as a file of their own.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use crate::suppression::export::defused;
use crate::suppression::import::Rejected;

use super::PrepareError;
use super::checked::Checked;
use super::checked::Sum;
use super::xlsx::Sheets;

/// The header where lines are counted, and where rows of sheets are.
const OF_LINES: &str = "line,reason,why,text";
const OF_SHEETS: &str = "sheet,row,reason,why,text";

/// Rejected lines as CSV: line, or sheet and row of a spreadsheet; reason as it is counted, the reason
/// in words, text.
#[derive(Debug)]
pub(super) struct Rejects {
    path: PathBuf,
    out: csv::Writer<Checked>,
    sheets: Option<Sheets>,
}

impl Rejects {
    /// Makes the file anew, for our user alone, for the import of `source`; `sheets` are those of a
    /// spreadsheet.
    pub(super) fn create(
        path: &Path,
        source: &Path,
        sheets: Option<Sheets>,
    ) -> Result<Self, PrepareError> {
        spare(path, source)?;
        let file = Checked::create(path).map_err(PrepareError::io("create", path))?;
        let mut out = csv::Writer::from_writer(file);
        let header = if sheets.is_some() { OF_SHEETS } else { OF_LINES };
        let header = out.write_record(header.split(','));
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

/// Refuses the file that is imported, and one that is there and holds anything but what an earlier
/// import has rejected: of a file that is made anew nothing is left.
fn spare(path: &Path, source: &Path) -> Result<(), PrepareError> {
    let there = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(PrepareError::io("read", path))?,
    };
    // A terminal or a pipe loses nothing.
    if !there.is_file() {
        return Ok(());
    }
    let source = fs::metadata(source).map_err(PrepareError::io("read", source))?;
    if (there.dev(), there.ino()) == (source.dev(), source.ino()) {
        return Err(PrepareError::RejectsSource { path: path.to_owned() });
    }
    let mut begin = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(OF_SHEETS.len() as u64).read_to_end(&mut begin));
    read.map_err(PrepareError::io("read", path))?;
    let is_ours = |header: &str| begin.starts_with(header.as_bytes());
    if begin.is_empty() || is_ours(OF_LINES) || is_ours(OF_SHEETS) {
        return Ok(());
    }
    Err(PrepareError::RejectsTaken { path: path.to_owned() })
}
