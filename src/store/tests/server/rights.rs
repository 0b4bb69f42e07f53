//! What the engine's role may do in a shared database: put facts in, and change none. One that may not do
//! what it must is told so at the start, with what grants it.

use super::*;
use crate::store::database::tables;

#[test]
fn an_engine_that_may_not_do_what_it_must_is_turned_away_at_its_start() {
    let database = Cluster::shared().database();
    let role = format!("engine_of_{}", database.name);
    database.psql(&format!("CREATE ROLE {role} LOGIN PASSWORD 'engine'"));
    let owner = postgres::Settings::new(&database.url(), None).unwrap();
    postgres::migrate(&owner, Some(&role)).unwrap();
    let url = database.url_of((&role, "engine"), Cluster::shared().port());
    let stand = Stand { target: target_of(&url), ..Stand::sqlite() };
    let cases = [
        ("DELETE", "evidence"),
        ("DELETE", "call_record"),
        ("INSERT", "erased"),
        ("SELECT", "suppressed"),
        ("UPDATE (last_hash)", "writer"),
    ];
    for (privilege, table) in cases {
        database.psql(&format!("REVOKE {privilege} ON {table} FROM {role}"));
        let opened = Archive::open(stand.path(), &stand.target, &stand.numbers, &clock());
        let told = opened.map(drop).unwrap_err().to_string();
        let (privilege, _column) = privilege.split_once(' ').unwrap_or((privilege, ""));
        let want = format!("the role `{role}` may not {privilege} in the table `{table}`");
        assert!(told.contains(&want) && told.contains("store migrate --engine-role"), "{told}");
        postgres::migrate(&owner, Some(&role)).unwrap();
        assert!(!stand.archive().1.is_away, "once it is granted");
    }
}

#[test]
fn the_engines_role_puts_facts_in_and_changes_none() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let role = format!("engine_of_{}", database.name);
    let password = "engine";
    database.psql(&format!("CREATE ROLE {role} LOGIN PASSWORD '{password}'"));
    let engine_url = database.url_of((&role, password), cluster.port());

    let stand = Stand { target: target_of(&engine_url), ..Stand::sqlite() };
    let error = Archive::open(stand.path(), &stand.target, &stand.numbers, &clock()).unwrap_err();
    let StoreError::Server(ServerError::Tables { found: 0, .. }) = &error else {
        panic!("{error}")
    };
    assert!(error.to_string().contains("bajavoz store migrate"), "{error}");

    let owner = postgres::Settings::new(&database.url(), None).unwrap();
    let refused = postgres::migrate(&owner, Some("engine\"; DROP TABLE fact; --"));
    assert!(matches!(refused, Err(ServerError::Role)), "{refused:?}");
    let (from, to) = postgres::migrate(&owner, Some(&role)).unwrap();
    assert_eq!((from, to), (0, migrations::newest()));
    assert_eq!(postgres::migrate(&owner, None).unwrap(), (to, to), "a second time does nothing");

    // Twice, so that a stream is closed and another begun.
    for n in 0..2 {
        let (store, _recovered, acks) = stand.open();
        let record = reversals::fill(stand.path(), (store, Recovered::default(), acks)).1[0];
        let (archive, recovered) = stand.archive();
        assert!(!recovered.is_away, "{n}");
        assert!(archive.reader().unwrap().fill(&Index::default()).is_ok());
        assert!(record.seq > 0);
    }
    let tables = database.psql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
    for table in tables.lines() {
        let column = database.psql(&format!(
            "SELECT column_name FROM information_schema.columns WHERE table_name = '{table}' LIMIT 1"
        ));
        for sql in [
            format!("UPDATE {table} SET {column} = {column}"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table}"),
            format!("DROP TABLE {table}"),
        ] {
            let is_passing = tables::PASSING.iter().any(|it| it.name == table);
            if is_passing && sql.starts_with("DELETE") {
                assert!(database.try_psql(&format!("SET ROLE {role}; {sql}")).is_ok(), "{sql}");
                continue;
            }
            let told = database.try_psql(&format!("SET ROLE {role}; {sql}")).unwrap_err();
            assert!(
                told.contains("permission denied") || told.contains("must be owner"),
                "{sql}: {told}"
            );
        }
    }
    let moved = format!("SET ROLE {role}; UPDATE writer SET last_seq = last_seq");
    assert!(database.try_psql(&moved).is_ok(), "how far a stream is taken in is not a fact");
}
