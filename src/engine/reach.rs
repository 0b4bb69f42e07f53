//! How far opt-outs reach by a configuration, and what a newer one takes away of that.
//!
//! A person's wish is kept in a record; how far it reaches is said by the lists' scopes and
//! directions, the campaigns' topics, and what campaigns check. Who edits one of these may let
//! people be called who were promised not to be: that is a warning, whatever was meant by it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use super::finding::Finding;
use super::rules::counting_lists;
use super::rules::scope_of;
use crate::campaign::Origin;
use crate::config::Checked;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::TopicName;
use crate::suppression::Scope;
use crate::suppression::list::Direction;

/// The code of all that is found here.
const CODE: &str = "W-REACH-NARROWER";

/// How far opt-outs reach by a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    lists: BTreeMap<ListName, ListReach>,
    campaigns: BTreeMap<CampaignName, CampaignReach>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ListReach {
    scope: Scope,
    direction: Direction,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CampaignReach {
    topic: Option<TopicName>,
    /// Checked for a number that is called.
    called: Vec<ListName>,
    /// Checked for a number that calls.
    calling: Vec<ListName>,
}

impl Reach {
    /// By `checked`.
    pub fn of(checked: &Checked) -> Self {
        let lists = checked.lists.values().map(|list| {
            let reach = ListReach { scope: scope_of(list.scope), direction: list.direction };
            (list.name.clone(), reach)
        });
        let campaigns = checked.campaigns.iter().map(|campaign| {
            let reach = CampaignReach {
                topic: campaign.topic.clone(),
                called: counting_lists(checked, campaign, false),
                calling: counting_lists(checked, campaign, true),
            };
            (campaign.name.clone(), reach)
        });
        Self { lists: lists.collect(), campaigns: campaigns.collect() }
    }

    /// Whom `newer` lets be called, or call, who is refused by this one: a warning for each place
    /// that says so.
    pub fn narrowed_by(&self, newer: &Checked) -> Vec<Finding> {
        let after = Self::of(newer);
        let mut found = Vec::new();
        for (name, before) in &self.lists {
            let Some(list) = newer.lists.get(name) else {
                found.push(gone(name));
                continue;
            };
            let scope = scope_of(list.scope);
            if !covers(scope, before.scope) {
                let message = format!("entries of list `{name}` reach fewer campaigns than before");
                let hint = format!(
                    "it was scope = \"{}\", and is \"{}\": whoever opted out was promised the former",
                    scope_name(before.scope),
                    scope_name(scope),
                );
                found.push(warning(&list.origin, message, hint));
            }
            let is_less = |is_inbound| {
                before.direction.counts(is_inbound) && !list.direction.counts(is_inbound)
            };
            if is_less(false) || is_less(true) {
                let message = format!("list `{name}` counts for fewer calls than before");
                let hint = format!(
                    "it was direction = \"{}\", and is \"{}\"",
                    before.direction.as_str(),
                    list.direction.as_str(),
                );
                found.push(warning(&list.origin, message, hint));
            }
        }
        for campaign in newer.campaigns.iter() {
            let known = self.campaigns.get(&campaign.name).zip(after.campaigns.get(&campaign.name));
            let Some((before, now)) = known else { continue };
            found.extend(before.narrowed(now, newer, &campaign.name, &campaign.origin));
        }
        found
    }
}

impl CampaignReach {
    fn narrowed(
        &self,
        now: &Self,
        newer: &Checked,
        name: &CampaignName,
        origin: &Origin,
    ) -> Vec<Finding> {
        let mut found = Vec::new();
        let checks_topics = now.called.iter().chain(&now.calling).any(|list| {
            newer.lists.get(list).is_some_and(|list| scope_of(list.scope) == Scope::Topic)
        });
        if let Some(topic) = now.topic.as_ref().filter(|_topic| checks_topics)
            && self.topic.as_ref() != Some(topic)
        {
            let was = self.topic.as_ref().map_or_else(
                || "it had no topic, so that entries of all topics reached it".to_owned(),
                |was| format!("it was topic = \"{was}\", and is \"{topic}\""),
            );
            let message = format!("fewer entries of topics reach campaign `{name}` than before");
            found.push(warning(origin, message, was));
        }
        let mut dropped: Vec<&ListName> = Vec::new();
        for (before, now, is_inbound) in
            [(&self.called, &now.called, false), (&self.calling, &now.calling, true)]
        {
            // What a list's own direction takes away is said of the list.
            let counts = |list: &&ListName| {
                newer.lists.get(*list).is_some_and(|list| list.direction.counts(is_inbound))
            };
            dropped.extend(before.iter().filter(|list| !now.contains(list)).filter(counts));
        }
        dropped.sort_unstable();
        dropped.dedup();
        for list in dropped {
            let message = format!("campaign `{name}` no longer checks list `{list}`");
            let hint = "whoever is on that list may be called by it";
            found.push(warning(origin, message, hint.to_owned()));
        }
        found
    }
}

/// Whether entries of scope `now` reach at least whom they reach with scope `before`.
fn covers(now: Scope, before: Scope) -> bool {
    now == before || now == Scope::Global || before == Scope::Campaign
}

const fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Global => "global",
        Scope::Account => "account",
        Scope::Topic => "topic",
        Scope::Campaign => "campaign",
    }
}

