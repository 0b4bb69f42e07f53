//! A base as octets: a snapshot that is loaded by copying columns, and refused when it has decayed.
//!
//! ```text
//! +-------+---------+---------------+--------+  +--------+  +----------+     +-----------+
//! | magic | version | header's size | CRC-32 |  | header |  | column 1 | ... | column 20 |
//! +-------+---------+---------------+--------+  +--------+  +----------+     +-----------+
//! header and columns: chunks of up to 1 MiB, each followed by the CRC-32 of its place and octets
//! header: cursor (writer, seq)..; layers with their lists by name; how long each column is
//! ```
//!
//! Everything is little-endian, so that on the machines that run this a column is one copy. There
//! is no octet that no CRC covers, and the file's length follows from its header. CRC-32 finds
//! every flipped octet; it is no defence against somebody who writes into the store's folder.

#![deny(clippy::indexing_slicing)]

use std::io;
use std::io::Read;
use std::io::Write;

use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::RecordId;
use crate::model::TopicName;
use crate::model::WriterId;

use super::Base;
use super::Layer;
use super::columns::Columns;
use super::columns::LayoutError;
use super::keyed::Keyed;

const MAGIC: [u8; 8] = *b"bvz-base";
/// The version that is written. One of before knows no keyed numbers or no topics, and is built
/// anew.
const VERSION: u32 = 3;
const PRELUDE_LEN: usize = 24;
/// Octets between two CRCs. Our choice: small beside the caches, large beside a CRC.
const CHUNK_LEN: usize = 1 << 20;
const CRC_LEN: usize = 4;
const COLUMNS: usize = 20;
/// Most octets of a header: 65,535 layers with long names. Beyond it, it is no header of ours.
const HEADER_LEN_MAX: u64 = 64 << 20;

/// How far each writer's stream is in a base: of every fact up to there that makes or reverses an
/// import, the base says what it says.
pub type Cursor = Vec<(WriterId, u64)>;

/// Why octets are not a base.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// A chunk that is not what was written.
    #[error("the snapshot is damaged in its {part}, within {CHUNK_LEN} octets from {at}")]
    Damaged {
        /// The part.
        part: &'static str,
        /// Where in the file the chunk begins.
        at: u64,
    },
    /// Not the beginning of a snapshot.
    #[error("expected a snapshot, found something else")]
    Foreign,
    /// The input failed.
    #[error("the snapshot cannot be read")]
    Io(#[from] io::Error),
    /// The columns are whole and no base.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The file has been cut, or something was added.
    #[error("expected a snapshot of {expected} octets, found {found}")]
    Length {
        /// What its header tells.
        expected: u64,
        /// How long it is.
        found: u64,
    },
    /// The header is whole and cannot be understood.
    #[error("the header of the snapshot is malformed at its {part}")]
    Malformed {
        /// The part that could not be read.
        part: &'static str,
    },
    /// A version of a later program.
    #[error("expected snapshot version {VERSION}, found {found}")]
    Version {
        /// The version.
        found: u32,
    },
}

/// A value of a column.
trait Cell: Copy {
    const WIDTH: usize;
    fn put(self, out: &mut Vec<u8>);
    fn of(octets: &[u8]) -> Self;
}

