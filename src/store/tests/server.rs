//! What only a shared database does: it is away, it is slow, others write to it, and it refuses.

mod rights;

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::cluster::Cluster;
use super::cluster::OWNER;
use super::cluster::TestDatabase;
use super::proxy::Proxy;
use super::stand::target_of;
use super::*;
use crate::store::backend::Backend;
use crate::store::postgres;
use crate::store::postgres::Postgres;
use crate::store::postgres::ServerError;
use crate::store::postgres::Tls;
use crate::store::postgres::Use;
use crate::suppression::proof::Record;

/// Looks at what other threads bring about, 20 ms apart: 30 s.
const LOOKS_MAX: u32 = 1_500;

pub(crate) fn wait_for(what: &str, mut look: impl FnMut() -> bool) {
    for _look in 0..LOOKS_MAX {
        if look() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    panic!("waited in vain: {what}");
}

fn add(store: &Store, acks: &Receiver<Ack>, n: u64) {
    store.submit(n, Fact::OptOut(Box::new(optout(n)))).unwrap();
    acks.recv().unwrap().result.unwrap();
}

#[test]
fn a_server_that_restarts_gets_what_it_missed_and_a_start_without_it_is_caught_up_with() {
    let mut cluster = Cluster::start();
    let stand = Stand::on_server(cluster.database());
    let server = stand.server.clone().unwrap();
    let (store, _recovered, acks) = stand.open();
    add(&store, &acks, 0);
    store.flush().unwrap();
    cluster.crash();
    for n in 1..30 {
        add(&store, &acks, n);
    }
    store.record_call(call(1));
    assert!(matches!(store.flush(), Err(StoreError::Behind)));
    assert_eq!(store.counters().facts_waiting, 29);
    store.close().unwrap();

    // A start while it is away, and one more, so that three streams wait.
    for n in [30, 31] {
        let (store, recovered, acks) = stand.open();
        assert!(recovered.is_away);
        add(&store, &acks, n);
        store.close().unwrap();
    }
    let (store, recovered, acks) = stand.open();
    assert!(recovered.is_away);
    add(&store, &acks, 32);
    cluster.start_again();
    wait_for("the database is up to date", || store.flush().is_ok());
    assert_eq!(store.counters().facts_waiting, 0);
    assert_eq!(store.reader().unwrap().count(&Filter::default()).unwrap(), 33);
    assert_eq!(server.psql("SELECT COUNT(*), COUNT(DISTINCT writer_id) FROM optout"), "33|4");
    assert_eq!(server.psql("SELECT COUNT(*) FROM writer WHERE is_closed = 1"), "3");
    store.close().unwrap();
    let (_archive, recovered) = stand.archive();
    assert_eq!(recovered, Recovered::default(), "nothing was left to do");
}

#[test]
fn nodes_on_one_database_read_what_the_others_wrote() {
    let one = Stand::postgres();
    let other = one.another_node();
    let (first, _recovered, first_acks) = one.open();
    let (second, _recovered, second_acks) = other.open();
    add(&first, &first_acks, 1);
    add(&second, &second_acks, 2);
    add(&second, &second_acks, 1);
    first.flush().unwrap();
    second.flush().unwrap();
    for store in [&first, &second] {
        let index = Index::default();
        assert_eq!(store.reader().unwrap().fill(&index).unwrap(), (6, 0));
        assert_eq!(store.reader().unwrap().show(number(1)).unwrap().len(), 2);
    }
    first.close().unwrap();
    second.close().unwrap();
    // A node whose folder is lost begins anew: what it wrote is there.
    let (_archive, recovered) = one.another_node().archive();
    assert_eq!(recovered, Recovered::default());
}

#[test]
fn a_wrong_password_is_an_error_and_not_an_absence() {
    let cluster = Cluster::shared();
    let url = cluster.database().url_of((OWNER.0, "another"), cluster.port());
    let dir = tempfile::tempdir().unwrap();
    let error =
        Archive::open(dir.path(), &target_of(&url), &NumberChoice::Plain, &clock()).unwrap_err();
    let StoreError::Server(ServerError::Refused { code, .. }) = &error else { panic!("{error}") };
    assert_eq!(code, "28P01");
    assert!(!error.to_string().contains("another"), "{error}");
}

#[test]
fn a_server_in_trouble_is_left_alone_for_a_pause_and_one_that_only_refuses_is_not() {
    let database = Cluster::shared().database();
    let settings = postgres::Settings::new(&database.url(), None).unwrap();
    let now_ms = Arc::new(AtomicI64::new(1_000));
    let clock = Arc::clone(&now_ms);
    let clock = Arc::new(move || UnixMicros(clock.load(Ordering::SeqCst) * 1_000));
    let mut server = Postgres::new(settings, Use::Reading, clock);
    let mut ask = |at_ms: i64| {
        now_ms.store(at_ms, Ordering::SeqCst);
        let sql = "SELECT last_seq FROM writer";
        match server.select(sql, &[], &mut |_row| Ok(ControlFlow::Continue(()))) {
            Ok(()) => "answered".to_owned(),
            Err(StoreError::Server(ServerError::Refused { code, .. })) => code,
            Err(StoreError::Server(ServerError::Later)) => "later".to_owned(),
            Err(error) => panic!("{error}"),
        }
    };
    // A full disk.
    database.psql(
        "CREATE FUNCTION full_disk() RETURNS BIGINT LANGUAGE plpgsql AS \
         $$ BEGIN RAISE 'no space' USING ERRCODE = '53100'; END $$",
    );
    database.psql("CREATE VIEW writer AS SELECT full_disk() AS last_seq");
    for (at_ms, want) in
        [(1_000, "53100"), (1_099, "later"), (1_100, "53100"), (1_299, "later"), (1_300, "53100")]
    {
        assert_eq!(ask(at_ms), want, "at {at_ms} ms");
    }
    database.psql("DROP VIEW writer");
    database.psql("CREATE TABLE writer (last_seq BIGINT)");
    for (at_ms, want) in [(1_699, "later"), (1_700, "answered"), (1_701, "answered")] {
        assert_eq!(ask(at_ms), want, "at {at_ms} ms");
    }
    // A table that is not there.
    let connections = "SELECT pid FROM pg_stat_activity \
                       WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let before = database.psql(connections);
    database.psql("DROP TABLE writer");
    assert_eq!([ask(1_702), ask(1_702), ask(1_703)], ["42P01", "42P01", "42P01"]);
    assert_eq!(database.psql(connections), before, "by the same connection");
}

#[test]
fn tls_is_verified_by_authority_and_by_name() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let url = |host: &str| database.url().replace("127.0.0.1", host);
    let named = format!("{}?hostaddr=127.0.0.1", url("localhost"));
    let other = format!("{}?hostaddr=127.0.0.1", url("db.example.com"));
    #[rustfmt::skip]
    let cases = [
        ("its own authority",      &named, "ca.pem",       true),
        ("another authority",      &named, "stranger.pem", false),
        ("another name",           &other, "ca.pem",       false),
        ("an address without name", &url("127.0.0.1"), "ca.pem", false),
    ];
    for (name, url, ca, is_believed) in cases {
        let tls = Tls::VerifyFull { ca: Some(cluster.file(ca)) };
        let target = Target::Postgres(Box::new(postgres::Settings::new(url, Some(tls)).unwrap()));
        let dir = tempfile::tempdir().unwrap();
        let opened = Archive::open(dir.path(), &target, &NumberChoice::Plain, &clock());
        assert_eq!(opened.is_ok_and(|(_, recovered)| !recovered.is_away), is_believed, "{name}");
    }
    let is_encrypted = "SELECT COUNT(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                        WHERE ssl AND application_name = 'bajavoz'";
    let tls = Tls::VerifyFull { ca: Some(cluster.file("ca.pem")) };
    let settings = postgres::Settings::new(&named, Some(tls)).unwrap();
    let stand = Stand { target: Target::Postgres(Box::new(settings)), ..Stand::sqlite() };
    let (store, ..) = stand.open();
    assert!(database.psql(is_encrypted).parse::<u32>().unwrap() > 0);
    store.close().unwrap();
}

