//! Lists of every kind as people meet them on the command line: topics, ranges, registries and
//! short codes.

use std::fs;

use super::folder::Folder;

/// What is shipped, with `lists` beside and `campaign` at the top of the campaign promo-otono.
fn with(lists: &str, campaign: &str) -> Folder {
    let folder = Folder::shipped();
    fs::write(folder.path("config/lists.toml"), lists).expect("it can be written");
    let file = "config/campaigns/10-promo-otono.toml";
    let checked = "check = [\"robinson\", \"comercial\", \"promo\"]";
    folder.replace(file, checked, campaign);
    // A store, so that there is something to ask.
    let added = folder.bajavoz(&["optout", "add", "600999999", "--list", "comercial"]);
    assert_eq!(added.code, 0, "{}", added.errors);
    folder
}

fn explained(folder: &Folder, number: &str) -> (i32, String) {
    let ran = folder.bajavoz(&["explain", number, "--campaign", "promo-otono"]);
    assert!(ran.errors.is_empty(), "{}", ran.errors);
    (ran.code, ran.out)
}

#[test]
fn an_opt_out_of_a_topic_reaches_its_campaigns_and_no_others() {
    let lists = "[lists.themes]\ntitle = \"Themes\"\nscope = \"topic\"\n";
    let folder = with(lists, "check = [\"themes\"]\ntopic = \"energy\"");
    let other = "config/campaigns/20-encuesta.toml";
    folder.replace(other, "check = [\"robinson\", \"comercial\"]", "topic = \"energy\"");
    let add = ["optout", "add", "600123456", "--list", "themes", "--campaign", "encuesta"];
    let added = folder.bajavoz(&add);
    assert_eq!(added.code, 0, "{}", added.errors);
    let (code, why) = explained(&folder, "600123456");
    assert_eq!(code, 1, "{why}");
    assert!(why.contains("an entry reaches the campaigns of its topic"), "{why}");
    folder.replace(other, "topic = \"energy\"", "topic = \"insurance\"");
    let (code, why) = explained(&folder, "600123456");
    assert_eq!(code, 1, "a wish holds for what it was made about: {why}");
    let add = ["optout", "add", "600123457", "--list", "themes", "--campaign", "encuesta"];
    assert_eq!(folder.bajavoz(&add).code, 0);
    let (code, why) = explained(&folder, "600123457");
    assert_eq!(code, 0, "{why}");
    assert!(why.contains("it does not reach this campaign"), "{why}");
}

#[test]
fn a_range_refuses_by_configuration_and_by_import_and_is_named() {
    let lists = "[lists.premium]\nscope = \"global\"\nranges = [\"+34803*\"]\n";
    let folder = with(lists, "check = [\"premium\"]");
    let (code, why) = explained(&folder, "803123456");
    assert_eq!(code, 1, "{why}");
    assert!(why.contains("by the range +34803* in the list's table"), "{why}");
    let text = "+34911234000-+34911234999\n600123456\n+34*800\n";
    fs::write(folder.path("more.txt"), text).expect("it can be written");
    let import = ["import", "more.txt", "--list", "premium", "--source", "a block"];
    let done = folder.bajavoz(&import);
    assert!(done.out.contains("ranges     1 range on `premium`"), "{} {}", done.out, done.errors);
    assert!(done.out.contains("1 line: 1"), "what is no range is told: {}", done.out);
    let (code, why) = explained(&folder, "911234567");
    assert_eq!(code, 1, "{why}");
    assert!(why.contains("by the range +34911234000-+34911234999: \"a block\""), "{why}");
    assert_eq!(explained(&folder, "911235000").0, 0);
    let shown = folder.bajavoz(&["optout", "show", "911234567"]);
    assert!(shown.out.contains("a block"), "{}", shown.out);
}

#[test]
fn a_registry_is_filled_by_imports_and_too_old_without_them() {
    let lists = "[lists.us]\nscope = \"global\"\nkind = \"registry\"\n";
    let folder = with(lists, "check = [\"us\"]");
    let (code, why) = explained(&folder, "+12015550100");
    assert_eq!(code, 1, "{why}");
    assert!(why.contains("the registry was never imported: calls"), "{why}");
    let check = || folder.bajavoz(&["check"]);
    let told = "  ATTENTION, registry `us`: the registry was never imported: calls";
    assert!(check().out.contains(told), "{}", check().out);
    let added = folder.bajavoz(&["optout", "add", "+12015550100", "--list", "us"]);
    assert_eq!(added.code, 2, "{}", added.out);
    assert!(added.errors.contains("list `us` is a registry's"), "{}", added.errors);
    fs::write(folder.path("full.txt"), "201,5550101\n").expect("it can be written");
    fs::write(folder.path("today.txt"), "201,5550102\n").expect("it can be written");
    let import = |file, more: &[&str]| {
        let args = ["import", file, "--list", "us", "--format", "ftc-full"];
        let done = folder.bajavoz(&[&args[..], more].concat());
        assert_eq!(done.code, 0, "{}", done.errors);
    };
    import("full.txt", &["--as-of", "2020-01-01"]);
    let (code, why) = explained(&folder, "+12015550100");
    assert_eq!(code, 1, "{why}");
    assert!(why.contains("days old, at most 31: calls"), "{why}");
    import("today.txt", &[]);
    let (code, why) = explained(&folder, "+12015550100");
    assert_eq!(code, 0, "{why}");
    assert!(why.contains("the registry is 0 days old, at most 31\n"), "{why}");
    let told = "  registry `us`: the registry is 0 days old, at most 31\n";
    assert!(check().out.contains(told), "{}", check().out);
    let json = folder.bajavoz(&["check", "--json"]).json();
    assert_eq!((&json[0]["kind"], &json[0]["age_days"]), (&"registry".into(), &0.into()));
    assert_eq!(json[1]["kind"], "summary", "it stays the last line");
    assert_eq!(explained(&folder, "+12015550101").0, 1, "who is listed is refused all the while");
}

#[test]
fn a_short_code_stands_on_a_list_in_its_region() {
    let folder = Folder::shipped();
    let added = folder.bajavoz(&["optout", "add", "1004", "--list", "comercial", "--json"]);
    assert_eq!(added.code, 0, "{}", added.errors);
    assert_eq!(added.json()[0]["number"], "ES:1004");
    for (number, refused) in [("1004", true), ("ES:1004", true), ("MX:1004", false)] {
        let (code, why) = explained(&folder, number);
        assert_eq!(code, 1, "{why}");
        assert!(why.contains("It is a short code, which no campaign calls (403)."), "{why}");
        assert_eq!(why.contains("REFUSED by list `comercial`"), refused, "{why}");
    }
    let exported = folder.bajavoz(&["optout", "export", "--list", "comercial"]);
    assert!(exported.out.contains("\"ES:1004\""), "{}", exported.out);
    assert_eq!(folder.bajavoz(&["optout", "add", "112", "--list", "comercial"]).code, 2);
}
