//! Workbooks as others write them, as they break, and as somebody writes them who means us harm. The
//! round trip with what we write ourselves is in `tests/it/cli/round_trip.rs`.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::xml::DEPTH_MAX;
use super::xml::TEXT_LEN_MAX;
use super::*;
use crate::model::NumberReader;
use crate::store::import::Order;
use crate::store::import::checked::Watch;
use crate::store::import::input::Input;
use crate::store::import::prepare;
use crate::suppression::import::Settings;

mod mutants;

/// A ZIP file, APPNOTE 4.3; entries are packed where `is_packed`.
pub(in crate::store::import) fn zip(entries: &[(String, String)], is_packed: bool) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in entries {
        let mut content = text.as_bytes().to_vec();
        if is_packed {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(text.as_bytes()).expect("memory takes it");
            content = encoder.finish().expect("memory takes it");
        }
        let at = file.len() as u32;
        let (packed, len) = (content.len() as u32, text.len() as u32);
        // Version 2.0, no flags, the method, no time; checksum, both lengths, length of the name.
        let mut common = vec![20, 0, 0, 0, if is_packed { 8 } else { 0 }, 0, 0, 0, 0, 0];
        for figure in [crc32fast::hash(text.as_bytes()), packed, len] {
            common.extend_from_slice(&figure.to_le_bytes());
        }
        common.extend_from_slice(&(name.len() as u16).to_le_bytes());
        common.extend_from_slice(&[0, 0]);
        file.extend_from_slice(b"PK\x03\x04");
        file.extend_from_slice(&common);
        file.extend_from_slice(name.as_bytes());
        file.extend_from_slice(&content);
        directory.extend_from_slice(b"PK\x01\x02\x14\0");
        directory.extend_from_slice(&common);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&at.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let (count, at) = (entries.len() as u16, file.len() as u32);
    let len = directory.len() as u32;
    file.extend_from_slice(&directory);
    file.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    file.extend_from_slice(&count.to_le_bytes());
    file.extend_from_slice(&count.to_le_bytes());
    file.extend_from_slice(&len.to_le_bytes());
    file.extend_from_slice(&at.to_le_bytes());
    file.extend_from_slice(&[0, 0]);
    file
}

/// The entries of a workbook with these sheets, the first by an absolute path.
pub(in crate::store::import) fn workbook(
    shared: &str,
    sheets: &[(&str, &str)],
) -> Vec<(String, String)> {
    let (mut entries, mut list, mut relations) = (Vec::new(), String::new(), String::new());
    for (at, (name, xml)) in sheets.iter().enumerate() {
        let (path, root) = (format!("worksheets/{at}.xml"), if at == 0 { "/xl/" } else { "" });
        list.push_str(&format!("<sheet name=\"{name}\" sheetId=\"9\" r:id=\"rId{at}\"/>"));
        relations.push_str(&format!(
            "<Relationship Id='rId{at}' Type='http://x/worksheet' Target='{root}{path}'/>"
        ));
        entries.push((format!("xl/{path}"), (*xml).to_owned()));
    }
    list.push_str("<sheet name=\"A chart\" r:id=\"rIdC\"/>");
    relations.push_str("<Relationship Id='rIdC' Type='http://x/chartsheet' Target='c.xml'/>");
    let part = |name: &str, text: String| (name.to_owned(), text);
    entries.push(part("xl/_rels/workbook.xml.rels", relations));
    entries.push(part("xl/workbook.xml", format!("<workbook><sheets>{list}</sheets></workbook>")));
    entries.push(part("xl/sharedStrings.xml", shared.to_owned()));
    entries
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("there is a folder for temporary files");
    file.write_all(bytes).expect("it is written");
    file
}

/// All lines of the workbook in `bytes`.
fn read_with(bytes: &[u8], shared_max: usize) -> io::Result<(String, Sheets)> {
    let sheets = Sheets::default();
    let meter = Meter::default();
    let mut workbook = Workbook::with_shared_max(file(bytes), meter, shared_max)?;
    let mut text = String::new();
    workbook.rows(sheets.clone()).read_to_string(&mut text)?;
    Ok((text, sheets))
}

fn read(bytes: &[u8]) -> io::Result<String> {
    read_with(bytes, SHARED_LEN_MAX).map(|(text, _sheets)| text)
}

