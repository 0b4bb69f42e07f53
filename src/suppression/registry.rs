//! How old what a registry says is, and when that is too old to call by.
//!
//! The law asks for a copy of a national registry that is not older than so many days: 31 in the
//! United States (16 CFR 310.4(b)(3)(iv)), 28 in the United Kingdom (PECR 2003, regulation 21). A
//! list of a registry is as old as its newest import says; one without an import is too old. So is
//! one of which nothing says how old it is: of changes alone, without the full list that they change,
//! or imported at a time to come, since the clock is wrong now or was then.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::AccountName;
use crate::model::ListName;
use crate::model::UnixMicros;

use super::import::Import;
use super::import::Shape;

/// Most days that a registry may be old unless its list says otherwise.
const MAX_AGE_DAYS: u16 = 31;

/// The same for the Telephone Preference Service.
const TPS_MAX_AGE_DAYS: u16 = 28;

/// From how many days before its end on a registry is warned of. Our choice: a working week.
const WARN_DAYS: u32 = 5;

/// A day, in microseconds.
pub(super) const DAY_US: i64 = 86_400_000_000;

/// A list of a registry, as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// The list.
    pub list: ListName,
    /// Most days that it may be old; `None` leaves it to what is imported.
    pub max_age_days: Option<u16>,
}

/// What the newest import of a registry says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// The day that it speaks of, never after the one on which it was imported.
    pub as_of: UnixMicros,
    /// The shape of its file.
    pub shape: Shape,
}

/// A list of a registry, and for whose calls.
type Key = (ListName, Option<AccountName>);

/// The newest import of each list.
#[derive(Debug, Default)]
pub struct Registries {
    newest: BTreeMap<Key, Newest>,
    /// Those of which there are changes alone.
    only_changes: BTreeSet<Key>,
}

/// How old a registry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// Whole days; `None` where nothing was ever imported, or nothing says how old it is.
    pub days: Option<u32>,
    /// Most that it may have.
    pub max_days: u32,
    /// Whether something was imported that does not say how old it is.
    pub is_unknown: bool,
}

impl Registries {
    /// What `imports` say together, in any order.
    pub fn of<'a>(imports: impl IntoIterator<Item = &'a Import>) -> Self {
        let imports: Vec<&Import> = imports.into_iter().collect();
        let key = |import: &Import| (import.list.clone(), import.account.clone());
        let full = imports.iter().filter(|import| import.shape == Shape::FtcFull);
        let full: BTreeSet<Key> = full.map(|import| key(import)).collect();
        let says_day =
            |import: &&Import| import.shape != Shape::FtcChange || full.contains(&key(import));
        let (telling, changes): (Vec<_>, Vec<_>) = imports.into_iter().partition(says_day);
        let mut newest: BTreeMap<_, Newest> = BTreeMap::new();
        for import in telling {
            let Some(day) = import.day() else { continue };
            let as_of = day.min(import.imported_at);
            let found = Newest { as_of, shape: import.shape };
            newest
                .entry(key(import))
                .and_modify(|known| *known = if known.as_of < as_of { found } else { *known })
                .or_insert(found);
        }
        Self { newest, only_changes: changes.into_iter().map(key).collect() }
    }

    /// How old `registry` is at `now` for calls of `account`: by the newest of what was imported
    /// for everybody and for the account.
    pub fn age(&self, registry: &Registry, account: Option<&AccountName>, now: UnixMicros) -> Age {
        let own = account.map(|account| (registry.list.clone(), Some(account.clone())));
        let keys = own.into_iter().chain([(registry.list.clone(), None)]);
        let newest = keys.clone().filter_map(|key| self.newest.get(&key));
        let newest = newest.max_by_key(|newest| newest.as_of);
        let by_shape = match newest.map(|newest| newest.shape) {
            Some(Shape::Tps) => TPS_MAX_AGE_DAYS,
            _ => MAX_AGE_DAYS,
        };
        let us = newest.map(|newest| now.0.saturating_sub(newest.as_of.0));
        // A clock that is set right may go back a little.
        let us = us.filter(|us| *us >= -DAY_US).map(|us| us.max(0));
        let days = us.map(|us| u32::try_from(us / DAY_US).unwrap_or(u32::MAX));
        let has_any = newest.is_some() || keys.clone().any(|key| self.only_changes.contains(&key));
        Age {
            days,
            max_days: registry.max_age_days.unwrap_or(by_shape).into(),
            is_unknown: days.is_none() && has_any,
        }
    }
}

impl Age {
    /// Whether it is too old to call by.
    pub fn is_stale(self) -> bool {
        self.days.is_none_or(|days| days > self.max_days)
    }

