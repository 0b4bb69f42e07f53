//! The file of an import: hashed as it comes, uncompressed where it is gz, and made lines where it is a
//! spreadsheet.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::ahead::Ahead;
use super::checked::Watch;
use super::checked::WatchedText;
use super::xlsx::MAGIC;
use super::xlsx::Sheets;
use super::xlsx::Workbook;

/// How much is read at a time. Our choice: a quarter of the second-level cache.
const READ_LEN: usize = 256 * 1024;

/// What a gz file begins with, RFC 1952 section 2.3.1.
const GZ_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// An open file.
#[derive(Debug)]
pub(super) struct Input {
    raw: BufReader<Hashing>,
    is_gz: bool,
    /// Those of a spreadsheet, as far as it is read.
    sheets: Option<Sheets>,
    workbook: Option<Workbook>,
    len: u64,
    meter: Meter,
}

/// How much of the file was read; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Rc<Cell<u64>>);

impl Meter {
    /// Octets.
    pub(super) fn octets(&self) -> u64 {
        self.0.get()
    }

    /// So many more were read.
    pub(super) fn add(&self, octets: usize) {
        self.0.set(self.0.get() + octets as u64);
    }
}

impl Input {
    /// Opens the file; what it begins with says whether it is gz or a spreadsheet, not its name.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let meter = Meter::default();
        let hashing = Hashing { file, hasher: Sha256::new(), ahead: None, meter: meter.clone() };
        let mut raw = BufReader::with_capacity(READ_LEN, hashing);
        let begin = raw.fill_buf()?;
        let is_gz = begin.starts_with(&GZ_MAGIC);
        let sheets = begin.starts_with(MAGIC).then(Sheets::default);
        let mut meter = meter;
        if sheets.is_some() {
            // Whoever unpacks it has places of their own in the file; here it is hashed alone.
            meter = Meter::default();
        }
        Ok(Self { raw, is_gz, sheets, workbook: None, len, meter })
    }

    /// How long the file is; zero for what is no file, such as a pipe.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    pub(super) const fn is_gz(&self) -> bool {
        self.is_gz
    }

    /// Which line is which row, where the file is a spreadsheet.
    pub(super) fn sheets(&self) -> Option<Sheets> {
        self.sheets.clone()
    }

    pub(super) fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// The text; of a spreadsheet its rows as CSV. A gz file of several members is one text; an end
    /// that is missing is an error `UnexpectedEof`, and what stands behind the last member is an
    /// error too. What is read of it is summed in `watch`.
    pub(super) fn lines(&mut self, watch: Watch) -> io::Result<WatchedText<Box<dyn Read + '_>>> {
        let text: Box<dyn Read + '_> = if let Some(sheets) = &self.sheets {
            let file = self.raw.get_ref().file.try_clone()?;
            let workbook = self.workbook.insert(Workbook::open(file, self.meter.clone())?);
            Box::new(workbook.rows(sheets.clone()))
        } else {
            self.raw.get_mut().read_ahead()?;
            match self.is_gz {
                true => Box::new(MultiGzDecoder::new(&mut self.raw)),
                false => Box::new(&mut self.raw),
            }
        };
        Ok(watch.over(text))
    }

    /// SHA-256 of the whole file, read to its end.
    pub(super) fn finish(mut self) -> io::Result<[u8; 32]> {
        loop {
            let len = self.raw.fill_buf()?.len();
            if len == 0 {
                return self.raw.into_inner().finish();
            }
            self.raw.consume(len);
        }
    }
}

#[derive(Debug)]
struct Hashing {
    file: File,
    /// With what was read here.
    hasher: Sha256,
    /// What reads the rest, once nobody else reads the file.
    ahead: Option<Ahead>,
    meter: Meter,
}

impl Hashing {
    /// Has the rest of the file read and hashed by a thread of its own.
    fn read_ahead(&mut self) -> io::Result<()> {
        if self.ahead.is_none() {
            let begun = std::mem::take(&mut self.hasher);
            self.ahead = Some(Ahead::start(self.file.try_clone()?, begun)?);
        }
        Ok(())
    }

    fn finish(self) -> io::Result<[u8; 32]> {
        let hasher = match self.ahead {
            Some(ahead) => ahead.finish()?,
            None => self.hasher,
        };
        Ok(hasher.finalize().into())
    }
}

impl Read for Hashing {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let len = match &mut self.ahead {
            Some(ahead) => ahead.read(bytes)?,
            None => {
                let len = self.file.read(bytes)?;
                self.hasher.update(bytes.get(..len).unwrap_or_default());
                len
            }
        };
        self.meter.add(len);
        Ok(len)
    }
}