macro_rules! cell {
    ($($name:ty)*) => {$(
        impl Cell for $name {
            const WIDTH: usize = size_of::<Self>();

            fn put(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn of(octets: &[u8]) -> Self {
                // The octets of a cell are as many as it is wide.
                Self::from_le_bytes(octets.try_into().unwrap_or_default())
            }
        }
    )*};
}

cell!(u8 u16 u32 u64);

impl Base {
    /// Writes the base and its `cursor`; the same base and cursor are the same octets.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write(&self, cursor: &[(WriterId, u64)], out: &mut impl Write) -> io::Result<()> {
        let header = self.header(cursor);
        let mut prelude = Vec::with_capacity(PRELUDE_LEN);
        prelude.extend_from_slice(&MAGIC);
        VERSION.put(&mut prelude);
        (header.len() as u64).put(&mut prelude);
        crc32fast::hash(&prelude).put(&mut prelude);
        out.write_all(&prelude)?;
        let mut out = Output { out, at: PRELUDE_LEN as u64, buffer: Vec::new() };
        let columns = &self.columns;
        out.column(&header)?;
        out.column(&columns.groups)?;
        out.column(&columns.group_lasts)?;
        out.column(&columns.few_marks)?;
        out.column(&columns.suffixes)?;
        out.column(&columns.page_bits)?;
        out.column(&self.pages.iter().map(|page| page.last).collect::<Vec<_>>())?;
        out.column(&columns.page_marks)?;
        out.column(&columns.lows)?;
        out.column(&columns.words)?;
        out.column(&columns.coded_dictionaries)?;
        out.column(&columns.ranks)?;
        out.column(&columns.codes)?;
        out.column(&columns.dictionary_ends)?;
        out.column(&columns.dictionary_sets)?;
        out.column(&columns.set_ends)?;
        out.column(&columns.set_layers)?;
        out.column(&columns.keyed.ends)?;
        out.column(&columns.keyed.rests)?;
        out.column(&columns.keyed.codes)?;
        out.column(&columns.keyed.sets)
    }

    fn header(&self, cursor: &[(WriterId, u64)]) -> Vec<u8> {
        let mut out = Vec::new();
        (cursor.len() as u64).put(&mut out);
        for (writer, seq) in cursor {
            writer.0.put(&mut out);
            seq.put(&mut out);
        }
        (self.layers.len() as u64).put(&mut out);
        for layer in &self.layers {
            put_text(Some(layer.list.as_str()), &mut out);
            put_text(layer.account.as_ref().map(AccountName::as_str), &mut out);
            put_text(layer.campaign.as_ref().map(CampaignName::as_str), &mut out);
            // A topic is that of the campaign.
            if layer.campaign.is_some() {
                put_text(layer.topic.as_ref().map(TopicName::as_str), &mut out);
            }
            layer.record.writer.0.put(&mut out);
            layer.record.seq.put(&mut out);
            out.extend_from_slice(&layer.segment);
        }
        let columns = &self.columns;
        let lens: [usize; COLUMNS] = [
            columns.groups.len(),
            columns.group_lasts.len(),
            columns.few_marks.len(),
            columns.suffixes.len(),
            columns.page_bits.len(),
            self.pages.len(),
            columns.page_marks.len(),
            columns.lows.len(),
            columns.words.len(),
            columns.coded_dictionaries.len(),
            columns.ranks.len(),
            columns.codes.len(),
            columns.dictionary_ends.len(),
            columns.dictionary_sets.len(),
            columns.set_ends.len(),
            columns.set_layers.len(),
            columns.keyed.ends.len(),
            columns.keyed.rests.len(),
            columns.keyed.codes.len(),
            columns.keyed.sets.len(),
        ];
        for len in lens {
            (len as u64).put(&mut out);
        }
        out
    }

    /// Reads a snapshot of `len` octets, and the cursor with which it was written. Copies columns
    /// and looks at each page, at no number.
    ///
    /// # Errors
    ///
    /// [`CodecError`] for everything that [`Self::write`] would not have written.
    pub fn read(input: &mut impl Read, len: u64) -> Result<(Self, Cursor), CodecError> {
        let header_len = read_prelude(input, len)?;
        let mut input = Input { input, at: PRELUDE_LEN as u64, buffer: Vec::new() };
        let header: Vec<u8> = input.column(header_len, "header")?;
        let (cursor, layers, lens) = Header(&header).read()?;
        check_len(header_len, &lens, len)?;
        let mut lens = lens.into_iter();
        let mut next = || lens.next().unwrap_or_default();
        let columns = Columns {
            groups: input.column(next(), "groups")?,
            group_lasts: input.column(next(), "sizes of groups")?,
            few_marks: input.column(next(), "marks of groups")?,
            suffixes: input.column(next(), "suffixes")?,
            page_bits: input.column(next(), "bitmaps of pages")?,
            page_lasts: input.column(next(), "sizes of pages")?,
            page_marks: input.column(next(), "marks of pages")?,
            lows: input.column(next(), "sorted places")?,
            words: input.column(next(), "bitmaps of places")?,
            coded_dictionaries: input.column(next(), "dictionaries of pages")?,
            ranks: input.column(next(), "ranks")?,
            codes: input.column(next(), "codes")?,
            dictionary_ends: input.column(next(), "dictionaries")?,
            dictionary_sets: input.column(next(), "dictionaries")?,
            set_ends: input.column(next(), "sets of layers")?,
            set_layers: input.column(next(), "sets of layers")?,
            keyed: Keyed {
                ends: input.column(next(), "keyed numbers")?,
                rests: input.column(next(), "keyed numbers")?,
                codes: input.column(next(), "keyed numbers")?,
                sets: input.column(next(), "keyed numbers")?,
            },
        };
        Ok((Self::assemble(layers, columns)?, cursor))
    }
}

