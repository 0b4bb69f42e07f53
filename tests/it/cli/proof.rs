//! A number's proof, from the store and from a running engine, and what becomes of it when it is
//! touched.

use std::fs;

use crate::cli::Running;
use crate::cli::folder::Folder;

/// Two people on record, `600123456` twice.
fn kept() -> Folder {
    let folder = Folder::shipped();
    for (number, list) in
        [("600123456", "comercial"), ("600123457", "comercial"), ("600123456", "robinson")]
    {
        let added =
            folder.bajavoz(&["optout", "add", number, "--list", list, "--reason", "letter"]);
        assert_eq!(added.code, 0, "{}", added.errors);
    }
    folder
}

#[test]
fn a_proof_is_written_checked_and_refused_once_touched() {
    let folder = kept();
    let written = folder.bajavoz(&["proof", "600 123 456", "--out", "proof.jsonl"]);
    assert_eq!(written.code, 0, "{}", written.errors);
    let again = folder.bajavoz(&["proof", "600123456", "--out", "proof.jsonl"]);
    assert_eq!(again.code, 2, "a file that is there is left alone: {}", again.out);
    let key = folder.bajavoz(&["proof", "--key"]);
    assert_eq!((key.code, key.out.trim().len()), (0, 64), "{}", key.errors);
    let verify = ["verify", "proof.jsonl", "--key", key.out.trim()];
    let verified = folder.bajavoz(&verify);
    assert_eq!(verified.code, 0, "{}{}", verified.out, verified.errors);
    for want in ["+34600123456", "holds      2 records", "robinson", "manual_cli", "letter"] {
        assert!(verified.out.contains(want), "{want}: {}", verified.out);
    }
    let lines = folder.bajavoz(&[&verify[..], &["--json"]].concat()).json();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[2]["faults"], &lines[2]["is_key_given"]), (&0.into(), &true.into()));

    let text = fs::read_to_string(folder.path("proof.jsonl")).unwrap();
    assert!(!text.contains("34600123457"), "a stranger's number leaves");
    folder.replace("proof.jsonl", "robinson", "robinsen");
    let touched = folder.bajavoz(&verify);
    assert_eq!(touched.code, 1, "{}{}", touched.out, touched.errors);
    // Two processes wrote them, whose streams stand in the order of their drawn names.
    let record = lines.iter().find(|line| line.to_string().contains("robinson")).unwrap();
    let record = record["record"].as_str().unwrap();
    assert!(touched.out.contains(record), "{record}: {}", touched.out);
    let fault = &folder.bajavoz(&["verify", "proof.jsonl", "--json"]).json()[0];
    assert_eq!((&fault["kind"], &fault["record"]), (&"fault".into(), &record.into()), "{fault}");
}

#[test]
fn several_files_are_checked_in_one_go_each_under_its_key_and_the_worst_is_the_answer() {
    let (madrid, vigo) = (kept(), kept());
    let key = |folder: &Folder| folder.bajavoz(&["proof", "--key"]).out.trim().to_owned();
    for (folder, name) in [(&madrid, "madrid.jsonl"), (&vigo, "vigo.jsonl")] {
        let written = folder.bajavoz(&["proof", "600123456", "--out", name]);
        assert_eq!(written.code, 0, "{}", written.errors);
    }
    fs::copy(vigo.path("vigo.jsonl"), madrid.path("vigo.jsonl")).expect("it is copied");
    let heads = madrid.bajavoz(&["proof", "--heads", "--out", "day.heads"]);
    assert_eq!(heads.code, 0, "{}", heads.errors);
    let (one, other) = (key(&madrid), key(&vigo));
    let files = ["verify", "madrid.jsonl", "vigo.jsonl", "day.heads"];
    let check = |args: &[&str]| madrid.bajavoz(&[&files[..], args].concat());
    for keys in [&["--key", &one, "--key", &other][..], &["--key", &other, "--key", &one], &[]] {
        let verified = check(keys);
        assert_eq!(verified.code, 0, "{}{}", verified.out, verified.errors);
        assert!(verified.out.ends_with("\n3 files: 3 whole, 0 not\n"), "{}", verified.out);
    }
    let strange = check(&["--key", &one]);
    assert_eq!(strange.code, 1, "{}{}", strange.out, strange.errors);
    assert!(strange.out.contains(&format!("signed under the key {one}")), "{}", strange.out);
    assert!(strange.out.ends_with("\n3 files: 2 whole, 1 not\n"), "{}", strange.out);
    let lines = check(&["--key", &one, "--json"]).json();
    let of_vigo: Vec<_> = lines.iter().filter(|line| line["file"] == "vigo.jsonl").collect();
    let (summary, faults) = of_vigo.split_last().expect("it is there");
    assert!(!faults.is_empty() && faults.iter().all(|line| line["kind"] == "fault"), "{lines:?}");
    assert_eq!(summary["faults"], faults.len(), "{lines:?}");
    assert!(
        strange.out.contains(&format!("vigo.jsonl: {} fault", faults.len())),
        "{}",
        strange.out
    );
    let total = lines.last().expect("it ends with the sum");
    assert_eq!(
        (&total["kind"], &total["files"], &total["whole"]),
        (&"total".into(), &3.into(), &2.into())
    );
    let gone = check(&["nowhere.jsonl", "config/bajavoz.toml"]);
    assert_eq!(gone.code, 2, "{}{}", gone.out, gone.errors);
    assert!(gone.errors.contains("cannot read `nowhere.jsonl`"), "{}", gone.errors);
    assert!(gone.out.ends_with("\n5 files: 3 whole, 2 not\n"), "{}", gone.out);
}

