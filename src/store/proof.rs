//! What a store can prove of a number: its records, and the way from each to a signature.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::NodeName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::suppression::Audio;
use crate::suppression::AudioResult;
use crate::suppression::Fact;
use crate::suppression::import::withdrawals;
use crate::suppression::proof::Heads;
use crate::suppression::proof::Kind;
use crate::suppression::proof::Record;
use crate::suppression::proof::bundle::Bundle;
use crate::suppression::proof::bundle::Entry;
use crate::suppression::proof::bundle::RECORDS_MAX;
use crate::suppression::proof::bundle::SegmentPlace;

use super::Store;
use super::StoreError;
use super::archive::journal_dir;
use super::audio::AudioFiles;
use super::journal::streams;
use super::keys::KeyFile;
use super::reader::Reader;

impl Store {
    /// The bundle of `number`, signed, as the octets of its file; nothing when nothing is on record
    /// of it. What is not signed yet is signed first. Records of other nodes are named and not in it:
    /// only who wrote a record has the keys that open and prove it.
    ///
    /// - `node`, `made_at`: where and when it is made, for its first line.
    ///
    /// # Errors
    ///
    /// [`StoreError::Foreign`] when other nodes wrote all of it, [`StoreError::Unsigned`] while the
    /// journal cannot be written, [`StoreError::Long`], those of [`Self::flush`], and those of
    /// reading.
    pub fn prove(
        &self,
        number: Number,
        node: NodeName,
        made_at: UnixMicros,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.checkpoint()?;
        let keys_path = self.site.dir.join("keys");
        let keys =
            KeyFile::open_read_only(&keys_path).map_err(StoreError::io("open", &keys_path))?;
        let own = streams(&journal_dir(&self.site.dir))?;
        let reader = self.reader()?;
        let imports = imports_of(&reader, number)?;
        let mut records = reader.records_of(number)?;
        let erasures = reader.erasures(Some(number))?.into_iter();
        records.extend(erasures.map(|(record, _erasure)| record));
        records.extend(imports.keys());
        records.sort_unstable();
        if records.is_empty() {
            return Ok(None);
        }
        let is_own = |record: &RecordId| own.iter().any(|stream| stream.writer == record.writer);
        let (records, elsewhere): (Vec<RecordId>, Vec<RecordId>) =
            records.into_iter().partition(is_own);
        if let (true, Some(&record)) = (records.is_empty(), elsewhere.first()) {
            return Err(StoreError::Foreign { record });
        }
        let audio = AudioFiles::of(&self.site.dir);
        let mut runs = Vec::new();
        for run in runs_from(&reader, &records)? {
            let entries = run.into_iter().map(|record| match imports.get(&record.id) {
                Some(places) => Ok(Entry::imported(record, places.clone())),
                None => entry(record, &records, &keys, &audio),
            });
            runs.push(entries.collect::<Result<Vec<_>, _>>()?);
        }
        // Who asked by the number as it is kept is told which it is, as long as that can be told.
        let told = runs.iter().flatten().find_map(Entry::number);
        let number = told.filter(|_told| number.is_keyed()).unwrap_or(number);
        let bundle = Bundle { number, node, made_at, records, elsewhere, runs };
        let mut text = Vec::new();
        bundle.write(&self.signer, &mut text).map_err(StoreError::io("write", "the bundle"))?;
        Ok(Some(text))
    }
}

impl Store {
    /// Where every stream of this node ends, signed, as one line: everything submitted before is in
    /// it.
    ///
    /// - `node`, `made_at`: where and when it is made.
    ///
    /// # Errors
    ///
    /// Those of [`Self::checkpoint`] and of reading.
    pub fn heads(&self, node: NodeName, made_at: UnixMicros) -> Result<String, StoreError> {
        self.checkpoint()?;
        let mut heads = self.reader()?.stream_ends()?;
        // A shared database knows the streams of other nodes, which sign by keys of their own.
        let own = streams(&journal_dir(&self.site.dir))?;
        heads.retain(|(head, _hash)| own.iter().any(|stream| stream.writer == head.writer));
        let heads = Heads { node, made_at, key: self.proof_key(), heads };
        Ok(heads.write(&self.signer))
    }
}

