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
use crate::model::UnixMicros;
use crate::model::WriterId;
use crate::net::clock;
use crate::store::Reader;
use crate::suppression::Fact;
use crate::suppression::base::Base;
use crate::suppression::import::Import;
use crate::suppression::import::Imported;
use crate::suppression::import::Part;
use crate::suppression::import::REACH_MAX;
use crate::suppression::import::Shape;
use crate::suppression::import::TakenOff;
use crate::suppression::import::Tally;
use crate::suppression::segment::Content;

/// By how much a registry may have shrunk since its last import: below one line in so many, the
/// file is taken for a cut one. Registries lose some per cent a year.
pub const SHRUNK_TO: u64 = 2;

/// The record of an import before it has one, its place among those of the file as the number: no
/// writer draws zero.
const UNNAMED: RecordId = RecordId { writer: WriterId(0), seq: 0 };

fn is_unnamed(record: RecordId) -> bool {
    record.writer == UNNAMED.writer
}

/// Where an import goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportPlace {
    /// The store's folder, in whose folder `segments` the segments belong.
    pub store: PathBuf,
    /// Whose national numbers are meant unless said otherwise.
    pub default_region: String,
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

/// An import of the same file into the same list, for the same account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// Its record.
    pub record: String,
    /// When it was made.
    pub imported_at: UnixMicros,
}

/// Proof of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportDone {
    /// The record.
    pub record: String,
    /// When it was known to be on disk.
    pub durable_at: UnixMicros,
    /// Whether it is an earlier one, and nothing was done now.
    pub is_earlier: bool,
}

