//! A place where an engine runs: configuration, store, ports; and what it answers.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitStatus;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bajavoz::engine::admin::Report;
use bajavoz::record::Cdr;
use bajavoz::suppression::export::Entry;
use tempfile::TempDir;

use super::ports;
use super::process;
use super::process::Process;
use super::wait_for;

/// How long an engine may take to open its store and its sockets.
const START_MAX: Duration = Duration::from_secs(30);

/// How long a running engine may take to end once nobody talks.
const END_MAX: Duration = Duration::from_secs(30);

/// Ports of the engine's media: four for each of 500 calls at once.
const MEDIA_PORTS: u16 = 2_000;

/// Ports that peers name for their media: those of SIPp, and room for the firsts of some.
const PEER_PORTS: u16 = 10_100;

/// Configuration, store and ports of one engine.
#[derive(Debug)]
pub(crate) struct Site {
    folder: TempDir,
    /// Where the engine receives SIP.
    pub(crate) sip: SocketAddr,
    /// Where its trunk leads.
    pub(crate) carrier: SocketAddr,
    /// Health and metrics.
    pub(crate) http: SocketAddr,
    /// The first of its [`MEDIA_PORTS`] media ports.
    pub(crate) media: u16,
    /// The first of the [`PEER_PORTS`] media ports of its peers.
    peers: u16,
    /// How many peers were given ports.
    peers_known: AtomicU16,
}

/// What differs from one site to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wishes {
    /// The loopback address at which engine and carrier speak SIP.
    pub(crate) ip: IpAddr,
    /// `telemetry.log`.
    pub(crate) log: &'static str,
    /// `telemetry.filter`.
    pub(crate) filter: &'static str,
    /// The network whose calls are taken.
    pub(crate) allow: &'static str,
    /// The greeting's prompts, as in TOML.
    pub(crate) greeting: &'static str,
    /// `limits.calls-max`; four media ports are there for each.
    pub(crate) calls_max: u16,
    /// Whether the prompt for an opt-out that could not be kept is silence.
    pub(crate) is_failure_silent: bool,
}

impl Default for Wishes {
    fn default() -> Self {
        let (log, filter, allow) = ("json", "info", "127.0.0.1/32");
        let ip = Ipv4Addr::LOCALHOST.into();
        let greeting = "[\"welcome\"]";
        let calls_max = MEDIA_PORTS / 4;
        Self { ip, log, filter, allow, greeting, calls_max, is_failure_silent: false }
    }
}

impl Site {
    /// A site like most.
    pub(crate) fn new() -> Self {
        Self::with(Wishes::default())
    }

