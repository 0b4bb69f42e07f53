//! What refuses whom: by acts, imports, ranges and scopes, one by one.

use std::convert::Infallible;

use super::ranges::ImportedRange;
use super::*;
use crate::model::RecordId;
use crate::model::WriterId;
use crate::suppression::base::Base;
use crate::suppression::base::Layer;
use crate::suppression::base::Source;
use crate::suppression::list::Scope;
use crate::suppression::range::Range;

fn number(digits: u64) -> Number {
    Number::from_e164_digits(digits).expect("the test's numbers are E.164")
}

fn record(seq: u64) -> RecordId {
    RecordId { writer: WriterId(1), seq }
}

fn lists() -> Vec<List> {
    let list = |name: &str, scope| List { name: name.into(), title: String::new(), scope };
    vec![
        list("global", Scope::Global),
        list("own", Scope::Account),
        list("spring", Scope::Campaign),
        list("themes", Scope::Topic),
    ]
}

/// An index of `lists()` and the mask of all of them.
fn index() -> (Index, ListMask) {
    let index = Index::new(&lists()).expect("the lists fit");
    let names: Vec<ListName> = lists().into_iter().map(|list| list.name).collect();
    let all = index.mask(&names).expect("they have their bits");
    (index, all)
}

#[test]
fn a_number_is_refused_from_the_press_on_and_named_after_the_commit() {
    let (index, all) = index();
    let (acme, promo) = (AccountName::from("acme"), CampaignName::from("promo"));
    let (ana, luis) = (number(34_600_000_001), number(34_600_000_002));
    let own = [ListName::from("own")];
    assert_eq!(index.check(ana, all, &acme, &promo), None);
    assert_eq!(index.block(ana, &own, &acme, &promo), Ok(false), "it was on no list before");
    let hit = index.check(ana, all, &acme, &promo).expect("refused before it is durable");
    assert_eq!((hit.list.as_str(), hit.record), ("own", None));
    assert_eq!(index.check(luis, all, &acme, &promo), None, "another number is not");
    index.settle(ana, &own, Some(&acme), Some(&promo), record(1)).expect("the list is known");
    let hit = index.check(ana, all, &acme, &promo).expect("still refused");
    assert_eq!(hit.record, Some(record(1)));
    assert_eq!(index.block(ana, &own, &acme, &promo), Ok(true), "it was on the list already");
    let hit = index.check(ana, all, &acme, &promo).expect("still refused");
    assert_eq!(hit.record, Some(record(1)), "a durable reason is named before a pending one");
    assert_eq!((index.explain(ana).len(), index.len()), (2, 1));
}

#[test]
fn an_entry_reaches_as_far_as_the_scope_of_its_list() {
    // list, account and campaign of the entry -> who is refused.
    #[rustfmt::skip]
    let cases = [
        ("a global list reaches all",            "global", Some(("acme", "promo")), "acme/promo acme/other rival/promo rival/spring"),
        ("an account's list reaches its own",    "own",    Some(("acme", "promo")), "acme/promo acme/other"),
        ("a campaign's list reaches that one",   "spring", Some(("acme", "promo")), "acme/promo rival/promo"),
        ("a topic's list reaches its topic",     "themes", Some(("acme", "promo")), "acme/promo rival/promo rival/spring"),
        ("and no other one",                     "themes", Some(("acme", "other")), "acme/other"),
        ("who is gone may have had any topic",   "themes", Some(("acme", "gone")),  "acme/promo acme/other rival/promo rival/spring"),
        ("as may an entry of no campaign",       "themes", None,                    "acme/promo acme/other rival/promo rival/spring"),
        ("an entry of nobody's reaches all",     "own",    None,                    "acme/promo acme/other rival/promo rival/spring"),
    ];
    for (name, list, of, want) in cases {
        let (index, all) = index();
        let (account, campaign) = of.unzip();
        let account = account.map(AccountName::from);
        let campaign = campaign.map(CampaignName::from);
        let lists = [ListName::from(list)];
        index
            .settle(number(1), &lists, account.as_ref(), campaign.as_ref(), record(1))
            .expect("the list is known");
        let energy = Some(TopicName::from("energy"));
        index.set_topics(Topics::from([
            ("promo".into(), energy.clone()),
            ("spring".into(), energy),
            ("other".into(), Some("insurance".into())),
        ]));
        let calls = [("acme", "promo"), ("acme", "other"), ("rival", "promo"), ("rival", "spring")];
        let got: Vec<String> = calls
            .into_iter()
            .filter(|(account, campaign)| {
                let (account, campaign) = ((*account).into(), (*campaign).into());
                index.check(number(1), all, &account, &campaign).is_some()
            })
            .map(|(account, campaign)| format!("{account}/{campaign}"))
            .collect();
        assert_eq!(got.join(" "), want, "{name}");
    }
}

