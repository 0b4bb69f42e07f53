//! Building a base: sorted numbers of many layers, merged page by page.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::model::Number;

use super::BITMAP_MIN;
use super::Base;
use super::CODED;
use super::FEW_MAX;
use super::Layer;
use super::RANK_LINE;
use super::WORDS;
use super::columns::Columns;
use super::columns::LayoutError;
use super::columns::code_width;
use super::hash_of;
use super::keyed::KeyedWriter;
use super::sets::Interner;
use super::sets::Sets;

/// A layer and its numbers, ascending; a number may come twice.
#[derive(Debug)]
pub struct Source<I> {
    /// The layer.
    pub layer: Layer,
    /// Its numbers, or why they cannot be read any further.
    pub numbers: I,
}

/// Numbers, ascending, that do not stand in some layers after all, whatever those say.
#[derive(Debug)]
pub struct Taker<I> {
    /// The layers, by their place among those given; others are left as they are.
    pub from: Vec<usize>,
    /// The numbers, or why they cannot be read any further.
    pub numbers: I,
}

/// Why a base cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError<E> {
    /// More layers than a base tells apart.
    #[error("expected at most {max} layers, found {found}", max = Base::LAYERS_MAX)]
    Layers {
        /// How many were given.
        found: usize,
    },
    /// More numbers than the columns can hold.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The numbers of a layer are not sorted.
    #[error("expected ascending numbers in layer {layer}")]
    Order {
        /// The layer's place among those given; takers come behind the last.
        layer: usize,
    },
    /// The numbers of a layer cannot be read.
    #[error("the numbers of layer {layer} cannot be read")]
    Source {
        /// The layer's place among those given; takers come behind the last.
        layer: usize,
        /// Why.
        source: E,
    },
}

impl Base {
    /// The base of all `sources`, each number with every layer that has it. Takes the memory of
    /// the base, and some 2 MiB.
    ///
    /// # Errors
    ///
    /// [`BuildError`]; a base that is not whole is never handed out.
    pub fn build<E, I: Iterator<Item = Result<Number, E>>>(
        sources: impl IntoIterator<Item = Source<I>>,
    ) -> Result<Self, BuildError<E>> {
        Self::build_less(sources, [])
    }

    /// As [`Self::build`], less what `takers` take off. Each input is read once.
    ///
    /// # Errors
    ///
    /// As [`Self::build`].
    pub fn build_less<E, I: Iterator<Item = Result<Number, E>>>(
        sources: impl IntoIterator<Item = Source<I>>,
        takers: impl IntoIterator<Item = Taker<I>>,
    ) -> Result<Self, BuildError<E>> {
        let (mut layers, mut inputs): (Vec<_>, Vec<_>) =
            sources.into_iter().map(|source| (source.layer, source.numbers)).unzip();
        if layers.len() > Self::LAYERS_MAX {
            return Err(BuildError::Layers { found: layers.len() });
        }
        let mut taken: Vec<Vec<u16>> = Vec::new();
        for taker in takers {
            // Layers are counted by 16 bits; one that is not there has no numbers.
            let from = taker.from.into_iter().filter_map(|layer| u16::try_from(layer).ok());
            let mut from: Vec<u16> = from.collect();
            from.sort_unstable();
            taken.push(from);
            inputs.push(taker.numbers);
        }
        let mut feeds: Vec<Feed<I>> = Vec::with_capacity(inputs.len());
        let mut due = BinaryHeap::new();
        for (place, numbers) in inputs.into_iter().enumerate() {
            let mut feed = Feed { numbers, place, next: 0 };
            due.extend(feed.advance()?.map(|page| Reverse((page, place))));
            feeds.push(feed);
        }
        let mut scratch = Scratch::new();
        let mut writer = Writer::new();
        // Of one page the layers come first, then the takers.
        while let Some(Reverse((page, place))) = due.pop() {
            scratch.sets.begin_turn();
            let next = match place.checked_sub(layers.len()).and_then(|taker| taken.get(taker)) {
                Some(from) => feeds[place].drain(page, |low| scratch.take(low, from))?,
                None => feeds[place].drain(page, |low| scratch.put(low, place as u16))?,
            };
            due.extend(next.map(|page| Reverse((page, place))));
            if due.peek().is_none_or(|Reverse((next, _place))| *next != page) {
                let members = scratch.members();
                if !members.is_empty() {
                    writer.page(page, members)?;
                }
                scratch.clear();
            }
        }
        layers.shrink_to_fit();
        Ok(Self::assemble(layers, writer.finish(scratch.sets))?)
    }
}

