//! What this node knows by itself, whatever its database is: what it wrote, and the base of its last
//! start.

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
pub(in crate::store) fn fill_from_journal(
    site: &Site,
    index: &Index,
) -> Result<(u64, u64), StoreError> {
    let dir = site.dir.as_path();
    index.keep_numbers_as(&site.numbers);
    let path = dir.join("keys");
    let keys = KeyFile::open_read_only(&path).map_err(StoreError::io("open", &path))?;
    let (mut filled, mut left_out) = (0, 0);
    for stream in streams(&journal_dir(dir))? {
        stream.read(0, |record| {
            let (id, fact) = (record.id, open_record(&keys, &record)?);
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