#[test]
fn an_opt_out_holds_for_the_topic_under_which_it_was_made_whatever_is_edited() {
    let (index, all) = index();
    let topics = |promo: &str, spring: &str| {
        let topics = [("promo", promo), ("spring", spring)];
        let topics = topics.map(|(name, topic)| (name.into(), Some(topic.into())));
        index.set_topics(Topics::from(topics));
    };
    let is_refused =
        |campaign: &str| index.check(number(1), all, &"acme".into(), &campaign.into()).is_some();
    topics("energy", "energy");
    let (themes, promo) = ([ListName::from("themes")], CampaignName::from("promo"));
    index.block(number(1), &themes, &"acme".into(), &promo).expect("it is known");
    topics("gas", "energy");
    assert!(is_refused("spring"), "before it is durable");
    index.settle(number(1), &themes, Some(&"acme".into()), Some(&promo), record(1)).unwrap();
    assert!(is_refused("spring"), "and after");
    topics("gas", "gas");
    assert!(is_refused("spring"), "by what its campaign is about today");
    topics("gas", "insurance");
    assert!(!is_refused("spring"), "it was never about that");
    let hit = &index.explain(number(1))[0];
    assert!(index.concerns(hit, &"acme".into(), &promo));
    assert!(!index.concerns(hit, &"acme".into(), &"spring".into()));

    // As other nodes and later starts know it.
    let other = Index::new(&lists()).expect("the lists fit");
    let topics = [("promo", "gas"), ("spring", "energy")];
    let topics = topics.map(|(name, topic)| (name.into(), Some(topic.into())));
    other.set_topics(Topics::from(topics));
    let refuses = || other.check(number(1), all, &"acme".into(), &"spring".into()).is_some();
    other.settle(number(1), &themes, Some(&"acme".into()), Some(&promo), record(1)).unwrap();
    assert!(!refuses(), "a record without a topic says nothing of it");
    other.note_topic(number(1), record(1), &"energy".into());
    assert!(refuses());
    other.settle(number(1), &themes, Some(&"acme".into()), Some(&promo), record(1)).unwrap();
    assert!(refuses() && other.explain(number(1)).len() == 1, "it is one act all the same");
}

#[test]
fn an_act_outside_a_call_reaches_every_account() {
    let (index, all) = index();
    let own = [ListName::from("own")];
    index.block_beyond(number(1), &own, None, None).expect("the list is known");
    let check = |account: &str, campaign: &str| {
        index.check(number(1), all, &account.into(), &campaign.into()).map(|hit| hit.record)
    };
    assert_eq!((check("acme", "promo"), check("rival", "other")), (Some(None), Some(None)));
    index.settle(number(1), &own, None, None, record(1)).expect("the list is known");
    assert_eq!(check("rival", "other"), Some(Some(record(1))));
    assert_eq!(index.explain(number(1)).len(), 1);
}

#[test]
fn a_range_refuses_all_its_numbers_and_the_closest_answer_is_named() {
    let (index, all) = index();
    let (global, own) = (ListName::from("global"), ListName::from("own"));
    let range = |text: &str| text.parse::<Range>().expect("a range");
    index.set_ranges([(&global, range("+34*")), (&global, range("+34911*"))]).expect("known");
    let imported = |text: &str, list: &ListName| ImportedRange {
        range: range(text),
        list: list.clone(),
        account: Some("acme".into()),
        campaign: None,
        topic: None,
        record: record(5),
    };
    let entries = [imported("+349*", &global), imported("+44201-+44209", &own)];
    assert_eq!(index.mount_ranges(entries), 0);
    index.settle(number(34_911_000_009), &[global], None, None, record(1)).expect("known");
    let named = |digits: u64, account: &str| {
        let hit = index.check(number(digits), all, &account.into(), &"promo".into())?;
        let range = hit.range.map(|range| range.to_string()).unwrap_or_default();
        Some(format!("{} {range} {}", hit.list, hit.record.map_or(0, |record| record.seq)))
    };
    #[rustfmt::skip]
    let cases = [
        ("the closest of three",             34_911_000_001, "acme",  Some("global +34911* 0")),
        ("an import's between",              34_920_000_001, "acme",  Some("global +349* 5")),
        ("the widest where no other is",     34_600_000_001, "acme",  Some("global +34* 0")),
        ("the number itself before them",    34_911_000_009, "acme",  Some("global  1")),
        ("from one to another",              44_205,         "acme",  Some("own +44201-+44209 5")),
        ("as far as its list's scope",       44_205,         "rival", None),
        ("its last number",                  44_209,         "acme",  Some("own +44201-+44209 5")),
        ("beyond its last number",           44_210,         "acme",  None),
    ];
    for (name, digits, account, want) in cases {
        assert_eq!(named(digits, account).as_deref(), want, "{name}");
    }
    assert_eq!(index.explain(number(34_911_000_009)).len(), 4, "each is told of");
    assert_eq!(index.len(), 1, "a range is no number");
    let promo = CampaignName::from("promo");
    let already = index.block(number(44_205), &["own".into()], &"acme".into(), &promo);
    assert_eq!(already, Ok(false), "who stands there by a range alone opts out by themselves");
    index.set_ranges([]).expect("no list");
    index.mount_ranges([]);
    assert_eq!(named(34_911_000_001, "acme"), None, "a range that is gone refuses nobody");
}

