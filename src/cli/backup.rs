//! `backup` and `restore`: copies of the store, and putting them back.

use std::io::Write;

use rusqlite::ErrorCode;

use super::args::Backup;
use super::args::Common;
use super::args::Restore;
use super::counter::load;
use super::exit::Code;
use super::exit::Failure;
use super::page::Page;
use super::text::count;
use crate::net::clock;
use crate::store;
use crate::store::Calls;
use crate::store::Manifest;
use crate::store::StoreError;

/// Copies the store, whether an engine is writing it or not.
pub(super) fn backup(common: &Common, what: &Backup, page: &mut Page) -> Result<Code, Failure> {
    let dir = load(common)?.store.path;
    let manifest = store::backup(&dir, &what.folder, clock::unix_now()).map_err(failure)?;
    tell(common, &manifest, page)
}

/// Verifies a backup and makes the store from it.
pub(super) fn restore(common: &Common, what: &Restore, page: &mut Page) -> Result<Code, Failure> {
    let calls = if what.without_calls { Calls::LeaveOut } else { Calls::Keep };
    let manifest = if what.dry_run {
        store::verify(&what.folder, calls)
    } else {
        store::restore(&what.folder, &load(common)?.store.path, calls)
    };
    tell(common, &manifest.map_err(failure)?, page)
}

fn tell(common: &Common, manifest: &Manifest, page: &mut Page) -> Result<Code, Failure> {
    if common.json {
        page.json(manifest)?;
        return Ok(Code::Yes);
    }
    let as_usize = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let (facts, streams) = (as_usize(manifest.facts), manifest.streams.len());
    let (opt_outs, calls) = (as_usize(manifest.opt_outs), as_usize(manifest.calls));
    writeln!(page, "verified: the backup of {}", manifest.made_at.iso8601())?;
    writeln!(page, "  opt-outs      {opt_outs}")?;
    writeln!(page, "  facts         {facts}, each chained, in {}", count(streams, "stream"))?;
    writeln!(page, "  call records  {calls}")?;
    if manifest.erased > 0 {
        writeln!(page, "  erased        {}", manifest.erased)?;
    }
    Ok(Code::Yes)
}

/// Whether another process has the database: that says nothing of its soundness.
fn is_busy(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn failure(error: StoreError) -> Failure {
    let code = match &error {
        StoreError::Missing { .. } | StoreError::Occupied { .. } | StoreError::Io { .. } => {
            Code::Usage
        }
        StoreError::Held { .. } | StoreError::RestoreCut { .. } => Code::Refused,
        StoreError::Database(error) if is_busy(error) => Code::Refused,
        _ => Code::No,
    };
    Failure { code, error: error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_database_is_refused_and_a_damaged_one_is_a_no() {
        let of = |code| {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            failure(StoreError::Database(error)).code as u8
        };
        assert_eq!(of(rusqlite::ffi::SQLITE_BUSY), Code::Refused as u8);
        assert_eq!(of(rusqlite::ffi::SQLITE_LOCKED), Code::Refused as u8);
        assert_eq!(of(rusqlite::ffi::SQLITE_CORRUPT), Code::No as u8);
    }
}
