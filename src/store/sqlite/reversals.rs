//! The tables of reversals.

use std::collections::HashMap;

use rusqlite::Row;
use rusqlite::Transaction;
use rusqlite::params_from_iter;

use crate::model::ListName;
use crate::model::Number;
use crate::model::RecordId;
use crate::store::StoreError;
use crate::suppression::Index;
use crate::suppression::Reversal;
use crate::suppression::Undone;
use crate::suppression::proof::Record;

use super::Reader;
use super::from_sql;
use super::query::record_id;
use super::reversal_values;
use super::reversed_values;
use super::to_sql;

/// Takes a reversal in.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    record: &Record,
    reversal: &Reversal,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO reversal (writer_id, writer_seq, number, reversed_us, body)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        )?
        .execute(params_from_iter(reversal_values(record, reversal)?))?;
    for row in reversed_values(record, reversal) {
        transaction
            .prepare_cached(
                "INSERT INTO reversed (ref_writer, ref_seq, number, list, writer_id, writer_seq)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            )?
            .execute(params_from_iter(row))?;
    }
    Ok(())
}

impl Reader {
    /// Lets `index` know every reversal; how many lists of how many records they cancel.
    pub(super) fn fill_reversals(&self, index: &Index) -> Result<u64, StoreError> {
        let sql = "SELECT reversed.writer_id, reversed.writer_seq, ref_writer, ref_seq,
                       reversed.number, list, body
                   FROM reversed LEFT JOIN reversal ON reversal.writer_id = reversed.writer_id
                       AND reversal.writer_seq = reversed.writer_seq";
        let mut statement = self.connection().prepare(sql).map_err(|error| self.failed(error))?;
        let mut rows = statement.query([]).map_err(|error| self.failed(error))?;
        let mut filled = 0;
        while let Some(row) = rows.next().map_err(|error| self.failed(error))? {
            let record = record_id(row, 0).ok();
            let reversed = Reversed::read(row).map_err(|what| self.unreadable(record, what))?;
            index.reverse(reversed.number, reversed.cancelled, &[reversed.list]);
            filled += 1;
        }
        Ok(filled)
    }

    /// The numbers for which the import `record` was reversed, and how. Reversals are made one by
    /// one by people, so that these are few.
    pub(super) fn undone_of(
        &self,
        record: RecordId,
    ) -> Result<HashMap<Number, Vec<Undone>>, StoreError> {
        let sql = "SELECT reversed.number, list, reversal.writer_id, reversal.writer_seq, body
                   FROM reversed JOIN reversal ON reversal.writer_id = reversed.writer_id
                       AND reversal.writer_seq = reversed.writer_seq
                   WHERE ref_writer = ?1 AND ref_seq = ?2
                   ORDER BY reversed_us, reversal.writer_id, reversal.writer_seq, list";
        let mut statement = self.connection().prepare_cached(sql)?;
        let mut rows = statement.query([to_sql(record.writer.0), to_sql(record.seq)])?;
        let mut all: HashMap<Number, Vec<Undone>> = HashMap::new();
        while let Some(row) = rows.next()? {
            if let Some(number) = Number::from_e164_digits(from_sql(row.get(0)?)) {
                all.entry(number).or_default().extend(undone(row, 1)?);
            }
        }
        Ok(all)
    }
}

/// The list, record and body of a reversal in the columns from `at` on; nothing where they are
/// empty.
pub(super) fn undone(row: &Row<'_>, at: usize) -> Result<Option<Undone>, StoreError> {
    let Some(list) = row.get::<_, Option<String>>(at)? else { return Ok(None) };
    let body: String = row.get(at + 3)?;
    let reversal: Reversal =
        serde_json::from_str(&body).map_err(|source| StoreError::Row { source })?;
    Ok(Some(reversal.undone(record_id(row, at + 1)?, list.as_str().into())))
}

/// One row of `reversed`, held against its reversal: one that says more than that would let
/// somebody be called.
struct Reversed {
    number: Number,
    list: ListName,
    cancelled: RecordId,
}

impl Reversed {
    fn read(row: &Row<'_>) -> Result<Self, &'static str> {
        let cancelled = record_id(row, 2).map_err(|_error| "it names no record")?;
        let number: i64 = row.get(4).map_err(|_error| "its number is none")?;
        let number = Number::from_e164_digits(from_sql(number)).ok_or("its number is none")?;
        let list: String = row.get(5).map_err(|_error| "its list is no name")?;
        let list: ListName = list.as_str().into();
        let body: Option<String> = row.get(6).map_err(|_error| "its reversal is none")?;
        let body = body.ok_or("its reversal is missing")?;
        let reversal: Reversal =
            serde_json::from_str(&body).map_err(|_error| "its reversal cannot be read")?;
        let says_so =
            reversal.cancels.iter().any(|it| it.record == cancelled && it.lists.contains(&list));
        if reversal.number != number || !says_so {
            return Err("it is not what its reversal says");
        }
        Ok(Self { number, list, cancelled })
    }
}
