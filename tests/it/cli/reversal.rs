//! Reversals as an operator makes them and an auditor reads them: named, seen beside what they
//! cancel, and never more than was asked for.

use std::sync::Arc;
use std::sync::mpsc::channel;

use bajavoz::model::Number;
use bajavoz::model::UnixMicros;
use bajavoz::store::Settings;
use bajavoz::store::Store;
use bajavoz::suppression::Fact;
use bajavoz::suppression::FactLedger;
use bajavoz::suppression::OptOut;
use bajavoz::suppression::Origin;

use super::Running;
use super::folder::Folder;

/// 2026-11-20 18:02:11 UTC, from `date -u -d 2026-11-20T18:02:11 +%s`.
const PRESSED: i64 = 1_795_197_731_000_000;

/// Puts the press of a key on record, as an engine would.
fn press(folder: &Folder) {
    let (acks, answer) = channel();
    let settings = Settings::new(folder.path("data"), Arc::new(|| UnixMicros(PRESSED + 40_000)));
    let (store, _recovered) = Store::open(settings, move |ack| {
        acks.send(ack).expect("the test listens");
    })
    .expect("nobody else has the store");
    let optout = OptOut {
        account: Some("acme".into()),
        campaign: Some("promo-otono".into()),
        dialer: Some("local".into()),
        digits: "9".parse().expect("9 is a key"),
        sip_call_id: Some("5f1c@carrier".to_owned()),
        ..OptOut::new(
            Number::from_e164("+34600123456").expect("it is E.164"),
            vec!["comercial".into(), "promo".into()],
            Origin::DialledCode,
            "local".into(),
            UnixMicros(PRESSED),
        )
    };
    store.submit(1, Fact::OptOut(Box::new(optout))).expect("the queue has room");
    answer.recv().expect("it is answered").result.expect("the disk takes it");
    store.close().expect("its threads end");
}

/// A time as people read it.
fn when(micros: &serde_json::Value) -> String {
    let at = UnixMicros(micros.as_i64().expect("it is a number")).iso8601();
    at.split('.').next().unwrap_or_default().replacen('T', " ", 1) + " UTC"
}

#[test]
fn a_number_on_four_lists_from_three_origins_with_one_reversal_is_explained() {
    let folder = Folder::shipped();
    let lists = "[lists.vip]\ntitle = \"No molestar\"\nscope = \"global\"\n\n[lists.promo]";
    folder.replace("config/bajavoz.toml", "[lists.promo]", lists);
    press(&folder);
    std::fs::write(folder.path("robinson.txt"), "600123456\n600123457\n").expect("it is written");
    let import = ["import", "robinson.txt", "--list", "robinson", "--source", "Lista Robinson"];
    let imported =
        folder.bajavoz(&[&import[..], &["--as-of", "2026-11-01", "--actor", "eva"]].concat());
    assert_eq!(imported.code, 0, "{}", imported.errors);
    let add = ["optout", "add", "600123456", "--list", "vip", "--reason", "wrote a letter"];
    let added = folder.bajavoz(&[&add[..], &["--actor", "ana"]].concat());
    assert_eq!(added.code, 0, "{}", added.errors);
    let reverse = ["optout", "reverse", "600123456", "--list", "comercial", "--actor", "luis"];
    let reason = ["--reason", "signed a new consent, scan 2026/118"];
    let rehearsed = folder.bajavoz(&[&reverse[..], &reason].concat());
    assert_eq!(rehearsed.code, 0, "{}", rehearsed.errors);
    assert!(rehearsed.out.contains("would be off comercial"), "{}", rehearsed.out);
    assert!(rehearsed.out.ends_with("nothing was reversed; --yes does it\n"), "{}", rehearsed.out);
    let reversed = folder.bajavoz(&[&reverse[..], &reason, &["--yes", "--json"]].concat());
    assert_eq!(reversed.code, 0, "{}", reversed.errors);

    let shown = folder.bajavoz(&["optout", "show", "600123456", "--json"]).json();
    let text = |value: &serde_json::Value| value.as_str().expect("it is text").to_owned();
    let record = |place: usize| text(&shown[place]["entry"]["record"]);
    let at = |place: usize| when(&shown[place]["entry"]["optout"]["pressed_at"]);
    let undone = &shown[0]["entry"]["reversed"][0];
    assert_eq!(undone["record"], reversed.json()[0]["record"]);
    let (pressed, imported, added) = (record(0), record(1), record(2));
    let (reversal, reversed_at) = (text(&undone["record"]), when(&undone["reversed_at"]));
    let (imported_at, added_at) = (at(1), at(2));

    let why = folder.bajavoz(&["explain", "600123456", "--campaign", "promo-otono"]);
    assert_eq!(why.code, 1, "{}", why.errors);
    let want = format!(
        "\
+34600123456 must not be called by campaign `promo-otono` of account `acme`.
Refused by `robinson` and `promo`, 2 of the 3 lists that it checks (the campaign is in config/campaigns/10-promo-otono.toml:3).

REFUSED by list `robinson`, Lista Robinson
  checked by config/campaigns/10-promo-otono.toml:3; the list is in config/bajavoz.toml:29; an entry reaches every campaign
  - on {imported_at}: imported by eva: \"Lista Robinson, as of 2026-11-01\"
    record {imported}

not refused by list `comercial`, Lista negra comercial
  checked by config/campaigns/10-promo-otono.toml:3; the list is in config/bajavoz.toml:33; an entry reaches the campaigns of its account
  - on 2026-11-20 18:02:11 UTC: the person pressed 9 in campaign `promo-otono` of account `acme`
    record {pressed}, SIP Call-ID 5f1c@carrier
    REVERSED on {reversed_at} by luis: \"signed a new consent, scan 2026/118\"; it refuses no more; record {reversal}

REFUSED by list `promo`, Baja de la promoción
  checked by config/campaigns/10-promo-otono.toml:3; the list is in config/bajavoz.toml:41; an entry reaches its campaign alone
  - on 2026-11-20 18:02:11 UTC: the person pressed 9 in campaign `promo-otono` of account `acme`
    record {pressed}, SIP Call-ID 5f1c@carrier

not checked by this campaign: list `vip`, No molestar
  - on {added_at}: entered on the command line by ana: \"wrote a letter\"
    record {added}
"
    );
    assert_eq!(why.out, want);
}

