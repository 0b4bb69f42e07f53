//! A disk that fails at step N, for every N and in every way, under a whole store.
//!
//! After each run the store is opened again on a sound disk. What must hold: everything
//! acknowledged is there, once; nothing is there that was not submitted; and after the first
//! error nothing was acknowledged any more, until the disk was back and a new stream begun.

use std::collections::BTreeSet;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::MutexGuard;
use std::time::Duration;

use super::*;
use crate::store::archive::journal_dir;
use crate::store::journal::JournalDisk;
use crate::store::journal::JournalFile;
use crate::store::journal::RealDisk;
use crate::store::ledger::Late;
use crate::suppression::LedgerError;

const SEGMENT_LEN: u64 = 8 * 1024;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The step fails and does nothing; every later step would succeed.
    Refused,
    /// A write stops half way, a sync fails after the data went out, a segment is made and the
    /// answer is an error.
    HalfDone,
    /// A sync fails and what it should have kept is gone, while later syncs say yes.
    Dropped,
    /// The power goes: what was not synced is partly gone, and every later step fails.
    PowerCut,
}

struct Plan {
    fault: Fault,
    fail_at: u64,
    /// How many steps from there on fail.
    lasts: u64,
    step: u64,
    is_hit: bool,
}

impl Plan {
    /// Whether the step that is about to be done is the one that fails.
    fn is_due(&mut self) -> bool {
        let step = self.step;
        self.step += 1;
        let is_in_time = step >= self.fail_at && step - self.fail_at < self.lasts;
        let is_due = is_in_time || (self.is_hit && self.fault == Fault::PowerCut);
        self.is_hit |= is_due;
        is_due
    }
}

struct FaultyDisk {
    disk: RealDisk,
    dir: PathBuf,
    plan: Arc<Mutex<Plan>>,
}

struct FaultyFile {
    file: Box<dyn JournalFile>,
    path: PathBuf,
    plan: Arc<Mutex<Plan>>,
    unsynced: Vec<(u64, usize)>,
}

fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().expect("no holder of the plan panics")
}

impl FaultyDisk {
    fn new(dir: &Path, plan: &Arc<Mutex<Plan>>) -> Box<Self> {
        let dir = journal_dir(dir);
        let disk = RealDisk::new(dir.clone(), SEGMENT_LEN);
        Box::new(Self { disk, dir, plan: Arc::clone(plan) })
    }
}

