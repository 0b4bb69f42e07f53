//! Each step of each write path fails once, in each way.
//!
//! A first run counts the steps, thread by thread. Then each of them fails in a run of its own: the
//! process goes on, or begins again where it could not begin, and everything works that comes after.
//! What it leaves behind is looked at as it is, and as a power cut would leave it.
//!
//! The gate has each step of the store's own files fail in one way, by turns, and some of SQLite's;
//! `BAJAVOZ_STEPS_ALL=1` has every step fail in every way.

use std::collections::BTreeMap;

use crate::deletion::Deletion;
use crate::dice::Dice;
use crate::files::Audio;
use crate::files::BackedUp;
use crate::files::Imported;
use crate::files::Restored;
use crate::files::Snapshots;
use crate::image::Disk;
use crate::image::Left;
use crate::images::Named;
use crate::images::is_set;
use crate::images::seed;
use crate::images::tell;
use crate::story::OptOuts;
use crate::story::Story;
use crate::story::Told;
use crate::watch::Fault;
use crate::watch::Step;
use crate::watch::Watch;
use crate::watch::Way;
use crate::watch::folder;

/// What a disk says that is broken, full, or read-only by now.
const CODES: [i32; 3] = [libc::EIO, libc::ENOSPC, libc::EROFS];

/// Of the steps on SQLite's files, so many fail in the gate.
const SQLITE_EVERY: u64 = 8;

/// Plays without a fault, of whose steps those count that all have.
const CLEAN_RUNS: usize = 3;

/// A watched folder that holds what was there before.
pub(crate) fn begin(before: &Disk) -> Watch {
    let dir = folder();
    before.write(dir.path(), Left::All, &mut Dice::new(0));
    Watch::of(dir, before.clone())
}

/// Looks at what `disk` is after a power cut.
pub(crate) fn check_image(
    story: &dyn Story,
    disk: &Disk,
    (left, dice): (Left, &mut Dice),
    told: &Told,
    name: &str,
) {
    let dir = folder();
    disk.write(dir.path(), left, dice);
    let watch = Watch::of(dir, Disk::default());
    story.check(watch.path(), told, &format!("{name}, {left:?} left of what was not synced"));
}

/// Which steps fail in which ways.
fn faults(steps: &[Step], seed: u64) -> Vec<(Step, Way)> {
    let is_all = is_set("BAJAVOZ_STEPS_ALL");
    let mut faults = Vec::new();
    for (at, step) in (seed..).zip(steps) {
        let ways = step.what.ways();
        let is_sqlite = step.path.to_string_lossy().contains("sqlite");
        if is_all {
            faults.extend(ways.iter().map(|way| (step.clone(), *way)));
        } else if !is_sqlite || at.is_multiple_of(SQLITE_EVERY) {
            let turn = at / if is_sqlite { SQLITE_EVERY } else { 1 };
            faults.push((step.clone(), ways[(turn % ways.len() as u64) as usize]));
        }
    }
    faults
}

/// The steps of `story` that each of some runs has: what comes in one batch in one run may come in
/// many in another, where the machine is busy.
fn steady_steps(before: &Disk, story: &dyn Story) -> Vec<Step> {
    let played = || {
        let watch = begin(before);
        story.play(&watch);
        watch.steps()
    };
    let mut steps = played();
    for _again in 1..CLEAN_RUNS {
        let others = played();
        let is_same = |one: &Step, other: &Step| {
            (&one.thread, one.at, one.what) == (&other.thread, other.at, other.what)
        };
        steps.retain(|step| others.iter().any(|other| is_same(step, other)));
    }
    steps
}

/// Plays `story` once for each step that it has.
fn sweep(name: &str, story: &dyn Story) {
    let seed = seed(name);
    let before = story.before();
    let (mut met, mut missed) = (BTreeMap::new(), 0);
    let faults = faults(&steady_steps(&before, story), seed);
    assert!(faults.len() > 4, "{name}: so few steps cannot be all");
    for (at, (step, way)) in (seed..).zip(&faults) {
        let name = format!("{name}, {way:?} at {step:?}, seed {seed}");
        let code = CODES[(at % 3) as usize];
        let watch = begin(&before);
        watch.fail(Fault { step: step.clone(), way: *way, code, lasts: 1 + 2 * (at / 3 % 2) });
        {
            let _named = Named(&name);
            story.play(&watch);
        }
        if !watch.mend() {
            // Threads may share their work otherwise than in the first run.
            missed += 1;
            tell(&format!("not met: {name}"));
            continue;
        }
        *met.entry(step.what).or_insert(0) += 1;
        let told = Told::of(&watch.deeds());
        let disk = watch.disk();
        story.check(watch.path(), &told, &name);
        let mut dice = Dice::new(at);
        check_image(story, &disk, (Left::Nothing, &mut dice), &told, &name);
        check_image(story, &disk, (Left::Some, &mut dice), &told, &name);
    }
    tell(&format!("{name}: steps that failed: {met:?}, not met {missed}"));
    assert!(missed * 10 <= faults.len(), "{name}: {missed} steps of {} not met", faults.len());
}

#[test]
fn a_new_store() {
    sweep("a new store", &OptOuts { before: 0, is_short_of_keys: false });
}

#[test]
fn a_store_that_was_killed_and_whose_keys_run_out() {
    sweep("an old store", &OptOuts { before: 9, is_short_of_keys: true });
}

#[test]
fn an_import() {
    sweep("an import", &Imported);
}

#[test]
fn a_snapshot() {
    sweep("a snapshot", &Snapshots);
}

#[test]
fn the_audio_of_a_press() {
    sweep("audio", &Audio);
}

#[test]
fn evidence_that_was_kept_long_enough() {
    sweep("a deletion", &Deletion);
}

#[test]
fn a_backup() {
    sweep("a backup", &BackedUp::new());
}

#[test]
fn a_restore() {
    sweep("a restore", &Restored::new());
}