fn put_text(text: Option<&str>, out: &mut Vec<u8>) {
    // One more than the length, so that no text differs from an empty one.
    (text.map_or(0, |text| text.len() as u64 + 1)).put(out);
    out.extend_from_slice(text.unwrap_or_default().as_bytes());
}

/// How long the header is.
fn read_prelude(input: &mut impl Read, len: u64) -> Result<u64, CodecError> {
    if len < PRELUDE_LEN as u64 {
        return Err(CodecError::Length { expected: PRELUDE_LEN as u64, found: len });
    }
    let mut prelude = [0; PRELUDE_LEN];
    input.read_exact(&mut prelude)?;
    let mut rest = Header(&prelude);
    if rest.octets(8, "magic")? != MAGIC {
        return Err(CodecError::Foreign);
    }
    let version = u32::of(rest.octets(4, "version")?);
    let header_len = rest.u64("size")?;
    let (covered, crc) = prelude.split_at(PRELUDE_LEN - CRC_LEN);
    if crc32fast::hash(covered) != u32::of(crc) {
        return Err(CodecError::Damaged { part: "beginning", at: 0 });
    }
    if version != VERSION {
        return Err(CodecError::Version { found: version });
    }
    if header_len > HEADER_LEN_MAX.min(len) {
        return Err(CodecError::Malformed { part: "size" });
    }
    Ok(header_len)
}

/// The file is as long as its header says, so that nothing larger is asked of the memory.
fn check_len(header_len: u64, lens: &[u64; COLUMNS], found: u64) -> Result<(), CodecError> {
    const WIDTHS: [u64; COLUMNS] = [4, 4, 4, 4, 8, 2, 4, 2, 8, 4, 2, 1, 4, 4, 4, 2, 4, 1, 1, 4];
    let chunked = |octets: u64| {
        octets.saturating_add(octets.div_ceil(CHUNK_LEN as u64).saturating_mul(CRC_LEN as u64))
    };
    let columns = lens.iter().zip(WIDTHS).map(|(len, width)| chunked(len.saturating_mul(width)));
    let expected = columns.fold(PRELUDE_LEN as u64 + chunked(header_len), u64::saturating_add);
    if expected == found { Ok(()) } else { Err(CodecError::Length { expected, found }) }
}

fn crc(at: u64, octets: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&at.to_le_bytes());
    hasher.update(octets);
    hasher.finalize()
}

struct Output<'a, W> {
    out: &'a mut W,
    at: u64,
    buffer: Vec<u8>,
}

impl<W: Write> Output<'_, W> {
    fn column<T: Cell>(&mut self, column: &[T]) -> io::Result<()> {
        for chunk in column.chunks(CHUNK_LEN / T::WIDTH) {
            self.buffer.clear();
            for cell in chunk {
                cell.put(&mut self.buffer);
            }
            crc(self.at, &self.buffer).put(&mut self.buffer);
            self.out.write_all(&self.buffer)?;
            self.at += self.buffer.len() as u64;
        }
        Ok(())
    }
}

struct Input<'a, R> {
    input: &'a mut R,
    at: u64,
    buffer: Vec<u8>,
}

impl<R: Read> Input<'_, R> {
    /// The next column, of `len` cells; the file's length has been held against it.
    fn column<T: Cell>(&mut self, len: u64, part: &'static str) -> Result<Vec<T>, CodecError> {
        let len = usize::try_from(len).map_err(|_error| CodecError::Malformed { part })?;
        let mut column = Vec::with_capacity(len);
        while column.len() < len {
            let cells = (len - column.len()).min(CHUNK_LEN / T::WIDTH);
            self.buffer.resize(cells * T::WIDTH + CRC_LEN, 0);
            self.input.read_exact(&mut self.buffer)?;
            let (octets, found) = self.buffer.split_at(cells * T::WIDTH);
            if crc(self.at, octets) != u32::of(found) {
                return Err(CodecError::Damaged { part, at: self.at });
            }
            column.extend(octets.chunks_exact(T::WIDTH).map(T::of));
            self.at += self.buffer.len() as u64;
        }
        Ok(column)
    }
}

