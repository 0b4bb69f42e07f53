//! A session of a store, as told to a watched folder; and what must be found of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::channel;
use std::time::Duration;

use bajavoz::store::Settings;
use bajavoz::store::Store;
use bajavoz::store::StoreError;
use bajavoz::store::StoreEvent;
use bajavoz::store::examine;
use bajavoz::suppression::Ack;
use bajavoz::suppression::Fact;
use bajavoz::suppression::FactLedger;
use bajavoz::suppression::LedgerError;

use crate::facts;
use crate::image::Disk;
use crate::watch::Deed;
use crate::watch::Note;
use crate::watch::Watch;
use crate::watch::folder;

/// Size of a journal segment here, which some six opt-outs fill.
const SEGMENT_LEN: u64 = 12 * 1024;

/// Opt-outs that are submitted, one after the other, so that every run takes the same steps.
const OPTOUTS: u64 = 16;

/// What was asked for and what was promised.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) asked: BTreeSet<u64>,
    pub(crate) promised: BTreeSet<u64>,
}

impl Told {
    pub(crate) fn take(&mut self, deed: &Deed) {
        match deed {
            Deed::Note(Note::Asked(n)) => {
                self.asked.insert(*n);
            }
            Deed::Note(Note::Promised(n)) => {
                self.promised.insert(*n);
            }
            _ => {}
        }
    }

    pub(crate) fn of(deeds: &[Deed]) -> Self {
        let mut told = Self::default();
        deeds.iter().for_each(|deed| told.take(deed));
        told
    }
}

/// Something that is done in a folder, and what must be found of it whatever happens meanwhile.
pub(crate) trait Story {
    /// What is in the folder before.
    fn before(&self) -> Disk;

    /// Does it; after an error, [`Watch::mend`] and again, which must work.
    fn play(&self, watch: &Watch);

    /// Does it in a folder in which a process was at it before that has ended.
    fn go_on(&self, watch: &Watch) {
        self.play(watch);
    }

    /// Looks at a folder that was left so.
    fn check(&self, dir: &Path, told: &Told, name: &str);
}

/// Opt-outs in a store.
pub(crate) struct OptOuts {
    /// Those that are on record before; nothing for a store that is not there yet.
    pub(crate) before: u64,
    /// Whether the keys run out meanwhile, so that their file grows.
    pub(crate) is_short_of_keys: bool,
}

pub(crate) fn store_in(dir: &Path) -> PathBuf {
    dir.join("store")
}

impl Story for OptOuts {
    fn before(&self) -> Disk {
        let dir = folder();
        if self.before == 0 {
            return Disk::default();
        }
        let watch = Watch::of(dir, Disk::default());
        let mut session = Session::open(&watch).expect("a sound disk");
        (0..self.before).for_each(|n| session.submit(&watch, n..n + 1));
        session.settle();
        // As a process leaves it that is killed now; the lock lets nobody else look at it.
        let disk = Disk::of(watch.path());
        session.close();
        let image = folder();
        disk.write(image.path(), crate::image::Left::All, &mut crate::dice::Dice::new(0));
        if self.is_short_of_keys {
            // Room for two more; the last one is cut, as where a process died writing keys.
            let len = 4096 + (self.before + 2) * 32 + 7;
            let keys = fs::File::options().write(true).open(store_in(image.path()).join("keys"));
            keys.and_then(|keys| keys.set_len(len)).expect("the keys are there");
        }
        Disk::of(image.path())
    }

    fn play(&self, watch: &Watch) {
        let first = 1_000;
        let mut session = Session::open_at_last(watch);
        let next = first + OPTOUTS;
        for n in first..next {
            session.submit(watch, n..n + 1);
            // It may be behind.
            let _ = session.store.flush();
        }
        watch.mend();
        session.submit(watch, next..next + 1);
        session.settle();
        let told = Told::of(&watch.deeds());
        assert!(told.promised.contains(&next), "it works again");
        let reader = session.store.reader().expect("the database can be read");
        let found: BTreeSet<u64> = facts::found_by(&reader).into_iter().collect();
        assert!(told.asked.is_subset(&found), "what was refused is written too: {found:?}");
        assert_eq!(session.store.counters().optouts_unwritten, 0);
        session.close();
    }

    fn go_on(&self, watch: &Watch) {
        let mut session = Session::open_at_last(watch);
        session.submit(watch, 2_000..2_003);
        session.submit(watch, 2_003..2_004);
        session.settle();
        session.close();
    }

