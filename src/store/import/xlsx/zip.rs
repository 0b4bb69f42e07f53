//! The ZIP file of a workbook: its directory, and its entries as they unpack.
//!
//! ```text
//! local header | content     for each entry       (APPNOTE 4.3.7)
//! ..
//! directory: name, place, packed length, CRC-32   (4.3.12)
//! end: how many entries, where the directory is   (4.3.16)
//! ```
//!
//! Source: PKWARE, APPNOTE.TXT 6.3.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use flate2::read::DeflateDecoder;

use super::damaged;
use crate::store::import::input::Meter;

/// What a ZIP file with any entry begins with.
pub(in crate::store::import) const MAGIC: &[u8; 4] = b"PK\x03\x04";

/// Octets of the directory at most: a workbook has some ten entries and one more for each sheet, of
/// some 80 octets each.
const DIRECTORY_LEN_MAX: u64 = 1 << 20;
/// Octets of the directory's end, without a comment.
const END_LEN: u64 = 22;
/// How many times its packed length an entry unpacks to at most. Our choice: rows differ, so that
/// tables are packed 10 to 50 times; a bomb of DEFLATE reaches 1,032 times.
const RATIO_MAX: u64 = 256;
/// And so many octets more, which short entries need.
const UNPACKED_MIN: u64 = 1 << 20;

/// Where an entry is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    header_at: u64,
    packed_len: u64,
    is_deflated: bool,
    crc: u32,
}

/// An open ZIP file.
#[derive(Debug)]
pub(super) struct Archive {
    file: Arc<File>,
    places: BTreeMap<String, Place>,
    meter: Meter,
}

impl Archive {
    /// Reads the directory.
    pub(super) fn open(file: File, meter: Meter) -> io::Result<Self> {
        let places = directory(&file)?;
        Ok(Self { file: Arc::new(file), places, meter })
    }

    /// Where the entry `name` is.
    pub(super) fn place(&self, name: &str) -> Option<Place> {
        self.places.get(name).copied()
    }

    /// The entry `name`, if there is one.
    pub(super) fn entry(&self, name: &str) -> io::Result<Option<Entry>> {
        self.place(name).map(|place| self.open_at(place)).transpose()
    }

    /// The entry at `place`.
    pub(super) fn open_at(&self, place: Place) -> io::Result<Entry> {
        let mut header = [0; 30];
        exact(&self.file, place.header_at, &mut header)?;
        let header = Octets(&header);
        if header.0.first_chunk() != Some(MAGIC) {
            return Err(damaged("its directory is damaged"));
        }
        let skipped = 30 + u64::from(header.u16(26)?) + u64::from(header.u16(28)?);
        let packed = Slice {
            file: Arc::clone(&self.file),
            at: place.header_at + skipped,
            left: place.packed_len,
            meter: self.meter.clone(),
        };
        let content = match place.is_deflated {
            true => Content::Deflated(Box::new(DeflateDecoder::new(packed))),
            false => Content::Stored(packed),
        };
        let left = place.packed_len.saturating_mul(RATIO_MAX).saturating_add(UNPACKED_MIN);
        Ok(Entry { content, left, hasher: crc32fast::Hasher::new(), crc: place.crc })
    }
}

fn exact(file: &File, at: u64, bytes: &mut [u8]) -> io::Result<()> {
    file.read_exact_at(bytes, at).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it is cut"),
        _ => error,
    })
}