#[test]
fn a_number_of_an_import_is_proved_with_its_place() {
    let folder = Folder::shipped();
    fs::write(folder.path("numbers.txt"), "600123456\n600123459\n600123457\n").unwrap();
    let import = ["import", "numbers.txt", "--list", "robinson", "--source", "a letter"];
    let imported = folder.bajavoz(&import);
    assert_eq!(imported.code, 0, "{}{}", imported.out, imported.errors);
    let written = folder.bajavoz(&["proof", "600123459", "--out", "proof.jsonl"]);
    assert_eq!(written.code, 0, "{}", written.errors);
    let verified = folder.bajavoz(&["verify", "proof.jsonl"]);
    assert_eq!(verified.code, 0, "{}{}", verified.out, verified.errors);
    for want in ["import", "list       robinson", "a letter", "as number 2, counted from 0"] {
        assert!(verified.out.contains(want), "{want}: {}", verified.out);
    }
    let record = &folder.bajavoz(&["verify", "proof.jsonl", "--json"]).json()[0];
    assert_eq!(record["places"][0]["content"], "listed", "{record}");
    let text = fs::read_to_string(folder.path("proof.jsonl")).unwrap();
    assert!(!text.contains("600123457"), "a stranger's number leaves");
    folder.replace("proof.jsonl", "\"place\":2", "\"place\":1");
    assert_eq!(folder.bajavoz(&["verify", "proof.jsonl"]).code, 1);
    let store = folder.bajavoz(&["verify", "--store", "data"]);
    assert_eq!(store.code, 0, "{}{}", store.out, store.errors);
    assert!(store.out.contains("imports      1"), "{}", store.out);
}

#[test]
fn a_number_that_a_range_refuses_is_proved_by_the_import_that_has_it() {
    let folder = Folder::shipped();
    fs::write(folder.path("blocks.txt"), "+34803*\n+34911234000-+34911234999\n").unwrap();
    let import = ["import", "blocks.txt", "--list", "robinson", "--source", "the regulator"];
    let imported = folder.bajavoz(&import);
    assert_eq!(imported.code, 0, "{}{}", imported.out, imported.errors);
    let written = folder.bajavoz(&["proof", "803123456", "--out", "proof.jsonl"]);
    assert_eq!(written.code, 0, "{}", written.errors);
    let verified = folder.bajavoz(&["verify", "proof.jsonl"]);
    assert_eq!(verified.code, 0, "{}{}", verified.out, verified.errors);
    for want in
        ["import", "list       robinson", "the regulator", "listed     by the range +34803*\n"]
    {
        assert!(verified.out.contains(want), "{want}: {}", verified.out);
    }
    assert!(!verified.out.contains("+34911"), "{}", verified.out);
    let elsewhere = folder.bajavoz(&["proof", "911235000"]);
    assert_eq!((elsewhere.code, elsewhere.out.as_str()), (1, ""), "{}", elsewhere.errors);
}

#[test]
fn what_cannot_be_proved_or_read_is_said() {
    let folder = Folder::shipped();
    let nothing = folder.bajavoz(&["proof", "600123456"]);
    assert_eq!(nothing.code, 2, "there is no store: {}", nothing.errors);
    assert!(!folder.path("data").exists(), "no store was made");
    let folder = kept();
    let nobody = folder.bajavoz(&["proof", "600999999"]);
    assert_eq!((nobody.code, nobody.out.as_str()), (1, ""), "{}", nobody.errors);
    for args in [
        &["verify", "nowhere.jsonl"][..],
        &["verify", "config/bajavoz.toml"],
        &["verify", "--store", "config"],
        &["verify"],
        &["verify", "x", "--key", "ab"],
        &["proof"],
    ] {
        let ran = folder.bajavoz(args);
        assert_eq!(ran.code, 2, "{args:?}: {}{}", ran.out, ran.errors);
    }
}

