//! Spreadsheets that mean us harm, and ones that are only large, are read in bounded memory: shown by
//! an allocator that counts what is held.
//!
//! Each file is written to disk and imported as `bajavoz import` does; what is said of each is tested
//! in `src/store/import/xlsx/tests.rs` too. The limit here is far above what is needed, and far below
//! what any of these files asks for.

#[path = "../benches/counting/mod.rs"]
#[expect(dead_code, reason = "`tests/no_alloc.rs` asks for the rest")]
mod counting;

use std::error::Error;
use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;

use bajavoz::model::NumberReader;
use bajavoz::store::import::Order;
use bajavoz::store::import::prepare;
use bajavoz::suppression::import::Settings;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// What a workbook of any size may take: buffers of 256 KiB for the file, its text and its runs, those
/// of ZIP and XML, and the runs below.
const HELD_MAX: u64 = 6 << 20;
/// Numbers sorted at a time, 8 octets each; a run of a million rows then is one of eight.
const RUN_NUMBERS: usize = 1 << 17;
/// Rows of a sheet at most, ECMA-376 and Excel.
const ROWS: u64 = 1_048_576;
/// Octets of what is one and the same; as a directory they are some entries.
const MANY: usize = 24 << 20;
const ENTRIES: u64 = 1_000_000;

const RELATIONS: &str =
    "<Relationships><Relationship Id='a' Type='/worksheet' Target='s.xml'/></Relationships>";
const WORKBOOK: &str = "<workbook><sheets><sheet name='s' r:id='a'/></sheets></workbook>";

/// Writes a workbook whose one sheet is what `sheet` writes.
fn workbook(path: &Path, sheet: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
    let mut zip = ZipWriter::new(BufWriter::new(File::create(path).expect("our folder")));
    for (name, text) in [("xl/_rels/workbook.xml.rels", RELATIONS), ("xl/workbook.xml", WORKBOOK)] {
        zip.start_file(name, SimpleFileOptions::default()).expect("an entry");
        zip.write_all(text.as_bytes()).expect("our folder");
    }
    let tightest = SimpleFileOptions::default().compression_level(Some(9));
    zip.start_file("xl/s.xml", tightest).expect("an entry");
    sheet(&mut zip).expect("our folder");
    zip.finish().expect("our folder");
}

/// Imports the file within [`HELD_MAX`]: how many numbers are in it, or why it is refused.
fn import(path: &Path) -> Result<u64, String> {
    let order = Order {
        is_one_list: true,
        run_numbers: RUN_NUMBERS,
        ..Order::new(path.to_owned(), Settings::new(NumberReader::new("ES").expect("a region")))
    };
    let (prepared, held) = counting::most_held(|| prepare(&order, &mut |_progress| {}));
    assert!(held < HELD_MAX, "{}: {held} octets held", path.display());
    prepared.map(|prepared| prepared.listed).map_err(|error| {
        let mut told = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            told = format!("{told}: {error}");
            source = error.source();
        }
        told
    })
}

/// Octets again and again, as many as `octets`, in pieces.
fn again(out: &mut dyn Write, what: &str, octets: usize) -> io::Result<()> {
    let piece = what.repeat(1 << 12);
    for _ in 0..octets / piece.len() {
        out.write_all(piece.as_bytes())?;
    }
    Ok(())
}

/// As `zip` has written it, with figures of its directory made others.
fn patched(path: &Path, patch: impl FnOnce(&mut Vec<u8>)) {
    let mut octets = std::fs::read(path).expect("it was written");
    patch(&mut octets);
    std::fs::write(path, octets).expect("our folder");
}

#[test]
fn a_sheet_of_a_million_rows_is_never_whole_in_memory() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("large.xlsx");
    workbook(&path, |out| {
        out.write_all(b"<worksheet><dimension ref='A1'/><sheetData>")?;
        for row in 0..ROWS {
            let number = 34_600_000_000 + (row * 7_919) % 50_000_000;
            write!(out, "<row r='{}'><c><v>+{number}</v></c></row>", row + 1)?;
        }
        out.write_all(b"</sheetData></worksheet>")
    });
    assert_eq!(import(&path), Ok(ROWS));
}

#[test]
fn what_asks_for_more_memory_than_it_needs_is_refused_without_it() {
    type Sheet = fn(&mut dyn Write) -> io::Result<()>;
    #[rustfmt::skip]
    let cases: [(&str, Sheet, &str); 7] = [
        ("elements of nothing",       |out| { out.write_all(b"<worksheet>")?; again(out, "<x/>", MANY) },       "far more than a table does"),
        ("one text",                  |out| { out.write_all(b"<worksheet><row><c><v>")?; again(out, "7", MANY) }, "a cell is too long"),
        ("one tag",                   |out| { out.write_all(b"<worksheet x='")?; again(out, "7", MANY) },       "a cell is too long"),
        ("one comment",               |out| { out.write_all(b"<worksheet><!--")?; again(out, "7", MANY) },      "a cell is too long"),
        ("elements in each other",    |out| again(out, "<a>", MANY),                                            "too deep in each other"),
        ("entities of entities",      |out| {
            out.write_all(b"<!DOCTYPE x [<!ENTITY a '")?;
            out.write_all("lol".repeat(100).as_bytes())?;
            out.write_all(b"'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]><worksheet><row><c><v>&b;")
        },                                                                                                      "what no spreadsheet writes"),
        ("one row of cells",          |out| { out.write_all(b"<worksheet><row>")?; again(out, "<c><v>7</v></c>", MANY) }, "a cell is out of its place"),
    ];
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("a.xlsx");
    for (name, sheet, want) in cases {
        workbook(&path, sheet);
        let told = import(&path).expect_err(name);
        assert!(told.contains(want), "{name}: {told}");
    }
}

#[test]
fn a_directory_that_lies_is_refused_without_the_memory_it_claims() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("a.xlsx");
    let sheet = |out: &mut dyn Write| out.write_all(b"<worksheet><row/></worksheet>");
    workbook(&path, sheet);
    // A million entries that are not there, and a file long enough to hold them.
    patched(&path, |file| {
        let end = file.split_off(file.len() - 22);
        let at = u64::from(u32::from_le_bytes([end[16], end[17], end[18], end[19]]));
        let record = file.len() as u64 + (MANY as u64);
        file.resize(file.len() + MANY, 0);
        file.extend_from_slice(b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x2d\0\x2d\0\0\0\0\0\0\0\0\0");
        for figure in [ENTRIES, ENTRIES, 46 * ENTRIES, at] {
            file.extend_from_slice(&figure.to_le_bytes());
        }
        file.extend_from_slice(b"PK\x06\x07\0\0\0\0");
        file.extend_from_slice(&record.to_le_bytes());
        file.extend_from_slice(b"\x01\0\0\0PK\x05\x06\0\0\0\0");
        file.extend_from_slice(&[0xff; 12]);
        file.extend_from_slice(&[0, 0]);
    });
    let told = import(&path).expect_err("a lie");
    assert!(told.contains("longer than 4 GiB"), "{told}");
    // An end that says that the directory is most of the file.
    workbook(&path, sheet);
    patched(&path, |file| {
        let end = file.split_off(file.len() - 22);
        file.resize(file.len() + MANY, 0);
        file.extend_from_slice(&end);
        let count = file.len() - 14;
        file[count..count + 4].copy_from_slice(&[0xfe, 0xff, 0xfe, 0xff]);
    });
    let told = import(&path).expect_err("a lie");
    assert!(told.contains("its directory is"), "{told}");
}
