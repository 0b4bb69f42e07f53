//! Backups: taken of a store that is being written, put back elsewhere, and told from one that
//! somebody has touched.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;

use super::*;
use crate::store::backup::Step;
use crate::store::backup::backup_amid;

const MADE_AT: UnixMicros = UnixMicros(1_795_300_000_000_000);

/// The numbers on record in a store that nobody holds, each as often as it is there.
fn numbers(dir: &Path) -> Vec<Number> {
    let (archive, _recovered) =
        Archive::open_exclusive(dir).unwrap_or_else(|error| panic!("{error}"));
    let mut numbers = Vec::new();
    let reader = archive.reader().expect("the database can be read");
    let visit = |entry: Entry| {
        numbers.push(entry.optout.number);
        ControlFlow::Continue(())
    };
    reader.export(&Filter::default(), visit).expect("the rows are opt-outs");
    numbers
}

/// A store of 60 opt-outs and 5 calls in three streams and several segments, and its backup.
fn backed_up(dir: &Path) -> (PathBuf, Manifest) {
    let from = dir.join("data");
    for stream in 0..3 {
        let (store, _recovered, acks) = open(&from);
        for n in stream * 20..stream * 20 + 20 {
            store.submit(n, Fact::OptOut(Box::new(optout(n)))).unwrap();
            acks.recv().unwrap().result.unwrap();
        }
        if stream == 1 {
            (0..5).for_each(|n| store.record_call(call(n)));
        }
        store.close().unwrap();
    }
    let to = dir.join("backup");
    let manifest = backup(&from, &to, MADE_AT).unwrap_or_else(|error| panic!("{error}"));
    (to, manifest)
}

/// What a store says of the numbers 1 and 2, whose evidence is deleted, or not yet.
fn check_evidence(dir: &Path, is_deleted: bool) {
    let examined = examine(dir, None, &[]).unwrap();
    // Two opt-outs and a reversal.
    let erased = if is_deleted { 3 } else { 0 };
    assert_eq!((examined.faults.len(), examined.erased), (0, erased), "{:#?}", examined.faults);
    let (archive, _recovered) = Archive::open_exclusive(dir).unwrap();
    for n in [1, 2] {
        let shown = archive.reader().unwrap().show(number(n)).unwrap();
        let told: Vec<bool> = shown.iter().map(|it| it.evidence_deleted.is_some()).collect();
        assert_eq!(told, [is_deleted], "{n}: {shown:#?}");
        assert_eq!(shown[0].optout.reason.is_none(), is_deleted, "{n}");
    }
}

#[test]
fn what_goes_while_a_backup_is_taken_is_in_it_with_the_record_of_it_or_not_at_all() {
    for at in [Step::Journal, Step::Rest] {
        let stand = Stand::sqlite();
        let (store, acks, [own, _shared]) = retention::filled(&stand);
        let kept = tempfile::tempdir().unwrap();
        let (copy, again) = (kept.path().join("copy"), kept.path().join("again"));
        let mut newest = None;
        let mut meanwhile = |step| {
            if step == at {
                assert_eq!(retention::expire(&store, &acks, 1_831), 2);
                // More numbers than there were keys for.
                for n in 0..5_000 {
                    store.submit(n, Fact::OptOut(Box::new(optout(100 + n)))).unwrap();
                    if n % 500 == 499 {
                        acks.iter().take(500).for_each(|ack| assert!(ack.result.is_ok()));
                    }
                }
                let six = retention::add(&store, &acks, retention::telling(6));
                newest = Some(retention::heard(&store, &acks, six, b"the voice of six"));
            }
        };
        backup_amid(stand.path(), &copy, MADE_AT, &mut meanwhile).unwrap();
        store.close().unwrap();
        let is_recorded = at == Step::Journal;
        let has_key = |dir: &Path, slot| {
            keys::KeyFile::open_read_only(&dir.join("keys"))
                .unwrap()
                .key_in(slot)
                .unwrap()
                .is_some()
        };
        // The copy by itself, too, whoever reads it without a restore.
        for slot in 0..2 {
            assert!(!has_key(stand.path(), slot));
            assert_eq!(has_key(&copy, slot), !is_recorded, "{at:?}: {slot}");
        }
        let copied = rusqlite::Connection::open(copy.join("bajavoz.sqlite")).unwrap();
        let sql = "SELECT COUNT(*) FROM evidence";
        let left: i64 = copied.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(
            left,
            if is_recorded { 3 } else { 6 },
            "{at:?}: of 3 twice and of 4, if not all"
        );
        drop(copied);
        restore(&copy, &again, Calls::LeaveOut).unwrap();
        for dir in [&copy, &again] {
            let wav = |sha256| dir.join("audio").join(format!("{sha256}.wav")).exists();
            assert_eq!(wav(own), !is_recorded, "{at:?}: {}", dir.display());
            assert!(wav(newest.unwrap()), "{at:?}: {}", dir.display());
        }
        check_evidence(&again, is_recorded);
        check_evidence(stand.path(), true);
    }
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("journal")).expect("the backup has a journal");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    paths.sort_unstable();
    paths
}

