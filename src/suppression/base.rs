//! Registries at their full size: an immutable and exact set of numbers, each with its layers.
//!
//! A layer is one import: a list, and the record that put all of a sorted segment on it. What is
//! in a base never changes; a further import, or the reversal of one, builds another base.
//!
//! ```text
//! number, below 2^50:  | group, 18 bits | page, 16 bits | place, 16 bits |
//!
//! group --few--> the lower 32 bits of its numbers, sorted        4 B a number
//!   \---many---> bitmap of its pages --> page
//! page  --few--> the places of its numbers, sorted               2 B a number
//!   \---many---> bitmap of its places                            8 KiB
//!
//! marks of a page, or of a group of few:
//!   all its numbers are in the same layers --> that set of layers
//!   else --> one code a number, in their order --> the page's dictionary --> set of layers
//! ```
//!
//! A number that is not there is told by the bitmaps alone: at 250 million US-shaped numbers one
//! cache line of main memory beside three that a processor keeps. Marks are read for hits only.
//! Numbers strewn over the whole of E.164 cost more, and never more than some 17 B each: a group
//! with more than `FEW_MAX` numbers pays 12 KiB for its pages, and a number alone on its page 12 B
//! for that. Keyed numbers are hashes, and stand in a table of their own (`keyed`), at some
//! 5 to 7 B each. `benches/index.rs` measures bytes and time.

use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::TopicName;

mod build;
mod codec;
mod columns;
mod keyed;
mod sets;

pub use build::{BuildError, Source, Taker};
pub use codec::{CodecError, Cursor};
pub use columns::LayoutError;

use columns::Columns;

/// Most numbers that a group keeps without pages. Our choice: 13 steps of a binary search in
/// 32 KiB, and the 12 KiB of a group's pages spread over as many numbers.
const FEW_MAX: usize = 8192;
/// Fewest numbers for which a page is a bitmap. Our choice: one cache line instead of a search,
/// for at most 4 B a number.
const BITMAP_MIN: usize = 2048;
/// Pages that numbers of one group can be on.
const PAGES: usize = 65_536;
/// 64-bit words of a bitmap of as many.
const WORDS: usize = PAGES / 64;
/// Places that share one entry of a bitmap's table of ranks: a cache line of 8 words.
const RANK_LINE: usize = 512;
/// Places that are looked at on each side of a guess. Our choice: two cache lines in all. Of random
/// numbers they hold the place nearly always on a page of 240, and mostly on one of 2,047.
const NEAR: usize = 32;
/// Groups that numbers can be in.
const GROUPS_MAX: u32 = ((Number::KEYS_END - 1) >> 32) as u32 + 1;
/// Fewest numbers of a group whose bitmaps are found in one step. Our choice: 256 KiB for it, which
/// is a quarter of an octet a number.
const CROWD_MIN: u64 = 1 << 20;
/// Of a crowd: it has no such page.
const NO_PAGE: u32 = u32::MAX;
/// Of a crowd: the page is no bitmap.
const THIN_PAGE: u32 = u32::MAX - 1;
/// In marks: the rest is the place in `coded`, not a set.
const CODED: u32 = 1 << 31;

/// One import of a base: what it put its numbers on, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The list.
    pub list: ListName,
    /// For which account; a layer without one reaches every account.
    pub account: Option<AccountName>,
    /// For which campaign; a layer without one reaches every campaign.
    pub campaign: Option<CampaignName>,
    /// What that campaign was about when it was said, where that is known; none without a campaign.
    pub topic: Option<TopicName>,
    /// The record of the import.
    pub record: RecordId,
    /// SHA-256 of the sorted segment that the layer was built from.
    pub segment: [u8; 32],
}

/// A set of layers that some number of this base is in; [`Base::layers_of`] has its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SetId(u32);

impl SetId {
    /// Its place among the sets of its base, below the number of [`Base::set_ids`].
    pub const fn place(self) -> usize {
        self.0 as usize
    }
}

/// The set; see the module. The default one is empty.
#[derive(Debug, Default)]
pub struct Base {
    layers: Vec<Layer>,
    columns: Columns,
    /// By group, up to the last that has numbers.
    groups: Vec<Group>,
    /// For each word of `columns.page_bits`, how many pages come before it.
    page_ranks: Vec<u32>,
    /// For each page of a crowd where its bitmap is in `columns.words`, or [`NO_PAGE`], or
    /// [`THIN_PAGE`]: what the bits, their ranks and `pages` say, in one step.
    crowds: Vec<u32>,
    pages: Vec<Page>,
    coded: Vec<Coded>,
    len: u64,
}