/// How long a server is waited for here, and how soon it is tried again.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(400), Duration::from_millis(50));

/// A store behind a network that can fail, by the real clock.
fn behind(proxy: &Proxy, database: &TestDatabase) -> Stand {
    let settings = postgres::Settings::new(&database.url_of(OWNER, proxy.port()), None).unwrap();
    let settings = settings.with_patience(PATIENCE.0, PATIENCE.1);
    Stand { target: Target::Postgres(Box::new(settings)), ..Stand::sqlite() }
}

fn open_by_the_clock(stand: &Stand) -> (Store, Recovered, Receiver<Ack>) {
    open_with(Settings { clock: Arc::new(stand::wall_clock), ..stand.settings() })
}

/// How long `work` took.
fn took(work: impl FnOnce()) -> Duration {
    let before = stand::wall_clock().0;
    work();
    Duration::from_micros((stand::wall_clock().0 - before).unsigned_abs())
}

#[test]
fn a_server_that_says_nothing_hangs_nobody_and_gets_everything_later() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let proxy = Proxy::before(cluster.port());
    let stand = behind(&proxy, &database);
    let (store, _recovered, acks) = open_by_the_clock(&stand);
    add(&store, &acks, 0);
    store.flush().unwrap();
    proxy.silence(true);
    for n in 1..20 {
        add(&store, &acks, n);
    }
    let asked = took(|| assert!(matches!(store.flush(), Err(StoreError::Behind))));
    assert!(asked < Duration::from_secs(10), "{asked:?}");
    let reader = store.reader().unwrap();
    let asked = took(|| assert!(reader.count(&Filter::default()).unwrap_err().is_passing()));
    assert!(asked < Duration::from_secs(10), "{asked:?}");
    let closed = took(|| store.close().unwrap());
    assert!(closed < Duration::from_secs(10), "{closed:?}");
    let started = took(|| assert!(stand.archive().1.is_away));
    assert!(started < Duration::from_secs(10), "{started:?}");

    let (store, recovered, acks) = open_by_the_clock(&stand);
    assert!(recovered.is_away);
    let index = Index::default();
    assert_eq!(store.fill_from_journal(&index).unwrap(), (20, 0), "what it knows itself");
    add(&store, &acks, 20);
    proxy.mend();
    wait_for("the database is up to date", || store.flush().is_ok());
    // What was held up on the way arrives too, late: it changes nothing.
    assert_eq!(database.psql("SELECT COUNT(*), COUNT(DISTINCT number) FROM optout"), "21|21");
    let ends = "SELECT COUNT(*) FROM writer WHERE last_seq <>
                (SELECT MAX(writer_seq) FROM fact WHERE fact.writer_id = writer.writer_id)";
    assert_eq!(database.psql(ends), "0");
    store.close().unwrap();
}

