//! Opt-outs for people and their spreadsheets: what to ask for, and CSV and JSON lines of it.
//!
//! A row is an opt-out, a number that stands on a list by an import, or a range that does.

use std::io;

use serde::{Deserialize, Serialize};

use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::UnixMicros;
use crate::model::hex;

use super::evidence::EvidenceDeleted;
use super::fact::Outcome;
use super::import::Import;
use super::import::Imported;
use super::optout::OptOut;
use super::optout::Origin;
use super::reversal::Authority;
use super::reversal::Undone;

mod range;

pub use range::RangeEntry;

/// Which opt-outs are asked for; every condition that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Pressed at this time or later.
    pub from: Option<UnixMicros>,
    /// Pressed before this time.
    pub to: Option<UnixMicros>,
    /// In calls of this campaign.
    pub campaign: Option<CampaignName>,
    /// On this list.
    pub list: Option<ListName>,
    /// Of this origin.
    pub origin: Option<Origin>,
    /// Of this number.
    pub number: Option<Number>,
    /// Only what still refuses: on `list` where one is given, else on any list.
    pub is_standing: bool,
    /// Also the numbers of imports where nothing else asks for them.
    pub with_imports: bool,
}

impl Filter {
    /// Whether the numbers of imports are asked for: those of a list or one number, unless of
    /// another origin, or imports by name. Without these an export holds what people said
    /// themselves, not a registry of millions.
    pub fn finds_imports(&self) -> bool {
        match self.origin {
            Some(origin) => origin == Origin::Import,
            None => self.with_imports || self.list.is_some() || self.number.is_some(),
        }
    }

    /// Whether ranges are asked for: with the numbers of imports, unless only one of these is.
    pub fn finds_ranges(&self) -> bool {
        self.finds_imports() && self.number.is_none()
    }

    /// Whether imports are left out that somebody who wants everything would miss.
    pub fn leaves_imports_out(&self) -> bool {
        self.origin.is_none() && !self.finds_imports()
    }

    /// Whether `import` is one of those that are asked for, whatever its numbers.
    pub fn finds(&self, import: &Import) -> bool {
        let at = import.imported_at;
        import.withdraws.is_none()
            && self.campaign.is_none()
            && self.from.is_none_or(|from| from <= at)
            && self.to.is_none_or(|to| at < to)
            && self.list.as_ref().is_none_or(|list| *list == import.list)
    }

    /// Whether `entry`, which fits all else, is asked for as it stands now.
    pub fn finds_entry(&self, entry: &Entry) -> bool {
        let is_asked = |list: &&ListName| self.list.as_ref().is_none_or(|asked| asked == *list);
        !self.is_standing || entry.standing().any(|list| is_asked(&list))
    }
}

/// One opt-out with all that followed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The record, in its text form.
    #[serde(with = "crate::model::record_text")]
    pub record: RecordId,
    /// What was taken down.
    pub optout: OptOut,
    /// When the record was handed to the disk.
    pub written_at: UnixMicros,
    /// When it was known to be on disk; `None` where the process ended before saying so.
    pub durable_at: Option<UnixMicros>,
    /// When the confirmation to the person began, or was given up.
    pub confirmed_at: Option<UnixMicros>,
    /// How the confirmation ended.
    pub outcome: Option<Outcome>,
    /// On which of its lists it no longer refuses, by which reversals, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reversed: Vec<Undone>,
    /// Under which key the number is hashed, where it is: under another one it is nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_key: Option<String>,
    /// That what proves it was deleted, where it was: it refuses all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_deleted: Option<EvidenceDeleted>,
}

impl Entry {
    /// A number that stands on a list by an import, as an opt-out of the origin `import`; the
    /// reason is the import's source and its day.
    pub fn of_import(imported: &Imported, number: Number) -> Self {
        let Imported { record, written_at, import } = imported;
        Self {
            record: *record,
            optout: OptOut {
                account: import.account.clone(),
                campaign: import.campaign.clone(),
                topic: import.topic.clone(),
                actor: import.actor.clone(),
                reason: reason(import),
                ..OptOut::new(
                    number,
                    vec![import.list.clone()],
                    Origin::Import,
                    import.node.clone(),
                    import.imported_at,
                )
            },
            written_at: *written_at,
            durable_at: None,
            confirmed_at: None,
            outcome: None,
            reversed: Vec::new(),
            number_key: None,
            evidence_deleted: None,
        }
    }