/// The rest of one layer's numbers, or of one taker's.
struct Feed<I> {
    numbers: I,
    /// Among all inputs.
    place: usize,
    /// The digits of the next number.
    next: u64,
}

impl<E, I: Iterator<Item = Result<Number, E>>> Feed<I> {
    /// Goes on to the next number and tells its page.
    fn advance(&mut self) -> Result<Option<u64>, BuildError<E>> {
        let layer = self.place;
        let Some(number) = self.numbers.next() else { return Ok(None) };
        let digits = number.map_err(|source| BuildError::Source { layer, source })?.digits();
        if digits < self.next {
            return Err(BuildError::Order { layer });
        }
        self.next = digits;
        Ok(Some(digits >> 16))
    }

    /// Hands the places of all numbers on `page` to `visit` and tells the page of the next.
    fn drain(
        &mut self,
        page: u64,
        mut visit: impl FnMut(u16),
    ) -> Result<Option<u64>, BuildError<E>> {
        loop {
            // The place is the lower 16 bits.
            visit(self.next as u16);
            let next = self.advance()?;
            if next != Some(page) {
                return Ok(next);
            }
        }
    }
}

/// One page in the making.
struct Scratch {
    sets: Sets,
    /// By place, the set of layers; 0 for none yet.
    by_place: Vec<u32>,
    places: Vec<u16>,
    members: Vec<(u16, u32)>,
}

impl Scratch {
    fn new() -> Self {
        let by_place = vec![0; WORDS * 64];
        Self { sets: Sets::new(), by_place, places: Vec::new(), members: Vec::new() }
    }

    fn put(&mut self, place: u16, layer: u16) {
        let set = &mut self.by_place[usize::from(place)];
        if *set == 0 {
            self.places.push(place);
        }
        *set = self.sets.with(*set, layer);
    }

    /// Takes the number at `place` out of `layers`, which are sorted, where it is in any.
    fn take(&mut self, place: u16, layers: &[u16]) {
        let set = &mut self.by_place[usize::from(place)];
        if *set != 0 {
            *set = self.sets.without(*set, layers);
        }
    }

    /// The page's places in order, each with its set, save those of which nothing is left.
    fn members(&mut self) -> &[(u16, u32)] {
        if !self.places.is_sorted() {
            self.places.sort_unstable();
        }
        self.members.clear();
        let member = |&place: &u16| (place, self.by_place[usize::from(place)]);
        let members = self.places.iter().map(member);
        self.members.extend(members.filter(|&(_place, set)| set != 0));
        &self.members
    }

    fn clear(&mut self) {
        for place in self.places.drain(..) {
            self.by_place[usize::from(place)] = 0;
        }
    }
}

/// Appends pages to columns.
struct Writer {
    columns: Columns,
    dictionaries: Interner<u32>,
    group: Option<u32>,
    /// Numbers of the group so far.
    len: u64,
    /// The group's numbers with their sets, until they are too many to do without pages.
    few: Vec<(u32, u32)>,
    keyed: KeyedWriter,
}

impl Writer {
    fn new() -> Self {
        Self {
            columns: Columns::default(),
            dictionaries: Interner::new(),
            group: None,
            len: 0,
            few: Vec::new(),
            keyed: KeyedWriter::default(),
        }
    }

    /// The next page, which is not empty: its number, and its members in order.
    fn page(&mut self, page: u64, members: &[(u16, u32)]) -> Result<(), LayoutError> {
        if page >> (Number::KEYED_BITS - 16) != 0 {
            for &(place, set) in members {
                self.keyed.push(hash_of(page << 16 | u64::from(place)), set)?;
            }
            return Ok(());
        }
        // Numbers are below 2^50, so that a group has 18 bits.
        let (group, page) = ((page >> 16) as u32, page as u16);
        if self.group != Some(group) {
            self.end_group();
            self.group = Some(group);
        }
        let had_pages = self.len > FEW_MAX as u64;
        self.len += members.len() as u64;
        if self.len <= FEW_MAX as u64 {
            let suffix = |place| u32::from(page) << 16 | u32::from(place);
            self.few.extend(members.iter().map(|&(place, set)| (suffix(place), set)));
            return Ok(());
        }
        if !had_pages {
            self.begin_pages();
        }
        self.write_page(page, members);
        Ok(())
    }

    /// The group has become too large: its numbers so far go on pages.
    fn begin_pages(&mut self) {
        let columns = &mut self.columns;
        columns.page_bits.resize(columns.page_bits.len() + WORDS, 0);
        let few = std::mem::take(&mut self.few);
        for chunk in few.chunk_by(|a, b| a.0 >> 16 == b.0 >> 16) {
            let members: Vec<_> = chunk.iter().map(|&(suffix, set)| (suffix as u16, set)).collect();
            self.write_page((chunk[0].0 >> 16) as u16, &members);
        }
    }

