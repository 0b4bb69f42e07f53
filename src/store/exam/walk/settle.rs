//! What a whole record says, held against the rest of the store.

use crate::model::Number;
use crate::model::RecordId;
use crate::store::StoreError;
use crate::store::database::Cursor;
use crate::store::database::tag_text;
use crate::store::erase::kept_of;
use crate::store::exam::Place;
use crate::store::exam::StoreFound;
use crate::store::exam::says::Proof;
use crate::store::exam::says::Proved;
use crate::store::exam::says::table_of;
use crate::store::keys::Slot;
use crate::suppression::Audio;
use crate::suppression::AudioResult;
use crate::suppression::Erasure;
use crate::suppression::ErasureCause;
use crate::suppression::Fact;
use crate::suppression::StorageMark;
use crate::suppression::import::Import;
use crate::suppression::proof::Checkpoint;
use crate::suppression::proof::Kind;
use crate::suppression::proof::PublicKey;
use crate::suppression::proof::Record;
use crate::suppression::proof::RecordError;

use super::Walk;

/// What is left of a record's key, and what can be told without it.
struct Left {
    key: Option<[u8; 32]>,
    outline: Option<Fact>,
}

impl Walk<'_> {
    /// What a record says must be what the rest of the store says.
    pub(super) fn settle(&mut self, record: &Record, is_in_database: bool) {
        let id = record.id;
        match self.is_foreign {
            true => self.exam.examined.others += 1,
            false => self.exam.examined.records += 1,
        }
        // The cursor moves with what it stands behind, in one transaction.
        let is_behind = |cursor: Cursor| {
            cursor.seq > id.seq || (cursor.seq, cursor.hash) == (id.seq, record.hash())
        };
        if is_in_database && !self.cursor.is_some_and(is_behind) {
            self.exam.fault(Place::Table("writer"), Some(id), StoreFound::Row);
        }
        if self.is_foreign {
            return self.settle_foreign(record);
        }
        if let Some((tag, slot)) = record.key_slot().filter(|_slot| !self.is_shared()) {
            self.exam.taken.insert((tag_text(tag), i64::from(slot)));
        }
        let Some(Left { key, outline }) = self.left_of(record) else { return };
        if record.key_slot().is_some() && key.is_none() {
            self.exam.examined.erased += 1;
            if let Some(Fact::Erasure(erasure)) = &outline {
                self.erasure(id, erasure);
            }
            // What is left of it is in its rows all the same, and refuses its number.
            if let Some(outline) = outline {
                self.rows(record, &outline, &Proof::Nothing, is_in_database);
            }
            return;
        }
        let fact = match record.open(key.as_ref()) {
            Ok(fact) => fact,
            Err(RecordError::Seal(error)) => {
                return self.exam.fault(Place::Both, Some(id), StoreFound::Sealed(error));
            }
            Err(error) => {
                return self.exam.fault(Place::Both, Some(id), StoreFound::Unreadable(error));
            }
        };
        match &fact {
            Fact::OptOut(_) => self.exam.examined.opt_outs += 1,
            Fact::Audio(audio) => self.audio(id, audio),
            Fact::Import(import) => self.segments(id, import),
            Fact::Checkpoint(checkpoint) => self.checkpoint(record, checkpoint),
            Fact::Erasure(erasure) => self.erasure(id, erasure),
            Fact::Confirmed(_) | Fact::Reversal(_) => {}
        }
        // Where numbers are hashed, what is sealed stays sealed, and no row has it.
        let proof = if outline.is_none() { Proof::of(&fact) } else { Proof::Nothing };
        self.rows(record, &outline.unwrap_or(fact), &proof, is_in_database);
    }

    /// What is left of the key of `record`, and what can be told without it; nothing where that is a
    /// fault.
    fn left_of(&mut self, record: &Record) -> Option<Left> {
        let outline = |number: Option<Number>| {
            number.map_or_else(|| record.outline(), |number| record.outline_of(number))
        };
        let (key, outline) = match (record.key_slot(), self.keys) {
            (None, _) | (Some(_), None) => (None, outline(None)),
            (Some((tag, slot)), Some(keys)) => match (keys.slot(slot), keys.mark()) {
                (Ok(Slot::Key(key)), _) => (Some(key), outline(None)),
                (Ok(Slot::Kept(number)), _) if keys.is_of(tag, number) => {
                    self.exam.closed.note_gone(record.id, slot, Some(number));
                    (None, outline(Some(number)))
                }
                (Ok(_neither), Ok(StorageMark::Plain)) => {
                    self.exam.fault(Place::Keys, Some(record.id), StoreFound::Unkept { slot });
                    return None;
                }
                (Ok(_destroyed), Ok(StorageMark::Keyed(_))) => {
                    let outline = outline(None);
                    let number =
                        outline.as_ref().ok().and_then(|it| it.as_ref().and_then(number_of));
                    self.exam.closed.note_gone(record.id, slot, number);
                    (None, outline)
                }
                (Err(error), _) | (_, Err(error)) => {
                    let found = StoreFound::Unusable(format!("its key in slot {slot}: {error}"));
                    self.exam.fault(Place::Keys, Some(record.id), found);
                    return None;
                }
            },
        };
        match outline {
            Ok(outline) => Some(Left { key, outline }),
            Err(error) => {
                self.exam.fault(Place::Both, Some(record.id), StoreFound::Unreadable(error));
                None
            }
        }
    }

    /// Whether there is a server, which does not say which keys are taken.
    fn is_shared(&self) -> bool {
        self.rows.is_some_and(|rows| rows.is_shared)
    }

    /// What is left of a destroyed key must be the number that the erasure says.
    fn erasure(&mut self, id: RecordId, erasure: &Erasure) {
        self.exam.closed.note_erasure(erasure);
        if erasure.cause == ErasureCause::Retention {
            let examined = &mut self.exam.examined;
            examined.expired += erasure.records.len() as u64;
            examined.expired_at = examined.expired_at.max(Some(erasure.erased_at));
        }
        let kept = kept_of(erasure);
        let is_another = |slot: &u32| match self.keys.map(|keys| keys.slot(*slot)) {
            Some(Ok(Slot::Kept(number))) => kept != Some(number),
            Some(Ok(Slot::Destroyed)) => kept.is_some(),
            // A crash has cut it short, which the next start makes good.
            Some(Ok(Slot::Key(_))) => false,
            Some(Err(_)) | None => false,
        };
        if erasure.slots.iter().any(is_another) {
            let found = StoreFound::Unusable("the key of an erased record".to_owned());
            self.exam.fault(Place::Keys, Some(id), found);
        }
    }

    /// What a record of another node says must be what its rows say, as far as that can be told
    /// without its keys: the number of one in which it is sealed is taken from its row.
    fn settle_foreign(&mut self, record: &Record) {
        let Some((opened, proof)) = self.opened_without_key(record) else {
            // It has no row that says a number.
            let Some(table) = table_of(record.kind) else { return };
            return self.exam.fault(Place::Table(table.name), Some(record.id), StoreFound::Row);
        };
        match opened {
            Ok(Fact::Checkpoint(checkpoint)) => self.checkpoint(record, &checkpoint),
            Ok(fact) => self.rows(record, &fact, &proof, true),
            Err(error) => {
                self.exam.fault(Place::Both, Some(record.id), StoreFound::Unreadable(error));
            }
        }
    }

    /// A record as far as it can be told without its key, and what must prove it; nothing where its
    /// number is sealed and no row says it.
    fn opened_without_key(
        &mut self,
        record: &Record,
    ) -> Option<(Result<Fact, RecordError>, Proof)> {
        match record.outline() {
            Ok(Some(outline)) => return Some((Ok(outline), Proof::Nothing)),
            Err(error) => return Some((Err(error), Proof::Unknown)),
            Ok(None) => {}
        }
        let has_number = matches!(record.kind, Kind::OptOut | Kind::Reversal | Kind::Erasure);
        if record.key_slot().is_none() || !has_number {
            let fact = record.open(None);
            let proof = fact.as_ref().map_or(Proof::Unknown, Proof::of);
            return Some((fact, proof));
        }
        let (rows, table) = self.rows.zip(table_of(record.kind))?;
        let number = self.exam.ask(rows.number(table, record.id)).flatten()?;
        let missing = RecordError::Malformed { part: "number" };
        let fact = record.outline_of(number).and_then(|outline| outline.ok_or(missing));
        Some((fact, Proof::of_sealed(record)))
    }

    /// The rows of a record must say what it says, as it is kept there.
    fn rows(&mut self, record: &Record, fact: &Fact, proof: &Proof, is_in_database: bool) {
        let rows = self.rows.filter(|_rows| is_in_database);
        let (Some(rows), Some(table)) = (rows, table_of(record.kind)) else { return };
        if self.exam.ask(rows.says(record, fact)) == Some(false) {
            self.exam.fault(Place::Table(table.name), Some(record.id), StoreFound::Row);
        }
        if !matches!(fact, Fact::OptOut(_) | Fact::Reversal(_)) {
            return;
        }
        match self.exam.ask(rows.proves(record.id, proof)) {
            Some(Proved::No) => {
                self.exam.fault(Place::Table("evidence"), Some(record.id), StoreFound::Row);
            }
            Some(Proved::Left) => self.exam.left.push(record.id),
            Some(Proved::Yes) | None => {}
        }
    }

    /// The audio of an opt-out must be what its name says, and be there unless the person was
    /// erased.
    fn audio(&mut self, id: RecordId, audio: &Audio) {
        let AudioResult::Kept { sha256, .. } = audio.result else { return };
        self.exam.examined.audio += 1;
        let found = match self.exam.audio.read(sha256) {
            Ok(Some(_)) => return,
            // Who it is of may have been erased.
            Ok(None) => return self.exam.closed.note_missing(id, sha256, audio.record),
            Err(StoreError::Audio { .. }) => StoreFound::Frame { what: "its content" },
            Err(error) => StoreFound::Unusable(error.to_string()),
        };
        self.exam.fault(Place::Audio(sha256), Some(id), found);
    }

    /// The segments of an import must be there, and be what their names say.
    fn segments(&mut self, id: RecordId, import: &Import) {
        self.exam.examined.imports += 1;
        for (part, content) in import.parts() {
            // The same numbers may be imported again.
            if !self.exam.sound.contains(&(part.segment, part.count)) {
                match self.exam.segments.verify(part, &import.list, content) {
                    Ok(()) => drop(self.exam.sound.insert((part.segment, part.count))),
                    Err(error) => {
                        let why = match &error {
                            StoreError::Segment { source, .. } => source.to_string(),
                            other => other.to_string(),
                        };
                        let found = StoreFound::Unusable(why);
                        self.exam.fault(Place::Numbers(part.segment), Some(id), found);
                    }
                }
            }
        }
    }

    fn checkpoint(&mut self, record: &Record, checkpoint: &Checkpoint) {
        let id = record.id;
        let key = match self.is_foreign {
            true => checkpoint.key,
            false => *self.exam.examined.key.get_or_insert(checkpoint.key),
        };
        if self.is_foreign {
            self.signed_elsewhere(id, key);
        } else {
            self.exam.examined.checkpoints += 1;
        }
        if !checkpoint.is_signed_by(key) || record.checkpoint().is_none() {
            self.exam.fault(Place::Both, Some(id), StoreFound::Signature { key });
            return;
        }
        if checkpoint.writer == self.writer {
            self.signed = id.seq;
            let (expected, found) = (checkpoint.hash, record.prev_hash);
            if expected != found || checkpoint.seq + 1 != id.seq {
                self.exam.fault(Place::Both, Some(id), StoreFound::Checkpoint { expected, found });
            }
        }
    }

    /// Notes the key of another node; a stream that ours has signed has lost its journal.
    fn signed_elsewhere(&mut self, id: RecordId, key: PublicKey) {
        if self.exam.examined.key == Some(key) {
            let found = StoreFound::Missing { found: None };
            self.exam.fault(Place::Journal, Some(id), found);
        } else if !self.exam.examined.other_keys.contains(&key) {
            self.exam.examined.other_keys.push(key);
        }
    }
}

/// Of whom a fact of a number is.
fn number_of(fact: &Fact) -> Option<Number> {
    match fact {
        Fact::OptOut(optout) => Some(optout.number),
        Fact::Reversal(reversal) => Some(reversal.number),
        Fact::Audio(_)
        | Fact::Checkpoint(_)
        | Fact::Confirmed(_)
        | Fact::Erasure(_)
        | Fact::Import(_) => None,
    }
}
