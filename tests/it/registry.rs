//! A national registry: imported beside calls, refused from the next start on, in bounded memory.
//!
//! The numbers are made up: every area code of the North American plan that is in use, each with
//! lines from a walk over all lines that meets none twice, and in no order. The dialer asks for
//! somebody who opted out, all the while, and each time gets its answer.
//!
//! `BAJAVOZ_REGISTRY_NUMBERS=250000000` makes it the size of the United States' registry: 3 GB of
//! file, and a release build unless you have hours.

use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bajavoz::cli::phones::Script;
use bajavoz::model::number::NumberReader;
use bajavoz::net::clock;

use crate::harness::machine;
use crate::harness::number_from;
use crate::harness::phones;
use crate::harness::phones::Call;
use crate::harness::process::Process;
use crate::harness::sipp::Load;
use crate::harness::sipp::Sipp;
use crate::harness::site::Site;

/// Numbers in the gate.
const NUMBERS: u64 = 100_000;

/// Lines of an area: exchanges from 200 to 999.
const LINES: u64 = 8_000_000;

/// A walk by this many lines meets each of them once: it is a prime, and larger than their number's
/// prime factors.
const STEP: u64 = 1_000_000_007;

/// Calls a second while the file is imported.
const RATE: u32 = 500;

/// Calls of one run of SIPp in the gate: two seconds.
const CALLS: usize = 1_000;

/// Calls of one run of SIPp beside a long import: ten seconds, so that its own starts count little.
const MANY_CALLS: usize = 5_000;

/// From so many numbers on the targets in time are held, in a release build.
const LARGE: u64 = 100_000_000;

/// How soon after its start the engine refuses the registry's numbers.
const RESTART_MAX: Duration = Duration::from_secs(1);

/// Whoever is not on the list answers and hangs up.
const HANG_UP_AFTER: Duration = Duration::from_millis(100);

/// What the engine and the import may take together at any time, in KiB.
const MEMORY_MAX_KIB: u64 = 4 << 20;

/// How long an import may take: an hour is for a debug build of the full size.
const IMPORT_MAX: Duration = Duration::from_secs(3_600);

/// Made-up numbers of North America.
struct Registry {
    areas: Vec<u64>,
}

impl Registry {
    fn new() -> Self {
        let reader = NumberReader::new("US").expect("a region");
        let is_used = |area: &u64| reader.read(&format!("+1{area}2345678")).is_ok();
        let areas: Vec<u64> = (200..1_000).filter(is_used).collect();
        assert!(areas.len() > 300, "{} area codes", areas.len());
        Self { areas }
    }

    /// The `at`th number of the walk, without its plus.
    fn number(&self, at: u64) -> u64 {
        let lines = self.areas.len() as u64 * LINES;
        let line = u64::try_from(u128::from(at) * u128::from(STEP) % u128::from(lines));
        let line = line.expect("it is below the number of lines");
        let area = self.areas[usize::try_from(line / LINES).expect("it is below their number")];
        10_000_000_000 + area * 10_000_000 + 2_000_000 + line % LINES
    }

    /// The registry's full list, in the United States' shape and in no order.
    fn write(&self, path: &Path, count: u64) -> io::Result<()> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        for at in 0..count {
            let number = self.number(at) % 10_000_000_000;
            writeln!(file, "{},{:07}", number / 10_000_000, number % 10_000_000)?;
        }
        file.flush()
    }
}

/// The most memory that a process had so far, in KiB; nothing once it has ended.
fn peak_kib(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[test]
fn a_registry_is_imported_beside_calls_and_refused_after_the_next_start() {
    let _machine = machine();
    let count = number_from("BAJAVOZ_REGISTRY_NUMBERS").unwrap_or(NUMBERS);
    let (registry, site) = (Registry::new(), Site::new());
    let file = site.folder().join("registry.txt");
    registry.write(&file, count).expect("the registry's file");
    let lists = "[lists.comercial]\n";
    let registries = "[lists.us-do-not-call]\nscope = \"global\"\nkind = \"registry\"\n";
    site.rewrite(lists, &format!("{registries}max-age-days = 31\n{lists}"));
    let engine = site.start();
    let pressed = "+34600000001";
    let added = site.program(&["optout", "add", pressed, "--list", "comercial"]).status();
    assert!(added.expect("the program runs").success());

    let began = clock::now();
    let mut command = site.program(&["import"]);
    let today = clock::unix_now().iso8601();
    command.arg(&file).args(["--list", "us-do-not-call", "--format", "ftc-full", "--json"]);
    command.args(["--as-of", today.get(..10).expect("a date")]);
    let said = site.folder().join("import.log");
    let errors = File::create(&said).expect("the folder is ours");
    let mut import = Process::start(command.stdout(Stdio::null()).stderr(errors), None);
    let calls = if count < LARGE { CALLS } else { MANY_CALLS };
    let numbers = vec![pressed.to_owned(); calls];
    let (mut asked, mut peak) = (0, 0);
    let mut is_over = false;
    while !is_over {
        assert!(clock::now() - began < IMPORT_MAX, "the import takes longer than {IMPORT_MAX:?}");
        let load = Load { numbers: &numbers, rate: RATE, campaign: "promo" };
        let dialer = Sipp::dialer(&site, "uac_suppressed", load);
        let of_import = peak_kib(import.id()).unwrap_or_default();
        dialer.finish(IMPORT_MAX).expect_all("a call beside the import", calls);
        asked += calls;
        let of_import = peak_kib(import.id()).unwrap_or(of_import);
        peak = peak.max(of_import + peak_kib(engine.id()).expect("the engine runs"));
        is_over = !import.is_alive();
    }
    let imported_in = clock::now() - began;
    let is_done = import.wait(Duration::ZERO).is_some_and(|status| status.success());
    let said = std::fs::read_to_string(said).expect("it was made above");
    assert!(is_done, "{said}{}", site.log());
    refused(&site, &registry, count);
    assert!(engine.stop().success());

    let began = clock::now();
    let engine = site.start();
    ask(&site, &registry, count - 1, 603);
    let refused_in = clock::now() - began;
    refused(&site, &registry, count);
    peak = peak.max(peak_kib(engine.id()).expect("the engine runs"));
    let rate = asked as f64 / imported_in.as_secs_f64();
    let told = format!(
        "BAJAVOZ_REGISTRY_NUMBERS={count}: imported in {imported_in:.1?} beside {asked} calls, \
         {rate:.0} a second; refused {refused_in:.2?} after the next start, {} MiB at most\n",
        peak >> 10
    );
    io::stderr().write_all(told.as_bytes()).expect("standard error takes text");
    assert!(peak < MEMORY_MAX_KIB, "{told}");
    if count >= LARGE && !cfg!(debug_assertions) {
        assert!(rate >= f64::from(RATE) * 0.9 && refused_in <= RESTART_MAX, "{told}");
    }
    assert!(engine.stop().success());
}

/// The first and the last of the file are refused, and the one after it is not.
fn refused(site: &Site, registry: &Registry, count: u64) {
    for (at, want) in [(0, 603), (count / 2, 603), (count - 1, 603), (count, 200)] {
        ask(site, registry, at, want);
    }
}

fn ask(site: &Site, registry: &Registry, at: u64, want: u16) {
    let number = format!("+{}", registry.number(at));
    let script = Script { hang_up_after: Some(HANG_UP_AFTER), ..Script::default() };
    let report = phones::call(site.sip, Call::new(&number, "promo", script));
    assert_eq!(report.status, Some(want), "number {at}");
}
