//! Three engines on one PostgreSQL, while everything between and under them fails.
//!
//! Opt-outs are entered at all of them at once; meanwhile engines are killed, the server restarts,
//! and the way to it stalls, is cut, or swallows what it is given. A dialer calls numbers through
//! each of them, and a carrier behind each notes for whom an INVITE came, and when. In the end every
//! engine knows what is on record, everything that was promised is, nothing is twice, no INVITE
//! came for a number that its engine could have known, and none at all from an engine that had been
//! without the server for longer than it may.
//!
//! `BAJAVOZ_NODES_OPTOUTS=100000` enters more than the gate, `BAJAVOZ_NODES_SEED=7` makes things
//! fail in the same order again.

use std::collections::HashMap;
use std::collections::HashSet;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use bajavoz::cli::phones::Script;
use bajavoz::net::clock;
use tokio::net::UdpSocket;

use crate::cluster::Cluster;
use crate::cluster::OWNER;
use crate::cluster::TestDatabase;
use crate::harness::dice::Dice;
use crate::harness::machine;
use crate::harness::number_from;
use crate::harness::phones;
use crate::harness::phones::CALL_MAX;
use crate::harness::phones::Call;
use crate::harness::phones::Phones;
use crate::harness::site::Engine;
use crate::harness::site::Site;
use crate::harness::wait_for;
use crate::harness::wait_up_to;
use crate::proxy::Proxy;

/// Engines.
const NODES: usize = 3;

/// Opt-outs in the gate.
const OPTOUTS: u64 = 600;

/// Connections that enter opt-outs, at each engine.
const CLERKS: usize = 4;

/// `store.stale-after`: for so long an engine may call by what it knew.
const STALE_AFTER: Duration = Duration::from_secs(2);

/// What an INVITE and a clerk's answer may be late on a busy machine.
const SLACK: Duration = Duration::from_secs(1);

/// How long every engine may take to be up to date once nothing fails any more.
const CONVERGE_MAX: Duration = Duration::from_secs(120);

/// Of these so many calls are placed at once.
const CALLS_AT_ONCE: usize = 25;

/// Numbers of which each engine is asked in the end, at most: all of the gate.
const ASKED_MAX: usize = OPTOUTS as usize;

/// What all threads of the test know.
struct Story {
    /// The next number that is entered.
    next: AtomicU64,
    /// Entered and answered: where and when.
    promised: Mutex<HashMap<String, Promise>>,
    /// When an engine's way to the server was shut.
    outages: Mutex<Vec<Outage>>,
    /// Calls placed.
    calls: AtomicU64,
    is_over: AtomicBool,
}

/// A time in which an engine heard nothing of the server.
#[derive(Clone, Copy, Debug)]
struct Outage {
    at: usize,
    from: Instant,
    to: Instant,
}

#[derive(Clone, Copy)]
struct Promise {
    /// The engine that made it.
    by: usize,
    at: Instant,
    /// Whether only that engine could know of it: the server did not have it yet.
    is_pending: bool,
}

impl Story {
    /// Notes that the engines `shut` hear nothing of the server while `wait` lasts.
    fn outage(&self, shut: impl IntoIterator<Item = usize>, wait: impl FnOnce()) {
        let from = clock::now();
        wait();
        let to = clock::now();
        let mut outages = self.outages.lock().expect("no thread panics here");
        outages.extend(shut.into_iter().map(|at| Outage { at, from, to }));
    }

    fn promise_of(&self, number: &str) -> Option<Promise> {
        self.promised.lock().expect("no thread panics here").get(number).copied()
    }
}

/// The number that is entered as the `n`th.
fn number(n: u64) -> String {
    format!("+346{n:08}")
}

