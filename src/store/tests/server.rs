//! What only a shared database does: it is away, it is slow, others write to it, and it refuses.

use std::time::Duration;

use super::cluster::Cluster;
use super::cluster::OWNER;
use super::stand::target_of;
use super::*;
use crate::store::postgres;
use crate::store::postgres::ServerError;
use crate::store::postgres::Tls;

/// Looks at what other threads bring about, 20 ms apart: 30 s.
const LOOKS_MAX: u32 = 1_500;

pub(super) fn wait_for(what: &str, mut look: impl FnMut() -> bool) {
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
    cluster.stop();
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
    let error = Archive::open(dir.path(), &target_of(&url), &clock()).unwrap_err();
    let StoreError::Server(ServerError::Refused { code, .. }) = &error else { panic!("{error}") };
    assert_eq!(code, "28P01");
    assert!(!error.to_string().contains("another"), "{error}");
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
        let opened = Archive::open(dir.path(), &target, &clock());
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
