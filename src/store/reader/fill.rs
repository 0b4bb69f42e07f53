//! Filling an index at a start: all that is on record, in pages.
//!
//! Each page is a question whose answer is short, by the key of its table: a server has to sort and
//! join nothing as a whole, nobody waits long for its first row, and whoever is to stop looks up
//! between two. Rows that come meanwhile may be seen or not.

use std::ops::ControlFlow;

use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::WriterId;
use crate::store::StoreError;
use crate::store::backend::Row;
use crate::store::backend::Value;
use crate::store::imported;
use crate::suppression::Index;
use crate::suppression::OptOut;
use crate::suppression::list::ListLimitError;

use super::Reader;
use super::record_id;

/// Rows of a page: some milliseconds of a server that has them in memory, and some seconds of one
/// whose disk must look for each.
const PAGE_LEN: usize = if cfg!(test) { 7 } else { 2_000 };

impl Reader {
    /// Puts every suppressed number into `index` and returns how many reasons single facts had, and
    /// numbers imports. Lists that only old records name take bits too; what is on a list beyond
    /// the 64th is left out and counted in the second figure, each import as one, since no campaign
    /// can ask for it either. Imports that the index knows and the database lacks stay. Keep
    /// [`Index::turn`] where somebody may import meanwhile.
    ///
    /// # Errors
    ///
    /// [`StoreError::OptOutRow`] at the first row that is not what was written: whoever is in it
    /// would be called. [`StoreError::DatabaseDamaged`] and [`StoreError::Database`].
    pub fn fill(&self, index: &Index) -> Result<(u64, u64), StoreError> {
        self.fill_unless(index, &|| false)
    }

    /// As [`Self::fill`], unless `is_over` says between two pages that nobody wants it any more.
    ///
    /// # Errors
    ///
    /// As [`Self::fill`], and [`StoreError::Closed`] when it is over.
    pub(in crate::store) fn fill_unless(
        &self,
        index: &Index,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(u64, u64), StoreError> {
        index.keep_numbers_as(&self.numbers);
        self.check_none_is_on_no_list(is_over)?;
        let (mut filled, mut left_out) = (0, 0);
        let mut after = None;
        let of_topics = index.lists_of_topics();
        loop {
            check_wanted(is_over)?;
            let page = self.suppressed_behind(after.take())?;
            let is_last = page.len() < PAGE_LEN;
            after = page.last().map(Suppressed::key);
            let ends = page.first().zip(page.last()).map(|(one, other)| (one.number, other.number));
            let is_on = |list: &&ListName| page.iter().any(|it| it.list == **list);
            let lists: Vec<ListName> = of_topics.iter().filter(is_on).cloned().collect();
            for suppressed in page {
                let is_taken = suppressed.settle(index).is_ok();
                *(if is_taken { &mut filled } else { &mut left_out }) += 1;
            }
            if let Some((first, last)) = ends {
                for list in &lists {
                    self.fill_topics(index, list, first, last)?;
                }
            }
            if is_last {
                break;
            }
        }
        check_wanted(is_over)?;
        let on_record = self.imports()?;
        let is_doubted = index.doubts(&on_record);
        let imports = index.with_known(on_record);
        let base = match is_doubted {
            // What is kept for a start says less, and this is not to be kept.
            true => imported::build_base(&self.dir, &imports, &mut |_done, _of| {})?,
            false => imported::load_base(&self.dir, &imports)?,
        };
        filled += base.len();
        left_out += index.mount(base) as u64;
        left_out += index.take_imports(&imports) as u64;
        self.fill_reversals(index)?;
        Ok((filled, left_out))
    }

    /// The reasons behind the one with the key `after`, in the order of the key, [`PAGE_LEN`] at
    /// most.
    fn suppressed_behind(&self, after: Option<[Value; 4]>) -> Result<Vec<Suppressed>, StoreError> {
        let columns = "SELECT suppressed.writer_id, suppressed.writer_seq, suppressed.number, list,
                       optout.number, account, campaign
                   FROM suppressed LEFT JOIN optout ON optout.writer_id = suppressed.writer_id
                       AND optout.writer_seq = suppressed.writer_seq";
        let behind = match after {
            None => "",
            // The first condition says where a database is to begin; the others what is behind.
            Some(_) => {
                "WHERE suppressed.number >= $1 AND (suppressed.number > $1 OR list > $2
                     OR (list = $2 AND (suppressed.writer_id > $3
                         OR (suppressed.writer_id = $3 AND suppressed.writer_seq > $4))))"
            }
        };
        let values = after.map(Vec::from).unwrap_or_default();
        let sql = format!(
            "{columns} {behind}
             ORDER BY suppressed.number, list, suppressed.writer_id, suppressed.writer_seq
             LIMIT {PAGE_LEN}"
        );
        let mut page = Vec::new();
        self.each(&sql, &values, |row| {
            let record = record_id(row, 0).ok();
            page.push(Suppressed::read(row).map_err(|what| self.unreadable(record, what))?);
            Ok(())
        })?;
        Ok(page)
    }

