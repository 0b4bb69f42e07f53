//! Questions to the database, on connections of their own that only read.

#[cfg(test)]
pub(in crate::store) use follow::PAGE;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::Path;
use std::path::PathBuf;

use crate::model::CampaignName;
use crate::model::NodeName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::model::WriterId;
use crate::record::Cdr;
use crate::suppression::ErasureCause;
use crate::suppression::Evidence;
use crate::suppression::EvidenceDeleted;
use crate::suppression::NumberStorage;
use crate::suppression::OptOut;
use crate::suppression::Outcome;
use crate::suppression::StorageMark;
use crate::suppression::export::Entry;
use crate::suppression::export::Filter;

use super::StoreError;
use super::backend::Backend;
use super::backend::Row;
use super::backend::Value;
use super::backend::Visit;
use super::backend::each;
use super::segments::Segments;
pub(super) use follow::Page;
use reversals::undone;

mod fill;
mod follow;
mod imports;
mod reversals;
mod sealed;
mod streams;
mod topics;

/// Which calls are asked for; every condition that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// Started at this time or later.
    pub from: Option<UnixMicros>,
    /// Started before this time.
    pub to: Option<UnixMicros>,
    /// Of this campaign.
    pub campaign: Option<CampaignName>,
    /// To or from this number.
    pub number: Option<Number>,
}

/// A connection that only reads; what it sees is whole, and at most a moment old while facts
/// are being written (see `Store::flush`).
#[derive(Debug)]
pub struct Reader {
    backend: RefCell<Box<dyn Backend>>,
    /// The store's folder.
    dir: PathBuf,
    /// What the database is called where it says something wrong.
    place: String,
    /// How numbers are kept in it.
    numbers: NumberStorage,
}

impl Reader {
    /// Asks `backend`, which `place` names, for the store in the folder `dir`.
    pub(super) fn new(
        backend: impl Backend + 'static,
        dir: &Path,
        place: String,
        numbers: NumberStorage,
    ) -> Self {
        Self { backend: RefCell::new(Box::new(backend)), dir: dir.to_owned(), place, numbers }
    }

    /// The number as it is kept, which is how questions are asked.
    pub(super) fn stored(&self, number: Number) -> Number {
        self.numbers.stored(number)
    }

    /// Under which key numbers are hashed, where they are.
    fn number_key(&self) -> Option<String> {
        let mark = self.numbers.mark();
        (mark != StorageMark::Plain).then(|| mark.to_string())
    }

    /// `filter`, with its number as it is kept.
    fn stored_filter(&self, filter: &Filter) -> Filter {
        Filter { number: filter.number.map(|number| self.stored(number)), ..filter.clone() }
    }

    /// As [`Backend::select`]; `visit` may not ask anything itself.
    fn select(&self, sql: &str, values: &[Value], visit: Visit<'_>) -> Result<(), StoreError> {
        self.backend.borrow_mut().select(sql, values, visit)
    }

    /// As [`Backend::search`]; `visit` may not ask anything itself.
    fn search(&self, sql: &str, values: &[Value], visit: Visit<'_>) -> Result<(), StoreError> {
        self.backend.borrow_mut().search(sql, values, visit)
    }