#[test]
fn a_store_that_was_put_back_gives_nobody_a_key_that_was_given_out_behind_its_backup() {
    let dir = tempfile::tempdir().unwrap();
    let (backup, _manifest) = backed_up(dir.path());
    let slot_of = |dir: &Path, n: u64| {
        let (store, _recovered, acks) = open(dir);
        store.submit(n, Fact::OptOut(Box::new(optout(n)))).unwrap();
        let id = acks.recv().unwrap().result.unwrap().record;
        store.close().unwrap();
        let streams = journal::streams(&dir.join("journal")).unwrap();
        let stream = streams.iter().find(|stream| stream.writer == id.writer).unwrap();
        let mut slot = None;
        let read = stream.read(0, |record| {
            slot = record.key_slot().filter(|_key| record.id == id).or(slot);
            Ok::<_, StoreError>(())
        });
        read.unwrap();
        slot.unwrap().1
    };
    let lost = slot_of(&dir.path().join("data"), 900);
    let again = dir.path().join("again");
    restore(&backup, &again, Calls::Keep).unwrap();
    assert_eq!(slot_of(&again, 3), 3, "who had one keeps it");
    assert!(slot_of(&again, 901) > lost + 1_000, "another number is not erased with that one");
}

#[test]
fn a_store_that_is_being_written_is_copied_whole_and_put_back() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("data");
    let (store, _recovered, acks) = open(&from);
    let mut submitted = 0;
    let mut submit = |count: u64| {
        for n in submitted..submitted + count {
            store.submit(n, Fact::OptOut(Box::new(optout(n)))).unwrap();
        }
        submitted += count;
    };
    submit(30);
    acks.iter().take(30).for_each(|ack| assert!(ack.result.is_ok()));
    store.record_call(call(1));
    store.flush().unwrap();
    for round in 0..5 {
        // These are on their way while it is copied.
        submit(20);
        let to = dir.path().join(format!("backup-{round}"));
        let manifest = backup(&from, &to, MADE_AT).unwrap();
        let acknowledged = 30 + 20 * round;
        assert!(manifest.opt_outs >= acknowledged, "round {round}: {manifest:?}");
        assert_eq!((manifest.calls, manifest.facts), (1, manifest.opt_outs));
        assert_eq!(verify(&to, Calls::Keep).unwrap(), manifest);
        let again = dir.path().join(format!("again-{round}"));
        assert_eq!(restore(&to, &again, Calls::Keep).unwrap(), manifest);
        let found = numbers(&again);
        let once: BTreeSet<Number> = found.iter().copied().collect();
        assert_eq!((found.len() as u64, once.len()), (manifest.opt_outs, found.len()));
        assert!((0..acknowledged).all(|n| once.contains(&number(n))), "round {round}");
        acks.iter().take(20).for_each(|ack| assert!(ack.result.is_ok()));
    }
    store.close().unwrap();
    // What was put back is a store like any other.
    let again = dir.path().join("again-0");
    let (store, _recovered, acks) = open(&again);
    store.submit(0, Fact::OptOut(Box::new(optout(500)))).unwrap();
    acks.recv().unwrap().result.unwrap();
    let mut calls = Vec::new();
    let visit = |call| {
        calls.push(call);
        ControlFlow::Continue(())
    };
    store.reader().unwrap().calls(&CallFilter::default(), visit).unwrap();
    assert_eq!(calls, [call(1)]);
    store.close().unwrap();
    assert!(numbers(&again).contains(&number(500)));
}

