//! A person who opted out by key and asks to be erased: no octet of the number is left in any file
//! of the engine, and it is refused for ever.
//!
//! What is looked for is the number's digits, with and without the country's, and the octets of its
//! value in either order: in journal, database, snapshot, keys, audio, log, and a backup that is made
//! afterwards. The same search finds them where numbers are kept as they are.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bajavoz::cli::phones::PressMethod;
use bajavoz::cli::phones::Script;
use bajavoz::suppression::Fact;
use bajavoz::suppression::proof::bundle;

use crate::harness::files_in;
use crate::harness::machine;
use crate::harness::phones;
use crate::harness::phones::Call;
use crate::harness::process;
use crate::harness::site::Site;
use crate::harness::site::Wishes;
use crate::harness::wait_for;

/// Without the country's 34.
const NUMBER: &str = "633417521";

/// When the key is pressed, counted from the answer.
const PRESS_AT: Duration = Duration::from_millis(300);

/// How long the audio behind the press may take to be on record.
const PATIENCE: Duration = Duration::from_secs(60);

fn e164() -> String {
    format!("+34{NUMBER}")
}

fn site(is_keyed: bool) -> Site {
    let site = Site::with(Wishes { filter: "trace", ..Wishes::default() });
    let storage = if is_keyed { "number-storage = \"hmac\"\n" } else { "" };
    let store = "path = \"../data\"\n";
    site.rewrite(store, &format!("{store}{storage}"));
    let file = site.config().join("bajavoz.toml");
    let wanted = "\n[evidence]\naudio = true\naudio-before = \"1s\"\naudio-after = \"0s\"\n";
    let text = fs::read_to_string(&file).expect("the configuration");
    fs::write(&file, text + wanted).expect("the folder is ours");
    site
}

/// What a call to the number ends with.
fn call(site: &Site) -> Option<u16> {
    let script = Script::pressing('9', PRESS_AT, PressMethod::Event);
    phones::call(site.sip, Call::new(&e164(), "promo", script)).status
}

/// Where the number is to be read of what the engine of `site` has written, and how.
fn traces(site: &Site) -> Vec<String> {
    let digits = e164().trim_start_matches('+').to_owned();
    let value: u64 = digits.parse().expect("digits");
    let octets = value.to_be_bytes()[3..].to_vec();
    let reversed: Vec<u8> = octets.iter().rev().copied().collect();
    let forms = [NUMBER.as_bytes().to_vec(), octets, reversed];
    let written = |path: &PathBuf| {
        let path = path.strip_prefix(site.folder()).expect("it is in there");
        !path.starts_with("config") && !path.starts_with("audio")
    };
    let mut found = Vec::new();
    for path in files_in(site.folder()).iter().filter(|path| written(path)) {
        let text = fs::read(path).expect("a file that is there");
        for (place, form) in forms.iter().enumerate() {
            if memchr::memmem::find(&text, form).is_some() {
                found.push(format!("form {place} in {}", path.display()));
            }
        }
    }
    found
}

