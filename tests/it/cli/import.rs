//! Files of numbers onto lists, as people do it: with and without an engine, whole and broken.

use std::fs;
use std::process::Command;

use super::Running;
use super::folder::Folder;

/// The exit code of `explain` for a number: 0 may be called, 1 must not.
fn explained(folder: &Folder, number: &str) -> i32 {
    folder.bajavoz(&["explain", number, "--campaign", "promo-otono"]).code
}

fn write(folder: &Folder, name: &str, text: &str) {
    fs::write(folder.path(name), text).expect("it can be written");
}

#[test]
fn a_file_is_weighed_then_imported_once_and_told_when_it_comes_again() {
    let folder = Folder::shipped();
    let text = "nombre;teléfono\nAna;600123456\nLuis;+34 600 123 457\nAna;0034600123456\nEva;12\n";
    write(&folder, "bajas.csv", text);
    let args = ["import", "bajas.csv", "--list", "comercial", "--source", "a fair"];
    let dry = folder.bajavoz(&[&args[..], &["--dry-run", "--rejects", "no.csv"]].concat());
    assert_eq!(dry.code, 0, "{}", dry.errors);
    for want in [
        "csv, 4 lines",
        "listed     2 numbers on `comercial`",
        "twice      1 line",
        "rejected   1 line: 1 with a short code of no named region; each is in no.csv",
        "nothing was imported",
    ] {
        assert!(dry.out.contains(want), "{want}: {}", dry.out);
    }
    assert!(!folder.path("data").exists(), "no store was made");
    let rejects = fs::read_to_string(folder.path("no.csv")).expect("it was kept");
    assert!(rejects.lines().nth(1).is_some_and(|line| line.starts_with("5,short_code,")));
    let done = folder.bajavoz(&[&args[..], &["--json"]].concat());
    assert_eq!(done.code, 0, "{}", done.errors);
    let first = &done.json()[0];
    assert_eq!((&first["numbers"], &first["is_earlier"]), (&2.into(), &false.into()), "{first}");
    assert_eq!((explained(&folder, "600123456"), explained(&folder, "600123458")), (1, 0));
    let why = folder.bajavoz(&["explain", "600123457", "--campaign", "promo-otono"]).out;
    assert!(why.contains("imported") && why.contains("a fair"), "{why}");
    let again = &folder.bajavoz(&[&args[..], &["--json"]].concat()).json()[0];
    assert_eq!((&again["is_earlier"], &again["record"]), (&true.into(), &first["record"]));
    let told = folder.bajavoz(&args).out;
    assert!(told.contains("nothing to do: this file was imported at"), "{told}");
    assert!(told.contains("; --as-of with a later day takes it again"), "{told}");
    let other = Folder::shipped();
    write(&other, "bajas.csv", text);
    let of = |day: &str| other.bajavoz(&[&args[..], &["--as-of", day]].concat());
    assert!(of("2020-10-31").out.contains("imported as record"));
    assert!(of("2020-10-30").out.contains(" as of 2020-10-31, record "), "which day that was");
    let to_come = of("2999-01-01");
    assert_eq!((to_come.code, to_come.errors.contains("found 2999-01-01")), (2, true));
}