    fn check(&self, dir: &Path, told: &Told, name: &str) {
        let store = store_in(dir);
        if !store.exists() && told.promised.is_empty() && self.before == 0 {
            return;
        }
        let found = facts::found_in(&store, name);
        let mut asked = told.asked.clone();
        let mut promised = told.promised.clone();
        asked.extend(0..self.before);
        promised.extend(0..self.before);
        let once: BTreeSet<u64> = found.iter().copied().collect();
        let lost: Vec<_> = promised.difference(&once).collect();
        assert!(lost.is_empty(), "{name}: promised and lost: {lost:?}");
        let invented: Vec<_> = once.difference(&asked).collect();
        assert!(invented.is_empty(), "{name}: invented: {invented:?}");
        assert_eq!(once.len(), found.len(), "{name}: something is there twice: {found:?}");
        let examined = examine(&store, None, &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(examined.faults.is_empty(), "{name}: {:?}", examined.faults);
        // The journal knows all of it by itself.
        for file in ["bajavoz.sqlite", "bajavoz.sqlite-wal", "bajavoz.sqlite-shm"] {
            let _ = fs::remove_file(store.join(file)); // It may not be there.
        }
        let again = facts::found_in(&store, &format!("{name}, from the journal alone"));
        assert_eq!(again, found, "{name}: the journal alone knows otherwise");
    }
}

/// A store that is open, with everything that it tells.
pub(crate) struct Session {
    pub(crate) store: Store,
    acks: Receiver<Ack>,
    events: Receiver<StoreEvent>,
    /// Every answer so far.
    pub(crate) answers: Vec<Ack>,
}

impl Session {
    /// Opens it; where that failed, again on a sound disk.
    pub(crate) fn open_at_last(watch: &Watch) -> Self {
        Self::open(watch).unwrap_or_else(|error| {
            assert!(watch.mend(), "it opens: {}", facts::told(&error));
            Self::open(watch).unwrap_or_else(|error| panic!("{}", facts::told(&error)))
        })
    }

    fn open(watch: &Watch) -> Result<Self, StoreError> {
        let ((to_acks, acks), (to_events, events)) = (channel(), channel());
        let settings = Settings {
            segment_bytes: SEGMENT_LEN,
            reopen_every: Duration::from_millis(1),
            on_event: Arc::new(move |event| {
                // Nobody listens any more while it closes.
                let _ = to_events.send(event);
            }),
            ..Settings::new(store_in(watch.path()), facts::clock())
        };
        let notes = watch.notes();
        let (store, _recovered) = Store::open(settings, move |ack: Ack| {
            if ack.result.is_ok() {
                notes.note(Note::Promised(ack.token));
            }
            to_acks.send(ack).expect("the test listens");
        })?;
        Ok(Self { store, acks, events, answers: Vec::new() })
    }

    /// Submits opt-outs of some numbers, see [`Self::submit_facts`].
    pub(crate) fn submit(&mut self, watch: &Watch, some: std::ops::Range<u64>) {
        let fact = |n| (n, Fact::OptOut(Box::new(facts::optout(n))));
        self.submit_facts(watch, some.map(fact));
    }

    /// Submits some, and waits until the journal works again where one of them failed.
    pub(crate) fn submit_facts(&mut self, watch: &Watch, facts: impl Iterator<Item = (u64, Fact)>) {
        let mut asked = 0;
        let mut is_failed = false;
        for (token, fact) in facts {
            watch.notes().note(Note::Asked(token));
            match self.store.submit(token, fact) {
                Ok(()) => asked += 1,
                Err(LedgerError::Failed { .. }) => is_failed = true,
                Err(error) => panic!("{error}"),
            }
        }
        for ack in self.acks.iter().take(asked) {
            is_failed |= ack.result.is_err();
            self.answers.push(ack);
        }
        while is_failed {
            let event = self.events.recv_timeout(Duration::from_secs(20)).expect("it comes back");
            is_failed = event != StoreEvent::JournalBack;
        }
    }

    /// Waits until the database has everything.
    pub(crate) fn settle(&self) {
        while let Err(error) = self.store.flush() {
            assert!(matches!(error, StoreError::Behind), "{error}");
        }
    }

    pub(crate) fn close(self) {
        self.store.close().expect("both threads end well");
    }
}
