//! Questions about streams as such: their records in order, and what is signed about their ends.

use std::ops::ControlFlow;

use crate::model::Number;
use crate::model::RecordId;
use crate::model::WriterId;
use crate::store::StoreError;
use crate::store::database::Cursor;
use crate::store::database::links;
use crate::store::proof::is_own_checkpoint;
use crate::suppression::proof::Checkpoint;
use crate::suppression::proof::Hash;
use crate::suppression::proof::Record;

use super::Reader;
use super::record_id;

impl Reader {
    /// The last record of each stream, and its hash.
    pub(in crate::store) fn stream_ends(&self) -> Result<Vec<(RecordId, Hash)>, StoreError> {
        let sql = "SELECT writer_id, last_seq, last_hash, is_closed FROM writer
                   WHERE last_seq > 0 ORDER BY writer_id";
        let mut heads = Vec::new();
        self.each(sql, &[], |row| {
            let writer = WriterId(row.unsigned(0)?);
            let cursor = Cursor::from_row(writer, row.int(1)?, row.text(2)?, row.int(3)? != 0);
            heads.push((RecordId { writer, seq: cursor.seq }, cursor.hash));
            Ok(())
        })?;
        Ok(heads)
    }

    /// The records that concern `number`, in order: its opt-outs, what became of their
    /// confirmations and audio, and its reversals.
    pub(in crate::store) fn records_of(&self, number: Number) -> Result<Vec<RecordId>, StoreError> {
        let sql = "SELECT writer_id, writer_seq FROM suppressed WHERE number = $1
                   UNION
                   SELECT confirmation.writer_id, confirmation.writer_seq
                   FROM confirmation JOIN suppressed ON suppressed.writer_id = ref_writer
                       AND suppressed.writer_seq = ref_seq
                   WHERE number = $1
                   UNION
                   SELECT audio.writer_id, audio.writer_seq
                   FROM audio JOIN suppressed ON suppressed.writer_id = ref_writer
                       AND suppressed.writer_seq = ref_seq
                   WHERE number = $1
                   UNION
                   SELECT writer_id, writer_seq FROM reversal WHERE number = $1";
        let mut records = Vec::new();
        self.each(sql, &[self.stored(number).digits().into()], |row| {
            records.push(record_id(row, 0)?);
            Ok(())
        })?;
        records.sort_unstable();
        Ok(records)
    }

    /// The records from `first` to the next checkpoint of their stream, or to the end; `len_max`
    /// and one more at most.
    pub(in crate::store) fn run_from(
        &self,
        first: RecordId,
        len_max: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let sql = "SELECT record FROM fact WHERE writer_id = $1 AND writer_seq >= $2
                   ORDER BY writer_seq";
        let mut run = Vec::new();
        self.select(sql, &[first.writer.0.into(), first.seq.into()], &mut |row| {
            let seq = first.seq + run.len() as u64;
            let fail = |source| StoreError::Record { writer: first.writer, seq, source };
            let record = Record::parse(row.octets(0)?).map_err(fail)?;
            let is_last = is_own_checkpoint(&record) || run.len() == len_max;
            run.push(record);
            Ok(if is_last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(run)
    }

    /// The last checkpoint that a later stream has made of the stream of `record`, at it or behind
    /// it, with its own place.
    pub(in crate::store) fn link_over(
        &self,
        record: RecordId,
    ) -> Result<Option<(RecordId, Checkpoint)>, StoreError> {
        let mut writers = Vec::new();
        self.each("SELECT writer_id FROM writer ORDER BY writer_id", &[], |row| {
            writers.push(WriterId(row.unsigned(0)?));
            Ok(())
        })?;
        let mut found: Option<(RecordId, Checkpoint)> = None;
        for writer in writers {
            let links = links(self.backend.borrow_mut().as_mut(), writer)?.into_iter();
            let is_over =
                |link: &Checkpoint| link.writer == record.writer && link.seq >= record.seq;
            found = links
                .filter(|(_place, link)| is_over(link))
                .chain(found)
                .max_by_key(|(_place, link)| link.seq);
        }
        Ok(found)
    }
}