    fn write_page(&mut self, page: u16, members: &[(u16, u32)]) {
        let is_bitmap = members.len() >= BITMAP_MIN;
        let marks = self.marks(members.iter().map(|&(_place, set)| set));
        let columns = &mut self.columns;
        let group_at = columns.page_bits.len() - WORDS;
        columns.page_bits[group_at + usize::from(page >> 6)] |= 1 << (page & 63);
        // At most 65,536 places are on a page.
        columns.page_lasts.push((members.len() - 1) as u16);
        columns.page_marks.push(marks);
        let places = members.iter().map(|&(place, _set)| place);
        if !is_bitmap {
            columns.lows.extend(places);
            return;
        }
        let at = columns.words.len();
        columns.words.resize(at + WORDS, 0);
        for place in places {
            columns.words[at + usize::from(place >> 6)] |= 1 << (place & 63);
        }
        if marks & CODED != 0 {
            write_ranks(&columns.words[at..], &mut columns.ranks);
        }
    }

    /// Marks for the members of a page or group; writes codes where they differ.
    fn marks(&mut self, sets: impl Iterator<Item = u32> + Clone) -> u32 {
        let first = sets.clone().next().unwrap_or_default();
        if sets.clone().all(|set| set == first) {
            return first;
        }
        let mut dictionary: Vec<u32> = sets.clone().collect();
        dictionary.sort_unstable();
        dictionary.dedup();
        for set in sets {
            let code = dictionary.partition_point(|&known| known < set);
            // A page has at most 65,536 members, and so its dictionary as many sets.
            let code = (code as u16).to_le_bytes();
            self.columns.codes.extend_from_slice(&code[..code_width(dictionary.len())]);
        }
        let coded = self.columns.coded_dictionaries.len() as u32;
        let number = self.dictionaries.number(&dictionary);
        self.columns.coded_dictionaries.push(number);
        CODED | coded
    }

    fn end_group(&mut self) {
        let Some(group) = self.group.take() else { return };
        self.columns.groups.push(group);
        // A group has at most 2^32 numbers, and at least the one for which it was begun.
        self.columns.group_lasts.push((self.len - 1) as u32);
        let few = std::mem::take(&mut self.few);
        if self.len <= FEW_MAX as u64 {
            let marks = self.marks(few.iter().map(|&(_suffix, set)| set));
            self.columns.few_marks.push(marks);
            self.columns.suffixes.extend(few.iter().map(|&(suffix, _set)| suffix));
        }
        self.len = 0;
    }

    fn finish(mut self, sets: Sets) -> Columns {
        self.end_group();
        let mut columns = self.columns;
        columns.dictionary_ends = self.dictionaries.ends;
        columns.dictionary_sets = self.dictionaries.items;
        columns.set_ends = sets.sets.ends;
        columns.set_layers = sets.sets.items;
        columns.keyed = self.keyed.finish();
        drop_unused_sets(&mut columns);
        columns.shrink();
        columns
    }
}

/// Takes out the sets that numbers only went through on the way to more layers.
fn drop_unused_sets(columns: &mut Columns) {
    let mut is_used = vec![false; columns.set_ends.len()];
    let marks = columns.few_marks.iter().chain(&columns.page_marks);
    let shared = marks.filter(|&marks| marks & CODED == 0);
    for &set in shared.chain(&columns.dictionary_sets).chain(&columns.keyed.sets) {
        is_used[set as usize] = true;
    }
    // The empty set keeps its place.
    is_used[0] = true;
    let mut kept = Interner::new();
    let number = |(place, is_used)| {
        // Sets differ, so that each that is kept takes the next number.
        if is_used { kept.number(columns.set(place as u32)) } else { 0 }
    };
    let numbers: Vec<u32> = is_used.into_iter().enumerate().map(number).collect();
    let marks = columns.few_marks.iter_mut().chain(&mut columns.page_marks);
    let shared = marks.filter(|marks| **marks & CODED == 0);
    for set in shared.chain(&mut columns.dictionary_sets).chain(&mut columns.keyed.sets) {
        *set = numbers[*set as usize];
    }
    columns.set_ends = kept.ends;
    columns.set_layers = kept.items;
}

/// How many members of a bitmap come before each of its lines.
fn write_ranks(words: &[u64], ranks: &mut Vec<u16>) {
    let mut before = 0;
    for line in words.chunks(RANK_LINE / 64) {
        // Fewer than 65,536: the last line's own members are not among them.
        ranks.push(before as u16);
        before += line.iter().map(|word| word.count_ones()).sum::<u32>();
    }
}
