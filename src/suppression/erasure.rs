//! The erasure: evidence of a number is gone, by a further record that says so.
//!
//! Nothing is taken out of the ledger. What was sealed under the key of the number cannot be opened
//! any more once that is destroyed, and the audio beside it is removed; the chain holds, and the
//! number is refused as before. Each node destroys its own keys; the record of whoever was asked is
//! what the others do it by, each with a record of its own that answers that one: so each knows what
//! it has done, and everybody of which records it was. Where evidence has only grown old, each does so
//! by its own policy.
//!
//! Where numbers are kept as they are, only retention erases, and the erasure itself has the number
//! among its personal fields, under a key of its own: it says of whom the others were.

use serde::{Deserialize, Serialize};

use crate::model::NodeName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::UnixMicros;

use super::evidence::EvidenceDeleted;
use super::proof::Hash;
use super::reversal::Authority;

/// Keys that one erasure destroys at most, files of audio, and records that it names. Our choice: far
/// more than one number gathers between two erasures, and some 70 octets each of a record whose size
/// the journal bounds.
pub const DESTROYED_MAX: usize = 1024;

/// One act that destroys what can be read of a number. None of it is personal but a number that is
/// kept as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Whose, as the store keeps it.
    pub number: Number,
    /// Which keys of the node's own are destroyed, by their slots.
    pub slots: Vec<u32>,
    /// Which files of audio of the node's own are removed.
    pub audio: Vec<Hash>,
    /// Whose evidence is gone by that: records of the node's own. Of erasures from before they were
    /// named, none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<RecordId>,
    /// What it was done for.
    pub cause: ErasureCause,
    /// By what right.
    pub authority: Authority,
    /// Who did it.
    pub actor: Option<String>,
    /// Why, where it was said.
    pub reason: Option<String>,
    /// The engine that did it.
    pub node: NodeName,
    /// When.
    pub erased_at: UnixMicros,
    /// The erasure of another node that was done here by this one, which may have found nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<RecordId>,
}

impl Erasure {
    /// Itself, in as many records as it takes: each names [`DESTROYED_MAX`] of each at most, and only
    /// the last ones destroy keys. By these a start tells that one was cut short, so that audio goes with
    /// them; of more audio than keys the first goes before. Until the last of all is on record nothing
    /// is answered.
    pub fn parts(self) -> Vec<Self> {
        let [slots, audio, records] = [self.slots.len(), self.audio.len(), self.records.len()]
            .map(|len| len.div_ceil(DESTROYED_MAX));
        let count = slots.max(audio).max(records).max(1);
        let part = |at: usize| Self {
            slots: chunk(&self.slots, (at + slots).checked_sub(count)),
            audio: chunk(&self.audio, (at + audio).checked_sub(count)),
            records: chunk(&self.records, Some(at)),
            answers: self.answers.filter(|_answered| at + 1 == count),
            actor: self.actor.clone(),
            reason: self.reason.clone(),
            node: self.node.clone(),
            ..self
        };
        (0..count).map(part).collect()
    }

    /// That the evidence of `of` is gone by this erasure, whose own record is `record`.
    pub fn deleted(&self, record: RecordId, of: RecordId) -> Option<EvidenceDeleted> {
        let deleted = EvidenceDeleted { at: self.erased_at, cause: self.cause, record };
        self.records.contains(&of).then_some(deleted)
    }
}

/// The part at `at` of what is cut into parts; none where that is before or behind it.
fn chunk<T: Clone>(all: &[T], at: Option<usize>) -> Vec<T> {
    at.and_then(|at| all.chunks(DESTROYED_MAX).nth(at)).unwrap_or_default().to_vec()
}

/// What an erasure is done for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErasureCause {
    /// Somebody asked for it.
    Request,
    /// The evidence was kept for as long as it is to be kept.
    Retention,
}

impl ErasureCause {
    /// The name in columns and exports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Retention => "retention",
        }
    }

    /// The cause of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Request, Self::Retention].into_iter().find(|cause| cause.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WriterId;

    #[test]
    fn what_one_record_cannot_name_is_named_in_several_and_the_keys_in_the_last() {
        let answered = RecordId { writer: WriterId(7), seq: 3 };
        let record = |seq| RecordId { writer: WriterId(1), seq };
        let of = |slots: u32, audio: u8, records: u64| Erasure {
            number: Number::from_e164("+34600123456").expect("it is E.164"),
            slots: (0..slots).collect(),
            audio: (0..audio).map(|at| Hash([at; 32])).collect(),
            records: (0..records).map(record).collect(),
            cause: ErasureCause::Request,
            authority: Authority::LocalOperator,
            actor: None,
            reason: None,
            node: "test".into(),
            erased_at: UnixMicros(1),
            answers: Some(answered),
        };
        for (slots, audio, records, count) in
            [(0, 0, 0, 1), (1, 1, 1, 1), (1, 0, 1024, 1), (1, 200, 2500, 3), (1500, 9, 2500, 3)]
        {
            let whole = of(slots, audio, records);
            let parts = whole.clone().parts();
            assert_eq!(parts.len(), count, "{slots} {audio} {records}");
            let all = |of: fn(&Erasure) -> usize| parts.iter().map(of).collect::<Vec<_>>();
            assert!(all(|it| it.slots.len().max(it.records.len())).iter().all(|len| *len <= 1024));
            let joined = Erasure {
                slots: parts.iter().flat_map(|it| it.slots.clone()).collect(),
                audio: parts.iter().flat_map(|it| it.audio.clone()).collect(),
                records: parts.iter().flat_map(|it| it.records.clone()).collect(),
                ..whole.clone()
            };
            assert_eq!(joined, whole);
            let answers = parts.iter().filter(|it| it.answers == Some(answered)).count();
            assert!(answers == 1 && parts[count - 1].answers.is_some());
            assert_eq!(parts[count - 1].slots.is_empty(), slots == 0);
            assert!(parts.iter().all(|it| it.audio.is_empty() || !it.slots.is_empty()));
        }
    }
}