#[test]
fn a_reversal_is_shown_and_exported_beside_what_it_cancels() {
    let folder = Folder::shipped();
    press(&folder);
    let engine = Running::start(&folder);
    let explain = ["explain", "600123456", "--campaign", "promo-otono"];
    assert_eq!(folder.bajavoz(&explain).code, 1);
    let reverse = ["optout", "reverse", "600123456", "--all", "--reason", "=a \"form\"", "--yes"];
    let reversed = folder.bajavoz(&[&reverse[..], &["--actor", "luis"]].concat());
    assert_eq!(reversed.code, 0, "{}", reversed.errors);
    assert!(reversed.out.contains("is off comercial, promo: dialled_code of"), "{}", reversed.out);
    assert!(reversed.out.contains("nothing else refuses +34600123456"), "{}", reversed.out);
    assert_eq!(folder.bajavoz(&explain).code, 0, "the running engine knows it at once");
    let shown = folder.bajavoz(&["optout", "show", "600123456"]).out;
    for want in
        ["refused    by no list any more", "reversed   on promo at ", " by luis (=a \"form\")"]
    {
        assert!(shown.contains(want), "{want}: {shown}");
    }
    assert_eq!(folder.bajavoz(&["optout", "export"]).out.lines().count(), 2, "one row a fact");
    let standing = folder.bajavoz(&["optout", "export", "--standing"]).out;
    assert_eq!(standing.lines().count(), 1, "{standing}");
    // Add wins: what comes later refuses again, and the reversal stays beside the first.
    let add = ["optout", "add", "600123456", "--list", "comercial"];
    assert_eq!(folder.bajavoz(&add).code, 0);
    assert_eq!(folder.bajavoz(&explain).code, 1);
    drop(engine);
    assert_eq!(folder.bajavoz(&explain).code, 1, "the next process knows it too");
    assert_eq!(folder.bajavoz(&["optout", "export", "--standing"]).out.lines().count(), 2);
}

#[test]
fn what_cannot_be_reversed_is_said_and_nothing_is_written() {
    let folder = Folder::shipped();
    let reverse = |args: &[&str]| {
        let verb = ["optout", "reverse", "600123456", "--reason", "a form", "--yes"];
        folder.bajavoz(&[&verb[..], args].concat())
    };
    let none = reverse(&["--all"]);
    assert_eq!(
        (none.code, none.errors.contains("there is no store")),
        (2, true),
        "{}",
        none.errors
    );
    assert!(!folder.path("data").exists(), "none was made");
    press(&folder);
    std::fs::write(folder.path("full.txt"), "201,5550100\n").expect("it is written");
    let import = ["import", "full.txt", "--list", "comercial", "--format", "ftc-full"];
    assert_eq!(folder.bajavoz(&import).code, 0);
    let other = folder.bajavoz(&["optout", "add", "600123457", "--list", "robinson", "--json"]);
    let other = other.json()[0]["record"].as_str().expect("it has a record").to_owned();
    let before = folder.bajavoz(&["optout", "export", "--json"]).out;
    #[rustfmt::skip]
    let cases: [(&str, i32, &[&str], &str); 8] = [
        ("nothing named",          2, &[],                                                 "--record"),
        ("all and a list",         2, &["--all", "--list", "promo"],                       "cannot be used with"),
        ("no record at all",       2, &["--record", "x-1"],                                "expected a record such as"),
        ("another number's",       2, &["--record", &other],                               "none of this number"),
        ("a list it is not on",    1, &["--list", "robinson"],                             "no such record refuses this number on list `robinson`"),
        ("a list that is none",    2, &["--list", "robinsn"],                              "did you mean `robinson`?"),
        ("no word of reason",      2, &["--all", "--reason", " "],                         "cannot be used multiple times"),
        ("too long an actor",      2, &["--all", "--actor", &"x".repeat(1025)],            "at most 1024 bytes"),
    ];
    for (name, code, args, want) in cases {
        let refused = reverse(args);
        assert_eq!(refused.code, code, "{name}: {} {}", refused.out, refused.errors);
        assert!(refused.errors.contains(want), "{name}: {}", refused.errors);
    }
    let blank = ["optout", "reverse", "600123456", "--all", "--reason", " ", "--yes"];
    assert!(folder.bajavoz(&blank).errors.contains("a reversal says why"));
    let registry = ["optout", "reverse", "+12015550100", "--all", "--reason", "a form", "--yes"];
    let registry = folder.bajavoz(&registry);
    assert_eq!(registry.code, 2);
    assert!(registry.errors.contains("of the registry `ftc`"), "{}", registry.errors);
    assert!(registry.errors.contains("optout reverse --import "), "{}", registry.errors);
    assert_eq!(folder.bajavoz(&["optout", "export", "--json"]).out, before);
    assert_eq!(reverse(&["--list", "promo"]).code, 0);
    let again = reverse(&["--list", "promo"]);
    assert_eq!(again.code, 1, "nothing is left to reverse: {}", again.errors);
}
