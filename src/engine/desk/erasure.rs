//! Erasing a number: what can be read of it is named on record first, and destroyed then.

use serde::Deserialize;
use serde::Serialize;

use super::Books;
use super::Desk;
use super::DeskError;
use super::NOTE_LEN_MAX;
use super::names::read_number;
use crate::model::Number;
use crate::model::UnixMicros;
use crate::net::clock;
use crate::store::Readable;
use crate::store::StoreError;
use crate::suppression::Authority;
use crate::suppression::Erasure;
use crate::suppression::ErasureCause;
use crate::suppression::Fact;

/// What to erase, as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasing {
    /// The number, in any form that the node's default region knows, or as the store keeps it.
    pub number: String,
    /// Why.
    pub reason: Option<String>,
    /// Who erases.
    pub actor: Option<String>,
    /// Say what would be erased, and erase nothing.
    pub is_rehearsal: bool,
}

/// What was erased, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// The number as the store keeps it.
    pub number: Number,
    /// Records whose personal fields could be read until now.
    pub records: u64,
    /// Files of audio that are removed.
    pub audio: usize,
    /// Whether the number is refused on any list, as it was before.
    pub is_refused: bool,
    /// The erasure's record; nothing where it was a rehearsal, or nothing could be read.
    pub record: Option<String>,
    /// When that was known to be on disk.
    pub durable_at: Option<UnixMicros>,
    /// The last erasure before this one.
    pub earlier: Option<String>,
    /// Whether anything at all is on record of the number, in whatever form.
    pub is_known: bool,
    /// Whether the database lacks it that is to have it, so that other nodes do not know it yet.
    #[serde(default)]
    pub is_pending: bool,
}

impl Desk {
    /// Destroys what can be read of a number on this node, and has every other one do so: on record
    /// before, and done when this returns. It stays refused. Where nothing can be read any more,
    /// nothing is written.
    ///
    /// # Errors
    ///
    /// What was typed wrong, and `StoreError::KeepsNumbers`, before anything is done;
    /// [`DeskError::Ledger`] and [`DeskError::Slow`] when it is not known to be durable; and those
    /// of the disk behind that, after which the next start destroys what the record names.
    pub fn erase(&self, authority: Authority, erasing: &Erasing) -> Result<Erased, DeskError> {
        let checked = self.checked.load();
        let number = read_number(&checked, &erasing.number)?;
        check_notes(number, erasing)?;
        let Books::Open(store) = &self.books else { return Err(DeskError::ReadOnly) };
        let stored = store.stored(number);
        let _look = store.look();
        // What is on its way to the journal is to be in it; whether the database has it is no matter.
        match store.flush() {
            Ok(()) | Err(StoreError::Behind) => {}
            Err(error) => return Err(error.into()),
        }
        let readable = match erasing.is_rehearsal {
            true => store.readable(number)?,
            false => store.readable_for_good(number)?,
        };
        let reader = store.reader()?;
        let earlier = reader.erasures(Some(stored))?.pop();
        let is_refused = !self.index.explain(stored).is_empty();
        let mut erased = Erased {
            number: stored,
            records: readable.records.len() as u64,
            audio: readable.audio.len(),
            is_refused,
            record: None,
            durable_at: None,
            is_known: is_refused || earlier.is_some() || !reader.show(stored)?.is_empty(),
            earlier: earlier.map(|(record, _erasure)| record.to_string()),
            is_pending: false,
        };
        if erasing.is_rehearsal || readable.is_nothing() {
            return Ok(erased);
        }
        let Readable { slots, audio, records, .. } = readable;
        let whole = Erasure {
            number: stored,
            slots,
            audio,
            records,
            cause: ErasureCause::Request,
            authority,
            actor: erasing.actor.clone(),
            reason: erasing.reason.clone(),
            node: checked.node.name.clone(),
            erased_at: clock::unix_now(),
            answers: None,
        };
        for part in whole.parts() {
            let durable = self.commit(Fact::Erasure(Box::new(part.clone())))?;
            store.destroy(&part)?;
            erased.record = Some(durable.record.to_string());
            erased.durable_at = Some(durable.durable_at);
            erased.is_pending = durable.is_pending;
        }
        Ok(erased)
    }
}

/// Who and why stand in the clear for ever, and must not say whom.
fn check_notes(number: Number, erasing: &Erasing) -> Result<(), DeskError> {
    let notes = [&erasing.reason, &erasing.actor].into_iter().flatten();
    if let Some(found) = notes.clone().map(String::len).find(|&len| len > NOTE_LEN_MAX) {
        return Err(DeskError::Long { found });
    }
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let whole = number.reveal();
    let digits = whole.rsplit(['+', ':']).next().unwrap_or_default();
    // Without its country code too, which has three digits at most.
    let national = digits.get(3..).filter(|rest| rest.len() >= 4).unwrap_or(digits);
    for note in notes {
        let typed: String = note.chars().filter(char::is_ascii_digit).collect();
        if !number.is_keyed() && is_digits(national) && typed.contains(national) {
            return Err(DeskError::NotesTell);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_and_why_must_not_say_whom() {
        let number = Number::from_e164("+34600123456").expect("it is E.164");
        for (reason, want) in [
            (None, true),
            (Some("a letter of 2 March 2026, file 600-12"), true),
            (Some("the owner of 600123456 asked"), false),
            (Some("the owner of 600 12 34 56 asked"), false),
            (Some("+34 600-123-456"), false),
            (Some("…00123456"), false),
        ] {
            let reason = reason.map(str::to_owned);
            let erasing = Erasing { reason, ..Erasing::default() };
            assert_eq!(check_notes(number, &erasing).is_ok(), want, "{:?}", erasing.reason);
        }
        let long = Erasing { actor: Some("a".repeat(NOTE_LEN_MAX + 1)), ..Erasing::default() };
        assert!(matches!(check_notes(number, &long), Err(DeskError::Long { .. })));
    }
}