const SHARED: &str = "<?xml version=\"1.0\"?><sst count=\"4\"><si><t>number</t></si>\
    <si><t xml:space=\"preserve\">+34600123456</t></si>\
    <si><r><t>a &amp; </t></r><r><rPr><b/></rPr><t>&quot;b&quot;_x000D_</t></r><rPh><t>x</t></rPh></si>\
    <si><t/></si></sst>";

/// As Excel saves a table: texts by their place in a table of their own, empty cells left out.
const SHEET: &str = "<?xml version=\"1.0\"?><worksheet><cols><col min=\"1\"/></cols><sheetData>\
    <row r=\"1\"><c r=\"A1\" s=\"1\" t=\"s\"><v>0</v></c><c r=\"B1\" t=\"inlineStr\"><is><t>why</t></is></c>\
    <c r=\"C1\" t='s'><v>3</v></c></row>\
    <row r=\"2\"/><row r=\"4\"><c r=\"A4\" t=\"s\"><v>1</v></c><c r=\"C4\" t=\"s\"><v>2</v></c></row>\
    <row r=\"5\"><c r=\"A5\"><v>600123457</v></c><c r=\"B5\" t=\"str\"><f>1+1</f><v>2</v></c></row>\
    </sheetData></worksheet>";

#[test]
fn a_workbook_is_its_rows_however_its_texts_are_kept() {
    let second = SHEET.replace("600123457", "'0x&#10;y");
    let entries = workbook(SHARED, &[("Bajas", SHEET), ("Más &amp; más", &second)]);
    let rows = "\n\n\"+34600123456\",\"\",\"a & \"\"b\"\" \"\n\"600123457\",\"2\"\n";
    let want = format!("\"number\",\"why\",\"\"\n{rows}\n{}", rows.replace("600123457", "''0x y"));
    for is_packed in [false, true] {
        let (text, sheets) = read_with(&zip(&entries, is_packed), SHARED_LEN_MAX).unwrap();
        assert_eq!(text, want);
        for (line, sheet, row) in [(1, "Bajas", 1), (5, "Bajas", 5), (9, "Más & más", 4)] {
            assert_eq!(sheets.row_of(line), Some((sheet.to_owned(), row)));
        }
        assert_eq!(sheets.row_of(0), None);
    }
}

#[test]
fn a_row_of_empty_cells_is_a_blank_line_wherever_it_stands() {
    // As Excel keeps rows whose cells have a colour and nothing in them.
    let blank = |row: u32| format!("<row r='{row}'><c s='1'/><c s='1' t='str'><v> </v></c></row>");
    let row = |row: u32, name: &str, number: &str| {
        let cell = |text: &str| format!("<c t='str'><v>{text}</v></c>");
        format!("<row r='{row}'>{}{}</row>", cell(name), cell(number))
    };
    let sheet = |number: &str| {
        let (head, one) = (row(2, "name", "phone"), row(4, "Ana", number));
        format!("<worksheet>{}{head}{}{one}{}</worksheet>", blank(1), blank(3), blank(5))
    };
    let sheets = [("One", &*sheet("600123456")), ("Two", &*sheet("600123457"))];
    let bytes = zip(&workbook(SHARED, &sheets), true);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.xlsx");
    fs::write(&path, &bytes).unwrap();
    let order = Order::new(path.clone(), Settings::new(NumberReader::new("ES").unwrap()));
    let prepared = prepare(&order, &mut |_| {}).unwrap();
    assert_eq!((prepared.listed, prepared.tally.read, prepared.tally.rejected_sum()), (2, 2, 0));
    let (text, sheets) = read_with(&bytes, SHARED_LEN_MAX).unwrap();
    assert_eq!(text.lines().filter(|line| !line.is_empty()).count(), 3, "{text}");
    assert_eq!(sheets.row_of(9), Some(("Two".to_owned(), 4)), "each line is a row");
    // What is told of how far it is read is what was read, once.
    let mut input = Input::open(&path).unwrap();
    let meter = input.meter();
    input.lines(Watch::default()).unwrap().read_to_end(&mut Vec::new()).unwrap();
    let read = meter.octets();
    input.finish().unwrap();
    assert_eq!(meter.octets(), read, "it is hashed apart");
}

