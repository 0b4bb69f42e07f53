//! How old the registries are that campaigns are checked against, for people and for metrics.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::campaign::OnStale;
use crate::config::Checked;
use crate::config::List;
use crate::model::AccountName;
use crate::model::ListName;
use crate::net::clock;
use crate::suppression::Index;
use crate::suppression::registry::Registry;

/// How old a registry is, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryStanding {
    /// Its list.
    pub list: ListName,
    /// Whole days, by the day of its newest import; nothing where it was never imported.
    pub age_days: Option<u32>,
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
    let (age_days, max_age_days) = (age.days, age.max_days);
    Some(RegistryStanding { list: list.name.clone(), age_days, max_age_days, state })
}

/// How every registry stands that `checked` has, by what was imported for everybody.
pub(super) fn standings(checked: &Checked, index: &Index) -> Vec<RegistryStanding> {
    checked.lists.values().filter_map(|list| standing_of(list, index, None)).collect()
}

/// Tells the log of those that are too old, or soon will be.
pub(super) fn warn(checked: &Checked, index: &Index) {
    for standing in standings(checked, index) {
        if standing.state != RegistryState::Fresh {
            tracing::warn!(list = %standing.list, "{standing}");
        }
    }
}

impl fmt::Display for RegistryStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = self.max_age_days;
        match self.age_days {
            Some(1) => write!(f, "the registry is 1 day old, at most {max}")?,
            Some(days) => write!(f, "the registry is {days} days old, at most {max}")?,
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
    fn standings_read_as_sentences() {
        use RegistryState::{Ageing, Fresh, Ignored, Refuses};
        #[rustfmt::skip]
        let cases = [
            (Some(0),  Fresh,   "the registry is 0 days old, at most 31"),
            (Some(1),  Fresh,   "the registry is 1 day old, at most 31"),
            (Some(29), Ageing,  "the registry is 29 days old, at most 31: fetch and import it soon"),
            (Some(40), Refuses, "the registry is 40 days old, at most 31: calls that are checked against it are refused until it is imported"),
            (None,     Refuses, "the registry was never imported: calls that are checked against it are refused until it is imported"),
            (Some(40), Ignored, "the registry is 40 days old, at most 31: calls are made all the same (on-stale)"),
        ];
        for (age_days, state, want) in cases {
            let list = "us".into();
            let standing = RegistryStanding { list, age_days, max_age_days: 31, state };
            assert_eq!(standing.to_string(), want);
        }
    }
}
