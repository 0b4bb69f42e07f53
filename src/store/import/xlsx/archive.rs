//! The ZIP file of a workbook: its directory, and its entries as they unpack.
//!
//! ```text
//! local header | content     for each entry       (APPNOTE 4.3.7)
//! ..
//! directory: name, place, packed length, CRC-32   (4.3.12)
//! end: how many entries, where the directory is   (4.3.16)
//! ```
//!
//! The crate `zip` reads all of that. What is ours are limits that it has not: the length of a
//! directory, what an entry unpacks to, and no ZIP64, whose directories claim as many entries as
//! they like and are given the memory.
//!
//! Source: PKWARE, APPNOTE.TXT 6.3.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;

use zip::CompressionMethod;
use zip::ZipArchive;
use zip::ZipReadOptions;
use zip::read::ZipFile;
use zip::result::ZipError;

use super::damaged;
use crate::store::import::input::Meter;

/// What a ZIP file with any entry begins with.
pub(in crate::store::import) const MAGIC: &[u8; 4] = b"PK\x03\x04";
/// What the end of a directory begins with.
const END_MAGIC: &[u8; 4] = b"PK\x05\x06";
/// What stands right before it in a ZIP64 file, and how long that is (APPNOTE 4.3.15).
const LOCATOR_MAGIC: &[u8; 4] = b"PK\x06\x07";
const LOCATOR_LEN: usize = 20;

/// Octets of the directory at most: a workbook has some ten entries and one more for each sheet, of
/// some 80 octets each.
const DIRECTORY_LEN_MAX: u64 = 1 << 20;
/// Octets in which the directory's end is looked for: a comment of 64 KiB may follow it. Some more
/// than `zip` looks at.
const TAIL_LEN: u64 = 66 * 1024;
/// Octets that may be read to find and read a directory: each of them, and the tail by pieces.
const OPEN_LEN_MAX: u64 = DIRECTORY_LEN_MAX + 2 * TAIL_LEN;
/// How many times its packed length an entry unpacks to at most. Our choice: rows differ, so that
/// tables are packed 10 to 50 times; a bomb of DEFLATE reaches 1,032 times.
const RATIO_MAX: u64 = 256;
/// And so many octets more, which short entries need.
const UNPACKED_MIN: u64 = 1 << 20;

/// An open ZIP file.
#[derive(Debug)]
pub(super) struct Archive {
    zip: ZipArchive<Window>,
    window: Window,
}

impl Archive {
    /// Reads the directory.
    pub(super) fn open(file: File, meter: Meter) -> io::Result<Self> {
        let window = Window::of(file, meter)?;
        check_end(&window.tail()?)?;
        let left = Rc::new(Cell::new(OPEN_LEN_MAX));
        let zip = ZipArchive::new(Window { left: Rc::clone(&left), ..window.clone() });
        let zip = zip.map_err(|error| match left.get() {
            0 => damaged("its directory is too long"),
            _ => told(error),
        })?;
        for place in 0..zip.len() {
            let entry = zip.by_index_data(place).map_err(told)?;
            let method = entry.compression();
            let is_known =
                [CompressionMethod::Stored, CompressionMethod::Deflated].contains(&method);
            if entry.encrypted() || !is_known {
                return Err(damaged("it is encrypted, or packed in a way that is not ours"));
            }
        }
        Ok(Self { zip, window })
    }

    /// The place of the entry `name` in the directory.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.zip.index_for_name(name)
    }

    /// What an entry is read by: each has a place in the file of its own.
    pub(super) fn window(&self) -> Window {
        self.window.clone()
    }

    /// The entry at `place` of the directory, read by `window`.
    pub(super) fn entry<'a>(
        &'a self,
        place: usize,
        window: &'a mut Window,
    ) -> io::Result<Entry<'a>> {
        let entry = self.zip.by_index_data(place).map_err(told)?;
        let left = entry.compressed_size().saturating_mul(RATIO_MAX).saturating_add(UNPACKED_MIN);
        let content = entry.with_reader(window, ZipReadOptions::new()).map_err(told)?;
        Ok(Entry { content, left })
    }
}

/// Looks at each end of a directory that there may be in `tail`, the last octets of a file: whether
/// there is one, how long the directory of the last is, and whether any is of ZIP64.
fn check_end(tail: &[u8]) -> io::Result<()> {
    let is_at = |at: usize, magic: &[u8]| tail.get(at..).is_some_and(|it| it.starts_with(magic));
    let mut has_end = false;
    for at in (0..tail.len()).rev().filter(|at| is_at(*at, END_MAGIC)) {
        let end = tail.get(at..).unwrap_or_default();
        let (count, len, start) = (figure(end, 10, 2), figure(end, 12, 4), figure(end, 16, 4));
        let is_zip64 = count == u64::from(u16::MAX) || len.max(start) == u64::from(u32::MAX);
        let locator = at.checked_sub(LOCATOR_LEN);
        if is_zip64 && locator.is_some_and(|locator| is_at(locator, LOCATOR_MAGIC)) {
            return Err(damaged("it is longer than 4 GiB"));
        }
        if !has_end && len > DIRECTORY_LEN_MAX {
            return Err(damaged("its directory is too long"));
        }
        has_end = true;
    }
    if has_end { Ok(()) } else { Err(damaged("it is cut")) }
}

/// A little-endian figure of `len` octets; what is cut is zero.
fn figure(octets: &[u8], at: usize, len: usize) -> u64 {
    let octets = octets.get(at..at + len).unwrap_or_default();
    octets.iter().rev().fold(0, |figure, octet| figure << 8 | u64::from(*octet))
}

/// What `zip` says in our words.
fn told(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) if error.raw_os_error().is_some() => error,
        ZipError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => damaged("it is cut"),
        _ => damaged("its directory is damaged"),
    }
}

/// The file as it is read from one place on. It has no place of its own in it, so that whoever else
/// reads the file is not disturbed.
#[derive(Clone, Debug)]
pub(super) struct Window {
    file: Arc<File>,
    len: u64,
    at: u64,
    /// Octets that may still be read.
    left: Rc<Cell<u64>>,
    meter: Meter,
}

impl Window {
    fn of(file: File, meter: Meter) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), len, at: 0, left: Rc::new(Cell::new(u64::MAX)), meter })
    }

    /// The last octets of the file.
    fn tail(&self) -> io::Result<Vec<u8>> {
        let len = self.len.min(TAIL_LEN);
        let mut tail = vec![0; len as usize]; // 66 KiB at most.
        self.file.read_exact_at(&mut tail, self.len - len).map_err(|error| told(error.into()))?;
        Ok(tail)
    }
}

impl Read for Window {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(damaged("its directory is too long"));
        }
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(octets.len());
        let len = self.file.read_at(octets.get_mut(..len).unwrap_or_default(), self.at)?;
        self.at += len as u64;
        self.left.set(left - len as u64);
        self.meter.add(len);
        Ok(len)
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| damaged("its directory is damaged"))?;
        Ok(self.at)
    }
}

/// The content of an entry, whose length and checksum are held against the directory as it is read.
pub(super) struct Entry<'a> {
    content: ZipFile<'a, Window>,
    /// Octets that may still come.
    left: u64,
}

impl Read for Entry<'_> {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        let len = self.content.read(octets).map_err(|error| match error.raw_os_error() {
            Some(_refused) => error,
            None => damaged("it is damaged"),
        })?;
        let left = self.left.checked_sub(len as u64);
        self.left = left.ok_or_else(|| damaged("it unpacks to far more than a table does"))?;
        Ok(len)
    }
}
