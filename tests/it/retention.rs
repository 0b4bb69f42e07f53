//! Evidence that is older than the policy: an engine that starts deletes it, and everything goes on
//! refusing the number and says what became of its evidence.
//!
//! What is looked for is what only evidence says (the SIP Call-ID, who entered it, why), in every file
//! of the engine. The same search finds it before.

use std::fs;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use bajavoz::cli::phones::PressMethod;
use bajavoz::cli::phones::Script;
use bajavoz::model::Number;
use bajavoz::model::RecordId;
use bajavoz::model::UnixMicros;
use bajavoz::net::clock;
use bajavoz::store::Settings;
use bajavoz::store::Store;
use bajavoz::suppression::Audio;
use bajavoz::suppression::AudioResult;
use bajavoz::suppression::Authority;
use bajavoz::suppression::Cancelled;
use bajavoz::suppression::Fact;
use bajavoz::suppression::FactLedger;
use bajavoz::suppression::OptOut;
use bajavoz::suppression::Origin;
use bajavoz::suppression::Reversal;

use crate::harness::files_in;
use crate::harness::machine;
use crate::harness::phones;
use crate::harness::phones::Call;
use crate::harness::site::Site;
use crate::harness::wait_for;

const DAY: i64 = 86_400_000_000;

/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who opted out six years ago; who did, and took it back; and who did three days ago.
const OLD: u64 = 600_000_001;
const REVERSED: u64 = 600_000_002;
const YOUNG: u64 = 600_000_009;

fn e164(number: u64) -> String {
    format!("+34{number}")
}

/// What only the evidence of `number` says.
fn words(number: u64) -> [String; 3] {
    [format!("dialog-{number}-x@pbx"), format!("clerk-{number}-x"), format!("letter-{number}-x")]
}

fn telling(number: u64, at: UnixMicros) -> OptOut {
    let [sip_call_id, actor, reason] = words(number).map(Some);
    OptOut {
        account: Some("acme".into()),
        campaign: Some("promo".into()),
        digits: "9".parse().expect("9 is a key"),
        sip_call_id,
        actor,
        reason,
        ..OptOut::new(
            Number::from_e164(&e164(number)).expect("it is E.164"),
            vec!["comercial".into()],
            Origin::DialledCode,
            "test".into(),
            at,
        )
    }
}

/// Puts opt-outs on record, as an engine would have on `at`; with audio, and one taken back.
fn record(site: &Site, at: UnixMicros, numbers: &[u64], reversed: Option<u64>) {
    let (acks, answers) = channel();
    let settings = Settings::new(site.store(), Arc::new(move || at));
    let opened = Store::open(settings, move |ack| {
        // Who does not listen any more is done.
        let _ = acks.send(ack);
    });
    let (store, _recovered) = opened.expect("nobody else has the store");
    let add = |fact| -> RecordId {
        store.submit(1, fact).expect("the queue has room");
        let answer = answers.recv().expect("it is answered");
        answer.result.expect("the disk takes it").record
    };
    for number in numbers {
        let record = add(Fact::OptOut(Box::new(telling(*number, at))));
        let wav = format!("the voice of {number}").into_bytes();
        let sha256 = store.keep_audio(&wav).expect("the disk takes it");
        let (octets, duration_ms, before_ms) = (wav.len() as u64, 1, 1);
        let result = AudioResult::Kept { sha256, octets, duration_ms, before_ms };
        add(Fact::Audio(Audio { record, at, result }));
        if reversed == Some(*number) {
            let [_sip_call_id, actor, reason] = words(*number);
            add(Fact::Reversal(Box::new(Reversal {
                number: Number::from_e164(&e164(*number)).expect("it is E.164"),
                cancels: vec![Cancelled { record, lists: vec!["comercial".into()] }],
                authority: Authority::LocalOperator,
                actor: Some(actor),
                reason,
                node: "test".into(),
                reversed_at: at,
            })));
        }
    }
    store.flush().expect("the database takes it");
    store.close().expect("its threads end");
}

/// A site with what was recorded six years ago and three days ago.
fn site() -> Site {
    let site = Site::new();
    let ago = |days: i64| UnixMicros(clock::unix_now().0 - days * DAY);
    record(&site, ago(6 * 366), &[OLD, REVERSED], Some(REVERSED));
    record(&site, ago(3), &[YOUNG], None);
    site
}

/// Where evidence of `number` is to be read.
fn traces(site: &Site, number: u64) -> Vec<String> {
    let mut found = Vec::new();
    for path in files_in(site.folder()) {
        // One that is gone since it was listed has nothing to be read.
        let text = fs::read(&path).unwrap_or_default();
        for word in words(number) {
            if memchr::memmem::find(&text, word.as_bytes()).is_some() {
                found.push(format!("{word} in {}", path.display()));
            }
        }
        let voice = format!("the voice of {number}");
        if memchr::memmem::find(&text, voice.as_bytes()).is_some() {
            found.push(format!("{voice} in {}", path.display()));
        }
    }
    found
}