    /// As [`each`]; `visit` may not ask anything itself.
    pub(super) fn each(
        &self,
        sql: &str,
        values: &[Value],
        visit: impl FnMut(Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        each(self.backend.borrow_mut().as_mut(), sql, values, visit)
    }

    /// How many rows `sql` counts.
    fn count_rows(&self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let mut count = 0;
        self.search(sql, values, &mut |row| {
            count = row.unsigned(0)?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(count)
    }

    /// The store's folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn segments(&self) -> Segments {
        Segments::of(&self.dir)
    }

    fn unreadable(&self, record: Option<RecordId>, what: &'static str) -> StoreError {
        StoreError::OptOutRow { place: self.place.clone(), record, what }
    }

    /// How many call records there are.
    pub(super) fn count_calls(&self) -> Result<u64, StoreError> {
        self.count_rows("SELECT COUNT(*) FROM call_record", &[])
    }

    /// How many call records there are of calls that ended before `limit`: of those of `node` where
    /// nodes share the database.
    pub(super) fn count_calls_before(
        &self,
        limit: UnixMicros,
        node: &NodeName,
    ) -> Result<u64, StoreError> {
        let sql = "SELECT COUNT(*) FROM call_record WHERE ended_us < $1";
        if self.backend.borrow().is_shared() {
            let sql = format!("{sql} AND node = $2");
            return self.count_rows(&sql, &[limit.0.into(), node.as_str().into()]);
        }
        self.count_rows(sql, &[limit.0.into()])
    }

    /// How many opt-outs `filter` finds, whether or not they still refuse.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub fn count(&self, filter: &Filter) -> Result<u64, StoreError> {
        let found = Conditions::of(&self.stored_filter(filter));
        let sql = format!("SELECT COUNT(*) FROM optout{}{}", found.joins, found.sql);
        self.count_rows(&sql, &found.values)
    }

    /// Hands the opt-outs that `filter` finds to `visit`, by the time of the press, then by
    /// record, until it breaks; and behind them the numbers of imports, where the filter asks for
    /// them (see [`Filter::finds_imports`]), by the time of the import, then ascending. Rows are
    /// read as they are visited, so that memory does not grow with their number.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`], and [`StoreError::Row`] for a row that is no opt-out.
    pub fn export(
        &self,
        filter: &Filter,
        mut visit: impl FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let dialled = filter.number;
        let filter = &self.stored_filter(filter);
        let found = Conditions::of(filter);
        let sql = format!(
            "SELECT optout.writer_id, optout.writer_seq, written_us, optout.body, durable_us,
                 confirmed_us, outcome,
                 reversed.list, reversal.writer_id, reversal.writer_seq, reversal.body,
                 of_reversal.body, evidence.body,
                 erased.writer_id, erased.writer_seq, erased_us, cause
             FROM optout{} LEFT JOIN confirmation
                 ON confirmation.ref_writer = optout.writer_id
                 AND confirmation.ref_seq = optout.writer_seq
             LEFT JOIN reversed ON reversed.ref_writer = optout.writer_id
                 AND reversed.ref_seq = optout.writer_seq AND reversed.number = optout.number
             LEFT JOIN reversal ON reversal.writer_id = reversed.writer_id
                 AND reversal.writer_seq = reversed.writer_seq
             LEFT JOIN evidence AS of_reversal ON of_reversal.writer_id = reversal.writer_id
                 AND of_reversal.writer_seq = reversal.writer_seq
             LEFT JOIN evidence ON evidence.writer_id = optout.writer_id
                 AND evidence.writer_seq = optout.writer_seq
             LEFT JOIN erased ON erased.ref_writer = optout.writer_id
                 AND erased.ref_seq = optout.writer_seq
             {} ORDER BY pressed_us, optout.writer_id, optout.writer_seq,
                 reversed_us, reversal.writer_id, reversal.writer_seq, reversed.list",
            found.joins, found.sql
        );
        let mut hand_on = |entry: Option<Entry>| match entry {
            Some(entry) if filter.finds_entry(&entry) => visit(entry),
            _ => ControlFlow::Continue(()),
        };
        let mut is_over = false;
        // A row for each list of each reversal; an opt-out without any has one.
        let mut waiting: Option<Entry> = None;
        let mut take = |row: Row<'_>| {
            let record = record_id(row, 0)?;
            let undone = undone(row, 7)?;
            if let Some(entry) = waiting.as_mut().filter(|entry| entry.record == record) {
                // Two erasures of one record are two rows of each reversal.
                let undone = undone.filter(|undone| !entry.reversed.contains(undone));
                entry.reversed.extend(undone);
                return Ok(ControlFlow::Continue(()));
            }
            let (reversed, number_key) = (undone.into_iter().collect(), self.number_key());
            let next = Entry { reversed, number_key, ..entry(row)? };
            let step = hand_on(waiting.replace(next));
            is_over = step.is_break();
            Ok(step)
        };
        match filter.number {
            Some(_) => self.select(&sql, &found.values, &mut take)?,
            None => self.search(&sql, &found.values, &mut take)?,
        }
        if is_over || hand_on(waiting).is_break() || !filter.finds_imports() {
            return Ok(());
        }
        self.export_imports(filter, dialled, visit)
    }

