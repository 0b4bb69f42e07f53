//! Taking an import down: what its file held, judged against what the list had before.
//!
//! Whoever imports reads and sorts the file and writes the segments (`store::import`), in a
//! process of their own where an engine runs; here is what the one who has the store does: check
//! the segments octet by octet, make one record durable, and refuse the numbers.

use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use super::Books;
use super::Desk;
use super::DeskError;
use super::NOTE_LEN_MAX;
use super::addition::account_known;
use super::names::unknown;
use crate::config::Checked;
use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::RecordId;
use crate::model::TopicName;
use crate::model::UnixMicros;
use crate::model::WriterId;
use crate::net::clock;
use crate::store::NumberChoice;
use crate::store::Reader;
use crate::store::StoreError;
use crate::suppression::Durable;
use crate::suppression::Fact;
use crate::suppression::LedgerError;
use crate::suppression::base::Base;
use crate::suppression::import::Import;
use crate::suppression::import::Imported;
use crate::suppression::import::Part;
use crate::suppression::import::REACH_MAX;
use crate::suppression::import::Shape;
use crate::suppression::import::TakenOff;
use crate::suppression::import::Tally;
use crate::suppression::import::is_name;
use crate::suppression::import::standing;
use crate::suppression::segment::Content;

/// By how much a registry may have shrunk since its last import: below one line in so many, the
/// file is taken for a cut one. Registries lose some per cent a year.
pub const SHRUNK_TO: u64 = 2;

/// Imports that are told of one claim at most, the newest. Our choice: each takes some kB of an answer,
/// and all numbers are held against it; a file that repeats an older one is imported once more.
const EARLIER_MAX: usize = 16;

/// The first record of an import that has none yet, or whose own is not known: no writer draws zero.
pub(super) const UNNAMED: RecordId = RecordId { writer: WriterId(0), seq: 0 };

/// Where an import goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportPlace {
    /// The store's folder, in whose folder `segments` the segments belong.
    pub store: PathBuf,
    /// Whose national numbers are meant unless said otherwise.
    pub default_region: String,
    /// How the store keeps numbers.
    #[serde(default)]
    pub numbers: NumberChoice,
}

/// What a file held, to be taken down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The list.
    pub list: ListName,
    /// For whose calls; `None` is for everybody's.
    pub account: Option<AccountName>,
    /// In which campaign, where the file is an export of ours; `None` is in all.
    #[serde(default)]
    pub campaign: Option<CampaignName>,
    /// What that campaign was about then, where the export's rows say so.
    #[serde(default)]
    pub topic: Option<TopicName>,
    /// When the first and the last of it was said, where the file is an export of ours.
    #[serde(default)]
    pub said: Option<(UnixMicros, UnixMicros)>,
    /// Where the file comes from.
    pub source: String,
    /// For which day the source says so.
    pub as_of: Option<UnixMicros>,
    /// The file's shape.
    pub shape: Shape,
    /// What was read of it.
    pub tally: Tally,
    /// SHA-256 of it.
    pub file_sha256: [u8; 32],
    /// The segment of the numbers listed; not yet written while the claim is weighed.
    pub listed: Option<Part>,
    /// The segment of those taken off.
    pub taken_off: Option<Part>,
    /// Who imports.
    pub actor: Option<String>,
    /// Whether a registry may have far fewer lines than at its last import.
    pub may_shrink: bool,
}

impl Claim {
    /// Whether numbers were read for which it names no segment.
    const fn is_unwritten(&self) -> bool {
        let has_numbers = self.tally.listed + self.tally.taken_off > 0;
        has_numbers && self.listed.is_none() && self.taken_off.is_none()
    }
}

/// An import of the same file into the same list, for the same account: the same import if it has the
/// same segments. By another column, or another region, a file has other numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// Its record.
    pub record: String,
    /// When it was made.
    pub imported_at: UnixMicros,
    /// Where it came from, as its segments say.
    pub source: String,
    /// For which day, as they say.
    pub as_of: Option<UnixMicros>,
    /// The segment of the numbers that it listed.
    pub listed: Option<Part>,
    /// The segment of those that it took off.
    pub taken_off: Option<Part>,
}

