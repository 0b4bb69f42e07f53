//! Which campaign a call belongs to.
//!
//! The first of these that says anything decides, so that the answer never depends on the order of
//! files or of headers in a message:
//!
//! 1. a header that some campaign matches on, in the alphabetical order of header names (without
//!    regard to case). A value that no campaign knows is *no* campaign, not a reason to look
//!    further: the dialer named one, and a guess would book the opt-out on another;
//! 2. the user of From;
//! 3. the user of the request URI;
//! 4. the dialer.
//!
//! Within one of them no two campaigns share a value; [`Campaigns::new`] refuses that.
//!
//! One look-up an INVITE: a handful of tree searches over borrowed bytes, no allocation.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;

use super::rule::Campaign;
use crate::model::{CampaignName, DialerName};

type ByValue = BTreeMap<Box<[u8]>, Arc<Campaign>>;

/// What an INVITE says that can name a campaign.
pub struct CallFacts<'a> {
    /// The dialer that sent it, already known by its address.
    pub dialer: &'a DialerName,
    /// The first value of a header by its text name, trimmed; `None` where it does not stand.
    pub header: &'a dyn Fn(&str) -> Option<&'a [u8]>,
    /// The user part of the From URI, percent-decoded.
    pub from_user: Option<&'a [u8]>,
    /// The user part of the request URI, percent-decoded.
    pub request_user: Option<&'a [u8]>,
}

impl fmt::Debug for CallFacts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The users may be telephone numbers, which no log shows.
        f.debug_struct("CallFacts").field("dialer", self.dialer).finish_non_exhaustive()
    }
}

/// Two campaigns that claim the same calls.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("campaigns `{first}` and `{second}` both match {on}")]
pub struct Clash {
    /// The campaign that came first by name.
    pub first: CampaignName,
    /// The other.
    pub second: CampaignName,
    /// What both claim.
    pub on: ClashOn,
}

/// What two campaigns both claim.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClashOn {
    /// The name itself: the same campaign twice.
    #[error("the name")]
    Name,
    /// A header with a value.
    #[error("header `{0}` with the value `{1}`")]
    Header(String, String),
    /// A user of From.
    #[error("the From user `{0}`")]
    FromUser(String),
    /// A user of the request URI.
    #[error("the request user `{0}`")]
    RequestUser(String),
    /// A dialer.
    #[error("the dialer `{0}`")]
    Dialer(DialerName),
}

/// Every campaign, and the tables by which a call finds its own.
#[derive(Clone, Debug, Default)]
pub struct Campaigns {
    by_name: BTreeMap<CampaignName, Arc<Campaign>>,
    /// Sorted by lower-case name.
    by_header: Vec<(String, ByValue)>,
    by_from_user: ByValue,
    by_request_user: ByValue,
    by_dialer: BTreeMap<DialerName, Arc<Campaign>>,
}

impl Campaigns {
    /// The tables over `campaigns`.
    ///
    /// # Errors
    ///
    /// All the [`Clash`]es there are, so that each can be shown.
    pub fn new(campaigns: impl IntoIterator<Item = Campaign>) -> Result<Self, Vec<Clash>> {
        let mut all: Vec<Arc<Campaign>> = campaigns.into_iter().map(Arc::new).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let mut tables = Self::default();
        let mut clashes = Vec::new();
        for campaign in &all {
            tables.add(campaign, &mut clashes);
        }
        if clashes.is_empty() { Ok(tables) } else { Err(clashes) }
    }

