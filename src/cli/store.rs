//! `store migrate` and `store copy`: what is done to the database behind the journal.

use std::io::Write;

use super::args::Common;
use super::args::Copy;
use super::args::Migrate;
use super::args::StoreVerb;
use super::counter::load;
use super::exit::Code;
use super::exit::Failure;
use super::page::Page;
use super::text::count;
use crate::config::Checked;
use crate::engine;
use crate::net::clock;
use crate::store;
use crate::store::StoreError;
use crate::store::Target;
use crate::store::postgres;
use crate::store::postgres::ServerError;

/// Does what was asked of the store.
pub(super) fn store(common: &Common, what: &StoreVerb, page: &mut Page) -> Result<Code, Failure> {
    match what {
        StoreVerb::Migrate(what) => migrate(common, what, page),
        StoreVerb::Copy(what) => copy(common, what, page),
    }
}

/// Brings the shared database's tables up to date.
fn migrate(common: &Common, what: &Migrate, page: &mut Page) -> Result<Code, Failure> {
    let settings = server(&load(common)?)?;
    let role = what.engine_role.as_deref();
    let (from, to) = postgres::migrate(&settings, role).map_err(|error| {
        let is_begun = role.is_some() && !matches!(error, ServerError::Role);
        // The tables come before the role, and may be all that was done.
        let tables = is_begun.then(|| postgres::migrate(&settings, None).ok()).flatten();
        let Failure { code, error } = failure(error.into());
        let told =
            |(_from, to)| format!("the tables are of version {to}; the role has not all it needs");
        let error = match tables.map(told) {
            Some(told) => error.context(told),
            None => error,
        };
        Failure { code, error }
    })?;
    if common.json {
        page.json(&serde_json::json!({ "from": from, "to": to, "engine_role": role }))?;
        return Ok(Code::Yes);
    }
    match from == to {
        true => writeln!(page, "the tables were of version {to} already")?,
        false => writeln!(page, "the tables went from version {from} to {to}")?,
    }
    if let Some(role) = role {
        writeln!(
            page,
            "{role} may read and add rows, say how far streams are taken in, and delete rows of \
             `evidence` and `call_record`, which are not kept for ever"
        )?;
    }
    Ok(Code::Yes)
}

fn copy(common: &Common, what: &Copy, page: &mut Page) -> Result<Code, Failure> {
    let checked = load(common)?;
    if what.from == what.to {
        let why = "--from and --to name the same database: there is nothing to copy";
        return Err(Failure::new(Code::Usage, why));
    }
    let settings = server(&checked)?;
    let clock: store::Clock = std::sync::Arc::new(clock::unix_now);
    let (dir, is_to_server) = (&checked.store.path, what.to.is_server());
    let copied = store::copy(dir, &settings, is_to_server, &clock).map_err(failure)?;
    if common.json {
        page.json(&copied)?;
        return Ok(if copied.only_there > 0 { Code::No } else { Code::Yes });
    }
    writeln!(page, "verified: what was read from the one is in the other, row by row")?;
    if copied.only_there > 0 {
        let only = count(usize::try_from(copied.only_there).unwrap_or(usize::MAX), "record");
        writeln!(
            page,
            "ATTENTION: {only} in the database that was copied to and not in the other: it is newer, \
             or the copy was meant to go the other way"
        )?;
    }
    for table in &copied.tables {
        let (name, rows, new) = (&table.name, table.rows, table.copied);
        writeln!(page, "  {name:<14}{rows:>12} rows, {new} of them new there  {}", table.sha256)?;
    }
    let next = match is_to_server {
        true => "now start the engine; `bajavoz.sqlite` in its folder is of no more use to it",
        false => "now let [store] database be \"sqlite\", and start the engine",
    };
    if copied.only_there > 0 {
        return Ok(Code::No);
    }
    writeln!(page, "{next}")?;
    Ok(Code::Yes)
}

/// The server that the configuration names.
pub(super) fn server(checked: &Checked) -> Result<postgres::Settings, Failure> {
    match engine::target(&checked.store).map_err(failure)? {
        Target::Postgres(settings) => Ok(*settings),
        Target::Sqlite => {
            let why = "[store] names no server: write database = \"postgres\" and its url there";
            Err(Failure::new(Code::Usage, why))
        }
    }
}

fn failure(error: StoreError) -> Failure {
    Failure { code: Code::of_store(&error), error: error.into() }
}