#[test]
fn another_column_of_the_same_file_is_imported_and_each_of_them_once() {
    let folder = Folder::shipped();
    write(&folder, "two.csv", "phone,mobile\n600123456,600123457\n600123458,600123459\n");
    let import = |more: &[&str]| {
        let args = ["import", "two.csv", "--list", "comercial", "--json"];
        let done = folder.bajavoz(&[&args[..], more].concat());
        assert_eq!(done.code, 0, "{}", done.errors);
        let done = done.json()[0].clone();
        (done["is_earlier"].as_bool().expect("it says"), done["record"].clone())
    };
    let phone = ["--column", "phone", "--source", "a fair", "--as-of", "2026-11-01"];
    let (_new, of_phone) = import(&phone);
    assert_eq!(explained(&folder, "600123457"), 0);
    let mobile = ["--column", "mobile"];
    assert!(!import(&[&mobile[..], &["--dry-run"]].concat()).0, "weighed by its numbers");
    let (is_earlier, of_mobile) = import(&mobile);
    assert_eq!((is_earlier, explained(&folder, "600123457")), (false, 1));
    for (args, record) in
        [(&phone[..], &of_phone), (&["--column", "1"], &of_phone), (&mobile, &of_mobile)]
    {
        assert_eq!(import(&[args, &["--dry-run"]].concat()), (true, record.clone()));
        assert_eq!(import(args), (true, record.clone()));
    }
    // What was exported too.
    let export = folder.bajavoz(&["optout", "export", "--imports"]).out;
    let other = Folder::shipped();
    write(&other, "export.csv", &export);
    for is_earlier in [false, true] {
        let done = other.bajavoz(&["import", "export.csv", "--json"]).json()[0].clone();
        assert_eq!(done["is_earlier"].as_bool(), Some(is_earlier), "{done}");
    }
}

#[test]
fn no_file_of_yours_is_written_over() {
    let folder = Folder::shipped();
    write(&folder, "bajas.txt", "600123456\n12\n");
    let config = "config/bajavoz.toml";
    let was = fs::read_to_string(folder.path(config)).expect("it is shipped");
    let import = ["import", "bajas.txt", "--list", "robinson"];
    for (rejects, want) in
        [("bajas.txt", "is the file that is imported"), (config, "there already")]
    {
        for dry in [&["--dry-run"][..], &[]] {
            let ran = folder.bajavoz(&[&import[..], &["--rejects", rejects], dry].concat());
            assert_eq!((ran.code, ran.errors.contains(want)), (2, true), "{rejects}: {ran:?}");
        }
    }
    assert!(!folder.path("data").exists(), "nothing was imported");
    for _again in 0..2 {
        assert_eq!(folder.bajavoz(&[&import[..], &["--rejects", "no.csv"]].concat()).code, 0);
        let sheet = ["optout", "export", "--imports", "--format", "xlsx", "--output", "all.xlsx"];
        let ran = folder.bajavoz(&sheet);
        assert_eq!(ran.code, 0, "{}", ran.errors);
    }
    let ran = folder.bajavoz(&["optout", "export", "--format", "xlsx", "--output", config]);
    assert_eq!((ran.code, ran.errors.contains("there already")), (2, true), "{ran:?}");
    let left = |name: &str| fs::read_to_string(folder.path(name)).expect("it is there");
    assert_eq!((left("bajas.txt").as_str(), left(config)), ("600123456\n12\n", was));
}

#[test]
fn what_is_no_whole_file_changes_nothing_and_says_so() {
    let folder = Folder::shipped();
    write(&folder, "empty.txt", "\n");
    write(&folder, "words.txt", "one\ntwo\n");
    write(&folder, "cut.txt", "02073787244\r\n0207378");
    write(&folder, "one.txt", "600123456\n");
    #[rustfmt::skip]
    let cases = [
        ("an empty file",      &["import", "empty.txt", "--list", "robinson"][..],                   "the file is empty"),
        ("no number",          &["import", "words.txt", "--list", "robinson"],                       "none of the 2 lines"),
        ("a cut registry",     &["import", "cut.txt", "--list", "robinson", "--format", "tps"],      "the file is cut"),
        ("too few lines",      &["import", "one.txt", "--list", "robinson", "--expect", "2"],        "expected 2 lines, found 1"),
        ("no file",            &["import", "none.txt", "--list", "robinson"],                        "none.txt"),
        ("an unknown list",    &["import", "one.txt", "--list", "robinsn"],                          "did you mean `robinson`?"),
        ("an unknown account", &["import", "one.txt", "--list", "robinson", "--account", "acne"],    "did you mean `acme`?"),
        ("an unknown region",  &["import", "one.txt", "--list", "robinson", "--region", "XX"],       "ISO 3166"),
        ("no list",            &["import", "one.txt"],                                               "--list"),
    ];
    for (name, args, want) in cases {
        let ran = folder.bajavoz(args);
        assert_eq!(ran.code, 2, "{name}: {}", ran.errors);
        assert!(ran.errors.contains(want), "{name}: {}", ran.errors);
    }
    assert!(!folder.path("data").exists(), "no store was made");
    let empty = folder.bajavoz(&["import", "empty.txt", "--list", "robinson"]).errors;
    assert_eq!(empty, "bajavoz: `empty.txt` was not imported: the file is empty\n", "said once");
}

