//! An export as a spreadsheet: one table, over as many sheets as it needs.
//!
//! Each cell is text, so that `+34600123456` stays as it is and `=1+1` is never a formula: what a
//! cell is, XLSX says beside its content, where CSV leaves the spreadsheet to guess. So nothing has
//! an apostrophe in front here. The rows are written to temporary files as they come, and memory
//! does not grow with their number.

use std::fs;
use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;

use rust_xlsxwriter::Format;
use rust_xlsxwriter::Workbook;
use rust_xlsxwriter::XlsxError;

use crate::store::import::is_export;
use crate::suppression::export::COLUMNS;
use crate::suppression::export::JsonRow;
use crate::suppression::export::Row;
use crate::suppression::export::read_json_line;

/// What an archive in the ZIP format begins with, APPNOTE 4.3.7.
const MAGIC: [u8; 4] = *b"PK\x03\x04";

/// Rows of a sheet, the header among them: the format's limit.
pub(super) const SHEET_ROWS_MAX: u32 = 1_048_576;

/// Takes JSON lines, as an engine sends them, and makes rows of them.
pub(super) struct XlsxExport {
    workbook: Workbook,
    sheet_rows_max: u32,
    sheets: usize,
    /// Rows in the last sheet, its header among them.
    rows: u32,
    /// Rows of all sheets, without headers.
    entries: u64,
    line: Vec<u8>,
}

impl XlsxExport {
    /// An empty table.
    ///
    /// # Errors
    ///
    /// Those of the temporary files.
    pub(super) fn new() -> io::Result<Self> {
        Self::with_sheets_of(SHEET_ROWS_MAX)
    }

    fn with_sheets_of(sheet_rows_max: u32) -> io::Result<Self> {
        let mut export = Self {
            workbook: Workbook::new(),
            sheet_rows_max,
            sheets: 0,
            rows: 0,
            entries: 0,
            line: Vec::new(),
        };
        export.begin_sheet().map_err(failed)?;
        Ok(export)
    }

    /// Refuses a file that is there and no spreadsheet that an earlier export made: of a file that
    /// is made anew nothing is left.
    ///
    /// # Errors
    ///
    /// What is there instead.
    pub(super) fn spare(path: &Path) -> io::Result<()> {
        let mut begin = Vec::new();
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found if !found.as_ref().is_ok_and(Metadata::is_file) => return found.map(drop),
            _file => File::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut begin)?,
        };
        let is_ours = begin == MAGIC && is_export(path).is_ok_and(|is_ours| is_ours);
        if begin.is_empty() || is_ours {
            return Ok(());
        }
        let why = "it is there already, and is no spreadsheet that an export made; name another";
        Err(io::Error::new(io::ErrorKind::AlreadyExists, why))
    }

    /// Writes the workbook to the file at `path`, for our user alone, and returns how many
    /// entries are in it. [`Self::spare`] says which file that may be.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub(super) fn save(mut self, path: &Path) -> io::Result<u64> {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        self.workbook.save_to_writer(&file).map_err(failed)?;
        file.sync_all()?;
        Ok(self.entries)
    }

    fn begin_sheet(&mut self) -> Result<(), XlsxError> {
        let bold = Format::new().set_bold();
        let sheet = self.workbook.add_worksheet_with_constant_memory()?;
        sheet.set_freeze_panes(1, 0)?;
        for (column, name) in (0_u16..).zip(COLUMNS) {
            sheet.write_string_with_format(0, column, name, &bold)?;
        }
        self.sheets += 1;
        self.rows = 1;
        Ok(())
    }

    fn row(&mut self, row: &impl Row) -> Result<(), XlsxError> {
        if self.rows == self.sheet_rows_max {
            self.begin_sheet()?;
        }
        let place = self.rows;
        let sheet = self.workbook.worksheet_from_index(self.sheets - 1)?;
        for (column, text) in (0_u16..).zip(row.cells()) {
            if !text.is_empty() {
                sheet.write_string(place, column, text)?;
            }
        }
        self.rows += 1;
        self.entries += 1;
        Ok(())
    }
}

