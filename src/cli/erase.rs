//! `erase`: what can be read of a number, destroyed.

use std::io;
use std::io::Write;

use super::args::Common;
use super::args::Erase;
use super::counter::Counter;
use super::exit::Code;
use super::exit::Failure;
use super::login::login;
use super::optout::PENDING;
use super::page::Page;
use super::text::count;
use crate::engine::desk::Access;
use crate::engine::desk::Erased;
use crate::engine::desk::Erasing;

/// Erases a number.
pub(super) fn erase(common: &Common, erase: Erase, page: &mut Page) -> Result<Code, Failure> {
    let erasing = Erasing {
        number: erase.number,
        reason: erase.reason,
        actor: erase.actor.or_else(login),
        is_rehearsal: erase.dry_run,
    };
    // Where nothing is kept nothing is made for it.
    let erased = Counter::open(common, Access::Sign)?.erase(erasing)?;
    if common.json {
        page.json(&erased)?;
    } else {
        tell(&erased, erase.dry_run, page)?;
    }
    let could_be = erase.dry_run && erased.records + erased.audio as u64 > 0;
    let is_done = erased.record.is_some() || erased.earlier.is_some() || could_be;
    Ok(if is_done { Code::Yes } else { Code::No })
}

fn tell(erased: &Erased, is_rehearsal: bool, page: &mut Page) -> io::Result<()> {
    let number = erased.number.reveal();
    let records = count(usize::try_from(erased.records).unwrap_or(usize::MAX), "record");
    let audio = count(erased.audio, "file");
    let is_nothing = erased.records == 0 && erased.audio == 0;
    match (&erased.record, erased.durable_at) {
        (Some(record), Some(at)) => {
            writeln!(
                page,
                "{number}: nothing of {records} and {audio} of audio can be read any more"
            )?;
            writeln!(page, "erased by record {record}, on disk at {}", at.iso8601())?;
        }
        _ if is_nothing && !erased.is_known => {
            writeln!(page, "nothing is on record of this number, and nothing was written")?;
        }
        _ if is_nothing => {
            writeln!(page, "{number}: nothing can be read of this number; nothing was written")?;
        }
        _ => {
            writeln!(page, "{number}: {records} and {audio} of audio would be erased")?;
        }
    }
    if let Some(earlier) = &erased.earlier {
        writeln!(page, "it was erased before, by record {earlier}")?;
    }
    if is_rehearsal {
        writeln!(page, "nothing was erased; without --dry-run it is")?;
    }
    if erased.is_known {
        let refused = if erased.is_refused { "stays refused" } else { "is on no list" };
        writeln!(page, "the number {refused}; backups of before still hold what could be read")?;
    }
    if erased.is_pending {
        writeln!(page, "{PENDING}")?;
    }
    Ok(())
}