fn program(site: &Site, arguments: &[&str]) -> (i32, String) {
    let output = site.program(arguments).output().expect("the program runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

/// What a call to the number ends with.
fn call(site: &Site, number: u64) -> Option<u16> {
    let script = Script::pressing('5', Duration::from_millis(200), PressMethod::Event);
    phones::call(site.sip, Call::new(&e164(number), "promo", script)).status
}

#[test]
fn evidence_past_its_time_goes_and_the_number_stays_refused() {
    let _machine = machine();
    let site = site();
    for number in [OLD, REVERSED, YOUNG] {
        let found = traces(&site, number);
        assert!(found.iter().any(|it| it.contains("bajavoz.sqlite")), "{found:#?}");
        assert!(found.iter().any(|it| it.contains("audio")), "{found:#?}");
    }
    let (code, text) = program(&site, &["retention"]);
    assert_eq!((code, text.contains("the evidence of 2 numbers")), (1, true), "{text}");

    let engine = site.start();
    wait_for("the old evidence is gone", PATIENCE, || {
        (site.metric("bajavoz_evidence_deleted_total") == Some(2.0)).then_some(())
    });
    wait_for("nothing of it is in any file", PATIENCE, || {
        (traces(&site, OLD).is_empty() && traces(&site, REVERSED).is_empty()).then_some(())
    });
    assert_ne!(traces(&site, YOUNG), Vec::<String>::new(), "what is younger stays");
    assert_eq!(site.metric("bajavoz_retention_clock_alarm"), Some(0.0));
    assert!(!site.log().contains(&OLD.to_string()), "no number in the log");
    assert!(site.log().contains("deleted what was kept long enough"), "{}", site.log());

    assert_eq!(call(&site, OLD), Some(603), "refused as before");
    assert_eq!(call(&site, REVERSED), Some(200), "taken back as before");
    for verb in [["optout", "show"].as_slice(), &["explain", "--campaign", "promo"]] {
        for (number, want) in [(OLD, true), (REVERSED, true), (YOUNG, false)] {
            let (_code, text) = program(&site, &[verb, &[&e164(number)]].concat());
            let says = text.contains("its evidence was deleted on");
            assert_eq!(says, want, "{verb:?} {number}: {text}");
            assert_eq!(text.contains("by retention policy"), want, "{text}");
        }
    }
    let gone = site.export().iter().filter(|entry| entry.evidence_deleted.is_some()).count();
    assert_eq!((site.export().len(), gone), (3, 2));
    let bundle = site.folder().join("proof.jsonl");
    let bundle = bundle.to_str().expect("the path is text");
    let (code, text) = program(&site, &["proof", &e164(OLD), "--out", bundle]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = program(&site, &["verify", bundle]);
    assert_eq!((code, text.contains("by retention policy; the chain")), (0, true), "{text}");
    let is_left = ["\n  lists      ", "\n  pressed    "].iter().all(|it| text.contains(it));
    assert!(is_left, "what names nobody is told: {text}");
    assert_eq!(program(&site, &["retention"]).0, 0, "there is no more");

    // A reload that keeps less says how much goes, before it does.
    let store = "path = \"../data\"\n";
    site.rewrite(store, &format!("{store}keep-evidence = \"2d\"\n"));
    let (code, text) = program(&site, &["retention"]);
    assert_eq!((code, text.contains("the evidence of 1 number,")), (1, true), "{text}");
    let (code, text) = program(&site, &["reload"]);
    assert_eq!((code, text.contains("the evidence of 1 number,")), (0, true), "{text}");
    assert_ne!(traces(&site, YOUNG), Vec::<String>::new(), "not before the next day");
    assert!(engine.stop().success());

    let (code, text) = program(&site, &["verify", "--store", &site.store().to_string_lossy()]);
    assert_eq!((code, text.contains("was deleted by retention policy")), (0, true), "{text}");
    for name in ["bajavoz.sqlite", "bajavoz.sqlite-wal", "bajavoz.sqlite-shm"] {
        // Those that are there.
        let _ = fs::remove_file(site.store().join(name));
    }
    let engine = site.start();
    wait_for("a start looks after it too", PATIENCE, || {
        (site.metric("bajavoz_evidence_deleted_total") == Some(1.0)).then_some(())
    });
    for number in [OLD, YOUNG] {
        assert_eq!(call(&site, number), Some(603), "made anew from the journal");
        wait_for("nothing of it is in any file", PATIENCE, || {
            traces(&site, number).is_empty().then_some(())
        });
    }
    assert!(engine.stop().success());
    let (code, text) = program(&site, &["verify", "--store", &site.store().to_string_lossy()]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_clock_that_leaps_deletes_nothing() {
    let _machine = machine();
    let site = Site::new();
    let ago = |days: i64| UnixMicros(clock::unix_now().0 - days * DAY);
    // Nothing was recorded for six years: is it that late, or is it the clock?
    record(&site, ago(6 * 366), &[OLD], None);
    let engine = site.start();
    wait_for("the clock is doubted", PATIENCE, || {
        (site.metric("bajavoz_retention_clock_alarm") == Some(1.0)).then_some(())
    });
    let refused = "bajavoz_refused_total{reason=\"retention_clock_ahead\"}";
    assert_eq!(site.metric(refused), Some(1.0));
    assert!(engine.stop().success());
    assert!(site.start().stop().success(), "a restart changes nothing about it");
    assert_ne!(traces(&site, OLD), Vec::<String>::new());
}
