//! What is exported is read again as it stood: any entry, written as CSV and as JSON lines, gives
//! the number, the lists that still refuse, account, campaign, topic and time.

use super::*;
use crate::model::NumberReader;
use crate::model::RecordId;
use crate::model::WriterId;
use crate::model::token::Seed;
use crate::model::token::TokenSource;
use crate::suppression::Authority;
use crate::suppression::OptOut;
use crate::suppression::Origin;
use crate::suppression::Undone;
use crate::suppression::export::CsvExport;
use crate::suppression::export::Entry;
use crate::suppression::export::RangeEntry;
use crate::suppression::export::write_json_line;
use crate::suppression::import::RANGES_MAX;
use crate::suppression::import::Rejected;
use crate::suppression::import::Settings;
use crate::suppression::import::Shape;
use crate::suppression::import::read;

const CASES: u64 = 20_000;
const LISTS: [&str; 4] = ["robinson", "comercial", "promo", "no-llamar_2"];
/// Names and words as people type them, and as somebody would who wants to break a table.
const WORDS: [&str; 9] = [
    "acme",
    "'quoted'",
    "=1+1",
    "+34 lists",
    "a \"b\", c",
    "línea\nnueva; y\tmás",
    "-x",
    "@x",
    "ñandú's",
];

/// What was read.
#[derive(Default)]
struct Rows {
    rows: Vec<Exported>,
    rejected: Vec<String>,
}

impl Sink for Rows {
    fn listed(&mut self, _number: Number) -> std::io::Result<()> {
        panic!("an export has lists of its own")
    }

    fn taken_off(&mut self, _number: Number) -> std::io::Result<()> {
        panic!("an export takes nothing off")
    }

    fn exported(&mut self, exported: &Exported) -> std::io::Result<()> {
        self.rows.push(exported.clone());
        Ok(())
    }

    fn rejected(&mut self, rejected: &Rejected<'_>) -> std::io::Result<()> {
        self.rejected.push(format!("line {}: {}", rejected.line, rejected.reason));
        Ok(())
    }
}

