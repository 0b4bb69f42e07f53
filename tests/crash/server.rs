//! Each message between a store and PostgreSQL fails once.
//!
//! A first run counts the messages of each direction. Then the connection ends before each of them
//! in a run of its own: on the way to the server nothing of it was done, or some of it; on the way
//! back it was done and nobody was told, the COMMIT among all else. And each statement is spoilt, so
//! that the server refuses it in the middle of its transaction. The store goes on, without being
//! opened again, until the server has everything.
//!
//! The gate takes some messages of each, `BAJAVOZ_STEPS_ALL=1` all of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use bajavoz::model::UnixMicros;
use bajavoz::store;
use bajavoz::store::AckPolicy;
use bajavoz::store::Archive;
use bajavoz::store::NumberChoice;
use bajavoz::store::Settings;
use bajavoz::store::Store;
use bajavoz::store::Target;
use bajavoz::store::postgres;
use bajavoz::suppression::Ack;
use bajavoz::suppression::Fact;
use bajavoz::suppression::FactLedger;
use bajavoz::suppression::Index;

use crate::cluster::Cluster;
use crate::cluster::OWNER;
use crate::cluster::TestDatabase;
use crate::dice::Dice;
use crate::facts;
use crate::files;
use crate::image::Left;
use crate::images::Named;
use crate::images::is_set;
use crate::images::seed;
use crate::images::tell;
use crate::watch::folder;
use crate::wire::Fate;
use crate::wire::Way;
use crate::wire::Wire;

/// How long a server is waited for here, and how soon it is tried again.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(1));

/// Messages of a story that fail in the gate, about.
const IN_GATE: usize = 6;

/// Tries after which a store that does not catch up has failed.
const TRIES_MAX: u32 = 2_000;

/// Ends what connections are left, and forgets everything.
const EMPTY: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
    DROP SCHEMA public CASCADE; CREATE SCHEMA public";

/// The wall clock, since threads wait for each other.
#[expect(clippy::disallowed_methods, reason = "the time that passes is what is waited for")]
fn wall_clock() -> UnixMicros {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixMicros(i64::try_from(since.expect("the epoch is over").as_micros()).expect("not so late"))
}

/// Something that is done with a server in `dir`, until it is done.
type Play = fn(dir: &Path, server: &postgres::Settings) -> BTreeSet<u64>;

/// Which messages fail, and how.
fn fates(passed: &[Vec<u8>; 2], seed: u64) -> Vec<Fate> {
    let mut fates = Vec::new();
    for (way, kinds) in [Way::ToServer, Way::ToClient].into_iter().zip(passed) {
        for (at, kind) in kinds.iter().enumerate() {
            fates.push(Fate { way, at, is_spoilt: false });
            if way == Way::ToServer && b"PBQ".contains(kind) {
                fates.push(Fate { way, at, is_spoilt: true });
            }
        }
    }
    if is_set("BAJAVOZ_STEPS_ALL") {
        return fates;
    }
    let every = (fates.len() / IN_GATE).max(1);
    fates.into_iter().skip((seed % every as u64) as usize).step_by(every).collect()
}

/// Plays once for each message that there is; what is promised must be in the server, once.
fn sweep(name: &str, before: impl Fn(&Path), play: Play) {
    let seed = seed(name);
    let cluster = Cluster::shared();
    let database = cluster.database();
    // The server itself does not fall here, and has no need to wait for its disk.
    database.psql("ALTER SYSTEM SET fsync = off");
    database.psql("SELECT pg_reload_conf()");
    let run = |fate: Option<Fate>| {
        let wire = Wire::before(cluster.port());
        let settings = postgres::Settings::new(&database.url_of(OWNER, wire.port()), None);
        let settings = settings.expect("an address").with_patience(PATIENCE.0, PATIENCE.1);
        let dir = folder();
        before(dir.path());
        wire.fail(fate);
        let name = format!("{name}, {fate:?}, seed {seed}");
        let _named = Named(&name);
        let promised = play(dir.path(), &settings);
        check(&database, &promised, &name);
        let met = wire.is_met();
        database.psql(EMPTY);
        (wire.passed(), met)
    };
    let (passed, _met) = run(None);
    let fates = fates(&passed, seed);
    let met = fates.iter().filter(|fate| run(Some(**fate)).1).count();
    let all: usize = passed.iter().map(Vec::len).sum();
    tell(&format!("{name}: {all} messages, {} fates, {met} of them met", fates.len()));
    assert!(all > 20 && met * 10 >= fates.len() * 8, "{name}: so few cannot be all");
}

