//! Seeded mutants of workbooks, by their octets and by the XML in them: whatever becomes of them is
//! read as a table or refused in our words, and no number comes from nowhere.
//!
//! `BAJAVOZ_WORKBOOKS` sets how many (4,000 by default), `BAJAVOZ_SEED` the seed; a failure prints
//! both. `fuzz/fuzz_targets/xlsx.rs` does the same with a fuzzer's choices.

use std::env;
use std::panic;
use std::panic::AssertUnwindSafe;

use super::*;
use crate::model::token::Seed;
use crate::model::token::TokenSource;
use crate::store::import::PrepareError;
use crate::suppression::import::ImportError;

/// What has broken parsers before: marks of ZIP, tags, references and figures at the ends of their
/// range.
const PIECES: &[&[u8]] = &[
    b"PK\x01\x02",
    b"PK\x03\x04",
    b"PK\x05\x06\0\0\0\0",
    b"PK\x06\x06\x2c\0\0\0\0\0\0\0",
    b"PK\x06\x07\0\0\0\0",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\xff\xff",
    b"\xff",
    b"\xc3",
    b"<",
    b">",
    b"/>",
    b"</",
    b"<!",
    b"<!--",
    b"-->",
    b"<![CDATA[",
    b"]]>",
    b"<!DOCTYPE x [<!ENTITY a \"b\">]>",
    b"<?",
    b"?>",
    b"\"",
    b"'",
    b"=",
    b"&",
    b"&#",
    b"&#0;",
    b"&#x110000;",
    b"&a;",
    b";",
    b"_x",
    b"_xD800_",
    b"_x000D_",
    b"<row>",
    b"</row>",
    b"<row r=\"1048577\">",
    b"<row r=\"-1\">",
    b"<c r=\"XFE1\">",
    b"<c r=\"AAAAAAAAAAAAAAAA1\">",
    b"<c t=\"s\"><v>",
    b"<c t=\"inlineStr\"><is>",
    b"<v>18446744073709551616</v>",
    b"</worksheet>",
    b"<si/>",
    b"<rPh>",
    b" t=\"s\"",
    b"+34600123456",
    b"\r\n",
];

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn below(tokens: &mut TokenSource, end: usize) -> usize {
    (tokens.next_u64() % end.max(1) as u64) as usize
}

/// One to six changes: an octet is another, a piece comes in or takes the place of others, a part is
/// taken out, doubled or moved.
fn mutate(tokens: &mut TokenSource, octets: &mut Vec<u8>) {
    for _ in 0..=below(tokens, 6) {
        let at = below(tokens, octets.len());
        let end = (at + 1 + below(tokens, 40)).min(octets.len());
        let piece = PIECES[below(tokens, PIECES.len())];
        match below(tokens, 7) {
            0 if at < octets.len() => octets[at] ^= 1 << below(tokens, 8),
            1 if at < octets.len() => octets[at] = tokens.next_u64() as u8,
            2 => drop(octets.splice(at..at, piece.iter().copied())),
            3 => drop(octets.splice(at..end.max(at), piece.iter().copied())),
            4 => drop(octets.drain(at..end.max(at))),
            5 => {
                let part = octets.get(at..end).unwrap_or_default().to_vec();
                let to = below(tokens, octets.len());
                drop(octets.splice(to..to, part));
            }
            _ => {
                let (to, len) = (below(tokens, octets.len()), octets.len());
                octets.copy_within(at..end.max(at), to.min(len - (end.max(at) - at)));
            }
        }
    }
}

/// A workbook of which the octets, or what one of its entries says, are others.
fn mutant(tokens: &mut TokenSource) -> Vec<u8> {
    let second = SHEET.replace("600123457", "+34600123458");
    let mut entries = workbook(SHARED, &[("Bajas", SHEET), ("Más", &second)]);
    let is_packed = below(tokens, 2) == 0;
    if below(tokens, 3) == 0 {
        let mut octets = zip(&entries, is_packed);
        mutate(tokens, &mut octets);
        return octets;
    }
    let at = below(tokens, entries.len());
    let mut xml = std::mem::take(&mut entries[at].1).into_bytes();
    mutate(tokens, &mut xml);
    // What is no UTF-8 is in the octets of the others.
    entries[at].1 = String::from_utf8_lossy(&xml).into_owned();
    zip(&entries, is_packed)
}

/// Imports `octets`; an error is one that says what is wrong with the file.
fn read_all(path: &std::path::Path, octets: &[u8]) {
    fs::write(path, octets).expect("our folder");
    let order = Order {
        run_numbers: 64,
        ..Order::new(path.to_owned(), Settings::new(NumberReader::new("ES").expect("a region")))
    };
    match prepare(&order, &mut |_progress| {}) {
        Ok(prepared) => {
            let placed: u64 = prepared.placed().iter().map(|placed| placed.count).sum();
            assert!(prepared.listed + placed <= prepared.tally.listed, "from nowhere");
        }
        Err(PrepareError::Content { source: ImportError::Io(error), .. })
        | Err(PrepareError::Io { source: error, .. }) => {
            let (kind, error) = (error.kind(), error.to_string());
            assert_eq!(kind, io::ErrorKind::InvalidData, "{error}");
            assert!(error.starts_with("the spreadsheet cannot be read: "), "{error}");
        }
        Err(PrepareError::Content { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn no_mutant_of_a_workbook_panics_or_invents_a_number() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.xlsx");
    let (count, seed) = (number("BAJAVOZ_WORKBOOKS", 4_000), number("BAJAVOZ_SEED", 376));
    for round in 0..count {
        let octets = mutant(&mut TokenSource::new(Seed(seed, round)));
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| read_all(&path, &octets)));
        assert!(outcome.is_ok(), "BAJAVOZ_SEED={seed}, round {round}: {}", octets.escape_ascii());
    }
}
