//! The program as people and scripts use it: the real binary in a folder of its own, judged by its
//! exit codes and by what it prints.

mod decode;
mod folder;
mod import;
mod lists;
mod proof;
mod reversal;
mod round_trip;

use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Child;
use std::process::Stdio;
use std::time::Duration;

use bajavoz::store::Archive;
use serde_json::Value;

use crate::harness::process::Process;

use folder::Folder;

#[test]
fn the_shipped_configuration_is_without_fault() {
    let folder = Folder::shipped();
    let checked = folder.bajavoz(&["check"]);
    assert_eq!((checked.code, checked.errors.as_str()), (0, ""), "{}", checked.out);
    assert!(checked.out.contains("config: 0 errors, 0 warnings"), "{}", checked.out);
    let json = folder.bajavoz(&["check", "--json"]).json();
    assert_eq!((&json[0]["kind"], &json[0]["errors"]), (&"summary".into(), &0.into()));
}

#[test]
fn a_mistake_is_explained_with_its_place_and_what_was_meant() {
    let folder = Folder::shipped();
    let file = "config/campaigns/10-promo-otono.toml";
    folder.replace(file, "add-to = [\"comercial\"]", "add-to = [\"comrcial\"]");
    let checked = folder.bajavoz(&["check"]);
    assert_eq!(checked.code, 1, "{}", checked.out);
    for want in ["E-LIST-UNKNOWN", "10-promo-otono.toml:20:11", "did you mean `comercial`?"] {
        assert!(checked.out.contains(want), "{want}: {}", checked.out);
    }
    let json = folder.bajavoz(&["check", "--json"]).json();
    let finding = json.iter().find(|line| line["code"] == "E-LIST-UNKNOWN").expect("it is found");
    assert_eq!((&finding["line"], &finding["column"]), (&20.into(), &11.into()), "{finding}");
    let refused = folder.bajavoz(&["explain", "600123456", "--campaign", "promo-otono"]);
    assert_eq!(refused.code, 2, "no verb runs on files with errors: {}", refused.errors);
    assert!(refused.errors.contains("E-LIST-UNKNOWN"), "{}", refused.errors);
    let missing = folder.bajavoz(&["check", "--config", "nowhere"]);
    assert_eq!(missing.code, 2, "{}", missing.out);
}

#[test]
fn a_store_is_backed_up_verified_and_put_back() {
    let folder = Folder::shipped();
    let none = folder.bajavoz(&["backup", "copy"]);
    assert_eq!(
        (none.code, none.errors.contains("there is no store")),
        (2, true),
        "{}",
        none.errors
    );
    for number in ["600123456", "600123457"] {
        let added = folder.bajavoz(&["optout", "add", number, "--list", "robinson"]);
        assert_eq!(added.code, 0, "{}", added.errors);
    }
    let taken = folder.bajavoz(&["backup", "copy"]);
    assert_eq!((taken.code, taken.out.contains("opt-outs      2")), (0, true), "{}", taken.errors);
    assert_eq!(folder.bajavoz(&["backup", "copy"]).code, 2, "never over another one");
    let verified = folder.bajavoz(&["restore", "copy", "--dry-run", "--json"]).json();
    assert_eq!((&verified[0]["opt_outs"], &verified[0]["facts"]), (&2.into(), &2.into()));
    let before = folder.bajavoz(&["optout", "export"]).out;
    let over = folder.bajavoz(&["restore", "copy"]);
    assert_eq!(over.code, 2, "never over a store");
    assert!(over.errors.contains("[store] path"), "{}", over.errors);
    let none = folder.bajavoz(&["restore", "config", "--dry-run"]);
    assert_eq!((none.code, none.errors.contains("is no backup")), (2, true), "{}", none.errors);
    std::fs::rename(folder.path("data"), folder.path("lost")).expect("it can be lost");
    let restored = folder.bajavoz(&["restore", "copy"]);
    assert_eq!(restored.code, 0, "{}", restored.errors);
    assert_eq!(folder.bajavoz(&["optout", "export"]).out, before);
    std::fs::remove_file(folder.path("copy/keys")).expect("the keys are there");
    assert_ne!(folder.bajavoz(&["restore", "copy", "--dry-run"]).code, 0);
}

