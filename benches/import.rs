//! How soon is a file of numbers a durable segment, beside `sort -u` of the same file, and beside
//! PostgreSQL's `COPY` of its numbers?
//!
//! In one run and by turns, for a table of E.164 numbers in no order with one bad line in a
//! thousand, and for a registry's full list in order: our reading, sorting and writing with its
//! syncs; GNU sort with two threads, half a GiB and the C locale, which writes its output and
//! does not sync it; and `COPY` of the bare numbers of the good lines into a table that has them as
//! its primary key, and into one without any index, each committed durably. Prints lines a second,
//! octets a number and the ratios, and the most memory that we held; only the ratios mean anything
//! on a machine that others use too. `cargo bench --bench import [LINES [FOLDER]]`, five million
//! lines unless told otherwise. Needs PostgreSQL's own programs.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench reads clocks and prints"
)]

use std::collections::HashSet;
use std::fs::File;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use bajavoz::model::NumberReader;
use bajavoz::store::import::Order;
use bajavoz::store::import::Title;
use bajavoz::store::import::prepare;
use bajavoz::store::import::write;
use bajavoz::suppression::import::Settings;
use bajavoz::suppression::import::Shape;
use cluster::Cluster;
use cluster::TestDatabase;

#[expect(dead_code, reason = "the store's tests use all of it")]
#[path = "../src/store/tests/cluster.rs"]
mod cluster;

const ROUNDS: usize = 3;
/// Numbers behind an area code.
const NUMBERS_PER_AREA: u64 = 8_000_000;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
    let lines = words.next().map_or(Ok(5_000_000), |word| word.parse())?;
    let dir = tempfile::tempdir_in(words.next().as_deref().unwrap_or("."))?;
    let cluster = Cluster::start();
    let database = cluster.database();
    for (name, shape) in [("csv", Shape::Csv), ("ftc-full", Shape::FtcFull)] {
        let file = dir.path().join(name);
        let bare = dir.path().join("bare");
        make(&file, &bare, shape, lines)?;
        let octets = file.metadata()?.len();
        println!("{name}: {lines} lines, {octets} octets");
        for _ in 0..ROUNDS {
            let sort = sorted(&file, dir.path())?;
            let (ours, numbers, segment) = imported(&file, shape, dir.path())?;
            println!(
                "  import {:.2} M lines/s, sort -u {:.2} M lines/s, ratio {:.1}, {:.3} octets a number",
                rate(lines, ours),
                rate(lines, sort),
                sort.as_secs_f64() / ours.as_secs_f64(),
                segment as f64 / numbers as f64,
            );
            for (column, called) in [("BIGINT PRIMARY KEY", "with"), ("BIGINT", "without")] {
                let copy = copied(&bare, &database, column)?;
                println!(
                    "    COPY {called} a key {:.2} M lines/s, ratio {:.1}",
                    rate(lines, copy),
                    copy.as_secs_f64() / ours.as_secs_f64(),
                );
            }
        }
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("most memory held: {}", peak.trim_start_matches("VmHWM:").trim());
    Ok(())
}

fn rate(lines: u64, took: Duration) -> f64 {
    lines as f64 / took.as_secs_f64() / 1e6
}

/// Numbers of the North American plan, strewn evenly; a full list in order, a table in none. `bare`
/// gets the digits of each good line, once each, in the same order.
fn make(path: &Path, bare: &Path, shape: Shape, lines: u64) -> Outcome<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let mut bare = BufWriter::new(File::create(bare)?);
    let mut seen = HashSet::new();
    let reader = NumberReader::new("US")?;
    let is_in_use = |area: &u64| reader.read(&format!("+1{area}2345678")).is_ok();
    let areas: Vec<u64> = (201..990).filter(is_in_use).collect();
    let span = areas.len() as u64 * NUMBERS_PER_AREA;
    let step = (span / lines).max(1);
    let mut state: u64 = 0x0123_4567_89ab_cdef;
    if shape == Shape::Csv {
        writeln!(out, "phone,name,city")?;
    }
    for n in 0..lines {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = state >> 20;
        let place = if shape == Shape::Csv { random % span } else { n * step + random % step };
        let (area, line) = (place / NUMBERS_PER_AREA, place % NUMBERS_PER_AREA + 2_000_000);
        let area = areas.get(usize::try_from(area)?).ok_or("the place is within the span")?;
        let is_bad = shape == Shape::Csv && n % 1000 == 999;
        if !is_bad && seen.insert(place) {
            writeln!(bare, "1{area}{line}")?;
        }
        match shape {
            Shape::Csv if is_bad => writeln!(out, "none,Somebody {n},Springfield")?,
            Shape::Csv => writeln!(out, "+1{area}{line},Somebody {n},Springfield")?,
            _ => writeln!(out, "{area},{line}")?,
        }
    }
    out.into_inner()?.sync_all()?;
    bare.into_inner()?.sync_all()?;
    Ok(())
}

/// `COPY` of the file of bare numbers into a new table whose one column is `column`.
fn copied(bare: &Path, database: &TestDatabase, column: &str) -> Outcome<Duration> {
    database.psql("DROP TABLE IF EXISTS number");
    database.psql("CHECKPOINT");
    database.psql(&format!("CREATE TABLE number (number {column})"));
    let begun = Instant::now();
    database.psql(&format!(r"\copy number FROM '{}'", bare.display()));
    Ok(begun.elapsed())
}

fn sorted(path: &Path, dir: &Path) -> Outcome<Duration> {
    let begun = Instant::now();
    let mut sort = Command::new("sort");
    sort.args(["-u", "--parallel=2", "-S", "512M", "-T"]).arg(dir).arg("-o");
    let status = sort.arg(dir.join("sorted")).arg(path).env("LC_ALL", "C").status()?;
    assert!(status.success(), "sort: {status}");
    Ok(begun.elapsed())
}

fn imported(path: &Path, shape: Shape, dir: &Path) -> Outcome<(Duration, u64, u64)> {
    let numbers = NumberReader::new("US")?;
    let store = dir.join("store");
    std::fs::create_dir_all(&store)?;
    let begun = Instant::now();
    let order = Order {
        rejects: Some(dir.join("rejects.csv")),
        runs_in: Some(store.clone()),
        is_one_list: true,
        ..Order::new(path.to_owned(), Settings { shape: Some(shape), ..Settings::new(numbers) })
    };
    let mut prepared = prepare(&order, &mut |_progress| {})?;
    let title = Title { list: "bench".into(), source: String::new(), as_of: None };
    let (listed, _none) = write(&mut prepared, &title, &store, &mut |_progress| {})?;
    let took = begun.elapsed();
    let part = listed.ok_or("the file has numbers")?;
    let segment = store.join("segments").join(format!("{}.seg", part.segment));
    Ok((took, part.count, segment.metadata()?.len()))
}
