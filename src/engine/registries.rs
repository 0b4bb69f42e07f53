//! How old the registries are that campaigns are checked against, for people and for metrics.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use serde::Deserialize;
use serde::Serialize;

use super::desk::DeskError;
use super::rooms::target;
use crate::campaign::OnStale;
use crate::config::Checked;
use crate::config::List;
use crate::model::AccountName;
use crate::model::ListName;
use crate::net::clock;
use crate::store::Archive;
use crate::store::Clock;
use crate::suppression::Index;
use crate::suppression::registry::Age;
use crate::suppression::registry::Registry;

/// How often is looked whether there is something to tell. Our choice: a registry grows too old at
/// midnight or so, and a reload changes its rule.
pub(super) const REMIND_EVERY: Duration = Duration::from_secs(60);

/// After how long what is no good news is told again.
const AGAIN: Duration = Duration::from_secs(86_400);

/// How old a registry is, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryStanding {
    /// Its list.
    pub list: ListName,
    /// Whole days, by the day of its newest import; nothing where it was never imported, or nothing
    /// says how old it is.
    pub age_days: Option<u32>,
    /// Whether it was imported, and nothing says how old it is: changes without their full list, or
    /// at a time to come.
    #[serde(default)]
    pub is_unknown: bool,
    /// Most that it may have.
    pub max_age_days: u32,
    /// How it stands.
    pub state: RegistryState,
}

/// How a registry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistryState {
    /// Young enough.
    Fresh,
    /// Soon too old.
    Ageing,
    /// Too old, and calls that are checked against it are refused.
    Refuses,
    /// Too old, and calls are made all the same.
    Ignored,
}

/// The registry of a list that is one.
pub(super) fn registry(list: &List) -> Option<Registry> {
    let rule = list.registry?;
    Some(Registry { list: list.name.clone(), max_age_days: rule.max_age_days })
}

/// How the registry of `list` stands now for calls of `account`, where it is one.
pub(super) fn standing_of(
    list: &List,
    index: &Index,
    account: Option<&AccountName>,
) -> Option<RegistryStanding> {
    let age = index.age(&registry(list)?, account, clock::unix_now());
    let state = match list.registry?.on_stale {
        _ if age.is_ageing() => RegistryState::Ageing,
        _ if !age.is_stale() => RegistryState::Fresh,
        OnStale::Refuse => RegistryState::Refuses,
        OnStale::Call => RegistryState::Ignored,
    };
    let Age { days: age_days, max_days: max_age_days, is_unknown } = age;
    Some(RegistryStanding { list: list.name.clone(), age_days, is_unknown, max_age_days, state })
}

/// How every registry stands that `checked` has, by what was imported for everybody.
pub(super) fn standings(checked: &Checked, index: &Index) -> Vec<RegistryStanding> {
    checked.lists.values().filter_map(|list| standing_of(list, index, None)).collect()
}

/// How every registry stands that `checked` has, by what is imported in the store, which no engine
/// may hold.
///
/// # Errors
///
/// Those of the store.
pub fn standings_in_store(checked: &Checked) -> Result<Vec<RegistryStanding>, DeskError> {
    let clock: Clock = Arc::new(clock::unix_now);
    let target = target(&checked.store)?;
    let (archive, _recovered) =
        Archive::open(&checked.store.path, &target, &checked.store.numbers, &clock)?;
    let index = Index::default();
    index.take_imports(&archive.reader()?.imports()?);
    Ok(standings(checked, &index))
}

/// Tells the log of a registry.
pub(super) fn tell(standing: &RegistryStanding) {
    if standing.state == RegistryState::Fresh {
        tracing::info!(list = %standing.list, "{standing}");
    } else {
        tracing::warn!(list = %standing.list, "{standing}");
    }
}

/// What was told of registries, so that it is told again when it changes, and once a day while it
/// is no good news.
#[derive(Debug, Default)]
pub(super) struct Reminder(BTreeMap<ListName, (RegistryState, Instant)>);