fn directory(file: &File) -> io::Result<BTreeMap<String, Place>> {
    let len = file.metadata()?.len();
    let tail_len = len.min(END_LEN + u64::from(u16::MAX));
    let mut tail = vec![0; tail_len as usize]; // 64 KiB at most.
    exact(file, len - tail_len, &mut tail)?;
    let end = tail.windows(4).rposition(|four| four == b"PK\x05\x06");
    let end = Octets(tail.get(end.ok_or_else(|| damaged("it is cut"))?..).unwrap_or_default());
    let (count, len, at) = (end.u16(10)?, u64::from(end.u32(12)?), u64::from(end.u32(16)?));
    if len > DIRECTORY_LEN_MAX {
        return Err(damaged("its directory is too long"));
    }
    let mut directory = vec![0; len as usize]; // 1 MiB at most.
    exact(file, at, &mut directory)?;
    let (mut places, mut rest) = (BTreeMap::new(), directory.as_slice());
    for _ in 0..count {
        let (name, place, len) = entry(&Octets(rest))?;
        places.insert(name, place);
        rest = rest.get(len..).ok_or_else(|| damaged("its directory is damaged"))?;
    }
    Ok(places)
}

/// One entry of the directory, and how long it is there.
fn entry(entry: &Octets<'_>) -> io::Result<(String, Place, usize)> {
    if entry.0.get(..4) != Some(b"PK\x01\x02") {
        return Err(damaged("its directory is damaged"));
    }
    let (flags, method) = (entry.u16(8)?, entry.u16(10)?);
    if flags & 1 != 0 || !matches!(method, 0 | 8) {
        return Err(damaged("it is encrypted, or packed in a way that is not ours"));
    }
    let (packed_len, header_at) = (entry.u32(20)?, entry.u32(42)?);
    if packed_len == u32::MAX || header_at == u32::MAX {
        return Err(damaged("it is longer than 4 GiB"));
    }
    let [name_len, extra_len, comment_len] = [entry.u16(28)?, entry.u16(30)?, entry.u16(32)?];
    let name_end = 46 + usize::from(name_len);
    let name = entry.0.get(46..name_end).ok_or_else(|| damaged("its directory is damaged"))?;
    let place = Place {
        header_at: header_at.into(),
        packed_len: packed_len.into(),
        is_deflated: method == 8,
        crc: entry.u32(16)?,
    };
    let len = name_end + usize::from(extra_len) + usize::from(comment_len);
    Ok((String::from_utf8_lossy(name).into_owned(), place, len))
}

/// Little-endian figures at fixed places.
struct Octets<'a>(&'a [u8]);

impl Octets<'_> {
    fn array<const N: usize>(&self, at: usize) -> io::Result<[u8; N]> {
        let found = self.0.get(at..).and_then(|rest| rest.first_chunk());
        found.copied().ok_or_else(|| damaged("its directory is damaged"))
    }

    fn u16(&self, at: usize) -> io::Result<u16> {
        Ok(u16::from_le_bytes(self.array(at)?))
    }

    fn u32(&self, at: usize) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }
}

/// A part of the file. It has no place of its own in it, so that whoever else reads the file is not
/// disturbed.
#[derive(Debug)]
struct Slice {
    file: Arc<File>,
    at: u64,
    left: u64,
    meter: Meter,
}

impl Read for Slice {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let len = self.file.read_at(bytes.get_mut(..len).unwrap_or_default(), self.at)?;
        self.at += len as u64;
        self.left -= len as u64;
        self.meter.add(len);
        Ok(len)
    }
}

/// The content of an entry, whose checksum is looked at when it ends.
#[derive(Debug)]
pub(super) struct Entry {
    content: Content,
    /// Octets that may still come.
    left: u64,
    hasher: crc32fast::Hasher,
    crc: u32,
}

#[derive(Debug)]
enum Content {
    Deflated(Box<DeflateDecoder<Slice>>),
    Stored(Slice),
}

impl Read for Entry {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.content {
            Content::Deflated(content) => content.read(bytes),
            Content::Stored(content) => content.read(bytes),
        };
        let len = read.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => damaged("it is damaged"),
            _ => error,
        })?;
        self.hasher.update(bytes.get(..len).unwrap_or_default());
        let left = self.left.checked_sub(len as u64);
        self.left = left.ok_or_else(|| damaged("it unpacks to far more than a table does"))?;
        if len == 0 && !bytes.is_empty() && self.hasher.clone().finalize() != self.crc {
            return Err(damaged("it is damaged"));
        }
        Ok(len)
    }
}