/// Proof of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportDone {
    /// The record.
    pub record: String,
    /// When it was known to be on disk.
    pub durable_at: UnixMicros,
    /// Whether it is an earlier one, and nothing was done now.
    pub is_earlier: bool,
    /// Whether the database lacks it that is to have it, so that other nodes do not know it yet.
    #[serde(default)]
    pub is_pending: bool,
    /// How many imports of its registry speak of a later day than this change list: it takes nothing
    /// off from them.
    #[serde(default)]
    pub later: usize,
    /// For which day the earlier one says so, where it is one that does.
    #[serde(default)]
    pub as_of: Option<UnixMicros>,
}

impl From<Earlier> for ImportDone {
    fn from(Earlier { record, imported_at, as_of, .. }: Earlier) -> Self {
        Self { record, durable_at: imported_at, is_earlier: true, as_of, ..Self::default() }
    }
}

/// Where an import into `list` for `account` goes, once both are known; without a list, that of an
/// export whose rows say theirs.
///
/// # Errors
///
/// [`DeskError::Unknown`].
pub fn import_place(
    checked: &Checked,
    list: Option<&ListName>,
    account: Option<&AccountName>,
) -> Result<ImportPlace, DeskError> {
    if let Some(list) = list {
        list_known(checked, list)?;
    }
    account_known(checked, account)?;
    let path = &checked.store.path;
    // Who asks an engine may stand in another folder.
    let store = std::path::absolute(path).unwrap_or_else(|_error| path.clone());
    let numbers = absolute(&checked.store.numbers);
    Ok(ImportPlace { store, default_region: checked.node.default_region.clone(), numbers })
}

