//! The images notice when a sync is missing: without any one of these a promise is lost, or what is
//! found cannot be read.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use crate::files::Audio;
use crate::files::BackedUp;
use crate::files::Imported;
use crate::files::Restored;
use crate::files::Snapshots;
use crate::images::look;
use crate::images::seed;
use crate::story::OptOuts;
use crate::story::Story;

/// Between two images, so that the seed leaves none out; and no second process.
const EVERY: (u64, u64) = (1, u64::MAX);

#[test]
fn every_sync_is_needed() {
    let seed = seed("every sync is needed");
    let new = OptOuts { before: 0, is_short_of_keys: false };
    let old = OptOuts { before: 9, is_short_of_keys: true };
    let (copy, restore) = (BackedUp::new(), Restored::new());
    #[rustfmt::skip]
    let cases: [(&str, &dyn Story, &str); 14] = [
        ("a batch",                       &new,       ".journal"),
        ("a segment's header",            &new,       "journal/spare"),
        ("a segment's name",              &new,       "store/journal"),
        ("the journal's name",            &new,       "store"),
        ("the keys when they are made",   &new,       "keys.new"),
        ("the keys when they grow",       &old,       "store/keys"),
        ("an import's segment",           &Imported,  "segments/unfinished"),
        ("its name",                      &Imported,  "store/segments"),
        ("a snapshot",                    &Snapshots, "base.snapshot.new"),
        ("its name",                      &Snapshots, ""),
        ("audio",                         &Audio,     ".new"),
        ("a backup's manifest",           &copy,      "manifest.json"),
        ("a backup's name",               &copy,      "copies"),
        ("a restored store's names",      &restore,   "store"),
    ];
    for (name, story, unsynced) in cases {
        let looked =
            catch_unwind(AssertUnwindSafe(|| look(name, story, EVERY, seed, Some(unsynced))));
        assert!(looked.is_err(), "{name}: nothing breaks without a sync of `{unsynced}`");
    }
}
