//! What the store writes beside journal and database: imports, snapshots, audio, backups.

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use bajavoz::model::NumberReader;
use bajavoz::model::RecordId;
use bajavoz::model::UnixMicros;
use bajavoz::model::WriterId;
use bajavoz::store;
use bajavoz::store::Archive;
use bajavoz::store::Calls;
use bajavoz::store::Snapshot;
use bajavoz::store::StoreError;
use bajavoz::store::examine;
use bajavoz::store::import::Keeping;
use bajavoz::store::import::Order;
use bajavoz::store::import::PrepareError;
use bajavoz::store::import::Title;
use bajavoz::suppression;
use bajavoz::suppression::AudioResult;
use bajavoz::suppression::Base;
use bajavoz::suppression::Fact;
use bajavoz::suppression::Index;
use bajavoz::suppression::Layer;
use bajavoz::suppression::NumberStorage;
use bajavoz::suppression::base::Source;
use bajavoz::suppression::import::Import;
use bajavoz::suppression::import::Part;
use bajavoz::suppression::import::Settings;
use bajavoz::suppression::import::Shape;
use bajavoz::suppression::segment::Content;
use bajavoz::suppression::segment::SegmentHeader;
use bajavoz::suppression::segment::SegmentWriter;

use crate::facts;
use crate::image::Disk;
use crate::story::OptOuts;
use crate::story::Session;
use crate::story::Story;
use crate::story::Told;
use crate::story::store_in;
use crate::watch::Note;
use crate::watch::Watch;
use crate::watch::folder;

/// Opt-outs in the stores that are there before.
const BEFORE: u64 = 9;

/// The promise that each of these stories makes.
const ONE: u64 = 1;

/// Does `work`; where that fails, again on a sound disk.
pub(crate) fn at_last<T, E: std::error::Error>(
    watch: &Watch,
    mut work: impl FnMut() -> Result<T, E>,
) -> T {
    work().unwrap_or_else(|error| {
        assert!(watch.mend(), "on a sound disk: {}", facts::told(&error));
        work().unwrap_or_else(|error| panic!("again: {}", facts::told(&error)))
    })
}

pub(crate) fn store_before() -> Disk {
    OptOuts { before: BEFORE, is_short_of_keys: false }.before()
}

/// A file of numbers that becomes a segment and a fact.
pub(crate) struct Imported;

/// Numbers in it, in three runs and a rest.
const IMPORTED: u64 = 50;

impl Imported {
    fn write(&self, watch: &Watch, file: &Path) -> Result<Part, PrepareError> {
        let numbers = NumberReader::new("ES").expect("a region");
        let order = Order {
            file: file.to_owned(),
            settings: Settings::new(numbers),
            rejects: None,
            runs_in: Some(watch.path().to_owned()),
            keeping: Some(Keeping { store: store_in(watch.path()), now: UnixMicros(1) }),
            run_numbers: 16,
            is_one_list: true,
            numbers: NumberStorage::Plain,
        };
        let mut prepared = store::import::prepare(&order, &mut |_progress| {})?;
        let title = Title { list: "ftc".into(), source: String::new(), as_of: None };
        let store = store_in(watch.path());
        let parts = store::import::write(&mut prepared, &title, &store, &mut |_progress| {})?;
        prepared.done();
        Ok(parts.0.expect("some are listed"))
    }
}

/// A segment of so many numbers in the store in `dir`.
pub(crate) fn segment(dir: &Path, count: u64) -> Part {
    let header = SegmentHeader {
        content: Content::Listed,
        list: "ftc".into(),
        source: String::new(),
        as_of: None,
        count,
    };
    let mut writer = SegmentWriter::new(Vec::new(), &header).expect("memory takes it");
    for n in 0..count {
        writer.push(facts::number(1_000 + n)).expect("they are sorted");
    }
    let (octets, segment) = writer.finish().expect("memory takes it");
    let folder = dir.join("segments");
    fs::create_dir_all(&folder).expect("our folder");
    fs::write(folder.join(format!("{segment}.seg")), octets).expect("our folder");
    Part { segment, count }
}

