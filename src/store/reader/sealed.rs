//! What the rows of a store that hashes numbers leave out: it is sealed in the records.
//!
//! Rows have the outline of a record alone, so that a database tells nobody whom it is about. Whoever
//! asks about one number has it already, and is told who entered what and why as long as the key of
//! the number is here: not of records of other nodes, whose keys are theirs, and not once the number
//! was erased.

use crate::model::RecordId;
use crate::store::StoreError;
use crate::store::archive::journal_dir;
use crate::store::database::record_at;
use crate::store::journal::streams;
use crate::store::keys::KeyFile;
use crate::suppression::Fact;
use crate::suppression::OptOut;
use crate::suppression::export::Entry;

use super::Reader;

impl Reader {
    /// Puts what is sealed into `entries`, which are those of one number, as far as it can be
    /// opened here.
    ///
    /// # Errors
    ///
    /// Those of the database and of the key file, and [`StoreError::Record`] for a record of this
    /// node that does not open though its key is there.
    pub(super) fn unseal(&self, entries: &mut [Entry]) -> Result<(), StoreError> {
        if !self.numbers.is_keyed() || entries.is_empty() {
            return Ok(());
        }
        let path = self.dir.join("keys");
        let keys = KeyFile::open_read_only(&path).map_err(StoreError::io("open", &path))?;
        let own = streams(&journal_dir(&self.dir))?;
        let opened = |id: RecordId| -> Result<Option<Fact>, StoreError> {
            if !own.iter().any(|stream| stream.writer == id.writer) {
                return Ok(None);
            }
            let record = record_at(self.backend.borrow_mut().as_mut(), id)?;
            let Some((record, (_tag, slot))) =
                record.and_then(|record| record.key_slot().map(|slot| (record, slot)))
            else {
                return Ok(None);
            };
            let Some(key) = keys.key_in(slot).map_err(StoreError::io("read", &path))? else {
                return Ok(None);
            };
            let fail = |source| StoreError::Record { writer: id.writer, seq: id.seq, source };
            record.open(Some(&key)).map(Some).map_err(fail)
        };
        for entry in entries {
            if let Some(Fact::OptOut(told)) = opened(entry.record)? {
                let OptOut { sip_call_id, key_events, actor, reason, .. } = *told;
                let outline = entry.optout.clone();
                entry.optout = OptOut { sip_call_id, key_events, actor, reason, ..outline };
            }
            for undone in &mut entry.reversed {
                if let Some(Fact::Reversal(told)) = opened(undone.record)? {
                    undone.actor = told.actor;
                    undone.reason = told.reason;
                }
            }
        }
        Ok(())
    }
}
