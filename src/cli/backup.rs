//! `backup` and `restore`: copies of the store, and putting them back.

use std::io;
use std::io::Write;

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
    tell(common, &manifest, page)?;
    say(common, &format!("copied to {}", what.folder.display()), page)
}

/// Verifies a backup and makes the store from it.
pub(super) fn restore(common: &Common, what: &Restore, page: &mut Page) -> Result<Code, Failure> {
    let calls = if what.without_calls { Calls::LeaveOut } else { Calls::Keep };
    if what.dry_run {
        tell(common, &store::verify(&what.folder, calls).map_err(unrestored)?, page)?;
        return say(common, "no store was made: this was a rehearsal", page);
    }
    let dir = load(common)?.store.path;
    tell(common, &store::restore(&what.folder, &dir, calls).map_err(unrestored)?, page)?;
    say(common, &format!("the store in {} was made from it", dir.display()), page)
}

/// Says to people what was done with it.
fn say(common: &Common, text: &str, page: &mut Page) -> Result<Code, Failure> {
    if !common.json {
        writeln!(page, "{text}")?;
    }
    Ok(Code::Yes)
}

fn tell(common: &Common, manifest: &Manifest, page: &mut Page) -> Result<(), Failure> {
    if common.json {
        page.json(manifest)?;
        return Ok(());
    }
    let as_usize = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let (facts, streams) = (as_usize(manifest.facts), manifest.streams.len());
    let (opt_outs, calls) = (as_usize(manifest.opt_outs), as_usize(manifest.calls));
    writeln!(page, "verified: the backup of {}", manifest.made_at.iso8601())?;
    writeln!(page, "  opt-outs      {opt_outs}")?;
    writeln!(page, "  records       {facts}, each chained, in {}", count(streams, "stream"))?;
    writeln!(page, "  call records  {calls}")?;
    if manifest.segments > 0 {
        writeln!(
            page,
            "  imports       {} of numbers, each whole",
            count(as_usize(manifest.segments), "file")
        )?;
    }
    if manifest.erased > 0 {
        writeln!(page, "  erased        {}", manifest.erased)?;
    }
    Ok(())
}

/// As [`failure`], of a backup: what was named is none, or the store is there.
fn unrestored(error: StoreError) -> Failure {
    let why = match &error {
        StoreError::Io { path, source, .. }
            if source.kind() == io::ErrorKind::NotFound && path.ends_with("manifest.json") =>
        {
            let folder = path.parent().unwrap_or(path).display();
            format!("`{folder}` is no backup: it has no manifest.json")
        }
        StoreError::Occupied { path } => format!(
            "`{}` is there already, and a restore makes the folder that [store] path names: let that \
             name another one, or move this one away",
            path.display()
        ),
        _ => return failure(error),
    };
    Failure::new(Code::Usage, why)
}

fn failure(error: StoreError) -> Failure {
    let code = match &error {
        StoreError::Missing { .. } | StoreError::Occupied { .. } | StoreError::Io { .. } => {
            Code::Usage
        }
        StoreError::RestoreCut { .. } => Code::Refused,
        error if error.is_held() => Code::Refused,
        _ => Code::No,
    };
    Failure { code, error: error.into() }
}
