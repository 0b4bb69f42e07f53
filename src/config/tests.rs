//! What shows that the files are read as they should be: bad drafts with the exact text that is
//! printed for them, the sample that comes with the program, and texts cut at every place.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::keys::{KEYS, Kind, Presence, TABLES};
use super::value::TypedDuration;
use super::*;
use crate::campaign::PromptName;
use crate::model::token::{Seed, TokenSource};

/// Judges by marks in the bytes, so that no test needs real sound.
struct MarkedRooms;

impl Rooms for MarkedRooms {
    fn prompt(&self, _: &PromptName, wav: &[u8]) -> Result<(), String> {
        match wav {
            b"stereo" => Err("expected 1 channel, found 2".to_owned()),
            _ => Ok(()),
        }
    }

    fn is_region(&self, region: &str) -> bool {
        region != "XX"
    }

    fn log_filter(&self, filter: &str) -> Result<(), String> {
        if filter == "lo ud" { Err("invalid filter directive".to_owned()) } else { Ok(()) }
    }
}

const PROMPTS: [&str; 6] =
    ["welcome", "optout-ask", "optout-done", "optout-already", "optout-failed", "goodbye"];

/// A folder with prompts beside an empty folder `config`.
fn house() -> TempDir {
    let house = TempDir::new().expect("a temporary folder can be made");
    fs::create_dir(house.path().join("config")).expect("a folder can be made");
    for language in ["en", "es"] {
        let folder = house.path().join("audio").join(language);
        fs::create_dir_all(&folder).expect("a folder can be made");
        for prompt in PROMPTS {
            fs::write(folder.join(prompt).with_extension("wav"), "mono").expect("written");
        }
        fs::write(folder.join("two-channels.wav"), "stereo").expect("written");
    }
    let urls = [("near-url", "127.0.0.1"), ("far-url", "db.example.com")];
    for (name, host) in urls {
        let url = format!("postgresql://bajavoz:secret@{host}:5432/bajavoz\n");
        fs::write(house.path().join(name), url).expect("written");
    }
    house
}

fn check_texts(house: &TempDir, texts: &[(&str, &str)]) -> Result<Checked, Vec<Diagnostic>> {
    let sources: Vec<_> =
        texts.iter().map(|(name, text)| Source::new(name, (*text).to_owned())).collect();
    check(&sources, &house.path().join("config"), &MarkedRooms)
}

