//! A process that opts people out is killed (SIGKILL) at a random moment, again and again, on one
//! store. Everything it had told us was acknowledged is found, once, and nothing else but what it
//! may have submitted.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use super::*;
use crate::model::token::Seed;
use crate::model::token::TokenSource;

/// Tells the child that it is one: the store's folder and the first number to use.
const DIR: &str = "BAJAVOZ_TEST_KILL_DIR";
const FIRST: &str = "BAJAVOZ_TEST_KILL_FIRST";
/// Numbers that a child may use up.
const CHILD_NUMBERS: u64 = 100_000;

/// The child: opts out one number after the other and prints each that is acknowledged.
#[test]
fn child_of_the_test_below() {
    let (Some(dir), Ok(first)) = (std::env::var_os(DIR), std::env::var(FIRST)) else { return };
    let first: u64 = first.parse().unwrap();
    let (store, _recovered, acks) = open(&PathBuf::from(dir));
    let mut out = io::stdout();
    let mut next = first;
    while next < first + CHILD_NUMBERS {
        // A few at a time, so that groups are torn too.
        for token in next..next + 3 {
            store.submit(token, Fact::OptOut(Box::new(optout(token)))).unwrap();
        }
        for ack in acks.iter().take(3) {
            assert!(ack.result.is_ok());
            // Not by `println!`, which a test's harness captures.
            writeln!(out, "acknowledged {}", ack.token).unwrap();
        }
        out.flush().unwrap();
        next += 3;
    }
}

#[test]
fn a_killed_process_loses_nothing_it_had_been_told() {
    let dir = tempfile::tempdir().unwrap();
    let seed = Seed(1, 121);
    let mut tokens = TokenSource::new(seed);
    let mut acknowledged = BTreeSet::new();
    for round in 0..8 {
        let first = round * CHILD_NUMBERS;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::kill::child_of_the_test_below", "--nocapture"])
            .env(DIR, dir.path())
            .env(FIRST, first.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let kill_after = 1 + tokens.next_u64() % 200;
        let mut heard = 0;
        while heard < kill_after {
            let line = lines.next().expect("the child works until it is killed").unwrap();
            heard += u64::from(note(&line, &mut acknowledged));
        }
        child.kill().unwrap();
        // What it had printed before the signal came was acknowledged as well.
        lines.map_while(Result::ok).for_each(|line| {
            note(&line, &mut acknowledged);
        });
        child.wait().unwrap();
    }
    let (archive, _recovered) = Archive::open_exclusive(dir.path()).unwrap();
    let mut found = BTreeSet::new();
    let visit = |entry: Entry| {
        let n = entry.optout.number.digits() - 34_600_000_000;
        assert!(found.insert(n), "{n} is there twice, {seed:?}");
        ControlFlow::Continue(())
    };
    archive.reader().unwrap().export(&Filter::default(), visit).unwrap();
    let lost: Vec<_> = acknowledged.difference(&found).collect();
    assert!(lost.is_empty(), "lost {lost:?}, {seed:?}");
    // At most the last group of each child was submitted and not told of.
    assert!(found.len() <= acknowledged.len() + 8 * 3, "{} {}", found.len(), acknowledged.len());
}

/// Whether `line` tells of an acknowledgement, which is then noted. A line that the signal cut
/// short tells nothing.
fn note(line: &str, acknowledged: &mut BTreeSet<u64>) -> bool {
    let token = line.rsplit_once("acknowledged ").and_then(|(_before, token)| token.parse().ok());
    token.is_some_and(|token| acknowledged.insert(token))
}