    fn add(&mut self, campaign: &Arc<Campaign>, clashes: &mut Vec<Clash>) {
        let rule = &campaign.matches;
        let mut note = |other: Option<CampaignName>, on: &dyn Fn() -> ClashOn| {
            clashes.extend(other.map(|first| Clash {
                first,
                second: campaign.name.clone(),
                on: on(),
            }));
        };
        note(claim(&mut self.by_name, campaign.name.clone(), campaign), &|| ClashOn::Name);
        for (header, values) in &rule.headers {
            let name = header.to_ascii_lowercase();
            let place = match self.by_header.binary_search_by(|(known, _)| known.cmp(&name)) {
                Ok(place) => place,
                Err(place) => {
                    self.by_header.insert(place, (name, ByValue::new()));
                    place
                }
            };
            let Some((_, table)) = self.by_header.get_mut(place) else { continue };
            for value in values {
                let other = claim(table, value.as_bytes().into(), campaign);
                note(other, &|| ClashOn::Header(header.clone(), value.clone()));
            }
        }
        for user in &rule.from_users {
            let other = claim(&mut self.by_from_user, user.as_bytes().into(), campaign);
            note(other, &|| ClashOn::FromUser(user.clone()));
        }
        for user in &rule.request_users {
            let other = claim(&mut self.by_request_user, user.as_bytes().into(), campaign);
            note(other, &|| ClashOn::RequestUser(user.clone()));
        }
        for dialer in &rule.dialers {
            let other = claim(&mut self.by_dialer, dialer.clone(), campaign);
            note(other, &|| ClashOn::Dialer(dialer.clone()));
        }
    }

    /// The campaign of a call; `None` where nothing on it names one.
    pub fn find(&self, facts: &CallFacts<'_>) -> Option<Arc<Campaign>> {
        for (name, table) in &self.by_header {
            match (facts.header)(name) {
                // An empty header names nothing: dialers send it for want of a value.
                None | Some([]) => {}
                Some(value) => return table.get(value).cloned(),
            }
        }
        let by_user =
            |table: &ByValue, user: Option<&[u8]>| user.and_then(|u| table.get(u).cloned());
        by_user(&self.by_from_user, facts.from_user)
            .or_else(|| by_user(&self.by_request_user, facts.request_user))
            .or_else(|| self.by_dialer.get(facts.dialer).cloned())
    }