/// What is said about `draft` beside the base, one finding a line, without the house's own path.
fn said(house: &TempDir, draft: &str) -> String {
    let texts = [("base.toml", BASE), ("draft.toml", draft)];
    let findings = match check_texts(house, &texts) {
        Ok(checked) => checked.warnings,
        Err(findings) => findings,
    };
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let dir = house.path().join("config/..").display().to_string();
    lines.join("\n").replace(&dir, "HOUSE")
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The least that runs.
const BASE: &str = r#"
[node]
default-region = "ES"
[listen.main]
bind = "127.0.0.1:5060"
[trunks.carrier-a]
host = "127.0.0.1:5070"
[dialers.local]
allow = ["127.0.0.1"]
[lists.robinson]
scope = "global"
[lists.comercial]
scope = "account"
"#;

/// A right campaign of each mode.
const BRIDGE: &str = r#"[campaigns.promo]
account = "acme"
mode = "bridge"
route = ["carrier-a"]
match.dialer = ["local"]
codes."9".add-to = ["comercial"]"#;
const IVR: &str = r#"[campaigns.promo]
account = "acme"
mode = "ivr"
match.dialer = ["local"]"#;

#[test]
fn each_draft_is_told_what_is_wrong_with_it() {
    let house = house();
    let mut rows = 0;
    for row in include_str!("drafts.txt").split("\n=== ").skip(1) {
        let (name, rest) = row.split_once('\n').expect("a row begins with its name");
        let (draft, want) = rest.split_once("---").expect("a row holds a draft and a verdict");
        let draft = draft.replace("@bridge", BRIDGE).replace("@ivr", IVR);
        assert_eq!(said(&house, &draft), want.trim(), "{name}:\n{draft}");
        rows += 1;
    }
    assert_eq!(rows, 133, "every row was found");
}

#[test]
fn a_secret_that_was_typed_out_is_not_printed() {
    let house = house();
    let draft = "[store]\ndatabase = \"postgres\"\nurl = \"postgresql://me:hush@db/x\" # ours\n";
    let texts = [("base.toml", BASE), ("draft.toml", draft)];
    let findings = check_texts(&house, &texts).unwrap_err();
    let printed = findings[0].render(false);
    assert!(!printed.contains("hush") && !printed.contains("me:"), "{printed}");
    assert!(printed.contains("3 | url = *************************** # ours"), "{printed}");
}

#[test]
fn a_finding_is_printed_with_its_line_and_what_was_meant() {
    let house = house();
    let draft = campaign_with("rng-max = \"45s\"\ncheck = [\"comercial\", \"robinsn\"]");
    let other = "[lists.comercial]\nscope = \"global\"\n";
    let texts = [("base.toml", BASE), ("config/campaigns/promo.toml", &draft), ("x.toml", other)];
    let findings = check_texts(&house, &texts).unwrap_err();
    let printed: Vec<String> = findings.iter().map(|finding| finding.render(false)).collect();
    assert_eq!(
        printed.join("\n\n"),
        r#"error[E-KEY-UNKNOWN]: `rng-max` is no key of [campaigns.promo]
 --> config/campaigns/promo.toml:7:1
  |
7 | rng-max = "45s"
  | ^^^^^^^ unknown key
  |
help: did you mean `ring-max`?
  |
7 | ring-max = "45s"
  |  +

error[E-LIST-UNKNOWN]: there is no [lists.robinsn]
 --> config/campaigns/promo.toml:8:23
  |
8 | check = ["comercial", "robinsn"]
  |                       ^^^^^^^^^ not defined
  |
help: did you mean `robinson`?
  |
8 | check = ["comercial", "robinson"]
  |                              +

error[E-TABLE-TWICE]: [lists.comercial] stands twice
  --> x.toml:1:8
   |
 1 | [lists.comercial]
   |        ^^^^^^^^^ here again
   |
  ::: base.toml:12:8
   |
12 | [lists.comercial]
   |        --------- first here
   |
help: write all of it in one place; no file wins over another"#
    );
    assert!(findings.iter().all(|finding| finding.render(true).contains("\u{1b}[")));
}

fn campaign_with(extra: &str) -> String {
    format!("{BRIDGE}\n{extra}\n")
}

#[test]
fn a_warning_says_so_and_lets_it_load() {
    let house = house();
    let draft = format!("{IVR}\nother-way = \"by post\"\ncheck = []\n");
    let checked = check_texts(&house, &[("a.toml", BASE), ("b.toml", &draft)]).unwrap();
    let [warning] = checked.warnings.as_slice() else { panic!("{:?}", checked.warnings) };
    assert_eq!((warning.severity(), warning.code()), (Severity::Warning, "W-CHECK-NONE"));
    assert!(warning.render(false).starts_with("warning[W-CHECK-NONE]: this campaign"));
    assert_eq!((warning.place().line(), warning.place().column()), (6, 9));
    assert!(warning.message().contains("everybody") && warning.hint_text().is_some());
}

/// The configuration that comes with the program, beside prompts of our own.
fn sample() -> TempDir {
    let house = house();
    let config = house.path().join("config");
    fs::create_dir(config.join("campaigns")).expect("a folder can be made");
    for folder in ["", "campaigns"] {
        for entry in fs::read_dir(repository().join("config").join(folder)).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_file() {
                let name = path.file_name().expect("a file has a name");
                fs::copy(&path, config.join(folder).join(name)).expect("copied");
            }
        }
    }
    house
}

#[test]
fn the_sample_loads_as_it_stands() {
    let checked = load(&repository().join("config"), &MarkedRooms)
        .map_err(|findings| findings.iter().map(|f| f.render(false)).collect::<Vec<_>>().join("\n"))
        .unwrap_or_else(|printed| panic!("{printed}"));
    assert_eq!(checked.warnings, Vec::new());
    let names = |campaign: &std::sync::Arc<crate::campaign::Campaign>| campaign.name.to_string();
    let names: Vec<String> = checked.campaigns.iter().map(names).collect();
    assert_eq!(names, ["encuesta", "promo-otono"]);
    let dialer = checked.dialer_at("::ffff:127.0.0.1".parse().unwrap()).unwrap();
    assert_eq!(dialer.name.as_str(), "local");
    assert_eq!(checked.dialer_at("127.0.0.2".parse().unwrap()), None);
    let ivr = checked.campaigns.get(&"promo-otono".into()).unwrap();
    let keys: Vec<String> = ivr.codes.iter().map(|code| code.digits.to_string()).collect();
    assert_eq!(keys, ["*9", "9"]);
    assert!(ivr.origin.to_string().ends_with("campaigns/10-promo-otono.toml:3"));
    assert!(ivr.codes[1].origin.to_string().ends_with("10-promo-otono.toml:19"));
    for prompt in checked.campaigns.iter().flat_map(|campaign| campaign.prompts()) {
        assert!(checked.prompts[prompt].is_file(), "{prompt}");
    }
}