impl From<Earlier> for ImportDone {
    fn from(Earlier { record, imported_at }: Earlier) -> Self {
        Self { record, durable_at: imported_at, is_earlier: true }
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
    Ok(ImportPlace { store, default_region: checked.node.default_region.clone() })
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

    /// Whether `claim` would be taken down, before its segments are written; or the import that
    /// it repeats.
    ///
    /// # Errors
    ///
    /// What is wrong with it: [`DeskError::Shrunk`], [`DeskError::Unknown`], [`DeskError::Long`]
    /// and those of the store.
    pub fn weigh(&self, claim: &Claim) -> Result<Option<Earlier>, DeskError> {
        self.weigh_beside(claim, &self.reader()?.imports()?)
    }

    fn weigh_beside(
        &self,
        claim: &Claim,
        imports: &[Imported],
    ) -> Result<Option<Earlier>, DeskError> {
        let checked = self.checked.load();
        list_known(&checked, &claim.list)?;
        // What an export says is of accounts and campaigns that may be gone, and come again.
        if claim.shape != Shape::Export {
            account_known(&checked, claim.account.as_ref())?;
        }
        let notes = [Some(claim.source.len()), claim.actor.as_ref().map(String::len)];
        if let Some(found) = notes.into_iter().flatten().find(|&len| len > NOTE_LEN_MAX) {
            return Err(DeskError::Long { found });
        }
        weigh(claim, imports)
    }

    /// Takes imports down, those of one file: durable, and their numbers refused by this process,
    /// when this returns. `tell` hears how many of how many numbers are done.
    ///
    /// # Errors
    ///
    /// As [`Self::weigh`]; those of a segment that is not what its claim says, before anything is
    /// done; [`DeskError::Ledger`] and [`DeskError::Slow`] when not all is known to be durable.
    /// What is then comes again as an earlier import.
    pub fn import(
        &self,
        claims: Vec<Claim>,
        tell: &mut dyn FnMut(u64, u64),
    ) -> Result<Vec<ImportDone>, DeskError> {
        let Books::Open(_store) = &self.books else { return Err(DeskError::ReadOnly) };
        // One at a time: a change list must see the imports that it may take off from.
        let _turn = self.index.turn();
        let reader = self.reader()?;
        let known = reader.imports()?;
        let mut imports = known.clone();
        let mut done = Vec::with_capacity(claims.len());
        for claim in claims {
            if let Some(earlier) = self.weigh_beside(&claim, &known)? {
                done.push(ImportDone::from(earlier));
                continue;
            }
            verify(&reader, &claim)?;
            self.index.mask([&claim.list])?;
            let import = import_of(&self.checked.load(), claim, &known)?;
            let record = RecordId { seq: done.len() as u64, ..UNNAMED };
            imports.push(Imported { record, written_at: import.imported_at, import });
            let (record, durable_at) = (String::new(), UnixMicros(0));
            done.push(ImportDone { record, durable_at, is_earlier: false });
        }
        if imports.len() == known.len() {
            return Ok(done);
        }
        // Made before the records are, so that what is durable is refused at once.
        let mut base = reader.build_base(&imports, tell)?;
        let made = self.commit_imports(&mut imports, &mut base, &mut done);
        // Also where the last of them failed: what was durable before it is refused, and what is
        // not is refused until this process ends, as an opt-out would be.
        if made.is_ok() || imports.iter().skip(known.len()).any(|it| !is_unnamed(it.record)) {
            self.index.mount(base);
            imports.retain(|imported| !is_unnamed(imported.record));
            self.index.take_imports(&imports);
        }
        made?;
        self.keep_base(&reader, &imports);
        Ok(done)
    }

    /// Makes those of `imports` durable that have no record yet, and names them in `base` and in
    /// `done`.
    fn commit_imports(
        &self,
        imports: &mut [Imported],
        base: &mut Base,
        done: &mut [ImportDone],
    ) -> Result<(), DeskError> {
        for imported in imports.iter_mut().filter(|imported| is_unnamed(imported.record)) {
            let durable = self.commit(Fact::Import(Box::new(imported.import.clone())))?;
            let unnamed = std::mem::replace(&mut imported.record, durable.record);
            base.name_layer(unnamed, durable.record);
            let place = usize::try_from(unnamed.seq).unwrap_or(usize::MAX);
            if let Some(done) = done.get_mut(place) {
                done.record = durable.record.to_string();
                done.durable_at = durable.durable_at;
            }
        }
        Ok(())
    }

    /// Keeps the index's base for the next start, which is slower without it and no worse.
    fn keep_base(&self, reader: &Reader, imports: &[Imported]) {
        if let Err(error) = self.index.with_base(|base| reader.save_base(base, imports)) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the imported numbers cannot be kept for the next start, which makes them anew"
            );
        }
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

/// The import of the same file, or what is wrong with `claim` beside `imports`.
fn weigh(claim: &Claim, imports: &[Imported]) -> Result<Option<Earlier>, DeskError> {
    let of_list = imports.iter().rev().filter(|imported| {
        let Import { list, account, campaign, .. } = &imported.import;
        (list, account, campaign) == (&claim.list, &claim.account, &claim.campaign)
    });
    let same = of_list.clone().find(|imported| imported.import.file_sha256 == claim.file_sha256);
    if let Some(Imported { record, import, .. }) = same {
        let (record, imported_at) = (record.to_string(), import.imported_at);
        return Ok(Some(Earlier { record, imported_at }));
    }
    let last = of_list.map(|imported| &imported.import).find(|last| last.shape == claim.shape);
    let before = last.map_or(0, |last| last.tally.read);
    let found = claim.tally.read;
    let is_shrunk = claim.shape.is_whole_registry() && found < before / SHRUNK_TO;
    if is_shrunk && !claim.may_shrink {
        return Err(DeskError::Shrunk { found, before });
    }
    Ok(None)
}

/// The import of `claim`, with what it takes off from.
fn import_of(checked: &Checked, claim: Claim, all: &[Imported]) -> Result<Import, DeskError> {
    let Claim { list, account, campaign, said, source, as_of, .. } = claim;
    let Claim { shape, tally, file_sha256, .. } = claim;
    let mut import = Import {
        list,
        account,
        campaign,
        said,
        source,
        as_of,
        shape,
        tally,
        file_sha256,
        listed: claim.listed,
        taken_off: None,
        node: checked.node.name.clone(),
        actor: claim.actor,
        imported_at: clock::unix_now(),
    };
    if let Some(part) = claim.taken_off {
        let from: Vec<_> = all
            .iter()
            .filter(|imported| imported.import.is_of_registry(&import))
            .filter(|imported| imported.import.listed.is_some())
            .map(|imported| imported.record)
            .collect();
        if from.len() > REACH_MAX {
            return Err(DeskError::Reach { found: from.len() });
        }
        import.taken_off = Some(TakenOff { part, from });
    }
    Ok(import)
}
