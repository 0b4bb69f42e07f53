//! How soon does one node refuse what another has made durable, over one PostgreSQL?
//!
//! Three stores on a server of its own: an opt-out is submitted on the first, and from its answer
//! (server and journal have it) the time is taken until the indexes of both others refuse the
//! number; one after the other, as a histogram. Server and nodes share this machine, so that the
//! order counts and not the last digit. `cargo bench --bench feed`, a minute; needs Debian's
//! `postgresql`.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench reads clocks and prints"
)]

#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../src/store/tests/cluster.rs"]
mod cluster;
#[path = "../src/store/tests/sample.rs"]
mod sample;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;
use std::time::Instant;

use bajavoz::model;
use bajavoz::net::clock;
use bajavoz::store::AckPolicy;
use bajavoz::store::Following;
use bajavoz::store::Settings;
use bajavoz::store::Store;
use bajavoz::store::Target;
use bajavoz::store::postgres;
use bajavoz::suppression;
use bajavoz::suppression::Ack;
use bajavoz::suppression::Fact;
use bajavoz::suppression::FactLedger;
use bajavoz::suppression::Index;
use bajavoz::suppression::OptOut;
use cluster::Cluster;
use cluster::TestDatabase;
use sample::number;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Opt-outs of which the way to other nodes is timed.
const TIMED: usize = 5_000;

fn main() -> Outcome<()> {
    let cluster = Cluster::start();
    let mut times = time(&cluster.database())?;
    times.sort_unstable();
    tell(&times);
    Ok(())
}

/// A store of its own folder on `database`, and its answers.
struct Node {
    _folder: tempfile::TempDir,
    store: Store,
    acks: std::sync::mpsc::Receiver<Ack>,
}

impl Node {
    fn open(database: &TestDatabase, index: Option<Arc<Index>>) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let (acks, received) = channel();
        let following = index.map(|index| Following {
            index,
            now: Arc::new(clock::now),
            stale_after: Duration::from_secs(5),
            on_number: Arc::new(|_number| {}),
            node: "bench".into(),
        });
        let server = postgres::Settings::new(&database.url(), None)?;
        let settings = Settings {
            target: Target::Postgres(Box::new(server)),
            ack: AckPolicy::Both,
            following,
            ..Settings::new(folder.path(), Arc::new(clock::unix_now))
        };
        let (store, _recovered) = Store::open(settings, move |ack| {
            // Whoever is over listens no more.
            let _ = acks.send(ack);
        })?;
        Ok(Self { _folder: folder, store, acks: received })
    }
}

/// The time from each answer on one node to the refusal on two others.
fn time(database: &TestDatabase) -> Outcome<Vec<Duration>> {
    let writer = Node::open(database, None)?;
    let indexes: Vec<Arc<Index>> = (0..2).map(|_| Arc::new(Index::default())).collect();
    let followers = indexes
        .iter()
        .map(|index| Node::open(database, Some(Arc::clone(index))))
        .collect::<Outcome<Vec<_>>>()?;
    let lists = indexes
        .iter()
        .map(|index| index.mask([&"global".into()]))
        .collect::<Result<Vec<_>, _>>()?;
    while indexes.iter().any(|index| index.is_stale(clock::now())) {
        std::thread::yield_now();
    }
    let mut times = Vec::with_capacity(TIMED);
    for n in 0..TIMED as u64 {
        let optout = OptOut { lists: vec!["global".into()], ..sample::optout(n) };
        writer.store.submit(n, Fact::OptOut(Box::new(optout)))?;
        writer.acks.recv()?.result?;
        let answered = Instant::now();
        for (index, lists) in indexes.iter().zip(&lists) {
            let refuses =
                || index.check(number(n), *lists, &"acme".into(), &"spring".into()).is_some();
            while !refuses() {
                std::thread::sleep(Duration::from_micros(20));
            }
        }
        times.push(answered.elapsed());
    }
    drop(followers);
    Ok(times)
}

fn tell(times: &[Duration]) {
    println!("from the answer on one node to the refusal on both others, {} times:", times.len());
    let limits_ms = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 250.0, 1000.0];
    let mut below = 0;
    for limit in limits_ms {
        let up_to = times.partition_point(|time| time.as_secs_f64() * 1e3 <= limit);
        println!("  up to {limit:>7} ms {:>6}", up_to - below);
        below = up_to;
    }
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("  longer           {:>6}", times.len() - below);
    println!(
        "  p50 {:.2?}, p99 {:.2?}, p99.9 {:.2?}, max {:.2?}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}
