//! Files as people and registries write them, and as they break.

use std::collections::BTreeSet;

use super::*;
use crate::model::NumberError;

/// What a reading handed on.
#[derive(Debug, Default)]
struct Heard {
    text: Vec<String>,
}

impl Sink for Heard {
    fn listed(&mut self, number: Number) -> io::Result<()> {
        self.text.push(number.reveal());
        Ok(())
    }

    fn taken_off(&mut self, number: Number) -> io::Result<()> {
        self.text.push(format!("-{}", number.reveal()));
        Ok(())
    }

    fn exported(&mut self, exported: &Exported) -> io::Result<()> {
        let Exported { whom, lists, account, campaign, said_at, .. } = exported;
        let lists: Vec<&str> = lists.iter().map(|list| list.as_str()).collect();
        let name = |name: Option<&str>| name.unwrap_or("*").to_owned();
        let account = name(account.as_ref().map(|name| name.as_str()));
        let campaign = name(campaign.as_ref().map(|name| name.as_str()));
        let whom = match whom {
            Whom::One(number) => number.reveal(),
            Whom::Range(range) => range.to_string(),
        };
        let (lists, at) = (lists.join("+"), said_at.0);
        self.text.push(format!("{whom}@{lists}/{account}/{campaign}/{at}"));
        Ok(())
    }

    fn rejected(&mut self, rejected: &Rejected<'_>) -> io::Result<()> {
        let Rejected { line, text, reason } = rejected;
        assert!(text.len() <= LINE_LEN_MAX, "{text:?}");
        self.text.push(format!("{line}:{}", reason.word()));
        Ok(())
    }
}

fn settings(shape: Option<Shape>, region: &str, column: Option<&str>) -> Settings {
    let numbers = NumberReader::new(region).expect("the region exists");
    Settings { shape, column: column.map(str::to_owned), ..Settings::new(numbers) }
}

/// Shape and what was heard, or the refusal.
fn play(bytes: &[u8], settings: Settings) -> String {
    let mut heard = Heard::default();
    match read(bytes, settings, &mut heard) {
        Ok((shape, tally)) => {
            // They alone begin with a digit, that of their line.
            let is_line = |text: &&String| text.starts_with(|first: char| first.is_ascii_digit());
            let rejected = heard.text.iter().filter(is_line).count() as u64;
            assert_eq!(tally.rejected_sum(), rejected);
            let ranges = tally.ranges.len() as u64;
            assert_eq!(tally.read, heard.text.len() as u64 + ranges, "each line once");
            assert_eq!(tally.listed + tally.taken_off + rejected + ranges, tally.read);
            heard.text.extend(tally.ranges.iter().map(ToString::to_string));
            format!("{}: {}", shape.as_str(), heard.text.join(" "))
        }
        Err(error) => format!("refused: {error}"),
    }
}

