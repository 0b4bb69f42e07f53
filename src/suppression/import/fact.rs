//! One import as one fact: which numbers, from where, and what it takes off again.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::NodeName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::TopicName;
use crate::model::UnixMicros;
use crate::suppression::Authority;
use crate::suppression::Undone;
use crate::suppression::range::Range;
use crate::suppression::registry::DAY_US;
use crate::suppression::segment::Content;
use crate::suppression::segment::SegmentName;

use super::Shape;
use super::Tally;

/// Imports of one registry that a change list may take off from. Our choice: three years of a
/// daily change list; beyond it the record would grow without end.
pub const REACH_MAX: usize = 1024;

/// By how much the earliest clock of all is before UTC, in microseconds: 14 hours, in the Line Islands
/// (tz database, Pacific/Kiritimati).
pub const EASTERNMOST_US: i64 = 14 * 3_600_000_000;

/// A file of numbers that was put on a list.
///
/// It names nobody but who did it: the numbers are in the segment. What a change list takes off
/// names the imports that it is taken off from, so that it never touches an opt-out, another
/// list, another registry or an import that its writer did not know, and so that the order in
/// which records arrive does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// The list.
    pub list: ListName,
    /// For whose calls; `None` reaches everybody.
    pub account: Option<AccountName>,
    /// In whose calls it was said, where the file is an export of ours; `None` reaches every
    /// campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<CampaignName>,
    /// What that campaign was about then, where the export's rows say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<TopicName>,
    /// When the first and the last of it was said, where the file is an export of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<(UnixMicros, UnixMicros)>,
    /// Where the file comes from, in the words of who imported it; may be empty.
    pub source: String,
    /// The day for which the source says so.
    pub as_of: Option<UnixMicros>,
    /// The shape of the file.
    pub shape: Shape,
    /// What was read of it.
    pub tally: Tally,
    /// SHA-256 of the file as it came, compressed or not.
    pub file_sha256: [u8; 32],
    /// The numbers that stand on the list by it; `None` where the file had none.
    pub listed: Option<Part>,
    /// The numbers that it takes off.
    pub taken_off: Option<TakenOff>,
    /// The import that it takes back; such a record has no numbers and no ranges of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdraws: Option<Withdrawal>,
    /// The engine that took it down.
    pub node: NodeName,
    /// Who imported it. No person's key covers it: it is about the operator.
    pub actor: Option<String>,
    /// When.
    pub imported_at: UnixMicros,
}

/// Some of an import's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The segment with them.
    pub segment: SegmentName,
    /// How many they are, each once.
    pub count: u64,
}

/// Numbers that a registry's change list took off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenOff {
    /// The numbers.
    pub part: Part,
    /// The imports of the same registry that they are taken off from, none of a later day;
    /// [`REACH_MAX`] at most.
    #[serde(deserialize_with = "no_more_than::<_, _, REACH_MAX>")]
    pub from: Vec<RecordId>,
}

/// An import that is taken back as a whole: its numbers, its ranges, what it took off and its day
/// count no more, as if it had never come. Opt-outs and other imports stand as they did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// The import's record; never one that takes another back.
    pub import: RecordId,
    /// By what right.
    pub authority: Authority,
    /// Why; nobody takes an import back without a reason.
    pub reason: String,
}

/// Reads a list of `MAX` at most: whoever can write to a shared database says how long it is.
pub(super) fn no_more_than<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let list = Vec::<T>::deserialize(deserializer)?;
    if list.len() > MAX {
        let expected = format!("at most {MAX}");
        return Err(D::Error::invalid_length(list.len(), &expected.as_str()));
    }
    Ok(list)
}

/// Which of `all` are taken back, and by which of them: the first in their order.
pub fn withdrawals(all: &[Imported]) -> BTreeMap<RecordId, &Imported> {
    let mut found = BTreeMap::new();
    for by in all {
        if let Some(withdrawal) = &by.import.withdraws {
            found.entry(withdrawal.import).or_insert(by);
        }
    }
    found
}

/// Those of `all` that hold: neither taken back, nor there to take another back. It follows from the
/// set of them, in whatever order they came.
pub fn standing(all: &[Imported]) -> impl Iterator<Item = &Imported> + Clone {
    let withdrawn: BTreeSet<RecordId> = withdrawals(all).into_keys().collect();
    all.iter().filter(move |it| it.import.withdraws.is_none() && !withdrawn.contains(&it.record))
}

/// An import with its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The record.
    pub record: RecordId,
    /// When it was handed to the disk.
    pub written_at: UnixMicros,
    /// What it says.
    pub import: Import,
}

impl Import {
    /// What `node` imports into `list` from a file of `shape`, for everybody, as long as nothing else
    /// is said of it: no number of it was read.
    pub fn new(list: ListName, shape: Shape, node: NodeName, imported_at: UnixMicros) -> Self {
        Self {
            list,
            account: None,
            campaign: None,
            topic: None,
            said: None,
            source: String::new(),
            as_of: None,
            shape,
            tally: Tally::default(),
            file_sha256: [0; 32],
            listed: None,
            taken_off: None,
            withdraws: None,
            node,
            actor: None,
            imported_at,
        }
    }

    /// The day that it speaks of: the one that was said, else the one on which it was made. An
    /// export of ours was made of what a store held, however old that was, and has none of its own.
    pub fn day(&self) -> Option<UnixMicros> {
        self.as_of.or_else(|| (self.shape != Shape::Export).then_some(self.imported_at))
    }