impl JournalDisk for FaultyDisk {
    fn create(&mut self, name: &str, header: &[u8]) -> io::Result<Box<dyn JournalFile>> {
        let fault = {
            let mut plan = lock(&self.plan);
            plan.is_due().then_some(plan.fault)
        };
        if fault.is_some_and(|fault| fault != Fault::HalfDone) {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        let file = self.disk.create(name, header)?;
        if fault.is_some() {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let path = self.dir.join(name);
        let plan = Arc::clone(&self.plan);
        Ok(Box::new(FaultyFile { file, path, plan, unsynced: Vec::new() }))
    }

    fn finish(&mut self, name: &str, len: u64) -> io::Result<()> {
        if lock(&self.plan).is_due() {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        self.disk.finish(name, len)
    }
}

impl JournalFile for FaultyFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut plan = lock(&self.plan);
        if plan.is_due() {
            if plan.fault == Fault::HalfDone {
                self.file.write_at(&bytes[..bytes.len() / 2], offset)?;
            }
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        self.unsynced.push((offset, bytes.len()));
        self.file.write_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        let fault = {
            let mut plan = lock(&self.plan);
            plan.is_due().then_some(plan.fault)
        };
        match fault {
            None => {
                self.unsynced.clear();
                return self.file.sync();
            }
            Some(Fault::Refused | Fault::HalfDone) => {}
            Some(Fault::Dropped) => self.lose(|_sector| true),
            Some(Fault::PowerCut) => self.lose(|sector| sector % 2 == 0),
        }
        Err(io::Error::from_raw_os_error(EIO))
    }
}

impl FaultyFile {
    /// Undoes unsynced writes, sector by sector: what was there before were zeros.
    fn lose(&mut self, is_lost: impl Fn(u64) -> bool) {
        let file = OpenOptions::new().write(true).open(&self.path).expect("the segment is there");
        for (offset, len) in self.unsynced.drain(..) {
            for at in offset..offset + len as u64 {
                if is_lost(at / 512) {
                    File::write_all_at(&file, &[0], at).expect("a sound disk takes it");
                }
            }
        }
    }
}

/// One run: submits in groups, waits for the answers, and says what was acknowledged.
/// Also whether the planned step was reached.
fn run(dir: &Path, fault: Fault, fail_at: u64) -> (BTreeSet<u64>, bool) {
    let plan = Arc::new(Mutex::new(Plan { fault, fail_at, lasts: 1, step: 0, is_hit: false }));
    let (acks, received) = channel();
    let reopen_every = Duration::from_secs(3600);
    let settings = Settings { segment_bytes: SEGMENT_LEN, reopen_every, ..settings(dir) };
    let on_ack = move |ack| acks.send(ack).expect("the test listens");
    let opened = Store::open_on(settings, FaultyDisk::new(dir, &plan), Box::new(on_ack));
    let mut acknowledged = BTreeSet::new();
    if let Ok((store, _recovered)) = opened {
        let mut token = 0;
        let mut is_failed = false;
        for size in [1, 3, 1, 5, 2, 1] {
            let mut asked = 0;
            for _ in 0..size {
                match store.submit(token, Fact::OptOut(Box::new(optout(token)))) {
                    Ok(()) => asked += 1,
                    Err(error) => {
                        assert!(matches!(error, LedgerError::Failed { .. }), "{error}");
                        assert!(is_failed || store.failure().is_some(), "refused without a cause");
                    }
                }
                token += 1;
            }
            for ack in received.iter().take(asked) {
                match ack.result {
                    Ok(_) => {
                        assert!(!is_failed, "acknowledged after a failure");
                        assert!(acknowledged.insert(ack.token), "answered twice");
                    }
                    Err(_) => is_failed = true,
                }
            }
        }
        assert_eq!(store.failure().is_some(), is_failed);
        assert!(store.close().is_ok());
    }
    let is_hit = lock(&plan).is_hit;
    (acknowledged, is_hit)
}

/// The tokens that are found after opening the store again.
fn found(dir: &Path) -> Vec<u64> {
    let (archive, _recovered) =
        Archive::open_exclusive(dir).unwrap_or_else(|error| panic!("{error}"));
    let mut tokens = Vec::new();
    let reader = archive.reader().expect("the database can be read");
    reader
        .export(&Filter::default(), |entry| {
            tokens.push(entry.optout.number.digits() - 34_600_000_000);
            ControlFlow::Continue(())
        })
        .expect("the rows are opt-outs");
    tokens
}

#[test]
fn a_fault_at_any_step_loses_nothing_that_was_acknowledged() {
    for fault in [Fault::Refused, Fault::HalfDone, Fault::Dropped, Fault::PowerCut] {
        let mut fail_at = 0;
        loop {
            let dir = tempfile::tempdir().unwrap();
            let (acknowledged, is_hit) = run(dir.path(), fault, fail_at);
            let name = format!("{fault:?} at step {fail_at}");
            let found = found(dir.path());
            let once: BTreeSet<u64> = found.iter().copied().collect();
            assert_eq!(once.len(), found.len(), "{name}: something is there twice");
            assert!(acknowledged.is_subset(&once), "{name}: {acknowledged:?} but {once:?}");
            assert!(once.iter().all(|token| *token < 13), "{name}: invented {once:?}");
            if !is_hit {
                assert_eq!(acknowledged.len(), 13, "{name}: without a fault all is well");
                assert!(fail_at > 8, "{name}: so few steps cannot be all");
                break;
            }
            // Nothing changes when it is opened once more.
            assert_eq!(self::found(dir.path()), found, "{name}");
            fail_at += 1;
        }
    }
}

/// A store on a disk that fails and comes back, with everything that it told.
struct Flaky {
    store: Store,
    acks: Receiver<Ack>,
    events: Receiver<StoreEvent>,
    submitted: u64,
    acknowledged: BTreeSet<u64>,
}

impl Flaky {
    fn open(dir: &Path, plan: &Arc<Mutex<Plan>>) -> Result<Self, StoreError> {
        let ((to_acks, acks), (to_events, events)) = (channel(), channel());
        let settings = Settings {
            segment_bytes: SEGMENT_LEN,
            reopen_every: Duration::from_millis(1),
            on_event: Arc::new(move |event| {
                // Nobody listens any more while it closes.
                let _ = to_events.send(event);
            }),
            ..settings(dir)
        };
        let on_ack = move |ack| to_acks.send(ack).expect("the test listens");
        let disk = FaultyDisk::new(dir, plan);
        let (store, _recovered) = Store::open_on(settings, disk, Box::new(on_ack))?;
        Ok(Self { store, acks, events, submitted: 0, acknowledged: BTreeSet::new() })
    }

    /// Submits so many, and waits until the journal works again when one of them failed.
    fn submit(&mut self, count: u64) {
        let mut asked = 0;
        let mut is_failed = false;
        for token in self.submitted..self.submitted + count {
            match self.store.submit(token, Fact::OptOut(Box::new(optout(token)))) {
                Ok(()) => asked += 1,
                Err(LedgerError::Failed { .. }) => is_failed = true,
                Err(error) => panic!("{error}"),
            }
        }
        self.submitted += count;
        for ack in self.acks.iter().take(asked) {
            match ack.result {
                Ok(_) => assert!(self.acknowledged.insert(ack.token), "answered twice"),
                Err(_) => is_failed = true,
            }
        }
        while is_failed {
            let event = self.events.recv_timeout(Duration::from_secs(20)).expect("it comes back");
            is_failed = event != StoreEvent::JournalBack;
        }
    }

    /// Closes the store, and says what is found of it.
    fn check(self, dir: &Path, name: &str) {
        let Self { store, acknowledged, submitted, .. } = self;
        while let Err(error) = store.flush() {
            assert!(matches!(error, StoreError::Behind), "{name}: {error}");
        }
        let count = store.reader().and_then(|reader| reader.count(&Filter::default()));
        let count = count.expect("the database can be asked");
        assert_eq!(count, submitted, "{name}: what was refused is written too");
        assert_eq!(store.counters().optouts_unwritten, 0, "{name}");
        store.close().expect("both threads end well");
        let found = found(dir);
        let once: BTreeSet<u64> = found.iter().copied().collect();
        // What the disk kept of a failed batch and would not have cut may stand there once more.
        let twice = found.iter().filter(|token| acknowledged.contains(token)).count();
        assert_eq!(twice, acknowledged.len(), "{name}: something acknowledged is there twice");
        assert_eq!(once, (0..submitted).collect(), "{name}: all that was pressed, nothing else");
    }
}

#[test]
fn a_disk_that_is_back_is_written_again_without_a_restart() {
    for fault in [Fault::Refused, Fault::HalfDone, Fault::Dropped] {
        for lasts in [1, 3] {
            let mut fail_at = 0;
            loop {
                let name = format!("{fault:?}, {lasts} steps from {fail_at} on");
                let dir = tempfile::tempdir().unwrap();
                let plan = Plan { fault, fail_at, lasts, step: 0, is_hit: false };
                let plan = Arc::new(Mutex::new(plan));
                let Ok(mut flaky) = Flaky::open(dir.path(), &plan) else {
                    fail_at += 1;
                    continue;
                };
                for size in [1, 3, 1, 5, 2] {
                    flaky.submit(size);
                }
                let before = flaky.acknowledged.len();
                lock(&plan).fail_at = u64::MAX;
                flaky.submit(4);
                assert_eq!(flaky.acknowledged.len(), before + 4, "{name}: it works again");
                let counters = flaky.store.counters();
                assert_eq!(counters.journal_failures, counters.journal_reopened, "{name}");
                assert_eq!(flaky.store.failure(), None, "{name}");
                let is_hit = lock(&plan).is_hit;
                flaky.check(dir.path(), &name);
                if !is_hit {
                    assert!(fail_at > 8, "{name}: so few steps cannot be all");
                    break;
                }
                fail_at += 1;
            }
        }
    }
}

#[test]
fn what_a_stalled_database_missed_is_read_from_every_stream_of_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan { fault: Fault::Dropped, fail_at: u64::MAX, lasts: 1, step: 0, is_hit: false };
    let plan = Arc::new(Mutex::new(plan));
    let mut flaky = Flaky::open(dir.path(), &plan).unwrap();
    let shell = rusqlite::Connection::open(dir.path().join("bajavoz.sqlite")).unwrap();
    shell.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for _stream in 0..3 {
        flaky.submit(2);
        assert!(matches!(flaky.store.flush(), Err(StoreError::Behind)));
        {
            let mut plan = lock(&plan);
            plan.fail_at = plan.step;
        }
        flaky.submit(1);
        flaky.submit(1);
    }
    shell.execute_batch("ROLLBACK").unwrap();
    assert_eq!((flaky.submitted, flaky.acknowledged.len()), (12, 9));
    assert_eq!(flaky.store.counters().journal_reopened, 3);
    flaky.check(dir.path(), "three outages behind a stalled database");
}

#[test]
fn a_full_queue_refuses_at_once_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (held, hold) = channel::<()>();
    let hold = Mutex::new(hold);
    let on_ack = move |_ack| {
        // The commit thread stands still until the test lets go.
        let _ = hold.lock().expect("nobody panics here").recv();
    };
    let settings = Settings { queue_len_max: 2, ..settings(dir.path()) };
    let (store, _recovered) = Store::open(settings, on_ack).unwrap();
    let mut refused = 0;
    for n in 0..10 {
        match store.submit(n, Fact::OptOut(Box::new(optout(n)))) {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error, LedgerError::Full { len_max: 2 });
                refused += 1;
            }
        }
    }
    assert!((7..=8).contains(&refused), "two wait, one or none is being written: {refused}");
    assert_eq!(store.counters().refused, refused);
    drop(held);
    store.flush().unwrap();
    let counters = store.counters();
    assert_eq!((counters.facts, counters.optouts_late), (10, refused), "what was refused follows");
}