#[test]
fn tables_and_lines_are_read_as_people_write_them() {
    const A: &str = "+34600123456";
    #[rustfmt::skip]
    let cases: &[(&str, &[u8], &str)] = &[
        ("a number a line",             b"+34600123456\n600123457\n",                 "txt: +34600123456 +34600123457"),
        ("one line without an end",     b"600 123 456",                               "txt: +34600123456"),
        ("space behind the last line",  b"600 123 456\n  ",                           "txt: +34600123456"),
        ("CR LF, blanks and space",     b"\r\n 600123456 \r\n\r\n",                   "txt: +34600123456"),
        ("a byte order mark",           b"\xef\xbb\xbf600123456\n",                   "txt: +34600123456"),
        ("a heading over lines",        b"Tel\xc3\xa9fono\n600123456\n",              "txt: +34600123456"),
        ("the same in Latin-1",         b"Tel\xe9fono\n600\xa0123\xa0456\n",          "txt: +34600123456"),
        ("a line that is no number",    b"600123456\nnobody\n12\n6001234567890\n",    "txt: +34600123456 2:character 3:short_code 4:invalid"),
        ("an emergency number",         b"600123456\n112\n",                          "txt: +34600123456 2:emergency"),
        ("a comma table",               b"name,phone,city\nAna,600123456,Vigo\n",     "csv: +34600123456"),
        ("a semicolon table",           b"nombre;tel\xc3\xa9fono\nAna;600123456\n",   "csv: +34600123456"),
        ("the same in Latin-1",         b"a\xf1o;N\xdaMERO\n1;600123456\n",           "csv: +34600123456"),
        ("a tab table",                 b"id\tPhone_Number\n7\t600123456\n",          "csv: +34600123456"),
        ("semicolons win over decimals", b"a;b;number\n1,5;2,5;600123456\n",          "csv: +34600123456"),
        ("no header",                   b"Ana,600123456\nLuis,600123457\n",           "csv: +34600123456 +34600123457"),
        ("quotes and separators inside", b"name,phone\n\"Ana, \"\"la alta\"\"\",\"600123456\"\n", "csv: +34600123456"),
        ("a line end inside quotes",    b"note,phone\n\"one\ntwo\",600123456\nx,600123457\n",    "csv: +34600123456 +34600123457"),
        ("a quote in the middle is one", b"size,phone\n5\" pipe,600123456\nx,600123457\n",       "csv: +34600123456 +34600123457"),
        ("a short row",                 b"name,phone\nAna\nLuis,600123456\n",         "csv: 2:columns +34600123456"),
        ("a text mark of spreadsheets", b"name,phone\nAna,'+34600123456\n",           "csv: +34600123456"),
        ("a rounded number",            b"name,phone\nAna,3.46001E+10\n,600123456\n", "csv: 2:character +34600123456"),
        ("an empty cell",               b"name,phone\nAna,\nLuis,600123456\n",        "csv: 2:empty +34600123456"),
        ("quoted lines",                b"\"600123456\"\n\"600123457\"\n",            "csv: +34600123456 +34600123457"),
        ("ranges among numbers",        b"+34600123456\n+34800*\n+34911234000-+34911234999\n", "txt: +34600123456 +34800* +34911234000-+34911234999"),
        ("a range of one number",       b"+34600123456-+34600123456\n+34800*\n",    "txt: +34600123456 +34800*"),
        ("the longest prefix",          b"+346001234567890*\n+34800*\n",          "txt: +346001234567890 +34800*"),
        ("ranges alone",                b"+34800*\n+34911234000 - +34911234999\n",   "txt: +34800* +34911234000-+34911234999"),
        ("a range in a table",          b"name,phone\nfree,+34800*\nAna,600123456\n", "csv: +34600123456 +34800*"),
        ("a table of ranges",           b"free,+34800*\npremium,+34803*\n",           "csv: +34800* +34803*"),
        ("ranges that are none",        b"600123456\n800*\n+349-+34\n+35-+34\n",     "txt: +34600123456 2:range 3:range 4:range"),
        ("short codes of a region",     b"600123456\nES:1004\n MX:030 \n",            "txt: +34600123456 ES:1004 MX:030"),
        ("short codes alone",           b"ES:1004\n",                                 "txt: ES:1004"),
        ("a table of short codes",      b"name,phone\nhelp,ES:1004\nwho,\"US:411\"\n",  "csv: ES:1004 US:411"),
        ("a short code in no header",   b"help,ES:1004\n",                            "csv: ES:1004"),
        ("short codes that are none",   b"600123456\nES:1234567\nES:\nES:1a\nESP:1\n1004\n", "txt: +34600123456 2:character 3:character 4:character 5:character 6:short_code"),
        ("kept as a decimal",           b"name,phone\nAna,600123456.0\n,+34600123457.00\n", "csv: +34600123456 +34600123457"),
        ("thousands, not decimals",     b"600123.000\n600123456.000\n",              "txt: +34600123000 +34600123456"),
        ("digits, or decimals",         b"60012.0000\n600123456.0000\n",            "txt: +34600120000 +34600123456"),
        ("decimals without a header",   b"Ana,600123456.0\nEva,600123457.00\n",       "csv: +34600123456 +34600123457"),
        ("decimals that are none",      b"600123456\n600.123.450\n6001234.5\n",      "txt: +34600123456 +34600123450 3:invalid"),
        ("a column with a figure",      b"name,Phone_1\nAna,600123456\n",            "csv: +34600123456"),
        ("a named number is no name",   b"Tel 600123456\n600123457\n",                "txt: 1:character +34600123457"),
        ("twice is heard twice",        b"600123456\n+34600123456\n",                 "txt: +34600123456 +34600123456"),
    ];
    for (name, bytes, want) in cases {
        assert_eq!(play(bytes, settings(None, "ES", None)), *want, "{name}");
    }
    let two = b"movil,fijo\n600123456,910000001\n";
    assert_eq!(play(two, settings(None, "ES", Some("M\u{f3}vil"))), format!("csv: {A}"));
    assert_eq!(play(two, settings(None, "ES", Some("2"))), "csv: +34910000001");
    let decimals = b"phone\n493012345678.0\n493012345678\n";
    let whole = play(&decimals[..decimals.len() - 13], settings(None, "DE", None));
    assert_eq!(whole, play(b"phone\n493012345678\n", settings(None, "DE", None)));
    assert!(!whole.contains("4930123456780"), "a digit more is somebody else: {whole}");
    // +49 30 123456 is one of Berlin, and so is what has three zeros more; six more are too many.
    let either = b"+4930123456.000\n+4930123458.000000\n+4930123459\n";
    let told = play(either, settings(None, "DE", None));
    assert_eq!(told, "txt: 1:decimals +4930123458 +4930123459");
    let bare = b"600123456,910000001\n12345678,910000001\n";
    assert_eq!(play(bare, settings(None, "ES", Some("1"))), format!("csv: {A} 2:invalid"));
    let named = b"Juan;Tel 600123456\nAna;600123457\n";
    let told = play(named, settings(None, "ES", Some("2")));
    assert_eq!(told, "csv: 1:character +34600123457", "rejected, not passed over");
}