#[test]
fn opt_outs_go_round_where_no_engine_runs() {
    let folder = Folder::shipped();
    let explain = ["explain", "600 123 456", "--campaign", "promo-otono"];
    let before = folder.bajavoz(&explain);
    assert_eq!(before.code, 2, "there is no store yet: {}", before.errors);
    let add = ["optout", "add", "600123456", "--list", "comercial", "--reason", "a letter"];
    let added = folder.bajavoz(&add);
    assert_eq!(added.code, 0, "{}", added.errors);
    assert!(added.out.starts_with("+34600123456 is on comercial"), "{}", added.out);
    let after = folder.bajavoz(&explain);
    assert_eq!(after.code, 1, "{}", after.errors);
    for want in
        ["must not be called", "REFUSED by list `comercial`", "config/bajavoz.toml:", "a letter"]
    {
        assert!(after.out.contains(want), "{want}: {}", after.out);
    }
    let json = &folder.bajavoz(&[&explain[..], &["--json"]].concat()).json()[0];
    assert_eq!(json["verdict"], "must_not_call");
    assert_eq!(json["lists"][1]["hit"]["origin"], "manual_cli");
    let other = folder.bajavoz(&["explain", "+34600123457", "--campaign", "promo-otono"]);
    assert_eq!((other.code, other.out.contains("may be called")), (0, true), "{}", other.errors);
    let shown = folder.bajavoz(&["optout", "show", "600123456"]);
    assert_eq!((shown.code, shown.out.contains("refused    by comercial")), (0, true));
    assert_eq!(folder.bajavoz(&["optout", "show", "600123457"]).code, 1);
    let table = folder.bajavoz(&["optout", "export"]);
    assert_eq!((table.code, table.out.lines().count()), (0, 2), "{}", table.out);
    assert!(table.out.contains("\"+34600123456\",\"comercial\""), "{}", table.out);
    let none = folder.bajavoz(&["optout", "export", "--to", "2020-01-01", "--json"]);
    assert_eq!((none.code, none.out.as_str()), (0, ""));
    let wrong = folder.bajavoz(&["optout", "export", "--campaign", "promo-otoño"]);
    assert_eq!((wrong.code, wrong.errors.contains("did you mean `promo-otono`?")), (2, true));
    assert_eq!(folder.bajavoz(&["status"]).code, 3);
}

#[test]
fn what_cannot_be_used_is_said_and_nothing_is_made_for_it() {
    let folder = Folder::shipped();
    #[rustfmt::skip]
    let cases = [
        ("an unknown list",     &["optout", "add", "600123456", "--list", "robinsn"][..],               "did you mean `robinson`?"),
        ("an unknown campaign", &["optout", "add", "600123456", "--list", "robinson", "--campaign", "promo-otoño"], "did you mean `promo-otono`?"),
        ("another's campaign",  &["optout", "add", "600123456", "--list", "robinson", "--account", "acne"], "did you mean `acme`?"),
        ("no number",           &["optout", "add", "six", "--list", "robinson"],                         "expected"),
        ("an emergency number", &["optout", "add", "112", "--list", "robinson"],                         "emergency"),
        ("no list",             &["optout", "add", "600123456"],                                         "--list"),
        ("no verb",             &[],                                                                     "Usage"),
        ("an unknown verb",     &["optuot"],                                                             "optout"),
        ("days that are turned",&["optout", "export", "--from", "2026-03-01", "--to", "2026-02-01"],         "--from before --to"),
        ("a day that is none",  &["optout", "export", "--from", "2026-02-30"],                           "expected a date"),
        ("an unknown origin",   &["optout", "export", "--origin", "telepathy"],                          "dialled_code"),
    ];
    for (name, args, want) in cases {
        let ran = folder.bajavoz(args);
        assert_eq!(ran.code, 2, "{name}: {}", ran.errors);
        assert!(ran.errors.contains(want), "{name}: {}", ran.errors);
    }
    assert!(!folder.path("data").exists(), "no store was made");
    let json = folder.bajavoz(&["optout", "show", "six", "--json"]);
    let error: Value = serde_json::from_str(json.errors.trim()).expect("one JSON object");
    assert_eq!((json.code, &error["exit"]), (2, &2.into()));
}

