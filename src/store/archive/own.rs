//! What this node knows by itself, whatever its database is: what it wrote, and the base of its last
//! start.

use std::collections::BTreeMap;

use crate::model::WriterId;
use crate::store::StoreError;
use crate::store::database::Projected;
use crate::store::journal::streams;
use crate::store::keys::KeyFile;
use crate::store::site::Site;
use crate::store::snapshot::Snapshot;
use crate::suppression::Fact;
use crate::suppression::Index;

use super::journal_dir;
use super::open_record;

/// Fills `index` with what this node itself has written, in the store of `site`, and with the
/// numbers of the imports that it knew at its last start; and returns how many they were, and how
/// many were left out. For a start while the shared database is away.
///
/// Up to where a stream is `stored`, that database has it, and a record that does not say any more
/// whose it is refuses by its row there.
///
/// # Errors
///
/// [`StoreError::Unkept`] for such a record that is not stored, and those of a journal that cannot be
/// read.
pub(in crate::store) fn fill_from_journal(
    site: &Site,
    index: &Index,
    stored: &BTreeMap<WriterId, u64>,
) -> Result<(u64, u64), StoreError> {
    let dir = site.dir.as_path();
    index.keep_numbers_as(&site.numbers);
    let path = dir.join("keys");
    let keys = KeyFile::open_read_only(&path).map_err(StoreError::io("open", &path))?;
    let (mut filled, mut left_out) = (0, 0);
    let mut unkept = (0_u64, None);
    for stream in streams(&journal_dir(dir))? {
        stream.read(0, |record| {
            let id = record.id;
            let fact = match open_record(&keys, &record) {
                Err(error @ StoreError::Unkept { .. })
                    if stored.get(&id.writer).is_some_and(|last| id.seq <= *last) =>
                {
                    unkept.0 += 1;
                    unkept.1.get_or_insert(error);
                    return Ok(());
                }
                opened => opened?,
            };
            match Projected::new(record, fact)?.fact() {
                Some(Fact::OptOut(optout)) => {
                    let settled = index.settle_optout(optout, id);
                    *(if settled.is_ok() { &mut filled } else { &mut left_out }) += 1;
                }
                Some(Fact::Reversal(reversal)) => {
                    for cancelled in &reversal.cancels {
                        index.reverse(reversal.number, cancelled.record, &cancelled.lists);
                    }
                }
                Some(
                    Fact::Audio(_)
                    | Fact::Checkpoint(_)
                    | Fact::Confirmed(_)
                    | Fact::Erasure(_)
                    | Fact::Import(_),
                )
                | None => {}
            }
            Ok::<_, StoreError>(())
        })?;
    }
    if let (records, Some(error)) = unkept {
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, records, "the shared database alone says whom records here refuse");
    }
    match Snapshot::of_store(dir).load() {
        Ok(Some((base, _cursor))) => {
            filled += base.len();
            left_out += index.mount(base) as u64;
        }
        Ok(None) => {}
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "the numbers of imports are not known until the database is back"
            );
        }
    }
    Ok((filled, left_out))
}
