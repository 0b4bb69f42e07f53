//! The tables of reversals.

use std::collections::HashMap;

use crate::model::ListName;
use crate::model::Number;
use crate::model::RecordId;
use crate::store::StoreError;
use crate::store::backend::Row;
use crate::suppression::Evidence;
use crate::suppression::Index;
use crate::suppression::Reversal;
use crate::suppression::Undone;

use super::Reader;
use super::json;
use super::record_id;

impl Reader {
    /// Lets `index` know every reversal; how many lists of how many records they cancel.
    pub(super) fn fill_reversals(&self, index: &Index) -> Result<u64, StoreError> {
        let sql = "SELECT reversed.writer_id, reversed.writer_seq, ref_writer, ref_seq,
                       reversed.number, list, body
                   FROM reversed LEFT JOIN reversal ON reversal.writer_id = reversed.writer_id
                       AND reversal.writer_seq = reversed.writer_seq";
        let mut filled = 0;
        self.each(sql, &[], |row| {
            let record = record_id(row, 0).ok();
            let reversed = Reversed::read(row).map_err(|what| self.unreadable(record, what))?;
            index.reverse(reversed.number, reversed.cancelled, &[reversed.list]);
            filled += 1;
            Ok(())
        })?;
        Ok(filled)
    }

    /// The numbers for which the import `record` was reversed, and how. Reversals are made one by
    /// one by people, so that these are few.
    pub(super) fn undone_of(
        &self,
        record: RecordId,
    ) -> Result<HashMap<Number, Vec<Undone>>, StoreError> {
        let sql = "SELECT reversed.number, list, reversal.writer_id, reversal.writer_seq,
                       reversal.body, evidence.body
                   FROM reversed JOIN reversal ON reversal.writer_id = reversed.writer_id
                       AND reversal.writer_seq = reversed.writer_seq
                   LEFT JOIN evidence ON evidence.writer_id = reversal.writer_id
                       AND evidence.writer_seq = reversal.writer_seq
                   WHERE ref_writer = $1 AND ref_seq = $2
                   ORDER BY reversed_us, reversal.writer_id, reversal.writer_seq, list";
        let mut all: HashMap<Number, Vec<Undone>> = HashMap::new();
        self.each(sql, &[record.writer.0.into(), record.seq.into()], |row| {
            if let Some(number) = Number::from_key(row.unsigned(0)?) {
                all.entry(number).or_default().extend(undone(row, 1)?);
            }
            Ok(())
        })?;
        Ok(all)
    }
}

/// The list, record and body of a reversal in the columns from `at` on, with its evidence as far as
/// that is there; nothing where they are empty.
pub(super) fn undone(row: Row<'_>, at: usize) -> Result<Option<Undone>, StoreError> {
    let Some(list) = row.maybe_text(at)? else { return Ok(None) };
    let mut reversal: Reversal = json(row.text(at + 3)?)?;
    if let Some(evidence) = row.maybe_text(at + 4)? {
        json::<Evidence>(evidence)?.complete_reversal(&mut reversal);
    }
    Ok(Some(reversal.undone(record_id(row, at + 1)?, list.into())))
}

/// One row of `reversed`, held against its reversal: one that says more than that would let
/// somebody be called.
struct Reversed {
    number: Number,
    list: ListName,
    cancelled: RecordId,
}

impl Reversed {
    fn read(row: Row<'_>) -> Result<Self, &'static str> {
        let cancelled = record_id(row, 2).map_err(|_error| "it names no record")?;
        let number = row.unsigned(4).map_err(|_error| "its number is none")?;
        let number = Number::from_key(number).ok_or("its number is none")?;
        let list: ListName = row.text(5).map_err(|_error| "its list is no name")?.into();
        let body = row.maybe_text(6).map_err(|_error| "its reversal is none")?;
        let body = body.ok_or("its reversal is missing")?;
        let reversal: Reversal =
            serde_json::from_str(body).map_err(|_error| "its reversal cannot be read")?;
        let says_so =
            reversal.cancels.iter().any(|it| it.record == cancelled && it.lists.contains(&list));
        if reversal.number != number || !says_so {
            return Err("it is not what its reversal says");
        }
        Ok(Self { number, list, cancelled })
    }
}
