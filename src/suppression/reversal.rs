//! The reversal: an opt-out that no longer refuses, by a further record.
//!
//! Nothing is taken out of the ledger. A reversal names the records that it cancels, and of each
//! the lists on which it no longer holds, so that the state follows from the set of records and
//! not from the order in which they arrive: an opt-out that the reverser had not seen stays, also
//! where it was made before the reversal and arrives behind it (add wins).

use serde::{Deserialize, Serialize};

use crate::model::ListName;
use crate::model::NodeName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::UnixMicros;

/// Records that one reversal cancels at most. Our choice: far more than one number gathers, and
/// some 100 octets each of a record whose size the journal bounds.
pub const CANCELS_MAX: usize = 256;

/// One act that cancels others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reversal {
    /// Whose. For this number alone, also where a cancelled record is an import of many.
    pub number: Number,
    /// What is cancelled, at least one and at most [`CANCELS_MAX`]; no record comes twice.
    pub cancels: Vec<Cancelled>,
    /// By what right.
    pub authority: Authority,
    /// Who did it.
    pub actor: Option<String>,
    /// Why; nobody reverses without a reason.
    pub reason: String,
    /// The engine that took it down.
    pub node: NodeName,
    /// When.
    pub reversed_at: UnixMicros,
}

/// A record that no longer refuses, on some of its lists or on all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// The opt-out or the import.
    pub record: RecordId,
    /// On which of its lists, at least one; on the others it refuses as before.
    pub lists: Vec<ListName>,
}

/// The right by which somebody reverses. Every way to the desk states its own, and one that has
/// none cannot ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authority {
    /// Whoever may open the store or its admin socket, both for the engine's own user alone.
    LocalOperator,
}

/// One list of one record that was cancelled, as people ask for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// On which list the record no longer refuses.
    pub list: ListName,
    /// The reversal's own record, in its text form.
    #[serde(with = "crate::model::record_text")]
    pub record: RecordId,
    /// When it was made.
    pub reversed_at: UnixMicros,
    /// By what right.
    pub authority: Authority,
    /// Who did it.
    pub actor: Option<String>,
    /// Why.
    pub reason: String,
}

impl Reversal {
    /// What became by this reversal, whose own record is `record`, of a record on `list`.
    pub fn undone(&self, record: RecordId, list: ListName) -> Undone {
        Undone {
            list,
            record,
            reversed_at: self.reversed_at,
            authority: self.authority,
            actor: self.actor.clone(),
            reason: self.reason.clone(),
        }
    }
}