impl Reminder {
    /// Those of `standings` that are to be told of at `now`.
    pub(super) fn due(
        &mut self,
        mut standings: Vec<RegistryStanding>,
        now: Instant,
    ) -> Vec<RegistryStanding> {
        self.0.retain(|list, _told| standings.iter().any(|standing| standing.list == *list));
        standings.retain(|RegistryStanding { list, state, .. }| {
            let is_due = match self.0.get(list) {
                None => *state != RegistryState::Fresh,
                Some((told, _at)) if told != state => true,
                Some((RegistryState::Fresh, _at)) => false,
                Some((_state, at)) => now.saturating_duration_since(*at) >= AGAIN,
            };
            if is_due || !self.0.contains_key(list) {
                self.0.insert(list.clone(), (*state, now));
            }
            is_due
        });
        standings
    }
}

impl fmt::Display for RegistryStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = self.max_age_days;
        match self.age_days {
            Some(1) => write!(f, "the registry is 1 day old, at most {max}")?,
            Some(days) => write!(f, "the registry is {days} days old, at most {max}")?,
            None if self.is_unknown => write!(
                f,
                "nothing says how old the registry is: its full list is missing, or a clock is wrong"
            )?,
            None => write!(f, "the registry was never imported")?,
        }
        match self.state {
            RegistryState::Fresh => Ok(()),
            RegistryState::Ageing => write!(f, ": fetch and import it soon"),
            RegistryState::Refuses => {
                write!(f, ": calls that are checked against it are refused until it is imported")
            }
            RegistryState::Ignored => write!(f, ": calls are made all the same (on-stale)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_told_at_once_and_no_good_news_once_a_day() {
        use RegistryState::{Ageing, Fresh, Refuses};
        let start = clock::now();
        let hour = Duration::from_secs(3_600);
        let mut reminder = Reminder::default();
        let mut told = |hours: u32, state| {
            let (list, age_days, max_age_days) = ("us".into(), Some(0), 31);
            let is_unknown = false;
            let standing = RegistryStanding { list, age_days, is_unknown, max_age_days, state };
            !reminder.due(vec![standing], start + hour * hours).is_empty()
        };
        #[rustfmt::skip]
        let cases = [
            ("nothing to tell at the start", 0,   Fresh,   false),
            ("nor later",                    30,  Fresh,   false),
            ("it grows old",                 31,  Ageing,  true),
            ("that is told",                 54,  Ageing,  false),
            ("until a day has gone",         55,  Ageing,  true),
            ("and has grown too old",        56,  Refuses, true),
            ("that is told too",             57,  Refuses, false),
            ("every day",                    80,  Refuses, true),
            ("it was imported",              81,  Fresh,   true),
            ("and all is well",              200, Fresh,   false),
        ];
        for (name, hours, state, want) in cases {
            assert_eq!(told(hours, state), want, "{name}");
        }
        assert_eq!(reminder.due(Vec::new(), start), [], "a list that is gone is forgotten");
        assert!(reminder.0.is_empty());
    }

    #[test]
    fn standings_read_as_sentences() {
        use RegistryState::{Ageing, Fresh, Ignored, Refuses};
        #[rustfmt::skip]
        let cases = [
            (Some(0),  false, Fresh,   "the registry is 0 days old, at most 31"),
            (Some(1),  false, Fresh,   "the registry is 1 day old, at most 31"),
            (Some(29), false, Ageing,  "the registry is 29 days old, at most 31: fetch and import it soon"),
            (Some(40), false, Refuses, "the registry is 40 days old, at most 31: calls that are checked against it are refused until it is imported"),
            (None,     true,  Refuses, "nothing says how old the registry is: its full list is missing, or a clock is wrong: calls that are checked against it are refused until it is imported"),
            (None,     false, Refuses, "the registry was never imported: calls that are checked against it are refused until it is imported"),
            (Some(40), false, Ignored, "the registry is 40 days old, at most 31: calls are made all the same (on-stale)"),
        ];
        for (age_days, is_unknown, state, want) in cases {
            let list = "us".into();
            let standing = RegistryStanding { list, age_days, is_unknown, max_age_days: 31, state };
            assert_eq!(standing.to_string(), want);
        }
    }
}
