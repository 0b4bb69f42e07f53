//! The tables of the shared database, brought up to date by whoever may.
//!
//! Migrations only ever add, so that nodes of the version before go on with tables of the next.

use std::time::Duration;

use tokio_postgres::Client;

use super::ServerError;
use super::Settings;
use super::link::Link;
use super::link::Use;
use crate::store::database::tables;
use crate::store::migrations;

/// How long the migrations may take: those of a large table build an index.
const MIGRATION_MAX: Duration = Duration::from_secs(600);
/// How often they are tried: several nodes may begin at once, and only one at a time gets on.
const TRIES_MAX: u32 = 8;
/// How long a node waits for the one that does.
const TRY_AGAIN: Duration = Duration::from_millis(250);
/// SQLSTATE of a table that is not there.
const UNDEFINED_TABLE: &str = "42P01";

/// Brings the tables up to date as their owner, and lets `engine_role` do what an engine does: read
/// and add rows, say how far each stream has been taken in, and take away evidence and call records
/// that are past their time. So an engine cannot take away or change a row that somebody is refused
/// by, by mistake or by somebody's hand. Whoever has its password can still add rows that
/// are false, a reversal among them: those are in nobody's signed stream, which `verify` tells of the
/// folder of each engine. The versions before and after.
///
/// # Errors
///
/// [`ServerError::Role`] before anything is done; [`ServerError::Tables`] when ours is not the role
/// that may; and those of the connection.
pub fn migrate(settings: &Settings, engine_role: Option<&str>) -> Result<(i32, i32), ServerError> {
    if engine_role.is_some_and(|role| !is_role(role)) {
        return Err(ServerError::Role);
    }
    let mut link = Link::open(settings, Use::Writing)?;
    let before = version(&mut link, settings)?;
    bring_up_to_date(&mut link, settings)?;
    if let Some(role) = engine_role {
        for table in tables::ALL {
            let name = table.name;
            link.batch(&format!("GRANT SELECT, INSERT ON {name} TO {role}"))?;
        }
        for table in tables::PASSING {
            let name = table.name;
            link.batch(&format!("GRANT DELETE ON {name} TO {role}"))?;
        }
        link.batch(&format!(
            "GRANT SELECT ON refinery_schema_history TO {role}; \
             GRANT UPDATE (last_seq, last_hash, is_closed) ON writer TO {role}"
        ))?;
    }
    Ok((before, version(&mut link, settings)?))
}

/// Whether a name needs no quotes.
fn is_role(name: &str) -> bool {
    let is_plain =
        |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'_';
    let is_begun = name.bytes().next().is_some_and(|octet| !octet.is_ascii_digit());
    is_begun && name.len() <= 63 && name.bytes().all(is_plain)
}

/// Brings the tables up to date.
///
/// # Errors
///
/// [`ServerError::Tables`] when they are not and our role may not change them.
pub(super) fn bring_up_to_date(link: &mut Link, settings: &Settings) -> Result<(), ServerError> {
    let needed = migrations::newest();
    let mut found = version(link, settings)?;
    for tries_left in (0..TRIES_MAX).rev() {
        if found >= needed {
            return Ok(());
        }
        link.batch("SET statement_timeout = 0")?;
        let run = async |client: &mut Client| migrations::runner().run_async(client).await;
        let done = link.with_client(MIGRATION_MAX, run)?;
        let limit_ms = settings.answer_max.as_millis();
        link.batch(&format!("SET statement_timeout = {limit_ms}"))?;
        found = version(link, settings)?;
        match done {
            Ok(_report) => {}
            Err(source) if tries_left == 0 && found < needed => {
                return Err(ServerError::Tables { found, needed, source: Box::new(source) });
            }
            // Another node may be about it, whose transaction is in the way of ours.
            Err(_meanwhile) => std::thread::park_timeout(TRY_AGAIN),
        }
    }
    if found >= needed { Ok(()) } else { Err(ServerError::Later) }
}

/// Whether the tables are those that this program reads.
///
/// # Errors
///
/// [`ServerError::Version`] when they are not.
pub(super) fn check(link: &mut Link, settings: &Settings) -> Result<(), ServerError> {
    let (found, needed) = (version(link, settings)?, migrations::newest());
    if found == needed { Ok(()) } else { Err(ServerError::Version { found, needed }) }
}

/// The version of the tables, 0 when there are none.
fn version(link: &mut Link, settings: &Settings) -> Result<i32, ServerError> {
    let sql = "SELECT MAX(version) FROM refinery_schema_history";
    let read = async |client: &mut Client| client.query_one(sql, &[]).await;
    match link.with_client(settings.answer_max, read)?.map_err(ServerError::from) {
        Ok(row) => Ok(row.try_get::<_, Option<i32>>(0)?.unwrap_or(0)),
        Err(ServerError::Refused { code, .. }) if code == UNDEFINED_TABLE => Ok(0),
        Err(error) => Err(error),
    }
}
