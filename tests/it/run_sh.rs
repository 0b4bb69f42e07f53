//! What tests/run.sh does for root, for whoever has sudo and for whoever has not, among programs
//! that only write down how they were called.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;

/// What run.sh itself needs, from the system.
const REAL: [&str; 9] =
    ["bash", "chmod", "dirname", "env", "grep", "readlink", "sed", "sh", "true"];

/// What it looks for.
#[rustfmt::skip]
const TOOLS: [&str; 11] = [
    "baresip", "cargo", "cc", "dumpcap", "mkfs.ext4", "openssl", "psql", "python3", "sipp", "sox",
    "tshark",
];

/// A machine of programs that are not there or do nothing.
struct Machine(TempDir);

/// How a run ended, what was written to standard output and error, and what was called.
struct Ran {
    code: Option<i32>,
    said: String,
    errors: String,
    called: String,
}

impl Machine {
    /// One with all of [`TOOLS`] but `missing`, for the user with this id.
    fn new(user: u32, missing: &[&str], extra: &[&str]) -> Self {
        let machine = Self(tempfile::tempdir().expect("a temporary folder"));
        for folder in ["bin", "tests", "audio"] {
            fs::create_dir(machine.path().join(folder)).expect("a folder");
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/run.sh");
        fs::copy(script, machine.path().join("tests/run.sh")).expect("the script");
        machine.program("audio/make.sh", "");
        machine.program("bin/id", &format!("echo {user}"));
        machine.program("bin/getcap", "");
        machine.program("bin/setcap", "");
        for name in REAL {
            let real = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(name));
            let real = real.iter().find(|path| path.exists()).expect("a program of every system");
            let stub = machine.path().join("bin").join(name);
            std::os::unix::fs::symlink(real, stub).expect("a link");
        }
        for name in TOOLS.iter().filter(|name| !missing.contains(name)).chain(extra) {
            machine.program(&format!("bin/{name}"), "");
        }
        machine
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A program that notes its call and then does `work`.
    fn program(&self, name: &str, work: &str) {
        let path = self.path().join(name);
        let note = "echo \"${0##*/} $*\" >>\"$CALLED\"";
        fs::write(&path, format!("#!/bin/sh\n{note}\n{work}\n")).expect("a program");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it may be run");
    }

    /// Runs the script without a terminal.
    fn run(&self) -> Ran {
        let called = self.path().join("called");
        let output = Command::new(self.path().join("tests/run.sh"))
            .args(["--test", "it"])
            .env_clear()
            .env("PATH", self.path().join("bin"))
            .env("CALLED", &called)
            .stdin(Stdio::null())
            .output()
            .expect("bash is there");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran {
            code: output.status.code(),
            said: text(output.stdout),
            errors: text(output.stderr),
            called: fs::read_to_string(&called).unwrap_or_default(),
        }
    }
}

/// Installs with its own hands: sudo that runs what it is given.
const SUDO: &str = "[ \"$1\" != -n ] || shift\nexec \"$@\"";

#[test]
fn nothing_is_installed_where_all_is_there() {
    let machine = Machine::new(0, &[], &[]);
    let Ran { code, said, errors, called } = machine.run();
    assert_eq!(code, Some(0), "{errors}");
    assert!(said.contains("nothing to install"), "{said}");
    assert!(called.contains("cargo test --locked --test it"), "{called}");
    assert!(!called.contains("apt-get"), "{called}");
}

#[test]
fn root_installs_what_is_missing_without_a_question() {
    let machine = Machine::new(0, &["sipp", "cc"], &[]);
    machine.program("bin/apt-get", "echo \"$DEBIAN_FRONTEND\" >>\"$CALLED\"");
    let Ran { code, called, errors, .. } = machine.run();
    assert_eq!(code, Some(0), "{errors}");
    let lines: Vec<_> = called.lines().filter(|line| !line.starts_with("id ")).collect();
    assert_eq!(lines[0], "apt-get -qq -o DPkg::Lock::Timeout=300 update");
    let install = "apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends \
                   sip-tester build-essential";
    assert_eq!(lines[2], install);
    assert_eq!((lines[1], lines[3]), ("noninteractive", "noninteractive"));
    assert!(called.contains("cargo test"), "{called}");
    assert!(!called.contains("setcap"), "root needs no capability: {called}");
}

#[test]
fn sudo_installs_and_gives_the_capabilities() {
    let machine = Machine::new(1000, &["tshark"], &["apt-get"]);
    machine.program("bin/sudo", SUDO);
    let Ran { code, called, errors, .. } = machine.run();
    assert_eq!(code, Some(0), "{errors}");
    assert!(called.contains("install -y --no-install-recommends tshark\n"), "{called}");
    for program in ["dumpcap", "sipp"] {
        let path = machine.path().join("bin").join(program);
        let path = path.canonicalize().expect("it is there");
        let line = format!("setcap cap_net_raw,cap_net_admin=eip {}\n", path.display());
        assert!(called.contains(&line), "expected {line} in {called}");
    }
    assert!(called.contains("cargo test"), "{called}");
}

#[test]
fn capabilities_that_are_there_are_left_alone() {
    let machine = Machine::new(1000, &[], &[]);
    machine.program("bin/getcap", "echo \"$1 cap_net_admin,cap_net_raw=eip\"");
    let Ran { code, said, errors, called } = machine.run();
    assert_eq!(code, Some(0), "{errors}");
    assert!(said.contains("nothing to install"), "{said}");
    assert!(!called.contains("setcap"), "{called}");
}

#[test]
fn whoever_cannot_become_root_is_told_all_that_root_has_to_do() {
    let without = Machine::new(1000, &["sipp", "sox"], &["apt-get"]);
    let asking = Machine::new(1000, &["sipp", "sox"], &["apt-get"]);
    asking.program("bin/sudo", "[ \"$1\" != -n ]");
    let reasons = ["there is no sudo", "sudo wants a password"];
    for (machine, why) in [without, asking].iter().zip(reasons) {
        let Ran { code, said, errors, called } = machine.run();
        assert_eq!(code, Some(1), "{why}: {said}");
        assert!(errors.contains(why), "expected `{why}` in: {errors}");
        for part in ["update\n", "--no-install-recommends sip-tester sox\n", "setcap cap_net_raw"] {
            assert!(said.contains(part), "{why}: expected `{part}` in: {said}");
        }
        for program in ["apt-get", "setcap", "cargo"] {
            assert!(!called.contains(program), "{why}: {program} was called: {called}");
        }
    }
}

#[test]
fn a_system_without_packages_or_cargo_is_told_so() {
    let machine = Machine::new(0, &["sox"], &[]);
    let Ran { code, errors, .. } = machine.run();
    assert_eq!((code, errors.contains("install these yourself: sox")), (Some(1), true), "{errors}");
    let machine = Machine::new(0, &["sox", "cargo"], &["apt-get"]);
    let Ran { code, errors, called, .. } = machine.run();
    assert_eq!((code, errors.contains("cargo is missing")), (Some(1), true), "{errors}");
    assert!(!called.contains("apt-get"), "nothing is installed in vain: {called}");
}
