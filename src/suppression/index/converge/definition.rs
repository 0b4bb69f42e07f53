//! What holds by definition, whatever came first: written down once more, naively.

use crate::model::RecordId;
use crate::suppression::list::Scope;
use crate::suppression::range::Range;

use super::CAMPAIGNS;
use super::LISTS;
use super::RANGES;
use super::facts::Fact;
use super::facts::File;
use super::facts::Of;
use super::number;

/// What refuses a number: a record, on a list, for whom, and whether by a range.
pub(super) type Standing = (RecordId, usize, Of, bool);

/// The definition: what refuses `number`, each record with each list.
pub(super) fn standing(facts: &[&Fact], number: u64) -> Vec<Standing> {
    let mut all = Vec::new();
    for fact in facts {
        match fact {
            Fact::Add { record, of, number: its, lists } if *its == number => {
                all.extend(lists.iter().map(|&list| (*record, list, *of, false)));
            }
            Fact::Import(file) if !is_withdrawn(facts, file.record) => {
                let one = |is_range| (file.record, file.list, file.of, is_range);
                if file.numbers.contains(&number) && !is_taken_off(facts, file.record, number) {
                    all.push(one(false));
                }
                let is_in = |range: &&usize| range_at(**range).contains(super::number(number));
                all.extend(file.ranges.iter().filter(is_in).map(|_range| one(true)));
            }
            _ => {}
        }
    }
    all.retain(|(record, list, ..)| {
        !facts.iter().any(|fact| match fact {
            Fact::Reversal { number: its, cancels } => {
                let names =
                    |(it, lists): &(RecordId, Vec<usize>)| it == record && lists.contains(list);
                *its == number && cancels.iter().any(names)
            }
            _ => false,
        })
    });
    all.sort_by_key(|(record, list, ..)| (*record, *list));
    all
}

fn is_withdrawn(facts: &[&Fact], record: RecordId) -> bool {
    let is_it = |fact: &&Fact| matches!(fact, Fact::Withdrawal { import, .. } if *import == record);
    facts.iter().any(is_it)
}

fn is_taken_off(facts: &[&Fact], record: RecordId, number: u64) -> bool {
    facts.iter().any(|fact| match fact {
        Fact::Import(File { record: by, taken_off: Some((numbers, from)), .. }) => {
            numbers.contains(&number) && from.contains(&record) && !is_withdrawn(facts, *by)
        }
        _ => false,
    })
}

pub(super) fn range_at(place: usize) -> Range {
    RANGES[place].parse().expect("the test's ranges are ranges")
}

/// The topic of each campaign.
pub(super) type TopicsAt = [Option<&'static str>; CAMPAIGNS.len()];

/// Whether an entry of `of` on `list` concerns calls of this account and campaign.
pub(super) fn reaches(
    list: usize,
    of: Of,
    account: usize,
    campaign: usize,
    topics: TopicsAt,
) -> bool {
    match LISTS[list].1 {
        Scope::Global => true,
        Scope::Account => of.account.is_none_or(|its| its == account),
        Scope::Campaign => of.campaign.is_none_or(|its| its == campaign),
        Scope::Topic => of.campaign.is_none_or(|its| {
            let both = topics[its].zip(topics[campaign]);
            its == campaign || both.is_none_or(|(one, other)| one == other)
        }),
    }
}

/// Reversals of a number's record that has not come.
pub(super) fn waiting(facts: &[&Fact]) -> usize {
    let has = |wanted: RecordId, wanted_number: u64| {
        facts.iter().any(|fact| match fact {
            Fact::Add { record, number, .. } => (*record, *number) == (wanted, wanted_number),
            Fact::Import(File { record, numbers, ranges, .. }) => {
                let is_in = |range: &usize| range_at(*range).contains(number(wanted_number));
                *record == wanted && (numbers.contains(&wanted_number) || ranges.iter().any(is_in))
            }
            Fact::Reversal { .. } | Fact::Withdrawal { .. } => false,
        })
    };
    let mut unseen = Vec::new();
    for fact in facts {
        if let Fact::Reversal { number, cancels } = fact {
            unseen.extend(cancels.iter().map(|(record, _lists)| (*record, *number)));
        }
    }
    unseen.retain(|(record, number)| !has(*record, *number));
    unseen.sort_unstable();
    unseen.dedup();
    unseen.len()
}

/// Whether which reversals wait follows from the set of facts: one that came while an import had
/// the number has found it, though a change list or its end takes it away later.
pub(super) fn is_waiting_certain(facts: &[&Fact]) -> bool {
    !facts.iter().any(|fact| match fact {
        Fact::Import(file) => file.taken_off.is_some(),
        Fact::Withdrawal { .. } => true,
        Fact::Add { .. } | Fact::Reversal { .. } => false,
    })
}