#[test]
fn as_many_lists_as_the_index_knows_and_not_one_more() {
    let house = house();
    let lists = |count: usize| -> String {
        (0..count).map(|n| format!("[lists.l{n}]\nscope = \"global\"\n")).collect()
    };
    let codes = |count: usize| {
        let findings = check_texts(&house, &[("base.toml", BASE), ("lists.toml", &lists(count))]);
        findings.err().unwrap_or_default().iter().map(Diagnostic::code).collect::<Vec<_>>()
    };
    // The base has two.
    assert_eq!(codes(62), Vec::<&str>::new());
    assert_eq!(codes(63), ["E-RANGE"]);
}

#[test]
fn the_reference_is_current_and_loads() {
    let stands = fs::read_to_string(repository().join("config/reference.toml")).unwrap_or_default();
    if stands != reference() {
        let fresh = std::env::temp_dir().join("bajavoz-reference.toml");
        fs::write(&fresh, reference()).unwrap();
        panic!(
            "config/reference.toml is behind src/config/keys.rs: copy {} there",
            fresh.display()
        );
    }
    let house = house();
    let text = reference();
    let checked = check_texts(&house, &[("reference.toml", &text)]);
    let printed = |findings: Vec<Diagnostic>| -> String {
        findings.iter().map(|finding| finding.render(false)).collect()
    };
    let checked = checked.map_err(printed).unwrap_or_else(|printed| panic!("{printed}"));
    assert_eq!(checked.warnings, Vec::new());
    // The same without anything that has a default: what is not written is what is shown.
    let mut table = "";
    let mut bare = String::new();
    for line in text.lines() {
        if let Some(headline) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            table = TABLES.iter().find(|table| table.example == headline).unwrap().path;
        }
        let typed = line.split(" = ").next().unwrap_or_default();
        let has_default = KEYS.iter().any(|key| {
            let is_it = key.path == format!("{table}.{typed}");
            is_it && matches!(key.presence, Presence::Default(..)) && key.example.is_empty()
        });
        if !has_default {
            bare += line;
            bare.push('\n');
        }
    }
    assert!(bare.lines().count() < text.lines().count());
    let other = check_texts(&house, &[("reference.toml", &bare)]).map_err(printed);
    let other = other.unwrap_or_else(|printed| panic!("{printed}"));
    assert_eq!(same_but_lines(&checked), same_but_lines(&other));
}

