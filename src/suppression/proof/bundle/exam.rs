//! Checks a bundle: each line by its form, each record by chain, commitment and signature, and the
//! whole by the signature of its last line.
//!
//! Whoever holds nothing but a text editor is found by the last line, which then names the line
//! exactly. Whoever makes the last line anew without the key is found by chain and checkpoints.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::RecordId;
use crate::suppression::Audio;
use crate::suppression::AudioResult;
use crate::suppression::Fact;
use crate::suppression::proof::Hash;
use crate::suppression::proof::PublicKey;
use crate::suppression::proof::Record;
use crate::suppression::proof::fields;

use super::BUNDLE_VERSION;
use super::Fault;
use super::Found;
use super::Header;
use super::Id;
use super::Line;
use super::MAGIC;
use super::PURPOSE;
use super::Seal;
use super::digest;
use super::digests;

mod chain;
mod closed;
mod verified;

pub use verified::{Verified, VerifiedRecord};

use chain::expand;

/// Most faults that are told of one bundle; what is wrong with more lines is another file.
const FAULTS_MAX: usize = 100;

/// Checks `text`, a whole bundle.
///
/// - `key`: the store's public key, known from elsewhere; without it the bundle is only shown to
///   be made whole by whoever holds the key that it names.
///
/// # Errors
///
/// Everything that is wrong with it, in the order of the lines, up to 100 faults.
pub fn verify(text: &[u8], key: Option<PublicKey>) -> Result<Verified, Vec<Fault>> {
    let mut exam = Exam { faults: Vec::new(), key: PublicKey([0; 32]) };
    let verified = exam.bundle(text, key);
    exam.faults.sort_by_key(|fault| fault.line);
    exam.faults.truncate(FAULTS_MAX);
    match verified {
        Some(verified) if exam.faults.is_empty() => Ok(verified),
        _ => Err(exam.faults),
    }
}

/// A line that could be read, with the place that it has.
struct Placed<'a> {
    number: usize,
    text: &'a [u8],
    line: Line,
    record: Record,
}

struct Exam {
    faults: Vec<Fault>,
    /// The key that everything is checked under.
    key: PublicKey,
}

impl Exam {
    fn add(&mut self, line: usize, record: Option<RecordId>, found: Found) {
        // One line is told once, by what was found first.
        let is_told = self.faults.iter().any(|fault| fault.line == line && fault.record == record);
        if !is_told && self.faults.len() < 2 * FAULTS_MAX {
            self.faults.push(Fault { line, record, found });
        }
    }

    fn bundle(&mut self, text: &[u8], key: Option<PublicKey>) -> Option<Verified> {
        let mut lines: Vec<&[u8]> = text.split(|&octet| octet == b'\n').collect();
        let header: Header = self.read(1, None, lines.first().copied().unwrap_or_default())?;
        self.key = key.unwrap_or(header.key);
        if header.version != BUNDLE_VERSION || header.bajavoz != MAGIC {
            let (expected, found) = (BUNDLE_VERSION, header.version);
            self.add(1, None, Found::Version { expected, found });
            return None;
        }
        if header.key != self.key {
            self.add(1, None, Found::Key { expected: self.key, found: header.key });
        }
        let Some(due) = expand(&header) else {
            self.add(1, None, Found::Runs);
            return None;
        };
        let has_end = lines.pop().is_some_and(<[u8]>::is_empty) && lines.len() > 1;
        // A record at the end is one, and what should stand behind it is missing.
        let is_ended = has_end && lines.last().is_some_and(|line| id_of(line).is_none());
        let last = if is_ended { lines.pop().unwrap_or_default() } else { b"" };
        let seal_line = lines.len() + 1;
        let seal: Option<Seal> = match last {
            b"" => {
                self.add(seal_line, None, Found::NoSeal);
                None
            }
            last => self.read(seal_line, None, last),
        };
        let placed = self.place(&lines, &due);
        if let Some(seal) = &seal {
            self.seal(seal, seal_line, &header, &lines, &due, &placed);
        }
        self.runs(&header, &due, &placed);
        let records = self.records(&header, &due, &placed);
        let checkpoints =
            placed.iter().flatten().filter(|placed| placed.record.checkpoint().is_some());
        Some(Verified {
            number: header.number,
            node: header.node,
            made_at: header.made_at,
            key: header.key,
            others: due.len() - records.len(),
            records,
            elsewhere: header.elsewhere.iter().map(|id| id.0).collect(),
            checkpoints: checkpoints.count(),
        })
    }

