//! The suppression lists, and whether they fit the campaigns that use them.

use std::collections::BTreeMap;

use toml::Spanned;

use super::Check;
use crate::campaign::{Mode, OnStale};
use crate::config::checked::{List, ListKind, RegistryRule, Scope};
use crate::config::diagnostic::Diagnostic;
use crate::config::draft::{Draft, Located};
use crate::config::file;
use crate::model::ListName;
use crate::suppression::list::ListTable;

impl Check<'_> {
    /// All lists.
    pub(super) fn lists(&mut self, draft: &Draft) -> BTreeMap<ListName, List> {
        self.count_lists(draft);
        let mut lists = BTreeMap::new();
        for (name, table) in &draft.lists {
            let Some(table) = table else { continue };
            let list = self.list(name, table);
            lists.insert(list.name.clone(), list);
        }
        lists
    }

    fn list(&mut self, name: &str, table: &Located<file::List>) -> List {
        let registry = self.registry(table);
        List {
            name: name.into(),
            title: table.value.title.clone().unwrap_or_else(|| name.to_owned()),
            scope: table.value.scope,
            direction: table.value.direction,
            ranges: table.value.ranges.get_ref().clone(),
            registry,
            origin: table.at.origin(),
        }
    }

    /// The index knows lists by the bits of a mask.
    fn count_lists(&mut self, draft: &Draft) {
        let max = ListTable::LISTS_MAX;
        let beyond = draft.lists.values().flatten().nth(max);
        if let (true, Some(list)) = (draft.lists.len() > max, beyond) {
            let count = draft.lists.len();
            let message = format!("there are more than {max} lists");
            self.report(
                Diagnostic::error("E-RANGE", message, list.at.clone())
                    .label(format!("this is one of {count}"))
                    .hint("entries of several lists of one scope can share a list"),
            );
        }
    }

    /// The rule of a registry; what only a registry or only another list has is reported.
    fn registry(&mut self, table: &Located<file::List>) -> Option<RegistryRule> {
        let file::List { kind, max_age_days, on_stale, ranges, .. } = &table.value;
        if *kind.get_ref() == ListKind::Registry {
            if !ranges.get_ref().is_empty() {
                let place = table.place(ranges.span());
                self.report(
                    Diagnostic::error("E-LIST-KIND", "a registry has no ranges of ours", place)
                        .label("its entries are imported alone")
                        .also(table.place(kind.span()), "because of this kind")
                        .hint("put them on a list of your own, and check that too"),
                );
            }
            return Some(RegistryRule {
                max_age_days: max_age_days.as_ref().map(|days| *days.get_ref()),
                on_stale: on_stale.as_ref().map_or(OnStale::Refuse, |on_stale| *on_stale.get_ref()),
            });
        }
        let max_age = max_age_days.as_ref().map(|typed| ("max-age-days", typed.span()));
        let on_stale = on_stale.as_ref().map(|typed| ("on-stale", typed.span()));
        for (key, span) in max_age.into_iter().chain(on_stale) {
            let message = format!("`{key}` is for registries");
            self.report(
                Diagnostic::error("E-LIST-KIND", message, table.place(span))
                    .label("nothing would use it")
                    .hint("leave it out, or say kind = \"registry\""),
            );
        }
        None
    }

    /// A registry is somebody else's: no key adds to it.
    pub(super) fn may_grow(
        &mut self,
        draft: &Draft,
        table: &Located<file::Campaign>,
        typed: &Spanned<String>,
    ) {
        let Some(Some(list)) = draft.lists.get(typed.get_ref()) else { return };
        if *list.value.kind.get_ref() == ListKind::Own {
            return;
        }
        let place = table.place(typed.span());
        self.report(
            Diagnostic::error("E-LIST-REGISTRY", "a key cannot add to a registry", place)
                .label("its entries are imported alone")
                .also(list.place(list.value.kind.span()), "because of this kind")
                .hint("add to a list of your own"),
        );
    }

    /// An entry of a list of scope `topic` reaches a campaign by its topic.
    pub(super) fn has_topic(
        &mut self,
        draft: &Draft,
        table: &Located<file::Campaign>,
        typed: &Spanned<String>,
    ) {
        let Some(Some(list)) = draft.lists.get(typed.get_ref()) else { return };
        if list.value.scope != Scope::Topic || table.value.topic.is_some() || !table.is_whole {
            return;
        }
        let message = "this campaign has no topic";
        self.report(
            Diagnostic::error("E-TOPIC-NONE", message, table.place(typed.span()))
                .label("the list is one of topics")
                .also(list.at.clone(), "because of its scope")
                .hint("say what the campaign is about: topic = \"energy\""),
        );
    }

    /// Whoever is called and presses a code is not called again by that campaign: one of the lists
    /// that the code adds to must count for calls to its numbers. Who calls in may opt out of calls
    /// of any kind.
    pub(super) fn keeps_word(
        &mut self,
        draft: &Draft,
        table: &Located<file::Campaign>,
        add_to: &[Spanned<String>],
    ) {
        let Some(first) = add_to.first() else { return };
        let mut inbound = add_to.iter().map(|typed| {
            // What is not defined was reported, and may count for anything.
            let list = draft.lists.get(typed.get_ref())?.as_ref()?;
            (!list.value.direction.counts(false)).then_some(list)
        });
        let is_calling = matches!(table.value.subject, file::Subject::Calling);
        let (false, Some(Some(list))) = (is_calling, inbound.next()) else { return };
        if inbound.any(|list| list.is_none()) {
            return;
        }
        let message = "whoever presses this code is called again all the same";
        self.report(
            Diagnostic::error("E-CODE-DIRECTION", message, table.place(first.span()))
                .label(match add_to.len() {
                    1 => "it counts for inbound calls alone",
                    _ => "this list and the others count for inbound calls alone",
                })
                .also(list.at.clone(), "by its direction")
                .hint(
                    "add to a list for outbound calls too, or give this one direction = \"both\"",
                ),
        );
    }

    /// A list that is checked should count for calls of the campaign.
    pub(super) fn has_direction(
        &mut self,
        draft: &Draft,
        table: &Located<file::Campaign>,
        typed: &Spanned<String>,
    ) {
        let Some(Some(list)) = draft.lists.get(typed.get_ref()) else { return };
        let is_inbound = matches!(table.value.subject, file::Subject::Calling);
        let is_dialled = *table.value.mode.get_ref() == Mode::Bridge || !is_inbound;
        let direction = list.value.direction;
        let counts = is_inbound && direction.counts(true) || is_dialled && direction.counts(false);
        if counts {
            return;
        }
        let message = if is_inbound {
            "nobody who calls in is looked for on this list"
        } else {
            "nobody who is called is looked for on this list"
        };
        self.report(
            Diagnostic::warning("W-CHECK-DIRECTION", message, table.place(typed.span()))
                .label(format!("it counts for {} calls alone", direction.as_str()))
                .also(list.at.clone(), "by its direction")
                .hint("take it out of `check`, or give the list direction = \"both\""),
        );
    }
}
