//! Nodes that follow each other over one database: what one knows, the others know, or they know
//! that they do not.

use std::time::Duration;
use std::time::Instant;

use super::cluster::Cluster;
use super::server::wait_for;
use super::stand::Stand;
use super::stand::open_with;
use super::*;
use crate::model::WriterId;
use crate::store::Following;
use crate::store::keys::KeyFile;
use crate::store::reader::PAGE;
use crate::suppression::ListMask;
use crate::suppression::import::Imported;
use crate::suppression::segment::Content;

const STALE_AFTER: Duration = Duration::from_secs(5);

/// A node with its index, whose clock for freshness goes on when it is told to.
pub(super) struct Node {
    pub(super) store: Store,
    pub(super) acks: Receiver<Ack>,
    index: Arc<Index>,
    lists: ListMask,
    now: Arc<Mutex<Instant>>,
    told: Arc<Mutex<Vec<Number>>>,
}

impl Node {
    pub(super) fn open(stand: &Stand) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let numbers = Arc::clone(&told);
        Self { told, ..Self::telling(stand, move |number| numbers.lock().unwrap().push(number)) }
    }

    /// One that tells `on_number` of numbers of others.
    fn telling(stand: &Stand, on_number: impl Fn(Number) + Send + Sync + 'static) -> Self {
        let index = Arc::new(Index::default());
        let lists = index.mask(&["global".into(), "acme".into()]).expect("two lists fit");
        let now = Arc::new(Mutex::new(stand::any_moment()));
        let clock = Arc::clone(&now);
        let following = Following {
            index: Arc::clone(&index),
            now: Arc::new(move || *clock.lock().unwrap()),
            stale_after: STALE_AFTER,
            on_number: Arc::new(on_number),
            node: "lima-1".into(),
        };
        let settings = Settings { following: Some(following), ..stand.settings() };
        let (store, _recovered, acks) = open_with(settings);
        Self { store, acks, index, lists, now, told: Arc::default() }
    }

    fn add(&self, n: u64) {
        self.store.submit(n, Fact::OptOut(Box::new(optout(n)))).unwrap();
        self.acks.recv().unwrap().result.unwrap();
    }

    pub(super) fn refuses(&self, n: u64) -> bool {
        self.index.check(number(n), self.lists, &"acme".into(), &"spring".into()).is_some()
    }

    fn refuses_by_registry(&self, n: u64) -> bool {
        let ftc = self.index.mask(&["ftc".into()]).expect("three lists fit");
        self.index.check(number(n), ftc, &"acme".into(), &"spring".into()).is_some()
    }

    /// Takes an import of `numbers` down as the desk does, save that the database does not have it:
    /// its record is on disk, and on its way.
    fn import_unforwarded(&self, stand: &Stand, numbers: &[u64]) {
        let listed = Some(imports::segment(stand.path(), Content::Listed, numbers));
        let Fact::Import(import) = imports::import(listed, None) else { unreachable!() };
        let record = RecordId { writer: WriterId(9), seq: 1 };
        let mut all = vec![Imported { record, written_at: UnixMicros(1), import: *import }];
        let _turn = self.index.turn();
        let reader = self.store.reader().expect("the folder is there");
        all.extend(reader.imports().expect("the database answers"));
        let base = reader.build_base(&all, &mut |_done, _of| {}).expect("the segment is sound");
        self.index.mount(base);
        self.index.take_imports(&all);
    }

    fn is_stale(&self) -> bool {
        self.index.is_stale(*self.now.lock().unwrap())
    }

    fn pass(&self, time: Duration) {
        *self.now.lock().unwrap() += time;
    }
}

#[test]
fn a_node_starts_on_a_journal_in_which_a_key_is_lost_where_the_server_has_its_row() {
    let stand = Stand::postgres();
    let node = Node::open(&stand);
    (1..=3).for_each(|n| node.add(n));
    node.store.flush().unwrap();
    drop(node);
    KeyFile::destroy(&stand.path().join("keys"), &[1], None).unwrap();
    let node = Node::open(&stand);
    wait_for("it has caught up", || !node.is_stale());
    assert!((1..=3).all(|n| node.refuses(n)), "the second by its row");
    let by_itself = node.store.fill_from_journal(&Index::default()).map(drop).unwrap_err();
    assert!(matches!(by_itself, StoreError::Unkept { slot: 1, .. }), "{by_itself}");
}

