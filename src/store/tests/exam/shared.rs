//! A server that two nodes share, played through by somebody who has its owner's password: each
//! record and row that is touched, dropped or swapped there is named, of this node and, as far as
//! it can be told without its keys, of the other.

mod each;

use std::cell::Cell;
use std::ops::ControlFlow;
use std::time::Duration;

use super::*;
use crate::store::backend::Backend;
use crate::store::backend::Change;
use crate::store::backend::Row;
use crate::store::database::tables;
use crate::store::postgres::Postgres;
use crate::store::postgres::ServerError;
use crate::store::postgres::Use;
use crate::store::tests::cluster::Cluster;
use crate::store::tests::cluster::OWNER;
use crate::store::tests::cluster::TestDatabase;
use crate::store::tests::stand::back_to;
use crate::store::tests::stand::keep;

/// Two nodes with some of everything, closed, and the database that they share.
struct Shared {
    own: Stand,
    other: Stand,
    database: TestDatabase,
    /// Whether somebody has changed something there.
    is_changed: Cell<bool>,
}

impl Shared {
    fn new() -> Self {
        let own = Stand::postgres();
        let other = own.another_node();
        for (stand, round) in [(&own, 0), (&other, 1)] {
            let (store, _recovered, acks) = stand.open();
            fill(&store, &acks, stand.path(), round);
            store.close().expect("both threads end well");
            // As the next start leaves it.
            drop(stand.archive());
        }
        let database = own.server.clone().expect("it is on a server");
        keep(&database, "kept");
        Self { own, other, database, is_changed: Cell::new(false) }
    }

    /// Does `sql` to every row as it was at first; says so when the tables do not take it.
    fn try_change(&self, sql: &str) -> Result<(), String> {
        let back = if self.is_changed.get() { back_to("kept") } else { String::new() };
        self.database.try_psql(&(back + sql))?;
        self.is_changed.set(true);
        Ok(())
    }

    /// The faults that `stand` finds after `sql`.
    fn faults_after(&self, stand: &Stand, sql: &str) -> Vec<StoreFault> {
        self.try_change(sql).unwrap_or_else(|told| panic!("{sql}: {told}"));
        stand.examined().faults
    }

    /// What is told in place of any fault where the server is reached by `url`.
    fn refusal(&self, url: &str) -> StoreError {
        let settings = postgres::Settings::new(url, None).expect("it is an address");
        let settings = settings.with_patience(Duration::from_secs(5), Duration::ZERO);
        examine_shared(self.own.path(), &settings, &clock(), None, &[]).expect_err("it is refused")
    }

    /// The one stream of `stand`.
    fn writer(stand: &Stand) -> WriterId {
        let streams = signing::journal(stand.path());
        streams.into_iter().flatten().next().expect("it has records").id.writer
    }
}

/// Records of a stream: two opt-outs, a confirmation, an import, audio and none, a reversal, an
/// erasure, and the checkpoint at its end.
const RECORDS: u64 = 9;

#[test]
fn what_is_touched_dropped_or_swapped_on_a_server_is_named() {
    let shared = Shared::new();
    let whole = shared.own.examined();
    assert_eq!(whole.faults, []);
    assert_eq!((whole.streams, whole.records, whole.opt_outs), (1, RECORDS, 2));
    assert_eq!((whole.other_streams, whole.others), (1, RECORDS));
    assert_eq!((whole.unsigned, whole.waiting, whole.other_keys.len()), (0, 0, 1));
    assert_eq!(whole.others_unsigned, 0);
    let theirs = shared.other.examined();
    assert_eq!((theirs.faults.len(), theirs.key), (0, Some(whole.other_keys[0])));

    for (stand, whose) in [(&shared.own, "own"), (&shared.other, "the other's")] {
        let writer = Shared::writer(stand);
        let w = writer.0.cast_signed();
        for seq in 1..=RECORDS {
            let id = RecordId { writer, seq };
            let of = format!("writer_id = {w} AND writer_seq = {seq}");
            // The octets at the front are chained; those at the end may be sealed.
            let flip = |at: &str| {
                format!(
                    "UPDATE fact SET record = set_byte(record, {at}, get_byte(record, {at}) # 4) WHERE {of}"
                )
            };
            let changes = [
                ("a bit at the front", flip("20")),
                ("a bit within", flip("40")),
                ("dropped", format!("DELETE FROM fact WHERE {of}")),
                ("no octets", format!("UPDATE fact SET record = '' WHERE {of}")),
            ];
            for (name, sql) in changes {
                let faults = shared.faults_after(&shared.own, &sql);
                assert!(names(&faults, id), "{whose} {id}, {name}: {faults:#?}");
            }
            let faults = shared.faults_after(stand, &flip("octet_length(record) - 2"));
            assert!(names(&faults, id), "{whose} {id}, by its own node: {faults:#?}");
        }
        let swap = format!(
            "UPDATE fact AS a SET record = b.record FROM fact AS b
             WHERE a.writer_id = {w} AND b.writer_id = {w}
             AND (a.writer_seq, b.writer_seq) IN ((2, 3), (3, 2))"
        );
        let faults = shared.faults_after(&shared.own, &swap);
        for seq in [2, 3] {
            assert!(names(&faults, RecordId { writer, seq }), "{whose}, swapped: {faults:#?}");
        }
    }
}