#[test]
fn a_registry_changes_by_its_own_lists_and_never_an_opt_out() {
    let folder = Folder::shipped();
    let full: String = (0..40).map(|n| format!("201,55501{n:02}\n")).collect();
    write(&folder, "full.txt", &full);
    write(&folder, "shrunk.txt", "201,5550100\n");
    write(&folder, "mine.txt", "+12015550102\n");
    write(&folder, "change.txt", "201,5550199,A\n201,5550100,D\n201,5550101,D\n201,5550102,D\n");
    let import = |file, format| {
        let args = ["import", file, "--list", "comercial", "--format", format];
        folder.bajavoz(&args)
    };
    let add = ["optout", "add", "+12015550101", "--list", "comercial"];
    assert_eq!(folder.bajavoz(&add).code, 0);
    for (file, format) in [("full.txt", "ftc-full"), ("mine.txt", "txt")] {
        let done = import(file, format);
        assert_eq!(done.code, 0, "{}", done.errors);
    }
    let shrunk = import("shrunk.txt", "ftc-full");
    assert_eq!(shrunk.code, 2);
    assert!(shrunk.errors.contains("expected about 40 lines"), "{}", shrunk.errors);
    assert_eq!(explained(&folder, "+12015550100"), 1);
    let changed = import("change.txt", "ftc-change");
    assert!(changed.out.contains("taken off  3 numbers of this registry"), "{}", changed.out);
    #[rustfmt::skip]
    let want = [
        ("deleted from the registry",      "+12015550100", 0),
        ("deleted, but somebody opted out", "+12015550101", 1),
        ("deleted, but on a list of ours", "+12015550102", 1),
        ("still on the registry",          "+12015550103", 1),
        ("added to it",                    "+12015550199", 1),
    ];
    for (name, number, code) in want {
        assert_eq!(explained(&folder, number), code, "{name}");
    }
    let again =
        folder.bajavoz(&["import", "change.txt", "--list", "comercial", "--format", "ftc-change"]);
    assert!(again.out.contains("nothing to do"), "{}", again.out);
    let of_list = folder.bajavoz(&["optout", "export", "--list", "comercial"]).out;
    assert_eq!(of_list.lines().count(), 1 + 1 + 39 - 2 + 1 + 1, "{of_list}");
    assert_eq!(folder.bajavoz(&["optout", "export"]).out.lines().count(), 2, "who opted out");
    let shown = folder.bajavoz(&["optout", "show", "+12015550102"]).out;
    assert_eq!(shown.matches("\nrecord ").count() + 1, 2, "what holds, and what was: {shown}");
    assert_eq!(shown.matches("refused    by comercial").count(), 1, "only one holds: {shown}");
    let off = "(taken off by the registry's change list), record ";
    assert_eq!(shown.matches(off).count(), 1, "{shown}");
    let shown = folder.bajavoz(&["optout", "show", "+12015550100"]);
    assert_eq!((shown.code, shown.out.contains(off)), (0, true), "nothing else is: {shown:?}");
    let why = folder.bajavoz(&["explain", "+12015550100", "--campaign", "promo-otono"]).out;
    assert!(why.contains("imported") && why.contains("REVERSED on"), "{why}");
    assert!(why.contains("taken off by the registry's change list"), "{why}");
}