    /// A number that stood on a list by an import until `by`, a change list of its registry, took it
    /// off: told as what was reversed is.
    pub fn taken_off(imported: &Imported, by: &Imported, number: Number) -> Self {
        let words = Some("taken off by the registry's change list".to_owned());
        let reason: Vec<String> = words.into_iter().chain(reason(&by.import)).collect();
        let undone = Undone {
            list: by.import.list.clone(),
            record: by.record,
            reversed_at: by.import.imported_at,
            // Whoever imports has the store or its socket.
            authority: Authority::LocalOperator,
            actor: by.import.actor.clone(),
            reason: reason.join(", "),
        };
        Self { reversed: vec![undone], ..Self::of_import(imported, number) }
    }

    /// Those of its lists on which no reversal has cancelled it.
    pub fn standing(&self) -> impl Iterator<Item = &ListName> {
        let is_undone = |list: &ListName| self.reversed.iter().any(|undone| undone.list == *list);
        self.optout.lists.iter().filter(move |list| !is_undone(list))
    }
}

/// The source and the days of an import, as far as it says them.
fn reason(import: &Import) -> Option<String> {
    let day = |at: UnixMicros| at.iso8601().chars().take_while(|c| *c != 'T').collect::<String>();
    let source = Some(import.source.clone()).filter(|source| !source.is_empty());
    let as_of = import.as_of.map(|at| format!("as of {}", day(at)));
    let said = import.said.map(|(first, last)| match (day(first), day(last)) {
        (first, last) if first == last => format!("said on {first}"),
        (first, last) => format!("said from {first} to {last}"),
    });
    let parts: Vec<String> = [source, as_of, said].into_iter().flatten().collect();
    Some(parts.join(", ")).filter(|reason| !reason.is_empty())
}

/// A row of an export.
pub trait Row: Serialize {
    /// Its cells, in the order of [`COLUMNS`], as they are: what may be a formula is for the form
    /// to defuse.
    fn cells(&self) -> [String; COLUMNS.len()];
}

/// A row as it stands in a line of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonRow {
    /// An opt-out, or a number of an import.
    Entry(Box<Entry>),
    /// A range.
    Range(RangeEntry),
}

/// Reads what [`write_json_line`] has written.
///
/// # Errors
///
/// What a line that is neither lacks as an opt-out.
pub fn read_json_line(line: &[u8]) -> serde_json::Result<JsonRow> {
    // Nearly every line is an entry; a range has none of what that cannot do without.
    serde_json::from_slice(line).map(JsonRow::Entry).or_else(|error| {
        serde_json::from_slice(line).map(JsonRow::Range).map_err(|_no_range| error)
    })
}

/// The columns of the CSV, in order. Times are ISO 8601 in UTC; `durable_at` is the time of the
/// write where the process ended before the disk's answer was kept; `confirmed_at` is empty
/// unless the whole confirmation was played; `lists` are separated by a space. `standing_lists` are
/// those of them on which no reversal has cancelled the record; the columns behind it are empty
/// without one, and where there are several, the oldest first, `; ` stands between them. `number_key`
/// is empty unless numbers are hashed; `evidence_deleted_at` unless what proves the record was deleted,
/// by request or since it had been kept for long enough. `topic` is what the campaign was about then,
/// and last, since it came last.
pub const COLUMNS: [&str; 28] = [
    "pressed_at",
    "durable_at",
    "confirmed_at",
    "number",
    "lists",
    "account",
    "campaign",
    "digits",
    "method",
    "origin",
    "dialer",
    "trunk",
    "sip_call_id",
    "leg",
    "node",
    "record",
    "prompt_sha256",
    "outcome",
    "actor",
    "reason",
    "standing_lists",
    "reversed_at",
    "reversed_by",
    "reversal_reason",
    "reversal_record",
    "number_key",
    "evidence_deleted_at",
    "topic",
];

/// Writes entries as CSV (RFC 4180, every field quoted, so that a spreadsheet asked for text
/// columns keeps `+34600123456` whole).
///
/// A field that a spreadsheet would run as a formula gets an apostrophe in front, a range among
/// them. Numbers begin with a plus too, but hold digits alone, and stay as they are.
#[derive(Debug)]
pub struct CsvExport<W: io::Write>(csv::Writer<W>);