#[test]
fn a_backup_that_somebody_touched_is_refused_and_nothing_is_written() {
    type Touch = fn(&Path);
    #[rustfmt::skip]
    let cases: [(&str, Touch, &str); 9] = [
        ("a stream is missing", |dir| fs::remove_file(&segments(dir)[0]).unwrap(), "the backup is not whole"),
        ("the last batch is cut off", |dir| {
            let segment = fs::OpenOptions::new().write(true).open(segments(dir).last().unwrap()).unwrap();
            segment.set_len(segment.metadata().unwrap().len() - 16).unwrap();
        }, "records of a stream, found 2"),
        ("a key is another one", |dir| {
            let keys = fs::OpenOptions::new().write(true).open(dir.join("keys")).unwrap();
            keys.write_all_at(&[7; 32], 4096 + 5 * 32).unwrap();
        }, "cannot be read"),
        ("a key was destroyed", |dir| {
            let keys = fs::OpenOptions::new().write(true).open(dir.join("keys")).unwrap();
            keys.write_all_at(&[0; 32], 4096 + 5 * 32).unwrap();
        }, "expected its key or its number in slot 5"),
        ("the keys are missing", |dir| fs::remove_file(dir.join("keys")).unwrap(), "cannot open"),
        ("a call record is missing", |dir| {
            let database = rusqlite::Connection::open(dir.join("bajavoz.sqlite")).unwrap();
            database.execute("DELETE FROM call_record WHERE number = ?1", [34_600_000_003_i64]).unwrap();
        }, "expected 5 call records, found 4"),
        ("the manifest is missing", |dir| fs::remove_file(dir.join("manifest.json")).unwrap(), "cannot read"),
        ("the manifest is of another form", |dir| {
            let path = dir.join("manifest.json");
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, text.replace("\"version\": 1", "\"version\": 2")).unwrap();
        }, "expected 1 as its version, found 2"),
        ("the manifest is cut", |dir| fs::write(dir.join("manifest.json"), "{").unwrap(), "manifest"),
    ];
    for (name, touch, want) in cases {
        let dir = tempfile::tempdir().unwrap();
        let (copy, _manifest) = backed_up(dir.path());
        touch(&copy);
        let target = dir.path().join("again");
        let error = restore(&copy, &target, Calls::Keep).unwrap_err().to_string();
        assert!(error.contains(want), "{name}: {error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "{name}: nothing is left over");
    }
}

#[test]
fn a_flipped_bit_in_the_journal_of_a_backup_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, manifest) = backed_up(dir.path());
    let (mut caught, mut tried) = (0, 0);
    for segment in segments(&copy) {
        let bytes = fs::read(&segment).unwrap();
        let used = bytes.len() - bytes.iter().rev().take_while(|octet| **octet == 0).count();
        for at in (4096..used).step_by(37) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&segment, flipped).unwrap();
            tried += 1;
            match verify(&copy, Calls::Keep) {
                Ok(found) => assert_eq!(found, manifest, "the padding of a batch says nothing"),
                Err(_) => caught += 1,
            }
        }
        fs::write(&segment, bytes).unwrap();
    }
    assert!(tried > 500 && caught * 100 > tried * 95, "{caught} of {tried}");
    assert_eq!(verify(&copy, Calls::Keep).unwrap(), manifest);
}

