//! Taking a reversal down: what was named, found on record, judged whole before anything is done.

use serde::Deserialize;
use serde::Serialize;

use super::Books;
use super::Desk;
use super::DeskError;
use super::NOTE_LEN_MAX;
use super::names::read_number;
use super::names::unknown;
use crate::config::Checked;
use crate::model::ListName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::net::clock;
use crate::suppression::Authority;
use crate::suppression::Cancelled;
use crate::suppression::Fact;
use crate::suppression::Origin;
use crate::suppression::Reversal;
use crate::suppression::export::Entry;
use crate::suppression::import::Imported;
use crate::suppression::import::Shape;
use crate::suppression::reversal::CANCELS_MAX;

/// What to reverse, as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reversing {
    /// The number, in any form that the node's default region knows.
    pub number: String,
    /// Only what these records say, in their text form; no record means every one of them.
    pub records: Vec<String>,
    /// Only on these lists; no list means every one of them.
    pub lists: Vec<ListName>,
    /// Whether really every record on every list is meant, where neither is named.
    pub is_all: bool,
    /// Why.
    pub reason: String,
    /// Who reverses.
    pub actor: Option<String>,
    /// Say what would be reversed, and reverse nothing.
    pub is_rehearsal: bool,
}

/// What was reversed, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reversed {
    /// The number as it was read.
    pub number: Number,
    /// Which records on which lists refuse no more.
    pub cancels: Vec<ReversedEntry>,
    /// What refuses the number all the same, each list with its record.
    pub still: Vec<Still>,
    /// The reversal's record; nothing where it was a rehearsal.
    pub record: Option<String>,
    /// When it was known to be on disk.
    pub durable_at: Option<UnixMicros>,
    /// Whether the database lacks it that is to have it, so that other nodes go on refusing.
    #[serde(default)]
    pub is_pending: bool,
}

/// A record that was reversed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReversedEntry {
    /// Its text form.
    pub record: String,
    /// On which of its lists.
    pub lists: Vec<ListName>,
    /// What kind of act it was.
    pub origin: Origin,
    /// When that was.
    pub pressed_at: UnixMicros,
}

/// What refuses a number on a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Still {
    /// The list.
    pub list: ListName,
    /// The record; nothing while the number is refused by memory alone, or by a range of the list's
    /// table.
    pub record: Option<String>,
    /// The range that the number is in, where it does not stand there by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
}

impl Desk {
    /// Reverses what `reversing` names of what is on record: durable, and only then no longer
    /// refused, when this returns. What was added meanwhile, here or on another node, stays.
    ///
    /// # Errors
    ///
    /// What was typed wrong or is not there to be reversed, before anything is done;
    /// [`DeskError::Ledger`] and [`DeskError::Slow`] when it is not known to be durable: the
    /// number stays refused then, at least until this process ends.
    pub fn reverse(
        &self,
        authority: Authority,
        reversing: &Reversing,
    ) -> Result<Reversed, DeskError> {
        let checked = self.checked.load();
        check_notes(reversing)?;
        let number = read_number(&checked, &reversing.number)?;
        let reader = self.reader()?;
        let entries = reader.show(number)?;
        self.take_in(number, &entries);
        let found = found(reversing, &entries).map_err(|error| match error {
            DeskError::NotOnList { list } if !checked.lists.contains_key(&list) => {
                let known = checked.lists.keys().map(ListName::as_str);
                unknown("list", list.as_str(), known)
            }
            other => other,
        })?;
        check_ours(&checked, &found, &reader.imports()?)?;
        let cancels = found.iter().map(|(entry, lists)| reversed_entry(entry, lists)).collect();
        let still = Vec::new();
        let (record, durable_at, is_pending) = (None, None, false);
        let mut done = Reversed { number, cancels, still, record, durable_at, is_pending };
        if reversing.is_rehearsal {
            done.still = self.still(number, |still| !is_among(still, &done.cancels));
            return Ok(done);
        }
        let Books::Open(_store) = &self.books else { return Err(DeskError::ReadOnly) };
        let cancelled =
            |(entry, lists): (&Entry, Vec<ListName>)| Cancelled { record: entry.record, lists };
        let cancels: Vec<Cancelled> = found.into_iter().map(cancelled).collect();
        let durable = self.commit(Fact::Reversal(Box::new(Reversal {
            number,
            cancels: cancels.clone(),
            authority,
            actor: reversing.actor.clone(),
            reason: reversing.reason.trim().to_owned(),
            node: checked.node.name.clone(),
            reversed_at: clock::unix_now(),
        })))?;
        for Cancelled { record, lists } in &cancels {
            self.index.reverse(number, *record, lists);
        }
        done.still = self.still(number, |_still| true);
        done.record = Some(durable.record.to_string());
        done.durable_at = Some(durable.durable_at);
        done.is_pending = durable.is_pending;
        Ok(done)
    }

    /// Lets the index know what was reversed before and is on record: durable, though nobody may
    /// have been told so.
    fn take_in(&self, number: Number, entries: &[Entry]) {
        for entry in entries {
            for undone in &entry.reversed {
                self.index.reverse(number, entry.record, std::slice::from_ref(&undone.list));
            }
        }
    }

    /// What refuses `number` in this process, as far as it is asked for.
    fn still(&self, number: Number, is_asked: impl Fn(&Still) -> bool) -> Vec<Still> {
        let hits = self.index.explain(number).into_iter();
        let still = hits.map(|hit| Still {
            list: hit.list,
            record: hit.record.map(|record| record.to_string()),
            range: hit.range.map(|range| range.to_string()),
        });
        still.filter(is_asked).collect()
    }
}