impl<W: io::Write> CsvExport<W> {
    /// Begins the table with its header line.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn new(out: W) -> io::Result<Self> {
        let mut writer =
            csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(out);
        writer.write_record(COLUMNS)?;
        Ok(Self(writer))
    }

    /// Writes one line.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn write(&mut self, row: &impl Row) -> io::Result<()> {
        Ok(self.0.write_record(row.cells().map(|cell| defused(&cell)))?)
    }

    /// Hands everything to the output.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes one row as a line of JSON.
///
/// # Errors
///
/// Those of `out`.
pub fn write_json_line(out: &mut impl io::Write, row: &impl Row) -> io::Result<()> {
    serde_json::to_writer(&mut *out, row)?;
    out.write_all(b"\n")
}

impl Row for Entry {
    fn cells(&self) -> [String; COLUMNS.len()] {
        let (entry, optout) = (self, &self.optout);
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let joined = |lists: Vec<&ListName>| {
            lists.into_iter().map(ListName::as_str).collect::<Vec<_>>().join(" ")
        };
        let reversals = reversals(entry);
        let each = |cell: fn(&Undone) -> String| {
            reversals.iter().map(|undone| cell(undone)).collect::<Vec<_>>().join("; ")
        };
        let played = entry.outcome == Some(Outcome::Played);
        let confirmed_at = entry.confirmed_at.filter(|_at| played);
        [
            optout.pressed_at.iso8601(),
            entry.durable_at.unwrap_or(entry.written_at).iso8601(),
            confirmed_at.map(UnixMicros::iso8601).unwrap_or_default(),
            optout.number.reveal(),
            joined(optout.lists.iter().collect()),
            text(optout.account.as_ref().map(|name| name.as_str())),
            text(optout.campaign.as_ref().map(|name| name.as_str())),
            optout.digits.to_string(),
            optout.method.map(|method| method.as_str().to_owned()).unwrap_or_default(),
            optout.origin.as_str().to_owned(),
            text(optout.dialer.as_ref().map(|name| name.as_str())),
            text(optout.trunk.as_ref().map(|name| name.as_str())),
            text(optout.sip_call_id.as_deref()),
            optout.leg.map(|leg| leg.as_str().to_owned()).unwrap_or_default(),
            optout.node.to_string(),
            entry.record.to_string(),
            optout.prompt_sha256.map(|sha256| hex(&sha256)).unwrap_or_default(),
            entry.outcome.map(|outcome| outcome.as_str().to_owned()).unwrap_or_default(),
            text(optout.actor.as_deref()),
            text(optout.reason.as_deref()),
            joined(entry.standing().collect()),
            each(|undone| undone.reversed_at.iso8601()),
            each(|undone| undone.actor.clone().unwrap_or_default()),
            each(|undone| undone.reason.clone()),
            each(|undone| undone.record.to_string()),
            text(entry.number_key.as_deref()),
            entry.evidence_deleted.map(|gone| gone.at.iso8601()).unwrap_or_default(),
            text(optout.topic.as_ref().map(|name| name.as_str())),
        ]
    }
}

/// One of each reversal, which may have cancelled an entry on several lists.
fn reversals(entry: &Entry) -> Vec<&Undone> {
    let mut reversals: Vec<&Undone> = Vec::new();
    for undone in &entry.reversed {
        if reversals.iter().all(|known| known.record != undone.record) {
            reversals.push(undone);
        }
    }
    reversals
}