struct Dice(TokenSource);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end
    }

    fn one(&mut self, of: &[&'static str]) -> &'static str {
        of[self.below(of.len() as u64) as usize]
    }

    fn word(&mut self) -> Option<String> {
        (self.below(2) == 0).then(|| self.one(&WORDS).to_owned())
    }

    /// The name of an account or a campaign.
    fn name(&mut self) -> Option<String> {
        self.word().filter(|word| is_name(word))
    }

    fn some_lists(&mut self) -> Vec<ListName> {
        let first = self.one(&LISTS);
        let is_in = |list: &&&str| **list == first || self.below(3) == 0;
        LISTS.iter().filter(is_in).map(|list| ListName::from(*list)).collect()
    }

    fn entry(&mut self) -> Entry {
        // National numbers of any length, with those whose first digit is a country's only one.
        let digits = 10_u64.pow(6 + self.below(9) as u32) + self.below(999_999);
        let number = match self.below(8) {
            0 => Number::short_code(self.one(&["AA", "ES", "ZZ"]), self.one(&["0", "1004", "061"])),
            _ => Number::from_e164_digits(digits),
        };
        let lists = self.some_lists();
        let record = RecordId { writer: WriterId(self.below(9)), seq: 1 + self.below(99) };
        let reversed = (0..self.below(4)).map(|seq| Undone {
            list: lists[self.below(lists.len() as u64) as usize].clone(),
            record: RecordId { seq, ..record },
            reversed_at: UnixMicros(self.0.next_u64().cast_signed() >> 12),
            authority: Authority::LocalOperator,
            actor: self.word(),
            reason: self.word().unwrap_or_default(),
        });
        let reversed = reversed.collect();
        Entry {
            record,
            optout: OptOut {
                account: self.name().as_deref().map(AccountName::from),
                campaign: self.name().as_deref().map(CampaignName::from),
                topic: self.name().as_deref().map(TopicName::from),
                digits: "*9".parse().expect("these are keys"),
                sip_call_id: self.word(),
                actor: self.word(),
                reason: self.word(),
                ..OptOut::new(
                    number.expect("it has 15 digits at most, or is a short code"),
                    lists,
                    Origin::ALL[self.below(9) as usize],
                    "madrid-1".into(),
                    // From the year 1970 to 2100.
                    UnixMicros(self.below(4_102_444_800_000_000).cast_signed()),
                )
            },
            written_at: UnixMicros(1),
            durable_at: None,
            confirmed_at: None,
            outcome: None,
            reversed,
            number_key: None,
            evidence_deleted: None,
        }
    }
}

fn said(entry: &Entry) -> Exported {
    Exported {
        whom: Whom::One(entry.optout.number),
        lists: entry.standing().cloned().collect(),
        account: entry.optout.account.clone(),
        campaign: entry.optout.campaign.clone(),
        topic: entry.optout.topic.clone(),
        said_at: entry.optout.pressed_at,
        number_key: entry.number_key.clone(),
    }
}

fn settings() -> Settings {
    let numbers = NumberReader::new("ES").expect("the plans know Spain");
    Settings::new(numbers)
}

fn csv(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut export = CsvExport::new(&mut bytes).expect("memory takes it");
    entries.iter().for_each(|entry| export.write(entry).expect("memory takes it"));
    export.finish().expect("memory takes it");
    bytes
}

fn json(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    entries.iter().for_each(|entry| write_json_line(&mut bytes, entry).expect("memory takes it"));
    bytes
}

#[test]
fn any_entry_is_read_again_as_it_stood() {
    for case in 0..CASES / 10 {
        let mut dice = Dice(TokenSource::new(Seed(case, 4)));
        let entries: Vec<Entry> = (0..10).map(|_| dice.entry()).collect();
        let want: Vec<Exported> = entries.iter().map(said).collect();
        for (form, bytes) in [("csv", csv(&entries)), ("jsonl", json(&entries))] {
            let mut rows = Rows::default();
            let (shape, tally) = read(bytes.as_slice(), settings(), &mut rows)
                .unwrap_or_else(|error| panic!("seed ({case}, 4), {form}: {error}"));
            assert!(rows.rejected.is_empty(), "seed ({case}, 4), {form}: {:?}", rows.rejected);
            assert_eq!(rows.rows, want, "seed ({case}, 4), {form}");
            let lists: usize = want.iter().map(|exported| exported.lists.len()).sum();
            assert_eq!((shape, tally.read, tally.listed), (Shape::Export, 10, lists as u64));
        }
    }
}

#[test]
fn an_export_that_is_cut_anywhere_is_refused_or_cut_between_its_rows() {
    let mut dice = Dice(TokenSource::new(Seed(1, 5)));
    let entries: Vec<Entry> = (0..3).map(|_| dice.entry()).collect();
    let want: Vec<Exported> = entries.iter().map(said).collect();
    for bytes in [csv(&entries), json(&entries)] {
        for len in 0..bytes.len() {
            let mut rows = Rows::default();
            if read(&bytes[..len], Settings { shape: Some(Shape::Export), ..settings() }, &mut rows)
                .is_ok()
            {
                assert_eq!(bytes[len - 1], b'\n', "cut at {len}");
                assert!(rows.rejected.is_empty(), "cut at {len}: {:?}", rows.rejected);
                assert_eq!(rows.rows, want[..rows.rows.len()], "cut at {len}");
            }
        }
    }
}

#[test]
fn a_name_with_control_characters_is_no_name() {
    let mut dice = Dice(TokenSource::new(Seed(1, 8)));
    let good = dice.entry();
    for bad in ["ac\0me", "ac\nme", "\u{7f}", "\u{85}acme"] {
        let mut entries = vec![good.clone(); 4];
        entries[0].optout.account = Some(bad.into());
        entries[1].optout.campaign = Some(bad.into());
        entries[2].optout.topic = Some(bad.into());
        for (form, bytes) in [("csv", csv(&entries)), ("jsonl", json(&entries))] {
            let mut rows = Rows::default();
            let (_shape, tally) = read(bytes.as_slice(), settings(), &mut rows).unwrap();
            assert_eq!(rows.rows, [said(&good)], "{form} {bad:?}");
            assert_eq!((tally.read, tally.rejected_sum()), (4, 3), "{form} {bad:?}");
            assert!(rows.rejected[0].contains("without control characters"), "{form} {bad:?}");
        }
    }
}

#[test]
fn a_table_that_a_spreadsheet_has_rearranged_is_read_by_its_header() {
    // As LibreOffice writes it for Spain: semicolons, quotes only where they are needed.
    let table = "number;campaign;standing_lists;x;account;pressed_at\r\n\
                 '+34600123456;;robinson promo;;acme;2026-11-22T18:00:00.000001Z\r\n\
                 600123457;promo;;;;1970-01-01T00:00:00.000000Z\r\n";
    let mut rows = Rows::default();
    read(table.as_bytes(), settings(), &mut rows).unwrap();
    let row =
        |number: u64, lists: &[&str], account: Option<&str>, campaign: Option<&str>, at| Exported {
            whom: Whom::One(Number::from_e164_digits(number).unwrap()),
            lists: lists.iter().map(|list| ListName::from(*list)).collect(),
            account: account.map(AccountName::from),
            campaign: campaign.map(CampaignName::from),
            // An export of before there was such a column says nothing of it.
            topic: None,
            said_at: UnixMicros(at),
            number_key: None,
        };
    // `date -u -d 2026-11-22T18:00 +%s` is 1795370400.
    let want = [
        row(34_600_123_456, &["robinson", "promo"], Some("acme"), None, 1_795_370_400_000_001),
        row(34_600_123_457, &[], None, Some("promo"), 0),
    ];
    assert_eq!(rows.rows, want);
}

#[test]
fn ranges_are_read_again_as_they_stood_and_so_many_of_them() {
    let entry = |at: usize| RangeEntry {
        record: RecordId { writer: WriterId(1), seq: 1 },
        range: match at {
            0 => "+34911234000-+34911234999".parse().unwrap(),
            at => format!("+{}*", 346_000 + at).parse().unwrap(),
        },
        list: "robinson".into(),
        account: at.is_multiple_of(2).then(|| "acme".into()),
        campaign: at.is_multiple_of(3).then(|| "promo".into()),
        topic: at.is_multiple_of(6).then(|| "energy".into()),
        node: "madrid-1".into(),
        actor: None,
        reason: Some("=1+1".to_owned()),
        imported_at: UnixMicros(7),
        written_at: UnixMicros(8),
    };
    let said = |entry: &RangeEntry| Exported {
        whom: Whom::Range(entry.range),
        lists: vec![entry.list.clone()],
        account: entry.account.clone(),
        campaign: entry.campaign.clone(),
        topic: entry.topic.clone(),
        said_at: entry.imported_at,
        number_key: None,
    };
    let entries: Vec<RangeEntry> = (0..=RANGES_MAX).map(entry).collect();
    let want: Vec<Exported> = entries.iter().take(RANGES_MAX).map(said).collect();
    let mut csv = Vec::new();
    let mut export = CsvExport::new(&mut csv).unwrap();
    entries.iter().for_each(|entry| export.write(entry).unwrap());
    export.finish().unwrap();
    let mut json = Vec::new();
    entries.iter().for_each(|entry| write_json_line(&mut json, entry).unwrap());
    for bytes in [csv, json] {
        let mut rows = Rows::default();
        let (shape, tally) = read(bytes.as_slice(), settings(), &mut rows).unwrap();
        assert_eq!(shape, Shape::Export);
        assert!(rows.rows == want, "{:?}", rows.rows.first());
        assert_eq!(rows.rejected.len(), 1, "{:?}", rows.rejected);
        assert!(rows.rejected[0].contains("expected at most 1000 ranges"), "{:?}", rows.rejected);
        assert_eq!((tally.listed, tally.ranges.len()), (0, RANGES_MAX));
    }
}

#[test]
fn a_hashed_number_counts_under_the_key_that_it_is_hashed_under_alone() {
    let mut dice = Dice(TokenSource::new(Seed(5, 5)));
    let mut entry = dice.entry();
    entry.optout.number = Number::keyed(7);
    for (said, own, is_taken) in [
        (Some("hmac 1"), Some("hmac 1"), true),
        (Some("hmac 1"), Some("hmac 2"), false),
        (Some("hmac 1"), None, false),
        (None, Some("hmac 1"), false),
        (None, None, false),
    ] {
        entry.number_key = said.map(str::to_owned);
        let mut csv = Vec::new();
        let mut export = CsvExport::new(&mut csv).unwrap();
        export.write(&entry).unwrap();
        export.finish().unwrap();
        let mut json = Vec::new();
        write_json_line(&mut json, &entry).unwrap();
        for bytes in [csv, json] {
            let mut rows = Rows::default();
            let number_key = own.map(str::to_owned);
            let read = read(bytes.as_slice(), Settings { number_key, ..settings() }, &mut rows);
            assert_eq!(read.is_ok() && rows.rows.len() == 1, is_taken, "{said:?} {own:?}");
        }
    }
}

#[test]
fn a_wide_range_of_an_export_is_taken_where_it_is_meant() {
    let row = |range: &str, lists: &str| {
        format!(
            "pressed_at,number,standing_lists,account,campaign\n\
             2026-11-22T18:00:00.000000Z,+34600123456,robinson,,\n\
             2026-11-22T18:00:00.000000Z,'{range},{lists},,\n"
        )
    };
    let entry = RangeEntry {
        record: RecordId { writer: WriterId(1), seq: 1 },
        range: "+3*".parse().unwrap(),
        list: "robinson".into(),
        account: None,
        campaign: None,
        topic: None,
        node: "madrid-1".into(),
        actor: None,
        reason: None,
        imported_at: UnixMicros(7),
        written_at: UnixMicros(8),
    };
    let mut json = Vec::new();
    write_json_line(&mut json, &entry).unwrap();
    let json = String::from_utf8(json).unwrap();
    #[rustfmt::skip]
    let cases = [
        ("a wide range",              row("+3*", "robinson"),     false, Some(3)),
        ("in JSON",                   json.clone(),               false, Some(1)),
        ("that is meant",             row("+3*", "robinson"),     true,  None),
        ("in JSON, that is meant",    json,                       true,  None),
        ("one that was reversed",     row("+3*", ""),             false, None),
        ("one that is narrow",        row("+34800*", "robinson"), false, None),
    ];
    for (name, text, wide_ranges, refused) in cases {
        let settings = Settings { wide_ranges, ..settings() };
        let got = match read(text.as_bytes(), settings, &mut Rows::default()) {
            Ok(_read) => None,
            Err(ImportError::Wide { line }) => Some(line),
            Err(error) => panic!("{name}: {error}"),
        };
        assert_eq!(got, refused, "{name}");
    }
}