/// The same file, wherever one stands.
fn absolute(numbers: &NumberChoice) -> NumberChoice {
    match numbers {
        NumberChoice::Keyed { key: Some(key) } => {
            let key = std::path::absolute(key).unwrap_or_else(|_error| key.clone());
            NumberChoice::Keyed { key: Some(key) }
        }
        other => other.clone(),
    }
}

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
        self.check(claim)?;
        let imports = self.index.with_known(self.reader()?.imports()?);
        let mut earlier = earlier(claim, &imports);
        earlier.truncate(EARLIER_MAX);
        if earlier.is_empty() {
            check_size(claim, &imports)?;
        }
        Ok(earlier)
    }

    /// What is wrong with `claim` by itself.
    fn check(&self, claim: &Claim) -> Result<(), DeskError> {
        let checked = self.checked.load();
        list_known(&checked, &claim.list)?;
        let names = [claim.account.as_ref().map(AccountName::as_str)];
        let names = names.into_iter().chain([claim.campaign.as_ref().map(CampaignName::as_str)]);
        let notes = [Some(claim.source.as_str()), claim.actor.as_deref()];
        if names.chain(notes).flatten().any(|text| !is_name(text)) {
            return Err(DeskError::Control);
        }
        // What an export says is of accounts and campaigns that may be gone, and come again.
        if claim.shape != Shape::Export {
            account_known(&checked, claim.account.as_ref())?;
        }
        let notes = [Some(claim.source.len()), claim.actor.as_ref().map(String::len)];
        if let Some(found) = notes.into_iter().flatten().find(|&len| len > NOTE_LEN_MAX) {
            return Err(DeskError::Long { found });
        }
        Ok(())
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
            self.check(&claim)?;
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

/// Whether an import has its record.
pub(super) const fn is_named(record: RecordId) -> bool {
    record.writer.0 != UNNAMED.writer.0
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

fn list_known(checked: &Checked, list: &ListName) -> Result<(), DeskError> {
    match checked.lists.contains_key(list) {
        true => Ok(()),
        false => Err(unknown("list", list.as_str(), checked.lists.keys().map(ListName::as_str))),
    }
}

/// Reads the segments of `claim` whole.
fn verify(reader: &Reader, claim: &Claim) -> Result<(), DeskError> {
    let parts = [(&claim.listed, Content::Listed), (&claim.taken_off, Content::TakenOff)];
    for (part, content) in parts {
        if let Some(part) = part {
            reader.verify_segment(part, &claim.list, content)?;
        }
    }
    Ok(())
}

/// Those of `imports` that hold on the list of `claim` for the same calls, the newest first.
fn of_place<'a>(
    claim: &Claim,
    imports: &'a [Imported],
) -> impl Iterator<Item = &'a Imported> + use<'a> {
    let Claim { list, account, campaign, topic, .. } = claim.clone();
    let mut found: Vec<&Imported> = standing(imports).collect();
    found.reverse();
    found.into_iter().filter(move |imported| {
        let import = &imported.import;
        (&import.list, &import.account) == (&list, &account)
            && (&import.campaign, &import.topic) == (&campaign, &topic)
    })
}

/// Those of `imports` that `claim` may repeat, the newest first.
fn earlier(claim: &Claim, imports: &[Imported]) -> Vec<Earlier> {
    // The same file of a later day is another import: it says that the registry is as it was.
    let is_same = |imported: &&Imported| {
        let Import { file_sha256, shape, tally, .. } = &imported.import;
        let day = imported.import.day();
        (file_sha256, shape) == (&claim.file_sha256, &claim.shape)
            && tally.ranges == claim.tally.ranges
            && claim.as_of.is_none_or(|as_of| day.is_some_and(|known| as_of <= known))
            && is_named(imported.record)
    };
    let earlier = |Imported { record, import, .. }: &Imported| Earlier {
        record: record.to_string(),
        imported_at: import.imported_at,
        source: import.source.clone(),
        as_of: import.as_of,
        listed: import.listed,
        taken_off: import.taken_off.as_ref().map(|taken_off| taken_off.part),
    };
    of_place(claim, imports).filter(is_same).map(earlier).collect()
}

/// Whether `import`, which is not known to be durable, says what `claim` does.
fn is_same_but_taken(claim: &Claim, import: &Import) -> bool {
    let Import { list, account, campaign, topic, file_sha256, listed, tally, .. } = import;
    (list, account) == (&claim.list, &claim.account)
        && (campaign, topic) == (&claim.campaign, &claim.topic)
        && (file_sha256, listed) == (&claim.file_sha256, &claim.listed)
        && tally.ranges == claim.tally.ranges
}

/// A registry does not shrink by half unseen.
fn check_size(claim: &Claim, imports: &[Imported]) -> Result<(), DeskError> {
    let last = of_place(claim, imports).find(|it| it.import.shape == claim.shape);
    let before = last.map_or(0, |last| last.import.tally.read);
    let found = claim.tally.read;
    let is_shrunk = claim.shape.is_whole_registry() && found < before / SHRUNK_TO;
    if is_shrunk && !claim.may_shrink {
        return Err(DeskError::Shrunk { found, before });
    }
    Ok(())
}

/// The import of `claim`, with what it takes off from; and how many imports of its registry speak of
/// a later day, from which it takes nothing off.
fn import_of(
    checked: &Checked,
    claim: Claim,
    all: &[Imported],
) -> Result<(Import, usize), DeskError> {
    let Claim { list, account, campaign, topic, said, source, as_of, .. } = claim;
    let Claim { shape, tally, file_sha256, listed, actor, .. } = claim;
    let mut import = Import {
        account,
        campaign,
        topic,
        said,
        source,
        as_of,
        tally,
        file_sha256,
        listed,
        actor,
        ..Import::new(list, shape, checked.node.name.clone(), clock::unix_now())
    };
    let mut later = Vec::new();
    if let Some(part) = claim.taken_off {
        let of_registry = standing(all).filter(|it| it.import.is_of_registry(&import));
        // What a registry said later holds: a list that comes late may be about somebody who has
        // come back since.
        let is_later = |it: &&Imported| it.import.is_later_than(&import);
        let listed = of_registry.clone().filter(|it| it.import.listed.is_some());
        later = listed.clone().filter(is_later).map(|it| it.record).collect::<Vec<_>>();
        // A change list that comes again deletes what it deleted, and nothing that came since.
        let before = of_registry.clone().find(|it| it.import.file_sha256 == import.file_sha256);
        let before = before.and_then(|it| it.import.taken_off.as_ref());
        // Nothing can be said of one whose record is not known.
        let listed = listed.filter(|it| is_named(it.record));
        let mut from = match before {
            Some(before) => before.from.clone(),
            None => listed.map(|imported| imported.record).collect::<Vec<_>>(),
        };
        from.retain(|record| !later.contains(record));
        if from.len() > REACH_MAX {
            return Err(DeskError::Reach { found: from.len() });
        }
        import.taken_off = Some(TakenOff { part, from });
    }
    Ok((import, later.len()))
}

#[cfg(test)]
mod tests;