#[test]
fn what_one_node_knows_the_others_refuse() {
    let stand = Stand::postgres();
    let first = Node::open(&stand);
    first.add(1);
    first.store.flush().unwrap();
    let second = Node::open(&stand.another_node());
    wait_for("the second has caught up", || !second.is_stale());
    assert!(second.refuses(1), "from its start on");
    assert!(second.told.lock().unwrap().is_empty(), "nobody rings for it yet");
    for n in 2..40 {
        let (from, to) = if n % 2 == 0 { (&first, &second) } else { (&second, &first) };
        from.add(n);
        wait_for("the other refuses it", || to.refuses(n));
    }
    let told = second.told.lock().unwrap().clone();
    assert_eq!(told, (2..40).step_by(2).map(number).collect::<Vec<_>>(), "in order, and no own");
    assert_eq!(second.store.followed().map(|followed| followed.holes), Some(0));
}

#[test]
fn a_node_without_its_database_turns_stale_and_knows_all_when_it_is_back() {
    let mut cluster = Cluster::start();
    let stand = Stand::on_server(cluster.database());
    let other = stand.another_node();
    let (first, second) = (Node::open(&stand), Node::open(&other));
    for node in [&first, &second] {
        wait_for("it has caught up", || !node.is_stale());
    }
    cluster.stop();
    first.add(1);
    for node in [&first, &second] {
        node.pass(STALE_AFTER / 2);
        assert!(!node.is_stale(), "it may still be dialled for a moment");
        node.pass(STALE_AFTER);
        assert!(node.is_stale());
    }
    let lag = second.store.followed().map(|followed| followed.lag).unwrap();
    assert!(lag > STALE_AFTER, "{lag:?}");
    // A node that starts without the database knows nothing, and what it promised is in its journal.
    drop(first);
    let first = Node::open(&stand);
    assert!(first.is_stale());
    assert!(first.refuses(1), "from the beginning, whatever its campaigns do when it is stale");
    cluster.start_again();
    for node in [&first, &second] {
        wait_for("it is fresh again", || !node.is_stale());
    }
    assert!(first.refuses(1), "before it counted as fresh");
    wait_for("the other knows it too", || second.refuses(1));
}

#[test]
fn a_record_that_is_missing_is_waited_for() {
    let stand = Stand::postgres();
    let server = stand.server.clone().unwrap();
    let node = Node::open(&stand);
    wait_for("it has caught up", || !node.is_stale());
    // What another node wrote becomes visible out of order.
    let (writer, body) = (77, serde_json::to_string(&optout(1)).unwrap());
    let fact = |seq: u64| format!("INSERT INTO fact VALUES ({writer}, {seq}, '\\x00');");
    server.psql(&format!(
        "{}; INSERT INTO optout VALUES ({writer}, 2, 1, 1, 1, NULL, NULL, NULL, NULL, '9', NULL, \
         'dialled_code', 'n', '{body}'); INSERT INTO writer VALUES ({writer}, 2, '', 0)",
        fact(2)
    ));
    wait_for("it meets the hole", || node.store.followed().unwrap().holes > 2);
    assert!(!node.refuses(1));
    node.pass(STALE_AFTER * 2);
    wait_for("it is asked again", || {
        let holes = node.store.followed().unwrap().holes;
        holes > 5
    });
    assert!(node.is_stale(), "it cannot know what it waits for");
    server.psql(&fact(1));
    wait_for("the hole is filled", || node.refuses(1));
    wait_for("it is fresh", || !node.is_stale());
}