/// An apostrophe before what spreadsheets take for a formula: `= + - @`, tab, carriage return
/// (OWASP, CSV injection). A plus and digits alone is a telephone number, which no spreadsheet can
/// make anything of but itself, and stays readable. Our own reader takes the apostrophe off again, and
/// so one is put before a text that begins with one, too.
pub fn defused(text: &str) -> String {
    let is_number = |digits: &str| digits.bytes().all(|octet| octet.is_ascii_digit());
    if text.strip_prefix('+').is_some_and(is_number) {
        return text.to_owned();
    }
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\'']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WriterId;

    fn entry() -> Entry {
        Entry {
            record: RecordId { writer: WriterId(0x0123_4567_89ab_cdef), seq: 42 },
            optout: OptOut {
                account: Some("acme".into()),
                campaign: Some("=HYPERLINK(1)".into()),
                topic: Some("energy".into()),
                digits: "*9".parse().expect("these are keys"),
                method: Some(super::super::KeyMethod::Tone),
                sip_call_id: Some("+a \"b\", c@host".to_owned()),
                leg: Some(super::super::Leg::B),
                prompt_sha256: Some([0xab; 32]),
                reason: Some("-1+1".to_owned()),
                ..OptOut::new(
                    Number::from_e164("+34600123456").expect("the number is E.164"),
                    vec!["global".into(), "acme".into()],
                    Origin::DialledCode,
                    "madrid-1".into(),
                    UnixMicros(0),
                )
            },
            written_at: UnixMicros(1_000),
            durable_at: None,
            confirmed_at: Some(UnixMicros(2_000_000)),
            outcome: Some(Outcome::Played),
            reversed: Vec::new(),
            number_key: None,
            evidence_deleted: None,
        }
    }

    #[test]
    fn a_line_keeps_the_number_and_defuses_formulas() {
        let mut out = Vec::new();
        let mut export = CsvExport::new(&mut out).unwrap();
        export.write(&entry()).unwrap();
        export.finish().unwrap();
        let text = String::from_utf8(out).unwrap();
        let line = text.lines().nth(1).unwrap();
        let want = format!(
            "\"1970-01-01T00:00:00.000000Z\",\"1970-01-01T00:00:00.001000Z\",\
             \"1970-01-01T00:00:02.000000Z\",\"+34600123456\",\"global acme\",\"acme\",\
             \"'=HYPERLINK(1)\",\"*9\",\"tone\",\"dialled_code\",\"\",\"\",\
             \"'+a \"\"b\"\", c@host\",\"b\",\"madrid-1\",\"0123456789abcdef-42\",\"{}\",\
             \"played\",\"\",\"'-1+1\",\"global acme\",\"\",\"\",\"\",\"\",\"\",\"\",\"energy\"",
            "ab".repeat(32)
        );
        assert_eq!(line, want);
    }

    #[test]
    fn a_row_tells_each_reversal_once_and_which_lists_stand() {
        let undone = |list: &str, seq: u64, actor: Option<&str>| Undone {
            list: list.into(),
            record: RecordId { writer: WriterId(1), seq },
            reversed_at: UnixMicros(seq.cast_signed() * 1_000_000),
            authority: Authority::LocalOperator,
            actor: actor.map(str::to_owned),
            reason: format!("form {seq}"),
        };
        let told = |reversed| Entry { reversed, ..entry() }.cells()[20..25].join(" | ");
        let one = undone("acme", 1, Some("ana"));
        #[rustfmt::skip]
        let cases = [
            ("none",              vec![],                                             "global acme |  |  |  | "),
            ("one, of one list",  vec![one.clone()],                                  "global | 1970-01-01T00:00:01.000000Z | ana | form 1 | 0000000000000001-1"),
            ("one, of both",      vec![one.clone(), undone("global", 1, Some("ana"))], " | 1970-01-01T00:00:01.000000Z | ana | form 1 | 0000000000000001-1"),
            ("one of each",       vec![one, undone("global", 2, None)],               " | 1970-01-01T00:00:01.000000Z; 1970-01-01T00:00:02.000000Z | ana;  | form 1; form 2 | 0000000000000001-1; 0000000000000001-2"),
        ];
        for (name, reversed, want) in cases {
            assert_eq!(told(reversed), want, "{name}");
        }
    }

    #[test]
    fn a_confirmation_cut_short_is_not_called_confirmed() {
        let mut entry = entry();
        entry.outcome = Some(Outcome::CutShort);
        entry.durable_at = Some(UnixMicros(3_000));
        let columns = entry.cells();
        assert_eq!((columns[2].as_str(), columns[17].as_str()), ("", "cut_short"));
        assert_eq!(columns[1], "1970-01-01T00:00:00.003000Z");
    }

    #[test]
    fn json_lines_carry_the_number_whole_and_the_record_as_text() {
        let mut out = Vec::new();
        write_json_line(&mut out, &entry()).unwrap();
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(line["record"], "0123456789abcdef-42");
        assert_eq!(line["optout"]["number"], "+34600123456");
        assert_eq!(out.last(), Some(&b'\n'));
        assert_eq!(serde_json::from_value::<Entry>(line).unwrap(), entry());
        assert_eq!(read_json_line(&out).unwrap(), JsonRow::Entry(Box::new(entry())));
        assert!(read_json_line(b"{\"range\":\"+34800*\"}").is_err());
    }
}