#[test]
fn check_says_what_keeps_the_engine_from_the_store_and_every_verb_ends_alike() {
    let folder = Folder::shipped();
    let path = "path = \"../data\"";
    folder.replace("config/bajavoz.toml", path, &format!("{path}\nnumber-storage = \"hmac\""));
    assert_eq!(folder.bajavoz(&["check"]).code, 0, "there is no store yet");
    let add = ["optout", "add", "600123456", "--list", "robinson"];
    assert_eq!(folder.bajavoz(&add).code, 0);
    assert_eq!(folder.bajavoz(&["check"]).code, 0);
    let refused = |want: &str| {
        let checked = folder.bajavoz(&["check"]);
        assert_eq!(checked.code, 1, "{want}: {}", checked.out);
        assert!(checked.out.contains("E-STORE-UNUSABLE") && checked.out.contains(want), "{want}");
        assert!(checked.out.contains(": 1 error, 0 warnings"), "{}", checked.out);
        let json = &folder.bajavoz(&["check", "--json"]).json()[0];
        assert_eq!((&json["kind"], &json["severity"]), (&"finding".into(), &"error".into()));
        let explain = ["explain", "600123456", "--campaign", "encuesta"];
        for verb in [&["run"][..], &explain, &["optout", "show", "600123456"], &add] {
            let ran = folder.bajavoz(verb);
            assert_eq!((ran.code, ran.errors.contains(want)), (2, true), "{verb:?}: {ran:?}");
        }
    };
    let (key, away) = (folder.path("data/number-key"), folder.path("away"));
    std::fs::rename(&key, &away).expect("it is there");
    refused("missing");
    let other = Folder::shipped();
    other.replace("config/bajavoz.toml", path, &format!("{path}\nnumber-storage = \"hmac\""));
    assert_eq!(other.bajavoz(&add).code, 0);
    std::fs::copy(other.path("data/number-key"), &key).expect("it can be copied");
    refused("`number-key` must name the file");
    std::fs::rename(&away, &key).expect("it was there");
    folder.replace("config/bajavoz.toml", "\nnumber-storage = \"hmac\"", "");
    refused("write number-storage = \"hmac\"");
}

#[test]
fn a_store_in_other_hands_is_left_alone() {
    let folder = Folder::shipped();
    let held = Archive::open_exclusive(&folder.path("data")).expect("nobody else has it");
    for args in [&["optout", "export"][..], &["optout", "add", "600123456", "--list", "robinson"]] {
        let refused = folder.bajavoz(args);
        assert_eq!(refused.code, 4, "{}", refused.errors);
        let holder = format!("process {}", std::process::id());
        assert!(refused.errors.contains(&holder), "{}", refused.errors);
    }
    drop(held);
    assert_eq!(folder.bajavoz(&["optout", "export"]).code, 0);
}

