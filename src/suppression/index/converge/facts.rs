//! What happens in a case, and in which order it comes: drawn from a seed.

use crate::model::RecordId;
use crate::model::WriterId;
use crate::model::token::TokenSource;

use super::LISTS;
use super::NUMBERS;
use super::RANGES;

const FACTS_MAX: u64 = 10;

#[derive(Clone, Debug)]
pub(super) enum Fact {
    /// Somebody's own record.
    Add { record: RecordId, of: Of, number: u64, lists: Vec<usize> },
    /// A file.
    Import(File),
    /// The import of this record is taken back.
    Withdrawal { record: RecordId, import: RecordId },
    /// Adds, and single numbers of imports, are cancelled by this.
    Reversal { number: u64, cancels: Vec<(RecordId, Vec<usize>)> },
}

/// What a file says.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) record: RecordId,
    pub(super) of: Of,
    pub(super) list: usize,
    /// Ascending.
    pub(super) numbers: Vec<u64>,
    /// Places in [`RANGES`].
    pub(super) ranges: Vec<usize>,
    /// Numbers, ascending, and the imports that they are taken off from.
    pub(super) taken_off: Option<(Vec<u64>, Vec<RecordId>)>,
}

/// For which account and campaign; nothing reaches all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Of {
    pub(super) account: Option<usize>,
    pub(super) campaign: Option<usize>,
}

/// What comes to the index.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arrival {
    /// The number of this add is blocked, before its record is durable.
    Block(usize),
    /// This fact is known.
    Known(usize),
    /// The same by a table, which has a row for each list.
    Rows(usize),
}

pub(super) struct Dice(pub(super) TokenSource);

impl Dice {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end
    }

    pub(super) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    fn some(&mut self, end: usize) -> Vec<usize> {
        let first = self.below(end as u64) as usize;
        (0..end).filter(|&one| one == first || self.below(4) == 0).collect()
    }

    fn of(&mut self) -> Of {
        let known = [None, Some(0), Some(1)];
        Of { account: self.one(&known), campaign: self.one(&known) }
    }

    /// What happened, each fact knowing those before it and some that nobody ever sees.
    pub(super) fn facts(&mut self) -> Vec<Fact> {
        let mut facts: Vec<Fact> = Vec::new();
        for seq in 1..=1 + self.below(FACTS_MAX) {
            let record = RecordId { writer: WriterId(1 + self.below(2)), seq };
            let (of, number) = (self.of(), self.one(&NUMBERS));
            facts.push(match self.below(10) {
                0..4 => Fact::Add { record, of, number, lists: self.some(LISTS.len()) },
                4..6 => Fact::Import(self.file(record, of, &facts)),
                6 => Fact::Withdrawal { record, import: self.record_of(&facts) },
                _ => self.reversal(number, &facts),
            });
        }
        facts
    }

    fn numbers(&mut self) -> Vec<u64> {
        let mut numbers: Vec<u64> =
            self.some(NUMBERS.len()).iter().map(|&at| NUMBERS[at]).collect();
        numbers.sort_unstable();
        numbers
    }

    fn file(&mut self, record: RecordId, of: Of, before: &[Fact]) -> File {
        let ranges = if self.below(3) == 0 { self.some(RANGES.len()) } else { Vec::new() };
        let from: Vec<RecordId> = (0..self.below(4)).map(|_| self.record_of(before)).collect();
        let taken_off = (!from.is_empty()).then(|| (self.numbers(), from));
        let list = self.below(LISTS.len() as u64) as usize;
        File { record, of, list, numbers: self.numbers(), ranges, taken_off }
    }

    /// The record of one of `before`, or one that nobody ever sees.
    fn record_of(&mut self, before: &[Fact]) -> RecordId {
        match before.get(self.below(before.len() as u64 + 1) as usize) {
            Some(
                Fact::Add { record, .. }
                | Fact::Import(File { record, .. })
                | Fact::Withdrawal { record, .. },
            ) => *record,
            Some(Fact::Reversal { .. }) | None => {
                RecordId { writer: WriterId(3), seq: self.below(3) }
            }
        }
    }

    fn reversal(&mut self, number: u64, before: &[Fact]) -> Fact {
        let mut cancels = Vec::new();
        for _ in 0..1 + self.below(3) {
            let record = self.record_of(before);
            cancels.push((record, self.some(LISTS.len())));
        }
        Fact::Reversal { number, cancels }
    }

    /// Every fact once or twice, in any order, and some adds blocked before they are known.
    pub(super) fn arrivals(&mut self, facts: &[Fact]) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        for at in 0..facts.len() {
            for _ in 0..=self.below(2) {
                let place = self.below(arrivals.len() as u64 + 1) as usize;
                arrivals.insert(place, Arrival::Known(at));
            }
        }
        for (at, fact) in facts.iter().enumerate() {
            if matches!(fact, Fact::Add { .. }) && self.below(2) == 0 {
                let is_first =
                    |arrival: &Arrival| matches!(arrival, Arrival::Known(it) if *it == at);
                let first = arrivals.iter().position(is_first).unwrap_or_default();
                let place = self.below(first as u64 + 1) as usize;
                arrivals.insert(place, Arrival::Block(at));
            } else if matches!(fact, Fact::Add { .. }) {
                let is_it =
                    |arrival: &&mut Arrival| matches!(arrival, Arrival::Known(it) if *it == at);
                for arrival in arrivals.iter_mut().filter(is_it) {
                    if self.below(2) == 0 {
                        *arrival = Arrival::Rows(at);
                    }
                }
            }
        }
        arrivals
    }
}
