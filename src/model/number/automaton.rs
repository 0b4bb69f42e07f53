//! Sets of digit strings as one table that is walked a digit at a time.
//!
//! A row has a place for each digit; what stands there is another row, or a leaf: how many more
//! digits there may be, whichever they are. Most numbers reach their leaf after four to six
//! digits. Equal rows are one, so that the plan of a country with 300 area codes has some hundred
//! rows of 32 octets.

use std::collections::BTreeMap;

use super::Number;
use super::pattern::Places;
use super::pattern::Steps;

/// Values from here on are leaves: bit n says that n digits more may follow.
const LEAF: u16 = 0x8000;

/// Place in a row that says whether the digits may end here.
const ENDS: usize = 10;

/// Sets of digit strings, each with its own root.
#[derive(Debug, Default)]
pub(super) struct Automaton {
    rows: Vec<[u16; 16]>,
}

/// A set of an [`Automaton`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Root(u16);

impl Automaton {
    /// The value of `digits` behind `value` when they are ASCII digits and of the set `root`.
    ///
    /// The value is reckoned apart from the walk: how far a walk goes is no two numbers' habit,
    /// and a branch that the processor cannot foretell costs more than the digits behind it.
    pub(super) fn read(&self, root: Root, digits: &[u8], mut value: u64) -> Option<u64> {
        if digits.len() > Number::DIGITS_MAX as usize {
            return None;
        }
        let mut has_other = false;
        for byte in digits {
            let digit = byte.wrapping_sub(b'0');
            has_other |= digit > 9;
            // 15 digits behind a code of three are below 2^63.
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        }
        let mut at = root.0;
        let mut rest = digits.iter();
        while at < LEAF {
            let row = self.rows.get(usize::from(at))?;
            let Some(byte) = rest.next() else {
                return (row[ENDS] != 0 && !has_other).then_some(value);
            };
            // An ASCII digit is its value behind 0x30.
            at = row[usize::from(byte & 0xf)];
        }
        let may_follow = (at & !LEAF) >> (rest.len() & 0xf);
        (may_follow & 1 == 1 && !has_other).then_some(value)
    }
}

/// Makes the rows of sets out of patterns.
pub(super) struct Builder<'a> {
    steps: &'a Steps,
    /// Whether a string of this length that reaches these marks is of the set.
    is_in: &'a dyn Fn(&[u32], usize) -> bool,
    len_max: usize,
    known: BTreeMap<(usize, Places), u16>,
    interned: BTreeMap<[u16; 16], u16>,
    automaton: Automaton,
}

impl<'a> Builder<'a> {
    /// A builder of sets of strings of `len_max` digits at most.
    pub(super) fn new(
        steps: &'a Steps,
        len_max: usize,
        is_in: &'a dyn Fn(&[u32], usize) -> bool,
    ) -> Self {
        let (known, interned) = (BTreeMap::new(), BTreeMap::new());
        Self { steps, is_in, len_max, known, interned, automaton: Automaton::default() }
    }

    /// The set of what follows `places`; `None` when it has too many rows.
    pub(super) fn build(mut self, places: Places) -> Option<(Automaton, Root)> {
        let root = Root(self.row(places, 0)?);
        Some((self.automaton, root))
    }

    fn row(&mut self, places: Places, len: usize) -> Option<u16> {
        if let Some(known) = self.known.get(&(len, places.clone())) {
            return Some(*known);
        }
        let marks: Vec<u32> = self.steps.marks(&places).collect();
        let ends = u16::from((self.is_in)(&marks, len));
        let value = if len == self.len_max || !self.steps.goes_on(&places) {
            LEAF | ends
        } else {
            let mut row = [0; 16];
            for (digit, next) in row.iter_mut().enumerate().take(10) {
                *next = self.row(self.steps.advance(&places, digit), len + 1)?;
            }
            row[ENDS] = ends;
            self.intern(row)?
        };
        self.known.insert((len, places), value);
        Some(value)
    }

    /// The leaf or the row that says what `row` does.
    fn intern(&mut self, row: [u16; 16]) -> Option<u16> {
        let first = row[0];
        if first >= LEAF && row[..10].iter().all(|next| *next == first) {
            return Some(LEAF | ((first & !LEAF) << 1 & !LEAF) | row[ENDS]);
        }
        if let Some(known) = self.interned.get(&row) {
            return Some(*known);
        }
        let value = u16::try_from(self.automaton.rows.len()).ok().filter(|place| *place < LEAF)?;
        self.automaton.rows.push(row);
        self.interned.insert(row, value);
        Some(value)
    }
}
