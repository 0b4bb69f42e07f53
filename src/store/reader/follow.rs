//! Questions of the follower: how far each stream is, and what comes next in one.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
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

/// Records of a stream in a span of sequence numbers, in no order.
///
/// Each table is asked for the span by its primary key. A join is left to a plan that knows how
/// many rows there are: while a server has not counted a new table, and it counts once a minute at
/// best, it reads all opt-outs of the stream for each that comes.
pub(in crate::store) const PAGE: &str = "SELECT writer_seq, 'fact', '' FROM fact
        WHERE writer_id = $1 AND writer_seq > $2 AND writer_seq <= $3
    UNION ALL
    SELECT writer_seq, 'optout', body FROM optout
        WHERE writer_id = $1 AND writer_seq > $2 AND writer_seq <= $3
    UNION ALL
    SELECT writer_seq, 'imports', body FROM imports
        WHERE writer_id = $1 AND writer_seq > $2 AND writer_seq <= $3
    UNION ALL
    SELECT writer_seq, 'reversal', body FROM reversal
        WHERE writer_id = $1 AND writer_seq > $2 AND writer_seq <= $3
    UNION ALL
    SELECT writer_seq, 'erasure', body FROM erasure
        WHERE writer_id = $1 AND writer_seq > $2 AND writer_seq <= $3";

/// Octets of records that are read at a time, a single one set aside. Our choice: a page of the
/// longest opt-outs has 5 MB, and whoever can write to the database says how long one is.
const PAGE_OCTETS_MAX: usize = if cfg!(test) { 64 * 1024 } else { 16 * 1024 * 1024 };

/// A record, with what it says where that concerns the index.
type Entry = (RecordId, Option<Fact>);

/// Records in order, as far as they can be read, and what is wrong with the next.
type Entries = (Vec<Entry>, Option<StoreError>);

/// Some of a stream's records.
pub(in crate::store) struct Page {
    /// In order.
    pub(in crate::store) records: Vec<Entry>,
    /// Whether there were no more.
    pub(in crate::store) is_last: bool,
    /// What is wrong with the record behind them, where that cannot be read.
    pub(in crate::store) unread: Option<StoreError>,
}

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

    /// The records of `writer` behind `after`, as far as the `len_max` sequence numbers that come
    /// next, or as half of them, and so on, where those have more than [`PAGE_OCTETS_MAX`].
    pub(in crate::store) fn page(
        &self,
        writer: WriterId,
        after: u64,
        len_max: usize,
    ) -> Result<Page, StoreError> {
        let mut len = len_max.max(1);
        loop {
            if let Some((records, unread)) = self.span(writer, after, len)? {
                // A span without any is a hole, which is waited for.
                let is_last = records.is_empty() || (len >= len_max && records.len() < len);
                return Ok(Page { records, is_last: is_last || unread.is_some(), unread });
            }
            len /= 2;
        }
    }

    /// The records of `writer` in the `len` sequence numbers behind `after`, each with what it says
    /// where that concerns the index; nothing where several are too long together.
    fn span(
        &self,
        writer: WriterId,
        after: u64,
        len: usize,
    ) -> Result<Option<Entries>, StoreError> {
        let (mut page, mut octets) = (BTreeMap::new(), 0);
        let is_long = |octets: usize| octets > PAGE_OCTETS_MAX && len > 1;
        let up_to = after.saturating_add(len as u64);
        self.select(PAGE, &[writer.0.into(), after.into(), up_to.into()], &mut |row| {
            let seq = row.unsigned(0)?;
            let (kind, body) = (row.text(1)?, row.text(2)?);
            octets += body.len();
            if is_long(octets) {
                return Ok(ControlFlow::Break(()));
            }
            // A record is there when its fact is, which says nothing by itself.
            let (is_there, said): &mut (bool, Said) = page.entry(seq).or_default();
            *is_there |= kind == "fact";
            *said = fact(kind, body).transpose().or_else(|| said.take());
            Ok(ControlFlow::Continue(()))
        })?;
        if is_long(octets) {
            return Ok(None);
        }
        let mut records = Vec::with_capacity(page.len());
        for (seq, (_is_there, said)) in page.into_iter().filter(|(_seq, (is_there, _))| *is_there) {
            match said.transpose() {
                Ok(fact) => records.push((RecordId { writer, seq }, fact)),
                Err(error) => return Ok(Some((records, Some(error)))),
            }
        }
        Ok(Some((records, None)))
    }

    /// Every erasure of `number`, or of all, with its record; the oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`], and [`StoreError::Row`] for a row that is no erasure.
    pub fn erasures(&self, number: Option<Number>) -> Result<Vec<(RecordId, Erasure)>, StoreError> {
        let mut erasures = Vec::new();
        self.each_erasure(number, |record, erasure| erasures.push((record, erasure)))?;
        Ok(erasures)
    }

    /// As [`Self::erasures`], one after the other: of all there may be as many as opt-outs.
    pub(in crate::store) fn each_erasure(
        &self,
        number: Option<Number>,
        mut visit: impl FnMut(RecordId, Erasure),
    ) -> Result<(), StoreError> {
        let take = |row: Row<'_>| {
            visit(record_id(row, 0)?, read(row.text(2)?)?);
            Ok(())
        };
        match number {
            None => {
                let sql = "SELECT writer_id, writer_seq, body FROM erasure ORDER BY erased_us";
                self.each(sql, &[], take)
            }
            Some(number) => {
                let sql = "SELECT writer_id, writer_seq, body FROM erasure WHERE number = $1
                           ORDER BY erased_us";
                self.each(sql, &[self.stored(number).digits().into()], take)
            }
        }
    }

    /// Waits until something may be new, for `limit` at most.
    pub(in crate::store) fn wait(&self, limit: Duration) {
        self.backend.borrow_mut().wait(limit);
    }
}

/// What a record says, or why that cannot be read.
type Said = Option<Result<Fact, StoreError>>;

/// What a row of the table `kind` says, where that concerns the index.
fn fact(kind: &str, body: &str) -> Result<Option<Fact>, StoreError> {
    Ok(Some(match kind {
        "optout" => Fact::OptOut(read(body)?),
        "imports" => Fact::Import(read(body)?),
        "reversal" => Fact::Reversal(read(body)?),
        "erasure" => Fact::Erasure(read(body)?),
        _ => return Ok(None),
    }))
}

fn read<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, StoreError> {
    serde_json::from_str(body).map_err(|source| StoreError::Row { source })
}