#[test]
fn a_running_engine_refuses_at_once_what_is_imported() {
    let folder = Folder::shipped();
    let engine = Running::start(&folder);
    write(&folder, "bajas.txt", "600123456\n600123457\n");
    assert_eq!(explained(&folder, "600123457"), 0);
    let args = ["import", "bajas.txt", "--list", "comercial", "--actor", "ana"];
    let dry = folder.bajavoz(&[&args[..], &["--dry-run"]].concat());
    assert_eq!((dry.code, explained(&folder, "600123457")), (0, 0), "{}", dry.errors);
    let done = folder.bajavoz(&args);
    assert_eq!(done.code, 0, "{}", done.errors);
    assert_eq!(explained(&folder, "600123457"), 1);
    let again = folder.bajavoz(&args);
    assert!(again.out.contains("nothing to do"), "{} {}", again.out, again.errors);
    drop(engine);
    assert_eq!(explained(&folder, "600123456"), 1, "the next process knows it too");
    let shown = folder.bajavoz(&["optout", "show", "600123456"]).out;
    assert!(shown.contains("actor      ana"), "{shown}");
    for segment in fs::read_dir(folder.path("data/segments")).expect("it is there") {
        let path = segment.expect("it can be listed").path();
        if path.extension().is_some_and(|extension| extension == "seg") {
            fs::remove_file(path).expect("it can be removed");
        }
    }
    let refused = folder.bajavoz(&["run"]);
    assert_eq!(refused.code, 2, "{}", refused.errors);
    assert!(refused.errors.contains("segment"), "{}", refused.errors);
}

#[test]
fn what_is_exported_is_imported_to_the_same_state() {
    let folder = Folder::shipped();
    write(&folder, "bajas.txt", "600123456\n+12015550100\n+390612345678\n");
    assert_eq!(folder.bajavoz(&["import", "bajas.txt", "--list", "comercial"]).code, 0);
    let add = ["optout", "add", "600123499", "--list", "comercial", "--reason", "=1+1"];
    assert_eq!(folder.bajavoz(&add).code, 0);
    let said = folder.bajavoz(&["optout", "export"]);
    assert_eq!(said.out.lines().count(), 2, "what somebody said");
    assert!(said.errors.starts_with("left out: 1 import; --imports"), "{}", said.errors);
    let all = folder.bajavoz(&["optout", "export", "--imports"]);
    assert_eq!((all.out.lines().count(), all.errors.as_str()), (5, ""), "who is refused");
    let table = folder.bajavoz(&["optout", "export", "--list", "comercial"]).out;
    assert!(table.contains("\"'=1+1\"") && table.contains("\"+390612345678\""), "{table}");
    for (args, want) in
        [(&["--format", "xlsx"][..], "--output FILE"), (&["--output", "a.csv"], "--format xlsx")]
    {
        let refused = folder.bajavoz(&[&["optout", "export"], args].concat());
        assert_eq!((refused.code, refused.errors.contains(want)), (2, true), "{}", refused.errors);
    }
    let sheet = ["--list", "comercial", "--format", "xlsx", "--output", "export.xlsx"];
    let told = folder.bajavoz(&[&["optout", "export"][..], &sheet].concat()).out;
    assert_eq!(told, "4 rows in export.xlsx\n");
    assert!(fs::read(folder.path("export.xlsx")).is_ok_and(|file| file.starts_with(b"PK")));
    let other = Folder::shipped();
    write(&other, "export.csv", &table);
    let done = other.bajavoz(&["import", "export.csv", "--list", "comercial"]);
    assert_eq!(done.code, 0, "{}", done.errors);
    assert!(done.out.contains("listed     4 numbers"), "{}", done.out);
    for (number, code) in [
        ("600123456", 1),
        ("+12015550100", 1),
        ("+390612345678", 1),
        ("600123499", 1),
        ("600123457", 0),
    ] {
        assert_eq!((explained(&folder, number), explained(&other, number)), (code, code));
    }
}