/// What is left to read of a header.
struct Header<'a>(&'a [u8]);

impl<'a> Header<'a> {
    fn read(mut self) -> Result<(Cursor, Vec<Layer>, [u64; COLUMNS]), CodecError> {
        let mut cursor = Cursor::new();
        for _ in 0..self.u64("cursor")? {
            cursor.push((WriterId(self.u64("cursor")?), self.u64("cursor")?));
        }
        let mut layers = Vec::new();
        for _ in 0..self.u64("layers")? {
            layers.push(self.layer()?);
        }
        if layers.len() > Base::LAYERS_MAX {
            return Err(CodecError::Malformed { part: "layers" });
        }
        let mut lens = [0; COLUMNS];
        for len in &mut lens {
            *len = self.u64("columns")?;
        }
        if !self.0.is_empty() {
            return Err(CodecError::Malformed { part: "end" });
        }
        Ok((cursor, layers, lens))
    }

    fn layer(&mut self) -> Result<Layer, CodecError> {
        let malformed = || CodecError::Malformed { part: "layers" };
        let list = self.text()?.ok_or_else(malformed)?.into();
        let account = self.text()?.map(AccountName::from);
        let campaign = self.text()?.map(CampaignName::from);
        let topic = if campaign.is_some() { self.text()? } else { None };
        Ok(Layer {
            list,
            account,
            campaign,
            topic: topic.map(TopicName::from),
            record: RecordId { writer: WriterId(self.u64("layers")?), seq: self.u64("layers")? },
            segment: self.octets(32, "layers")?.try_into().map_err(|_error| malformed())?,
        })
    }

    fn text(&mut self) -> Result<Option<&'a str>, CodecError> {
        let Some(len) = self.u64("layers")?.checked_sub(1) else { return Ok(None) };
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let text = std::str::from_utf8(self.octets(len, "layers")?);
        text.map(Some).map_err(|_error| CodecError::Malformed { part: "layers" })
    }

    fn u64(&mut self, part: &'static str) -> Result<u64, CodecError> {
        self.octets(8, part).map(u64::of)
    }

    fn octets(&mut self, len: usize, part: &'static str) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(CodecError::Malformed { part })?;
        self.0 = rest;
        Ok(head)
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "the tests cut octets that they made themselves")]
mod tests {
    use super::super::tests::base;
    use super::super::tests::check_all;
    use super::super::tests::random_layers;
    use super::*;
    use crate::model::token::Seed;
    use crate::model::token::TokenSource;

    const CURSOR: [(WriterId, u64); 2] = [(WriterId(7), 42), (WriterId(u64::MAX >> 1), 1)];

    fn octets(base: &Base) -> Vec<u8> {
        let mut out = Vec::new();
        base.write(&CURSOR, &mut out).expect("memory takes it");
        out
    }

    fn read(octets: &[u8]) -> Result<(Base, Cursor), CodecError> {
        Base::read(&mut &*octets, octets.len() as u64)
    }

    fn told(octets: &[u8]) -> String {
        read(octets).map_or_else(|error| error.to_string(), |_base| "a base".to_owned())
    }

    /// Numbers without pages, and with pages of both kinds, on lists that overlap.
    fn small() -> Base {
        base(&[vec![5, 700, 800], vec![700], vec![800, 900]])
    }

    fn paged() -> Base {
        let evens: Vec<u64> = (1..20_000).map(|n| n * 2).collect();
        let thin: Vec<u64> = (1..200).map(|n| n * 500).collect();
        base(&[evens, thin])
    }

    #[test]
    fn a_base_is_read_as_it_was_written() {
        for seed in 0..10 {
            let mut random = TokenSource::new(Seed(seed, 3));
            let layers = random_layers(&mut random);
            let written = base(&layers);
            let octets = octets(&written);
            let (base, cursor) = read(&octets).unwrap();
            assert_eq!((cursor.as_slice(), base.layers()), (&CURSOR[..], written.layers()));
            check_all(&format!("seed {seed}"), &base, &layers, &[]);
            let mut again = Vec::new();
            base.write(&cursor, &mut again).unwrap();
            assert!(again == octets, "seed {seed}: written again, it is the same");
        }
        let (empty, _cursor) = read(&octets(&Base::default())).unwrap();
        assert!(empty.is_empty());
    }