fn gone(list: &ListName) -> Finding {
    let message = format!("list `{list}` is gone: it refuses nobody any more");
    Finding::of_no_place(
        CODE,
        &message,
        "its entries stay on record; bring the list back to have \
        them refuse again",
    )
}

fn warning(origin: &Origin, message: String, hint: String) -> Finding {
    Finding::at(CODE, origin, &message, &hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rooms::checked_from;

    const BASE: &str = r#"
        [node]
        default-region = "ES"
        [listen.main]
        bind = "127.0.0.1:5060"
        [dialers.local]
        allow = ["127.0.0.1"]
        [prompts]
        dir = "AUDIO"
        [lists.all]
        scope = "global"
        [lists.own]
        scope = "account"
        direction = "both"
        [lists.themes]
        scope = "topic"
        [campaigns.promo]
        account = "acme"
        mode = "ivr"
        topic = "energy"
        match.dialer = ["local"]
        check = ["all", "themes"]
        codes."9".add-to = ["own"]
    "#;

    /// Its name, what is put in place of what, and what is told.
    type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

    #[test]
    fn what_gets_narrower_is_named_and_nothing_else_is() {
        let before = Reach::of(&checked_from(BASE));
        #[rustfmt::skip]
        let cases: [Case; 10] = [
            ("nothing",                  &[], ""),
            ("an account's to all",      &[("scope = \"account\"", "scope = \"global\"")], ""),
            ("all to an account's",      &[("scope = \"global\"", "scope = \"account\"")],
                "a.toml:10 entries of list `all` reach fewer campaigns than before"),
            ("both ways to one",         &[("direction = \"both\"", "direction = \"outbound\"")],
                "a.toml:12 list `own` counts for fewer calls than before"),
            ("one way to both",          &[("[lists.all]", "[lists.all]\ndirection = \"both\"")], ""),
            ("another topic",            &[("topic = \"energy\"", "topic = \"gas\"")],
                "a.toml:17 fewer entries of topics reach campaign `promo` than before"),
            ("a topic's to a campaign's", &[("scope = \"topic\"", "scope = \"campaign\"")],
                "a.toml:15 entries of list `themes` reach fewer campaigns than before"),
            ("a list that is not checked any more", &[("check = [\"all\", ", "check = [")],
                "a.toml:17 campaign `promo` no longer checks list `all`"),
            ("a list that is gone",      &[("[lists.all]\n        scope = \"global\"", "\n"), ("check = [\"all\", ", "check = [")],
                ":0 list `all` is gone: it refuses nobody any more"),
            ("a campaign that is gone",  &[("campaigns.promo", "campaigns.spring")], ""),
        ];
        for (name, edits, want) in cases {
            let text = edits.iter().fold(BASE.to_owned(), |text, (from, to)| {
                assert!(text.contains(from), "{name}");
                text.replace(from, to)
            });
            let found = before.narrowed_by(&checked_from(&text));
            let told = |it: &Finding| format!("{}:{} {}", it.file, it.line, it.message);
            let found: Vec<String> = found.iter().map(told).collect();
            assert_eq!(found.join("\n"), want, "{name}");
        }
    }
}