/// The fact of an import.
pub(crate) fn fact(listed: Part) -> Fact {
    let import = Import::new("ftc".into(), Shape::Txt, "madrid-1".into(), UnixMicros(1));
    Fact::Import(Box::new(Import { listed: Some(listed), ..import }))
}

impl Story for Imported {
    fn before(&self) -> Disk {
        store_before()
    }

    fn play(&self, watch: &Watch) {
        let outside = folder();
        let file = outside.path().join("numbers.txt");
        let numbers = (0..IMPORTED).rev().map(|n| format!("+{}\n", 34_611_000_000 + 7 * n));
        fs::write(&file, numbers.collect::<String>()).expect("the file");
        let part = at_last(watch, || self.write(watch, &file));
        let mut session = Session::open_at_last(watch);
        session.submit_facts(watch, std::iter::once((ONE, fact(part))));
        let _ = session.store.flush(); // It may be behind.
        session.close();
    }

    fn check(&self, dir: &Path, told: &Told, name: &str) {
        let opened = Archive::open_exclusive(&store_in(dir));
        let (archive, _recovered) =
            opened.unwrap_or_else(|error| panic!("{name}: {}", facts::told(&error)));
        let reader = archive.reader().expect("the database can be read");
        let filled = reader.fill(&Index::default());
        let (filled, _left_out) =
            filled.unwrap_or_else(|error| panic!("{name}: {}", facts::told(&error)));
        let imports = reader.imports().expect("the rows are imports").len() as u64;
        let numbers = if imports > 0 { IMPORTED } else { 0 };
        assert_eq!(filled, 2 * BEFORE + numbers, "{name}: a named segment is whole");
        assert!(imports > 0 || !told.promised.contains(&ONE), "{name}: the import is lost");
    }
}

/// Two snapshots, one after the other.
pub(crate) struct Snapshots;

impl Snapshots {
    fn base(len: u64) -> Base {
        let layer = Layer {
            list: "registry".into(),
            account: None,
            campaign: None,
            topic: None,
            record: RecordId { writer: WriterId(1), seq: len },
            segment: [7; 32],
        };
        let numbers = (0..len).map(|n| Ok::<_, Infallible>(facts::number(31 * n)));
        Base::build([Source { layer, numbers }]).expect("they are sorted")
    }
}

impl Story for Snapshots {
    fn before(&self) -> Disk {
        Disk::default()
    }

    fn play(&self, watch: &Watch) {
        for promise in [1, 2] {
            let base = Self::base(1_000 * promise);
            watch.notes().note(Note::Asked(promise));
            let save = || Snapshot::of_store(watch.path()).save(&base, &[(WriterId(1), promise)]);
            at_last(watch, save);
            watch.notes().note(Note::Promised(promise));
        }
    }

    fn check(&self, dir: &Path, told: &Told, name: &str) {
        let loaded = Snapshot::of_store(dir).load();
        let loaded = loaded.unwrap_or_else(|error| panic!("{name}: {}", facts::told(&error)));
        let found = loaded.map_or(0, |(base, cursor)| {
            assert_eq!(base.len(), 1_000 * cursor[0].1, "{name}");
            cursor[0].1
        });
        let promised = told.promised.last().copied().unwrap_or(0);
        let asked = told.asked.last().copied().unwrap_or(0);
        // A process that goes on saves the first again.
        let is_saved = found >= promised.min(1) && found <= asked;
        assert!(is_saved, "{name}: {found} of {promised} promised and {asked} asked for");
        assert!(told.asked.len() > 1 || found == asked || promised < asked, "{name}: {found}");
    }
}

/// The audio around a press, and the fact that names it.
pub(crate) struct Audio;

impl Story for Audio {
    fn before(&self) -> Disk {
        store_before()
    }

    fn play(&self, watch: &Watch) {
        let wav: Vec<u8> = (0..2_000_u32).map(|n| (n % 251) as u8).collect();
        let mut session = Session::open_at_last(watch);
        let sha256 = at_last(watch, || session.store.keep_audio(&wav));
        session.submit(watch, 1_000..1_001);
        let answer = session.answers.first().and_then(|ack| ack.result.ok());
        if let Some(durable) = answer {
            let octets = wav.len() as u64;
            let result = AudioResult::Kept { sha256, octets, duration_ms: 250, before_ms: 100 };
            let audio = suppression::Audio { record: durable.record, at: UnixMicros(3), result };
            session.submit_facts(watch, std::iter::once((ONE, Fact::Audio(audio))));
        }
        let _ = session.store.flush(); // It may be behind.
        session.close();
    }

