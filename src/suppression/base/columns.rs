//! The columns of a base, as they stand in memory and in a snapshot, and how they fit together.
//!
//! Columns hold no offsets but those of sets and dictionaries: where a page's places, words and
//! codes begin follows from the pages before it. [`Base::assemble`] works that out, and is the
//! one door through which columns become a base, whoever made them: what it lets through cannot
//! lead a look-up out of bounds.

use super::Base;
use super::CODED;
use super::CROWD_MIN;
use super::Coded;
use super::FEW_MAX;
use super::GROUPS_MAX;
use super::Group;
use super::Layer;
use super::NO_PAGE;
use super::PAGES;
use super::Page;
use super::RANK_LINE;
use super::THIN_PAGE;
use super::WORDS;
use super::keyed::Keyed;

/// Ranks that a bitmap of places with codes has.
pub(super) const RANKS: usize = WORDS * 64 / RANK_LINE;

/// Columns that are not those of one base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {part} of the base do not fit the rest of it")]
pub struct LayoutError {
    /// The part that does not fit.
    pub part: &'static str,
}

const fn misfit(part: &'static str) -> LayoutError {
    LayoutError { part }
}

/// A base without what follows from it.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    /// Groups that have numbers, ascending.
    pub(super) groups: Vec<u32>,
    /// How many numbers each of `groups` has, less one: up to [`FEW_MAX`] of them need no pages.
    pub(super) group_lasts: Vec<u32>,
    /// Of the groups without pages.
    pub(super) few_marks: Vec<u32>,
    /// The lower 32 bits of the numbers in groups without pages.
    pub(super) suffixes: Vec<u32>,
    /// A bitmap for each of the other groups: which pages it has.
    pub(super) page_bits: Vec<u64>,
    /// How many numbers each page has, less one: from [`super::BITMAP_MIN`] on, it is a bitmap.
    /// Empty in an assembled base, whose pages say it.
    pub(super) page_lasts: Vec<u16>,
    /// Of the pages.
    pub(super) page_marks: Vec<u32>,
    /// Places in the pages that are no bitmaps.
    pub(super) lows: Vec<u16>,
    /// Places in those that are.
    pub(super) words: Vec<u64>,
    /// The dictionary of each page, or group without pages, whose numbers have codes.
    pub(super) coded_dictionaries: Vec<u32>,
    /// For each bitmap with codes, how many numbers come before each line of 512 places.
    pub(super) ranks: Vec<u16>,
    /// Codes, of one octet, or of two (the lower first) where the dictionary needs it.
    pub(super) codes: Vec<u8>,
    /// Where each dictionary ends in `dictionary_sets`.
    pub(super) dictionary_ends: Vec<u32>,
    /// Sets in dictionaries.
    pub(super) dictionary_sets: Vec<u32>,
    /// Where each set ends in `set_layers`; the first set is empty.
    pub(super) set_ends: Vec<u32>,
    /// Layers in sets.
    pub(super) set_layers: Vec<u16>,
    /// The keyed numbers, which are in no group.
    pub(super) keyed: Keyed,
}

/// Octets of a code into a dictionary of `len` sets.
pub(super) const fn code_width(len: usize) -> usize {
    if len <= 256 { 1 } else { 2 }
}

fn slice<'a, T>(ends: &[u32], items: &'a [T], at: u32) -> &'a [T] {
    let at = at as usize;
    let from = if at == 0 { 0 } else { ends[at - 1] };
    &items[from as usize..ends[at] as usize]
}

impl Columns {
    pub(super) fn dictionary(&self, at: u32) -> &[u32] {
        slice(&self.dictionary_ends, &self.dictionary_sets, at)
    }

    pub(super) fn set(&self, at: u32) -> &[u16] {
        slice(&self.set_ends, &self.set_layers, at)
    }

    pub(super) fn bytes(&self) -> usize {
        fn of<T>(column: &Vec<T>) -> usize {
            column.capacity() * size_of::<T>()
        }
        of(&self.groups)
            + of(&self.group_lasts)
            + of(&self.few_marks)
            + of(&self.suffixes)
            + of(&self.page_bits)
            + of(&self.page_lasts)
            + of(&self.page_marks)
            + of(&self.lows)
            + of(&self.words)
            + of(&self.coded_dictionaries)
            + of(&self.ranks)
            + of(&self.codes)
            + of(&self.dictionary_ends)
            + of(&self.dictionary_sets)
            + of(&self.set_ends)
            + of(&self.set_layers)
            + self.keyed.bytes()
    }