#[test]
fn rows_on_a_server_that_are_not_what_the_records_say_are_named() {
    let shared = Shared::new();
    // With their record, and whether the node that has not its keys names it too: evidence alone is
    // sealed wholly.
    #[rustfmt::skip]
    let cases: &[(u64, &str, bool)] = &[
        (1, "DELETE FROM optout WHERE OF", true),
        (1, "UPDATE optout SET campaign = 'winter' WHERE OF", true),
        (1, "UPDATE optout SET number = number + 1 WHERE OF", true),
        (1, "UPDATE optout SET body = body || ' ' WHERE OF", true),
        (2, "UPDATE suppressed SET list = 'nobody' WHERE list = 'acme' AND OF", true),
        (2, "DELETE FROM suppressed WHERE list = 'acme' AND OF", true),
        (2, "UPDATE suppressed SET number = number + 1 WHERE OF", true),
        (3, "DELETE FROM confirmation WHERE OF", true),
        (3, "UPDATE confirmation SET outcome = 'cut_short' WHERE OF", true),
        (4, "DELETE FROM imports WHERE OF", true),
        (4, "UPDATE imports SET list = 'acme' WHERE OF", true),
        (4, "UPDATE imports SET body = body || ' ' WHERE OF", true),
        (5, "DELETE FROM audio WHERE OF", true),
        (6, "UPDATE audio SET ref_seq = 2 WHERE OF", true),
        (7, "DELETE FROM reversal WHERE OF", true),
        (7, "UPDATE reversal SET body = body || ' ' WHERE OF", true),
        (7, "UPDATE reversed SET list = 'global' WHERE OF", true),
        (7, "DELETE FROM reversed WHERE OF", true),
        (1, "UPDATE optout SET number = number + 1 WHERE OF; UPDATE suppressed SET number = number + 1 WHERE OF", true),
        (1, "UPDATE optout SET number = number + 1, body = replace(body, number::text, (number + 1)::text) WHERE OF;
            UPDATE suppressed SET number = number + 1 WHERE OF", false),
        (1, "INSERT INTO evidence SELECT writer_id, 1, body FROM evidence WHERE OF2", false),
        (2, "DELETE FROM evidence WHERE OF", true),
        (2, "UPDATE evidence SET body = '{}' WHERE OF", false),
        (3, "INSERT INTO evidence SELECT writer_id, 3, body FROM evidence WHERE OF2", true),
        (8, "DELETE FROM erased WHERE OF", true),
        (7, "DELETE FROM evidence WHERE OF", true),
        (8, "UPDATE erased SET ref_seq = 2 WHERE OF", true),
        (8, "UPDATE erased SET erased_us = erased_us + 1 WHERE OF", true),
        (8, "UPDATE erased SET cause = 'retention' WHERE OF", true),
        (8, "INSERT INTO erased SELECT ref_writer, 2, writer_id, writer_seq, erased_us, cause FROM erased WHERE OF", true),
        (4, "INSERT INTO erased SELECT ref_writer, 2, writer_id, 4, erased_us, cause FROM erased WHERE OF8", true),
        (8, "DELETE FROM erasure WHERE OF", true),
        (8, "UPDATE erasure SET body = body || ' ' WHERE OF", true),
        (RECORDS, "UPDATE writer SET last_hash = 'none' WHERE writer_id = ID", true),
        (RECORDS + 1, "UPDATE writer SET last_seq = 90 WHERE writer_id = ID", true),
        (99, "INSERT INTO optout SELECT writer_id, 99, number, pressed_us, written_us, account,
            campaign, dialer, trunk, digits, method, origin, node, body FROM optout WHERE OF1", true),
        (1, "INSERT INTO suppressed VALUES (34600000099, 'global', ID, 1)", true),
        (3, "INSERT INTO reversed VALUES (ID, 1, 34600000001, 'global', ID, 3)", true),
        (RECORDS, "UPDATE writer SET is_closed = 7 WHERE writer_id = ID", true),
    ];
    for (stand, is_own) in [(&shared.own, true), (&shared.other, false)] {
        let writer = Shared::writer(stand);
        for &(seq, sql, is_seen_by_others) in cases {
            let of =
                |seq: u64| format!("writer_id = {} AND writer_seq = {seq}", writer.0.cast_signed());
            let id = RecordId { writer, seq };
            let sql = [1, 2, 8]
                .iter()
                .fold(sql.to_owned(), |sql, seq| sql.replace(&format!("OF{seq}"), &of(*seq)));
            let sql = sql.replace("OF", &of(seq));
            let sql = sql.replace("ID", &writer.0.cast_signed().to_string());
            let by_own = shared.faults_after(stand, &sql);
            assert!(names(&by_own, id), "{sql}: {by_own:#?}");
            if !is_own {
                let by_other = shared.faults_after(&shared.own, &sql);
                assert_eq!(names(&by_other, id), is_seen_by_others, "{sql}: {by_other:#?}");
            }
        }
    }
}

#[test]
fn what_else_is_wrong_with_a_server_is_told_by_its_place() {
    let shared = Shared::new();
    // The first import that names the segment.
    let writer = Shared::writer(&shared.own).min(Shared::writer(&shared.other));
    let import = RecordId { writer, seq: 4 };
    #[rustfmt::skip]
    let cases = [
        ("UPDATE segment_chunk SET octets = set_byte(octets, 40, get_byte(octets, 40) # 1)", "table `segment_chunk`, segment `", Some(import)),
        ("DELETE FROM segment_chunk", "it is missing", Some(import)),
        ("UPDATE segment_chunk SET ordinal = 1", "its content is not what was written", Some(import)),
        ("INSERT INTO segment_chunk SELECT sha256, 1, octets FROM segment_chunk", "its content is not what was written", Some(import)),
        ("INSERT INTO segment_chunk VALUES ('x', 0, 'y')", "table `segment_chunk`, segment `x`: no record says", None),
        ("UPDATE number_storage SET mark = 'hmac 00'", "table `number_storage`: its row is missing, or", None),
        ("DELETE FROM number_storage", "table `number_storage`: its row is missing, or", None),
        ("INSERT INTO number_storage VALUES (2, 'plain')", "table `number_storage`", None),
        ("INSERT INTO number_key VALUES ('00', 3)", "table `number_key`", None),
        ("UPDATE refinery_schema_history SET checksum = '1' WHERE version = 2", "the history of the tables", None),
        ("DELETE FROM refinery_schema_history WHERE version = 2", "the history of the tables", None),
        ("INSERT INTO writer VALUES (77, 1, 'none', 1)", "record 000000000000004d-1", Some(RecordId { writer: WriterId(77), seq: 1 })),
    ];
    for (sql, want, record) in cases {
        let faults = shared.faults_after(&shared.own, sql);
        let told = faults.iter().any(|it| it.to_string().contains(want) && it.record == record);
        assert!(
            told || (record.is_none() && faults[0].to_string().contains(want)),
            "{sql}: {faults:#?}"
        );
    }
    shared.database.psql(&back_to("kept"));
    for sql in ["ALTER TABLE suppressed DROP COLUMN list", "DROP TABLE suppressed"] {
        shared.database.psql(sql);
        let faults = shared.own.examined().faults;
        let told = faults.iter().map(ToString::to_string);
        assert!(told.clone().any(|fault| fault.contains("PostgreSQL refused")), "{faults:#?}");
        assert_eq!(faults.len(), 1, "nothing is guessed behind that: {faults:#?}");
    }
}

#[test]
fn a_server_that_cannot_be_asked_says_nothing_of_the_store() {
    let shared = Shared::new();
    let database = &shared.database;
    let away = shared.refusal(&database.url_of(OWNER, 1));
    assert!(away.is_passing(), "{away}");
    let denied = shared.refusal(&database.url_of(("nobody_here", "x"), Cluster::shared().port()));
    assert!(!denied.is_passing(), "{denied}");

    let newest = "SELECT version FROM refinery_schema_history ORDER BY version DESC LIMIT 1";
    let newest: i32 = database.psql(newest).parse().expect("it has a version");
    let history = "refinery_schema_history";
    let versions = [
        (
            format!("DELETE FROM {history} WHERE version = {newest}"),
            newest - 1,
            "`bajavoz store migrate`",
        ),
        (
            format!("INSERT INTO {history} VALUES ({newest} + 1, 'next', '', '')"),
            newest + 1,
            "brought them up to date",
        ),
        (format!("DELETE FROM {history}"), 0, "no engine has made any"),
        (format!("DROP TABLE {history}"), 0, "no engine has made any"),
    ];
    for (sql, version, hint) in versions {
        shared.try_change(&sql).expect("the tables take it");
        let told = shared.refusal(&database.url());
        let found = match &told {
            StoreError::Server(ServerError::Version { found, needed }) => (*found, *needed),
            other => panic!("{sql}: {other}"),
        };
        assert_eq!(found, (version, newest), "{sql}");
        assert!(told.to_string().contains(hint), "{told}");
    }
}

#[test]
fn whoever_may_read_a_server_and_no_more_may_examine_it() {
    let shared = Shared::new();
    let (database, auditor) = (&shared.database, ("auditor", "of the books"));
    database.psql("CREATE ROLE auditor LOGIN PASSWORD 'of the books'");
    database.psql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO auditor");
    let url = database.url_of(auditor, Cluster::shared().port());
    let settings = postgres::Settings::new(&url, None).expect("it is an address");
    let examined = examine_shared(shared.own.path(), &settings, &clock(), None, &[]).unwrap();
    assert_eq!((examined.faults.as_slice(), examined.records), (&[][..], RECORDS));
    database.psql("REVOKE SELECT ON evidence FROM auditor");
    let told = shared.refusal(&url).to_string();
    assert!(told.contains("permission denied for table evidence"), "{told}");
}

#[test]
fn an_examination_sees_one_moment_and_changes_nothing() {
    let shared = Shared::new();
    let database = &shared.database;
    let settings = postgres::Settings::new(&database.url(), None).expect("it is an address");
    let mut server = Postgres::new(settings, Use::Examining, clock());
    let count = |server: &mut Postgres| {
        let mut found = None;
        let mut visit = |row: Row<'_>| {
            found = Some(row.int(0)?);
            Ok(ControlFlow::Continue(()))
        };
        server.select("SELECT COUNT(*) FROM number_key", &[], &mut visit).map(|()| found)
    };
    assert_eq!(count(&mut server).unwrap(), Some(0));
    database.psql("INSERT INTO number_key VALUES ('00', 3)");
    assert_eq!(count(&mut server).unwrap(), Some(0), "as it stood at the first question");
    let row = vec!["00".into(), 4_i64.into()];
    let refused = server.change(&[Change::Insert(&tables::NUMBER_KEY, vec![row])]).unwrap_err();
    assert!(refused.to_string().contains("read-only transaction"), "{refused}");
    assert_eq!(database.psql("SELECT COUNT(*) FROM number_key"), "1");
    let closed = count(&mut server).unwrap_err();
    assert!(closed.is_passing(), "another connection would see another moment: {closed}");
}

#[test]
fn a_journal_that_lost_what_the_server_has_is_told_and_one_ahead_of_it_is_no_fault() {
    let shared = Shared::new();
    let (own, writer) = (&shared.own, Shared::writer(&shared.own));
    let id = |seq| RecordId { writer, seq };
    let forget = "DELETE FROM fact; DELETE FROM optout; DELETE FROM suppressed; DELETE FROM audio;
        DELETE FROM confirmation; DELETE FROM imports; DELETE FROM reversal; DELETE FROM reversed;
        DELETE FROM erasure; DELETE FROM erased; DELETE FROM evidence; DELETE FROM writer;
        DELETE FROM segment_chunk";
    shared.database.psql(forget);
    let examined = own.examined();
    assert_eq!((examined.faults.as_slice(), examined.waiting), (&[][..], RECORDS));
    shared.database.psql(&back_to("kept"));

    let listed = fs::read_dir(journal_dir(own.path())).expect("the journal can be listed");
    let paths = listed.map(|entry| entry.expect("it can be listed").path());
    let segments: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|it| it == "journal")).collect();
    let [segment] = &segments[..] else { panic!("one stream has one segment: {segments:?}") };
    let bytes = fs::read(segment).unwrap();
    fs::write(segment, &bytes[..bytes.len() / 2]).unwrap();
    let faults = own.examined().faults;
    assert!(names(&faults, id(RECORDS)), "its end is cut off: {faults:#?}");
    fs::remove_file(segment).unwrap();
    let faults = own.examined().faults;
    assert!(
        names(&faults, id(RECORDS)),
        "all of it is gone, and our key has signed it: {faults:#?}"
    );
    assert!(faults.iter().any(|fault| fault.place == Place::Journal), "{faults:#?}");
}

#[test]
fn a_server_is_examined_while_its_engines_write() {
    let own = Stand::postgres();
    let other = own.another_node();
    let (first, _recovered, first_acks) = own.open();
    let (second, _recovered, second_acks) = other.open();
    for n in 0..20 {
        first.submit(0, Fact::OptOut(Box::new(optout(n)))).unwrap();
        second.submit(0, Fact::OptOut(Box::new(optout(n)))).unwrap();
        let examined = own.examined();
        assert_eq!(examined.faults, [], "{n}");
        first_acks.recv().unwrap().result.unwrap();
        second_acks.recv().unwrap().result.unwrap();
    }
    first.close().unwrap();
    second.close().unwrap();
}