    fn check(&self, dir: &Path, told: &Told, name: &str) {
        let store = store_in(dir);
        facts::found_in(&store, name);
        let examined = examine(&store, None, &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(examined.faults.is_empty(), "{name}: {:?}", examined.faults);
        let is_there = examined.audio > 0 || !told.promised.contains(&ONE);
        assert!(is_there, "{name}: the audio is lost");
    }
}

/// A backup of a store.
pub(crate) struct BackedUp(Disk);

impl BackedUp {
    pub(crate) fn new() -> Self {
        Self(store_before())
    }
}

fn copy_in(dir: &Path) -> PathBuf {
    dir.join("copies/copy")
}

impl Story for BackedUp {
    fn before(&self) -> Disk {
        self.0.clone()
    }

    fn play(&self, watch: &Watch) {
        let copy = copy_in(watch.path());
        if copy.exists() {
            watch.notes().note(Note::Asked(ONE)); // For it to be removed.
        }
        // What an earlier try left is named by its error, and removed by whoever reads it.
        at_last(watch, || {
            for left in [&copy, &copy.with_extension("unfinished")] {
                let _ = fs::remove_dir_all(left);
            }
            store::backup(&store_in(watch.path()), &copy, UnixMicros(1))
        });
        watch.notes().note(Note::Promised(ONE));
    }

    fn check(&self, dir: &Path, told: &Told, name: &str) {
        let copy = copy_in(dir);
        assert!(copy.exists() || !told.promised.contains(&ONE), "{name}: the backup is lost");
        if copy.exists() {
            let verified = store::verify(&copy, Calls::Keep);
            if verified.is_err() && told.asked.contains(&ONE) {
                return; // It is being removed.
            }
            let manifest =
                verified.unwrap_or_else(|error| panic!("{name}: {}", facts::told(&error)));
            assert_eq!(manifest.opt_outs, BEFORE, "{name}");
        }
    }
}

/// A store made from a backup.
pub(crate) struct Restored(Disk);

impl Restored {
    pub(crate) fn new() -> Self {
        let dir = folder();
        store_before().write(dir.path(), crate::image::Left::All, &mut crate::dice::Dice::new(0));
        let copied = store::backup(&store_in(dir.path()), &copy_in(dir.path()), UnixMicros(1));
        copied.expect("a sound disk");
        fs::remove_dir_all(store_in(dir.path())).expect("it is ours");
        Self(Disk::of(dir.path()))
    }
}

impl Story for Restored {
    fn before(&self) -> Disk {
        self.0.clone()
    }

    fn play(&self, watch: &Watch) {
        let (from, to) = (copy_in(watch.path()), store_in(watch.path()));
        let told = at_last(watch, || match store::restore(&from, &to, Calls::Keep) {
            // It was whole before the last sync, which is what failed; nobody says that it is safe.
            Err(StoreError::Occupied { .. }) => Ok(None),
            done => done.map(Some),
        });
        if told.is_some() {
            watch.notes().note(Note::Promised(ONE));
        }
    }

    fn check(&self, dir: &Path, told: &Told, name: &str) {
        let (from, to) = (copy_in(dir), store_in(dir));
        let is_promised = told.promised.contains(&ONE);
        assert!(to.exists() || !is_promised, "{name}: the store is lost");
        let is_empty = |dir: &Path| fs::read_dir(dir).is_ok_and(|mut it| it.next().is_none());
        if !to.exists() || is_empty(&to) {
            assert!(!is_promised, "{name}: the store is empty");
            return;
        }
        if let Err(StoreError::RestoreCut { .. }) = Archive::open_exclusive(&to) {
            assert!(!is_promised, "{name}: the restore was told to be done");
            let restored = store::restore(&from, &to, Calls::Keep);
            restored.unwrap_or_else(|error| panic!("{name}: {}", facts::told(&error)));
        }
        let found = facts::found_in(&to, name);
        assert_eq!(found.len() as u64, BEFORE, "{name}: all or nothing");
    }
}