fn program(site: &Site, arguments: &[&str]) -> (i32, String) {
    let output = site.program(arguments).output().expect("the program runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn nothing_is_left_of_an_erased_number_but_that_it_is_refused() {
    let _machine = machine();
    let site = site(true);
    let engine = site.start();
    assert_eq!(call(&site), Some(200), "who was never heard of is called");
    let opened = wait_for("the audio is on record", PATIENCE, || {
        let text = process::output(&mut site.program(&["proof", &e164()]), None);
        let verified = bundle::verify(text.as_bytes(), None).expect("the bundle is whole");
        let is_audio = |fact: &Option<Fact>| matches!(fact, Some(Fact::Audio(_)));
        verified.records.iter().any(|record| is_audio(&record.fact)).then_some(verified)
    });
    let told = opened.records.iter().find_map(|record| match &record.fact {
        Some(Fact::OptOut(optout)) => Some(optout.number.reveal()),
        _ => None,
    });
    assert_eq!(told, Some(e164()), "what was not erased is proved with the number");
    let is_audio = |path: &PathBuf| path.extension().is_some_and(|it| it == "wav");
    let kept = |site: &Site| files_in(&site.store()).iter().filter(|path| is_audio(path)).count();
    assert_eq!(kept(&site), 1);
    assert_eq!(call(&site), Some(603), "refused by the hash");

    let (code, text) =
        program(&site, &["erase", &e164(), "--reason", "the owner of 633417521 asks"]);
    assert_eq!(code, 2, "the reason says the number: {text}");
    let (code, text) = program(&site, &["erase", &e164(), "--dry-run"]);
    assert_eq!((code, text.contains("would be erased")), (0, true), "{text}");
    let (code, text) = program(&site, &["erase", &e164(), "--reason", "request 2026-117"]);
    assert_eq!((code, text.contains("stays refused")), (0, true), "{text}");
    assert!(!text.contains(NUMBER), "{text}");
    assert_eq!(kept(&site), 0, "the audio is gone");
    let (code, text) = program(&site, &["erase", &e164()]);
    assert_eq!((code, text.contains("erased before")), (0, true), "{text}");
    let (code, text) = program(&site, &["erase", "+34633417999"]);
    assert_eq!((code, text.contains("nothing is on record")), (1, true), "{text}");

    assert_eq!(call(&site), Some(603), "while the engine runs");
    let backup = site.folder().join("backup");
    let backup = backup.to_str().unwrap();
    let (code, text) = program(&site, &["backup", backup]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(traces(&site), Vec::<String>::new(), "while the engine runs");
    assert!(engine.stop().success());
    assert_eq!(traces(&site), Vec::<String>::new(), "once it has ended");

    let engine = site.start();
    assert_eq!(call(&site), Some(603), "after a restart");
    let text = process::output(&mut site.program(&["proof", &e164()]), None);
    let verified = bundle::verify(text.as_bytes(), None).expect("the bundle is whole");
    let erased = verified.records.iter().filter(|record| record.fact.is_none()).count();
    let is_told = |fact: &Option<Fact>| matches!(fact, Some(Fact::Erasure(_)));
    let told = verified.records.iter().filter(|record| is_told(&record.fact)).count();
    assert_eq!((erased, told), (1, 1), "{:#?}", verified.records);
    assert!(engine.stop().success());
    for name in ["bajavoz.sqlite", "bajavoz.sqlite-wal", "bajavoz.sqlite-shm"] {
        // Those that are there.
        let _ = fs::remove_file(site.store().join(name));
    }
    let engine = site.start();
    assert_eq!(call(&site), Some(603), "made anew from the journal");
    assert!(engine.stop().success());
    let (code, text) = program(&site, &["verify", "--store", site.store().to_str().unwrap()]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(traces(&site), Vec::<String>::new(), "in the end");
    for call in site.calls() {
        assert!(call.number.is_none_or(|number| number.is_keyed()), "a call record");
    }
}

#[test]
fn where_numbers_are_kept_as_they_are_the_search_finds_them_and_erasing_says_what_to_do() {
    let _machine = machine();
    let site = site(false);
    let engine = site.start();
    assert_eq!(call(&site), Some(200));
    let (code, text) = program(&site, &["erase", &e164()]);
    assert_eq!((code, text.contains("number-storage = \"hmac\"")), (4, true), "{text}");
    assert!(engine.stop().success());
    let found = traces(&site);
    assert!(found.iter().any(|it| it.contains("bajavoz.sqlite")), "{found:#?}");
    // The choice is made with the store.
    site.rewrite("path = \"../data\"\n", "path = \"../data\"\nnumber-storage = \"hmac\"\n");
    let (code, text) = program(&site, &["optout", "show", &e164()]);
    assert_ne!(code, 0);
    assert!(text.contains("number-storage = \"plain\"") || text.contains("number key"), "{text}");
}
