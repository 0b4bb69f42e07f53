//! What is exported imports again to the same state, by the program itself: several reasons of one
//! number, accounts, campaigns, imports and reversals.

use std::fs;
use std::path::Path;

use bajavoz::model::ListName;
use bajavoz::model::Number;
use bajavoz::store::Archive;
use bajavoz::suppression::Index;
use bajavoz::suppression::List;
use bajavoz::suppression::Scope;

use super::Running;
use super::folder::Folder;

const NUMBERS: [&str; 9] = [
    "+34600123456",
    "+34600123457",
    "+12015550100",
    "+390612345678",
    "ES:1004",
    "MX:030",
    "+34803123456",
    "+34911234567",
    "+34911234568",
];

/// Who is refused on which list for which account and campaign, by what is on disk.
fn state(folder: &Folder) -> Vec<String> {
    let scopes =
        [("robinson", Scope::Global), ("comercial", Scope::Account), ("promo", Scope::Campaign)];
    let lists = scopes.map(|(name, scope)| List { name: name.into(), title: String::new(), scope });
    let index = Index::new(&lists).expect("so many lists fit");
    let (archive, _recovered) =
        Archive::open_exclusive(&folder.path("data")).expect("nobody else has it");
    archive.reader().and_then(|reader| reader.fill(&index)).expect("the store is whole");
    let mut refused = Vec::new();
    for text in NUMBERS {
        let number = Number::from_record(text).expect("it is a number");
        for (list, _scope) in scopes {
            let mask = index.mask([&ListName::from(list)]).expect("it has its bit");
            for (account, campaign) in [
                ("acme", "promo-otono"),
                ("acme", "encuesta"),
                ("rival", "promo-otono"),
                ("rival", "encuesta"),
            ] {
                let hit = index.check(number, mask, &account.into(), &campaign.into());
                refused.extend(hit.map(|_hit| format!("{text} {list} {account} {campaign}")));
            }
        }
    }
    refused
}

/// A store with several reasons for one number, an import and two reversals.
fn filled() -> Folder {
    let folder = Folder::shipped();
    fs::write(folder.path("bajas.txt"), "600123456\n+12015550100\nMX:030\n+390612345678\n")
        .expect("it can be written");
    fs::write(folder.path("blocks.txt"), "+34803*\n+34911234000-+34911234999\n")
        .expect("it can be written");
    #[rustfmt::skip]
    let verbs: [&[&str]; 10] = [
        &["import", "bajas.txt", "--list", "robinson", "--source", "a \"fair\", 2026"],
        &["import", "blocks.txt", "--list", "comercial", "--account", "acme"],
        &["optout", "reverse", "911234567", "--list", "comercial", "--reason", "his own", "--yes"],
        &["optout", "add", "600123456", "--list", "comercial,robinson", "--account", "acme", "--reason", "=1+1"],
        &["optout", "add", "600123456", "--list", "promo", "--campaign", "promo-otono"],
        &["optout", "add", "600123457", "--list", "comercial,promo", "--campaign", "encuesta"],
        &["optout", "add", "600123457", "--list", "robinson"],
        &["optout", "add", "1004", "--list", "comercial", "--account", "acme"],
        &["optout", "reverse", "600123457", "--list", "promo,robinson", "--reason", "a form", "--yes"],
        &["optout", "reverse", "+12015550100", "--all", "--reason", "not his number", "--yes"],
    ];
    for verb in verbs {
        let ran = folder.bajavoz(verb);
        assert_eq!(ran.code, 0, "{verb:?}: {}", ran.errors);
    }
    folder
}

/// Exports what `filter` says to the file `to`: a spreadsheet is written there, text is printed.
fn exported(folder: &Folder, filter: &[&str], form: &str, to: &Path) {
    let mut export = [&["optout", "export", "--format", form], filter].concat();
    if form == "xlsx" {
        export.extend(["--output", to.to_str().expect("the path is text")]);
    }
    let done = folder.bajavoz(&export);
    assert_eq!(done.code, 0, "{form}: {}", done.errors);
    if form != "xlsx" {
        fs::write(to, done.out).expect("it can be written");
    }
}

