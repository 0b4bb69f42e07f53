//! One stream, record by record, in journal and database at once.

use rusqlite::params;

use crate::model::RecordId;
use crate::model::WriterId;
use crate::store::StoreError;
use crate::store::database::Cursor;
use crate::store::database::tag_text;
use crate::store::erase::kept_of;
use crate::store::journal::Piece;
use crate::store::journal::Stream;
use crate::store::journal::Torn;
use crate::store::keys::KeyFile;
use crate::store::keys::Slot;
use crate::suppression::Audio;
use crate::suppression::AudioResult;
use crate::suppression::Erasure;
use crate::suppression::ErasureCause;
use crate::suppression::Evidence;
use crate::suppression::Fact;
use crate::suppression::import::Import;
use crate::suppression::proof::Checkpoint;
use crate::suppression::proof::Hash;
use crate::suppression::proof::Record;
use crate::suppression::proof::RecordError;

use super::Exam;
use super::Named;
use super::Place;
use super::StoreFound;
use super::judge::Pair;
use super::judge::judge;
use super::rows::Rows;
use super::rows::next_fact;

/// Octets in the journal that do not check out, and the records that stand in them.
struct Broken {
    place: Place,
    what: &'static str,
    first: u64,
    last: u64,
}

/// What is known on the way through a stream.
pub(super) struct Walk<'a> {
    exam: &'a mut Exam,
    rows: Option<&'a Rows>,
    keys: Option<&'a KeyFile>,
    named: &'a [Named],
    writer: WriterId,
    cursor: Option<Cursor>,
    /// The record that comes next.
    due: u64,
    /// The hash of the last that was judged; nothing when it cannot be told.
    prev: Option<Hash>,
    /// Judged when the one behind it is known.
    pending: Option<Pair>,
    broken: Vec<Broken>,
    /// The last record that a signature covers.
    signed: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        exam: &'a mut Exam,
        rows: Option<&'a Rows>,
        keys: Option<&'a KeyFile>,
        named: &'a [Named],
        writer: WriterId,
    ) -> Self {
        let cursor = rows.and_then(|rows| exam.ask(rows.cursor(writer)).flatten());
        let (pending, broken) = (None, Vec::new());
        let (due, prev, signed) = (1, Some(Hash::NONE), 0);
        Self { exam, rows, keys, named, writer, cursor, due, prev, pending, broken, signed }
    }

    /// Walks through both copies, the journal's where there is one.
    pub(super) fn run(mut self, stream: Option<&Stream>) -> Result<(), StoreError> {
        let mut statement = match self.rows.map(Rows::facts) {
            Some(statement) => self.exam.ask(statement),
            None => None,
        };
        let writer = params![self.writer.0.cast_signed()];
        let mut facts = Facts { rows: None, ahead: None };
        if let Some(statement) = &mut statement {
            facts.rows = self.exam.ask(statement.query(writer));
            facts.step(self.exam);
        }
        if let Some(stream) = stream {
            stream.salvage(&mut |piece| self.piece(piece, &mut facts))?;
        }
        while let Some((seq, stored)) = facts.take(self.exam, u64::MAX) {
            self.push(Pair { seq, journal: None, database: Some(stored), is_checked: true });
        }
        self.finish();
        Ok(())
    }

    fn piece(&mut self, piece: Piece<'_>, facts: &mut Facts<'_>) {
        match piece {
            Piece::Damage { segment, offset, seq, what, is_tail } => {
                if is_tail && !self.is_known(seq) {
                    self.exam.examined.torn.push(Torn { segment, offset });
                    return;
                }
                let place = Place::Segment { segment, offset };
                self.broken.push(Broken { place, what, first: seq, last: seq });
            }
            Piece::Record { seq, is_checked, .. } if !is_checked && !self.is_known(seq) => {}
            Piece::Record { seq, .. } if seq < self.due => {
                let (place, record) = (Place::Journal, self.id(seq));
                let expected = self.id(self.due);
                self.exam.fault(place, Some(record), StoreFound::Doubled { expected });
            }
            Piece::Record { seq, stored, is_checked } => {
                if let Some(broken) = self.broken.last_mut().filter(|_broken| !is_checked) {
                    broken.last = broken.last.max(seq);
                }
                while let Some((seq, stored)) = facts.take(self.exam, seq) {
                    let (journal, database) = (None, Some(stored));
                    self.push(Pair { seq, journal, database, is_checked: true });
                }
                let database = facts.take(self.exam, seq + 1).map(|(_seq, stored)| stored);
                self.push(Pair { seq, journal: Some(stored.to_vec()), database, is_checked });
            }
        }
    }

    /// Whether the database must have the record: else a broken end is a write that was cut short.
    fn is_known(&self, seq: u64) -> bool {
        self.cursor.is_some_and(|cursor| cursor.is_closed || seq <= cursor.seq)
    }

    const fn id(&self, seq: u64) -> RecordId {
        RecordId { writer: self.writer, seq }
    }

    fn push(&mut self, pair: Pair) {
        let is_next = pair.seq == self.due;
        if let Some(pending) = self.pending.take() {
            self.judge(&pending, Some(&pair).filter(|_next| is_next));
        }
        if !is_next {
            let found = StoreFound::Missing { found: Some(self.id(pair.seq)) };
            self.exam.fault(Place::Both, Some(self.id(self.due)), found);
            self.prev = None;
        }
        self.due = pair.seq + 1;
        self.pending = Some(pair);
    }

    fn is_waiting(&mut self, id: RecordId) {
        let examined = &mut self.exam.examined;
        examined.waiting += 1;
        if examined.waiting_from.last().is_none_or(|last| last.writer != id.writer) {
            examined.waiting_from.push(id);
        }
    }

    fn judge(&mut self, pair: &Pair, next: Option<&Pair>) {
        let id = self.id(pair.seq);
        if pair.journal.is_none() {
            let found = next.map(|next| self.id(next.seq));
            self.exam.fault(Place::Journal, Some(id), StoreFound::Missing { found });
        }
        if pair.database.is_none() && self.rows.is_some() {
            if self.is_known(pair.seq) {
                let found = next.map(|next| self.id(next.seq));
                self.exam.fault(Place::Table("fact"), Some(id), StoreFound::Missing { found });
            } else {
                self.is_waiting(id);
            }
        }
        let signed = self.named.iter().filter(|named| named.record == id).map(|named| named.hash);
        let cursor = self.cursor.filter(|cursor| cursor.seq == id.seq).map(|cursor| cursor.hash);
        let judged = judge(pair, next, id, self.prev, signed.collect(), cursor, self.keys);
        for (place, found) in judged.faults {
            self.exam.fault(place, Some(id), found);
        }
        self.prev = judged.hash;
        if let Some(record) = judged.whole {
            self.settle(&record, pair.database.is_some());
        }
    }

    /// What a record says must be what the rest of the store says.
    fn settle(&mut self, record: &Record, is_in_database: bool) {
        let id = record.id;
        self.exam.examined.records += 1;
        // The cursor moves with what it stands behind, in one transaction.
        let is_behind = |cursor: Cursor| {
            cursor.seq > id.seq || (cursor.seq, cursor.hash) == (id.seq, record.hash())
        };
        if is_in_database && !self.cursor.is_some_and(is_behind) {
            self.exam.fault(Place::Table("writer"), Some(id), StoreFound::Row);
        }
        if let Some((tag, slot)) = record.key_slot() {
            self.exam.taken.insert((tag_text(tag), i64::from(slot)));
        }
        let key = match record.key_slot() {
            Some((_tag, slot)) => self.keys.and_then(|keys| keys.key_in(slot).ok().flatten()),
            None => None,
        };
        let kept = match record.key_slot() {
            Some((tag, slot)) => self.keys.and_then(|keys| keys.kept_in(tag, slot).ok().flatten()),
            None => None,
        };
        let outline = kept.map_or_else(|| record.outline(), |number| record.outline_of(number));
        let outline = match outline {
            Ok(outline) => outline,
            Err(error) => {
                return self.exam.fault(Place::Both, Some(id), StoreFound::Unreadable(error));
            }
        };
        if record.key_slot().is_some() && key.is_none() {
            self.exam.examined.erased += 1;
            // What is left of it is in its rows all the same, and refuses its number.
            if let Some(outline) = outline {
                self.rows(record, &outline, None, is_in_database);
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
        let evidence = if outline.is_none() { Evidence::of(&fact) } else { None };
        self.rows(record, &outline.unwrap_or(fact), evidence, is_in_database);
    }

    /// What is left of a destroyed key must be the number that the erasure says.
    fn erasure(&mut self, id: RecordId, erasure: &Erasure) {
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

    /// The rows of a record must say what it says, as it is kept there.
    fn rows(
        &mut self,
        record: &Record,
        fact: &Fact,
        evidence: Option<Evidence>,
        is_in_database: bool,
    ) {
        let table = match fact {
            Fact::OptOut(_) => "optout",
            Fact::Confirmed(_) => "confirmation",
            Fact::Erasure(_) => "erasure",
            Fact::Audio(_) => "audio",
            Fact::Import(_) => "imports",
            Fact::Reversal(_) => "reversal",
            Fact::Checkpoint(_) => return,
        };
        if let Some(rows) = self.rows.filter(|_rows| is_in_database)
            && self.exam.ask(rows.says(record, fact)) == Some(false)
        {
            self.exam.fault(Place::Table(table), Some(record.id), StoreFound::Row);
        }
        if let Some(rows) = self.rows.filter(|_rows| is_in_database)
            && matches!(fact, Fact::OptOut(_) | Fact::Reversal(_))
            && self.exam.ask(rows.proves(record.id, evidence.as_ref())) == Some(false)
        {
            self.exam.fault(Place::Table("evidence"), Some(record.id), StoreFound::Row);
        }
    }

    /// The audio of an opt-out must be what its name says, and be there unless the person was
    /// erased.
    fn audio(&mut self, id: RecordId, audio: &Audio) {
        let AudioResult::Kept { sha256, .. } = audio.result else { return };
        self.exam.examined.audio += 1;
        let found = match self.exam.audio.read(sha256) {
            Ok(Some(_)) => return,
            Ok(None) if self.is_erased(audio.record) => return,
            Ok(None) => StoreFound::Missing { found: None },
            Err(StoreError::Audio { .. }) => StoreFound::Frame { what: "its content" },
            Err(error) => StoreFound::Unusable(error.to_string()),
        };
        self.exam.fault(Place::Audio(sha256), Some(id), found);
    }

    fn is_erased(&self, id: RecordId) -> bool {
        let slot = self.rows.and_then(|rows| rows.record(id)).and_then(|record| record.key_slot());
        let key = slot.and_then(|(_tag, slot)| self.keys.map(|keys| keys.key_in(slot)));
        matches!(key, Some(Ok(None)))
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
        let key = *self.exam.examined.key.get_or_insert(checkpoint.key);
        self.exam.examined.checkpoints += 1;
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

    fn finish(mut self) {
        if let Some(pending) = self.pending.take() {
            self.judge(&pending, None);
        }
        let last = self.due - 1;
        let known = self.cursor.map_or(0, |cursor| cursor.seq);
        let links = self.named.iter().filter(|named| named.record.writer == self.writer);
        let linked = links.map(|named| named.record.seq).max().unwrap_or_default();
        if known.max(linked) > last {
            let found = StoreFound::Missing { found: None };
            self.exam.fault(Place::Both, Some(self.id(last + 1)), found);
        }
        self.exam.examined.unsigned += last.saturating_sub(self.signed.max(linked));
        for Broken { place, what, first, last } in std::mem::take(&mut self.broken) {
            let is_in_it = |record: RecordId| {
                record.writer == self.writer && (first..=last).contains(&record.seq)
            };
            // A record that was found to be touched says it more exactly.
            let is_told = self.exam.faults.iter().any(|fault| fault.record.is_some_and(is_in_it));
            if !is_told {
                self.exam.fault(place, Some(self.id(first)), StoreFound::Frame { what });
            }
        }
    }
}

/// The checkpoints of streams before it at the beginning of a stream in the journal, as far as they
/// can be read.
pub(super) fn links(stream: &Stream) -> Result<Vec<Checkpoint>, StoreError> {
    let (mut links, mut is_over) = (Vec::new(), false);
    stream.salvage(&mut |piece| {
        let stored = match piece {
            Piece::Record { stored, .. } if !is_over => stored,
            _ => return,
        };
        let link = Record::parse(stored).ok().and_then(|record| record.checkpoint());
        match link.filter(|link| link.writer != stream.writer) {
            Some(link) => links.push(link),
            None => is_over = true,
        }
    })?;
    Ok(links)
}

/// The records of a stream in the database, one ahead.
struct Facts<'a> {
    rows: Option<rusqlite::Rows<'a>>,
    ahead: Option<(u64, Vec<u8>)>,
}

impl Facts<'_> {
    fn step(&mut self, exam: &mut Exam) {
        self.ahead = self.rows.as_mut().and_then(|rows| exam.ask(next_fact(rows)).flatten());
    }

    /// The next record, if it stands before `end`.
    fn take(&mut self, exam: &mut Exam, end: u64) -> Option<(u64, Vec<u8>)> {
        if self.ahead.as_ref()?.0 >= end {
            return None;
        }
        let taken = self.ahead.take();
        self.step(exam);
        taken
    }
}
