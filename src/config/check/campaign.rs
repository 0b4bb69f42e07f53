//! The campaigns: that each can be reached, knows its lists, codes and prompts, and lets the
//! person out.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::Spanned;

use super::Check;
use crate::campaign::{
    Campaign, Campaigns, Clash, ClashOn, CodePrompts, Confirm, Greeting, Listening, Match, Mode,
    OnStale, PromptName, ResponseCode, Subject,
};
use crate::config::checked::{Limits, Scope};
use crate::config::diagnostic::Diagnostic;
use crate::config::draft::{Draft, Located};
use crate::config::file;
use crate::config::source::Place;
use crate::model::{Digits, ListName};

type Table = Located<file::Campaign>;

impl Check<'_> {
    /// All campaigns; `None` where one of them cannot be built or two claim the same calls.
    pub(super) fn campaigns(&mut self, draft: &Draft, limits: Option<Limits>) -> Option<Campaigns> {
        self.open_shelf(draft);
        let mut campaigns = Vec::new();
        for (name, table) in &draft.campaigns {
            let Some(table) = table else { continue };
            campaigns.push(self.campaign(draft, name, table, limits));
        }
        match Campaigns::new(campaigns) {
            Ok(campaigns) => Some(campaigns),
            Err(clashes) => {
                for clash in &clashes {
                    self.report_clash(draft, clash);
                }
                None
            }
        }
    }

    fn campaign(
        &mut self,
        draft: &Draft,
        name: &str,
        table: &Table,
        limits: Option<Limits>,
    ) -> Campaign {
        let typed = &table.value;
        let language = self.language(draft, table);
        let codes = self.codes(draft, table, language);
        let check = self.lists_checked(draft, table, &codes);
        self.lets_out(table, &codes);
        self.by_mode(draft, table);
        let call_max = self.call_max(table, limits);
        Campaign {
            name: name.into(),
            account: typed.account.as_str().into(),
            topic: typed.topic.as_ref().map(|topic| topic.get_ref().as_str().into()),
            title: typed.title.clone().unwrap_or_else(|| name.to_owned()),
            mode: *typed.mode.get_ref(),
            subject: match &typed.subject {
                file::Subject::Called => Subject::Called,
                file::Subject::Calling => Subject::Calling,
                file::Subject::Header(header) => Subject::Header(header.clone()),
            },
            matches: self.matches(draft, table),
            check,
            codes,
            listening: Listening {
                first_key_max: typed.digits.first_timeout.0,
                digit_gap_max: typed.digits.inter_digit.0,
                confirm_max: typed.digits.confirm_timeout.0,
            },
            on_unconfirmed: typed.on_unconfirmed,
            on_stale: self.on_stale(draft, table),
            other_way: typed.other_way.clone(),
            greeting: self.greeting(table, language),
            route: typed.route.get_ref().iter().map(|t| t.get_ref().as_str().into()).collect(),
            caller_id: typed.caller_id.as_ref().map(|id| id.get_ref().clone()),
            channels_max: typed.max_channels,
            ring_max: typed.ring_max.0,
            call_max,
            origin: table.at.origin(),
        }
    }

    /// What becomes of calls while other engines' opt-outs are unknown; an engine without others
    /// never comes to that. A warning only: the campaign may be one of several engines.
    fn on_stale(&mut self, draft: &Draft, table: &Table) -> OnStale {
        let Some(typed) = &table.value.on_stale else { return OnStale::Refuse };
        let database = |store: &Located<file::Store>| store.value.database;
        if draft.store.as_ref().map(database) == Some(file::Database::Sqlite) {
            let message = "`on-stale` of a campaign is only for engines that share a server";
            self.report(
                Diagnostic::warning("W-STALE-ALONE", message, table.place(typed.span()))
                    .label("this engine keeps its opt-outs in a file, and has no others")
                    .hint("leave it out; for registries, lists have an `on-stale` of their own"),
            );
        }
        *typed.get_ref()
    }

    /// The codes in the order of their digits.
    fn codes(&mut self, draft: &Draft, table: &Table, language: Option<&str>) -> Vec<ResponseCode> {
        let mut codes: Vec<ResponseCode> = Vec::new();
        let mut places: Vec<Place> = Vec::new();
        for (typed, code) in &table.value.codes {
            // What is no string of keys was reported by the shape.
            let Ok(digits) = typed.get_ref().parse::<Digits>() else { continue };
            let place = table.place(typed.span());
            if let Some(index) = codes.iter().position(|known| known.digits == digits) {
                self.report_same_code(&place, places.get(index));
                continue;
            }
            codes.push(self.code(draft, table, digits, code, &place, language));
            places.push(place);
        }
        if table.value.digits.inter_digit.0 == Duration::ZERO {
            self.report_prefixes(&codes, &places);
        }
        codes.sort_by_key(|code| code.digits.to_string());
        codes
    }

    fn code(
        &mut self,
        draft: &Draft,
        table: &Table,
        digits: Digits,
        code: &file::Code,
        place: &Place,
        language: Option<&str>,
    ) -> ResponseCode {
        let lists = code.add_to.get_ref();
        if lists.is_empty() {
            let message = format!("the code {digits} does nothing");
            let place = table.place(code.add_to.span());
            self.report(
                Diagnostic::error("E-CODE-IDLE", message, place)
                    .label("no list to add the number to")
                    .hint("name at least one list"),
            );
        }
        for list in lists {
            self.may_grow(draft, table, list);
        }
        self.keeps_word(draft, table, lists);
        let file::CodePrompts { ask, done, already, failed } = &code.prompts;
        let mut prompt = |typed: &Spanned<String>| {
            self.prompt(language, typed.get_ref(), table.place(typed.span()))
        };
        let ask = match code.confirm {
            Confirm::PressAgain => prompt(ask),
            // Never played, so that its file need not be there.
            Confirm::None => PromptName::new(language.unwrap_or_default(), ask.get_ref()),
        };
        let prompts = CodePrompts {
            ask,
            done: prompt(done),
            already: prompt(already),
            failed: prompt(failed),
        };
        ResponseCode {
            digits,
            add_to: self.lists_named(draft, table, lists),
            confirm: code.confirm,
            then: code.then,
            prompts,
            origin: place.origin(),
        }
    }

    fn report_same_code(&mut self, place: &Place, first: Option<&Place>) {
        let message = "two codes are the same keys";
        let fault = Diagnostic::error("E-CODE-TWICE", message, place.clone())
            .label("the same keys again")
            .hint("a-d are the keys A-D");
        self.report(match first {
            Some(first) => fault.also(first.clone(), "first here"),
            None => fault,
        });
    }

    fn report_prefixes(&mut self, codes: &[ResponseCode], places: &[Place]) {
        for (short, short_place) in codes.iter().zip(places) {
            for (long, place) in codes.iter().zip(places) {
                if short.digits != long.digits && long.digits.starts_with(&short.digits) {
                    let (short, long) = (short.digits, long.digits);
                    let message = format!("the code {long} can never be pressed");
                    self.report(
                        Diagnostic::warning("W-CODE-PREFIX", message, place.clone())
                            .label(format!("decided as {short} at its first keys"))
                            .also(short_place.clone(), "this code begins it")
                            .hint("with digits.inter-digit above 0s the longer code is waited for"),
                    );
                }
            }
        }
    }

    fn lists_named(
        &mut self,
        draft: &Draft,
        table: &Table,
        typed: &[Spanned<String>],
    ) -> Vec<ListName> {
        for list in typed {
            let place = table.place(list.span());
            self.is_defined("E-LIST-UNKNOWN", "lists", &draft.lists, list.get_ref(), place);
            self.has_topic(draft, table, list);
        }
        typed.iter().map(|list| list.get_ref().as_str().into()).collect()
    }

    /// The lists that the campaign says it checks, else the global ones and those it adds to.
    fn lists_checked(
        &mut self,
        draft: &Draft,
        table: &Table,
        codes: &[ResponseCode],
    ) -> Vec<ListName> {
        let Some(check) = &table.value.check else {
            let is_global = |list: &Option<Located<file::List>>| {
                list.as_ref().is_some_and(|list| list.value.scope == Scope::Global)
            };
            let global = draft.lists.iter().filter(|(_, list)| is_global(list));
            let added = codes.iter().flat_map(|code| &code.add_to).cloned();
            let mut seen = BTreeSet::new();
            let all = global.map(|(name, _)| name.as_str().into()).chain(added);
            return all.filter(|list: &ListName| seen.insert(list.clone())).collect();
        };
        let place = table.place(check.span());
        let lists = self.lists_named(draft, table, check.get_ref());
        for list in check.get_ref() {
            self.has_direction(draft, table, list);
        }
        // The lists that its own codes add to are checked in any case.
        if lists.is_empty() && codes.is_empty() {
            let message = "this campaign calls everybody, whoever opted out";
            self.report(
                Diagnostic::warning("W-CHECK-NONE", message, place)
                    .label("no list is checked")
                    .hint("leave `check` out to check the global lists"),
            );
        }
        lists
    }

    /// A person must have a way out of every campaign.
    fn lets_out(&mut self, table: &Table, codes: &[ResponseCode]) {
        if codes.is_empty() && table.value.other_way.is_none() && table.is_whole {
            self.report(
                Diagnostic::error(
                    "E-OPTOUT-NONE",
                    "nobody can opt out of this campaign",
                    table.at.clone(),
                )
                .label("no code is listened for, and no other way is named")
                .hint("add codes.\"9\".add-to = [..], or other-way = \"how people opt out\""),
            );
        }
    }

    fn by_mode(&mut self, draft: &Draft, table: &Table) {
        let typed = &table.value;
        match typed.mode.get_ref() {
            Mode::Bridge => self.bridged(draft, table),
            Mode::Ivr => {
                let route = typed.route.get_ref();
                let mode = table.place(typed.mode.span());
                if !route.is_empty() {
                    let place = table.place(typed.route.span());
                    self.only("`route` is for bridge campaigns", place, mode.clone());
                }
                if let Some(id) = &typed.caller_id {
                    self.only("`caller-id` is for bridge campaigns", table.place(id.span()), mode);
                }
            }
        }
    }

    fn bridged(&mut self, draft: &Draft, table: &Table) {
        let typed = &table.value;
        let mode = table.place(typed.mode.span());
        if !typed.greeting.play.get_ref().is_empty() {
            let place = table.place(typed.greeting.play.span());
            self.only("`greeting` is for ivr campaigns", place, mode.clone());
        }
        let route = typed.route.get_ref();
        if route.is_empty() && table.is_whole {
            let known: Vec<&str> = draft.trunks.keys().map(String::as_str).collect();
            let hint = match known.first() {
                Some(first) => format!("add: route = [\"{first}\"]"),
                None => "define a [trunks.NAME] and add: route = [\"NAME\"]".to_owned(),
            };
            self.report(
                Diagnostic::error("E-ROUTE-NONE", "a bridge campaign needs a route", mode)
                    .label("no trunk to dial")
                    .hint(hint),
            );
        }
        for trunk in route {
            let place = table.place(trunk.span());
            let name = trunk.get_ref();
            if self.is_defined("E-TRUNK-UNKNOWN", "trunks", &draft.trunks, name, place.clone()) {
                self.caller_id(draft, table, name, place);
            }
        }
    }

    /// A trunk that takes certain caller numbers only must be shown one of them.
    fn caller_id(&mut self, draft: &Draft, table: &Table, trunk: &str, route: Place) {
        let Some(Some(found)) = draft.trunks.get(trunk) else { return };
        let taken = &found.value.caller_id;
        let shown = table.value.caller_id.as_ref();
        if taken.is_empty() || shown.is_some_and(|shown| taken.contains(shown.get_ref())) {
            return;
        }
        let place = shown.map_or(route, |shown| table.place(shown.span()));
        let label = match shown {
            Some(_) => "the trunk does not take this number",
            None => "this trunk takes certain numbers only, and none is shown",
        };
        self.report(
            Diagnostic::error("E-CALLER-ID", format!("[trunks.{trunk}] would refuse this"), place)
                .label(label)
                .also(found.at.clone(), "its caller-id lists what it takes")
                .hint("set `caller-id` of the campaign to one of the trunk's"),
        );
    }

    fn only(&mut self, message: &str, place: Place, mode: Place) {
        self.report(
            Diagnostic::error("E-MODE", message, place)
                .label("nothing would use it")
                .also(mode, "because of this mode")
                .hint("leave it out, or change the mode"),
        );
    }

    fn call_max(&mut self, table: &Table, limits: Option<Limits>) -> Duration {
        let of_engine = limits.map_or(Duration::ZERO, |limits| limits.call_max);
        let Some(typed) = &table.value.call_max else { return of_engine };
        let call_max = typed.get_ref().0;
        if limits.is_some() && call_max > of_engine {
            let place = table.place(typed.span());
            self.report(
                Diagnostic::error("E-RANGE", "`call-max` is above the engine's", place)
                    .label("limits.call-max ends the call before")
                    .hint("lower it, or raise limits.call-max"),
            );
        }
        call_max
    }

    fn matches(&mut self, draft: &Draft, table: &Table) -> Match {
        let typed = &table.value.matches;
        for dialer in &typed.dialer {
            let place = table.place(dialer.span());
            self.is_defined("E-DIALER-UNKNOWN", "dialers", &draft.dialers, dialer.get_ref(), place);
        }
        let strings = |texts: &[Spanned<String>]| -> Vec<String> {
            texts.iter().map(|text| text.get_ref().clone()).collect()
        };
        let headers =
            typed.header.iter().map(|(name, values)| (name.get_ref().clone(), strings(values)));
        let matches = Match {
            headers: headers.filter(|(_, values)| !values.is_empty()).collect(),
            from_users: strings(&typed.from_user),
            request_users: strings(&typed.request_user),
            dialers: typed.dialer.iter().map(|d| d.get_ref().as_str().into()).collect(),
        };
        if matches == Match::default() && table.is_whole {
            self.report(
                Diagnostic::error("E-MATCH-NONE", "no call belongs to this campaign", table.at.clone())
                    .label("nothing is matched on")
                    .hint("add match.header.\"X-Campaign-ID\" = [\"..\"], match.from-user, match.request-user or match.dialer"),
            );
        }
        matches
    }

    fn greeting(&mut self, table: &Table, language: Option<&str>) -> Greeting {
        let typed = &table.value.greeting;
        let play = typed.play.get_ref().iter();
        let play = play.map(|name| self.prompt(language, name.get_ref(), table.place(name.span())));
        Greeting { play: play.collect(), rounds: typed.rounds }
    }

    fn report_clash(&mut self, draft: &Draft, clash: &Clash) {
        let (first, second) = (clash.first.as_str(), clash.second.as_str());
        let (Some(place), Some(earlier)) =
            (claim(draft, second, &clash.on), claim(draft, first, &clash.on))
        else {
            return;
        };
        let message = format!("campaigns `{first}` and `{second}` both match {}", clash.on);
        self.report(
            Diagnostic::error("E-MATCH-OVERLAP", message, place)
                .label(format!("`{second}` claims it"))
                .also(earlier, format!("`{first}` claims it"))
                .hint("a call must belong to one campaign: take it out of one of them"),
        );
    }
}

/// Where a campaign claims what two claim.
fn claim(draft: &Draft, campaign: &str, on: &ClashOn) -> Option<Place> {
    let table = draft.campaigns.get(campaign)?.as_ref()?;
    let matches = &table.value.matches;
    let text = match on {
        ClashOn::Name => None,
        ClashOn::Header(header, value) => matches
            .header
            .iter()
            .filter(|(name, _)| name.get_ref().eq_ignore_ascii_case(header))
            .flat_map(|(_, values)| values)
            .find(|text| text.get_ref() == value),
        ClashOn::FromUser(user) => matches.from_user.iter().find(|text| text.get_ref() == user),
        ClashOn::RequestUser(user) => {
            matches.request_user.iter().find(|text| text.get_ref() == user)
        }
        ClashOn::Dialer(dialer) => {
            matches.dialer.iter().find(|text| text.get_ref() == dialer.as_str())
        }
    };
    text.map(|text| table.place(text.span()))
}
