//! Taking an import down: once its claims hold, they are durable and their numbers refused.
//!
//! Whoever imports reads and sorts the file and writes the segments (`store::import`), in a
//! process of their own where an engine runs; here is what the one who has the store does: check
//! the segments octet by octet, make one record durable, and refuse the numbers. Whether a claim
//! holds is judged in `claim`.

use super::Books;
use super::Desk;
use super::DeskError;
use super::claim::Claim;
use super::claim::Earlier;
use super::claim::ImportDone;
use super::claim::ImportPlace;
use super::claim::UNNAMED;
use super::claim::check;
use super::claim::check_size;
use super::claim::earlier;
use super::claim::import_of;
use super::claim::import_place;
use super::claim::is_named;
use super::claim::is_same_but_taken;
use super::claim::verify;
use crate::model::AccountName;
use crate::model::ListName;
use crate::model::RecordId;
use crate::store::Reader;
use crate::store::StoreError;
use crate::suppression::Durable;
use crate::suppression::Fact;
use crate::suppression::LedgerError;
use crate::suppression::base::Base;
use crate::suppression::import::Import;
use crate::suppression::import::Imported;

/// Imports that are told of one claim at most, the newest. Our choice: each takes some kB of an answer,
/// and all numbers are held against it; a file that repeats an older one is imported once more.
const EARLIER_MAX: usize = 16;

impl Desk {
    /// As [`import_place`], by the configuration of this desk.
    ///
    /// # Errors
    ///
    /// As [`import_place`].
    pub fn import_place(
        &self,
        list: Option<&ListName>,
        account: Option<&AccountName>,
    ) -> Result<ImportPlace, DeskError> {
        import_place(&self.checked.load(), list, account)
    }

    /// Whether `claim` would be taken down, before its segments are written; or the imports that it
    /// may repeat, the newest first and 16 at most: [`repeated`](super::repeated) says which.
    ///
    /// # Errors
    ///
    /// What is wrong with it: [`DeskError::Shrunk`], [`DeskError::Unknown`], [`DeskError::Long`]
    /// and those of the store.
    pub fn weigh(&self, claim: &Claim) -> Result<Vec<Earlier>, DeskError> {
        check(&self.checked.load(), claim)?;
        let imports = self.index.with_known(self.reader()?.imports()?);
        let mut earlier = earlier(claim, &imports);
        earlier.truncate(EARLIER_MAX);
        if earlier.is_empty() {
            check_size(claim, &imports)?;
        }
        Ok(earlier)
    }

    /// Takes imports down, those of one file: durable, and their numbers refused by this process,
    /// when this returns. `tell` hears how many of how many numbers are done.
    ///
    /// # Errors
    ///
    /// As [`Self::weigh`]; those of a segment that is not what its claim says, before anything is
    /// done; [`DeskError::Ledger`] and [`DeskError::Slow`] when not all is known to be durable: what
    /// was submitted is refused all the same, and takes nobody off. What is durable comes again as
    /// an earlier import, and counts as a whole then at the latest.
    pub fn import(
        &self,
        claims: Vec<Claim>,
        tell: &mut dyn FnMut(u64, u64),
    ) -> Result<Vec<ImportDone>, DeskError> {
        let Books::Open(store) = &self.books else { return Err(DeskError::ReadOnly) };
        // One at a time: a change list must see the imports that it may take off from.
        let _turn = self.index.turn();
        let reader = self.reader()?;
        // A server that has just lost one of ours takes nobody off this node's lists.
        let mut known = self.index.with_known(reader.imports()?);
        // What may never have reached the disk comes again as a whole.
        let is_again =
            |import: &Import| claims.iter().any(|claim| is_same_but_taken(claim, import));
        known.retain(|it| is_named(it.record) || !is_again(&it.import));
        let mut imports = known.clone();
        let mut done = Vec::with_capacity(claims.len());
        let mut places = Vec::new();
        for claim in claims {
            check(&self.checked.load(), &claim)?;
            let mut earlier = earlier(&claim, &known).into_iter();
            if let Some(same) = earlier.find(|it| it.has(claim.listed, claim.taken_off)) {
                done.push(ImportDone::from(same));
                continue;
            }
            check_size(&claim, &known)?;
            verify(&reader, &claim)?;
            if claim.is_unwritten() {
                return Err(DeskError::Unwritten);
            }
            self.index.mask([&claim.list])?;
            let (import, later) = import_of(&self.checked.load(), claim, &known)?;
            store.publish(&import, tell)?;
            let record = next_unnamed(&imports);
            places.push(done.len());
            imports.push(Imported { record, written_at: import.imported_at, import });
            done.push(ImportDone { later, ..ImportDone::default() });
        }
        if imports.len() == known.len() {
            self.mount_missing(&reader, &known, tell)?;
            return Ok(done);
        }
        // Made before the records are, so that what is durable is refused at once.
        let mut base = reader.build_base(&imports, tell)?;
        let mut new = imports.split_off(known.len());
        let (submitted, made) = self.submit_all(&mut new, &mut base, |new, durable| {
            if let Some(done) = places.get(new).and_then(|place| done.get_mut(*place)) {
                done.record = durable.record.to_string();
                done.durable_at = durable.durable_at;
                done.is_pending = durable.is_pending;
            }
        });
        self.refuse_submitted(&reader, &mut imports, new, submitted, base, tell);
        made?;
        self.keep_base(&reader, &imports);
        Ok(done)
    }