    /// Every opt-out names a list, and so stands in `suppressed`.
    fn check_none_is_on_no_list(&self, is_over: &dyn Fn() -> bool) -> Result<(), StoreError> {
        let next_of_writer = "SELECT writer_id, writer_seq FROM optout
                              WHERE writer_id = $1 AND writer_seq > $2
                              ORDER BY writer_seq LIMIT 1";
        let next_writer = "SELECT writer_id, writer_seq FROM optout WHERE writer_id > $1
                           ORDER BY writer_id, writer_seq LIMIT 1";
        let mut next = self.first_optout(next_writer, &[i64::MIN.into()])?;
        while let Some(first) = next {
            check_wanted(is_over)?;
            let last_seq = first.seq.saturating_add(PAGE_LEN as u64);
            self.check_on_lists(first, last_seq)?;
            let (writer, last_seq) = (Value::from(first.writer.0), Value::from(last_seq));
            next = self.first_optout(next_of_writer, &[writer.clone(), last_seq])?;
            if next.is_none() {
                next = self.first_optout(next_writer, &[writer])?;
            }
        }
        Ok(())
    }

    fn first_optout(&self, sql: &str, values: &[Value]) -> Result<Option<RecordId>, StoreError> {
        let mut found = None;
        self.select(sql, values, &mut |row| {
            let record = record_id(row, 0);
            found = Some(record.map_err(|_error| self.unreadable(None, "it names no record"))?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// The same of a stream's opt-outs from `first` to `last_seq`.
    fn check_on_lists(&self, first: RecordId, last_seq: u64) -> Result<(), StoreError> {
        let sql = "SELECT writer_id, writer_seq, body FROM optout
                   WHERE writer_id = $1 AND writer_seq >= $2 AND writer_seq <= $3 AND NOT EXISTS
                       (SELECT list FROM suppressed WHERE suppressed.number = optout.number
                           AND suppressed.writer_id = optout.writer_id
                           AND suppressed.writer_seq = optout.writer_seq)";
        let WriterId(writer) = first.writer;
        self.each(sql, &[writer.into(), first.seq.into(), last_seq.into()], |row| {
            let body = row.text(2).unwrap_or_default();
            let optout: Option<OptOut> = serde_json::from_str(body).ok();
            if optout.is_none_or(|optout| !optout.lists.is_empty()) {
                let record = record_id(row, 0).ok();
                return Err(self.unreadable(record, "it is on none of its lists"));
            }
            Ok(())
        })
    }
}

fn check_wanted(is_over: &dyn Fn() -> bool) -> Result<(), StoreError> {
    if is_over() { Err(StoreError::Closed) } else { Ok(()) }
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
    fn read(row: Row<'_>) -> Result<Self, &'static str> {
        let record = record_id(row, 0).map_err(|_error| "it names no record")?;
        let number = row.unsigned(2).map_err(|_error| "its number is none")?;
        let list = row.text(3).map_err(|_error| "its list is no name")?;
        let written = row.maybe_int(4).map_err(|_error| "its opt-out has no number")?;
        let account = row.maybe_text(5).map_err(|_error| "its account is no name")?;
        let campaign = row.maybe_text(6).map_err(|_error| "its campaign is no name")?;
        match written {
            Some(written) if written.cast_unsigned() == number => {}
            Some(_) => return Err("its number is not that of its opt-out"),
            None => return Err("its opt-out is missing"),
        }
        let number = Number::from_key(number).ok_or("its number is none")?;
        let (account, campaign) =
            (account.map(AccountName::from), campaign.map(CampaignName::from));
        Ok(Self { record, number, list: list.into(), account, campaign })
    }

    /// Its key in the table.
    fn key(&self) -> [Value; 4] {
        let RecordId { writer, seq } = self.record;
        [self.number.digits().into(), self.list.as_str().into(), writer.0.into(), seq.into()]
    }

    fn settle(self, index: &Index) -> Result<(), ListLimitError> {
        let (account, campaign) = (self.account.as_ref(), self.campaign.as_ref());
        index.settle(self.number, &[self.list], account, campaign, self.record)
    }
}