#[test]
fn a_question_that_nobody_waits_for_any_more_is_taken_back() {
    let database = Cluster::shared().database();
    let settings = postgres::Settings::new(&database.url(), None).unwrap();
    let settings = settings.with_patience(PATIENCE.0, PATIENCE.1);
    let stand = Stand { target: Target::Postgres(Box::new(settings)), ..Stand::sqlite() };
    let (archive, _recovered) = stand.archive();
    let reader = archive.reader().unwrap();
    let running = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()
                   AND application_name = 'bajavoz' AND state = 'active'";
    let other = database.clone();
    std::thread::scope(|scope| {
        let locked = scope.spawn(move || {
            // Ends when the test says so, by an error.
            let lock = "BEGIN; LOCK TABLE optout; SELECT pg_sleep(60)";
            let _ = other.try_psql(lock);
        });
        let is_locked = "SELECT COUNT(*) FROM pg_locks JOIN pg_class ON relation = pg_class.oid
                         WHERE relname = 'optout' AND mode = 'AccessExclusiveLock' AND granted";
        wait_for("the table is locked", || database.psql(is_locked) == "1");
        let asked = reader.count(&Filter::default());
        assert!(asked.is_err_and(|error| error.is_passing()));
        wait_for("nothing runs any more", || database.psql(running) == "0");
        assert!(!locked.is_finished(), "the lock is still held");
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND query LIKE '%pg_sleep(60)'
                       AND pid <> pg_backend_pid()";
        database.psql(end);
    });
}

#[test]
fn a_connection_that_is_cut_at_any_octet_loses_nothing_and_doubles_nothing() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let proxy = Proxy::before(cluster.port());
    let mut want = 0;
    // A connection with its group of facts takes some 6 kB there and 2 kB back.
    let cuts = (0..6).map(|at| (0, 900 * at + 13)).chain((0..8).map(|at| (1, 230 * at + 7)));
    for (direction, octets) in cuts {
        let stand = behind(&proxy, &database);
        proxy.cut_after(direction, octets);
        let (store, _recovered, acks) = open_by_the_clock(&stand);
        for n in 0..3 {
            add(&store, &acks, want + n);
        }
        want += 3;
        // It may be that so many octets are never sent.
        let _ = store.flush();
        proxy.mend();
        wait_for("the database is up to date", || store.flush().is_ok());
        store.close().unwrap();
        let found = database.psql("SELECT COUNT(*), COUNT(DISTINCT number) FROM optout");
        assert_eq!(found, format!("{want}|{want}"), "cut at {octets} of direction {direction}");
    }
    let ends = "SELECT COUNT(*) FROM writer WHERE is_closed = 0 OR last_seq <>
                (SELECT MAX(writer_seq) FROM fact WHERE fact.writer_id = writer.writer_id)";
    // The last of each stand's streams is closed by its next start, which does not come.
    let open: u32 = database.psql(ends).parse().unwrap();
    assert_eq!(open, 14, "one for each");
    let holes = "SELECT COUNT(*) FROM (SELECT writer_id FROM fact GROUP BY writer_id
                 HAVING COUNT(*) <> MAX(writer_seq)) AS holes";
    assert_eq!(database.psql(holes), "0");
}

