//! The file of an import: hashed as it comes, and uncompressed where it is gz.

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

/// How much is read at a time. Our choice: a quarter of the second-level cache.
const READ_LEN: usize = 256 * 1024;

/// What a gz file begins with, RFC 1952 section 2.3.1.
const GZ_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// An open file.
#[derive(Debug)]
pub(super) struct Input {
    raw: BufReader<Hashing>,
    is_gz: bool,
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
}

impl Input {
    /// Opens the file; what it begins with says whether it is gz, not its name.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let meter = Meter::default();
        let hashing = Hashing { file, hasher: Sha256::new(), meter: meter.clone() };
        let mut raw = BufReader::with_capacity(READ_LEN, hashing);
        let is_gz = raw.fill_buf()?.starts_with(&GZ_MAGIC);
        Ok(Self { raw, is_gz, len, meter })
    }

    /// How long the file is; zero for what is no file, such as a pipe.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    pub(super) const fn is_gz(&self) -> bool {
        self.is_gz
    }

    pub(super) fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// The text. A gz file of several members is one text; an end that is missing is an error
    /// `UnexpectedEof`, and what stands behind the last member is an error too.
    pub(super) fn lines(&mut self) -> io::Result<Box<dyn BufRead + '_>> {
        if !self.is_gz {
            return Ok(Box::new(&mut self.raw));
        }
        Ok(Box::new(BufReader::with_capacity(READ_LEN, MultiGzDecoder::new(&mut self.raw))))
    }

    /// SHA-256 of the whole file, read to its end.
    pub(super) fn finish(mut self) -> io::Result<[u8; 32]> {
        loop {
            let len = self.raw.fill_buf()?.len();
            if len == 0 {
                return Ok(self.raw.into_inner().hasher.finalize().into());
            }
            self.raw.consume(len);
        }
    }
}

#[derive(Debug)]
struct Hashing {
    file: File,
    hasher: Sha256,
    meter: Meter,
}

impl Read for Hashing {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read(bytes)?;
        self.hasher.update(bytes.get(..len).unwrap_or_default());
        self.meter.0.set(self.meter.0.get() + len as u64);
        Ok(len)
    }
}
