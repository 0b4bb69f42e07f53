//! One stream, record by record, in journal and database at once.

use crate::model::Number;
use crate::model::RecordId;
use crate::model::WriterId;
use crate::store::StoreError;
use crate::store::database::Cursor;
use crate::store::journal::Piece;
use crate::store::journal::Stream;
use crate::store::journal::Torn;
use crate::store::keys::KeyFile;
use crate::suppression::Fact;
use crate::suppression::proof::Checkpoint;
use crate::suppression::proof::Hash;
use crate::suppression::proof::Kind;
use crate::suppression::proof::Record;

use super::Exam;
use super::Named;
use super::Place;
use super::StoreFound;
use super::judge::Pair;
use super::judge::judge;
use super::rows::Rows;

mod facts;
mod settle;

use facts::Facts;

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
    /// Whether another node writes it, which has its journal and its keys.
    is_foreign: bool,
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
        is_foreign: bool,
    ) -> Self {
        let cursor = rows.and_then(|rows| exam.ask(rows.cursor(writer)).flatten());
        let (pending, broken) = (None, Vec::new());
        let (due, prev, signed) = (1, Some(Hash::NONE), 0);
        #[rustfmt::skip]
        let walk = Self {
            exam, rows, keys, named, writer, is_foreign, cursor, due, prev, pending, broken, signed,
        };
        walk
    }

    /// Walks through both copies, the journal's where there is one.
    pub(super) fn run(mut self, stream: Option<&Stream>) -> Result<(), StoreError> {
        let mut facts = Facts::of(self.rows, self.writer);
        if let Some(stream) = stream {
            stream.salvage(&mut |piece| self.piece(piece, &mut facts))?;
        }
        while let Some((seq, stored)) = facts.take(self.exam, u64::MAX) {
            self.push(Pair { seq, journal: None, database: Some(stored), is_checked: true });
        }
        self.finish();
        Ok(())
    }

    fn piece(&mut self, piece: Piece<'_>, facts: &mut Facts<'a>) {
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
        if pair.journal.is_none() && !self.is_foreign {
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
        let unsigned = last.saturating_sub(self.signed.max(linked));
        match self.is_foreign {
            true => self.exam.examined.others_unsigned += unsigned,
            false => self.exam.examined.unsigned += unsigned,
        }
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

/// Records whose evidence a stream in the journal says is gone, behind its record `seq`.
pub(super) fn erased_behind(stream: &Stream, seq: u64) -> Result<Vec<RecordId>, StoreError> {
    let mut erased = Vec::new();
    for record in erasures_behind(stream, seq)? {
        // Which they are is told whosever they are.
        let whosever = record.outline_of(Number::keyed(0)).ok().flatten();
        if let Some(Fact::Erasure(erasure)) = whosever.or_else(|| record.open(None).ok()) {
            erased.extend(erasure.records);
        }
    }
    Ok(erased)
}

/// The erasures in a stream of the journal behind its record `seq`.
pub(super) fn erasures_behind(stream: &Stream, seq: u64) -> Result<Vec<Record>, StoreError> {
    let mut erasures = Vec::new();
    stream.salvage(&mut |piece| {
        let Piece::Record { stored, is_checked: true, .. } = piece else { return };
        let record = Record::parse(stored).ok();
        erasures.extend(record.filter(|it| it.kind == Kind::Erasure && it.id.seq > seq));
    })?;
    Ok(erasures)
}
