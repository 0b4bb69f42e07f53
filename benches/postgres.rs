//! How many opt-outs do four nodes bring into one PostgreSQL, beside `pgbench` with 48 clients that
//! each put the same three rows in?
//!
//! In one run, by turns, on a server of its own with `synchronous_commit = on`: two seconds of
//! pgbench, one opt-out a transaction (fact, optout, suppressed), prepared; then four stores, each
//! with 1,024 opt-outs outstanding that count once the server has them. Prints rates and their
//! ratio; only the ratio means anything on a machine that others use too. `cargo bench --bench
//! postgres`, some 30 seconds. Needs PostgreSQL's own programs.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench reads clocks and prints"
)]

use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::channel;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use bajavoz::model;
use bajavoz::model::UnixMicros;
use bajavoz::store::AckPolicy;
use bajavoz::store::Settings;
use bajavoz::store::Store;
use bajavoz::store::Target;
use bajavoz::store::postgres;
use bajavoz::suppression;
use bajavoz::suppression::Ack;
use bajavoz::suppression::Fact;
use bajavoz::suppression::FactLedger;
use bajavoz::suppression::OptOut;

#[expect(dead_code, reason = "the store's tests use all of it")]
#[path = "../src/store/tests/cluster.rs"]
mod cluster;
#[path = "../src/store/tests/sample.rs"]
mod sample;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const NODES: u64 = 4;
const OUTSTANDING: u64 = 1_024;

/// What one client of pgbench does: one opt-out, of the length that ours have.
const SCRIPT: &str = r"\set w random(1, 9000000000000000000)
\set s random(1, 9000000000000000000)
\set n random(34600000000, 34699999999)
BEGIN;
INSERT INTO fact VALUES (:w, :s, decode(repeat('ab', 490), 'hex')) ON CONFLICT DO NOTHING;
INSERT INTO optout VALUES (:w, :s, :n, 1, 1, 'acme', 'spring', 'vicidial', NULL, '9', NULL, 'dialled_code', 'madrid-1', repeat('x', 420)) ON CONFLICT DO NOTHING;
INSERT INTO suppressed VALUES (:n, 'global', :w, :s) ON CONFLICT DO NOTHING;
COMMIT;
";

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// A node with its answers.
struct Node {
    store: Store,
    acks: Receiver<Ack>,
    next: u64,
    _dir: tempfile::TempDir,
}

fn main() -> Outcome<()> {
    let cluster = cluster::Cluster::start();
    let database = cluster.database();
    let settings = postgres::Settings::new(&database.url(), None)?;
    postgres::migrate(&settings, None)?;
    let script = tempfile::NamedTempFile::new()?;
    std::fs::write(script.path(), SCRIPT)?;
    let mut nodes = Vec::new();
    for node in 0..NODES {
        nodes.push(open(&settings, node)?);
    }
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let bench = pgbench(&database.url(), script.path())?;
        let ours = together(&mut nodes);
        println!(
            "round {round}: pgbench {bench:.0}/s; {NODES} nodes {ours:.0}/s; {:.1}",
            ours / bench
        );
        ratios.push(ours / bench);
    }
    ratios.sort_by(f64::total_cmp);
    let (least, median, most) = (ratios[0], ratios[ROUNDS / 2], ratios[ROUNDS - 1]);
    println!("{NODES} nodes / pgbench -c 48: median {median:.1} ({least:.1} to {most:.1})");
    Ok(())
}

fn open(server: &postgres::Settings, node: u64) -> Outcome<Node> {
    let dir = tempfile::tempdir()?;
    let (acks, received) = channel();
    let clock = Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMicros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    });
    let settings = Settings {
        target: Target::Postgres(Box::new(server.clone())),
        ack: AckPolicy::Store,
        ..Settings::new(dir.path(), clock)
    };
    let (store, _recovered) = Store::open(settings, move |ack| {
        // At the end nobody listens any more.
        let _ = acks.send(ack);
    })?;
    Ok(Node { store, acks: received, next: node << 40, _dir: dir })
}

/// Opt-outs a second of all nodes at once.
fn together(nodes: &mut [Node]) -> f64 {
    let begin = Instant::now();
    let stored: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> =
            nodes.iter_mut().map(|node| scope.spawn(|| node.write(begin))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a node goes on")).sum()
    });
    stored as f64 / begin.elapsed().as_secs_f64()
}

impl Node {
    /// Keeps so many outstanding for a round; how many the server has by its end.
    fn write(&mut self, begin: Instant) -> u64 {
        let (mut outstanding, mut stored) = (0, 0);
        loop {
            while outstanding < OUTSTANDING && begin.elapsed() < ROUND {
                let fact = Fact::OptOut(Box::new(optout(self.next)));
                self.store.submit(self.next, fact).expect("the queue has room");
                (self.next, outstanding) = (self.next + 1, outstanding + 1);
            }
            if outstanding == 0 {
                return stored;
            }
            let ack = self.acks.recv().expect("each is answered");
            outstanding -= 1;
            stored += u64::from(ack.result.is_ok());
        }
    }
}

/// An opt-out that makes three rows, as one of pgbench does.
fn optout(n: u64) -> OptOut {
    OptOut { lists: vec!["global".into()], ..sample::optout(n % 99_999_999) }
}

/// Transactions a second of pgbench.
fn pgbench(url: &str, script: &std::path::Path) -> Outcome<f64> {
    let mut command = Command::new("pgbench");
    command.args(["-n", "-M", "prepared", "-c", "48", "-j", "2", "-T"]);
    command.arg(ROUND.as_secs().to_string()).arg("-f").arg(script).arg(url);
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next());
    let told = String::from_utf8_lossy(&output.stderr);
    Ok(rate.ok_or_else(|| format!("pgbench: {told}"))?.parse()?)
}
