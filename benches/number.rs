//! What does it cost to read a number, beside the library asked directly?
//!
//! In one run and by turns, for a hundred thousand different valid numbers of each form: our
//! reader, and `rlibphonenumber` asked to parse, to judge and to write E.164, which is the same
//! work. Times are the best of several rounds and mean something as ratios; allocations are exact.
//! The library does not know the former Mexican form; the last row is what the byte path leaves to
//! it. `cargo bench --bench number`; with an
//! argument, the first row with that in its name is read ten times by our reader alone, for
//! `valgrind --tool=callgrind` and `perf`.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

#[expect(dead_code, reason = "`tests/bounded.rs` asks for the rest")]
mod counting;

use std::hint::black_box;
use std::time::Instant;

use bajavoz::model::NumberReader;
use bajavoz::model::token::Seed;
use bajavoz::model::token::TokenSource;
use rlibphonenumber::PHONE_NUMBER_UTIL;
use rlibphonenumber::PhoneNumberFormat;
use rlibphonenumber::Region;

const NUMBERS: usize = 100_000;
const ROUNDS: usize = 5;

/// Forms of numbers: what stands before the digits, and how many of them.
struct Row {
    name: &'static str,
    region: &'static str,
    forms: &'static [(&'static str, u32)],
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row { name: "Spanish mobiles, E.164",     region: "ES", forms: &[("+346", 8)] },
    Row { name: "United States, E.164",       region: "US", forms: &[("+1", 10)] },
    Row { name: "twelve countries, E.164",    region: "ES", forms: &[
        ("+34", 9), ("+1", 10), ("+4420", 8), ("+447", 9), ("+33", 9), ("+4930", 7), ("+3906", 8),
        ("+52", 10), ("+54911", 8), ("+5511", 9), ("+7", 10), ("+8613", 9), ("+9198", 8),
    ] },
    Row { name: "Spanish, national",          region: "ES", forms: &[("6", 8), ("91", 7)] },
    Row { name: "Spanish, with 00",           region: "ES", forms: &[("0034", 9)] },
    Row { name: "United States, national",    region: "US", forms: &[("", 10)] },
    Row { name: "British, with the trunk 0",  region: "GB", forms: &[("020", 8), ("07", 9)] },
    Row { name: "Mexican, with the former 1", region: "MX", forms: &[("+521", 10)] },
    Row { name: "Spanish, with a space",      region: "ES", forms: &[("+34 6", 8)] },
    Row { name: "Spanish, with brackets",     region: "ES", forms: &[("+34 (6)", 8)] },
];

/// Valid numbers, one behind the other; each is found by its end.
struct Texts {
    text: String,
    ends: Vec<usize>,
}

impl Texts {
    fn of(row: &Row, reader: &NumberReader) -> Self {
        let mut tokens = TokenSource::new(Seed(11, 22));
        let mut texts = Self { text: String::new(), ends: Vec::new() };
        while texts.ends.len() < NUMBERS {
            let (before, width) = row.forms[tokens.next_u64() as usize % row.forms.len()];
            let end = tokens.next_u64() % 10_u64.pow(width);
            let text = format!("{before}{end:0width$}", width = width as usize);
            if reader.read(&text).is_ok() {
                texts.text.push_str(&text);
                texts.ends.push(texts.text.len());
            }
        }
        texts
    }

    fn each(&self, mut read: impl FnMut(&str) -> bool) -> usize {
        let mut begin = 0;
        let mut count = 0;
        for &end in &self.ends {
            count += usize::from(black_box(read(black_box(&self.text[begin..end]))));
            begin = end;
        }
        count
    }
}

/// Nanoseconds and allocations a number.
fn measure(texts: &Texts, mut read: impl FnMut(&str) -> bool) -> (f64, f64) {
    let (allocated, start) = (counting::allocations(), Instant::now());
    texts.each(&mut read);
    let took = start.elapsed().as_nanos() as f64 / NUMBERS as f64;
    let allocations = (counting::allocations() - allocated) as f64 / NUMBERS as f64;
    (took, allocations)
}

fn library(text: &str, region: Region) -> bool {
    let Ok(parsed) = PHONE_NUMBER_UTIL.parse(text, Some(region)) else { return false };
    let is_valid = PHONE_NUMBER_UTIL.is_valid_number(&parsed);
    is_valid && !PHONE_NUMBER_UTIL.format(&parsed, PhoneNumberFormat::E164).is_empty()
}

fn main() {
    let chosen = std::env::args().skip(1).find(|word| !word.starts_with("--"));
    if let Some(part) = chosen {
        let row = ROWS.iter().find(|row| row.name.contains(&part)).expect("a row of that name");
        let reader = NumberReader::new(row.region).expect("the region exists");
        let texts = Texts::of(row, &reader);
        let read = (0..10).map(|_| texts.each(|text| reader.read(text).is_ok())).sum::<usize>();
        println!("{}: {read} numbers read", row.name);
        return;
    }
    println!(
        "{:<28} {:>8} {:>12} {:>8} {:>8}",
        "a number", "ns", "allocations", "library", "ratio"
    );
    for row in ROWS {
        let reader = NumberReader::new(row.region).expect("the region exists");
        let region: Region = row.region.parse().expect("the library knows it");
        let texts = Texts::of(row, &reader);
        let mut best = [(f64::INFINITY, 0.0); 2];
        for _ in 0..ROUNDS {
            let ours = measure(&texts, |text| reader.read(text).is_ok());
            let theirs = measure(&texts, |text| library(text, region));
            for (best, found) in best.iter_mut().zip([ours, theirs]) {
                *best = if found.0 < best.0 { found } else { *best };
            }
        }
        let [(ours, allocations), (theirs, _)] = best;
        let ratio = theirs / ours;
        println!("{:<28} {ours:>8.1} {allocations:>12.2} {theirs:>8.0} {ratio:>8.0}", row.name);
    }
}