#[test]
fn a_range_counts_once_and_a_file_has_so_many_of_them() {
    let lines =
        |count: usize| -> String { (0..count).map(|n| format!("+{}*\n", 346_000 + n)).collect() };
    let read_all = |text: &str| {
        let mut heard = Heard::default();
        let (_shape, tally) =
            read(text.as_bytes(), settings(None, "ES", None), &mut heard).expect("it is read");
        (tally.ranges.len(), tally.rejected_sum(), tally.read)
    };
    assert_eq!(read_all("+34800*\n+34800*\n"), (1, 0, 2));
    let most = RANGES_MAX as u64;
    assert_eq!(read_all(&lines(RANGES_MAX)), (RANGES_MAX, 0, most));
    assert_eq!(read_all(&lines(RANGES_MAX + 1)), (RANGES_MAX, 1, most + 1));
}

#[test]
fn each_reason_has_words_for_people() {
    let number = |error| Reason::Number(error);
    let reasons = [
        Reason::Columns { column: 1, found: 0 },
        Reason::Long,
        Reason::Mark,
        number(NumberError::Character { found: 'x' }),
        number(NumberError::Emergency),
        number(NumberError::Empty),
        number(NumberError::Invalid { country: 34, digits: 9 }),
        number(NumberError::ShortCode { digits: 4 }),
        number(NumberError::Unreadable { digits: 3 }),
        Reason::Ranges,
        Reason::Record { expected: "12 characters" },
        Reason::Quote,
    ];
    let mut told = BTreeSet::new();
    for reason in reasons {
        let words = Reason::in_words(reason.word());
        assert!(words.contains(' ') && told.insert(words), "{reason}: {words}");
    }
    assert_eq!(Reason::in_words("of_tomorrow"), "of_tomorrow");
}

/// Name, shape and column that are asked for, the file, and what the refusal says.
type Refused<'a> = (&'a str, Option<Shape>, Option<&'a str>, &'a [u8], &'a str);

