//! Few values that are met often: each is kept once and goes by its number.

use std::collections::BTreeMap;

/// Sequences by their number, in the order in which they were met.
#[derive(Debug)]
pub(super) struct Interner<T> {
    pub(super) ends: Vec<u32>,
    pub(super) items: Vec<T>,
    numbers: BTreeMap<Box<[T]>, u32>,
}

impl<T: Copy + Ord> Interner<T> {
    pub(super) const fn new() -> Self {
        Self { ends: Vec::new(), items: Vec::new(), numbers: BTreeMap::new() }
    }

    /// The number of `sequence`.
    pub(super) fn number(&mut self, sequence: &[T]) -> u32 {
        if let Some(&number) = self.numbers.get(sequence) {
            return number;
        }
        // A base whose sequences do not fit 32 bits is refused when it is assembled.
        let number = self.ends.len() as u32;
        self.items.extend_from_slice(sequence);
        self.ends.push(self.items.len() as u32);
        self.numbers.insert(sequence.into(), number);
        number
    }

    fn sequence(&self, number: u32) -> &[T] {
        let number = number as usize;
        let from = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.items[from as usize..self.ends[number] as usize]
    }
}

/// Sets of layers; number 0 is the empty one.
#[derive(Debug)]
pub(super) struct Sets {
    pub(super) sets: Interner<u16>,
    grown: BTreeMap<(u32, u16), u32>,
    /// By set, what it becomes by the layer or the taker of `turn`: many numbers change alike.
    recent: Vec<(u64, u32)>,
    turn: u64,
}

impl Sets {
    pub(super) fn new() -> Self {
        let mut sets = Interner::new();
        sets.number(&[]);
        Self { sets, grown: BTreeMap::new(), recent: Vec::new(), turn: 0 }
    }

    /// Says that the next calls of [`Self::with`] are of one layer, or those of [`Self::without`] of
    /// one taker, maybe another than before.
    pub(super) const fn begin_turn(&mut self) {
        self.turn += 1;
    }

    /// The set of `set` and `layer`.
    pub(super) fn with(&mut self, set: u32, layer: u16) -> u32 {
        match self.recent.get(set as usize) {
            Some(&(turn, grown)) if turn == self.turn => grown,
            _ => self.grow(set, layer),
        }
    }

    #[cold]
    fn grow(&mut self, set: u32, layer: u16) -> u32 {
        let grown = if let Some(&grown) = self.grown.get(&(set, layer)) {
            grown
        } else {
            let mut layers = self.sets.sequence(set).to_vec();
            if let Err(place) = layers.binary_search(&layer) {
                layers.insert(place, layer);
            }
            let grown = self.sets.number(&layers);
            self.grown.insert((set, layer), grown);
            grown
        };
        self.remember(set, grown);
        grown
    }

    /// What is left of `set` without `layers`, which are sorted.
    pub(super) fn without(&mut self, set: u32, layers: &[u16]) -> u32 {
        match self.recent.get(set as usize) {
            Some(&(turn, shrunk)) if turn == self.turn => shrunk,
            _ => self.shrink(set, layers),
        }
    }

    #[cold]
    fn shrink(&mut self, set: u32, layers: &[u16]) -> u32 {
        let is_left = |layer: &&u16| layers.binary_search(layer).is_err();
        let left: Vec<u16> = self.sets.sequence(set).iter().filter(is_left).copied().collect();
        let shrunk = self.sets.number(&left);
        self.remember(set, shrunk);
        shrunk
    }

    fn remember(&mut self, set: u32, becomes: u32) {
        if self.recent.len() <= set as usize {
            self.recent.resize(set as usize + 1, (0, 0));
        }
        self.recent[set as usize] = (self.turn, becomes);
    }
}