#[test]
fn a_reader_that_leaves_early_is_no_fault() {
    let folder = Folder::shipped();
    let add = ["optout", "add", "600123456", "--list", "robinson"];
    assert_eq!(folder.bajavoz(&add).code, 0);
    let mut child = folder.command(&["optout", "export"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn an_engine_that_cannot_start_ends_though_nobody_reads_why() {
    let folder = Folder::shipped();
    let _first = Running::start(&folder);
    let (_unread, errors) = io::pipe().expect("there are pipes");
    // Another opening of the same pipe: only it does not wait.
    let again = format!("/proc/self/fd/{}", errors.as_raw_fd());
    let filling = File::options().write(true).custom_flags(libc::O_NONBLOCK).open(again);
    let mut filling = filling.expect("it can be opened");
    for len in [4_096, 1] {
        while filling.write(&vec![b'.'; len]).is_ok() {}
    }
    let mut second = Process::start(folder.command(&["run"]).stderr(errors), None);
    let ended = second.wait(Duration::from_secs(60)).expect("it waits for who reads");
    assert_eq!(ended.code(), Some(4));
}

#[test]
fn a_running_engine_is_asked_and_steered() {
    let folder = Folder::shipped();
    let mut engine = Running::start(&folder);
    let status = &folder.bajavoz(&["status", "--json"]).json()[0];
    assert_eq!((&status["node"], &status["calls"]), (&"local".into(), &0.into()), "{status}");
    let second = folder.bajavoz(&["run"]);
    assert_eq!(second.code, 4, "{}", second.errors);
    let add = ["optout", "add", "600123456", "--list", "robinson", "--actor", "ana", "--json"];
    let added = folder.bajavoz(&add);
    assert_eq!(added.code, 0, "{}", added.errors);
    let explained = folder.bajavoz(&["explain", "+34600123456", "--campaign", "encuesta"]);
    assert_eq!((explained.code, explained.out.contains("by ana")), (1, true), "{}", explained.out);
    let shown = &folder.bajavoz(&["optout", "show", "600123456", "--json"]).json()[0];
    assert_eq!(shown["entry"]["record"], added.json()[0]["record"]);
    assert_eq!(folder.bajavoz(&["optout", "export"]).out.lines().count(), 2);
    let near = folder.bajavoz(&["explain", "600123456", "--campaign", "encusta"]);
    assert_eq!((near.code, near.errors.contains("`encuesta`")), (2, true), "{}", near.errors);
    reloads(&folder);
    let drained = folder.bajavoz(&["drain", "--patience", "0"]);
    assert_eq!(drained.code, 0, "{}", drained.errors);
    let verified = folder.bajavoz(&["verify", "--store", "data"]);
    assert_eq!(verified.code, 0, "nobody holds it any more: {}{}", verified.out, verified.errors);
    let ended = engine.child.wait().expect("the engine is our child");
    assert_eq!(ended.code(), Some(0));
    assert_eq!(folder.bajavoz(&["status"]).code, 3);
    assert_eq!(folder.bajavoz(&["optout", "export"]).out.lines().count(), 2, "it is all on disk");
}

/// A good file is taken over, a bad one is refused with its findings.
fn reloads(folder: &Folder) {
    let file = "config/campaigns/20-encuesta.toml";
    folder.replace(file, "Encuesta de", "Una encuesta de");
    let before = folder.bajavoz(&["status", "--json"]).json()[0]["config"].clone();
    let reloaded = folder.bajavoz(&["reload", "--json"]);
    assert_eq!(reloaded.code, 0, "{}", reloaded.errors);
    let after = folder.bajavoz(&["status", "--json"]).json()[0]["config"].clone();
    assert!(before != after && after == reloaded.json()[0]["config"], "{before} {after}");
    folder.replace(file, "max = \"45s\"", "maxx = \"45s\"");
    let socket = folder.path("data/admin.sock");
    let socket = socket.to_str().expect("the path is text");
    let refused = folder.bajavoz(&["reload", "--socket", socket]);
    assert_eq!((refused.code, refused.out.contains("20-encuesta.toml:")), (4, true), "{refused:?}");
    let same =
        folder.bajavoz(&["status", "--json", "--socket", socket]).json()[0]["config"].clone();
    assert_eq!(same, after);
    folder.replace(file, "maxx = \"45s\"", "max = \"45s\"");

    let main = "config/bajavoz.toml";
    folder.replace(main, "scope = \"global\"", "scope = \"campaign\"");
    let (checked, reloaded) = (folder.bajavoz(&["check"]), folder.bajavoz(&["reload"]));
    for told in [checked, reloaded] {
        let is_told = told.out.contains("entries of list `robinson` reach fewer campaigns");
        assert!(told.code == 0 && is_told, "{told:?}");
    }
    folder.replace(main, "scope = \"campaign\"", "scope = \"global\"");
    let wider = folder.bajavoz(&["reload"]);
    assert!(wider.code == 0 && !wider.out.contains("W-REACH"), "{wider:?}");
}

/// An engine in a process of its own, ended with the test whatever happens.
struct Running {
    child: Child,
}

impl Running {
    /// Starts it, and returns once it says that everything is open.
    fn start(folder: &Folder) -> Self {
        let mut command = folder.command(&["run", "--json"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let mut running = Self { child: child.expect("the engine starts") };
        let out = running.child.stdout.take().expect("its output is ours");
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).expect("it speaks");
        assert!(line.contains("\"ready\":true"), "{line}");
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