    pub(super) fn shrink(&mut self) {
        self.groups.shrink_to_fit();
        self.group_lasts.shrink_to_fit();
        self.few_marks.shrink_to_fit();
        self.suffixes.shrink_to_fit();
        self.page_bits.shrink_to_fit();
        self.page_marks.shrink_to_fit();
        self.lows.shrink_to_fit();
        self.words.shrink_to_fit();
        self.coded_dictionaries.shrink_to_fit();
        self.ranks.shrink_to_fit();
        self.codes.shrink_to_fit();
        self.dictionary_ends.shrink_to_fit();
        self.dictionary_sets.shrink_to_fit();
        self.set_ends.shrink_to_fit();
        self.set_layers.shrink_to_fit();
    }

    /// Sets name layers that are there, dictionaries sets that are there and not empty.
    fn check_sets(&self, layers: usize) -> Result<(), LayoutError> {
        let is_whole = |ends: &[u32], len: usize| {
            ends.is_sorted() && ends.last().is_none_or(|&end| end as usize == len)
        };
        let sets = self.set_ends.len();
        if !is_whole(&self.set_ends, self.set_layers.len())
            || self.set_ends.first().is_some_and(|&end| end != 0)
            || (self.set_ends.is_empty() && !self.set_layers.is_empty())
            || self.set_layers.iter().any(|&layer| usize::from(layer) >= layers)
        {
            return Err(misfit("sets of layers"));
        }
        if !is_whole(&self.dictionary_ends, self.dictionary_sets.len())
            || (self.dictionary_ends.is_empty() && !self.dictionary_sets.is_empty())
            || self.dictionary_sets.iter().any(|&set| set == 0 || set as usize >= sets)
        {
            return Err(misfit("dictionaries"));
        }
        self.keyed.check(sets)
    }
}

impl Base {
    /// Fits `columns` together.
    pub(super) fn assemble(layers: Vec<Layer>, mut columns: Columns) -> Result<Self, LayoutError> {
        columns.check_sets(layers.len())?;
        let mut walk = Walk::of(&columns);
        for place in 0..columns.groups.len() {
            walk.group(place)?;
        }
        walk.check_used_up()?;
        let Walk { groups, page_ranks, mut crowds, pages, coded, len, .. } = walk;
        crowds.shrink_to_fit();
        let len = len + columns.keyed.len();
        columns.page_lasts = Vec::new();
        Ok(Self { layers, columns, groups, page_ranks, crowds, pages, coded, len })
    }
}

/// The way through the columns, group by group and page by page.
struct Walk<'a> {
    columns: &'a Columns,
    groups: Vec<Group>,
    page_ranks: Vec<u32>,
    crowds: Vec<u32>,
    pages: Vec<Page>,
    coded: Vec<Coded>,
    len: u64,
    // What is used up of the columns.
    few: usize,
    suffixes: usize,
    lows: usize,
    bitmaps: usize,
    rank_tables: usize,
    codes: u64,
}

impl<'a> Walk<'a> {
    fn of(columns: &'a Columns) -> Self {
        let groups = columns.groups.last().map_or(0, |&last| last.min(GROUPS_MAX) as usize + 1);
        Self {
            columns,
            groups: vec![Group::Absent; groups],
            page_ranks: Vec::with_capacity(columns.page_bits.len()),
            crowds: Vec::new(),
            pages: Vec::with_capacity(columns.page_lasts.len()),
            coded: Vec::with_capacity(columns.coded_dictionaries.len()),
            len: 0,
            few: 0,
            suffixes: 0,
            lows: 0,
            bitmaps: 0,
            rank_tables: 0,
            codes: 0,
        }
    }

    fn group(&mut self, place: usize) -> Result<(), LayoutError> {
        let groups = &self.columns.groups;
        let number = groups[place];
        let is_ascending = place == 0 || groups[place - 1] < number;
        if !is_ascending || number >= GROUPS_MAX {
            return Err(misfit("groups"));
        }
        let last = self.columns.group_lasts.get(place).ok_or(misfit("groups"))?;
        let len = u64::from(*last) + 1;
        self.len += len;
        let group = if len <= FEW_MAX as u64 {
            let marks = self.columns.few_marks.get(self.few).ok_or(misfit("groups"))?;
            let at = u32::try_from(self.suffixes).map_err(|_error| misfit("suffixes"))?;
            self.few += 1;
            self.suffixes += len as usize;
            self.marks(*marks, len, false)?;
            Group::Few { at, len: len as u16, marks: *marks }
        } else {
            self.pages_of_group(len)?
        };
        // A group before the last may claim to lie behind it; then the last is not ascending.
        *self.groups.get_mut(number as usize).ok_or(misfit("groups"))? = group;
        Ok(())
    }