    /// Puts the first `submitted` of `new` to `imports`, of all of which `base` was made, and has the
    /// index refuse them whatever the answer was: they may be durable, and are refused until this
    /// process ends even where they are not, as an opt-out would be. But unless they are known to be
    /// durable they take nobody off.
    fn refuse_submitted(
        &self,
        reader: &Reader,
        imports: &mut Vec<Imported>,
        mut new: Vec<Imported>,
        submitted: usize,
        base: Base,
        tell: &mut dyn FnMut(u64, u64),
    ) {
        let is_whole = submitted == new.len();
        let unsubmitted = new.split_off(submitted);
        let has_shrunk = new.last_mut().is_some_and(take_nobody_off);
        new.retain(|new| !has_shrunk || is_named(new.record) || says_somebody(&new.import));
        if new.is_empty() {
            return;
        }
        imports.append(&mut new);
        let made = if has_shrunk {
            // Of no use any more, and as large as the one in force and the one that is made.
            drop(base);
            reader.build_base(imports, tell)
        } else if is_whole {
            Ok(base)
        } else {
            let refuses_more = unsubmitted.iter().all(|it| it.import.taken_off.is_none());
            let anew = reader.build_base(imports, tell);
            // Until the next import or start it refuses those too that were not submitted.
            if refuses_more { anew.or_else(|error| told_instead(&error, base)) } else { anew }
        };
        match made {
            Ok(base) => {
                self.index.mount(base);
                self.index.take_imports(imports);
            }
            // What was in force stays; who asked hears that the import failed.
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "an import that may be on the disk is not refused until it is imported again"
            ),
        }
    }

    /// Makes `new` durable, names them in `base`, and tells `done` of each by its place. How many
    /// were submitted, be they durable or not: all, or those up to the first that went wrong.
    fn submit_all(
        &self,
        new: &mut [Imported],
        base: &mut Base,
        mut done: impl FnMut(usize, &Durable),
    ) -> (usize, Result<(), DeskError>) {
        for (place, imported) in new.iter_mut().enumerate() {
            let fact = Fact::Import(Box::new(imported.import.clone()));
            let submitted = match self.submit(fact) {
                Ok(submitted) => submitted,
                Err(error) => return (place, Err(error)),
            };
            let answer = self.settled(submitted);
            if let Some(record) = record_of(&answer) {
                let unnamed = std::mem::replace(&mut imported.record, record);
                base.name_layer(unnamed, record);
            }
            match answer {
                Ok(durable) => done(place, &durable),
                Err(error) => return (place + 1, Err(error)),
            }
        }
        (new.len(), Ok(()))
    }

    /// Has the index say what `known`, all there is on record, says, where it does not: of an import
    /// whose answer was lost, or of one that took another back.
    pub(super) fn mount_missing(
        &self,
        reader: &Reader,
        known: &[Imported],
        tell: &mut dyn FnMut(u64, u64),
    ) -> Result<(), DeskError> {
        let is_base = self.index.with_base(|base| reader.is_base_of(base, known));
        // A base does not tell what was taken off from it.
        if !is_base || !self.index.has_taken(known) {
            self.index.mount(reader.build_base(known, tell)?);
            self.index.take_imports(known);
        }
        Ok(())
    }

    /// Keeps the index's base for the next start, which is slower without it and no worse; but not one
    /// that differs from what is on record, by which the next start makes its own.
    pub(super) fn keep_base(&self, reader: &Reader, imports: &[Imported]) {
        let kept = reader.imports().and_then(|on_record| {
            if self.index.doubts(&on_record) {
                return Ok(());
            }
            self.index.with_base(|base| reader.save_base(base, imports))
        });
        if let Err(error) = kept {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the imported numbers cannot be kept for the next start, which makes them anew"
            );
        }
    }
}

/// What an import is called beside `imports` until its record is known: another name than that of any
/// whose answer was lost.
fn next_unnamed(imports: &[Imported]) -> RecordId {
    let unnamed = imports.iter().map(|it| it.record).filter(|record| !is_named(*record));
    let seq = unnamed.map(|record| record.seq + 1).max().unwrap_or(UNNAMED.seq);
    RecordId { seq, ..UNNAMED }
}

/// `base` in place of one that cannot be made, as `error` says.
fn told_instead(error: &StoreError, base: Base) -> Result<Base, StoreError> {
    let error = error as &dyn std::error::Error;
    tracing::error!(
        error,
        "numbers of imports that were not submitted are refused with the others"
    );
    Ok(base)
}

/// Has an import that is not known to be durable take nobody off; whether it would have.
fn take_nobody_off(imported: &mut Imported) -> bool {
    !is_named(imported.record) && imported.import.taken_off.take().is_some()
}

/// Whether anybody stands on a list by it.
const fn says_somebody(import: &Import) -> bool {
    import.listed.is_some() || !import.tally.ranges.is_empty()
}

/// The record of a fact that the journal is known to have, whether or not the database has it.
pub(super) const fn record_of(answer: &Result<Durable, DeskError>) -> Option<RecordId> {
    match answer {
        Ok(durable) => Some(durable.record),
        Err(DeskError::Ledger(LedgerError::Unstored { record })) => Some(*record),
        Err(_unknown) => None,
    }
}

#[cfg(test)]
mod tests;