    /// Whether it soon will be.
    pub fn is_ageing(self) -> bool {
        let from = self.max_days.saturating_sub(WARN_DAYS);
        !self.is_stale() && self.days.is_some_and(|days| days > from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22, 12:00 UTC.
    const NOW: UnixMicros = UnixMicros(1_795_348_800_000_000);

    fn import(list: &str, account: Option<&str>, shape: Shape, days: &[i64]) -> Import {
        let ago = |days: &i64| UnixMicros(NOW.0 - days * DAY_US);
        let imported_at = days.first().map_or(NOW, ago);
        Import {
            account: account.map(AccountName::from),
            as_of: days.get(1).map(ago),
            ..Import::new(list.into(), shape, "node".into(), imported_at)
        }
    }

    /// How old the registry `r` is for calls of the account `acme`, in words: how many days of how many,
    /// and whether that is too old or soon will be.
    fn told(imports: &[Import], max_age_days: Option<u16>) -> String {
        let registry = Registry { list: "r".into(), max_age_days };
        let age = Registries::of(imports).age(&registry, Some(&"acme".into()), NOW);
        let never = if age.is_unknown { "unknown" } else { "never" };
        let days = age.days.map_or_else(|| never.to_owned(), |days| days.to_string());
        let state = match (age.is_stale(), age.is_ageing()) {
            (true, _) => ", stale",
            (_, true) => ", ageing",
            _ => "",
        };
        format!("{days} of {}{state}", age.max_days)
    }

    #[test]
    fn a_registry_is_as_old_as_its_import_says_and_too_old_past_its_limit() {
        use Shape::{FtcFull, Tps};
        let cases: [(&str, &[Import], Option<u16>, &str); 12] = [
            ("never imported", &[], None, "never of 31, stale"),
            ("of today", &[import("r", None, FtcFull, &[0])], None, "0 of 31"),
            ("its own day counts", &[import("r", None, FtcFull, &[0, 12])], None, "12 of 31"),
            ("a day to come does not", &[import("r", None, FtcFull, &[3, -9])], None, "3 of 31"),
            ("the warning", &[import("r", None, FtcFull, &[27])], None, "27 of 31, ageing"),
            ("before the warning", &[import("r", None, FtcFull, &[26])], None, "26 of 31"),
            ("the last day", &[import("r", None, FtcFull, &[31])], None, "31 of 31, ageing"),
            ("a day too many", &[import("r", None, FtcFull, &[32])], None, "32 of 31, stale"),
            ("the British have less", &[import("r", None, Tps, &[29])], None, "29 of 28, stale"),
            (
                "unless told otherwise",
                &[import("r", None, Tps, &[29])],
                Some(30),
                "29 of 30, ageing",
            ),
            ("a clock put back a little", &[import("r", None, FtcFull, &[-1])], None, "0 of 31"),
            (
                "by more, it says nothing of how old anything is",
                &[import("r", None, FtcFull, &[-2]), import("r", None, FtcFull, &[3])],
                None,
                "unknown of 31, stale",
            ),
        ];
        for (name, imports, max_age_days, want) in cases {
            assert_eq!(told(imports, max_age_days), want, "{name}");
        }
    }

    #[test]
    fn a_registry_is_renewed_only_by_what_tells_its_state() {
        use Shape::{Csv, Export, FtcChange, FtcFull, Tps};
        let cases: [(&str, &[Import], &str); 9] = [
            (
                "a change list renews it",
                &[import("r", None, FtcChange, &[1]), import("r", None, FtcFull, &[40])],
                "1 of 31",
            ),
            (
                "but not what it changes, if that is not there",
                &[import("r", None, FtcChange, &[1])],
                "unknown of 31, stale",
            ),
            (
                "nor if that is another account's",
                &[import("r", None, FtcChange, &[1]), import("r", Some("rival"), FtcFull, &[40])],
                "unknown of 31, stale",
            ),
            (
                "or another registry's",
                &[import("r", None, FtcChange, &[1]), import("r", None, Tps, &[3])],
                "3 of 28",
            ),
            ("another list does not", &[import("s", None, Csv, &[1])], "never of 31, stale"),
            (
                "nor an export of ours, which does not say the day",
                &[import("r", None, Export, &[0]), import("r", None, FtcFull, &[40])],
                "40 of 31, stale",
            ),
            ("not by itself either", &[import("r", None, Export, &[0])], "never of 31, stale"),
            ("one of which it is said", &[import("r", None, Export, &[0, 9])], "9 of 31"),
            (
                "nor does another account's",
                &[import("r", Some("rival"), Csv, &[1])],
                "never of 31, stale",
            ),
        ];
        for (name, imports, want) in cases {
            assert_eq!(told(imports, None), want, "{name}");
        }
    }

    #[test]
    fn what_an_account_imports_for_itself_counts_for_nobody_else() {
        let own =
            [import("r", Some("acme"), Shape::Csv, &[2]), import("r", None, Shape::Csv, &[9])];
        let registry = Registry { list: "r".into(), max_age_days: None };
        let registries = Registries::of(&own);
        assert_eq!(registries.age(&registry, Some(&"acme".into()), NOW).days, Some(2));
        assert_eq!(registries.age(&registry, Some(&"rival".into()), NOW).days, Some(9));
        assert_eq!(registries.age(&registry, None, NOW).days, Some(9));
    }
}