#[test]
fn every_list_accounts_campaigns_and_reversals_come_back() {
    let folder = filled();
    let want = state(&folder);
    assert!(want.contains(&"+34600123456 promo acme promo-otono".to_owned()), "{want:?}");
    assert!(!want.iter().any(|line| line.starts_with("+12015550100")), "{want:?}");
    assert!(want.contains(&"+34803123456 comercial acme encuesta".to_owned()), "{want:?}");
    assert!(want.contains(&"+34911234568 comercial acme encuesta".to_owned()), "{want:?}");
    assert!(!want.iter().any(|line| line.starts_with("+34911234567")), "{want:?}");
    assert!(want.contains(&"ES:1004 comercial acme encuesta".to_owned()), "{want:?}");
    assert!(want.contains(&"MX:030 robinson rival encuesta".to_owned()), "{want:?}");
    for form in ["csv", "jsonl", "xlsx"] {
        let other = Folder::shipped();
        let engine = (form == "jsonl").then(|| Running::start(&other));
        for list in ["robinson", "comercial", "promo"] {
            let name = format!("{list}.{form}");
            exported(&folder, &["--list", list], form, &other.path(&name));
            let done = other.bajavoz(&["import", &name]);
            assert_eq!(done.code, 0, "{}", done.errors);
            assert!(
                done.out.contains(": export, ") && done.out.contains(" on disk"),
                "{}",
                done.out
            );
            let again = other.bajavoz(&["import", &name]);
            assert!(again.out.contains("nothing to do: this file was imported"), "{}", again.out);
        }
        let shown = other.bajavoz(&["optout", "show", "600123456"]).out;
        assert!(shown.contains("campaign   promo-otono"), "{shown}");
        assert!(shown.contains("reason     said on 20"), "{shown}");
        drop(engine);
        assert_eq!(state(&other), want, "{form}");
    }
}

#[test]
fn an_opt_out_on_a_list_of_topics_holds_for_its_topic_in_another_store_whatever_is_edited() {
    let about = |folder: &Folder, topic: &str, other: &str| {
        let lists = "[lists.temas]\nscope = \"topic\"\n\n[lists.robinson]";
        folder.replace("config/bajavoz.toml", "[lists.robinson]", lists);
        for (file, account, topic) in
            [("20-encuesta.toml", "acme", topic), ("10-promo-otono.toml", "rival", other)]
        {
            let file = format!("config/campaigns/{file}");
            folder.replace(&file, "check = [", "check = [\"temas\", ");
            let now = format!("account = \"{account}\"\ntopic = \"{topic}\"");
            folder.replace(&file, "account = \"acme\"", &now);
        }
    };
    let folder = Folder::shipped();
    about(&folder, "surveys", "surveys");
    let add = ["optout", "add", "600777891", "--list", "temas", "--campaign", "encuesta"];
    assert_eq!(folder.bajavoz(&add).code, 0);
    for form in ["csv", "jsonl", "xlsx"] {
        let name = format!("all.{form}");
        let other = Folder::shipped();
        // The campaign of the opt-out is about something else today, and the other is as it was.
        about(&other, "energy", "surveys");
        exported(&folder, &[], form, &other.path(&name));
        let done = other.bajavoz(&["import", &name]);
        assert!(done.out.contains("in campaign `encuesta` about `surveys`"), "{done:?}");
        for campaign in ["encuesta", "promo-otono"] {
            let told = other.bajavoz(&["explain", "600777891", "--campaign", campaign]);
            assert_eq!(told.code, 1, "{form} {campaign}: {told:?}");
        }
    }
}

#[test]
fn an_export_goes_on_one_list_where_one_is_named_and_without_lists_nothing_is_guessed() {
    let folder = filled();
    let export = folder.bajavoz(&["optout", "export", "--list", "comercial"]).out;
    let other = Folder::shipped();
    fs::write(other.path("export.csv"), &export).expect("it can be written");
    let dry = other.bajavoz(&["import", "export.csv", "--dry-run"]);
    assert_eq!(dry.code, 0, "{}", dry.errors);
    assert!(
        dry.out.contains("2 numbers and 3 ranges on `comercial` for account `acme`"),
        "{}",
        dry.out
    );
    assert!(!other.path("data").exists(), "no store was made");
    let one = other.bajavoz(&["import", "export.csv", "--list", "robinson"]);
    assert!(one.out.contains("listed     3 numbers on `robinson`"), "{} {}", one.out, one.errors);
    assert!(one.out.contains("ranges     3 ranges on `robinson`"), "{} {}", one.out, one.errors);
    let gone = export.replace("comercial", "gone");
    fs::write(other.path("gone.csv"), gone).expect("it can be written");
    let refused = other.bajavoz(&["import", "gone.csv"]);
    assert_eq!((refused.code, refused.errors.contains("no list `gone`")), (2, true), "{refused:?}");
    let account = other.bajavoz(&["import", "export.csv", "--account", "acme"]);
    assert_eq!((account.code, account.errors.contains("--list")), (2, true), "{account:?}");
    let cut = &export[..export.len() - 1];
    fs::write(other.path("cut.csv"), cut).expect("it can be written");
    let cut = other.bajavoz(&["import", "cut.csv"]);
    assert_eq!((cut.code, cut.errors.contains("the file is cut")), (2, true), "{cut:?}");
}
