//! A key is gone, and audio is, by an erasure that says so or not rightly, whether there is a database or
//! not.

use std::fs;

use crate::model::RecordId;
use crate::store::Examined;
use crate::store::Place;
use crate::store::StoreFault;
use crate::store::keys::KeyFile;
use crate::store::tests::retention::add;
use crate::store::tests::retention::expire;
use crate::store::tests::retention::filled;
use crate::store::tests::retention::heard;
use crate::store::tests::retention::record_expired;
use crate::store::tests::retention::telling;
use crate::store::tests::sample::number;
use crate::store::tests::stand::Stand;
use crate::store::tests::stand::on_both;

on_both! {
    a_key_that_no_erasure_has_destroyed_is_named,
    audio_that_no_erasure_has_removed_is_named,
}

/// What is found of the store, with its database and without where that is a file.
fn examined(stand: &Stand) -> Vec<Examined> {
    let mut found = vec![stand.examined()];
    if stand.server.is_none() {
        let path = stand.path().join("bajavoz.sqlite");
        let away = stand.path().join("away");
        fs::rename(&path, &away).unwrap();
        found.push(stand.examined());
        fs::rename(&away, &path).unwrap();
    }
    found
}

fn a_key_that_no_erasure_has_destroyed_is_named(stand: &Stand) {
    for stand in [stand.anew(), stand.anew().keyed()] {
        let (store, acks, _audio) = filled(&stand);
        assert_eq!(expire(&store, &acks, 1_831), 2);
        let shown = |n| store.reader().unwrap().show(number(n)).unwrap();
        let record_of = |n| shown(n).first().map(|entry| entry.record).unwrap();
        let [one, two, three, four] = [1, 2, 3, 4].map(record_of);
        store.close().unwrap();
        drop(stand.archive());
        for found in examined(&stand) {
            assert_eq!((found.faults, found.erased), (Vec::new(), 3));
        }
        let is_plain = stand.numbers == crate::store::NumberChoice::Plain;
        let path = stand.path().join("keys");
        let whole = fs::read(&path).unwrap();
        let kept = |slot: u32, n: Option<u64>| {
            KeyFile::destroy(&path, &[slot], n.map(number)).unwrap();
        };
        let cut = || fs::write(&path, &whole[..4096 + 32 * 3]).unwrap();
        // Numbers 1 to 4 have the slots 0 to 3.
        type Touch<'a> = &'a dyn Fn();
        #[rustfmt::skip]
        let cases: [(&str, Touch<'_>, RecordId); 7] = [
            ("a key is destroyed",                    &|| kept(3, None),    four),
            ("one of two records",                    &|| kept(2, None),    three),
            ("a key is gone, its number is left",     &|| kept(3, Some(4)), four),
            ("another number is left",                &|| kept(3, Some(1)), four),
            ("the file is cut",                       &cut,                 four),
            ("the number of who was erased is gone",  &|| kept(0, None),    one),
            ("another number of who was erased",      &|| kept(1, Some(1)), two),
        ];
        for (name, touch, want) in cases {
            if !is_plain && [one, two].contains(&want) {
                continue; // Where numbers are hashed none is left in a slot.
            }
            touch();
            for found in examined(&stand) {
                let is_named = |it: &StoreFault| it.place == Place::Keys && it.record == Some(want);
                assert!(found.faults.iter().any(is_named), "{name}: {:#?}", found.faults);
            }
            fs::write(&path, &whole).unwrap();
        }
        // With a slot written over, the rows of a record could say whatever number they liked.
        kept(3, None);
        let sql =
            "UPDATE optout SET number = number + 50; UPDATE suppressed SET number = number + 50";
        match &stand.server {
            Some(server) => drop(server.psql(sql)),
            None => {
                let shell = rusqlite::Connection::open(stand.path().join("bajavoz.sqlite"));
                shell.unwrap().execute_batch(sql).unwrap();
            }
        }
        let faults = stand.examined().faults;
        for want in [one, two, three, four] {
            assert!(faults.iter().any(|it| it.record == Some(want)), "{faults:#?}");
        }
    }
}

fn audio_that_no_erasure_has_removed_is_named(stand: &Stand) {
    for stand in [stand.anew(), stand.anew().keyed()] {
        let (store, acks, [own, shared]) = filled(&stand);
        let five = add(&store, &acks, telling(5));
        let other = heard(&store, &acks, five, b"the voice of five");
        assert_eq!(record_expired(&store, &acks, 1_831).len(), 2);
        store.close().unwrap();
        // The power goes when the file is removed and before the key is.
        let wav = |sha256| stand.path().join("audio").join(format!("{sha256}.wav"));
        fs::remove_file(wav(own)).unwrap();
        for found in examined(&stand) {
            assert_eq!((found.faults, found.erased), (Vec::new(), 0));
        }
        // As it is once it was done to its end.
        drop(stand.archive());
        for found in examined(&stand) {
            assert_eq!((found.faults, found.erased), (Vec::new(), 3));
        }
        // Number 2 had the same silence, and is erased; number 4 is not.
        for (sha256, count) in [(other, 1), (shared, 1)] {
            let kept = fs::read(wav(sha256)).unwrap();
            fs::remove_file(wav(sha256)).unwrap();
            for found in examined(&stand) {
                let is_named = |it: &&StoreFault| it.place == Place::Audio(sha256);
                let told = found.faults.iter().filter(is_named).count();
                assert_eq!(
                    (told >= count, told),
                    (true, found.faults.len()),
                    "{:#?}",
                    found.faults
                );
            }
            fs::write(wav(sha256), kept).unwrap();
        }
    }
}