/// An engine, what is between it and the server, and the carrier behind it.
struct Node {
    site: Site,
    proxy: Proxy,
    engine: Option<Engine>,
    /// For whom an INVITE came, and when.
    invited: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Node {
    fn new(at: usize, cluster: &Cluster, database: &TestDatabase) -> Self {
        let (site, proxy) = (Site::new(), Proxy::before(cluster.port()));
        let url = database.url_of(OWNER, proxy.port());
        std::fs::write(site.config().join("url"), url).expect("the folder is ours");
        let stale_s = STALE_AFTER.as_secs();
        site.rewrite(
            "path = \"../data\"\n",
            &format!(
                "path = \"../data\"\ndatabase = \"postgres\"\nurl = {{ file = \"url\" }}\n\
             stale-after = \"{stale_s}s\"\n"
            ),
        );
        site.rewrite("name = \"test\"\n", &format!("name = \"node-{at}\"\n"));
        let invited = Arc::new(Mutex::new(Vec::new()));
        let (address, notes) = (site.carrier, Arc::clone(&invited));
        std::thread::spawn(move || phones::runtime().block_on(carry(address, &notes)));
        Self { site, proxy, engine: None, invited }
    }

    fn start(&mut self) {
        self.engine = Some(self.site.start_unready());
    }
}

/// A carrier that is always busy; it notes for whom it was asked.
async fn carry(address: SocketAddr, notes: &Mutex<Vec<(String, Instant)>>) {
    let socket = UdpSocket::bind(address).await.expect("the carrier's port is free");
    let mut datagram = [0; 4_096];
    while let Ok((len, from)) = socket.recv_from(&mut datagram).await {
        let now = clock::now();
        let text = String::from_utf8_lossy(&datagram[..len]);
        let Some(rest) = text.strip_prefix("INVITE sip:") else { continue };
        let user = rest.split('@').next().unwrap_or_default();
        notes.lock().expect("nobody panics here").push((user.to_owned(), now));
        let busy = phones::answer_to(&text, "486 Busy Here");
        // What cannot be sent is lost, as on any network.
        let _ = socket.send_to(busy.as_bytes(), from).await;
    }
}

/// Enters numbers at an engine, one after the other, until `count` are entered by all; whoever
/// got no answer does not know, and asks for another number.
fn enter(story: &Story, at: usize, store: &Path, count: u64) {
    let path = store.join("admin.sock");
    while story.next.load(Ordering::Relaxed) < count {
        let Ok(stream) = UnixStream::connect(&path) else {
            std::thread::park_timeout(Duration::from_millis(50));
            continue;
        };
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket of ours");
        let mut answers = BufReader::new(&stream);
        loop {
            let n = story.next.fetch_add(1, Ordering::Relaxed);
            if n >= count {
                return;
            }
            let number = number(n);
            let request =
                format!("{{\"add\":{{\"number\":\"{number}\",\"lists\":[\"comercial\"]}}}}\n");
            let mut answer = String::new();
            let asked = (&stream).write_all(request.as_bytes());
            if asked.and_then(|()| answers.read_line(&mut answer)).is_err() || answer.is_empty() {
                break;
            }
            if answer.starts_with("{\"added\"") {
                let is_pending = answer.contains("\"is_pending\":true");
                let promise = Promise { by: at, at: clock::now(), is_pending };
                story.promised.lock().expect("nobody panics here").insert(number, promise);
            }
        }
    }
}

/// Calls numbers that were or will be entered, through every engine, until the story is over.
fn dial(story: &Story, nodes: &[SocketAddr], count: u64, seed: u64) {
    let mut dice = Dice::new(seed);
    phones::runtime().block_on(async {
        while !story.is_over.load(Ordering::Relaxed) {
            let mut phones = Phones::new();
            for engine in nodes {
                for _ in 0..4 {
                    // About as many that were entered as are to be.
                    let entered = story.next.load(Ordering::Relaxed).min(count - 1);
                    let n = dice.roll((2 * entered + 2).min(count));
                    let script = Script { cancel_after: Some(SLACK * 5), ..Script::default() };
                    let call = Call::new(&number(n), "survey", script);
                    phones.place(*engine, call, Duration::from_millis(dice.roll(200)));
                    story.calls.fetch_add(1, Ordering::Relaxed);
                }
            }
            phones.finish().await;
        }
    });
}

/// Has one thing fail for a while.
fn fail(dice: &mut Dice, nodes: &mut [Node], cluster: &mut Cluster, story: &Story) -> &'static str {
    let at = usize::try_from(dice.roll(NODES as u64)).expect("a node");
    let pause = |dice: &mut Dice, most: Duration| {
        std::thread::park_timeout(Duration::from_millis(200 + dice.roll(most.as_millis() as u64)));
    };
    let longer = STALE_AFTER * 2;
    match dice.roll(5) {
        0 => {
            if let Some(engine) = nodes[at].engine.take() {
                engine.kill();
            }
            pause(dice, STALE_AFTER);
            nodes[at].start();
            "killed an engine"
        }
        1 => {
            cluster.stop();
            story.outage(0..NODES, || pause(dice, longer));
            cluster.start_again();
            "restarted the server"
        }
        2 => {
            nodes[at].proxy.cut();
            pause(dice, STALE_AFTER);
            "cut connections"
        }
        way => {
            let is_lost = way == 4;
            nodes[at].proxy.silence(true);
            story.outage([at], || pause(dice, longer));
            if is_lost {
                // What was taken and not handed on is gone with its connections.
                nodes[at].proxy.cut();
            }
            nodes[at].proxy.silence(false);
            if is_lost { "swallowed" } else { "stalled" }
        }
    }
}

