//! Checks a stream of records against itself: nothing touched, missing, doubled or moved.

use crate::model::RecordId;
use crate::model::WriterId;

use super::Hash;
use super::Record;
use super::RecordError;
use super::seal::SealError;

/// How far a stream is known to be whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainHead {
    /// How many records it has.
    pub len: u64,
    /// The hash of the last; [`Hash::NONE`] when there is none.
    pub hash: Hash,
}

/// What is wrong with a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {record}: {finding}")]
pub struct ChainError {
    /// The record that was touched, or that is missing.
    pub record: RecordId,
    /// What was found there.
    pub finding: Finding,
}

/// What was found at a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Finding {
    /// The hash that its successor, or the checkpoint, names is not its own: it was touched.
    #[error("its content is not what was chained")]
    Content,
    /// It is not there; another stands in its place.
    #[error("it is missing; found {found} in its place")]
    Missing {
        /// The record that stands there.
        found: RecordId,
    },
    /// The stream ends before it.
    #[error("it is missing at the end of the stream")]
    MissingEnd,
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(RecordError),
}

/// Verifies the stream of `writer` from its first record on.
///
/// - `records`: the stored forms in stream order.
/// - `head`: the length and hash the stream is known to have, from a checkpoint or a second
///   copy; without it a cut end and a touched plain field of the last record go unseen.
/// - `key`: the key in a slot; `None` once destroyed, which is no fault: sealed fields that
///   nobody can open any more prove nothing and harm nothing.
///
/// # Errors
///
/// [`ChainError`] names the first record at which the stream is not what was written.
pub fn verify_chain<'a>(
    writer: WriterId,
    records: impl IntoIterator<Item = &'a [u8]>,
    head: Option<ChainHead>,
    key: impl Fn(u32) -> Option<[u8; 32]>,
) -> Result<ChainHead, ChainError> {
    let mut end = ChainHead { len: 0, hash: Hash::NONE };
    let name = |seq| RecordId { writer, seq };
    let fail = |record, finding| Err(ChainError { record, finding });
    let mut records = records.into_iter().peekable();
    while let Some(bytes) = records.next() {
        let due = name(end.len + 1);
        let record = match Record::parse(bytes) {
            Ok(record) => record,
            Err(error) => return fail(due, Finding::Unreadable(error)),
        };
        if record.id != due {
            return fail(due, Finding::Missing { found: record.id });
        }
        if record.prev_hash != end.hash {
            // Either this record's link was touched, or the record it links to: whoever comes
            // next tells, since it names this record's hash as it was written.
            let next = records.peek().and_then(|bytes| Record::parse(bytes).ok());
            let named = next.map(|next| next.prev_hash).or_else(|| head.map(|head| head.hash));
            let is_whole = named == Some(record.hash()) && end.len > 0;
            return fail(if is_whole { name(end.len) } else { due }, Finding::Content);
        }
        if let Err(error) = is_sealed_whole(&record, &key) {
            return fail(due, Finding::Unreadable(error.into()));
        }
        end = ChainHead { len: due.seq, hash: record.hash() };
    }
    match head {
        Some(head) if end.len < head.len => {
            Err(ChainError { record: name(end.len + 1), finding: Finding::MissingEnd })
        }
        Some(head) if end.len == head.len && end.hash != head.hash => {
            Err(ChainError { record: name(end.len), finding: Finding::Content })
        }
        _ => Ok(end),
    }
}

/// Whether the sealed fields, if they can still be opened, are those committed to.
fn is_sealed_whole(
    record: &Record,
    key: &impl Fn(u32) -> Option<[u8; 32]>,
) -> Result<(), SealError> {
    let Some((_tag, slot)) = record.key_slot() else { return Ok(()) };
    let Some(key) = key(slot) else { return Ok(()) };
    match record.open(Some(&key)) {
        Err(RecordError::Seal(error)) => Err(error),
        // Plain fields that are no fact any more break the hash, which the chain finds.
        Ok(_) | Err(_) => Ok(()),
    }
}
