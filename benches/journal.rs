//! What does a durable opt-out cost beside the bare sync that no durable store can do without?
//!
//! In one run, 16 of each by turns, so that all meet the same moods of the disk: a bare loop
//! that overwrites a preallocated file and calls fdatasync after each write of the same length
//! as a stored opt-out; the same where another thread writes and answers, as it must be where nobody
//! who is in a call may wait for a disk; and the store with one client that waits for each answer.
//! Then the store with 64 facts outstanding. Prints rates, median and 99th percentile of the latency, and the
//! ratios; only the ratios mean anything on a machine that others use too. `cargo bench --bench
//! journal [FOLDER]`, some 12 seconds; the folder (default: the working one) says which disk.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench reads clocks and prints"
)]

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use bajavoz::model::Number;
use bajavoz::model::UnixMicros;
use bajavoz::store::Settings;
use bajavoz::store::Store;
use bajavoz::suppression::Ack;
use bajavoz::suppression::Fact;
use bajavoz::suppression::FactLedger;
use bajavoz::suppression::KeyMethod;
use bajavoz::suppression::Leg;
use bajavoz::suppression::OptOut;
use bajavoz::suppression::Origin;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(2000);
const TURN: usize = 16;
/// Length of one batch with one opt-out as below, on disk.
const STORED_LEN: usize = 544;
const FILE_LEN: usize = 16 * 1024 * 1024;
const OUTSTANDING: usize = 64;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let folder = std::env::args().skip(1).find(|word| !word.starts_with("--"));
    let dir = tempfile::tempdir_in(folder.as_deref().unwrap_or("."))?;
    let file = preallocated(&dir.path().join("bare"))?;
    let clerk = Clerk::start(preallocated(&dir.path().join("handed"))?);
    let (acks, received) = channel();
    let clock = Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMicros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    });
    let settings = Settings::new(dir.path().join("store"), clock);
    let (store, _recovered) = Store::open(settings, move |ack| {
        // At the end nobody listens any more.
        let _ = acks.send(ack);
    })?;
    let mut number = 0;
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let (mut bare, mut handed, mut one) = (Vec::new(), Vec::new(), Vec::new());
        let begin = Instant::now();
        while begin.elapsed() < ROUND {
            bare_turn(&file, &mut bare)?;
            handed_turn(&clerk, &mut handed)?;
            client_turn(&store, &received, &mut number, &mut one)?;
        }
        let (bare, one) = (Measured::of(&mut bare), Measured::of(&mut one));
        let handed = Measured::of(&mut handed);
        let p99 = one.p99.as_secs_f64() / bare.p99.as_secs_f64();
        let p50 = one.p50.as_secs_f64() / bare.p50.as_secs_f64();
        let rate = one.rate / bare.rate;
        let to_handed = one.rate / handed.rate;
        println!(
            "round {round}: bare {bare}; handed to a thread {handed}; one client {one}; rate \
             {rate:.2}, p50 {p50:.2}, p99 {p99:.2}; rate to handed {to_handed:.2}"
        );
        ratios.push([rate, p50, p99, to_handed]);
    }
    let many = outstanding_round(&store, &received, &mut number)?;
    let counters = store.counters();
    store.close()?;
    println!(
        "{OUTSTANDING} outstanding: {many:.0} facts/s; in all {} facts in {} syncs",
        counters.facts, counters.commits
    );
    println!(
        "median of {ROUNDS} rounds, store ÷ bare: rate {:.2}, p50 {:.2}, p99 {:.2}; rate ÷ that of \
         a bare loop on another thread {:.2}",
        median(&ratios, 0),
        median(&ratios, 1),
        median(&ratios, 2),
        median(&ratios, 3)
    );
    Ok(())
}

struct Measured {
    rate: f64,
    p50: Duration,
    p99: Duration,
}

