//! Whether the database's tables are those that this program makes, or made in an earlier version:
//! a row that an index or a trigger of somebody else's hides or changes is found here.

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::store::StoreError;
use crate::store::migrations;

use super::rows::Base;
use super::rows::Rows;

/// What tables, indices and all else of a database are called, and how they were made.
const SCHEMA: &str = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name";

/// Which migrations a database has had; not when, which nothing else says.
const HISTORY: &str =
    "SELECT version, name, checksum FROM refinery_schema_history ORDER BY version";

impl Rows {
    /// What of the schema is not what it should be. Of a server only which migrations it has had:
    /// what else its owner has made there is its owner's.
    pub(super) fn odd_schema(&self) -> Result<Option<&'static str>, StoreError> {
        if let Base::File(file) = &*self.base() {
            return odd_file(file.connection()).map_err(StoreError::Database);
        }
        let mut history = Vec::new();
        self.each(HISTORY, &[], |row| {
            let (name, checksum) = (row.text(1)?.to_owned(), row.text(2)?.to_owned());
            history.push((row.int(0)?, name, checksum));
            Ok(())
        })?;
        let runner = migrations::runner();
        let ours = runner
            .get_migrations()
            .iter()
            .map(|it| (i64::from(it.version()), it.name().to_owned(), it.checksum().to_string()));
        let mut ours: Vec<(i64, String, String)> = ours.collect();
        ours.sort_unstable();
        Ok((history != ours).then_some("the history of the tables"))
    }
}

fn odd_file(connection: &Connection) -> rusqlite::Result<Option<&'static str>> {
    let version = "SELECT MAX(version) FROM refinery_schema_history";
    let version: Option<i32> = connection.query_row(version, [], |row| row.get(0))?;
    let Some(made) = version.and_then(made_at_version) else {
        return Ok(Some("the version of the tables"));
    };
    let differs = |sql| Ok::<_, rusqlite::Error>(all(connection, sql)? != all(&made, sql)?);
    if differs(HISTORY)? {
        return Ok(Some("the history of the tables"));
    }
    Ok(differs(SCHEMA)?.then_some("the making of the tables"))
}

fn all(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<Vec<Value>>> {
    let mut statement = connection.prepare(sql)?;
    let width = statement.column_count();
    let rows = statement.query_map([], |row| (0..width).map(|index| row.get(index)).collect())?;
    rows.collect()
}

/// An empty database in memory as our migrations make it, up to and with the one of `version`;
/// nothing when there is none such.
fn made_at_version(version: i32) -> Option<Connection> {
    let runner = migrations::runner();
    let is_known = runner.get_migrations().iter().any(|it| it.version() == version);
    let mut connection = Connection::open_in_memory().ok().filter(|_open| is_known)?;
    runner.set_target(refinery::Target::Version(version)).run(&mut connection).ok()?;
    Some(connection)
}
