//! Taking an import back as a whole: a wrong file, or a range that was too wide.

use serde::Deserialize;
use serde::Serialize;

use super::Books;
use super::Desk;
use super::DeskError;
use super::NOTE_LEN_MAX;
use super::claim::UNNAMED;
use super::claim::is_named;
use super::import::record_of;
use crate::model::AccountName;
use crate::model::ListName;
use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::net::clock;
use crate::store::Reader;
use crate::suppression::Authority;
use crate::suppression::Durable;
use crate::suppression::Fact;
use crate::suppression::import::Import;
use crate::suppression::import::Imported;
use crate::suppression::import::Tally;
use crate::suppression::import::Withdrawal;
use crate::suppression::import::withdrawals;

/// Which import to take back, as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawing {
    /// The record of the import, in its text form.
    pub record: String,
    /// Why.
    pub reason: String,
    /// Who takes it back.
    pub actor: Option<String>,
    /// Say what would be taken back, and take nothing back.
    pub is_rehearsal: bool,
}

/// An import that was taken back, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// Its record.
    pub import: String,
    /// Its list.
    pub list: ListName,
    /// For whose calls.
    pub account: Option<AccountName>,
    /// Where it came from.
    pub source: String,
    /// When it was made.
    pub imported_at: UnixMicros,
    /// Numbers that it put on the list.
    pub numbers: u64,
    /// Ranges that it put there.
    pub ranges: usize,
    /// Numbers that it took off, which stand again where the imports before it have them.
    pub taken_off: u64,
    /// The record that takes it back; nothing where it was a rehearsal.
    pub record: Option<String>,
    /// When that was known to be on disk.
    pub durable_at: Option<UnixMicros>,
    /// Whether the database did not have it yet: other engines learn of it later.
    #[serde(default)]
    pub is_pending: bool,
}

impl Desk {
    /// Takes the import back that `withdrawing` names: durable, and only then no longer refused,
    /// when this returns. Whom it took off is refused again before the disk has answered. Opt-outs
    /// and what other imports say stay as they are.
    ///
    /// # Errors
    ///
    /// What was typed wrong or is not there, before anything is done; [`DeskError::Ledger`] and
    /// [`DeskError::Slow`] when it is not known to be durable: whoever is refused by it or without it
    /// is refused then, and asking again brings in what the disk has; but
    /// `LedgerError::Unstored`, where only the database lacks it and it holds.
    /// [`DeskError::Withdrawn`] for one that was taken back before, which holds from here on too.
    pub fn withdraw(
        &self,
        authority: Authority,
        withdrawing: &Withdrawing,
        tell: &mut dyn FnMut(u64, u64),
    ) -> Result<Withdrawn, DeskError> {
        let reason = withdrawing.reason.trim().to_owned();
        check_notes(&reason, withdrawing.actor.as_deref())?;
        let record: RecordId = withdrawing.record.parse()?;
        // One at a time with imports: each makes the base of all of them.
        let _turn = self.index.turn();
        let reader = self.reader()?;
        // Those too that only this node knows: they are in force.
        let imports = self.index.with_known(reader.imports()?);
        let is_it = |it: &&Imported| {
            it.record == record && is_named(record) && it.import.withdraws.is_none()
        };
        let found = imports.iter().find(is_it).ok_or(DeskError::NotImport { record })?;
        if let Some(by) = withdrawals(&imports).get(&record).map(|by| by.record) {
            if !withdrawing.is_rehearsal {
                // The answer may have been lost.
                self.mount_missing(&reader, &imports, tell)?;
            }
            return Err(DeskError::Withdrawn { record, by });
        }
        let mut done = withdrawn(found);
        if withdrawing.is_rehearsal {
            return Ok(done);
        }
        let Books::Open(_store) = &self.books else { return Err(DeskError::ReadOnly) };
        let by = Import {
            source: String::new(),
            tally: Tally::default(),
            listed: None,
            taken_off: None,
            withdraws: Some(Withdrawal { import: record, authority, reason }),
            node: self.checked.load().node.name.clone(),
            actor: withdrawing.actor.clone(),
            imported_at: clock::unix_now(),
            ..found.import.clone()
        };
        let durable = self.take_back(&reader, imports, by, tell)?;
        done.record = Some(durable.record.to_string());
        done.durable_at = Some(durable.durable_at);
        done.is_pending = durable.is_pending;
        Ok(done)
    }

    /// Makes `by` durable, which takes one of `imports` back, and has the index follow.
    fn take_back(
        &self,
        reader: &Reader,
        mut imports: Vec<Imported>,
        by: Import,
        tell: &mut dyn FnMut(u64, u64),
    ) -> Result<Durable, DeskError> {
        let taken_back = by.withdraws.as_ref().map(|withdrawal| withdrawal.import);
        // Whoever may be refused is: those that it took off are before the disk has answered.
        let mut either = imports.clone();
        let of = either.iter_mut().find(|imported| Some(imported.record) == taken_back);
        if of.and_then(|imported| imported.import.taken_off.take()).is_some() {
            self.index.mount(reader.build_base(&either, tell)?);
            self.index.take_imports(&either);
        }
        imports.push(Imported { record: UNNAMED, written_at: by.imported_at, import: by.clone() });
        let base = reader.build_base(&imports, tell)?;
        let answer = self.commit(Fact::Import(Box::new(by)));
        if let (Some(record), Some(last)) = (record_of(&answer), imports.last_mut()) {
            last.record = record;
            self.index.mount(base);
            self.index.take_imports(&imports);
        }
        if answer.is_ok() {
            self.keep_base(reader, &imports);
        }
        answer
    }
}

fn check_notes(reason: &str, actor: Option<&str>) -> Result<(), DeskError> {
    if reason.is_empty() {
        return Err(DeskError::NoReason);
    }
    let notes = [Some(reason), actor].into_iter().flatten();
    match notes.map(str::len).find(|&len| len > NOTE_LEN_MAX) {
        Some(found) => Err(DeskError::Long { found }),
        None => Ok(()),
    }
}

fn withdrawn(imported: &Imported) -> Withdrawn {
    let Imported { record, import, .. } = imported;
    Withdrawn {
        import: record.to_string(),
        list: import.list.clone(),
        account: import.account.clone(),
        source: import.source.clone(),
        imported_at: import.imported_at,
        numbers: import.listed.map_or(0, |part| part.count),
        ranges: import.tally.ranges.len(),
        taken_off: import.taken_off.as_ref().map_or(0, |taken_off| taken_off.part.count),
        record: None,
        durable_at: None,
        is_pending: false,
    }
}
