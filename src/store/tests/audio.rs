//! The audio around a press: kept beside the journal before the fact that names it, proved, backed
//! up, and missed when it is gone.

use std::fs;
use std::path::Path;

use super::*;
use crate::model::RecordId;
use crate::store::Place;
use crate::store::StoreFound;
use crate::suppression::Audio;
use crate::suppression::AudioLoss;
use crate::suppression::AudioResult;
use crate::suppression::proof::Hash;
use crate::suppression::proof::bundle;

const MADE_AT: UnixMicros = UnixMicros(1_900_000_000_000_000);

pub(super) fn kept(record: RecordId, sha256: Hash, octets: u64) -> Fact {
    let result = AudioResult::Kept { sha256, octets, duration_ms: 8000, before_ms: 5000 };
    Fact::Audio(Audio { record, at: UnixMicros(3), result })
}

pub(super) fn lost(record: RecordId) -> Fact {
    let result = AudioResult::Lost { why: AudioLoss::Disk };
    Fact::Audio(Audio { record, at: UnixMicros(3), result })
}

/// A store with an opt-out of number 1 whose audio is `wav`, and one of number 2 without any.
fn store(dir: &Path, wav: &[u8]) -> (Store, Hash) {
    let (store, _recovered, acks) = open(dir);
    let add = |fact| {
        store.submit(0, fact).unwrap();
        acks.recv().unwrap().result.unwrap().record
    };
    let [one, two] = [1, 2].map(|n| add(Fact::OptOut(Box::new(optout(n)))));
    let sha256 = store.keep_audio(wav).unwrap();
    add(kept(one, sha256, wav.len() as u64));
    add(lost(two));
    (store, sha256)
}

#[test]
fn audio_is_proved_with_the_press_and_any_touched_bit_of_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let wav: Vec<u8> = (0..200).collect();
    let (store, sha256) = store(dir.path(), &wav);
    let prove = |n| store.prove(number(n), "madrid-1".into(), MADE_AT).unwrap().unwrap();
    let verified = |text: &[u8]| bundle::verify(text, Some(store.proof_key()));
    let records = verified(&prove(1)).unwrap().records;
    assert_eq!((records.len(), &records[1].audio), (2, &wav));
    assert!(matches!(&records[1].fact, Some(Fact::Audio(audio)) if audio.record == records[0].id));
    let records = verified(&prove(2)).unwrap().records;
    assert_eq!((records.len(), records[1].audio.len()), (2, 0), "said to be lost");

    // The file is what its name says, or it is not given away.
    let path = dir.path().join("audio").join(format!("{sha256}.wav"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let text = prove(1);
    fs::write(&path, [&wav[..], &[0]].concat()).unwrap();
    let touched = store.prove(number(1), "madrid-1".into(), MADE_AT);
    assert!(matches!(touched, Err(StoreError::Audio { .. })), "{touched:?}");
    fs::remove_file(&path).unwrap();
    assert_eq!(verified(&prove(1)).unwrap().records[1].audio.len(), 0, "told without");

    // Each digit of the audio in the bundle.
    let text = String::from_utf8(text).unwrap();
    let at = text.find("\"audio\":\"0001").unwrap() + 9;
    for digit in at..at + 2 * wav.len() {
        let mut touched = text.clone().into_bytes();
        touched[digit] = if touched[digit] == b'0' { b'1' } else { b'0' };
        let faults = verified(&touched).unwrap_err();
        assert_eq!(faults[0].record, Some(records_of(&text)[1]), "digit {digit}: {faults:#?}");
    }
}

/// The records of a bundle's number.
fn records_of(text: &str) -> Vec<RecordId> {
    let verified = bundle::verify(text.as_bytes(), None).unwrap();
    verified.records.iter().map(|record| record.id).collect()
}

#[test]
fn audio_that_is_missing_or_touched_is_named_and_goes_with_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("store");
    let (store, sha256) = store(&from, b"a voice");
    store.close().unwrap();
    let examined = examine(&from, None, &[]).unwrap();
    assert_eq!((examined.faults.len(), examined.audio), (0, 1), "{:#?}", examined.faults);
    let copy = dir.path().join("copy");
    let manifest = backup(&from, &copy, MADE_AT).unwrap();
    assert_eq!(manifest.audio, 1);
    let again = dir.path().join("again");
    assert_eq!(restore(&copy, &again, Calls::Keep).unwrap(), manifest);
    let name = format!("audio/{sha256}.wav");
    assert_eq!(fs::read(again.join(&name)).unwrap(), b"a voice");

    fs::write(from.join(&name), b"a noise").unwrap();
    let told = |dir: &Path| examine(dir, None, &[]).unwrap().faults[0].to_string();
    let fault = told(&from);
    assert!(fault.starts_with(&format!("audio `{sha256}.wav`, record ")), "{fault}");
    assert!(matches!(
        backup(&from, &dir.path().join("no"), MADE_AT),
        Err(StoreError::Audio { .. })
    ));
    fs::remove_file(from.join(&name)).unwrap();
    assert!(told(&from).contains("it is missing"), "{}", told(&from));
    fs::remove_file(copy.join(&name)).unwrap();
    let error = verify(&copy, Calls::Keep).unwrap_err().to_string();
    assert!(error.contains("expected 1 files of audio, found 0"), "{error}");
    // A key that is gone excuses nothing without an erasure: it is named, and the voice as well.
    let keys = fs::OpenOptions::new().write(true).open(from.join("keys")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&keys, &[0; 32], 4096).unwrap();
    let faults = examine(&from, None, &[]).unwrap().faults;
    let [key, voice] = faults.as_slice() else { panic!("{faults:#?}") };
    assert!(matches!((&key.place, &key.found), (Place::Keys, StoreFound::Unkept { slot: 0 })));
    assert!(matches!((&voice.place, &voice.found), (Place::Audio(_), StoreFound::Missing { .. })));
}

#[test]
fn a_disk_that_takes_no_audio_leaves_nothing_and_costs_no_opt_out() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _recovered, acks) = open(dir.path());
    // A file where the folder should be.
    fs::write(dir.path().join("audio"), b"").unwrap();
    assert!(matches!(store.keep_audio(b"a voice"), Err(StoreError::Io { doing: "keep", .. })));
    store.submit(0, Fact::OptOut(Box::new(optout(1)))).unwrap();
    acks.recv().unwrap().result.unwrap();
    store.close().unwrap();
}