fn check(database: &TestDatabase, promised: &BTreeSet<u64>, name: &str) {
    let found = database.psql("SELECT number - 34600000000 FROM optout ORDER BY 1");
    let found: Vec<u64> = found.lines().map(|line| line.parse().expect("a number")).collect();
    let once: BTreeSet<u64> = found.iter().copied().collect();
    assert_eq!(&once, promised, "{name}: what was promised, and nothing else");
    assert_eq!(found.len(), once.len(), "{name}: twice");
    let ends = "SELECT COUNT(*) FROM writer WHERE last_seq <>
                (SELECT MAX(writer_seq) FROM fact WHERE fact.writer_id = writer.writer_id)";
    assert_eq!(database.psql(ends), "0", "{name}: a cursor is not where its stream ends");
    let holes = "SELECT COUNT(*) FROM (SELECT writer_id FROM fact GROUP BY writer_id
                 HAVING COUNT(*) <> MAX(writer_seq)) AS holes";
    assert_eq!(database.psql(holes), "0", "{name}: a stream has holes");
    let lists = database.psql("SELECT COUNT(*) FROM suppressed");
    assert_eq!(lists, (2 * found.len()).to_string(), "{name}: lists without their opt-outs");
}

/// Opt-outs and an import of a node, forwarded; each answer waits for the server as long as it may.
fn forward(dir: &Path, server: &postgres::Settings) -> BTreeSet<u64> {
    let (to_acks, acks) = channel();
    // A server that refuses a start is an error, and no absence: then it is started again.
    let (store, _recovered) = at_last(|| {
        let settings = Settings {
            target: Target::Postgres(Box::new(server.clone())),
            ack: AckPolicy::Both,
            ..Settings::new(dir, Arc::new(wall_clock))
        };
        let to_acks = to_acks.clone();
        Store::open(settings, move |ack: Ack| {
            // A test that has failed listens no more.
            let _ = to_acks.send(ack);
        })
    });
    let mut promised = BTreeSet::new();
    for n in 0..3 {
        let submitted = store.submit(n, Fact::OptOut(Box::new(facts::optout(n))));
        submitted.expect("the journal is sound");
        let ack = acks.recv().expect("every fact is answered");
        ack.result.expect("the journal is enough");
        promised.insert(n);
    }
    let part = files::segment(dir, 40);
    let fact = files::fact(part);
    if let Fact::Import(import) = &fact {
        // Before its record, as whoever imports does.
        at_last(|| store.publish(import, &mut |_done, _of| {}));
    }
    store.submit(9, fact).expect("the journal is sound");
    acks.recv().expect("every fact is answered").result.expect("the journal is enough");
    catch_up(&store);
    store.close().expect("both threads end well");

    // Another node gets the import's numbers by way of the server.
    let other = folder();
    let target = Target::Postgres(Box::new(server.clone()));
    let clock: store::Clock = Arc::new(wall_clock);
    let filled = (0..TRIES_MAX).find_map(|_try| {
        let opened = Archive::open(other.path(), &target, &NumberChoice::Plain, &clock).ok()?.0;
        opened.reader().ok()?.fill(&Index::default()).ok()
    });
    assert_eq!(filled, Some((2 * 3 + 40, 0)), "the other node knows all");
    promised
}

fn catch_up(store: &Store) {
    let is_done = (0..TRIES_MAX).any(|_try| {
        if store.flush().is_ok() {
            return true;
        }
        std::thread::park_timeout(Duration::from_millis(2));
        false
    });
    assert!(is_done, "the server gets everything without a restart");
}

/// A store that moves to the server, by `store migrate` and `store copy`, and back.
fn copied(dir: &Path, server: &postgres::Settings) -> BTreeSet<u64> {
    let clock: store::Clock = Arc::new(wall_clock);
    at_last(|| postgres::migrate(server, None));
    at_last(|| store::copy(dir, server, true, &clock));
    at_last(|| store::copy(dir, server, false, &clock));
    let found = facts::found_in(dir, "moved back");
    assert_eq!(found.len(), 9);
    found.into_iter().collect()
}

fn at_last<T, E: std::error::Error>(mut work: impl FnMut() -> Result<T, E>) -> T {
    let mut error = None;
    for _try in 0..20 {
        match work() {
            Ok(done) => return done,
            Err(failed) => error = Some(facts::told(&failed)),
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    panic!("again and again: {error:?}");
}

#[test]
fn a_journal_that_is_forwarded() {
    sweep("a journal that is forwarded", |_dir| {}, forward);
}

#[test]
fn a_store_that_moves_to_the_server_and_back() {
    let disk = files::store_before();
    let before = |dir: &Path| {
        let whole = folder();
        disk.write(whole.path(), Left::All, &mut Dice::new(0));
        for entry in fs::read_dir(crate::story::store_in(whole.path())).expect("the store") {
            let path = entry.expect("the store").path();
            let to = dir.join(path.file_name().expect("a name"));
            if path.is_dir() {
                fs::create_dir(&to).expect("our folder");
                for file in fs::read_dir(&path).expect("the journal") {
                    let file = file.expect("the journal").path();
                    let name = file.file_name().expect("a name");
                    fs::copy(&file, to.join(name)).expect("our folder");
                }
            } else {
                fs::copy(&path, to).expect("our folder");
            }
        }
    };
    sweep("a store that moves to the server and back", before, copied);
}
