//! Our own exports, read again: each row says which number or range, on which lists, for whom, in
//! which campaign and what that was about, and on which of the lists it was reversed.
//!
//! What was reversed does not refuse anew, and nothing of a row takes anything off: a file can
//! only add. The evidence of a row (keys, calls, who entered it) stays in the file, whose SHA-256
//! the record of the import carries; what refuses whom is what is imported.

use std::collections::BTreeMap;
use std::io::Read;

use serde::Deserialize;
use serde::Serialize;

use crate::model::AccountName;
use crate::model::BulkReader;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::Number;
use crate::model::TopicName;
use crate::model::UnixMicros;
use crate::suppression::export::COLUMNS;
use crate::suppression::export::JsonRow;
use crate::suppression::export::read_json_line;
use crate::suppression::range::Range;

use super::ImportError;
use super::Lines;
use super::Reason;
use super::Sink;
use super::lines::Line;
use super::reading::Last;
use super::reading::Reading;
use super::reading::meant_range;
use super::reading::without_decimals;

/// What is wrong with a line of JSON that is no entry.
const EXPECTED: &str = "an opt-out as `optout export --format jsonl` writes it";

/// Whom a row of an export is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// A number.
    One(Number),
    /// All numbers of a range.
    Range(Range),
}

/// What a row of an export says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Whom it is about.
    pub whom: Whom,
    /// The lists on which it still refuses; none where all of it was reversed.
    pub lists: Vec<ListName>,
    /// For which account.
    pub account: Option<AccountName>,
    /// In which campaign.
    pub campaign: Option<CampaignName>,
    /// What that campaign was about then, where the row says so.
    pub topic: Option<TopicName>,
    /// When the key was pressed, or the wish was entered.
    pub said_at: UnixMicros,
    /// Under which key the number is hashed, where the row says one.
    pub number_key: Option<String>,
}

/// Whether the first line of a file is that of an export: a JSON object, or the header with the
/// columns that no other table has.
pub(super) fn is_export(first: &[u8]) -> bool {
    let first = first.trim_ascii();
    let has = |name: &str| memchr::memmem::find(first, name.as_bytes()).is_some();
    first.starts_with(b"{") || ["pressed_at", "number", "standing_lists"].into_iter().all(has)
}

/// Where the columns of an export's table are; spreadsheets may have moved them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Columns(BTreeMap<String, usize>);

/// The column that says under which key numbers are hashed.
const NUMBER_KEY: &str = "number_key";
/// The column that says what the campaign was about.
const TOPIC: &str = "topic";

/// The columns that say who is refused, by whom and since when.
const NEEDED: [&str; 5] = ["pressed_at", "number", "standing_lists", "account", "campaign"];

impl Columns {
    /// By the header.
    ///
    /// # Errors
    ///
    /// [`ImportError::ColumnUnknown`] for the first that is missing.
    pub(super) fn of(header: &[Vec<u8>]) -> Result<Self, ImportError> {
        let mut places = BTreeMap::new();
        for name in NEEDED {
            let place = header.iter().position(|cell| cell == name.as_bytes());
            let place = place.ok_or_else(|| ImportError::ColumnUnknown {
                named: name.to_owned(),
                found: format!("{} of the {} of an export", header.len(), COLUMNS.len()),
            })?;
            places.insert(name.to_owned(), place);
        }
        // Tables of before lack these columns, and say nothing of hashes and topics.
        for name in [NUMBER_KEY, TOPIC] {
            let place = header.iter().position(|cell| cell == name.as_bytes());
            places.extend(place.map(|place| (name.to_owned(), place)));
        }
        Ok(Self(places))
    }

    /// The text of a cell that may be missing.
    fn cell<'a>(&self, name: &str, cells: &'a [Vec<u8>]) -> Option<&'a str> {
        let cell = cells.get(*self.0.get(name)?)?;
        std::str::from_utf8(cell).ok()
    }

    /// What a row says.
    pub(super) fn read(
        &self,
        cells: &[Vec<u8>],
        numbers: &mut BulkReader,
    ) -> Result<Exported, Reason> {
        let cell = |name: &str| {
            let place = self.0.get(name).copied().unwrap_or(usize::MAX);
            let missing = Reason::Columns { column: place.saturating_add(1), found: cells.len() };
            cells.get(place).ok_or(missing)
        };
        let text = |name: &'static str| {
            let expected = "names in UTF-8";
            std::str::from_utf8(cell(name)?).map_err(|_error| Reason::Record { expected })
        };
        let expected = "a time such as 2026-11-22T18:00:00.000000Z in pressed_at";
        let said_at = UnixMicros::from_iso8601(text("pressed_at")?);
        let name = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Ok(Exported {
            whom: whom(cell("number")?, numbers)?,
            lists: text("standing_lists")?.split_whitespace().map(ListName::from).collect(),
            account: name(text("account")?).as_deref().map(AccountName::from),
            campaign: name(text("campaign")?).as_deref().map(CampaignName::from),
            said_at: said_at.ok_or(Reason::Record { expected })?,
            // A spreadsheet leaves out what is empty at the end of a row.
            topic: self.cell(TOPIC, cells).and_then(name).as_deref().map(TopicName::from),
            number_key: self.cell(NUMBER_KEY, cells).and_then(name),
        })
    }
}