#[test]
fn a_list_that_was_not_asked_about_refuses_nothing() {
    let (index, _) = index();
    let (acme, promo) = (AccountName::from("acme"), CampaignName::from("promo"));
    let spring = index.mask(&[ListName::from("spring")]).expect("it is known");
    index.block(number(1), &["own".into()], &acme, &promo).expect("it is known");
    assert_eq!(index.check(number(1), spring, &acme, &promo), None);
}

#[test]
fn settling_twice_or_without_a_block_leaves_one_reason() {
    let (index, _) = index();
    let (acme, promo) = (AccountName::from("acme"), CampaignName::from("promo"));
    let own = [ListName::from("own")];
    for _ in 0..2 {
        index.settle(number(1), &own, Some(&acme), Some(&promo), record(1)).expect("known");
        index.block(number(2), &own, &acme, &promo).expect("known");
    }
    index.settle(number(2), &own, Some(&acme), Some(&promo), record(2)).expect("known");
    assert_eq!((index.explain(number(1)).len(), index.explain(number(2)).len()), (1, 1));
}

#[test]
fn an_act_is_told_once_for_each_list_however_it_is_read() {
    let (index, _) = index();
    let (acme, promo) = (AccountName::from("acme"), CampaignName::from("promo"));
    let both = [ListName::from("global"), ListName::from("own")];
    let settle = |n: u64, lists: &[ListName]| {
        index.settle(number(n), lists, Some(&acme), Some(&promo), record(n)).expect("known");
    };
    let apart = |n| both.iter().for_each(|list| settle(n, std::slice::from_ref(list)));
    // By a journal, which has it whole, and by a table, which has a row for each list.
    settle(1, &both);
    apart(1);
    apart(2);
    settle(2, &both);
    // Its answer comes behind what the table has of it.
    index.block(number(3), &both, &acme, &promo).expect("known");
    apart(3);
    settle(3, &both);
    for n in 1..=3 {
        let told: Vec<_> =
            index.explain(number(n)).into_iter().map(|hit| (hit.list, hit.record)).collect();
        assert_eq!(told, both.clone().map(|list| (list, Some(record(n)))), "{n}");
    }
}

/// A layer: list, `account/campaign` or nothing, seq of the import, numbers.
type Import<'a> = (&'a str, &'a str, u64, &'a [u64]);