    /// Everything on record of `number`, oldest first, with what its rows leave out where numbers
    /// are hashed, as long as this node can open it.
    ///
    /// # Errors
    ///
    /// As [`Self::export`], and those of opening what is sealed.
    pub fn show(&self, number: Number) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        let filter = Filter { number: Some(number), ..Filter::default() };
        self.export(&filter, |entry| {
            entries.push(entry);
            ControlFlow::Continue(())
        })?;
        // An import may be older than what people said.
        entries.sort_by_key(|entry| (entry.optout.pressed_at, entry.record));
        self.unseal(&mut entries)?;
        Ok(entries)
    }

    /// Hands the calls that `filter` finds to `visit`, by start, until it breaks.
    ///
    /// # Errors
    ///
    /// As [`Self::export`].
    pub fn calls(
        &self,
        filter: &CallFilter,
        mut visit: impl FnMut(Cdr) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut found = Conditions::default();
        found.add("started_us >=", filter.from.map(|at| at.0));
        found.add("started_us <", filter.to.map(|at| at.0));
        found.add("campaign =", filter.campaign.as_ref().map(|name| name.as_str()));
        found.add("number =", filter.number.map(|number| self.stored(number).digits()));
        let sql = format!("SELECT body FROM call_record{} ORDER BY started_us, call_id", found.sql);
        self.search(&sql, &found.values, &mut |row| {
            let call = serde_json::from_str(row.text(0)?);
            Ok(visit(call.map_err(|source| StoreError::Row { source })?))
        })
    }
}

/// A `WHERE` clause in the making; values never stand in the text.
#[derive(Default)]
struct Conditions {
    joins: String,
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    fn of(filter: &Filter) -> Self {
        let mut found = Self::default();
        let number = filter.number.map(|number| number.digits());
        found.join("of_number", "number", number);
        found.join("of_list", "list", filter.list.as_ref().map(|name| name.as_str()));
        found.add("pressed_us >=", filter.from.map(|at| at.0));
        found.add("pressed_us <", filter.to.map(|at| at.0));
        found.add("campaign =", filter.campaign.as_ref().map(|name| name.as_str()));
        found.add("origin =", filter.origin.map(|origin| origin.as_str()));
        found
    }

    fn add(&mut self, left: &str, value: Option<impl Into<Value>>) {
        let Some(value) = value else { return };
        self.values.push(value.into());
        let word = if self.sql.is_empty() { "WHERE" } else { "AND" };
        self.sql.push_str(&format!(" {word} {left} ${}", self.values.len()));
    }

    /// Only opt-outs that stand in `suppressed` with `value` in `column`.
    fn join(&mut self, name: &str, column: &str, value: Option<impl Into<Value>>) {
        let Some(value) = value else { return };
        self.values.push(value.into());
        self.joins.push_str(&format!(
            " JOIN (SELECT DISTINCT writer_id, writer_seq FROM suppressed WHERE {column} = ${})
                 AS {name} ON {name}.writer_id = optout.writer_id
                 AND {name}.writer_seq = optout.writer_seq",
            self.values.len()
        ));
    }
}

fn entry(row: Row<'_>) -> Result<Entry, StoreError> {
    let mut optout = json::<OptOut>(row.text(3)?)?;
    if let Some(evidence) = row.maybe_text(12)? {
        json::<Evidence>(evidence)?.complete_optout(&mut optout);
    }
    Ok(Entry {
        record: record_id(row, 0)?,
        optout,
        written_at: UnixMicros(row.int(2)?),
        durable_at: row.maybe_int(4)?.map(UnixMicros),
        confirmed_at: row.maybe_int(5)?.map(UnixMicros),
        outcome: row.maybe_text(6)?.and_then(Outcome::from_name),
        reversed: Vec::new(),
        number_key: None,
        evidence_deleted: evidence_deleted(row, 13)?,
    })
}

/// By which erasure evidence is gone, in the columns from `at` on; nothing where they are empty.
fn evidence_deleted(row: Row<'_>, at: usize) -> Result<Option<EvidenceDeleted>, StoreError> {
    let Some(since) = row.maybe_int(at + 2)? else { return Ok(None) };
    let cause = ErasureCause::from_name(row.text(at + 3)?);
    let cause = cause.ok_or(StoreError::Column { at: at + 3 })?;
    let record = record_id(row, at)?;
    Ok(Some(EvidenceDeleted { at: UnixMicros(since), cause, record }))
}

/// What a body says.
fn json<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, StoreError> {
    serde_json::from_str(body).map_err(|source| StoreError::Row { source })
}

/// The record whose writer and sequence number stand from column `at` on.
pub(super) fn record_id(row: Row<'_>, at: usize) -> Result<RecordId, StoreError> {
    Ok(RecordId { writer: WriterId(row.unsigned(at)?), seq: row.unsigned(at + 1)? })
}