#[test]
fn a_record_that_cannot_be_read_keeps_back_what_is_behind_it_and_nothing_else() {
    let stand = Stand::postgres();
    let server = stand.server.clone().unwrap();
    let node = Node::open(&stand);
    wait_for("it has caught up", || !node.is_stale());
    let add = |writer: u64, seq: u64, body: &str| {
        format!(
            "INSERT INTO fact VALUES ({writer}, {seq}, '\\x00');
             INSERT INTO optout VALUES ({writer}, {seq}, 1, 1, 1, NULL, NULL, NULL, NULL, '9', NULL, \
             'dialled_code', 'n', '{body}');"
        )
    };
    let body = |n| serde_json::to_string(&optout(n)).unwrap();
    // A node of a version to come writes what this one does not understand.
    let stream = [(1, body(1)), (2, "{\"number\": {}}".to_owned()), (3, body(3))];
    let stream = stream.map(|(seq, body)| add(77, seq, &body)).concat();
    let other = add(78, 1, &body(4));
    let heads = "INSERT INTO writer VALUES (77, 3, '', 0), (78, 1, '', 0)";
    server.psql(&format!("BEGIN; {stream} {other} {heads}; COMMIT"));
    wait_for("the other stream is read", || node.refuses(4));
    wait_for("and what comes before it", || node.refuses(1));
    assert!(!node.refuses(3), "what is behind it may be its reversal");
    let failures = node.store.followed().unwrap().failures;
    node.pass(STALE_AFTER * 2);
    wait_for("it is tried again", || node.store.followed().unwrap().failures > failures + 2);
    assert!(node.is_stale(), "it cannot know what it says");
    server.psql(&format!("UPDATE optout SET body = '{}' WHERE writer_seq = 2", body(2)));
    wait_for("all of it is read", || (1..5).all(|n| node.refuses(n)));
    wait_for("it is fresh", || !node.is_stale());
}

#[test]
fn what_a_server_has_lost_is_forwarded_again() {
    let stand = Stand::postgres();
    let server = stand.server.clone().unwrap();
    let node = Node::open(&stand);
    for n in 0..5 {
        node.add(n);
    }
    node.store.flush().unwrap();
    // A replica takes its place that had not heard of the last ones.
    server.psql(
        "DELETE FROM fact WHERE writer_seq > 2; DELETE FROM optout WHERE writer_seq > 2;
         DELETE FROM suppressed WHERE writer_seq > 2; UPDATE writer SET last_seq = 2;
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    node.add(5);
    wait_for("the database has all of it", || {
        node.store.flush().is_ok()
            && node.store.reader().unwrap().count(&Filter::default()).is_ok_and(|count| count == 6)
    });
    assert_eq!(server.psql("SELECT COUNT(*), MAX(writer_seq) FROM fact"), "6|6");
}

#[test]
fn another_nodes_import_leaves_in_force_what_was_imported_here_and_is_on_its_way() {
    let stand = Stand::postgres();
    let other = stand.another_node();
    let (first, second) = (Node::open(&stand), Node::open(&other));
    for node in [&first, &second] {
        wait_for("it has caught up", || !node.is_stale());
    }
    first.import_unforwarded(&stand, &[1]);
    assert!(first.refuses_by_registry(1));
    let listed = imports::segment(other.path(), Content::Listed, &[2]);
    let fact = imports::publish(&second.store, imports::import(Some(listed), None));
    second.store.submit(0, fact).unwrap();
    second.acks.recv().unwrap().result.unwrap();
    wait_for("the other's import is in force", || first.refuses_by_registry(2));
    assert!(first.refuses_by_registry(1), "only its own node knows it, and must");
}

/// What a server loses that takes the place of another which had heard of more.
const LOST: &str = "DELETE FROM fact WHERE writer_seq > 2; DELETE FROM optout WHERE writer_seq > 2;
    DELETE FROM suppressed WHERE writer_seq > 2; UPDATE writer SET last_seq = 2, is_closed = 0
    WHERE last_seq > 2";

#[test]
fn what_a_server_has_lost_is_forwarded_again_by_a_node_that_has_nothing_to_write() {
    let all = "DELETE FROM fact; DELETE FROM optout; DELETE FROM suppressed; DELETE FROM writer";
    let cases = [
        ("the end of its stream", false, LOST),
        ("the end of a stream of a process before", true, LOST),
        ("its whole stream", false, all),
        ("the whole stream of a process before", true, all),
    ];
    for (name, is_past, lost) in cases {
        let stand = Stand::postgres();
        let server = stand.server.clone().unwrap();
        let mut node = Node::open(&stand);
        (0..5).for_each(|n| node.add(n));
        node.store.flush().unwrap();
        if is_past {
            drop(node);
            node = Node::open(&stand);
        }
        wait_for("it has caught up", || !node.is_stale());
        server.psql(lost);
        let count = "SELECT COUNT(*) FROM optout";
        wait_for(&format!("{name}: it is there again"), || server.psql(count) == "5");
        wait_for(&format!("{name}: nothing waits"), || node.store.counters().facts_waiting == 0);
        let other = Node::open(&stand.another_node());
        wait_for(&format!("{name}: another has caught up"), || !other.is_stale());
        assert!((0..5).all(|n| other.refuses(n)), "{name}");
    }
}

#[test]
fn a_stream_is_never_said_to_go_further_than_what_is_there_before_it() {
    let stand = Stand::postgres();
    let server = stand.server.clone().unwrap();
    let (store, _recovered, acks) = stand.open();
    let add = |n| {
        store.submit(n, Fact::OptOut(Box::new(optout(n)))).unwrap();
        acks.recv().unwrap().result.unwrap();
    };
    (0..5).for_each(add);
    store.flush().unwrap();
    // Another server takes its place behind a pooler, which keeps the connection.
    server.psql(LOST);
    add(5);
    wait_for("the database has all of it", || server.psql("SELECT COUNT(*) FROM optout") == "6");
    let holes = "SELECT COUNT(*) FROM (SELECT writer_id FROM fact GROUP BY writer_id
                 HAVING COUNT(*) <> MAX(writer_seq)) AS holes";
    wait_for("nothing is missing", || store.flush().is_ok() && server.psql(holes) == "0");
}