impl Measured {
    fn of(latencies: &mut [Duration]) -> Self {
        latencies.sort_unstable();
        let total: Duration = latencies.iter().sum();
        let at = |part: usize| latencies.get(latencies.len() * part / 100).copied();
        Self {
            rate: latencies.len() as f64 / total.as_secs_f64(),
            p50: at(50).unwrap_or_default(),
            p99: at(99).unwrap_or_default(),
        }
    }
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (p50, p99) = (self.p50.as_micros(), self.p99.as_micros());
        write!(f, "{:.0}/s (p50 {p50} us, p99 {p99} us)", self.rate)
    }
}

fn median(ratios: &[[f64; 4]], part: usize) -> f64 {
    let mut parts: Vec<f64> = ratios.iter().map(|round| round[part]).collect();
    parts.sort_unstable_by(f64::total_cmp);
    parts.get(parts.len() / 2).copied().unwrap_or_default()
}

fn preallocated(path: &Path) -> Outcome<File> {
    let mut file = File::create(path)?;
    file.write_all(&vec![0; FILE_LEN])?;
    file.sync_all()?;
    Ok(file)
}

fn bare_turn(file: &File, latencies: &mut Vec<Duration>) -> Outcome<()> {
    let record = [0x5a; STORED_LEN];
    for _ in 0..TURN {
        let at = latencies.len() * STORED_LEN % (FILE_LEN - STORED_LEN);
        let start = Instant::now();
        file.write_all_at(&record, at as u64)?;
        file.sync_data()?;
        latencies.push(start.elapsed());
    }
    Ok(())
}

/// Somebody else who writes and syncs, and answers; it ends when nobody asks any more.
struct Clerk {
    orders: Sender<u64>,
    done: Receiver<std::io::Result<()>>,
}

impl Clerk {
    fn start(file: File) -> Self {
        let (orders, asked) = channel();
        let (answers, done) = channel();
        std::thread::spawn(move || {
            let record = [0x5a; STORED_LEN];
            for at in asked {
                let written = file.write_all_at(&record, at).and_then(|()| file.sync_data());
                if answers.send(written).is_err() {
                    return;
                }
            }
        });
        Self { orders, done }
    }
}

fn handed_turn(clerk: &Clerk, latencies: &mut Vec<Duration>) -> Outcome<()> {
    for _ in 0..TURN {
        let at = latencies.len() * STORED_LEN % (FILE_LEN - STORED_LEN);
        let start = Instant::now();
        clerk.orders.send(at as u64)?;
        clerk.done.recv()??;
        latencies.push(start.elapsed());
    }
    Ok(())
}

fn client_turn(
    store: &Store,
    received: &Receiver<Ack>,
    number: &mut u64,
    latencies: &mut Vec<Duration>,
) -> Outcome<()> {
    for _ in 0..TURN {
        let fact = fact(number);
        let start = Instant::now();
        store.submit(0, fact)?;
        received.recv()?.result?;
        latencies.push(start.elapsed());
    }
    Ok(())
}

fn outstanding_round(store: &Store, received: &Receiver<Ack>, number: &mut u64) -> Outcome<f64> {
    for _ in 0..OUTSTANDING {
        store.submit(0, fact(number))?;
    }
    let begin = Instant::now();
    let mut done = 0;
    while begin.elapsed() < ROUND {
        received.recv()?.result?;
        store.submit(0, fact(number))?;
        done += 1;
    }
    for _ in 0..OUTSTANDING {
        received.recv()?.result?;
    }
    Ok(f64::from(done) / begin.elapsed().as_secs_f64())
}

/// An opt-out with everything a call would put into it, of a number never seen before.
fn fact(number: &mut u64) -> Fact {
    *number += 1;
    Fact::OptOut(Box::new(OptOut {
        account: Some("acme".into()),
        campaign: Some("spring".into()),
        dialer: Some("vicidial".into()),
        trunk: Some("carrier-a".into()),
        method: Some(KeyMethod::Event),
        sip_call_id: Some("0123456789abcdef0123456789abcdef@192.0.2.1".to_owned()),
        leg: Some(Leg::B),
        ..OptOut::new(
            Number::from_e164_digits(34_600_000_000 + *number).expect("eleven digits are E.164"),
            vec!["global".into()],
            Origin::DialledCode,
            "madrid-1".into(),
            UnixMicros(1_795_293_016_000_000),
        )
    }))
}