    fn pages_of_group(&mut self, len: u64) -> Result<Group, LayoutError> {
        let index = self.page_ranks.len() / WORDS;
        let from = index * WORDS;
        let bits = self.columns.page_bits.get(from..from + WORDS).ok_or(misfit("bitmaps"))?;
        let (mut seen, first) = (0, self.pages.len());
        for word in bits {
            let rank = u32::try_from(self.pages.len()).map_err(|_error| misfit("pages"))?;
            self.page_ranks.push(rank);
            for _ in 0..word.count_ones() {
                seen += self.page()?;
            }
        }
        if seen != len {
            return Err(misfit("pages"));
        }
        let index = index as u32;
        if len < CROWD_MIN {
            return Ok(Group::Many { index });
        }
        let bits = self.columns.page_bits.get(from..from + WORDS).unwrap_or_default();
        let mut pages = self.pages.get(first..).unwrap_or_default().iter();
        for page in 0..PAGES {
            let is_there = bits.get(page / 64).is_some_and(|word| word >> (page % 64) & 1 == 1);
            let page = if is_there { pages.next() } else { None };
            self.crowds.push(match page {
                None => NO_PAGE,
                Some(page) if page.is_bitmap() => page.at,
                Some(_thin) => THIN_PAGE,
            });
        }
        // There are fewer of them than groups.
        let crowd = (self.crowds.len() / PAGES - 1) as u32;
        Ok(Group::Crowd { index, crowd })
    }

    /// The next page; how many numbers it has.
    fn page(&mut self) -> Result<u64, LayoutError> {
        let place = self.pages.len();
        let last = *self.columns.page_lasts.get(place).ok_or(misfit("pages"))?;
        let marks = *self.columns.page_marks.get(place).ok_or(misfit("pages"))?;
        let mut page = Page { at: 0, last };
        let at = if page.is_bitmap() { self.bitmaps } else { self.lows };
        page.at = u32::try_from(at).map_err(|_error| misfit("places"))?;
        self.marks(marks, page.len() as u64, page.is_bitmap())?;
        if page.is_bitmap() {
            self.bitmaps += 1;
        } else {
            self.lows += page.len();
        }
        self.pages.push(page);
        Ok(page.len() as u64)
    }

    fn marks(&mut self, marks: u32, len: u64, is_bitmap: bool) -> Result<(), LayoutError> {
        let place = (marks & !CODED) as usize;
        if marks & CODED == 0 {
            let is_set = place != 0 && place < self.columns.set_ends.len();
            return if is_set { Ok(()) } else { Err(misfit("marks")) };
        }
        if place != self.coded.len() {
            return Err(misfit("marks"));
        }
        let dictionary = *self.columns.coded_dictionaries.get(place).ok_or(misfit("marks"))?;
        if dictionary as usize >= self.columns.dictionary_ends.len() {
            return Err(misfit("dictionaries"));
        }
        let ranks = u32::try_from(self.rank_tables).map_err(|_error| misfit("ranks"))?;
        self.coded.push(Coded { at: self.codes, dictionary, ranks });
        self.rank_tables += usize::from(is_bitmap);
        let sets = self.columns.dictionary(dictionary).len();
        let bytes = len * code_width(sets) as u64;
        self.check_codes(self.codes, bytes, sets)?;
        self.codes += bytes;
        Ok(())
    }

    /// Codes are places in their dictionary.
    fn check_codes(&self, at: u64, bytes: u64, sets: usize) -> Result<(), LayoutError> {
        let range = at as usize..(at + bytes) as usize;
        let codes = self.columns.codes.get(range).ok_or(misfit("codes"))?;
        let is_bad = match code_width(sets) {
            1 => usize::from(codes.iter().copied().fold(0, u8::max)) >= sets,
            _ => codes
                .chunks_exact(2)
                .any(|code| usize::from(u16::from_le_bytes([code[0], code[1]])) >= sets),
        };
        if is_bad { Err(misfit("codes")) } else { Ok(()) }
    }

    /// Nothing is left over of any column.
    fn check_used_up(&self) -> Result<(), LayoutError> {
        let columns = self.columns;
        let used = [
            ("groups", columns.groups.len(), columns.group_lasts.len()),
            ("groups", self.few, columns.few_marks.len()),
            ("suffixes", self.suffixes, columns.suffixes.len()),
            ("bitmaps", self.page_ranks.len(), columns.page_bits.len()),
            ("pages", self.pages.len(), columns.page_lasts.len()),
            ("pages", self.pages.len(), columns.page_marks.len()),
            ("places", self.lows, columns.lows.len()),
            ("bitmaps", self.bitmaps * WORDS, columns.words.len()),
            ("ranks", self.rank_tables * RANKS, columns.ranks.len()),
            ("codes", self.codes as usize, columns.codes.len()),
            ("dictionaries", self.coded.len(), columns.coded_dictionaries.len()),
        ];
        match used.iter().find(|(_part, used, there)| used != there) {
            Some((part, ..)) => Err(misfit(part)),
            None => Ok(()),
        }
    }
}