#[test]
fn a_fact_too_large_for_a_segment_is_refused_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (acks, received) = channel();
    let settings = Settings { segment_bytes: SEGMENT_LEN, ..settings(dir.path()) };
    let (store, _recovered) =
        Store::open(settings, move |ack| acks.send(ack).expect("the test listens")).unwrap();
    let mut large = optout(1);
    large.reason = Some("x".repeat(SEGMENT_LEN as usize));
    for (token, fact) in [(0, optout(0)), (1, large), (2, optout(2))] {
        store.submit(token, Fact::OptOut(Box::new(fact))).unwrap();
    }
    let results: Vec<Ack> = received.iter().take(3).collect();
    let of = |token| &results.iter().find(|ack: &&Ack| ack.token == token).unwrap().result;
    assert!(matches!(of(1), Err(LedgerError::Large { .. })));
    assert!(of(0).is_ok() && of(2).is_ok());
    store.close().unwrap();
    assert_eq!(found(dir.path()), [0, 2]);
}

#[test]
fn an_opt_out_pressed_while_the_disk_is_away_is_written_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan { fault: Fault::Refused, fail_at: u64::MAX, lasts: 1, step: 0, is_hit: false };
    let plan = Arc::new(Mutex::new(plan));
    let mut flaky = Flaky::open(dir.path(), &plan).unwrap();
    flaky.submit(1);
    {
        let mut plan = lock(&plan);
        (plan.fail_at, plan.lasts) = (plan.step, u64::MAX);
    }
    let submit = |token| flaky.store.submit(token, Fact::OptOut(Box::new(optout(token))));
    submit(1).expect("the disk has not been tried yet");
    assert!(flaky.acks.recv().is_ok_and(|ack| ack.token == 1 && ack.result.is_err()));
    assert!(matches!(submit(2), Err(LedgerError::Failed { .. })));
    assert_eq!(flaky.store.counters().optouts_unwritten, 2, "two are in memory only");
    lock(&plan).lasts = 0;
    let mut late = Vec::new();
    loop {
        match flaky.events.recv_timeout(Duration::from_secs(20)).expect("the disk comes back") {
            StoreEvent::JournalBack => break,
            StoreEvent::WrittenLate { optout, record } => late.push((optout, record.seq)),
            _ => {}
        }
    }
    // Record 1 is the signed end of the stream that the disk gave up.
    let expected = [(Box::new(optout(1)), 2), (Box::new(optout(2)), 3)];
    assert_eq!(late, expected, "before the alarm falls, first of their stream, as pressed");
    let counters = flaky.store.counters();
    assert_eq!((counters.optouts_late, counters.optouts_unwritten), (2, 0));
    assert!(flaky.acks.try_recv().is_err(), "nobody is answered a second time");
    flaky.submitted = 3;
    let key = flaky.store.proof_key();
    flaky.check(dir.path(), "two pressed while the disk was away");
    let shapes = signing::shapes(dir.path(), key);
    assert_eq!(shapes, ["o", "looc"], "the new stream signs the end of the old one, by one key");
}

#[test]
fn what_is_refused_beyond_the_room_in_memory_is_counted_and_stays_unwritten() {
    let late = Late::new(2);
    (0..3).for_each(|n| late.keep(Box::new(optout(n))));
    assert_eq!((late.unwritten(), late.overflowed()), (3, 1));
    while late.take().is_some() {
        late.is_written();
    }
    assert_eq!((late.unwritten(), late.written()), (1, 2));
}
