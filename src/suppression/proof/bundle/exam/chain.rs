//! Follows a bundle's runs from record to record.

use crate::model::RecordId;
use crate::suppression::proof::bundle::Found;
use crate::suppression::proof::bundle::Header;
use crate::suppression::proof::bundle::Id;
use crate::suppression::proof::bundle::Kind;
use crate::suppression::proof::bundle::RECORDS_MAX;

use super::Exam;
use super::Placed;

impl Exam {
    /// Follows each run from record to record to its checkpoint.
    pub(super) fn runs(
        &mut self,
        header: &Header,
        due: &[RecordId],
        placed: &[Option<Placed<'_>>],
    ) {
        let mut begin = 0;
        for run in &header.runs {
            let len = run_len(run.first, run.last).unwrap_or_default();
            let end = (begin + len).min(placed.len());
            let records = placed.get(begin..end).unwrap_or_default();
            for (index, pair) in records.windows(2).enumerate() {
                let [Some(one), Some(next)] = pair else { continue };
                let after = records.get(index + 2).and_then(Option::as_ref);
                self.link(one, next, after, placed);
            }
            for placed in records.iter().flatten() {
                self.checkpoint(placed);
            }
            // Whatever else is wrong may have taken the checkpoint away, and is told already.
            if let Some(last) = records.last().and_then(Option::as_ref)
                && self.faults.is_empty()
                && !is_covered(last, placed)
            {
                self.add(last.number, due.get(end - 1).copied(), Found::Unsigned);
            }
            begin = end;
        }
    }

    /// `next` must name the hash of `one`; which of the two was touched, the one after tells.
    fn link(
        &mut self,
        one: &Placed<'_>,
        next: &Placed<'_>,
        after: Option<&Placed<'_>>,
        placed: &[Option<Placed<'_>>],
    ) {
        let (expected, found) = (next.record.prev_hash, one.record.hash());
        if expected == found {
            return;
        }
        let is_next_whole = match (after, next.record.checkpoint()) {
            (Some(after), _) => after.record.prev_hash == next.record.hash(),
            (None, Some(checkpoint)) => checkpoint.hash == expected,
            (None, None) => is_covered(next, placed),
        };
        if is_next_whole {
            self.add(one.number, Some(one.record.id), Found::Content { expected, found });
        } else {
            let (expected, found) = (found, expected);
            self.add(next.number, Some(next.record.id), Found::Content { expected, found });
        }
    }

    /// A checkpoint must be signed, and one of its own stream must be of the record before it.
    fn checkpoint(&mut self, placed: &Placed<'_>) {
        let record = &placed.record;
        let Some(checkpoint) = record.checkpoint() else {
            if record.kind == Kind::Checkpoint {
                self.add(placed.number, Some(record.id), Found::NoFact);
            }
            return;
        };
        if !checkpoint.is_signed_by(self.key) {
            self.add(placed.number, Some(record.id), Found::Checkpoint { key: self.key });
        }
        let is_own = checkpoint.writer == record.id.writer;
        let before = record.id.seq.saturating_sub(1);
        if is_own && (checkpoint.seq, checkpoint.hash) != (before, record.prev_hash) {
            let (expected, found) = (checkpoint.hash, record.prev_hash);
            self.add(placed.number, Some(record.id), Found::Content { expected, found });
        }
    }
}

/// Whether the last record of a run is a checkpoint of its stream, or another run has one about it.
fn is_covered(last: &Placed<'_>, placed: &[Option<Placed<'_>>]) -> bool {
    let own = last.record.checkpoint();
    if own.is_some_and(|checkpoint| checkpoint.writer == last.record.id.writer) {
        return true;
    }
    let end = (last.record.id, last.record.hash());
    let is_about = |placed: &Placed<'_>| {
        let checkpoint = placed.record.checkpoint();
        checkpoint.is_some_and(|checkpoint| (checkpoint.record(), checkpoint.hash) == end)
    };
    placed.iter().flatten().any(is_about)
}

fn run_len(first: Id, last: Id) -> Option<usize> {
    let len = last.0.seq.checked_sub(first.0.seq)?.checked_add(1)?;
    (first.0.writer == last.0.writer && first.0.seq > 0).then(|| usize::try_from(len).ok())?
}

/// The records of all runs; nothing when they make no sense, or are too many.
pub(super) fn expand(header: &Header) -> Option<Vec<RecordId>> {
    let mut due = Vec::new();
    for run in &header.runs {
        let len = run_len(run.first, run.last)?;
        if due.len() + len > RECORDS_MAX {
            return None;
        }
        let Id(RecordId { writer, seq }) = run.first;
        due.extend((seq..=run.last.0.seq).map(|seq| RecordId { writer, seq }));
    }
    Some(due)
}
