//! People are told what the gate does: by every ground that it has, in both directions.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::config;
use crate::config::Source;
use crate::engine::Rooms;
use crate::engine::rules;
use crate::net::clock;
use crate::suppression::Freshness;

const CONFIG: &str = r#"
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
    [campaigns.promo]
    account = "acme"
    mode = "bridge"
    route = ["carrier"]
    match.from-user = ["1"]
    check = ["out"]
    codes."9".add-to = ["out"]
    [campaigns.brave]
    account = "acme"
    mode = "bridge"
    route = ["carrier"]
    match.from-user = ["2"]
    check = ["out"]
    on-stale = "call"
    codes."9".add-to = ["out"]
    [campaigns.far]
    account = "acme"
    mode = "bridge"
    route = ["carrier"]
    match.from-user = ["3"]
    check = ["us"]
    codes."9".add-to = ["out"]
    [campaigns.desk]
    account = "acme"
    mode = "bridge"
    subject = "calling"
    route = ["carrier"]
    match.from-user = ["4"]
    check = ["in"]
    codes."9".add-to = ["out"]
"#;

fn checked() -> Checked {
    let text = CONFIG.replace("AUDIO", concat!(env!("CARGO_MANIFEST_DIR"), "/audio"));
    config::check(&[Source::new("a.toml", text)], Path::new("/"), &Rooms)
        .unwrap_or_else(|faults| panic!("{faults:?}"))
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
    let checked = checked();
    let index = Index::default();
    rules::configure(&index, &checked).expect("few lists");
    let looked_at = |campaign: &str| {
        let told = explained(&checked, &index, campaign, number("+5511900000001"));
        told.lists.iter().map(|look| look.list.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(looked_at("promo"), "out");
    assert_eq!(looked_at("desk"), "in out");
}

#[test]
fn the_closest_range_is_the_one_that_is_named() {
    let checked = checked();
    let index = Index::default();
    rules::configure(&index, &checked).expect("few lists");
    let told = explained(&checked, &index, "promo", number("+34803000001"));
    let hit = told.lists[0].hit.as_ref().expect("it is in two ranges");
    assert_eq!(hit.range.as_deref(), Some("+34803*"));
    let text = told.to_string();
    assert!(text.contains("by the range +3* in") && text.contains("by the range +34803* in"));
}