/// Shuts every engine's way to the server for longer than any may call by what it knew.
fn shut_all(nodes: &[Node], story: &Story, again: &str) {
    nodes.iter().for_each(|node| node.proxy.silence(true));
    story.outage(0..NODES, || {
        std::thread::park_timeout(STALE_AFTER + SLACK);
        let before = story.calls.load(Ordering::Relaxed);
        // Two rounds of calls and what is left of one before.
        wait_for(&format!("{again}: calls are placed all the while"), CALL_MAX * 4, || {
            (story.calls.load(Ordering::Relaxed) > before + NODES as u64 * 8).then_some(())
        });
    });
    nodes.iter().for_each(|node| node.proxy.silence(false));
}

#[test]
fn three_engines_on_one_database_agree_whatever_fails_between_them() {
    let _machine = machine();
    let count = number_from("BAJAVOZ_NODES_OPTOUTS").unwrap_or(OPTOUTS);
    let seed = number_from("BAJAVOZ_NODES_SEED").unwrap_or_else(|| std::process::id().into());
    let again = format!("BAJAVOZ_NODES_SEED={seed} BAJAVOZ_NODES_OPTOUTS={count}");
    let mut cluster = Cluster::start();
    let database = cluster.database();
    let mut nodes: Vec<Node> = (0..NODES).map(|at| Node::new(at, &cluster, &database)).collect();
    nodes.iter_mut().for_each(Node::start);
    wait_ready(&nodes);
    let story = Story {
        next: AtomicU64::new(0),
        promised: Mutex::default(),
        outages: Mutex::default(),
        calls: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
    };
    let places: Vec<_> = nodes.iter().map(|node| node.site.sip).collect();
    let stores: Vec<_> = nodes.iter().map(|node| node.site.store()).collect();
    let mut dice = Dice::new(seed);
    let mut failures: HashMap<&str, u64> = HashMap::new();
    std::thread::scope(|scope| {
        let story = &story;
        for (at, store) in stores.iter().enumerate() {
            for _ in 0..CLERKS {
                scope.spawn(move || enter(story, at, store, count));
            }
        }
        let dialer = scope.spawn(|| dial(story, &places, count, seed));
        while story.next.load(Ordering::Relaxed) < count {
            let what = fail(&mut dice, &mut nodes, &mut cluster, story);
            *failures.entry(what).or_default() += 1;
        }
        shut_all(&nodes, story, &again);
        // Some more calls for numbers that all are entered.
        std::thread::park_timeout(STALE_AFTER);
        story.is_over.store(true, Ordering::Relaxed);
        dialer.join().expect("the dialer ends");
    });
    wait_ready(&nodes);
    let known = converge(&nodes, &database, &again);
    let promised = story.promised.lock().expect("its threads are over").clone();
    let on_record: HashSet<String> = database
        .psql("SELECT number FROM optout")
        .lines()
        .map(|digits| format!("+{digits}"))
        .collect();
    let lost: Vec<_> = promised.keys().filter(|number| !on_record.contains(*number)).collect();
    assert!(lost.is_empty(), "{again}: promised, and not on record: {lost:?}");
    let rows: u64 = database.psql("SELECT COUNT(*) FROM optout").parse().expect("a number");
    assert_eq!((rows, known), (on_record.len() as u64, on_record.len() as u64), "{again}: doubled");
    let entered: HashSet<String> = (0..count).map(number).collect();
    assert!(on_record.is_subset(&entered), "{again}: on record, and never entered");
    let invites = no_invite_came_too_late(&nodes, &story, &again);
    no_invite_of_a_blind_engine(&nodes, &story, &again);
    refused_everywhere(&nodes, &on_record, &again);
    let told = format!(
        "{again}: {} promised, {rows} on record, {invites} INVITEs at the carriers, {failures:?}\n",
        promised.len()
    );
    io::stderr().write_all(told.as_bytes()).expect("standard error takes text");
    assert!(promised.len() as u64 > count / 2 && invites > 0, "too few to prove anything: {told}");
}