    #[test]
    fn names_of_layers_are_kept_whole() {
        let layer = |account: Option<&str>, campaign: Option<&str>| Layer {
            list: "lista ñ".into(),
            account: account.map(Into::into),
            campaign: campaign.map(Into::into),
            topic: campaign.map(|_any| "energía".into()),
            record: RecordId { writer: WriterId(9), seq: 8 },
            segment: [7; 32],
        };
        let layers = [layer(None, None), layer(Some(""), Some("x")), layer(Some("acme"), None)];
        let sources = layers.clone().map(|layer| super::super::Source {
            layer,
            numbers: std::iter::empty::<Result<_, std::convert::Infallible>>(),
        });
        let base = Base::build(sources).unwrap();
        assert_eq!(read(&octets(&base)).unwrap().0.layers(), layers);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_refused() {
        for (name, base, step) in [("small", small(), 1), ("paged", paged(), 13)] {
            let whole = octets(&base);
            assert_eq!(told(&whole), "a base", "{name}");
            for at in (0..whole.len()).step_by(step) {
                for bit in (0..8).step_by(step) {
                    let mut flipped = whole.clone();
                    flipped[at] ^= 1 << bit;
                    let told = told(&flipped);
                    assert!(told != "a base", "{name}: bit {bit} of octet {at} is told by nobody");
                }
            }
        }
    }

    #[test]
    fn a_snapshot_cut_or_grown_is_refused_at_any_length() {
        let whole = octets(&small());
        for len in 0..whole.len() {
            assert!(read(&whole[..len]).is_err(), "{len} of {} octets", whole.len());
        }
        let grown = [&whole[..], b"x"].concat();
        let want = format!("expected a snapshot of {} octets, found {}", whole.len(), grown.len());
        assert_eq!(told(&grown), want);
        // The file is cut while it is being read.
        let cut = &whole[..whole.len() - 1];
        assert!(Base::read(&mut &*cut, whole.len() as u64).is_err());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let whole = octets(&paged());
        let change = |at: usize, to: u8, is_signed: bool| {
            let mut changed = whole.clone();
            changed[at] = to;
            if is_signed {
                let crc = crc32fast::hash(&changed[..20]);
                changed[20..24].copy_from_slice(&crc.to_le_bytes());
            }
            told(&changed)
        };
        let last = whole.len() - 1;
        #[rustfmt::skip]
        let cases = [
            ("another file",       change(0, b'x', false), "expected a snapshot, found something else"),
            ("the beginning",      change(12, 0xff, false), "the snapshot is damaged in its beginning, within 1048576 octets from 0"),
            ("a later version",    change(8, 4, true),     "expected snapshot version 3, found 4"),
            ("a header too large", change(19, 1, true),    "the header of the snapshot is malformed at its size"),
            ("the header",         change(24, 0xff, false), "the snapshot is damaged in its header, within 1048576 octets from 24"),
        ];
        for (name, told, want) in cases {
            assert_eq!(told, want, "{name}");
        }
        let told = change(last, whole[last] ^ 1, false);
        assert!(told.starts_with("the snapshot is damaged in its sets of layers"), "{told}");
    }

    #[test]
    fn chunks_that_change_places_are_refused() {
        // 300 bitmaps of places: two chunks of 1 MiB, and some more, before 18 octets of sets.
        const WORDS_LEN: usize = 300 * 8192 + 3 * CRC_LEN;
        let strewn: Vec<u64> = (0..300 * 4096).map(|n| n * 16 + 1 + n / 4096 % 7).collect();
        let whole = octets(&base(&[strewn]));
        assert_eq!(told(&whole), "a base");
        let words_at = whole.len() - 18 - WORDS_LEN;
        let mut swapped = whole.clone();
        let (one, other) = swapped[words_at..].split_at_mut(CHUNK_LEN + CRC_LEN);
        one.swap_with_slice(&mut other[..CHUNK_LEN + CRC_LEN]);
        let want = format!(
            "the snapshot is damaged in its bitmaps of places, within 1048576 octets from {words_at}"
        );
        assert_eq!(told(&swapped), want);
    }
}