#[test]
fn what_is_no_whole_file_of_numbers_is_refused() {
    #[rustfmt::skip]
    let cases: &[Refused<'_>] = &[
        ("nothing",                None, None, b"",                          "the file is empty"),
        ("blank lines",            None, None, b"\n \r\n",                   "the file is empty"),
        ("a header alone",         None, None, b"name,phone\n",              "the file is empty"),
        ("UTF-16",                 None, None, b"\xff\xfe6\x000\x00",        "UTF-16"),
        ("words",                  None, None, b"one\ntwo\n",                "none of the 2 lines is a number that could be read; most are lines with characters that no number has"),
        ("no column of numbers",   None, None, b"name,city\nAna,Vigo\n",     "no column is called as numbers are"),
        ("two columns of numbers", None, None, b"movil;fijo\n6;9\n",         "columns 1 (`movil`), 2 (`fijo`) may each be the number's"),
        ("two of one name",        None, None, b"name,phone,phone2\nx,6,9\n", "columns 2 (`phone`), 3 may each be the number's"),
        ("two with figures",       None, None, b"Tel. 1;Tel\xc3\xa9fono-2\n6;9\n", "columns 1, 2 may each be the number's"),
        ("a named number, no name", None, None, b"Juan;Tel 600123456\nAna;600123457\n", "no column is called as numbers are"),
        ("two without names",      None, None, b"600123456;910000001\n",     "columns 1, 2 may each be the number's"),
        ("an unknown column",      None, Some("fax"), b"name,phone\nx,600123456\n", "there is no column `fax`; the first line has 1 (`name`), 2 (`phone`)"),
        ("a column too far",       None, Some("3"),   b"name,phone\nx,600123456\n", "there is no column `3`"),
        ("a quote that is cut",    None, None, b"note,phone\nx,600123456\n\"one, two", "the file is cut: line 3"),
        ("a cut number, another's", None, None, b"number\n+493012345678\n+49301234",  "line 3 is the last and has no end"),
        ("the same in a table",    None, None, b"id,phone\n1,+493012345678\n2,+49301234", "line 3 is the last and has no end"),
        ("in a quoted row",        None, None, b"note,phone\n\"a\nb\",+49301234",     "line 3 is the last and has no end"),
        ("a quote over lines, cut", None, None, b"note,phone\nx,600123456\n\"one,\ntwo\nthr", "the file is cut: line 5"),
        ("a range too wide",       None, None, b"600123456\n+3*\n",         "line 2 is a range that takes in a large part of a country"),
        ("a run too wide",         None, None, b"+34600000000-+34699999999\n", "say --wide-ranges"),
        ("a cut change",           Some(Shape::FtcChange), None, b"201,5550123,A\n201,55501", "the file is cut: line 2"),
        ("a cut full list",        Some(Shape::FtcFull), None, b"201,5550123\n201,55501",     "the file is cut: line 2"),
        ("a cut British record",   Some(Shape::Tps), None, b"0207 3787244\r\n0163550616",     "the file is cut: line 2"),
        ("a table for a registry", Some(Shape::Tps), None, b"a,b\n1,2\n",    "none of the 2 lines is a number that could be read; most are lines not in the registry's form"),
    ];
    for (name, shape, column, bytes, want) in cases {
        let got = play(bytes, settings(*shape, "ES", *column));
        assert!(got.starts_with("refused") && got.contains(want), "{name}: {got}");
    }
}

#[test]
fn a_wide_range_is_taken_where_it_is_meant() {
    let wide = Settings { wide_ranges: true, ..settings(None, "ES", None) };
    assert_eq!(play(b"+3*\n600123456\n", wide), "txt: +34600123456 +3*");
}

#[test]
fn a_file_without_an_end_is_whole_if_it_is_said_to_be() {
    let text = b"number\n+493012345678\n\n+49301234567";
    for (name, whole, is_read) in [
        ("nothing is said", Whole::Unsaid, false),
        ("it is said", Whole::Said, true),
        ("so many lines", Whole::Lines(2), true),
        ("fewer", Whole::Lines(3), false),
        ("more", Whole::Lines(1), false),
    ] {
        let got = play(text, Settings { whole, ..settings(None, "DE", None) });
        let want = "txt: +493012345678 +49301234567";
        assert_eq!(got == want, is_read, "{name}: {got}");
        let cut = Settings { whole, ..settings(None, "DE", None) };
        let got = play(b"note,phone\nx,030123456\n\"one, two", cut);
        assert!(got.contains("the file is cut: line 3"), "{name}: {got}");
    }
}