#[test]
fn a_cell_says_what_its_xml_says() {
    #[rustfmt::skip]
    let cases = [
        ("text",                                "<v>1 2</v>",                            "1 2"),
        ("references, by name and number",      "<v>&lt;&amp;&#65;&#x42;&apos;</v>",     "<&AB'"),
        ("a reference to nothing",              "<v>&foo;&#0;&#xD800;</v>",              "&foo;&#0;&#xD800;"),
        ("an ampersand alone",                  "<v>A & B &amp</v>",                     "A & B &amp"),
        ("an escape of spreadsheets",           "<v>_x0041__x005F_x0042__x</v>",         "A_x0042__x"),
        ("what is none",                        "<v>_x00g1_ _xD800_ _xé</v>",            "_x00g1_ _xD800_ _xé"),
        ("nothing",                             "<v/>",                                  ""),
        ("no value",                            "",                                      ""),
        ("a formula beside it",                 "<f>1+1</f><v>2</v><extLst><v2/></extLst>", "2"),
        ("a declaration in mid-text",           "<v>1<?x y?>2</v>",                      "12"),
    ];
    // So that the row is not blank where the cell is.
    let other = "<c><v>x</v></c>";
    for (name, cell, want) in cases {
        let sheet = format!(
            "<worksheet><dimension ref='A1:XFD1048576'/><row><c>{cell}</c>{other}</row></worksheet>"
        );
        let text = read(&zip(&workbook(SHARED, &[("One", &sheet)]), false)).unwrap();
        assert_eq!(text, format!("\"{want}\",\"x\"\n"), "{name}");
    }
}

