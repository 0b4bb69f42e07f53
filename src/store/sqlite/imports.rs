//! The table of imports.

use rusqlite::Row;
use rusqlite::Transaction;
use rusqlite::params;

use crate::model::ListName;
use crate::model::Number;
use crate::model::UnixMicros;
use crate::store::StoreError;
use crate::suppression::import::Import;
use crate::suppression::import::Imported;
use crate::suppression::import::Part;
use crate::suppression::proof::Hash;
use crate::suppression::proof::Record;
use crate::suppression::segment::Content;

use super::Reader;
use super::json;
use super::query::record_id;
use super::to_sql;

/// Takes an import in.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    record: &Record,
    import: &Import,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO imports (writer_id, writer_seq, written_us, imported_us, list, account,
                 file_sha256, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            to_sql(record.id.writer.0),
            to_sql(record.id.seq),
            record.written_at.0,
            import.imported_at.0,
            import.list.as_str(),
            import.account.as_ref().map(|name| name.as_str()),
            Hash(import.file_sha256).to_string(),
            json(import)?,
        ])?;
    Ok(())
}

impl Reader {
    /// Every import, oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`], and [`StoreError::Row`] for a row that is no import.
    pub fn imports(&self) -> Result<Vec<Imported>, StoreError> {
        let sql = "SELECT writer_id, writer_seq, written_us, body FROM imports
                   ORDER BY imported_us, writer_id, writer_seq";
        let mut statement = self.connection().prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut imports = Vec::new();
        while let Some(row) = rows.next()? {
            imports.push(imported(row)?);
        }
        Ok(imports)
    }
}

impl Reader {
    /// Reads the segment of `part` whole and checks that it is one of `list` and holds what it
    /// should.
    ///
    /// # Errors
    ///
    /// [`StoreError::Segment`].
    pub fn verify_segment(
        &self,
        part: &Part,
        list: &ListName,
        content: Content,
    ) -> Result<(), StoreError> {
        self.segments().verify(part, list, content)
    }

    /// Hands each number of the segment of `part` to `visit`, ascending.
    ///
    /// # Errors
    ///
    /// [`StoreError::Segment`].
    pub fn segment_numbers(
        &self,
        part: &Part,
        mut visit: impl FnMut(Number),
    ) -> Result<(), StoreError> {
        let segments = self.segments();
        for number in segments.open(part)? {
            visit(number.map_err(|error| segments.failed(part, error))?);
        }
        Ok(())
    }
}

fn imported(row: &Row<'_>) -> Result<Imported, StoreError> {
    let body: String = row.get(3)?;
    Ok(Imported {
        record: record_id(row, 0)?,
        written_at: UnixMicros(row.get(2)?),
        import: serde_json::from_str(&body).map_err(|source| StoreError::Row { source })?,
    })
}
