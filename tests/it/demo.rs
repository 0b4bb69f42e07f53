//! The demo of the README ends well, says what it showed to people and programs, and stays up for
//! calls of the user unless it is told to end.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::time::Duration;

use bajavoz::cli::phones::PressMethod;
use bajavoz::cli::phones::Script;
use serde_json::Value;

use crate::harness::machine;
use crate::harness::phones;
use crate::harness::phones::Call;
use crate::harness::process;
use crate::harness::process::Process;
use crate::harness::wait_for;

/// How long both rounds of calls may take, and the end.
const PATIENCE: Duration = Duration::from_secs(60);

const NUMBERS: [&str; 4] = ["+34600000001", "+34600000002", "+34600000003", "+34600000004"];

fn bajavoz(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bajavoz"));
    command.args(arguments);
    command
}

fn shown(arguments: &[&str]) -> String {
    // It makes calls, whose ports are of the range that an engine has by default.
    let _machine = machine();
    let Output { status, stdout, stderr } =
        bajavoz(arguments).output().expect("the program starts");
    let shown = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{shown}\n{}", String::from_utf8_lossy(&stderr));
    shown
}

#[test]
fn the_demo_shows_the_whole_job() {
    let shown = shown(&["demo", "--once"]);
    for number in NUMBERS {
        let refused = format!("{number}: 603, suppressed;list=comercial");
        assert!(shown.contains(&refused), "expected `{refused}` in:\n{shown}");
    }
    for method in ["method=event", "method=tone", "method=info"] {
        assert!(shown.contains(method), "expected a record by {method} in:\n{shown}");
    }
}

#[test]
fn the_demo_gives_a_program_one_document() {
    let shown = shown(&["demo", "--once", "--json"]);
    assert_eq!(shown.lines().count(), 1, "{shown}");
    let document: Value = serde_json::from_str(&shown).expect("a JSON document");
    assert_eq!((&document["verdict"], &document["fault"]), (&"passed".into(), &Value::Null));
    assert_eq!(document["carrier_invites"], 0);
    assert_eq!(document["stays"], Value::Null, "it has ended");
    let rows = |name: &str| document[name].as_array().expect("a list").clone();
    let numbers = |name: &str| {
        let numbers = rows(name).into_iter().map(|row| row["number"].clone());
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(numbers("calls"), NUMBERS);
    assert_eq!(numbers("refusals"), NUMBERS);
    for call in rows("calls") {
        let ms = |name: &str| call[name].as_f64().unwrap_or_else(|| panic!("{name} of {call}"));
        // 9 goes down 1.2 s after the answer; its event's first packet tells when to 20 ms.
        assert!(ms("key_ms") > 1_150.0, "{call}");
        assert!(ms("key_ms") < ms("durable_ms"), "{call}");
        assert!(ms("durable_ms") <= ms("confirmed_ms"), "{call}");
        let messages = call["messages"].as_array().expect("a list");
        assert_eq!(messages[0]["what"], "INVITE", "{call}");
    }
    for refusal in rows("refusals") {
        assert_eq!(refusal["status"], 603, "{refusal}");
        assert_eq!(refusal["outcome"], "suppressed;list=comercial", "{refusal}");
    }
    let mut methods: Vec<_> =
        rows("records").into_iter().map(|record| record["optout"]["method"].clone()).collect();
    methods.sort_by_key(Value::to_string);
    assert_eq!(methods, ["event", "event", "info", "tone"]);
}

/// The word after `before` in `text`.
fn word<'a>(text: &'a str, before: &str) -> &'a str {
    let place = text.find(before).unwrap_or_else(|| panic!("no `{before}` in:\n{text}"));
    text[place + before.len()..].split_whitespace().next().expect("a word")
}

#[test]
fn the_demo_stays_up_for_calls_of_the_user_until_it_is_interrupted() {
    let _machine = machine();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out");
    let file = File::create(&out).expect("a file");
    let mut demo = Process::start(bajavoz(&["demo"]).stdout(file), None);
    let said = wait_for("the demo invites its user", PATIENCE, || {
        let said = std::fs::read_to_string(&out).unwrap_or_default();
        assert!(demo.is_alive(), "it ended:\n{said}");
        said.contains("/metrics\n").then_some(said)
    });
    let sip: SocketAddr = word(&said, "sip:+34600000009@").parse().expect("an address");
    let config = word(&said, "status --config ").to_owned();
    let ask =
        |arguments: &[&str]| process::output(bajavoz(arguments).args(["--config", &config]), None);

    let script = Script::pressing('9', Duration::from_millis(800), PressMethod::Event);
    let call = Call { campaign: None, ..Call::new("+34600000009", "", script) };
    let told = phones::call(sip, call).outcome.unwrap_or_default();
    assert!(told.starts_with("opt-out;digits=9"), "the dialer was told {told}");
    let call = Call::new("+34600000010", "demo-bridge", Script::default());
    let told = phones::call(sip, call).outcome.unwrap_or_default();
    assert!(told.starts_with("opt-out;digits=9"), "the bridged dialer was told {told}");
    let records = ask(&["optout", "export", "--format", "jsonl"]);
    assert_eq!(records.lines().count(), NUMBERS.len() + 2, "{records}");
    assert!(ask(&["status"]).starts_with("engine `demo`"));
    ask(&["reload"]);

    demo.signal("INT");
    let ended = demo.wait(PATIENCE).expect("Ctrl-C ends it");
    assert!(ended.success(), "{ended}");
    assert!(!Path::new(&config).exists(), "its folder is left");
}

#[test]
fn a_demo_that_cannot_be_shown_says_why_and_exits_with_1() {
    let mut command = bajavoz(&["demo", "--once", "--json"]);
    let output = command.env("TMPDIR", "/nowhere").output().expect("the program starts");
    let errors: Value = serde_json::from_slice(&output.stderr).expect("JSON on standard error");
    assert_eq!((output.status.code(), &errors["exit"]), (Some(1), &1.into()), "{errors}");
    let why = errors["error"].as_str().expect("a reason");
    assert!(why.starts_with("demo failed: a temporary folder"), "{why}");
}