    /// Whether it speaks of a later day than `other` does. Its hour says nothing, and a day that had
    /// begun nowhere is the last one that had begun somewhere when it was made.
    pub fn is_later_than(&self, other: &Self) -> bool {
        let last = |import: &Self| UnixMicros(import.imported_at.0.saturating_add(EASTERNMOST_US));
        let day = |import: &Self| Some(import.day()?.min(last(import)).0.div_euclid(DAY_US));
        day(self) > day(other)
    }

    /// What becomes on its list of an entry by the import that it takes back, where it takes one
    /// back; `record` is its own.
    pub fn undone(&self, record: RecordId) -> Option<Undone> {
        let Withdrawal { authority, reason, .. } = self.withdraws.clone()?;
        let (list, actor) = (self.list.clone(), self.actor.clone());
        Some(Undone { list, record, reversed_at: self.imported_at, authority, actor, reason })
    }

    /// Whether `other` is the same import, not another one of the same file; whatever each takes off,
    /// since one that is not known to be durable takes nobody off.
    pub fn is_again(&self, other: &Self) -> bool {
        let Self { list, account, campaign, topic, shape, file_sha256, .. } = self;
        let Self { listed, withdraws, node, imported_at, .. } = self;
        let place = (&other.list, &other.account, &other.campaign, &other.topic);
        let file = (&other.shape, &other.file_sha256, &other.listed, &other.withdraws);
        (list, account, campaign, topic) == place
            && (shape, file_sha256, listed, withdraws) == file
            && (node, imported_at) == (&other.node, &other.imported_at)
    }

    /// The segments that it names, and what each holds.
    pub fn parts(&self) -> impl Iterator<Item = (&Part, Content)> {
        let listed = self.listed.as_ref().map(|part| (part, Content::Listed));
        let taken_off = self.taken_off.as_ref().map(|it| (&it.part, Content::TakenOff));
        listed.into_iter().chain(taken_off)
    }

    /// Whether `number` stands on the list by one of the import's ranges.
    pub fn is_in_range(&self, number: Number) -> bool {
        self.ranges_of(number).next().is_some()
    }

    /// The import's ranges by which `number` stands on the list.
    pub fn ranges_of(&self, number: Number) -> impl Iterator<Item = Range> {
        self.tally.ranges.iter().copied().filter(move |range| range.contains(number))
    }

    /// Whether a change list of `self` may take off what `other` put on: the same registry on the
    /// same list for the same account.
    pub fn is_of_registry(&self, other: &Self) -> bool {
        let registry = self.shape.registry();
        registry.is_some()
            && registry == other.shape.registry()
            && self.list == other.list
            && self.account == other.account
    }
}

impl Imported {
    /// Those of `all` that hold and take something off from this one.
    pub fn takers<'a>(&self, all: &'a [Self]) -> impl Iterator<Item = &'a TakenOff> {
        let record = self.record;
        let taken_off = standing(all).filter_map(|imported| imported.import.taken_off.as_ref());
        taken_off.filter(move |taken_off| taken_off.from.contains(&record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WriterId;
    use crate::suppression::import::RANGES_MAX;

    #[test]
    fn what_is_read_back_has_no_more_of_anything_than_what_is_written() {
        let range: Range = "+34800*".parse().unwrap();
        let ranges = |len| Tally { ranges: vec![range; len], ..Tally::default() };
        let from = |len| TakenOff {
            part: Part { segment: SegmentName([1; 32]), count: 1 },
            from: vec![RecordId { writer: WriterId(1), seq: 1 }; len],
        };
        let read = |text: String| serde_json::from_str::<Tally>(&text).is_ok();
        for (len, is_read) in [(0, true), (RANGES_MAX, true), (RANGES_MAX + 1, false)] {
            assert_eq!(read(serde_json::to_string(&ranges(len)).unwrap()), is_read, "{len} ranges");
        }
        let read = |text: String| serde_json::from_str::<TakenOff>(&text).is_ok();
        for (len, is_read) in [(1, true), (REACH_MAX, true), (REACH_MAX + 1, false)] {
            assert_eq!(read(serde_json::to_string(&from(len)).unwrap()), is_read, "from {len}");
        }
    }

    #[test]
    fn an_import_is_later_by_the_day_that_it_speaks_of_and_not_by_the_hour() {
        const HOUR: i64 = DAY_US / 24;
        let import = |shape, as_of: Option<i64>, imported_at| Import {
            as_of: as_of.map(UnixMicros),
            ..Import::new("us".into(), shape, "node".into(), UnixMicros(imported_at))
        };
        use Shape::{Export, FtcChange, FtcFull};
        let change = |day: i64| import(FtcChange, Some(day * DAY_US), 20 * DAY_US);
        #[rustfmt::skip]
        let cases = [
            ("the next day",             import(FtcFull, Some(10 * DAY_US), 20 * DAY_US), change(9), true),
            ("the same day",             import(FtcFull, Some(10 * DAY_US), 20 * DAY_US), change(10), false),
            ("the day before",           import(FtcFull, Some(10 * DAY_US), 20 * DAY_US), change(11), false),
            ("later on the same day",    import(FtcFull, None, 10 * DAY_US + 23 * HOUR),  change(10), false),
            ("an hour into the next",    import(FtcFull, None, 10 * DAY_US + HOUR),       change(9), true),
            ("a day to come",            import(FtcFull, Some(90 * DAY_US), 10 * DAY_US), change(10), false),
            ("begun in the east alone",  import(FtcFull, Some(11 * DAY_US), 10 * DAY_US + 16 * HOUR), change(10), true),
            ("of no day",                import(Export, None, 20 * DAY_US),               change(9), false),
        ];
        for (name, import, change, want) in cases {
            assert_eq!(import.is_later_than(&change), want, "{name}");
        }
    }
}
