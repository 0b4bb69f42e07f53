//! SIPp as dialer and as carrier, with its own count of what passed.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use super::ports;
use super::process::Process;
use super::site::Site;

/// Debian's package of SIPp.
const PACKAGE: &str = "sip-tester";

/// The folder of the scenarios, which look for their media from there.
const SCENARIOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sipp");

/// One run of SIPp.
#[derive(Debug)]
pub(crate) struct Sipp {
    scenario: String,
    process: Process,
    files: PathBuf,
}

/// What a run of SIPp counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Calls that went as the scenario has it.
    pub(crate) passed: u64,
    /// Calls that did not.
    pub(crate) failed: u64,
    /// Messages that had to be sent again.
    pub(crate) repeated: u64,
    /// What SIPp said about failures, shortened.
    pub(crate) errors: String,
}

/// How many calls a dialer places, how fast, for which campaign.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load<'a> {
    /// The numbers called, one call each.
    pub(crate) numbers: &'a [String],
    /// Calls a second.
    pub(crate) rate: u32,
    /// The value of `X-Campaign-ID`.
    pub(crate) campaign: &'a str,
}

impl Sipp {
    /// Starts SIPp as a dialer that sends its calls to `site`.
    pub(crate) fn dialer(site: &Site, scenario: &str, load: Load<'_>) -> Self {
        let files = files(site, scenario);
        let mut csv = "SEQUENTIAL\n".to_owned();
        for number in load.numbers {
            writeln!(csv, "{number}").expect("a String takes every write");
        }
        std::fs::write(files.join("numbers.csv"), csv).expect("the numbers' file");
        let local = SocketAddr::new(site.sip.ip(), ports::udp().port());
        let mut command = sipp(site, &files, scenario, local);
        command.arg(site.sip.to_string()).args(["-r", &load.rate.to_string()]);
        command.args(["-m", &load.numbers.len().to_string(), "-key", "campaign", load.campaign]);
        command.arg("-inf").arg(files.join("numbers.csv"));
        Self::start(scenario, command, files)
    }

    /// Starts SIPp as the carrier of `site`, which ends after `calls`.
    pub(crate) fn carrier(site: &Site, scenario: &str, calls: usize) -> Self {
        let files = files(site, scenario);
        let mut command = sipp(site, &files, scenario, site.carrier);
        command.args(["-m", &calls.to_string()]);
        Self::start(scenario, command, files)
    }

    fn start(scenario: &str, mut command: Command, files: PathBuf) -> Self {
        let process = Process::start(&mut command, Some(PACKAGE));
        Self { scenario: scenario.to_owned(), process, files }
    }

    /// Waits for its end and returns what it counted.
    pub(crate) fn finish(mut self, patience: Duration) -> Count {
        if self.process.wait(patience).is_none() {
            let count = self.count();
            panic!("{}: did not end within {patience:?}: {count:?}", self.scenario);
        }
        self.count()
    }

    /// Ends it before its calls have come, and returns what it counted (SIGUSR1: take no more
    /// calls, end when there is none).
    pub(crate) fn dismiss(mut self) -> Count {
        self.process.signal("USR1");
        if self.process.wait(Duration::from_secs(10)).is_none() {
            self.process.kill();
        }
        self.count()
    }

    fn count(&self) -> Count {
        let table = std::fs::read_to_string(self.files.join("count.csv")).unwrap_or_default();
        let mut lines = table.lines();
        let names: Vec<&str> = lines.next().unwrap_or_default().split(';').collect();
        let last: Vec<&str> = lines.last().unwrap_or_default().split(';').collect();
        let value = |wanted| {
            let place = names.iter().position(|name| *name == wanted);
            let text = place.and_then(|place| last.get(place));
            text.and_then(|text| text.parse().ok()).unwrap_or_default()
        };
        let errors = std::fs::read_to_string(self.files.join("errors")).unwrap_or_default();
        Count {
            passed: value("SuccessfulCall(C)"),
            failed: value("FailedCall(C)"),
            repeated: value("Retransmissions(C)"),
            errors: errors.chars().take(2_000).collect(),
        }
    }
}

impl Count {
    /// Panics unless `calls` passed and none failed.
    pub(crate) fn expect_all(&self, what: &str, calls: usize) {
        let is_right = self.passed == calls as u64 && self.failed == 0;
        assert!(is_right, "{what}: of {calls} calls {self:?}");
    }
}

/// A fresh folder for one run's files.
fn files(site: &Site, scenario: &str) -> PathBuf {
    let runs = (0..).map(|run| site.folder().join(format!("{scenario}.{run}")));
    let folder = runs.into_iter().find(|folder| !folder.exists()).expect("numbers do not end");
    std::fs::create_dir(&folder).expect("a folder for SIPp's files");
    folder
}

fn sipp(site: &Site, files: &Path, scenario: &str, local: SocketAddr) -> Command {
    let media = site.peer_media();
    let mut command = Command::new("sipp");
    command.current_dir(SCENARIOS).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.args(["-sf", &format!("{scenario}.xml"), "-nostdin"]);
    let ip = local.ip().to_string();
    command.args(["-i", &ip, "-p", &local.port().to_string()]);
    command.args(["-mi", &ip, "-mp", &media.to_string()]);
    command.args(["-cp", &ports::udp().port().to_string()]);
    command.args(["-trace_stat", "-fd", "1", "-stf"]).arg(files.join("count.csv"));
    command.args(["-trace_err", "-error_file"]).arg(files.join("errors"));
    command
}