#[test]
fn neither_verb_writes_over_anything() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, manifest) = backed_up(dir.path());
    let from = dir.path().join("data");
    let error = backup(&from, &copy, MADE_AT).unwrap_err();
    assert!(matches!(error, StoreError::Occupied { .. }), "{error}");
    let error = restore(&copy, &from, Calls::Keep).unwrap_err();
    assert!(matches!(error, StoreError::Occupied { .. }), "{error}");
    assert_eq!(numbers(&from).len(), 60);
    let error = backup(&dir.path().join("nowhere"), &dir.path().join("b"), MADE_AT).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert_eq!(
        restore(&copy, &empty, Calls::Keep).unwrap(),
        manifest,
        "an empty folder is as good as none"
    );
    assert_eq!(numbers(&empty).len(), 60);
}

#[test]
fn a_busy_database_is_held_and_a_damaged_one_is_not() {
    use rusqlite::ffi;

    let codes =
        [(ffi::SQLITE_BUSY, true), (ffi::SQLITE_LOCKED, true), (ffi::SQLITE_CORRUPT, false)];
    for (code, is_held) in codes {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        assert_eq!(StoreError::Database(error).is_held(), is_held, "{code}");
    }
}

#[test]
fn a_restore_fills_the_folder_that_is_there() {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let (copy, _manifest) = backed_up(dir.path());
    let mounted = dir.path().join("mounted");
    fs::create_dir(&mounted).unwrap();
    fs::set_permissions(&mounted, fs::Permissions::from_mode(0o750)).unwrap();
    let before = fs::metadata(&mounted).unwrap();
    restore(&copy, &mounted, Calls::Keep).unwrap();
    let after = fs::metadata(&mounted).unwrap();
    assert_eq!((after.ino(), after.mode()), (before.ino(), before.mode()));
    assert_eq!(numbers(&mounted).len(), 60);
}

#[test]
fn a_restore_that_was_cut_off_keeps_engines_away_until_it_is_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, manifest) = backed_up(dir.path());
    let whole = dir.path().join("whole");
    restore(&copy, &whole, Calls::Keep).unwrap();
    let mut parts: Vec<_> =
        fs::read_dir(&whole).unwrap().map(|part| part.unwrap().file_name()).collect();
    parts.sort_unstable();
    assert!(parts.len() >= 3, "{parts:?}");
    // A crash before, between and behind the moves, whatever their order was.
    for arrived in 0..=parts.len() {
        let cut = dir.path().join(format!("cut-{arrived}"));
        fs::create_dir_all(cut.join("restoring")).unwrap();
        for part in &parts[..arrived] {
            let (from, to) = (whole.join(part), cut.join(part));
            if from.is_dir() {
                fs::create_dir(&to).unwrap();
                for file in fs::read_dir(&from).unwrap().map(Result::unwrap) {
                    fs::copy(file.path(), to.join(file.file_name())).unwrap();
                }
            } else {
                fs::copy(&from, &to).unwrap();
            }
        }
        let error = Archive::open_exclusive(&cut).map(drop).unwrap_err();
        assert!(matches!(error, StoreError::RestoreCut { .. }), "{arrived}: {error}");
        assert_eq!(restore(&copy, &cut, Calls::Keep).unwrap(), manifest, "{arrived}");
        assert_eq!(numbers(&cut).len(), 60, "{arrived}");
    }
}

#[test]
fn damaged_call_records_do_not_keep_the_opt_outs_from_being_put_back() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, manifest) = backed_up(dir.path());
    let path = copy.join("bajavoz.sqlite");
    let database = rusqlite::Connection::open(&path).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND rootpage > 0
               ORDER BY rootpage DESC LIMIT 1";
    let root: u32 = database.query_row(sql, [], |row| row.get(0)).unwrap();
    let page_len: u32 = database.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    drop(database);
    // A page that no count reads.
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&vec![0xff; page_len as usize], u64::from(root - 1) * u64::from(page_len))
        .unwrap();
    let target = dir.path().join("again");
    let error = restore(&copy, &target, Calls::Keep).unwrap_err();
    assert!(matches!(error, StoreError::BackupCalls { .. }), "{error}");
    assert!(error.to_string().contains("restore --without-calls"), "{error}");
    let restored = restore(&copy, &target, Calls::LeaveOut).unwrap();
    assert_eq!(restored, Manifest { calls: 0, ..manifest });
    assert_eq!(numbers(&target).len(), 60);
}