fn base(layers: &[Import<'_>]) -> Base {
    let sources = layers.iter().map(|&(list, of, seq, numbers)| {
        let (account, campaign) = of.split_once('/').unzip();
        Source {
            layer: Layer {
                list: list.into(),
                account: account.map(AccountName::from),
                campaign: campaign.map(CampaignName::from),
                topic: None,
                record: record(seq),
                segment: [0; 32],
            },
            numbers: numbers.iter().map(|&digits| Ok::<_, Infallible>(number(digits))),
        }
    });
    Base::build(sources).expect("the layers are sorted")
}

#[test]
fn imports_and_facts_refuse_together() {
    // What is imported, and what is on record of number 5 -> list and record of the refusal.
    #[rustfmt::skip]
    let cases: [(&str, &[Import<'_>], &[&str], &str); 9] = [
        ("nothing",                           &[],                                      &[],               "-"),
        ("another number is imported",        &[("global", "", 90, &[4, 6])],           &[],               "-"),
        ("an import alone",                   &[("own", "", 90, &[5])],                 &[],               "own 90"),
        ("its own record before an import",   &[("own", "", 90, &[5])],                 &["own"],          "own 1"),
        ("the first list before its own",     &[("global", "", 90, &[5])],              &["own"],          "global 90"),
        ("its own on the first list",         &[("own", "", 90, &[5])],                 &["global"],       "global 1"),
        ("two imports of a list",             &[("own", "", 90, &[5]), ("own", "", 91, &[5])], &[],        "own 91"),
        ("an import for another account",     &[("own", "rival/promo", 90, &[5])],      &[],               "-"),
        ("an import for the account",         &[("own", "acme/other", 90, &[5])],       &[],               "own 90"),
    ];
    let (acme, promo) = (AccountName::from("acme"), CampaignName::from("promo"));
    for (name, layers, facts, want) in cases {
        let (index, all) = index();
        assert_eq!(index.mount(base(layers)), 0, "{name}");
        for list in facts {
            let lists = [ListName::from(*list)];
            index.settle(number(5), &lists, None, None, record(1)).expect("it is known");
        }
        let hit = index.check(number(5), all, &acme, &promo);
        let got = hit.map_or_else(
            || "-".to_owned(),
            |hit| format!("{} {}", hit.list, hit.record.expect("it is durable").seq),
        );
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn explanations_and_figures_count_imports_and_facts() {
    let (index, all) = index();
    let (acme, promo) = (AccountName::from("acme"), CampaignName::from("promo"));
    let own = [ListName::from("own")];
    index.block(number(5), &own, &acme, &promo).expect("it is known");
    index.block(number(8), &own, &acme, &promo).expect("it is known");
    let first = ("global", "", 90, &[4, 5, 6][..]);
    index.mount(base(&[first, ("own", "acme/promo", 91, &[5])]));
    assert_eq!(index.len(), 4, "5 is counted once");
    let told: Vec<_> = index
        .explain(number(5))
        .into_iter()
        .map(|hit| (hit.list.as_str().to_owned(), hit.record.map(|record| record.seq)))
        .collect();
    let told: Vec<_> = told.iter().map(|(list, seq)| (list.as_str(), *seq)).collect();
    assert_eq!(told, [("global", Some(90)), ("own", Some(91)), ("own", None)]);
    assert_eq!(index.block(number(5), &own, &acme, &promo), Ok(true), "an import is durable");
    index.block(number(6), &own, &acme, &promo).expect("it is known");
    assert_eq!((index.len(), index.is_empty()), (4, false));

    // The import of the first layer is reversed: the base is built without it.
    index.mount(base(&[("own", "acme/promo", 91, &[5])]));
    assert_eq!(index.len(), 3);
    assert_eq!(index.check(number(4), all, &acme, &promo), None);
    assert!(index.check(number(6), all, &acme, &promo).is_some(), "by its own opt-out");
    index.mount(Base::default());
    assert_eq!((index.len(), index.explain(number(5)).len()), (3, 1));
}

#[test]
fn an_act_on_a_65th_list_refuses_on_those_that_are_known() {
    let index = Index::default();
    let names: Vec<ListName> =
        (0..64).map(|n| ListName::from(format!("list-{n}").as_str())).collect();
    let mask = index.mask(&names).expect("64 lists fit");
    let lists = [ListName::from("one-more"), names[3].clone()];
    let settled = index.settle(number(34_600_000_001), &lists, None, None, record(1));
    assert!(settled.is_err(), "it is told all the same");
    let hit = index.check(number(34_600_000_001), mask, &"acme".into(), &"spring".into());
    assert_eq!(hit.map(|hit| (hit.list, hit.record)), Some((names[3].clone(), Some(record(1)))));
}

#[test]
fn an_import_to_the_65th_list_is_left_out_and_counted() {
    let (index, _all) = index();
    let more: Vec<ListName> =
        (4..64).map(|n| ListName::from(format!("list-{n}").as_str())).collect();
    index.mask(&more).expect("64 lists fit");
    let all = index.mask([&ListName::from("global")]).expect("it is known");
    let layers: [Import<'_>; 2] = [("one-more", "", 90, &[5, 6]), ("global", "", 91, &[5])];
    assert_eq!(index.mount(base(&layers)), 1);
    let seq = |digits| {
        let hit = index.check(number(digits), all, &"acme".into(), &"promo".into());
        hit.and_then(|hit| hit.record).map(|record| record.seq)
    };
    assert_eq!((seq(5), seq(6)), (Some(91), None));
}

#[test]
fn calls_are_refused_while_bases_are_exchanged() {
    let (index, all) = index();
    let layers: [Import<'_>; 1] = [("global", "", 90, &[5])];
    index.mount(base(&layers));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for digits in 10..400 {
                let own = [ListName::from("own")];
                index.block_beyond(number(digits), &own, None, None).expect("it is known");
            }
        });
        scope.spawn(|| {
            for _ in 0..50 {
                let numbers: Vec<u64> = std::iter::once(5).chain(100..200).collect();
                index.mount(base(&[("global", "", 90, &numbers)]));
                index.mount(base(&layers));
            }
        });
        for _ in 0..5_000 {
            let hit = index.check(number(5), all, &"acme".into(), &"promo".into());
            assert!(hit.is_some(), "it is in every base");
        }
    });
    assert_eq!(index.len(), 391, "no number is counted twice or not at all");
    let numbers: Vec<u64> = (100..200).collect();
    index.mount(base(&[("global", "", 90, &numbers)]));
    assert_eq!(index.len(), 390);
}
