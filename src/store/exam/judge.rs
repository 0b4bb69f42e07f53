//! Which of a record's two copies is what was written, by what the chain says of it.

use crate::model::RecordId;
use crate::store::keys::KeyFile;
use crate::suppression::proof::Hash;
use crate::suppression::proof::Record;

use super::Place;
use super::StoreFound;

/// A record as it stands in journal and database.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) seq: u64,
    pub(super) journal: Option<Vec<u8>>,
    pub(super) database: Option<Vec<u8>>,
    /// Whether the journal's batch checks out.
    pub(super) is_checked: bool,
}

impl Pair {
    fn copies(&self) -> impl Iterator<Item = &[u8]> {
        [&self.journal, &self.database].into_iter().flatten().map(Vec::as_slice)
    }
}

/// What became of a pair.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// The record that was written, where a copy of it is whole.
    pub(super) whole: Option<Record>,
    /// Its hash, as far as anything tells it.
    pub(super) hash: Option<Hash>,
    pub(super) faults: Vec<(Place, StoreFound)>,
}

/// Judges `pair`, which stands for the record `id`.
///
/// - `next`: the pair behind it, which names its hash; `prev`: the hash of the one before it.
/// - `signed`: hashes that checkpoints of later streams name; `cursor`: the one that the database
///   names, which counts only where the copies differ.
pub(super) fn judge(
    pair: &Pair,
    next: Option<&Pair>,
    id: RecordId,
    prev: Option<Hash>,
    signed: Vec<Hash>,
    cursor: Option<Hash>,
    keys: Option<&KeyFile>,
) -> Judged {
    let mut wanted = signed;
    let is_alike = pair.journal == pair.database;
    let named = next.into_iter().flat_map(Pair::copies).filter_map(|copy| Record::parse(copy).ok());
    wanted.extend(named.map(|record| record.prev_hash));
    wanted.extend(cursor.filter(|_hash| !is_alike && wanted.is_empty()));
    let weigh = |copy: &[u8]| weigh(copy, id, prev, &wanted);
    let journal = pair.journal.as_deref().map(weigh);
    let database = pair.database.as_deref().map(weigh);
    let (fact, mut judged) = (Place::Table("fact"), Judged::default());
    match (journal, database) {
        (Some(Ok(one)), Some(Ok(other))) => {
            judged.whole = Some(if is_alike {
                one
            } else {
                let is_journal = is_journal_touched(&one, &other, pair.is_checked, keys);
                let place = if is_journal { Place::Journal } else { fact };
                judged.faults.push((place, StoreFound::Differs));
                if is_journal { other } else { one }
            });
        }
        (Some(Err(found)), Some(Err(_))) if is_alike => judged.faults.push((Place::Both, found)),
        (journal, database) => {
            for (place, copy) in [(Place::Journal, journal), (fact, database)] {
                match copy {
                    Some(Ok(record)) => judged.whole = Some(record),
                    Some(Err(found)) => judged.faults.push((place, found)),
                    None => {}
                }
            }
        }
    }
    wanted.dedup();
    let only = wanted.first().copied().filter(|_hash| wanted.len() == 1);
    judged.hash = judged.whole.as_ref().map(Record::hash).or(only);
    judged
}

/// The record in a copy, if that is what the chain says.
fn weigh(
    copy: &[u8],
    id: RecordId,
    prev: Option<Hash>,
    wanted: &[Hash],
) -> Result<Record, StoreFound> {
    let record = Record::parse(copy).map_err(StoreFound::Unreadable)?;
    if record.id != id {
        return Err(StoreFound::Other { found: record.id });
    }
    if let Some(expected) = prev.filter(|prev| *prev != record.prev_hash) {
        return Err(StoreFound::Link { expected, found: record.prev_hash });
    }
    let found = record.hash();
    match wanted.first() {
        Some(&expected) if !wanted.contains(&found) => Err(StoreFound::Content { expected, found }),
        _ => Ok(record),
    }
}

/// Of two copies that differ in what is sealed only: which one does not open, or else whose frame
/// does not check out.
fn is_journal_touched(
    journal: &Record,
    database: &Record,
    is_checked: bool,
    keys: Option<&KeyFile>,
) -> bool {
    let opens = |record: &Record| {
        let key = record
            .key_slot()
            .and_then(|(_tag, slot)| keys.and_then(|keys| keys.key_in(slot).ok().flatten()));
        key.is_some_and(|key| record.open(Some(&key)).is_ok())
    };
    match (opens(journal), opens(database)) {
        (true, false) => false,
        (false, true) => true,
        _ => !is_checked,
    }
}