#[derive(Clone, Copy, Debug)]
enum Group {
    Absent,
    /// `len` places of `columns.suffixes`, from `at`.
    Few {
        at: u32,
        len: u16,
        marks: u32,
    },
    /// The bitmap of pages of this index.
    Many {
        index: u32,
    },
    /// The same, with the table of this index in `crowds`.
    Crowd {
        index: u32,
        crowd: u32,
    },
}

#[derive(Clone, Copy, Debug)]
struct Page {
    /// Which bitmap of `columns.words`, or where in `columns.lows` it begins.
    at: u32,
    /// How many numbers it has, less one.
    last: u16,
}

impl Page {
    const fn len(self) -> usize {
        self.last as usize + 1
    }

    const fn is_bitmap(self) -> bool {
        self.len() >= BITMAP_MIN
    }
}

/// The part of a base in which a number is, or is not.
enum Part<'a> {
    Absent,
    /// Of a group without pages: the lower 32 bits of its numbers.
    Few {
        suffixes: &'a [u32],
        marks: u32,
    },
    /// Of a page: the lower 16 bits of its numbers.
    Places {
        places: &'a [u16],
        page: usize,
    },
    /// Of a page: the bitmap that begins at word `from`.
    Bitmap {
        from: usize,
        page: usize,
    },
}

/// Where the codes of one page are.
#[derive(Clone, Copy, Debug)]
struct Coded {
    at: u64,
    dictionary: u32,
    /// Which table of `columns.ranks`; meaningless for sorted places.
    ranks: u32,
}

impl Base {
    /// Most layers a base has: they are numbered by 16 bits.
    pub const LAYERS_MAX: usize = u16::MAX as usize;

    /// Whether `number` is in any layer. As [`Self::find`], and without a branch on the answer,
    /// so that a processor that is asked for many numbers looks some of them up at once.
    pub fn contains(&self, number: Number) -> bool {
        let digits = number.digits();
        // Keyed numbers are beyond all groups.
        if let Some(Group::Crowd { crowd, .. }) = self.groups.get((digits >> 32) as usize) {
            let (place, page) = (digits as u16, (digits >> 16) as u16); // Cut on purpose.
            match self.crowds[*crowd as usize * PAGES + usize::from(page)] {
                NO_PAGE => return false,
                THIN_PAGE => {}
                bitmap => return self.bit(bitmap as usize * WORDS, place),
            }
        }
        self.has_elsewhere(number)
    }

    /// Whether a number is there that is in no bitmap of a crowd. Apart, so that the way to those
    /// stays short: the fewer instructions, the more numbers a processor looks up at once.
    #[inline(never)]
    fn has_elsewhere(&self, number: Number) -> bool {
        let digits = number.digits();
        if number.is_keyed() {
            return self.columns.keyed.rank(hash_of(digits)).is_some();
        }
        let place = digits as u16; // As above.
        match self.part(digits) {
            Part::Absent => false,
            Part::Few { suffixes, .. } => suffixes.binary_search(&(digits as u32)).is_ok(),
            Part::Places { places, .. } => places.get(rank_among(places, place)) == Some(&place),
            Part::Bitmap { from, .. } => self.bit(from, place),
        }
    }

    /// The layers that `number` is in, `None` for none. No lock, no allocation.
    pub fn find(&self, number: Number) -> Option<SetId> {
        let digits = number.digits();
        if number.is_keyed() {
            let place = self.columns.keyed.rank(hash_of(digits))?;
            return Some(SetId(self.columns.keyed.set(place)));
        }
        let place = digits as u16; // As above.
        match self.part(digits) {
            Part::Absent => None,
            Part::Few { suffixes, marks } => {
                let rank = suffixes.binary_search(&(digits as u32)).ok()?;
                Some(self.set(marks, |_coded| rank))
            }
            Part::Places { places, page } => {
                let rank = rank_among(places, place);
                let is_there = places.get(rank) == Some(&place);
                is_there.then(|| self.set(self.columns.page_marks[page], |_coded| rank))
            }
            Part::Bitmap { from, page } => {
                let rank = |coded| self.rank(from, place, coded);
                self.bit(from, place).then(|| self.set(self.columns.page_marks[page], rank))
            }
        }
    }