    /// The campaign of this name.
    pub fn get(&self, name: &CampaignName) -> Option<&Arc<Campaign>> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Campaign>> {
        self.by_name.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// Enters `campaign` under `key`; the name of another that stands there already.
fn claim<K: Ord>(
    table: &mut BTreeMap<K, Arc<Campaign>>,
    key: K,
    campaign: &Arc<Campaign>,
) -> Option<CampaignName> {
    match table.entry(key) {
        Entry::Vacant(free) => {
            free.insert(Arc::clone(campaign));
            None
        }
        // The same value twice in one campaign says the same thing twice.
        Entry::Occupied(taken) if Arc::ptr_eq(taken.get(), campaign) => None,
        Entry::Occupied(taken) => Some(taken.get().name.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::campaign::{
        Greeting, Listening, Match, Mode, OnStale, OnUnconfirmed, Origin, Subject,
    };

    fn campaign(name: &str, matches: Match) -> Campaign {
        Campaign {
            name: name.into(),
            account: "acme".into(),
            title: name.to_owned(),
            mode: Mode::Ivr,
            subject: Subject::Called,
            matches,
            check: Vec::new(),
            codes: Vec::new(),
            listening: Listening {
                first_key_max: Duration::from_secs(8),
                digit_gap_max: Duration::from_secs(2),
                confirm_max: Duration::from_secs(10),
            },
            on_unconfirmed: OnUnconfirmed::Block,
            on_stale: OnStale::Refuse,
            topic: None,
            other_way: Some("by post".to_owned()),
            greeting: Greeting::default(),
            route: Vec::new(),
            caller_id: None,
            channels_max: None,
            ring_max: Duration::from_secs(60),
            call_max: Duration::from_secs(7200),
            origin: Origin { file: "test".into(), line: 1 },
        }
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    fn header(name: &str, values: &[&str]) -> Match {
        Match { headers: vec![(name.to_owned(), strings(values))], ..Match::default() }
    }

    /// A header, From user, request user and dialer each, of campaigns with those names.
    fn tables() -> Campaigns {
        let from = Match { from_users: strings(&["1000"]), ..Match::default() };
        let request = Match { request_users: strings(&["34900"]), ..Match::default() };
        let dialer = Match { dialers: vec!["vicidial".into()], ..Match::default() };
        Campaigns::new([
            campaign("by-dialer", dialer),
            campaign("by-request", request),
            campaign("by-from", from),
            campaign("by-z-header", header("X-Zone", &["north"])),
            campaign("by-header", header("X-Campaign-ID", &["a", "b"])),
        ])
        .unwrap()
    }

    #[test]
    fn a_call_finds_its_campaign() {
        // header lines, From user, request user, dialer -> campaign.
        #[rustfmt::skip]
        let cases = [
            ("a header names it",                 "X-Campaign-ID: b", "",     "",      "other",    "by-header"),
            ("a header beats all else",           "X-Campaign-ID: a", "1000", "34900", "vicidial", "by-header"),
            ("header names ignore case",          "x-campaign-id: a", "",     "",      "other",    "by-header"),
            ("header values do not",              "X-Campaign-ID: A", "",     "",      "other",    "-"),
            ("an unknown value is no campaign",   "X-Campaign-ID: c", "1000", "34900", "vicidial", "-"),
            ("an empty header names nothing",     "X-Campaign-ID: ",  "1000", "",      "vicidial", "by-from"),
            ("headers are asked by name order",   "X-Zone: north|X-Campaign-ID: a", "", "", "other", "by-header"),
            ("a second header is asked too",      "X-Zone: north",    "",     "",      "other",    "by-z-header"),
            ("From beats request and dialer",     "",                 "1000", "34900", "vicidial", "by-from"),
            ("request beats dialer",              "",                 "1",    "34900", "vicidial", "by-request"),
            ("the dialer is asked last",          "X-Other: a",       "1",    "2",     "vicidial", "by-dialer"),
            ("a stranger to all has none",        "",                 "1",    "2",     "other",    "-"),
        ];
        let tables = tables();
        for (name, headers, from, request, dialer, want) in cases {
            let lookup = |wanted: &str| {
                headers.split('|').find_map(|line| {
                    let (found, value) = line.split_once(": ")?;
                    found.eq_ignore_ascii_case(wanted).then_some(value.as_bytes())
                })
            };
            let user = |user: &'static str| (!user.is_empty()).then_some(user.as_bytes());
            let found = tables.find(&CallFacts {
                dialer: &dialer.into(),
                header: &lookup,
                from_user: user(from),
                request_user: user(request),
            });
            let got = found.as_ref().map_or("-", |campaign| campaign.name.as_str());
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn claims_of_two_campaigns_clash() {
        let users = |from: &[&str], request: &[&str]| Match {
            from_users: strings(from),
            request_users: strings(request),
            ..Match::default()
        };
        let dialer = Match { dialers: vec!["d".into()], ..Match::default() };
        let cases = [
            (
                "the same header value, whatever the case of the name",
                header("X-Id", &["1"]),
                header("x-id", &["2", "1"]),
                Some("header `x-id` with the value `1`"),
            ),
            ("other values of one header", header("X-Id", &["1"]), header("X-Id", &["2"]), None),
            ("a From user", users(&["7"], &[]), users(&["7"], &[]), Some("the From user `7`")),
            (
                "a request user",
                users(&[], &["7"]),
                users(&[], &["7"]),
                Some("the request user `7`"),
            ),
            ("one value as From and as request user", users(&["7"], &[]), users(&[], &["7"]), None),
            ("a dialer", dialer.clone(), dialer, Some("the dialer `d`")),
        ];
        for (name, first, second, want) in cases {
            let got = Campaigns::new([campaign("b", second), campaign("a", first)]);
            let got = got.err().map(|clashes| {
                let [clash] = clashes.as_slice() else { panic!("{name}: {clashes:?}") };
                assert_eq!((clash.first.as_str(), clash.second.as_str()), ("a", "b"), "{name}");
                clash.on.to_string()
            });
            assert_eq!(got.as_deref(), want, "{name}");
        }
        let twice =
            Campaigns::new([campaign("a", Match::default()), campaign("a", Match::default())]);
        assert!(matches!(twice.unwrap_err().as_slice(), [Clash { on: ClashOn::Name, .. }]));
    }

    #[test]
    fn a_value_said_twice_by_one_campaign_is_no_clash() {
        let tables = Campaigns::new([campaign("a", header("X-Id", &["1", "1"]))]).unwrap();
        assert_eq!((tables.len(), tables.is_empty()), (1, false));
        assert!(tables.get(&"a".into()).is_some() && tables.iter().count() == 1);
    }
}