#[test]
fn a_registry_is_kept_by_daily_lists_however_few_files_may_be_open() {
    let folder = Folder::shipped();
    write(&folder, "full.txt", &(0..70).map(|n| format!("201,55501{n:02}\n")).collect::<String>());
    let import = |file: &str, format| {
        // The hard limit too, so that it cannot be raised again.
        let args = ["import", file, "--list", "comercial", "--format", format];
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 48; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_bajavoz")]);
        command.args(args).current_dir(folder.path("."));
        let output = command.output().expect("it starts");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{file}: {errors}");
    };
    import("full.txt", "ftc-full");
    for day in 0..60 {
        // Each day takes off one number of the full list and what the day before listed.
        let yesterday = 200 + (day + 99) % 100;
        let text = format!(
            "201,555{:04},A\n201,55501{day:02},D\n201,555{yesterday:04},D\n",
            200 + day % 100
        );
        write(&folder, "day.txt", &text);
        import("day.txt", "ftc-change");
    }
    fs::remove_file(folder.path("data/base.snapshot")).expect("the next start makes it anew");
    for (number, code) in [
        ("+12015550100", 0),
        ("+12015550159", 0),
        ("+12015550160", 1),
        ("+12015550258", 0),
        ("+12015550259", 1),
    ] {
        assert_eq!(explained(&folder, number), code, "{number}");
    }
}

#[test]
fn a_wrong_import_is_taken_back_as_a_whole_and_may_come_again() {
    let folder = Folder::shipped();
    write(&folder, "wrong.txt", "600123456\n600123457\n+34803*\n");
    let import = ["import", "wrong.txt", "--list", "robinson", "--json"];
    assert_eq!(folder.bajavoz(&["optout", "add", "600123457", "--list", "robinson"]).code, 0);
    let record =
        folder.bajavoz(&import).json()[0]["record"].as_str().expect("it has one").to_owned();
    let take_back = |more: &[&str]| {
        let args = ["optout", "reverse", "--import", record.as_str(), "--reason", "the wrong file"];
        folder.bajavoz(&[&args[..], more].concat())
    };
    let all = |want: [i32; 3]| {
        let got = ["600123456", "600123457", "+34803111222"].map(|it| explained(&folder, it));
        assert_eq!(got, want);
    };
    all([1, 1, 1]);
    let rehearsed = take_back(&[]);
    assert_eq!(rehearsed.code, 0, "{}", rehearsed.errors);
    assert!(rehearsed.out.contains("2 numbers and 1 range on `robinson`"), "{}", rehearsed.out);
    all([1, 1, 1]);
    {
        let _engine = Running::start(&folder);
        let done = take_back(&["--yes", "--actor", "ana"]);
        assert_eq!(done.code, 0, "{}", done.errors);
        assert!(done.out.contains("taken back by record"), "{}", done.out);
        all([0, 1, 0]);
        let again = take_back(&["--yes"]);
        assert!(again.code == 1 && again.errors.contains("taken back before"), "{}", again.errors);
    }
    all([0, 1, 0]);
    let shown = folder.bajavoz(&["optout", "show", "600123456"]).out;
    assert!(shown.contains("by ana (the wrong file)"), "{shown}");
    let proof = folder.bajavoz(&["proof", "600123456", "--out", "proof.jsonl"]);
    assert_eq!(proof.code, 0, "{}", proof.errors);
    let verified = folder.bajavoz(&["verify", "proof.jsonl"]).out;
    assert!(verified.contains(&format!("withdraws  {record}")), "{verified}");
    assert_eq!(folder.bajavoz(&["backup", "copy"]).code, 0);
    assert_eq!(folder.bajavoz(&["verify", "--store", "copy"]).code, 0);
    let later = &folder.bajavoz(&import).json()[0];
    assert_eq!(later["is_earlier"], false, "what was taken back was not imported: {later}");
    all([1, 1, 1]);
    for (record, want) in [("0123456789abcdef-42", "is no import"), ("x", "expected")] {
        let args = ["optout", "reverse", "--import", record, "--reason", "why", "--yes"];
        let refused = folder.bajavoz(&args);
        assert!(refused.code == 2 && refused.errors.contains(want), "{}", refused.errors);
    }
    let both = ["optout", "reverse", "600123456", "--import", &record, "--reason", "why"];
    assert_eq!(folder.bajavoz(&both).code, 2);
}