fn is_among(still: &Still, cancels: &[ReversedEntry]) -> bool {
    cancels.iter().any(|entry| {
        still.record.as_ref() == Some(&entry.record) && entry.lists.contains(&still.list)
    })
}

fn check_notes(reversing: &Reversing) -> Result<(), DeskError> {
    let Reversing { records, lists, is_all, reason, actor, .. } = reversing;
    if reason.trim().is_empty() {
        return Err(DeskError::NoReason);
    }
    let notes = [Some(reason), actor.as_ref()].into_iter().flatten();
    if let Some(found) = notes.map(String::len).find(|&len| len > NOTE_LEN_MAX) {
        return Err(DeskError::Long { found });
    }
    match records.is_empty() && lists.is_empty() {
        is_none_named if is_none_named == *is_all => Ok(()),
        _ => Err(DeskError::NothingNamed),
    }
}

/// The records that are meant, with the lists on which they still refuse.
fn found<'a>(
    reversing: &Reversing,
    entries: &'a [Entry],
) -> Result<Vec<(&'a Entry, Vec<ListName>)>, DeskError> {
    let records: Vec<RecordId> =
        reversing.records.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let is_meant = |entry: &&Entry| records.is_empty() || records.contains(&entry.record);
    let is_asked = |list: &&ListName| reversing.lists.is_empty() || reversing.lists.contains(list);
    for record in &records {
        let entry = entries.iter().find(|entry| entry.record == *record);
        let entry = entry.ok_or(DeskError::NotOfNumber { record: *record })?;
        if !entry.standing().any(|list| is_asked(&list)) {
            return Err(DeskError::NotStanding { record: *record });
        }
    }
    let standing = |entry: &'a Entry| {
        let lists: Vec<ListName> = entry.standing().filter(is_asked).cloned().collect();
        (entry, lists)
    };
    let found: Vec<_> = entries.iter().filter(is_meant).map(standing).collect();
    let is_on = |list: &ListName| found.iter().any(|(_entry, lists)| lists.contains(list));
    if let Some(list) = reversing.lists.iter().find(|list| !is_on(list)) {
        return Err(DeskError::NotOnList { list: list.clone() });
    }
    let found: Vec<_> = found.into_iter().filter(|(_entry, lists)| !lists.is_empty()).collect();
    match found.len() {
        0 => Err(DeskError::NothingStands),
        1..=CANCELS_MAX => Ok(found),
        more => Err(DeskError::ManyCancels { found: more }),
    }
}

/// What a registry says is the registry's to take back: its change lists do.
fn check_ours(
    checked: &Checked,
    found: &[(&Entry, Vec<ListName>)],
    imports: &[Imported],
) -> Result<(), DeskError> {
    let is_registry =
        |list: &&ListName| checked.lists.get(*list).is_some_and(|known| known.registry.is_some());
    for (entry, lists) in found {
        let of_import = entry.optout.origin == Origin::Import;
        let import = imports.iter().find(|imported| imported.record == entry.record);
        let shape = import.map(|imported| imported.import.shape);
        let is_export = shape == Some(Shape::Export);
        let record = entry.record;
        if let Some(list) = lists.iter().find(is_registry).filter(|_list| of_import) {
            let (registry, list) = (list.to_string(), list.clone());
            return Err(DeskError::OfRegistry { record, registry, list, is_export });
        }
        if let (Some(registry), Some(list)) = (shape.and_then(Shape::registry), lists.first()) {
            let (registry, list) = (registry.to_owned(), list.clone());
            return Err(DeskError::OfRegistry { record, list, registry, is_export });
        }
    }
    Ok(())
}

fn reversed_entry(entry: &Entry, lists: &[ListName]) -> ReversedEntry {
    ReversedEntry {
        record: entry.record.to_string(),
        lists: lists.to_vec(),
        origin: entry.optout.origin,
        pressed_at: entry.optout.pressed_at,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::engine::desk::Addition;
    use crate::engine::desk::stand::desk;
    use crate::suppression::LedgerError;

    #[test]
    fn the_number_is_let_go_only_once_its_reversal_is_durable() {
        let dir = tempfile::tempdir().unwrap();
        let (is_failing, seen) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let desk = desk(dir.path(), &is_failing, &seen);
        let number = "600123456".to_owned();
        let lists = vec!["robinson".into()];
        desk.add(Addition { number: number.clone(), lists, ..Addition::default() }).unwrap();
        let reversing = Reversing {
            number,
            is_all: true,
            reason: "signed a form".to_owned(),
            ..Reversing::default()
        };
        let refused = || desk.index.explain(Number::from_e164("+34600123456").unwrap()).len();
        is_failing.store(true, Ordering::Relaxed);
        let error = desk.reverse(Authority::LocalOperator, &reversing).unwrap_err();
        assert!(matches!(error, DeskError::Ledger(LedgerError::Closed)), "{error}");
        assert_eq!(refused(), 1, "what is not known to be durable is not done");
        is_failing.store(false, Ordering::Relaxed);
        // The disk had it all the same, as after an answer that was lost.
        let error = desk.reverse(Authority::LocalOperator, &reversing).unwrap_err();
        assert!(matches!(error, DeskError::NothingStands), "{error}");
        assert_eq!(refused(), 0, "whoever asks again hears how it ended");
        let lists = vec!["comercial".into()];
        let number = reversing.number.clone();
        desk.add(Addition { number, lists, ..Addition::default() }).unwrap();
        let done = desk.reverse(Authority::LocalOperator, &reversing).unwrap();
        assert_eq!((done.cancels.len(), done.still.len(), refused()), (1, 0, 0));
        assert_eq!(*seen.lock().unwrap(), [1, 1, 1, 1], "each answer found it refused still");
    }
}