/// As ZIP64 says it: the last end has no figures, and those of another claim `count` entries.
fn zip64(file: &[u8], count: u64) -> Vec<u8> {
    let (begin, end) = file.split_at(file.len() - 22);
    let (len, at) = (&end[12..16], &end[16..20]);
    let mut out = begin.to_vec();
    out.extend_from_slice(b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x2d\0\x2d\0\0\0\0\0\0\0\0\0");
    for figure in [&count.to_le_bytes()[..], &count.to_le_bytes(), len, &[0; 4], at, &[0; 4]] {
        out.extend_from_slice(figure);
    }
    out.extend_from_slice(b"PK\x06\x07\0\0\0\0");
    out.extend_from_slice(&(begin.len() as u64).to_le_bytes());
    out.extend_from_slice(b"\x01\0\0\0PK\x05\x06\0\0\0\0");
    out.extend_from_slice(&[0xff; 12]);
    out.extend_from_slice(&[0, 0]);
    out
}

/// With an octet of Latin-1 in place of `\x01` and the checksums of that.
fn latin1(file: &[u8]) -> Vec<u8> {
    let entry = file.windows(4).position(|four| four == b"PK\x03\x04").expect("there are entries");
    let begin = entry + 30 + usize::from(file[entry + 26]);
    let end =
        begin + u32::from_le_bytes(file[entry + 22..entry + 26].try_into().expect("four")) as usize;
    let mut out = file.to_vec();
    let at = begin + file[begin..end].iter().position(|octet| *octet == 1).expect("it is there");
    let before = crc32fast::hash(&file[begin..end]).to_le_bytes();
    out[at] = 0xf1;
    let crc = crc32fast::hash(&out[begin..end]).to_le_bytes();
    for at in 0..out.len() - 4 {
        if out[at..at + 4] == before {
            out[at..at + 4].copy_from_slice(&crc);
        }
    }
    out
}

/// Entities of entities: what stands for a billion words.
const LAUGHS: &str = "<!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">\
    <!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\">]>";

#[test]
fn what_is_no_whole_workbook_is_refused() {
    let other = SHEET.replace("why", "how");
    let change = |from: &str, to: &str| {
        assert!(SHEET.contains(from), "{from}");
        zip(&workbook(SHARED, &[("One", &SHEET.replace(from, to))]), false)
    };
    let without = |name: &str| {
        let entries = workbook(SHARED, &[("One", SHEET)]).into_iter();
        zip(&entries.filter(|(found, _text)| found != name).collect::<Vec<_>>(), false)
    };
    let whole = without("");
    let latin1 =
        latin1(&zip(&workbook(SHARED, &[("One", &SHEET.replace("why", "wh\u{1}"))]), false));
    // An older end, of ZIP64, stands behind one that is no good.
    let hidden = [zip64(&whole, 1 << 40).as_slice(), b"PK\x05\x06", &[0; 18]].concat();
    let mut encrypted = without("");
    let flags = encrypted.windows(4).position(|four| four == b"PK\x01\x02").unwrap() + 8;
    encrypted[flags] |= 1;
    #[rustfmt::skip]
    let cases = [
        ("no ZIP file",                b"PK\x03\x04 and nothing".to_vec(),               "it is cut"),
        ("a ZIP file of a table",      zip(&[("a.csv".to_owned(), String::new())], false), "without a workbook"),
        ("encrypted",                  encrypted,                                         "it is encrypted"),
        ("no sheet",                   zip(&workbook(SHARED, &[]), false),                "no sheet"),
        ("a sheet that is missing",    without("xl/worksheets/0.xml"),                    "one of its sheets is missing"),
        ("no texts where some should be", without("xl/sharedStrings.xml"),                "a text is missing"),
        ("other columns",              zip(&workbook(SHARED, &[("One", SHEET), ("Two", &other)]), true), "its sheet `Two` has other columns"),
        ("two cells in one place",     change("\"C4\"", "\"A4\""),                        "a cell is out of its place"),
        ("two rows in one place",      change("row r=\"4\"", "row r=\"2\""),              "a row is out of its place"),
        ("a row before all",           change("row r=\"1\"", "row r=\"0\""),              "a row is out of its place"),
        ("a row that is none",         change("row r=\"1\"", "row r=\"x\""),              "a row is out of its place"),
        ("a text that is not there",   change("<v>2</v></c></row><row r=\"5\"", "<v>4</v></c></row><row r=\"5\""), "a text is missing"),
        ("a document type",            change("<cols>", "<!DOCTYPE x [<!ENTITY a \"b\">]><cols>"), "what no spreadsheet writes"),
        ("entities of entities",       change("<worksheet>", &format!("{LAUGHS}<worksheet>&c;")), "what no spreadsheet writes"),
        ("a comment",                  change("<cols>", "<!-- x --><cols>"),              "what no spreadsheet writes"),
        ("a text as it comes",         change("<cols>", "<![CDATA[x]]><cols>"),           "what no spreadsheet writes"),
        ("an element with another's end", change("</sheetData>", "</sheet>"),             "a tag of it is none"),
        ("an attribute without a value", change("t='s'", "t"),                            "a tag of it is none"),
        ("no UTF-8",                   latin1,                                           "it is no UTF-8"),
        ("ZIP64",                      zip64(&whole, 6),                                  "longer than 4 GiB"),
        ("ZIP64 of a billion entries", zip64(&whole, 1 << 40),                            "longer than 4 GiB"),
        ("the same behind another end", hidden,                                           "longer than 4 GiB"),
        ("a tag without its quote",    change("t='s'", "t='s"),                           "a tag of it is none"),
        ("an XML that ends early",     change("</sheetData></worksheet>", ""),            "it is cut"),
    ];
    for (name, file, want) in cases {
        let error = read(&file).unwrap_err().to_string();
        assert!(error.contains(want), "{name}: {error}");
    }
}

#[test]
fn no_cut_and_no_flipped_bit_of_a_row_goes_unnoticed() {
    for is_packed in [false, true] {
        let file = zip(&workbook(SHARED, &[("One", SHEET)]), is_packed);
        let whole = read(&file).unwrap();
        for len in 0..file.len() {
            // The last two octets are the length of a comment, which nobody reads.
            assert!(read(&file[..len]).is_err() || len + 2 >= file.len(), "cut at {len}");
        }
        for at in 0..file.len() {
            let mut flipped = file.clone();
            flipped[at] ^= 1;
            // What is not noticed is beside the content: a time, or a name that nobody asks for.
            if let Ok(text) = read(&flipped) {
                assert_eq!(text, whole, "packed: {is_packed}, octet {at}");
            }
        }
    }
}

/// Whether the workbook of one such sheet is read.
fn is_read(sheet: &str) -> Result<(), String> {
    let bytes = zip(&workbook(SHARED, &[("One", sheet)]), true);
    read(&bytes).map(drop).map_err(|error| error.to_string())
}

#[test]
fn everything_has_its_limit_and_is_refused_beyond_it() {
    let rows = |inner: &str| format!("<worksheet>{inner}</worksheet>");
    let row = |row: u64| rows(&format!("<row r=\"{row}\"><c><v>1</v></c></row>"));
    let column = |place: &str| rows(&format!("<row><c r=\"{place}1\"><v>1</v></c></row>"));
    // One of a kind, so that it packs badly: the limit of what it unpacks to is another one.
    let cell = |len: usize| {
        let digits: String = (0..len).map(|at| char::from(b'0' + (at * at % 7) as u8)).collect();
        rows(&format!("<row><c><v>{digits}</v></c></row>"))
    };
    let deep = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    #[rustfmt::skip]
    let cases = [
        ("the last row",        row(ROWS_MAX),             None),
        ("a row behind it",     row(ROWS_MAX + 1),         Some("a row is out of its place")),
        ("the last column",     column("XFD"),             None),
        ("a column behind it",  column("XFE"),             Some("a cell is out of its place")),
        ("no column",           column("ZZZZZZZZZZZZZZZ"), Some("a cell is out of its place")),
        ("the longest cell",    cell(TEXT_LEN_MAX),        None),
        ("a longer one",        cell(TEXT_LEN_MAX + 1),    Some("a cell is too long")),
        ("a text of references", rows(&format!("<row><c><v>{}</v></c></row>", "&lt;".repeat(TEXT_LEN_MAX + 1))), Some("a cell is too long")),
        ("an endless tag",      cell(TEXT_LEN_MAX + 9).replace("<v>", "<v "), Some("a cell is too long")),
        ("the deepest element", rows(&deep(DEPTH_MAX - 1)), None),
        ("a deeper one",        rows(&deep(DEPTH_MAX)),    Some("too deep in each other")),
        ("elements without end", rows(&"<a>".repeat(500_000)), Some("too deep in each other")),
    ];
    for (name, sheet, want) in cases {
        match (is_read(&sheet), want) {
            (Ok(()), None) => {}
            (Err(error), Some(want)) if error.contains(want) => {}
            (got, _) => panic!("{name}: {got:?}"),
        }
    }
    let bomb = rows(&"<row/>".repeat(1_000_000));
    assert!(is_read(&bomb).unwrap_err().contains("unpacks to far more than a table does"));
    let one = [("One", SHEET)].repeat(SHEETS_MAX);
    assert!(read(&zip(&workbook(SHARED, &one), true)).is_ok());
    let more = [("One", SHEET)].repeat(SHEETS_MAX + 1);
    let error = read(&zip(&workbook(SHARED, &more), true)).unwrap_err().to_string();
    assert!(error.contains("more than 256 sheets"), "{error}");
    let entries: Vec<_> = (0..60).map(|at| (format!("{at:020000}"), String::new())).collect();
    let error = read(&zip(&entries, false)).unwrap_err().to_string();
    assert!(error.contains("its directory is too long"), "{error}");
    // number, +34600123456, a & "b" with its carriage return, and an empty one.
    let len = 6 + 12 + 8 + 4 * SHARED_END_LEN;
    let file = zip(&workbook(SHARED, &[("One", SHEET)]), true);
    assert!(read_with(&file, len).is_ok());
    let error = read_with(&file, len - 1).unwrap_err().to_string();
    assert!(error.contains("too many texts"), "{error}");
}

#[test]
fn rejected_rows_are_kept_with_sheet_and_row() {
    let dir = tempfile::tempdir().unwrap();
    let long = "9".repeat(LINE_LEN_MAX);
    let second = SHEET.replace("<v>600123457</v>", &format!("<v>{long}</v>"));
    let nobody = SHEET.replace("600123457", "nobody, \"me\"");
    let entries = workbook(SHARED, &[("Bajas", &nobody), ("=Otra", &second)]);
    fs::write(dir.path().join("a.xlsx"), zip(&entries, true)).unwrap();
    let order = Order {
        rejects: Some(dir.path().join("rejects.csv")),
        run_numbers: 10,
        is_one_list: true,
        ..Order::new(dir.path().join("a.xlsx"), Settings::new(NumberReader::new("ES").unwrap()))
    };
    let prepared = prepare(&order, &mut |_| {}).unwrap();
    assert_eq!((prepared.listed, prepared.tally.read, prepared.tally.rejected_sum()), (1, 4, 2));
    let hash: [u8; 32] = {
        use sha2::Digest;
        sha2::Sha256::digest(fs::read(&order.file).unwrap()).into()
    };
    assert_eq!(prepared.file_sha256, hash, "of the file as it came");
    let rejects = fs::read_to_string(order.rejects.unwrap()).unwrap();
    let lines: Vec<&str> = rejects.lines().collect();
    assert_eq!(lines[0], "sheet,row,reason,why,text");
    assert!(lines[1].starts_with("Bajas,5,character,"), "{}", lines[1]);
    assert!(lines[1].ends_with("\"\"\"nobody, \"\"\"\"me\"\"\"\"\"\",\"\"2\"\"\""), "{}", lines[1]);
    assert!(lines[2].starts_with("'=Otra,5,long,"), "{}", &lines[2][..40]);
}