    /// Where the number of these digits is, if it is anywhere.
    #[inline(always)] // Else the part travels through memory.
    fn part(&self, digits: u64) -> Part<'_> {
        match self.groups.get((digits >> 32) as usize) {
            None | Some(Group::Absent) => Part::Absent,
            Some(&Group::Few { at, len, marks }) => {
                let from = at as usize;
                let suffixes = &self.columns.suffixes[from..from + usize::from(len)];
                Part::Few { suffixes, marks }
            }
            Some(&(Group::Many { index } | Group::Crowd { index, .. })) => {
                self.part_of_group(index, (digits >> 16) as u16)
            }
        }
    }

    #[inline(always)]
    fn part_of_group(&self, group: u32, page: u16) -> Part<'_> {
        let at = group as usize * WORDS + usize::from(page >> 6);
        let (word, bit) = (self.columns.page_bits[at], 1 << (page & 63));
        if word & bit == 0 {
            return Part::Absent;
        }
        let index = (self.page_ranks[at] + (word & (bit - 1)).count_ones()) as usize;
        let page = self.pages[index];
        let from = page.at as usize;
        if page.is_bitmap() {
            return Part::Bitmap { from: from * WORDS, page: index };
        }
        Part::Places { places: &self.columns.lows[from..from + page.len()], page: index }
    }

    /// Whether the bitmap that begins at word `from` has `place`.
    fn bit(&self, from: usize, place: u16) -> bool {
        self.columns.words[from + usize::from(place >> 6)] >> (place & 63) & 1 == 1
    }

    /// How many numbers of the bitmap that begins at word `from` come before `place`.
    fn rank(&self, from: usize, place: u16, coded: Coded) -> usize {
        let line = usize::from(place) / RANK_LINE;
        let before = self.columns.ranks[coded.ranks as usize * (WORDS * 64 / RANK_LINE) + line];
        let (first, last) = (line * RANK_LINE / 64, usize::from(place >> 6));
        let words = &self.columns.words[from + first..from + last];
        let whole: u32 = words.iter().map(|word| word.count_ones()).sum();
        let part = self.columns.words[from + last] & ((1 << (place & 63)) - 1);
        usize::from(before) + (whole + part.count_ones()) as usize
    }

    /// The set in `marks` of the number whose rank in its page `rank` tells.
    fn set(&self, marks: u32, rank: impl FnOnce(Coded) -> usize) -> SetId {
        if marks & CODED == 0 {
            return SetId(marks);
        }
        let coded = self.coded[(marks & !CODED) as usize];
        let dictionary = self.columns.dictionary(coded.dictionary);
        let (at, rank) = (coded.at as usize, rank(coded));
        let code = match columns::code_width(dictionary.len()) {
            1 => usize::from(self.columns.codes[at + rank]),
            _ => {
                let at = at + 2 * rank;
                usize::from(u16::from_le_bytes([
                    self.columns.codes[at],
                    self.columns.codes[at + 1],
                ]))
            }
        };
        SetId(dictionary[code])
    }

    /// The members of a set of this base, ascending: places in [`Self::layers`].
    pub fn layers_of(&self, set: SetId) -> &[u16] {
        self.columns.set(set.0)
    }

    /// Every set of layers, by its place; the first is the empty one.
    pub fn set_ids(&self) -> impl ExactSizeIterator<Item = SetId> + use<> {
        // The layout has been checked to number them by 32 bits.
        (0..self.columns.set_ends.len() as u32).map(SetId)
    }

    /// The layers, in the order in which they were given.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Names the record of each layer that so far has the record `from`.
    pub fn name_layer(&mut self, from: RecordId, to: RecordId) {
        for layer in self.layers.iter_mut().filter(|layer| layer.record == from) {
            layer.record = to;
        }
    }

    /// How many numbers are in any layer.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether no number is in any layer.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Memory that it takes, in bytes, without the names of the layers.
    pub fn bytes(&self) -> usize {
        fn of<T>(column: &Vec<T>) -> usize {
            column.capacity() * size_of::<T>()
        }
        self.columns.bytes()
            + of(&self.groups)
            + of(&self.page_ranks)
            + of(&self.crowds)
            + of(&self.pages)
            + of(&self.coded)
            + of(&self.layers)
    }
}

/// The hash in the key of a keyed number.
const fn hash_of(key: u64) -> u64 {
    key & ((1 << Number::KEYED_BITS) - 1)
}

/// How many of `places`, sorted, come before `place`.
///
/// Where numbers are spread evenly it is some octets from where the place says; all of those are
/// read at once, while each step of a binary search waits for the one before.
fn rank_among(places: &[u16], place: u16) -> usize {
    let guess = (usize::from(place) * places.len()) >> 16;
    let from = guess.saturating_sub(NEAR);
    let near = &places[from..places.len().min(guess + NEAR)];
    // Counted in 16 bits, which a processor does for eight places at once.
    let below = near.iter().map(|&other| u16::from(other < place)).sum::<u16>();
    let below = usize::from(below);
    let is_above_first = below > 0 || from == 0;
    let is_below_last = below < near.len() || from + near.len() == places.len();
    if is_above_first && is_below_last {
        from + below
    } else {
        places.partition_point(|&other| other < place)
    }
}

#[cfg(test)]
mod tests;
