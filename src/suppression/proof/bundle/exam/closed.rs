//! The number's records of which nothing is in the clear, since their key is destroyed.
//!
//! Whoever makes a bundle could leave out in this way what does not suit them. So each must be named
//! by an erasure of the number in the same bundle, or say by itself that it is about it, as where
//! numbers are hashed. What is left of it is told in either case.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::Number;
use crate::model::RecordId;
use crate::suppression::Erasure;
use crate::suppression::Fact;
use crate::suppression::proof::Record;

use super::Found;
use super::Placed;
use super::VerifiedRecord;

/// Finds what is left of the records in `verified` that say nothing, of a bundle about `number`; those
/// of which it is not known that they are gone rightly, each with its line.
pub(super) fn settle(
    number: Number,
    placed: &[Option<Placed<'_>>],
    verified: &mut [VerifiedRecord],
) -> Vec<(usize, RecordId, Found)> {
    let lines: BTreeMap<RecordId, &Placed<'_>> =
        placed.iter().flatten().map(|placed| (placed.record.id, placed)).collect();
    let mut known = Known::of(number, &lines, verified);
    let mut closed: Vec<(&Placed<'_>, &mut VerifiedRecord)> = verified
        .iter_mut()
        .filter(|it| it.fact.is_none())
        .filter_map(|it| Some((*lines.get(&it.id)?, it)))
        .collect();
    // What one erasure names may be another, whose key went later: so until no more is found.
    loop {
        let before = closed.len();
        closed.retain_mut(|(placed, it)| {
            it.outline = known.outline(&placed.record);
            if let Some(Fact::Erasure(erasure)) = &it.outline {
                known.erasures.push((**erasure).clone());
            }
            it.outline.is_none()
        });
        if closed.len() == before {
            break;
        }
    }
    closed.into_iter().map(|(placed, it)| (placed.number, it.id, Found::Closed)).collect()
}

/// What a bundle says of its number.
struct Known {
    number: Number,
    /// As it is kept where numbers are hashed: what is asked about, or what stands in the records
    /// that say both.
    kept: BTreeSet<Number>,
    erasures: Vec<Erasure>,
}

impl Known {
    fn of(
        number: Number,
        lines: &BTreeMap<RecordId, &Placed<'_>>,
        verified: &[VerifiedRecord],
    ) -> Self {
        let mut kept: BTreeSet<Number> = BTreeSet::new();
        kept.extend(Some(number).filter(|number| number.is_keyed()));
        let mut erasures = Vec::new();
        for it in verified {
            match &it.fact {
                Some(Fact::Erasure(erasure)) => erasures.push((**erasure).clone()),
                Some(Fact::OptOut(_) | Fact::Reversal(_)) => {
                    kept.extend(lines.get(&it.id).and_then(|placed| kept_in(&placed.record)));
                }
                _ => {}
            }
        }
        Self { number, kept, erasures }
    }

    /// What is left of `record`; nothing where it is not known to be the number's and gone rightly.
    fn outline(&self, record: &Record) -> Option<Fact> {
        let kept = kept_in(record);
        let number = kept.unwrap_or(self.number);
        let is_named = self
            .erasures
            .iter()
            .any(|erasure| erasure.number == number && erases(erasure, record.id, kept.is_some()));
        let is_theirs = kept.is_some_and(|kept| self.kept.contains(&kept));
        match kept {
            _ if !is_named && !is_theirs => None,
            Some(_) => record.outline().ok().flatten(),
            None => record.outline_of(number).ok().flatten(),
        }
    }
}

/// Whether an erasure of its number says that what was sealed in `record` is gone. Where numbers are
/// hashed, one from before they were named goes for all; not what answers another node's, which may
/// have found nothing.
fn erases(erasure: &Erasure, record: RecordId, is_hashed: bool) -> bool {
    let is_for_all = erasure.records.is_empty() && erasure.answers.is_none();
    erasure.records.contains(&record) || (is_hashed && is_for_all)
}

/// The number that a record says in the clear, as it is kept where numbers are hashed.
fn kept_in(record: &Record) -> Option<Number> {
    match record.outline() {
        Ok(Some(Fact::OptOut(optout))) => Some(optout.number),
        Ok(Some(Fact::Reversal(reversal))) => Some(reversal.number),
        _ => None,
    }
}