fn wait_ready(nodes: &[Node]) {
    for node in nodes {
        wait_for("an engine has caught up", CONVERGE_MAX, || {
            (node.site.ready()?.0 == 200).then_some(())
        });
    }
}

/// Waits until every engine knows as many numbers as are on record; how many.
fn converge(nodes: &[Node], database: &TestDatabase, again: &str) -> u64 {
    let mut told = String::new();
    let sql = "SELECT COUNT(DISTINCT number) FROM suppressed";
    let agreed = wait_up_to(CONVERGE_MAX, || {
        let on_record: u64 = database.psql(sql).parse().expect("a number");
        let known: Vec<u64> =
            nodes.iter().map(|node| node.site.status().standing.numbers as u64).collect();
        told = format!("{known:?} of {on_record}");
        known.iter().all(|known| *known == on_record).then_some(on_record)
    });
    agreed.unwrap_or_else(|| panic!("{again}: the engines do not agree: {told}"))
}

/// Nobody is dialled by an engine whose way to the server has been shut for longer than it may call
/// by what it knew, whoever it is.
fn no_invite_of_a_blind_engine(nodes: &[Node], story: &Story, again: &str) {
    for outage in story.outages.lock().expect("its threads are over").iter() {
        let Outage { at, from, to } = *outage;
        let blind_from = from + STALE_AFTER + SLACK;
        let invited = nodes[at].invited.lock().expect("the carrier does not panic");
        let blind = invited.iter().find(|(_number, at)| (blind_from..to).contains(at));
        assert!(blind.is_none(), "{again}: node {at} dialled {blind:?} in {outage:?}");
    }
}

/// The engine that made a promise dials that number no more, and the others not after they must
/// have heard of it or refused everything; how many INVITEs there were.
fn no_invite_came_too_late(nodes: &[Node], story: &Story, again: &str) -> usize {
    let mut count = 0;
    for (at, node) in nodes.iter().enumerate() {
        let invited = node.invited.lock().expect("the carrier does not panic").clone();
        count += invited.len();
        for (number, came_at) in invited {
            let Some(promise) = story.promise_of(&number) else { continue };
            let by = promise.by;
            if by != at && promise.is_pending {
                continue; // What the server did not have, another engine could not know.
            }
            let bound = if by == at { SLACK } else { STALE_AFTER + SLACK };
            let late = came_at.saturating_duration_since(promise.at);
            assert!(late <= bound, "{again}: node {at} dialled {late:?} after node {by} promised");
        }
    }
    count
}

/// Every engine refuses the numbers on record, each by itself: with as many in its index as there
/// are, it knows these and no others.
fn refused_everywhere(nodes: &[Node], on_record: &HashSet<String>, again: &str) {
    // In no order, so that the first are as good as any.
    let numbers: Vec<&String> = on_record.iter().take(ASKED_MAX).collect();
    for (at, node) in nodes.iter().enumerate() {
        for some in numbers.chunks(CALLS_AT_ONCE) {
            let reports = phones::runtime().block_on(async {
                let mut phones = Phones::new();
                for number in some {
                    let call = Call::new(number, "survey", Script::default());
                    phones.place(node.site.sip, call, Duration::ZERO);
                }
                phones.finish().await
            });
            for (number, report) in reports {
                let status = report.status;
                assert_eq!(status, Some(603), "{again}: {number} is not known to node {at}");
            }
        }
    }
}