#[test]
fn whoever_asks_how_far_a_node_is_waits_for_nobody_who_is_told_of_a_number() {
    let stand = Stand::postgres();
    let (told, is_told) = std::sync::mpsc::sync_channel(0);
    let (go_on, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let first = Node::telling(&stand, move |_number| {
        told.send(()).unwrap();
        wait.lock().unwrap().recv().unwrap();
    });
    wait_for("it has caught up", || !first.is_stale());
    let second = Node::open(&stand.another_node());
    second.add(1);
    is_told.recv().unwrap();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| first.store.followed().unwrap());
        let deadline = (0..500).any(|_look| {
            std::thread::park_timeout(Duration::from_millis(20));
            asked.is_finished()
        });
        go_on.send(()).unwrap();
        assert!(deadline, "it waited for the one who is told");
    });
    drop(go_on);
}

/// The most rows that a step of the plan reads: "rows=" of what was, times "loops=".
fn rows_read(plan: &str) -> u64 {
    let count = |line: &str, name: &str| -> Option<u64> {
        let digits = line.split(name).nth(1)?;
        digits[..digits.find(|c: char| !c.is_ascii_digit())?].parse().ok()
    };
    let lines = plan.lines().filter_map(|line| line.split("(actual").nth(1));
    let rows = lines.map(|line| count(line, "rows=").unwrap() * count(line, "loops=").unwrap());
    rows.max().expect("the plan was run")
}

#[test]
fn a_page_is_read_by_keys_alone_before_a_server_has_counted_its_tables() {
    let stand = Stand::postgres();
    drop(stand.archive());
    let server = stand.server.clone().unwrap();
    server.psql(
        "ALTER TABLE fact SET (autovacuum_enabled = off); \
         ALTER TABLE optout SET (autovacuum_enabled = off); \
         INSERT INTO fact SELECT 7, n, '\\x00' FROM generate_series(1, 20000) AS n; \
         INSERT INTO optout SELECT 7, n, n, 1, 1, NULL, NULL, NULL, NULL, '9', NULL, \
             'dialled_code', 'n', '{}' FROM generate_series(1, 20000) AS n",
    );
    for mode in ["force_custom_plan", "force_generic_plan"] {
        let plan = server.psql(&format!(
            "SET plan_cache_mode = {mode}; PREPARE page (BIGINT, BIGINT, BIGINT) AS {PAGE}; \
             EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) EXECUTE page (7, 19000, 20000)"
        ));
        // Facts and opt-outs of the page, and not those of the stream.
        assert_eq!(rows_read(&plan), 2_000, "{mode}: {plan}");
    }
}