/// The number or range of a cell. A number that is whole is taken as it stands: numbering plans
/// change, and who opted out by a number that was valid then is refused now.
fn whom(cell: &[u8], numbers: &mut BulkReader) -> Result<Whom, Reason> {
    if let Some(range) = meant_range(cell) {
        return range.map(of_range).map_err(Reason::Range);
    }
    let whole = std::str::from_utf8(cell).ok().and_then(Number::from_record);
    if let Some(number) = whole {
        return Ok(Whom::One(number));
    }
    let cell = without_decimals(numbers, cell)?;
    numbers.read(cell).map(Whom::One).map_err(Reason::Number)
}

/// A range of one number is that number: hashed where numbers are, and found as one.
fn of_range(range: Range) -> Whom {
    range.only().map_or(Whom::Range(range), Whom::One)
}

/// What a line of JSON says.
fn of_json(line: &Line<'_>) -> Result<Exported, Reason> {
    if line.is_long {
        return Err(Reason::Long);
    }
    let row = read_json_line(line.text).map_err(|_error| Reason::Record { expected: EXPECTED })?;
    Ok(match row {
        JsonRow::Entry(entry) => Exported {
            whom: Whom::One(entry.optout.number),
            lists: entry.standing().cloned().collect(),
            account: entry.optout.account,
            campaign: entry.optout.campaign,
            topic: entry.optout.topic,
            said_at: entry.optout.pressed_at,
            number_key: entry.number_key,
        },
        JsonRow::Range(entry) => Exported {
            whom: of_range(entry.range),
            lists: vec![entry.list],
            account: entry.account,
            campaign: entry.campaign,
            topic: entry.topic,
            said_at: entry.imported_at,
            number_key: None,
        },
    })
}

/// Whether `text` is one that every database takes as a name, and that a line of a table shows whole.
pub fn is_name(text: &str) -> bool {
    !text.contains(char::is_control)
}

impl Exported {
    fn has_names(&self) -> bool {
        let lists = self.lists.iter().map(ListName::as_str);
        let account = self.account.iter().map(AccountName::as_str);
        let campaign = self.campaign.iter().map(CampaignName::as_str);
        let topic = self.topic.iter().map(TopicName::as_str);
        lists.chain(account).chain(campaign).chain(topic).all(is_name)
    }
}

impl Reading {
    /// Reads lines of JSON.
    pub(super) fn json<R: Read>(
        &mut self,
        lines: &mut Lines<R>,
        sink: &mut impl Sink,
    ) -> Result<Last, ImportError> {
        let mut last = self.last;
        loop {
            self.tell_place(lines, last, None, sink)?;
            let Some(line) = lines.next()? else { return Ok(last) };
            last = Last { line: line.number, is_cut: !line.is_ended, is_unended: false };
            if line.text.trim_ascii().is_empty() && !line.is_long {
                continue;
            }
            self.exported(&line, of_json(&line), sink)?;
        }
    }

    /// Takes what a row says, or rejects it.
    pub(super) fn exported(
        &mut self,
        line: &Line<'_>,
        exported: Result<Exported, Reason>,
        sink: &mut impl Sink,
    ) -> Result<(), ImportError> {
        const NAMES: Reason = Reason::Record { expected: "names without control characters" };
        let exported = match exported {
            Ok(exported) if exported.has_names() => exported,
            Ok(_exported) => return self.reject(line, NAMES, sink).map(drop),
            Err(reason) => return self.reject(line, reason, sink).map(drop),
        };
        match exported.whom {
            // Looked for by another key, or by the number itself, it would be found by nobody.
            Whom::One(number)
                if number.is_keyed()
                    && (self.number_key.is_none() || exported.number_key != self.number_key) =>
            {
                let expected = "a number, or one that is hashed under the key of this store";
                return self.reject(line, Reason::Record { expected }, sink).map(drop);
            }
            Whom::One(_number) => self.tally.listed += exported.lists.len() as u64,
            // What was reversed goes nowhere.
            Whom::Range(_range) if exported.lists.is_empty() => {}
            Whom::Range(range) if !self.may_be(range) => {
                return Err(ImportError::Wide { line: line.number });
            }
            Whom::Range(range) if !self.keep(range) => {
                return self.reject(line, Reason::Ranges, sink).map(drop);
            }
            Whom::Range(_kept) => {}
        }
        self.tally.read += 1;
        sink.exported(&exported)?;
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "the tests index what they drew themselves")]
mod tests;