    /// A site by wishes.
    pub(crate) fn with(wishes: Wishes) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let (mut sip, mut carrier, http) = (ports::udp(), ports::udp(), ports::tcp());
        sip.set_ip(wishes.ip);
        carrier.set_ip(wishes.ip);
        let (peers, media) = (ports::block(PEER_PORTS), ports::block(MEDIA_PORTS));
        let peers_known = AtomicU16::new(0);
        let site = Self { folder, sip, carrier, http, media, peers, peers_known };
        write_prompts(&site.folder().join("audio/en")).expect("the prompts");
        std::fs::create_dir(site.config()).expect("the folder of the configuration");
        std::fs::write(site.config().join("bajavoz.toml"), site.text(&wishes))
            .expect("the configuration");
        site
    }

    /// Where a peer of the engine counts its media ports from.
    ///
    /// SIPp names four ports for each call, 10,000 in all, and binds the first two even ones. The
    /// ports of several peers may overlap, but must be none of the engine's.
    pub(crate) fn peer_media(&self) -> u16 {
        self.peers + 4 * self.peers_known.fetch_add(1, Ordering::Relaxed)
    }

    /// The ports that peers use for their media.
    pub(crate) fn peers(&self) -> Range<u16> {
        self.peers..self.peers + PEER_PORTS
    }

    /// The folder of it all.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// The folder of the store.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Everything that engines of this site have logged.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Puts other words in the configuration, which has the old ones once.
    pub(crate) fn rewrite(&self, old: &str, new: &str) {
        let path = self.config().join("bajavoz.toml");
        let text = std::fs::read_to_string(&path).expect("the configuration");
        assert_eq!(text.matches(old).count(), 1, "{old}");
        std::fs::write(path, text.replace(old, new)).expect("the folder is ours");
    }

    /// Starts the engine and waits for nothing.
    pub(crate) fn start_unready(&self) -> Engine {
        Engine { process: self.spawn(&mut self.program(&["run"])) }
    }

    /// Starts the engine and waits until it takes calls.
    pub(crate) fn start(&self) -> Engine {
        let mut command = self.program(&["run"]);
        self.start_by(&mut command)
    }

    /// Starts the engine by a command that ends up being it, and waits until it takes calls.
    pub(crate) fn start_by(&self, command: &mut Command) -> Engine {
        let mut process = self.spawn(command);
        wait_for("the engine takes calls", START_MAX, || {
            assert!(process.is_alive(), "the engine ended at its start:\n{}", self.log());
            (self.ready()?.0 == 200).then_some(())
        });
        Engine { process }
    }

    fn spawn(&self, command: &mut Command) -> Process {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log"));
        let log = log.expect("the log's file");
        let errors = log.try_clone().expect("the log's file");
        Process::start(command.stdout(log).stderr(errors), None)
    }

    /// The program with `arguments`, at this site.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bajavoz"));
        command.args(arguments).arg("--config").arg(self.config());
        command
    }

    /// Every opt-out on record, by `bajavoz optout export`.
    pub(crate) fn export(&self) -> Vec<Entry> {
        let lines =
            process::output(&mut self.program(&["optout", "export", "--format", "jsonl"]), None);
        let entry = |line| serde_json::from_str(line).expect("a line of the export is an entry");
        lines.lines().map(entry).collect()
    }

    /// How the engine stands, by `bajavoz status`.
    pub(crate) fn status(&self) -> Report {
        let text = process::output(&mut self.program(&["status", "--json"]), None);
        serde_json::from_str(&text).expect("the status is a report")
    }

    /// Waits until no call and no media port is left.
    pub(crate) fn wait_until_idle(&self) {
        wait_for("the last call is over and its ports are free", END_MAX, || {
            let status = self.status().status;
            (status.calls == 0 && status.ports_in_use == 0).then_some(())
        });
    }

    /// Every call record, read from the database of an engine that has ended.
    pub(crate) fn calls(&self) -> Vec<Cdr> {
        let archive = bajavoz::store::Archive::open_exclusive(&self.store());
        let reader = archive.expect("nobody holds the store").0.reader().expect("a reader");
        let mut calls = Vec::new();
        let read = reader.calls(&Default::default(), |call| {
            calls.push(call);
            ControlFlow::Continue(())
        });
        read.expect("the call records are readable");
        calls
    }

    /// Status and body of `/health/ready`; nothing while nobody listens.
    pub(crate) fn ready(&self) -> Option<(u16, String)> {
        self.get("/health/ready")
    }

    /// The value of a metric, written as on the page with its labels.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let (_, page) = self.get("/metrics")?;
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        value.parse().ok()
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.http).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let head = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some((status, body.to_owned()))
    }

    fn text(&self, wishes: &Wishes) -> String {
        let Self { sip, carrier, http, media, .. } = self;
        let Wishes { log, filter, allow, greeting, calls_max, is_failure_silent, .. } = wishes;
        let last = media + 4 * calls_max - 1;
        let failed = if *is_failure_silent { "silence" } else { "optout-failed" };
        format!(
            r#"
[node]
name = "test"
default-region = "ES"
language = "en"
[listen.main]
bind = "{sip}"
[trunks.carrier]
host = "{carrier}"
max-channels = 1000
codecs = ["PCMU"]
[dialers.dialer]
allow = ["{allow}"]
max-channels = 2000
[lists.comercial]
title = "Commercial calls"
scope = "account"
[media]
ports = "{media}-{last}"
[prompts]
dir = "../audio"
[store]
path = "../data"
[http]
bind = "{http}"
[telemetry]
log = "{log}"
filter = "{filter}"
[limits]
calls-max = {calls_max}
[campaigns.promo]
account = "acme"
mode = "ivr"
[campaigns.promo.match]
header."X-Campaign-ID" = ["promo"]
from-user = ["phone"]
[campaigns.promo.greeting]
play = {greeting}
[campaigns.promo.codes."9"]
add-to = ["comercial"]
prompts.failed = "{failed}"
[campaigns.survey]
account = "acme"
mode = "bridge"
route = ["carrier"]
[campaigns.survey.match]
header."X-Campaign-ID" = ["survey"]
[campaigns.survey.codes."9"]
add-to = ["comercial"]
"#
        )
    }
}

/// The prompts of the repository, and 200 ms of silence.
fn write_prompts(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for prompt in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/audio/en"))? {
        let prompt = prompt?;
        std::fs::copy(prompt.path(), folder.join(prompt.file_name()))?;
    }
    let (sample_rate, sample_format) = (8_000, hound::SampleFormat::Int);
    let spec = hound::WavSpec { channels: 1, sample_rate, bits_per_sample: 16, sample_format };
    let wav = hound::WavWriter::create(folder.join("silence.wav"), spec);
    let mut wav = wav.map_err(io::Error::other)?;
    (0..1_600).try_for_each(|_| wav.write_sample(0i16)).map_err(io::Error::other)?;
    wav.finalize().map_err(io::Error::other)
}

/// A running engine; it is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Engine {
    process: Process,
}

impl Engine {
    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills it as a power cut would (SIGKILL).
    pub(crate) fn kill(mut self) {
        self.process.kill();
    }

    /// Ends it as an operator would (SIGTERM), and waits for its end.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.process.terminate();
        self.process.wait(END_MAX * 2).expect("an engine told to end ends")
    }
}