#[test]
fn a_running_engine_proves_what_it_has_just_heard() {
    let folder = kept();
    let _engine = Running::start(&folder);
    let add = ["optout", "add", "600123458", "--list", "comercial", "--json"];
    let record = folder.bajavoz(&add).json()[0]["record"].clone();
    let proof = folder.bajavoz(&["proof", "600123458"]);
    assert_eq!(proof.code, 0, "{}", proof.errors);
    fs::write(folder.path("proof.jsonl"), &proof.out).unwrap();
    let status = &folder.bajavoz(&["status", "--json"]).json()[0];
    let key = status["proof_key"].as_str().expect("the engine has a key");
    assert_eq!(folder.bajavoz(&["proof", "--key"]).out.trim(), key);
    let verified = folder.bajavoz(&["verify", "proof.jsonl", "--key", key, "--json"]);
    assert_eq!(verified.code, 0, "{}{}", verified.out, verified.errors);
    assert_eq!(verified.json()[0]["record"], record);
    let held = folder.bajavoz(&["verify", "--store", "data"]);
    assert_eq!(held.code, 4, "{}{}", held.out, held.errors);
}

#[test]
fn a_copied_store_is_verified_and_a_touched_row_named() {
    let folder = kept();
    let whole = folder.bajavoz(&["verify", "--store", "data"]);
    assert_eq!(whole.code, 0, "{}{}", whole.out, whole.errors);
    assert!(whole.out.contains("opt-outs     3"), "{}", whole.out);
    let bundled = &folder.bajavoz(&["verify", "--store", "data", "--json"]).json()[0];
    assert_eq!((&bundled["faults"], &bundled["store"]["unsigned"]), (&0.into(), &0.into()));
    let journal = fs::read_dir(folder.path("data/journal")).unwrap();
    let segment = journal.map(|entry| entry.unwrap().path()).find(|path| {
        path.extension().is_some_and(|it| it == "journal") && path.metadata().unwrap().len() > 4200
    });
    let segment = segment.expect("a segment has records");
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.windows(9).position(|octets| octets == b"\"lists\":[").unwrap();
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let touched = folder.bajavoz(&["verify", "--store", "data"]);
    assert_eq!(touched.code, 1, "{}{}", touched.out, touched.errors);
    let name = segment.file_name().unwrap().to_string_lossy().into_owned();
    let writer = name.split('-').next().unwrap();
    assert!(touched.out.contains(&format!("journal, record {writer}-")), "{}", touched.out);
}

#[test]
fn heads_that_were_kept_elsewhere_tell_of_a_store_that_lost_its_end() {
    let folder = kept();
    let before = folder.path("before");
    let copied = folder.bajavoz(&["backup", "before"]);
    assert_eq!(copied.code, 0, "{}{}", copied.out, copied.errors);
    let add = ["optout", "add", "600123460", "--list", "comercial"];
    assert_eq!(folder.bajavoz(&add).code, 0);
    let heads = folder.bajavoz(&["proof", "--heads", "--out", "day.heads"]);
    assert_eq!(heads.code, 0, "{}{}", heads.out, heads.errors);
    assert!(heads.out.contains("`bajavoz verify --store DIR --heads FILE`"), "{}", heads.out);
    let by_itself = folder.bajavoz(&["verify", "day.heads"]);
    assert_eq!(by_itself.code, 0, "{}{}", by_itself.out, by_itself.errors);
    assert!(by_itself.out.contains("day.heads: heads, as they were written"), "{}", by_itself.out);
    let other = folder.bajavoz(&["verify", "config/bajavoz.toml"]);
    assert_eq!(other.code, 2, "{}{}", other.out, other.errors);
    assert!(other.errors.contains("is no bundle of `bajavoz proof`"), "{}", other.errors);
    let whole = folder.bajavoz(&["verify", "--store", "data", "--heads", "day.heads"]);
    assert_eq!(whole.code, 0, "{}{}", whole.out, whole.errors);
    let path = before.to_string_lossy().into_owned();
    assert_eq!(folder.bajavoz(&["verify", "--store", &path]).code, 0, "nothing in it tells");
    let lost = folder.bajavoz(&["verify", "--store", &path, "--heads", "day.heads"]);
    assert_eq!(lost.code, 1, "{}{}", lost.out, lost.errors);
    assert!(lost.out.contains("it is missing"), "{}", lost.out);
    assert!(lost.out.contains("a copy from before that lacks what came later"), "{}", lost.out);
    folder.replace("day.heads", "\"version\":1", "\"version\":2");
    let none = folder.bajavoz(&["verify", "--store", "data", "--heads", "day.heads"]);
    assert_eq!(none.code, 2, "{}{}", none.out, none.errors);
}