/// The imports in whose segments `number` stands, and where, and those with a range that it is in:
/// that stands in the record itself. The segments are read whole, so that nothing is signed of one
/// that is not what its name says.
fn imports_of(
    reader: &Reader,
    number: Number,
) -> Result<BTreeMap<RecordId, Vec<SegmentPlace>>, StoreError> {
    let segments = reader.segments();
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let imports = reader.imports()?;
    for imported in &imports {
        if imported.import.is_in_range(number) {
            found.entry(imported.record).or_default();
        }
        for (part, content) in imported.import.parts() {
            let Some(place) = segments.find(part, reader.stored(number))? else { continue };
            segments.verify(part, &imported.import.list, content)?;
            let place = SegmentPlace { content, segment: part.segment, place };
            found.entry(imported.record).or_default().push(place);
        }
    }
    // What takes such an import back is about the number too, though it has none of its own.
    for (import, by) in withdrawals(&imports) {
        if found.contains_key(&import) {
            found.entry(by.record).or_default();
        }
    }
    Ok(found)
}

/// A record as it goes into the bundle of `records`.
fn entry(
    record: Record,
    records: &[RecordId],
    keys: &KeyFile,
    audio: &AudioFiles,
) -> Result<Entry, StoreError> {
    let id = record.id;
    if !records.contains(&id) {
        return Ok(Entry::closed(record));
    }
    if record.kind == Kind::Audio {
        let wav = match record.open(None) {
            Ok(Fact::Audio(Audio { result: AudioResult::Kept { sha256, .. }, .. })) => {
                audio.read(sha256)?
            }
            _ => None,
        };
        return Ok(Entry::heard(record, wav.unwrap_or_default()));
    }
    let key = match record.key_slot() {
        Some((_tag, slot)) => keys.key_in(slot).map_err(StoreError::io("read", "keys"))?,
        None => None,
    };
    let fail = |source| StoreError::Record { writer: id.writer, seq: id.seq, source };
    Entry::opened(record, key.as_ref()).map_err(fail)
}

/// The runs of records that lead from each of `records` to a checkpoint: of its own stream, or of
/// a later one whose beginning names the end of the stream.
fn runs_from(reader: &Reader, records: &[RecordId]) -> Result<Vec<Vec<Record>>, StoreError> {
    let mut open: BTreeSet<RecordId> = records.iter().copied().collect();
    let mut runs: BTreeMap<RecordId, Vec<Record>> = BTreeMap::new();
    let mut len = 0;
    while let Some(first) = open.pop_first() {
        let is_there = runs.values().any(|run| holds(run, first));
        if is_there {
            continue;
        }
        let mut run = reader.run_from(first, RECORDS_MAX)?;
        if !run.last().is_some_and(is_own_checkpoint) {
            let link = reader.link_over(first)?;
            let (place, link) = link.ok_or(StoreError::Unsigned { record: first })?;
            run.retain(|record| record.id.seq <= link.seq);
            open.insert(place);
        }
        len += run.len();
        if len > RECORDS_MAX {
            return Err(StoreError::Long { max: RECORDS_MAX });
        }
        runs.insert(first, run);
    }
    // A run that was begun from a later record is part of one that was begun before it.
    let all: Vec<Vec<Record>> = runs.into_values().collect();
    let mut whole: Vec<Vec<Record>> = Vec::new();
    for run in all {
        let is_part = run.first().is_none_or(|first| whole.iter().any(|one| holds(one, first.id)));
        if !is_part {
            whole.push(run);
        }
    }
    Ok(whole)
}

fn holds(run: &[Record], id: RecordId) -> bool {
    let ends = run.first().zip(run.last());
    ends.is_some_and(|(first, last)| {
        first.id.writer == id.writer && (first.id.seq..=last.id.seq).contains(&id.seq)
    })
}

/// Whether a record is a checkpoint of its own stream.
pub(super) fn is_own_checkpoint(record: &Record) -> bool {
    record.checkpoint().is_some_and(|checkpoint| checkpoint.writer == record.id.writer)
}
