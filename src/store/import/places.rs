//! The numbers of an export, sorted by where they go: list, account, campaign and topic.
//!
//! ```text
//! place, 64 bits | number, 64 bits  -> runs -> merge -> a segment for each place
//! ```
//!
//! So a file of any size and any mixture is sorted in the same bounded memory as a plain list.

use std::collections::HashMap;
use std::fs::File;
use std::io;

use serde::Deserialize;
use serde::Serialize;

use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::TopicName;
use crate::model::UnixMicros;
use crate::suppression::NumberStorage;
use crate::suppression::import::Exported;
use crate::suppression::import::Whom;
use crate::suppression::range::Range;
use crate::suppression::segment::SegmentError;

use super::kept::Held;
use super::kept::Kept;
use super::runs::Runs;

/// Bits of the key of a number, of whatever kind.
const NUMBER_BITS: u32 = u64::BITS;

/// Places that one export has at most. Our choice: each is a record and a layer of its own, of which
/// an index has 65,535, and lists times campaigns of a large centre are some hundred.
pub const PLACES_MAX: usize = 1024;

/// Where numbers of an export go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The list.
    pub list: ListName,
    /// For which account; `None` is for everybody.
    pub account: Option<AccountName>,
    /// In which campaign; `None` is in all.
    pub campaign: Option<CampaignName>,
    /// What that campaign was about when they were said, where the rows say so.
    #[serde(default)]
    pub topic: Option<TopicName>,
}

/// What an export puts in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The place.
    pub place: Place,
    /// How many numbers, each once.
    pub count: u64,
    /// How many rows said so.
    pub rows: u64,
    /// Ranges, each once.
    pub ranges: Vec<Range>,
    /// When the first and the last of them was said.
    pub said: (UnixMicros, UnixMicros),
}

/// Takes rows and sorts their numbers by place.
#[derive(Debug)]
pub(super) struct Places {
    known: HashMap<Place, usize>,
    /// By the order in which they were met; counts follow.
    placed: Vec<Placed>,
    runs: Runs<u128>,
}

impl Places {
    pub(super) fn new(runs: Runs<u128>) -> Self {
        Self { known: HashMap::new(), placed: Vec::new(), runs }
    }

    /// Goes on behind rows that were taken before.
    pub(super) fn resume(&mut self, placed: Vec<Placed>) {
        let known = placed.iter().enumerate().map(|(at, placed)| (placed.place.clone(), at));
        self.known = known.collect();
        self.placed = placed;
    }

    /// Takes a sorted run of them.
    pub(super) fn add(&mut self, run: File) {
        self.runs.add(run);
    }

    /// As [`Runs::is_full`].
    pub(super) const fn is_full(&self) -> bool {
        self.runs.is_full()
    }

    /// As [`Runs::spill`].
    pub(super) fn spill(&mut self, kept: Option<&mut Kept>) -> io::Result<()> {
        self.runs.spill(Held::Placed, kept)
    }

    /// Takes a row; those that were reversed everywhere have no list and go nowhere.
    /// Numbers are kept as `numbers` says.
    pub(super) fn push(&mut self, exported: &Exported, numbers: &NumberStorage) -> io::Result<()> {
        let Exported { whom, lists, account, campaign, topic, said_at, .. } = exported;
        for list in lists {
            let place = Place {
                list: list.clone(),
                account: account.clone(),
                campaign: campaign.clone(),
                topic: topic.clone(),
            };
            let at = self.place(place, *said_at)?;
            let Some(placed) = self.placed.get_mut(at) else { continue };
            match whom {
                Whom::One(number) => {
                    placed.rows += 1;
                    let key = u128::from(numbers.stored(*number).digits());
                    self.runs.push((at as u128) << NUMBER_BITS | key);
                }
                // A file has few of them.
                Whom::Range(range) if !placed.ranges.contains(range) => placed.ranges.push(*range),
                Whom::Range(_known) => {}
            }
        }
        Ok(())
    }

    fn place(&mut self, place: Place, said_at: UnixMicros) -> io::Result<usize> {
        let at = match self.known.get(&place) {
            Some(at) => *at,
            None if self.placed.len() == PLACES_MAX => {
                let why = format!(
                    "expected at most {PLACES_MAX} different lists, accounts, campaigns and topics; \
                     export and import one list at a time"
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            None => {
                let said = (said_at, said_at);
                self.known.insert(place.clone(), self.placed.len());
                self.placed.push(Placed { place, count: 0, rows: 0, ranges: Vec::new(), said });
                self.placed.len() - 1
            }
        };
        if let Some(placed) = self.placed.get_mut(at) {
            placed.said = (placed.said.0.min(said_at), placed.said.1.max(said_at));
        }
        Ok(at)
    }

    /// Counts the numbers of each place.
    pub(super) fn count(&mut self) -> io::Result<()> {
        let Self { placed, runs, .. } = self;
        placed.iter_mut().for_each(|placed| placed.count = 0);
        for packed in runs.merged()? {
            if let Some(placed) = placed.get_mut(place_of(packed?)) {
                placed.count += 1;
            }
        }
        Ok(())
    }

    /// What is in each place, in the order in which the file has them.
    pub(super) fn placed(&self) -> &[Placed] {
        &self.placed
    }

    /// Every place with its numbers, ascending, each once.
    pub(super) fn each<E: From<SegmentError>>(
        &mut self,
        mut visit: impl FnMut(&Placed, &mut dyn Iterator<Item = io::Result<u64>>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { placed, runs, .. } = self;
        let mut merged = runs.merged().map_err(SegmentError::from)?.peekable();
        for (at, placed) in placed.iter().enumerate() {
            let mut numbers = std::iter::from_fn(|| {
                // An error is handed on to whoever comes first.
                let is_here = |packed: &io::Result<u128>| {
                    packed.as_ref().map_or(true, |packed| place_of(*packed) == at)
                };
                merged.next_if(is_here).map(|packed| packed.map(number_of))
            });
            visit(placed, &mut numbers)?;
        }
        Ok(())
    }
}

const fn place_of(packed: u128) -> usize {
    (packed >> NUMBER_BITS) as usize
}

const fn number_of(packed: u128) -> u64 {
    packed as u64 // The lower 64 bits: the cast is meant to cut.
}
