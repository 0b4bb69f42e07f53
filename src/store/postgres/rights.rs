//! What the role of an engine must be let do, asked before anything is left to it.
//!
//! A right that is missing would be noticed by the first record that needs it, after weeks perhaps, and
//! that holds up whatever comes behind it: the evidence of a number cannot be taken away, and the
//! opt-outs after it never reach the server.

use tokio_postgres::Client;

use super::ServerError;
use super::Settings;
use super::link::Link;
use crate::store::database::tables;

/// Whether our role may do all that an engine does. A server that cannot tell is left to say so when
/// it is asked to do it.
///
/// # Errors
///
/// [`ServerError::Right`] with the first thing that it may not do, and those of the connection.
pub(super) fn check(link: &mut Link, settings: &Settings) -> Result<(), ServerError> {
    let sql = missing();
    let ask = async |client: &mut Client| client.query_opt(&sql, &[]).await;
    match link.with_client(settings.answer_max, ask)?.map_err(ServerError::from) {
        Ok(None) => Ok(()),
        Ok(Some(row)) => {
            let (role, table, right) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            Err(ServerError::Right { role, table, right })
        }
        Err(error @ ServerError::Refused { .. }) if !error.is_passing() => {
            tracing::debug!(%error, "the server does not say what its role may do");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// The question for the first right that is missing.
fn missing() -> String {
    let added =
        tables::ALL.map(|table| format!("('{0}', 'SELECT'), ('{0}', 'INSERT')", table.name));
    let passing = tables::PASSING.map(|table| format!("('{}', 'DELETE')", table.name));
    let moved = ["last_seq", "last_hash", "is_closed"];
    let moved = moved.map(|column| format!("has_column_privilege('writer', '{column}', 'UPDATE')"));
    let (added, passing, moved) = (added.join(", "), passing.join(", "), moved.join(" AND "));
    format!(
        "SELECT current_user, name, privilege FROM (\
         SELECT name, privilege, has_table_privilege(name, privilege) AS has_it \
         FROM (VALUES {added}, {passing}) AS wanted (name, privilege) \
         UNION ALL SELECT 'writer', 'UPDATE', {moved}) AS rights WHERE NOT has_it LIMIT 1"
    )
}
