//! People are told what the gate does: by every ground that it has, in both directions.

use std::time::Duration;

use super::*;
use crate::engine::rooms::checked_from;
use crate::engine::rules;
use crate::net::clock;
use crate::suppression::Freshness;

const LISTS: &str = r#"
    [node]
    default-region = "ES"
    [listen.main]
    bind = "127.0.0.1:5060"
    [dialers.local]
    allow = ["127.0.0.1"]
    [trunks.carrier]
    host = "127.0.0.1:5070"
    [prompts]
    dir = "AUDIO"
    [lists.out]
    scope = "global"
    ranges = ["+3*", "+34803*"]
    [lists.in]
    scope = "global"
    direction = "inbound"
    [lists.us]
    scope = "global"
    kind = "registry"
"#;

/// Campaigns, and what each has of its own.
const CAMPAIGNS: [(&str, &str); 4] = [
    ("promo", r#"check = ["out"]"#),
    ("brave", "check = [\"out\"]\non-stale = \"call\""),
    ("far", r#"check = ["us"]"#),
    ("desk", "check = [\"in\"]\nsubject = \"calling\""),
];

fn checked() -> Checked {
    let mut text = LISTS.to_owned();
    for (user, (name, own)) in CAMPAIGNS.iter().enumerate() {
        text += &format!(
            r#"
            [campaigns.{name}]
            account = "acme"
            mode = "bridge"
            route = ["carrier"]
            match.from-user = ["{user}"]
            codes."9".add-to = ["out"]
            {own}
            "#
        );
    }
    checked_from(&text)
}

/// The configuration, and an index that has it.
fn configured() -> (Checked, Index) {
    let (checked, index) = (checked(), Index::default());
    rules::configure(&index, &checked).expect("few lists");
    (checked, index)
}

fn number(text: &str) -> Number {
    Number::from_record(text).unwrap_or_else(|| panic!("{text}"))
}

fn explained(checked: &Checked, index: &Index, campaign: &str, number: Number) -> Explanation {
    let campaign = checked.campaigns.get(&campaign.into()).expect("it is configured");
    let at = Moment { now: clock::now(), today: clock::unix_now() };
    explain(&Question { checked, index, campaign, number, entries: &[], at }).expect("few lists")
}

#[test]
fn the_answer_is_that_of_the_gate() {
    let checked = checked();
    let fresh = Freshness::Until(clock::now() + Duration::from_secs(600));
    let (alone, never) = (Freshness::Alone, Freshness::Never);
    let stale = Freshness::Until(clock::now() - Duration::from_millis(1));
    #[rustfmt::skip]
    let cases = [
        ("nobody's number",             "promo", "+5511900000001", alone, None),
        ("one on a list",               "promo", "+34600000001",   alone, Some(Ground::Suppressed)),
        ("a short code",                "promo", "ES:1004",        alone, Some(Ground::ShortCode)),
        ("a node that follows",         "promo", "+5511900000001", fresh, None),
        ("one that does not any more",  "promo", "+5511900000001", stale, Some(Ground::Stale)),
        ("on a list all the same",      "promo", "+34600000001",   stale, Some(Ground::Suppressed)),
        ("who calls all the same",      "brave", "+5511900000001", stale, None),
        ("though not without knowing",  "brave", "+5511900000001", never, Some(Ground::Stale)),
        ("a registry never imported",   "far",   "+5511900000001", alone, Some(Ground::StaleRegistry)),
        ("who calls, and is on a list", "desk",  "+5511900000002", alone, Some(Ground::Suppressed)),
        ("whom they call, and is too",  "desk",  "+34600000001",   alone, Some(Ground::Suppressed)),
        ("who calls from anywhere",     "desk",  "+5511900000001", stale, None),
        ("a short code that is dialled", "desk", "ES:1004",        alone, Some(Ground::ShortCode)),
    ];
    for (name, campaign, text, freshness, want) in cases {
        let index = Index::default();
        rules::configure(&index, &checked).expect("few lists");
        index.block_beyond(number("+5511900000002"), &["in".into()], None, None).expect("known");
        index.set_freshness(freshness);
        let told = explained(&checked, &index, campaign, number(text));
        assert_eq!(told.ground, want, "{name}");
        assert_eq!(told.verdict == Verdict::MayCall, want.is_none(), "{name}");
    }
}

#[test]
fn the_lists_of_both_directions_are_looked_at_once_each() {
    let (checked, index) = configured();
    let looked_at = |campaign: &str| {
        let told = explained(&checked, &index, campaign, number("+5511900000001"));
        told.lists.iter().map(|look| look.list.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(looked_at("promo"), "out");
    assert_eq!(looked_at("desk"), "in out");
}

#[test]
fn the_closest_range_is_the_one_that_is_named() {
    let (checked, index) = configured();
    let told = explained(&checked, &index, "promo", number("+34803000001"));
    let hit = told.lists[0].hit.as_ref().expect("it is in two ranges");
    assert_eq!(hit.range.as_deref(), Some("+34803*"));
    let text = told.to_string();
    assert!(text.contains("REFUSED by list `out`\n"), "a list that has no other title: {text}");
    assert!(text.contains("by the range +3* in") && text.contains("by the range +34803* in"));
}
