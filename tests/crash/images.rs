//! A power cut after each step of each write path.
//!
//! A story is played once and recorded. After each of its steps the disk is reckoned as a power cut
//! would leave it: without anything that was not synced, and with some of it, by dice. And as the end
//! of the process alone would leave it; from there a second process goes on, and then the power goes.
//!
//! The gate looks after every eighth step, `BAJAVOZ_IMAGES_ALL=1` after each;
//! `BAJAVOZ_CRASH_SEED=7` rolls the same dice again.

use std::io;
use std::io::Write;

use crate::deletion::Deletion;
use crate::dice::Dice;
use crate::files::Audio;
use crate::files::BackedUp;
use crate::files::Imported;
use crate::files::Restored;
use crate::files::Snapshots;
use crate::image::Disk;
use crate::image::Left;
use crate::steps::begin;
use crate::steps::check_image;
use crate::story::OptOuts;
use crate::story::Story;
use crate::story::Told;
use crate::watch::Deed;
use crate::watch::Note;
use crate::watch::Watch;
use crate::watch::folder;

/// Between two images of the gate.
const EVERY: u64 = 8;

/// Between two second processes, in images.
const AGAIN_EVERY: u64 = 6;

/// The seed of a test, which is told.
pub(crate) fn seed(name: &str) -> u64 {
    let given = std::env::var("BAJAVOZ_CRASH_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| std::process::id().into());
    tell(&format!("{name}: BAJAVOZ_CRASH_SEED={seed}"));
    seed
}

/// Whether a wish from the environment is anything but empty.
pub(crate) fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// Says something on standard error, past the test runner.
pub(crate) fn tell(text: &str) {
    writeln!(io::stderr(), "{text}").expect("standard error takes text");
}

/// Says at which step a test was that panics.
pub(crate) struct Named<'a>(pub(crate) &'a str);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tell(self.0);
        }
    }
}

fn sweep(name: &str, story: &dyn Story) {
    let seed = seed(name);
    let is_all = is_set("BAJAVOZ_IMAGES_ALL");
    let every = if is_all { (1, 1) } else { (EVERY, AGAIN_EVERY) };
    look(name, story, every, seed, None);
}

const fn is_promise(deed: &Deed) -> bool {
    matches!(deed, Deed::Note(Note::Promised(_)))
}

/// Looks at images of `story` after each promise, between which are so many steps, and at second processes, between
/// which are so many images; with the syncs of one file left out, where one is named.
pub(crate) fn look(
    name: &str,
    story: &dyn Story,
    (every, again_every): (u64, u64),
    seed: u64,
    unsynced: Option<&str>,
) {
    let mut dice = Dice::new(seed);
    let before = story.before();
    let watch = begin(&before);
    story.play(&watch);
    let is_left_out = |deed: &Deed| match (deed, unsynced) {
        (Deed::Sync(path), Some("")) => path.as_os_str().is_empty(),
        (Deed::Sync(path), Some(unsynced)) => path.to_string_lossy().ends_with(unsynced),
        _ => false,
    };
    let (mut disk, mut told, mut steps, mut images) = (before, Told::default(), 0, 0);
    for deed in watch.deeds().iter().filter(|deed| !is_left_out(deed)) {
        disk.take(deed);
        told.take(deed);
        let is_step = !matches!(deed, Deed::Note(_));
        steps += u64::from(is_step);
        let is_turn = is_step && (steps + seed).is_multiple_of(every);
        if !is_turn && !is_promise(deed) {
            continue;
        }
        let last: String = format!("{deed:?}").chars().take(100).collect();
        let name = format!("{name}, after {steps} steps, the last {last}, seed {seed}");
        check_image(story, &disk, (Left::Nothing, &mut dice), &told, &name);
        check_image(story, &disk, (Left::Some, &mut dice), &told, &name);
        images += 2;
        if is_turn && (steps / every).is_multiple_of(again_every) {
            again(story, &disk, &told, &mut dice, &name);
            images += 2;
        }
    }
    tell(&format!("{name}: {steps} steps, {images} images"));
    assert!(steps > 4, "{name}: so few steps cannot be all");
}

/// A process ends, another goes on with what the system still shows, and then the power goes.
fn again(story: &dyn Story, disk: &Disk, told: &Told, dice: &mut Dice, name: &str) {
    let dir = folder();
    disk.write(dir.path(), Left::All, dice);
    let watch = Watch::of(dir, disk.clone());
    {
        let _named = Named(name);
        story.go_on(&watch);
    }
    let (mut disk, mut told) = (disk.clone(), told.clone());
    let deeds = watch.deeds();
    // The power goes with the last promise.
    let count = deeds.iter().rposition(is_promise).map_or(deeds.len(), |at| at + 1);
    for deed in deeds.iter().take(count) {
        disk.take(deed);
        told.take(deed);
    }
    let name = format!("{name}, and again");
    check_image(story, &disk, (Left::Nothing, dice), &told, &name);
    check_image(story, &disk, (Left::Some, dice), &told, &name);
}

#[test]
fn a_new_store() {
    sweep("images of a new store", &OptOuts { before: 0, is_short_of_keys: false });
}

#[test]
fn a_store_that_was_killed_and_whose_keys_run_out() {
    sweep("images of an old store", &OptOuts { before: 9, is_short_of_keys: true });
}

#[test]
fn an_import() {
    sweep("images of an import", &Imported);
}

#[test]
fn a_snapshot() {
    sweep("images of a snapshot", &Snapshots);
}

#[test]
fn the_audio_of_a_press() {
    sweep("images of audio", &Audio);
}

#[test]
fn evidence_that_was_kept_long_enough() {
    sweep("images of a deletion", &Deletion);
}

#[test]
fn a_backup() {
    sweep("images of a backup", &BackedUp::new());
}

#[test]
fn a_restore() {
    sweep("images of a restore", &Restored::new());
}
