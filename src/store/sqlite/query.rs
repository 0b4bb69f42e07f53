//! Questions to the database, on connections of their own that only read.

use std::ops::ControlFlow;
use std::path::Path;
use std::path::PathBuf;

use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::Row;
use rusqlite::types::Value;

use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::model::WriterId;
use crate::record::Cdr;
use crate::store::StoreError;
use crate::store::imported;
use crate::store::segments::Segments;
use crate::suppression::Index;
use crate::suppression::OptOut;
use crate::suppression::Outcome;
use crate::suppression::export::Entry;
use crate::suppression::export::Filter;
use crate::suppression::list::ListLimitError;

use super::from_sql;
use super::is_damage;
use super::reversals::undone;
use super::to_sql;

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
pub struct Reader(pub(super) Connection);

impl Reader {
    pub(in crate::store) fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Ok(Self(Connection::open_with_flags(path, flags)?))
    }

    /// Puts every suppressed number into `index` and returns how many reasons single facts had, and
    /// numbers imports. Lists that only old records name take bits too; what is on a list beyond
    /// the 64th is left out and counted in the second figure, each import as one, since no campaign
    /// can ask for it either.
    ///
    /// # Errors
    ///
    /// [`StoreError::OptOutRow`] at the first row that is not what was written: whoever is in it
    /// would be called. [`StoreError::DatabaseDamaged`] and [`StoreError::Database`].
    pub fn fill(&self, index: &Index) -> Result<(u64, u64), StoreError> {
        self.check_none_is_on_no_list()?;
        let sql = "SELECT suppressed.writer_id, suppressed.writer_seq, suppressed.number, list,
                       optout.number, account, campaign
                   FROM suppressed LEFT JOIN optout ON optout.writer_id = suppressed.writer_id
                       AND optout.writer_seq = suppressed.writer_seq";
        let mut statement = self.0.prepare(sql).map_err(|error| self.failed(error))?;
        let mut rows = statement.query([]).map_err(|error| self.failed(error))?;
        let (mut filled, mut left_out) = (0, 0);
        while let Some(row) = rows.next().map_err(|error| self.failed(error))? {
            let record = record_id(row, 0).ok();
            let suppressed = Suppressed::read(row).map_err(|what| self.unreadable(record, what))?;
            let is_taken = suppressed.settle(index).is_ok();
            *(if is_taken { &mut filled } else { &mut left_out }) += 1;
        }
        let base = imported::load_base(&self.dir(), &self.imports()?)?;
        filled += base.len();
        left_out += index.mount(base) as u64;
        self.fill_reversals(index)?;
        Ok((filled, left_out))
    }

    pub(in crate::store) const fn connection(&self) -> &Connection {
        &self.0
    }

    pub(in crate::store) fn segments(&self) -> Segments {
        Segments::of(&self.dir())
    }

    /// The store's folder.
    pub(in crate::store) fn dir(&self) -> PathBuf {
        self.path().parent().map(Path::to_owned).unwrap_or_default()
    }

    /// Every opt-out names a list, and so stands in `suppressed`.
    fn check_none_is_on_no_list(&self) -> Result<(), StoreError> {
        let sql = "SELECT writer_id, writer_seq, body FROM optout WHERE NOT EXISTS
                       (SELECT list FROM suppressed WHERE suppressed.number = optout.number
                           AND suppressed.writer_id = optout.writer_id
                           AND suppressed.writer_seq = optout.writer_seq)";
        let mut statement = self.0.prepare(sql).map_err(|error| self.failed(error))?;
        let mut rows = statement.query([]).map_err(|error| self.failed(error))?;
        while let Some(row) = rows.next().map_err(|error| self.failed(error))? {
            let body: String = row.get(2).unwrap_or_default();
            let optout: Option<OptOut> = serde_json::from_str(&body).ok();
            if optout.is_none_or(|optout| !optout.lists.is_empty()) {
                let record = record_id(row, 0).ok();
                return Err(self.unreadable(record, "it is on none of its lists"));
            }
        }
        Ok(())
    }

    pub(super) fn failed(&self, source: rusqlite::Error) -> StoreError {
        if is_damage(&source) {
            StoreError::DatabaseDamaged { path: self.path(), source }
        } else {
            StoreError::Database(source)
        }
    }

    pub(super) fn unreadable(&self, record: Option<RecordId>, what: &'static str) -> StoreError {
        StoreError::OptOutRow { path: self.path(), record, what }
    }

    fn path(&self) -> PathBuf {
        self.0.path().map(PathBuf::from).unwrap_or_default()
    }

    /// Writes everything to the new database `path`, as it stood at one moment.
    pub(in crate::store) fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let text = path.to_str().ok_or_else(|| StoreError::Io {
            doing: "name the copy of the database",
            path: path.to_owned(),
            source: std::io::ErrorKind::InvalidFilename.into(),
        })?;
        self.0.execute("VACUUM INTO ?1", [text]).map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// Whether every page of the database is sound; `is_quick` leaves the indices out.
    ///
    /// # Errors
    ///
    /// [`StoreError::DatabaseDamaged`] with the first thing that SQLite found.
    pub(in crate::store) fn check_sound(&self, is_quick: bool) -> Result<(), StoreError> {
        let sql = if is_quick { "PRAGMA quick_check(1)" } else { "PRAGMA integrity_check(1)" };
        let found: String =
            self.0.query_row(sql, [], |row| row.get(0)).map_err(|error| self.failed(error))?;
        if found == "ok" {
            return Ok(());
        }
        let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        Err(self.failed(rusqlite::Error::SqliteFailure(corrupt, Some(found))))
    }

    /// How many call records there are.
    pub(in crate::store) fn count_calls(&self) -> Result<u64, StoreError> {
        let sql = "SELECT COUNT(*) FROM call_record";
        let count = self.0.query_row(sql, [], |row| row.get(0));
        Ok(from_sql(count.map_err(|error| self.failed(error))?))
    }

    /// How many opt-outs `filter` finds, whether or not they still refuse.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub fn count(&self, filter: &Filter) -> Result<u64, StoreError> {
        let (conditions, values) = conditions(filter);
        let sql = format!("SELECT COUNT(*) FROM optout{conditions}");
        let mut statement = self.0.prepare(&sql)?;
        Ok(from_sql(statement.query_row(rusqlite::params_from_iter(values), |row| row.get(0))?))
    }

    /// Hands the opt-outs that `filter` finds to `visit`, by the time of the press, then by
    /// record, until it breaks; and behind them the numbers of imports, where the filter asks for
    /// them (see [`Filter::finds_imports`]), by the time of the import, then ascending. Rows are read as they are visited, so that memory does not grow
    /// with their number.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`], and [`StoreError::Row`] for a row that is no opt-out.
    pub fn export(
        &self,
        filter: &Filter,
        mut visit: impl FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let (conditions, values) = conditions(filter);
        let sql = format!(
            "SELECT optout.writer_id, optout.writer_seq, written_us, optout.body, durable_us,
                 confirmed_us, outcome,
                 reversed.list, reversal.writer_id, reversal.writer_seq, reversal.body
             FROM optout LEFT JOIN confirmation
                 ON confirmation.ref_writer = optout.writer_id
                 AND confirmation.ref_seq = optout.writer_seq
             LEFT JOIN reversed ON reversed.ref_writer = optout.writer_id
                 AND reversed.ref_seq = optout.writer_seq AND reversed.number = optout.number
             LEFT JOIN reversal ON reversal.writer_id = reversed.writer_id
                 AND reversal.writer_seq = reversed.writer_seq
             {conditions} ORDER BY pressed_us, optout.writer_id, optout.writer_seq,
                 reversed_us, reversal.writer_id, reversal.writer_seq, reversed.list"
        );
        let mut statement = self.0.prepare(&sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        let mut hand_on = |entry: Option<Entry>| match entry {
            Some(entry) if filter.finds_entry(&entry) => visit(entry).is_break(),
            _ => false,
        };
        // A row for each list of each reversal; an opt-out without any has one.
        let mut waiting: Option<Entry> = None;
        while let Some(row) = rows.next()? {
            let record = record_id(row, 0)?;
            let undone = undone(row, 7)?;
            if let Some(entry) = waiting.as_mut().filter(|entry| entry.record == record) {
                entry.reversed.extend(undone);
                continue;
            }
            let next = Entry { reversed: undone.into_iter().collect(), ..entry(row)? };
            if hand_on(waiting.replace(next)) {
                return Ok(());
            }
        }
        if hand_on(waiting) || !filter.finds_imports() {
            return Ok(());
        }
        self.export_imports(filter, visit)
    }

    fn export_imports(
        &self,
        filter: &Filter,
        mut visit: impl FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let imports = self.imports()?;
        let segments = self.segments();
        for imported in imports.iter().filter(|imported| filter.finds(&imported.import)) {
            let mut is_over = false;
            let mut undone = self.undone_of(imported.record)?;
            let mut hand_on = |number| {
                let reversed = undone.remove(&number).unwrap_or_default();
                let entry = Entry { reversed, ..Entry::of_import(imported, number) };
                is_over = filter.finds_entry(&entry) && visit(entry).is_break();
                !is_over
            };
            match filter.number {
                Some(number) if segments.holds(imported, &imports, number)? => {
                    hand_on(number);
                }
                Some(_another) => {}
                None => {
                    for number in segments.remaining(imported, &imports)? {
                        if !hand_on(number?) {
                            break;
                        }
                    }
                }
            }
            if is_over {
                break;
            }
        }
        Ok(())
    }

    /// Everything on record of `number`, oldest first.
    ///
    /// # Errors
    ///
    /// As [`Self::export`].
    pub fn show(&self, number: Number) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        let filter = Filter { number: Some(number), ..Filter::default() };
        self.export(&filter, |entry| {
            entries.push(entry);
            ControlFlow::Continue(())
        })?;
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
        let mut conditions = Conditions::default();
        conditions.add("started_us >=", filter.from.map(|at| at.0));
        conditions.add("started_us <", filter.to.map(|at| at.0));
        conditions.add("campaign =", filter.campaign.as_ref().map(|name| name.to_string()));
        conditions.add("number =", filter.number.map(|number| to_sql(number.digits())));
        let sql =
            format!("SELECT body FROM call_record{} ORDER BY started_us, call_id", conditions.sql);
        let mut statement = self.0.prepare(&sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(conditions.values))?;
        while let Some(row) = rows.next()? {
            let body: String = row.get(0)?;
            let call = serde_json::from_str(&body).map_err(|source| StoreError::Row { source })?;
            if visit(call).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// One reason why a number is refused.
struct Suppressed {
    record: RecordId,
    number: Number,
    list: ListName,
    account: Option<AccountName>,
    campaign: Option<CampaignName>,
}

impl Suppressed {
    /// The reason in a row of [`Reader::fill`], or what is wrong with it.
    fn read(row: &Row<'_>) -> Result<Self, &'static str> {
        let record = record_id(row, 0).map_err(|_error| "it names no record")?;
        let number: i64 = row.get(2).map_err(|_error| "its number is none")?;
        let list: String = row.get(3).map_err(|_error| "its list is no name")?;
        let written: Option<i64> = row.get(4).map_err(|_error| "its opt-out has no number")?;
        let account: Option<String> = row.get(5).map_err(|_error| "its account is no name")?;
        let campaign: Option<String> = row.get(6).map_err(|_error| "its campaign is no name")?;
        match written {
            Some(written) if written == number => {}
            Some(_) => return Err("its number is not that of its opt-out"),
            None => return Err("its opt-out is missing"),
        }
        let number = Number::from_e164_digits(from_sql(number)).ok_or("its number is none")?;
        let account = account.as_deref().map(AccountName::from);
        let campaign = campaign.as_deref().map(CampaignName::from);
        Ok(Self { record, number, list: list.as_str().into(), account, campaign })
    }

    fn settle(self, index: &Index) -> Result<(), ListLimitError> {
        let (account, campaign) = (self.account.as_ref(), self.campaign.as_ref());
        index.settle(self.number, &[self.list], account, campaign, self.record)
    }
}

/// A `WHERE` clause in the making; values never stand in the text.
#[derive(Default)]
struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    fn add<T: Into<Value>>(&mut self, left: &str, value: Option<T>) {
        self.add_wrapped(left, "", value);
    }

    fn add_wrapped<T: Into<Value>>(&mut self, before: &str, after: &str, value: Option<T>) {
        let Some(value) = value else { return };
        self.values.push(value.into());
        let word = if self.sql.is_empty() { "WHERE" } else { "AND" };
        let place = self.values.len();
        self.sql.push_str(&format!(" {word} {before} ?{place}{after}"));
    }
}

fn conditions(filter: &Filter) -> (String, Vec<Value>) {
    let mut conditions = Conditions::default();
    conditions.add("pressed_us >=", filter.from.map(|at| at.0));
    conditions.add("pressed_us <", filter.to.map(|at| at.0));
    conditions.add("campaign =", filter.campaign.as_ref().map(|name| name.to_string()));
    conditions.add("origin =", filter.origin.map(|origin| origin.as_str().to_owned()));
    let of = "(optout.writer_id, optout.writer_seq) IN
        (SELECT writer_id, writer_seq FROM suppressed WHERE";
    let list = filter.list.as_ref().map(|name| name.to_string());
    conditions.add_wrapped(&format!("{of} list ="), ")", list);
    let number = filter.number.map(|number| to_sql(number.digits()));
    conditions.add_wrapped(&format!("{of} number ="), ")", number);
    (conditions.sql, conditions.values)
}

fn entry(row: &Row<'_>) -> Result<Entry, StoreError> {
    let body: String = row.get(3)?;
    let outcome: Option<String> = row.get(6)?;
    Ok(Entry {
        record: record_id(row, 0)?,
        optout: serde_json::from_str(&body).map_err(|source| StoreError::Row { source })?,
        written_at: UnixMicros(row.get(2)?),
        durable_at: row.get::<_, Option<i64>>(4)?.map(UnixMicros),
        confirmed_at: row.get::<_, Option<i64>>(5)?.map(UnixMicros),
        outcome: outcome.as_deref().and_then(Outcome::from_name),
        reversed: Vec::new(),
    })
}

/// The record whose writer and sequence number stand from column `at` on.
pub(super) fn record_id(row: &Row<'_>, at: usize) -> Result<RecordId, StoreError> {
    let writer = WriterId(from_sql(row.get(at)?));
    Ok(RecordId { writer, seq: from_sql(row.get(at + 1)?) })
}