    /// Reads one line, which must be in the one form that we write.
    fn read<T: DeserializeOwned + Serialize>(
        &mut self,
        line: usize,
        record: Option<RecordId>,
        text: &[u8],
    ) -> Option<T> {
        let value: T = match serde_json::from_slice(text) {
            Ok(value) => value,
            Err(error) => {
                let what = error.to_string();
                // The place stands before it, in our own form.
                let what = what.split(" at line ").next().unwrap_or_default().to_owned();
                let column = error.column().max(1);
                self.add(line, record, Found::Unreadable { column, what });
                return None;
            }
        };
        let again = serde_json::to_vec(&value).unwrap_or_default();
        if again != text {
            let same = again.iter().zip(text).take_while(|(one, other)| one == other).count();
            self.add(line, record, Found::Form { column: same + 1 });
            return None;
        }
        Some(value)
    }

    /// Each record that is due, with the line that it stands in: nothing where it is missing,
    /// unreadable or not in its place.
    fn place<'a>(&mut self, lines: &[&'a [u8]], due: &[RecordId]) -> Vec<Option<Placed<'a>>> {
        let ids: Vec<Option<RecordId>> = lines.iter().skip(1).map(|text| id_of(text)).collect();
        let mut placed = Vec::with_capacity(due.len());
        let mut at = 0;
        let mut seen = BTreeSet::new();
        for &id in due {
            // Lines that should not be there at all.
            while let Some(&Some(found)) = ids.get(at)
                && found != id
                && (seen.contains(&found) || !due.contains(&found))
            {
                self.add(at + 2, Some(found), Found::Doubled { expected: Some(id) });
                at += 1;
            }
            let found = ids.get(at).copied().flatten();
            let is_unreadable = at < ids.len() && found.is_none();
            if found.is_some_and(|found| found != id) || at >= ids.len() {
                let is_elsewhere = ids.contains(&Some(id));
                let what =
                    if is_elsewhere { Found::Order { found } } else { Found::Missing { found } };
                self.add(at + 2, Some(id), what);
                // Two that have changed places: the other one has this line.
                at += usize::from(is_elsewhere && at < ids.len());
                placed.push(None);
                continue;
            }
            let text = lines.get(at + 1).copied().unwrap_or_default();
            let line = self.line(at + 2, id, text);
            placed.push(line.filter(|_line| !is_unreadable));
            seen.insert(id);
            at += 1;
        }
        for (index, found) in ids.iter().enumerate().skip(at) {
            self.add(index + 2, *found, Found::Doubled { expected: None });
        }
        placed
    }

    fn line<'a>(&mut self, number: usize, id: RecordId, text: &'a [u8]) -> Option<Placed<'a>> {
        let line: Line = self.read(number, Some(id), text)?;
        match line.record() {
            Ok(record) => Some(Placed { number, text, line, record }),
            Err(part) => {
                self.add(number, Some(id), Found::Unknown { part });
                None
            }
        }
    }

    /// Checks the last line: its signature first, since then it names each other line exactly.
    fn seal(
        &mut self,
        seal: &Seal,
        seal_line: usize,
        header: &Header,
        lines: &[&[u8]],
        due: &[RecordId],
        placed: &[Option<Placed<'_>>],
    ) {
        let key = self.key;
        if key.has_signed(PURPOSE, &digests(&seal.lines), &seal.signature) {
            let first = lines.first().copied().unwrap_or_default();
            self.signed_as(1, None, first, seal.lines.first());
            for (index, (id, placed)) in due.iter().zip(placed).enumerate() {
                let Some(placed) = placed else { continue };
                self.signed_as(placed.number, Some(*id), placed.text, seal.lines.get(index + 1));
            }
            if seal.lines.len() != due.len() + 1 {
                self.add(1, None, Found::Runs);
            }
            return;
        }
        let found: Vec<Hash> = lines.iter().map(|line| digest(line)).collect();
        if key.has_signed(PURPOSE, &digests(&found), &seal.signature) {
            self.add(seal_line, None, Found::Hashes);
            return;
        }
        // The key itself may be what was touched: then the checkpoints name another.
        let named = placed.iter().flatten().find_map(|placed| placed.record.checkpoint());
        let other = named.map(|checkpoint| checkpoint.key).filter(|other| *other != header.key);
        if let Some(other) = other
            && key == header.key
            && other.has_signed(PURPOSE, &digests(&seal.lines), &seal.signature)
        {
            self.add(1, None, Found::Key { expected: other, found: header.key });
            self.key = other;
            return;
        }
        self.add(seal_line, None, Found::Signature { key });
    }

    fn signed_as(
        &mut self,
        line: usize,
        record: Option<RecordId>,
        text: &[u8],
        signed: Option<&Hash>,
    ) {
        let found = digest(text);
        if let Some(&expected) = signed.filter(|signed| **signed != found) {
            self.add(line, record, Found::Line { expected, found });
        }
    }

    /// What the records of the number say; nobody else's may say anything.
    fn records(
        &mut self,
        header: &Header,
        due: &[RecordId],
        placed: &[Option<Placed<'_>>],
    ) -> Vec<VerifiedRecord> {
        let mut verified = Vec::new();
        for placed in placed.iter().flatten() {
            let (number, record) = (placed.number, &placed.record);
            let is_theirs = header.records.contains(&Id(record.id));
            if !is_theirs {
                let Line { opened, places, audio, .. } = &placed.line;
                if !(opened.is_empty() && places.is_empty() && audio.is_empty()) {
                    self.add(number, Some(record.id), Found::Stranger);
                }
                continue;
            }
            match opened_fact(header, placed) {
                Ok(fact) => {
                    let (id, written_at, outline) = (record.id, record.written_at, None);
                    let (places, audio) = (placed.line.places.clone(), placed.line.audio.clone());
                    verified.push(VerifiedRecord { id, written_at, fact, outline, places, audio });
                }
                Err(found) => self.add(number, Some(record.id), found),
            }
        }
        for Id(id) in &header.records {
            if !due.contains(id) {
                self.add(1, Some(*id), Found::Missing { found: None });
            }
        }
        for (line, id, found) in closed::settle(header.number, placed, &mut verified) {
            self.add(line, Some(id), found);
        }
        verified
    }
}

/// The fact of one of the number's records, by what it committed to; nothing where none of it is in
/// the clear.
fn opened_fact(header: &Header, placed: &Placed<'_>) -> Result<Option<Fact>, Found> {
    let record = &placed.record;
    let opened = placed.line.opened().ok_or(Found::Unknown { part: "field" })?;
    if opened.is_empty() && !record.commitments.is_empty() {
        return Ok(None);
    }
    for (index, (field, commitment)) in record.commitments.iter().enumerate() {
        let is_it =
            |opened: &super::Opened| opened.field == *field && opened.commitment() == *commitment;
        if !opened.get(index).is_some_and(is_it) {
            return Err(Found::Commitment { field: field.name() });
        }
    }
    if let Some(more) = opened.get(record.commitments.len()) {
        return Err(Found::Commitment { field: more.field.name() });
    }
    let personal = opened.into_iter().map(|opened| (opened.field, opened.value)).collect();
    let fact =
        fields::join(record.kind, &record.plain, personal).map_err(|_error| Found::NoFact)?;
    let (places, wav) = (&placed.line.places, &placed.line.audio);
    let is_named = match &fact {
        Fact::Audio(Audio { result: AudioResult::Kept { sha256, .. }, .. }) => {
            digest(wav) == *sha256
        }
        _ => false,
    };
    if !wav.is_empty() && !is_named {
        return Err(Found::Audio);
    }
    let is_about_them = match &fact {
        Fact::Import(import) => {
            if !places.iter().all(|place| place.is_in(import)) {
                return Err(Found::Place);
            }
            // What takes back one of the imports in the bundle is about its numbers.
            let withdraws = import.withdraws.as_ref();
            let is_there = !places.is_empty()
                || import.is_in_range(header.number)
                || withdraws.is_some_and(|it| header.records.contains(&Id(it.import)));
            return if is_there { Ok(Some(fact)) } else { Err(Found::OtherNumber) };
        }
        _ if !places.is_empty() => return Err(Found::Place),
        Fact::OptOut(optout) => optout.number == header.number,
        Fact::Reversal(reversal) => reversal.number == header.number,
        // A hash is of whom nobody can tell who has not the secret.
        Fact::Erasure(erasure) => {
            let is_hidden = erasure.number.is_keyed() && !header.number.is_keyed();
            is_hidden || erasure.number == header.number
        }
        Fact::Audio(audio) => header.records.contains(&Id(audio.record)),
        Fact::Confirmed(confirmation) => header.records.contains(&Id(confirmation.record)),
        Fact::Checkpoint(_) => false,
    };
    if is_about_them { Ok(Some(fact)) } else { Err(Found::OtherNumber) }
}

/// The record that a line names, however it is written otherwise.
fn id_of(text: &[u8]) -> Option<RecordId> {
    serde_json::from_slice::<Line>(text).ok().map(|line| line.record.id.0)
}