fn same_but_lines(checked: &Checked) -> String {
    let text = format!("{checked:?}");
    // The hash is of the text, and lines move.
    let (_, text) = text.split_once("node:").expect("the hash is before the node");
    let mut parts = text.split("line: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

#[test]
fn every_key_is_known_and_every_neighbour_of_it_is_not() {
    let house = house();
    for key in KEYS {
        let (table, last) = key.path.rsplit_once('.').unwrap();
        let table = TABLES.iter().find(|known| known.path == table).unwrap().example;
        let typed = if last == "HEADER" { "X-Id" } else { last };
        let value = match key.presence {
            Presence::Default(value, _) => value,
            _ => key.example,
        };
        let texts = |name: &str| format!("[{table}]\n\"{name}\" = {value}\n");
        let is_unknown = |text: &str| {
            let findings = check_texts(&house, &[("a.toml", text)]).err().unwrap_or_default();
            findings.iter().any(|finding| finding.code() == "E-KEY-UNKNOWN")
        };
        assert!(!is_unknown(&texts(typed)), "{} is unknown", key.path);
        // Any header may be matched on.
        let is_free = last == "HEADER";
        assert_eq!(is_unknown(&texts(&format!("{typed}x"))), !is_free, "{}", key.path);
    }
}

#[test]
fn every_duration_and_count_holds_at_its_ends_and_not_beyond() {
    let house = house();
    for key in KEYS {
        let (table, last) = key.path.rsplit_once('.').unwrap();
        let table = TABLES.iter().find(|known| known.path == table).unwrap().example;
        let read = |text: &str| text.parse::<TypedDuration>().unwrap().0.as_millis();
        let (good, bad) = match key.kind {
            Kind::Count(min, max) => ([min, max].map(|n| n.to_string()), vec![min - 1, max + 1]),
            Kind::DurationIn(min, max) => {
                let beyond = |millis: u128| i64::try_from(millis).unwrap();
                let below = (read(min) > 0).then(|| beyond(read(min)) - 1);
                let bad = below.into_iter().chain([beyond(read(max)) + 1]).collect();
                ([format!("\"{min}\""), format!("\"{max}\"")], bad)
            }
            _ => continue,
        };
        let codes = |value: &str| {
            let text = format!("[{table}]\n{last} = {value}\n");
            let findings = check_texts(&house, &[("a.toml", &text)]).err().unwrap_or_default();
            let here = findings.iter().filter(|finding| finding.place().line() == 2);
            here.filter(|finding| finding.code() == "E-RANGE").count()
        };
        for value in good {
            assert_eq!(codes(&value), 0, "{} = {value}", key.path);
        }
        for value in bad {
            let is_count = matches!(key.kind, Kind::Count(..));
            let value = if is_count { value.to_string() } else { format!("\"{value}ms\"") };
            assert_eq!(codes(&value), 1, "{} = {value}", key.path);
        }
    }
}

#[test]
fn a_text_cut_or_bent_anywhere_is_judged_without_a_panic() {
    let house = house();
    let files = ["bajavoz.toml", "campaigns/10-promo-otono.toml", "campaigns/20-encuesta.toml"];
    let whole: String = files
        .iter()
        .map(|file| fs::read_to_string(repository().join("config").join(file)).unwrap())
        .collect();
    let judge = |text: &str| match check_texts(&house, &[("a.toml", text)]) {
        Ok(_) => 0,
        Err(findings) => findings.iter().map(|finding| finding.render(false).len()).sum::<usize>(),
    };
    assert_eq!(judge(&whole), 0, "the sample is right in one file too");
    for end in (0..whole.len()).filter(|&end| whole.is_char_boundary(end)) {
        judge(&whole[..end]);
    }
    // A byte of the text replaced by each of these, at places that a fixed seed draws.
    let mut tokens = TokenSource::new(Seed(20, 26));
    let odd = ["\"", "[", "]", "=", "\n", ".", "{", "}", "#", "\\", "9", "é", "\u{0}", ",", "'"];
    for _ in 0..2000 {
        let at = whole.floor_char_boundary(tokens.next_u32() as usize % whole.len());
        let end = whole.ceil_char_boundary(at + 1);
        let odd = odd[tokens.next_u32() as usize % odd.len()];
        judge(&format!("{}{odd}{}", &whole[..at], &whole[end..]));
    }
}

#[test]
fn a_folder_is_read_whole_and_in_order() {
    let house = sample();
    let config = house.path().join("config");
    let first = load(&config, &MarkedRooms).unwrap();
    let same = load(&config, &MarkedRooms).unwrap();
    assert_eq!(first.hash, same.hash, "the same files, the same hash");
    // Two files from one: the same settings, another configuration.
    fs::write(config.join("lists.toml"), "[lists.extra]\nscope = \"global\"\n").unwrap();
    fs::write(config.join("notes.txt"), "not ours").unwrap();
    let more = load(&config, &MarkedRooms).unwrap();
    assert_eq!(more.lists.len(), first.lists.len() + 1);
    assert_ne!(more.hash, first.hash);
    fs::write(config.join("zz.toml"), [0xff, 0xfe]).unwrap();
    let findings = load(&config, &MarkedRooms).unwrap_err();
    let codes: Vec<&str> = findings.iter().map(Diagnostic::code).collect();
    assert_eq!(codes, ["E-FILE"], "a file that is no UTF-8 is named: {findings:?}");
}

#[test]
fn a_folder_without_files_is_said_to_be_so() {
    let house = house();
    let folder = house.path().join("config");
    let findings = load(&folder, &MarkedRooms).unwrap_err();
    assert!(findings[0].to_string().contains("there is no *.toml in this folder"), "{findings:?}");
    let findings = load(&folder.join("nowhere"), &MarkedRooms).unwrap_err();
    assert_eq!((findings.len(), findings[0].code()), (1, "E-FILE"));
}

#[test]
fn what_is_not_written_is_safe_for_the_person_called() {
    let house = house();
    let draft = campaign_with("");
    let checked = check_texts(&house, &[("a.toml", BASE), ("b.toml", &draft)]).unwrap();
    let campaign = checked.campaigns.get(&"promo".into()).unwrap();
    let check: Vec<&str> = campaign.check.iter().map(crate::model::ListName::as_str).collect();
    assert_eq!(check, ["robinson", "comercial"], "the global lists, and those its codes add to");
    assert_eq!(campaign.on_unconfirmed, crate::campaign::OnUnconfirmed::Block);
    assert!(checked.http.bind.ip().is_loopback());
    assert_eq!(checked.dialers[&"local".into()].refusal, Refusal { status: 603, cause: 21 });
}