#[test]
fn connections_that_end_while_facts_come_lose_none() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let proxy = Proxy::before(cluster.port());
    let stand = behind(&proxy, &database);
    let (store, _recovered, acks) = open_by_the_clock(&stand);
    for n in 0..400 {
        store.submit(n, Fact::OptOut(Box::new(optout(n)))).unwrap();
        if n % 40 == 7 {
            proxy.cut();
        }
        if n % 40 == 29 {
            database.psql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE application_name = 'bajavoz' AND datname = current_database()",
            );
        }
        assert!(acks.recv().unwrap().result.is_ok());
    }
    wait_for("the database is up to date", || store.flush().is_ok());
    let found = database.psql("SELECT COUNT(*), COUNT(DISTINCT number) FROM optout");
    assert_eq!(found, "400|400");
    store.close().unwrap();
}

/// Puts an opt-out of number `n` on record; the slot of its key.
fn slot_of(stand: &Stand, store: &Store, acks: &Receiver<Ack>, n: u64) -> u32 {
    add(store, acks, n);
    store.flush().unwrap();
    let newest = |records: &Vec<Record>| {
        let sealed = records.iter().filter_map(|it| Some((it.written_at, it.key_slot()?)));
        sealed.max_by_key(|(at, _slot)| *at)
    };
    let found = signing::journal(stand.path()).iter().filter_map(newest).max_by_key(|it| it.0);
    found.map(|(_at, (_tag, slot))| slot).expect("it is in the journal")
}

#[test]
fn a_folder_that_is_set_back_gives_nobody_a_key_of_what_it_has_lost_however_often() {
    let stand = Stand::postgres();
    let now = Arc::new(AtomicI64::new(1_795_293_016_000_000));
    let open = || {
        let now = Arc::clone(&now);
        let clock: Clock = Arc::new(move || UnixMicros(now.fetch_add(1_000, Ordering::SeqCst)));
        let (store, _recovered, acks) = open_with(Settings { clock, ..stand.settings() });
        (store, acks)
    };
    let (mut lost, mut n) = (0, 0);
    for time in 0..3 {
        let (store, acks) = open();
        let kept = slot_of(&stand, &store, &acks, n);
        assert!(time == 0 || kept > lost, "time {time}: {kept} is taken, up to {lost}");
        let before = tempfile::tempdir().unwrap();
        history::copy_store(stand.path(), before.path());
        for more in 1..4 {
            lost = slot_of(&stand, &store, &acks, n + more);
        }
        store.close().unwrap();
        n += 4;
        // As whoever runs the machine puts it back.
        std::fs::remove_dir_all(stand.path().join("journal")).unwrap();
        history::copy_store(before.path(), stand.path());
    }
    // Nothing more is lost: what is free is not left free each time.
    let (store, acks) = open();
    let after = slot_of(&stand, &store, &acks, n);
    assert!(after > lost);
    store.close().unwrap();
    let (store, acks) = open();
    assert_eq!(slot_of(&stand, &store, &acks, n + 1), after + 1);
    store.close().unwrap();
}

#[test]
fn a_database_that_cannot_keep_every_name_is_told_from_one_that_is_away() {
    let mut database = Cluster::shared().database();
    let name = format!("{}_latin", database.name);
    database.psql(&format!(
        "CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    ));
    database.name = name;
    let dir = tempfile::tempdir().unwrap();
    let error =
        Archive::open(dir.path(), &target_of(&database.url()), &NumberChoice::Plain, &clock())
            .unwrap_err();
    let told = error.to_string();
    assert!(told.contains("encoding is LATIN1") && told.contains("'UTF8'"), "{told}");
}

#[test]
fn a_record_that_is_never_taken_keeps_no_other_stream_back() {
    let stand = Stand::postgres();
    let (store, _recovered, acks) = stand.open();
    let Fact::Import(mut import) = imports::import(None, None) else { panic!("it is none") };
    // No way in makes such a name any more.
    import.account = Some("ac\0me".into());
    store.submit(0, Fact::Import(import)).unwrap();
    acks.recv().unwrap().result.unwrap();
    add(&store, &acks, 1);
    assert!(matches!(store.flush(), Err(StoreError::Behind)));
    store.close().unwrap();

    let (store, recovered, acks) = stand.open();
    assert!(!recovered.is_away, "the server is there");
    add(&store, &acks, 2);
    let server = stand.server.as_ref().unwrap();
    wait_for("the new stream is taken in", || server.psql("SELECT COUNT(*) FROM optout") == "1");
    assert!(store.counters().facts_waiting >= 2, "and the old one is told as waiting");
    store.close().unwrap();
}
