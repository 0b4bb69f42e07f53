//! Questions of the follower: how far each stream is, and what comes next in one.

use std::time::Duration;

use crate::model::Number;
use crate::model::RecordId;
use crate::model::WriterId;
use crate::store::StoreError;
use crate::store::backend::Row;
use crate::suppression::Erasure;
use crate::suppression::Fact;

use super::Reader;
use super::record_id;

impl Reader {
    /// The last record of each stream.
    pub(in crate::store) fn heads(&self) -> Result<Vec<(WriterId, u64)>, StoreError> {
        let mut heads = Vec::new();
        self.each("SELECT writer_id, last_seq FROM writer", &[], |row| {
            heads.push((WriterId(row.unsigned(0)?), row.unsigned(1)?));
            Ok(())
        })?;
        Ok(heads)
    }

    /// The records of `writer` behind `after`, `len_max` at most, each with what it says where that
    /// concerns the index.
    pub(in crate::store) fn page(
        &self,
        writer: WriterId,
        after: u64,
        len_max: usize,
    ) -> Result<Vec<(RecordId, Option<Fact>)>, StoreError> {
        let sql = "SELECT fact.writer_seq, optout.body, imports.body, reversal.body,
                       erasure.body
                   FROM fact
                       LEFT JOIN optout ON optout.writer_id = fact.writer_id
                           AND optout.writer_seq = fact.writer_seq
                       LEFT JOIN imports ON imports.writer_id = fact.writer_id
                           AND imports.writer_seq = fact.writer_seq
                       LEFT JOIN reversal ON reversal.writer_id = fact.writer_id
                           AND reversal.writer_seq = fact.writer_seq
                       LEFT JOIN erasure ON erasure.writer_id = fact.writer_id
                           AND erasure.writer_seq = fact.writer_seq
                   WHERE fact.writer_id = $1 AND fact.writer_seq > $2
                   ORDER BY fact.writer_seq LIMIT $3";
        let mut page = Vec::new();
        let values = [writer.0.into(), after.into(), (len_max as u64).into()];
        self.each(sql, &values, |row| {
            let fact = if let Some(body) = row.maybe_text(1)? {
                Some(Fact::OptOut(read(body)?))
            } else if let Some(body) = row.maybe_text(2)? {
                Some(Fact::Import(read(body)?))
            } else if let Some(body) = row.maybe_text(3)? {
                Some(Fact::Reversal(read(body)?))
            } else if let Some(body) = row.maybe_text(4)? {
                Some(Fact::Erasure(read(body)?))
            } else {
                None
            };
            page.push((RecordId { writer, seq: row.unsigned(0)? }, fact));
            Ok(())
        })?;
        Ok(page)
    }

    /// Every erasure of `number`, or of all, with its record; the oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`], and [`StoreError::Row`] for a row that is no erasure.
    pub fn erasures(&self, number: Option<Number>) -> Result<Vec<(RecordId, Erasure)>, StoreError> {
        let mut erasures = Vec::new();
        let take = |row: Row<'_>| {
            erasures.push((record_id(row, 0)?, read(row.text(2)?)?));
            Ok(())
        };
        match number {
            None => {
                let sql = "SELECT writer_id, writer_seq, body FROM erasure ORDER BY erased_us";
                self.each(sql, &[], take)?;
            }
            Some(number) => {
                let sql = "SELECT writer_id, writer_seq, body FROM erasure WHERE number = $1
                           ORDER BY erased_us";
                self.each(sql, &[self.stored(number).digits().into()], take)?;
            }
        }
        Ok(erasures)
    }

    /// Waits until something may be new, for `limit` at most.
    pub(in crate::store) fn wait(&self, limit: Duration) {
        self.backend.borrow_mut().wait(limit);
    }
}

fn read<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, StoreError> {
    serde_json::from_str(body).map_err(|source| StoreError::Row { source })
}