#[test]
fn registries_are_read_by_their_own_form() {
    use Shape::{FtcChange, FtcFull, Tps};
    #[rustfmt::skip]
    let cases: &[(&str, Shape, &[u8], &str)] = &[
        ("area code and number",       FtcFull,   b"201,5550123\n202,5550199\n",    "ftc-full: +12015550123 +12025550199"),
        ("ten digits",                 FtcFull,   b"2015550123\r\n2025550199",      "ftc-full: +12015550123 +12025550199"),
        ("seven digits alone",         FtcFull,   b"201,5550123\n5550199\n",        "ftc-full: +12015550123 2:record"),
        ("no such area or office",     FtcFull,   b"201,5550123\n101,5550123\n201,1550123\n", "ftc-full: +12015550123 2:record 3:record"),
        ("added and deleted",          FtcChange, b"201,5550123,2026-11-01,A\n2015550124,D\n", "ftc-change: +12015550123 -+12015550124"),
        ("a word for a mark",          FtcChange, b"201,5550123,ADD\n201, 5550124 , delete \n", "ftc-change: +12015550123 -+12015550124"),
        ("no mark, or two",            FtcChange, b"201,5550123\n201,5550124,A,D\n201,5550125,A\n", "ftc-change: 1:mark 2:mark +12015550125"),
        // The examples of the technical specification.
        ("with spaces",                Tps,       b"0207 3787244\r\n01635 506160\r\n0191 5657153\r\n07860 338653\r\n",
            "tps: +442073787244 +441635506160 +441915657153 +447860338653"),
        ("without spaces",             Tps,       b"02073787244 \r\n01635506160 \r\n0169772345  \r\n", "tps: +442073787244 +441635506160 +44169772345"),
        ("no national number",         Tps,       b"02073787244\r\n12073787244\r\n00207378724\r\n+442073787244\r\n", "tps: +442073787244 2:record 3:record 4:record"),
    ];
    for (name, shape, bytes, want) in cases {
        assert_eq!(play(bytes, settings(Some(*shape), "ES", None)), *want, "{name}");
    }
}

#[test]
fn an_open_quote_swallows_no_number_and_no_line_fills_the_memory() {
    let numbers: Vec<String> = (0..100).map(|n| format!("x,6001234{n:02}")).collect();
    let text = format!("name,phone\n\"open,600123456\n{}\n", numbers.join("\n"));
    let got = play(text.as_bytes(), settings(None, "ES", None));
    assert!(got.starts_with("csv: 2:quote +34600123400 +34600123401"), "{got}");
    assert_eq!(got.split(' ').count(), 102);
    let long = format!("600123456\n{}\n600123457\n", "6".repeat(LINE_LEN_MAX + 1));
    assert_eq!(
        play(long.as_bytes(), settings(None, "ES", None)),
        "txt: +34600123456 2:long +34600123457"
    );
    let longest = format!("600123456\n{}\n", "6".repeat(LINE_LEN_MAX));
    assert_eq!(
        play(longest.as_bytes(), settings(None, "ES", None)),
        "txt: +34600123456 2:unreadable"
    );
}

#[test]
fn a_file_cut_anywhere_gives_no_number_that_it_did_not_hold() {
    use std::io::BufReader;
    let whole = b"name;phone\n\"Ana\nMar\xeda\";'+34600123456\nLuis;0034 600 123 457\n;600123458\n";
    let mut all = Heard::default();
    read(&whole[..], settings(None, "ES", None), &mut all).expect("it is whole");
    assert_eq!(all.text.len(), 3);
    for cut in 0..whole.len() {
        // One octet at a time: each place is once the end of a buffer.
        let input = BufReader::with_capacity(1, &whole[..cut]);
        let mut heard = Heard::default();
        // A cut may be refused or not; what it gives are numbers of the whole.
        let _ = read(input, settings(None, "ES", None), &mut heard);
        for text in heard.text.iter().filter(|text| text.starts_with('+')) {
            assert!(all.text.contains(text), "cut at {cut}: {text}");
        }
    }
}