impl Write for XlsxExport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|&octet| octet == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let row = read_json_line(&self.line)?;
                self.line.clear();
                let written = match row {
                    JsonRow::Entry(entry) => self.row(&*entry),
                    JsonRow::Range(entry) => self.row(&entry),
                };
                written.map_err(failed)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failed(error: XlsxError) -> io::Error {
    match error {
        XlsxError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use flate2::read::DeflateDecoder;

    use super::*;
    use crate::model::Number;
    use crate::model::NumberReader;
    use crate::model::RecordId;
    use crate::model::UnixMicros;
    use crate::model::WriterId;
    use crate::store::import::Order;
    use crate::store::import::prepare;
    use crate::suppression::export::Entry;
    use crate::suppression::export::write_json_line;
    use crate::suppression::import::Import;
    use crate::suppression::import::Imported;
    use crate::suppression::import::Settings;
    use crate::suppression::import::Shape;
    use crate::suppression::import::Tally;

    fn entry(digits: u64) -> Entry {
        let import = Import {
            list: "robinson".into(),
            account: None,
            campaign: None,
            topic: None,
            said: None,
            source: "=HYPERLINK(1)".to_owned(),
            as_of: None,
            shape: Shape::Txt,
            tally: Tally::default(),
            file_sha256: [0; 32],
            listed: None,
            taken_off: None,
            withdraws: None,
            node: "local".into(),
            actor: None,
            imported_at: UnixMicros(0),
        };
        let record = RecordId { writer: WriterId(1), seq: 1 };
        let number = Number::from_e164_digits(digits).unwrap();
        Entry::of_import(&Imported { record, written_at: UnixMicros(0), import }, number)
    }

    /// The text of a file within a ZIP archive, by its central directory (APPNOTE 4.3.12).
    fn unzip(archive: &[u8], wanted: &str) -> Option<String> {
        let u16_at = |at: usize| u16::from_le_bytes([archive[at], archive[at + 1]]) as usize;
        let u32_at = |at: usize| u16_at(at) | u16_at(at + 2) << 16;
        let end = archive.windows(4).rposition(|four| four == b"PK\x05\x06")?;
        let mut at = u32_at(end + 16);
        while archive[at..].starts_with(b"PK\x01\x02") {
            let (name_len, local) = (u16_at(at + 28), u32_at(at + 42));
            if &archive[at + 46..at + 46 + name_len] == wanted.as_bytes() {
                let begin = local + 30 + u16_at(local + 26) + u16_at(local + 28);
                let mut text = String::new();
                let packed = &archive[begin..begin + u32_at(at + 20)];
                DeflateDecoder::new(packed).read_to_string(&mut text).unwrap();
                return Some(text);
            }
            at += 46 + name_len + u16_at(at + 30) + u16_at(at + 32);
        }
        None
    }

    #[test]
    fn every_cell_is_text_and_a_full_sheet_is_followed_by_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("export.xlsx");
        let mut lines = Vec::new();
        for n in 0..5 {
            write_json_line(&mut lines, &entry(34_600_123_450 + n)).unwrap();
        }
        let mut export = XlsxExport::with_sheets_of(3).unwrap();
        // Pieces as they come over a socket.
        for piece in lines.chunks(7) {
            export.write_all(piece).unwrap();
        }
        XlsxExport::spare(&path).unwrap();
        assert_eq!(export.save(&path).unwrap(), 5);
        XlsxExport::spare(&path).unwrap();
        for other in [&b"[node]\n"[..], b"PK\x03\x04 and no more", b"{\"an\": \"object\"}\n"] {
            let taken = dir.path().join("taken");
            fs::write(&taken, other).unwrap();
            let error = XlsxExport::spare(&taken).unwrap_err().to_string();
            assert!(error.contains("there already"), "{error}");
        }
        let archive = fs::read(path).unwrap();
        for (sheet, numbers) in [(1, 50..52), (2, 52..54), (3, 54..55)] {
            let sheet = unzip(&archive, &format!("xl/worksheets/sheet{sheet}.xml")).unwrap();
            assert_eq!(sheet.matches("<row ").count(), 1 + numbers.len(), "{sheet}");
            for number in numbers {
                assert!(sheet.contains(&format!("<t>+346001234{number}</t>")), "{sheet}");
            }
            assert!(sheet.contains("<t>=HYPERLINK(1)</t>") && !sheet.contains("<f>"), "{sheet}");
            assert!(sheet.contains("<t>pressed_at</t>"), "each sheet has its header");
        }
        assert!(unzip(&archive, "xl/worksheets/sheet4.xml").is_none());
        let order = Order {
            run_numbers: 10,
            ..Order::new(
                dir.path().join("export.xlsx"),
                Settings::new(NumberReader::new("ES").unwrap()),
            )
        };
        let prepared = prepare(&order, &mut |_| {}).unwrap();
        assert_eq!((prepared.shape, prepared.tally.rejected_sum()), (Shape::Export, 0));
        assert_eq!(prepared.placed().iter().map(|placed| placed.count).collect::<Vec<_>>(), [5]);
        assert!(XlsxExport::new().unwrap().write_all(b"{}\n").is_err());
    }
}
