//! Suppression lists, and sets of them as bits.

use std::sync::RwLock;

use serde::{Deserialize, Serialize};

use crate::model::ListName;

/// How far an entry of a list reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// To every campaign that checks the list.
    Global,
    /// To those of the account for which it was entered.
    Account,
    /// To those of the topic of the campaign in which it was entered.
    Topic,
    /// To the campaign in which it was entered.
    Campaign,
}

/// Which calls a list counts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Those to a number that stands on it.
    #[default]
    Outbound,
    /// Those from a number that stands on it.
    Inbound,
    /// Both.
    Both,
}

impl Direction {
    /// Whether the list counts for a call from the number, or else for one to it.
    pub const fn counts(self, is_inbound: bool) -> bool {
        match self {
            Self::Outbound => !is_inbound,
            Self::Inbound => is_inbound,
            Self::Both => true,
        }
    }

    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
            Self::Both => "both",
        }
    }
}

/// A suppression list as the configuration declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Its stable name, which facts carry.
    pub name: ListName,
    /// What people call it.
    pub title: String,
    /// How far its entries reach.
    pub scope: Scope,
}

/// A set of lists as bits of one process; never stored, since bits follow the order in which
/// this process met the names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListMask(u64);

impl ListMask {
    /// No list.
    pub const NONE: Self = Self(0);

    /// Whether it holds no list.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The lists in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The lists in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The lists of this set that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The list of this set that comes first in configuration order, as a set of its own.
    #[must_use]
    pub const fn first(self) -> Self {
        Self(self.0 & self.0.wrapping_neg())
    }

    /// Whether the first list of this set comes before the first of `other`; an empty set comes
    /// last.
    pub const fn is_before(self, other: Self) -> bool {
        let place = if self.0 == 0 { 64 } else { self.0.trailing_zeros() };
        place < if other.0 == 0 { 64 } else { other.0.trailing_zeros() }
    }

    fn bits(self) -> impl Iterator<Item = usize> {
        (0..ListTable::LISTS_MAX).filter(move |bit| self.0 & (1 << bit) != 0)
    }
}

/// More list names than a mask has bits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected at most {max} lists, found `{found}` beyond them", max = ListTable::LISTS_MAX)]
pub struct ListLimitError {
    /// The first name that found no bit.
    pub found: ListName,
}

/// Which bit stands for which list: names in configuration order first, then names that only
/// stored facts know. A name keeps its bit for the life of the process, through reloads too.
#[derive(Debug, Default)]
pub struct ListTable {
    names: RwLock<Vec<ListName>>,
    scopes: RwLock<Scopes>,
}

/// The lists whose entries do not reach everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    /// Those of [`Scope::Account`].
    pub account: ListMask,
    /// Those of [`Scope::Topic`].
    pub topic: ListMask,
    /// Those of [`Scope::Campaign`].
    pub campaign: ListMask,
}

impl ListTable {
    /// Most lists one process tells apart: the bits of a mask.
    pub const LISTS_MAX: usize = 64;

    /// Takes over the names and scopes of a configuration.
    ///
    /// # Errors
    ///
    /// [`ListLimitError`] at the 65th name; the scopes stay as they were then.
    pub fn configure(&self, lists: &[List]) -> Result<(), ListLimitError> {
        let mut scopes = Scopes::default();
        for list in lists {
            let bit = self.mask([&list.name])?;
            match list.scope {
                Scope::Global => {}
                Scope::Account => scopes.account = scopes.account.union(bit),
                Scope::Topic => scopes.topic = scopes.topic.union(bit),
                Scope::Campaign => scopes.campaign = scopes.campaign.union(bit),
            }
        }
        *self.scopes.write().unwrap_or_else(std::sync::PoisonError::into_inner) = scopes;
        Ok(())
    }

    /// The lists whose entries do not reach everybody.
    pub fn scopes(&self) -> Scopes {
        *self.scopes.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The set of `names`, giving a bit to each that has none yet.
    ///
    /// # Errors
    ///
    /// [`ListLimitError`] at the 65th name; no bit is given away then.
    pub fn mask<'a>(
        &self,
        names: impl IntoIterator<Item = &'a ListName>,
    ) -> Result<ListMask, ListLimitError> {
        let mut mask = 0;
        for name in names {
            mask |= 1 << self.bit(name)?;
        }
        Ok(ListMask(mask))
    }

    /// The names of the lists in `mask`, in bit order.
    pub fn names(&self, mask: ListMask) -> Vec<ListName> {
        let names = self.names.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        mask.bits().filter_map(|bit| names.get(bit).cloned()).collect()
    }

    fn bit(&self, name: &ListName) -> Result<usize, ListLimitError> {
        let known = {
            let names = self.names.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            names.iter().position(|known| known == name)
        };
        if let Some(bit) = known {
            return Ok(bit);
        }
        let mut names = self.names.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(bit) = names.iter().position(|known| known == name) {
            return Ok(bit);
        }
        if names.len() == Self::LISTS_MAX {
            return Err(ListLimitError { found: name.clone() });
        }
        names.push(name.clone());
        Ok(names.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_bits_and_the_65th_is_refused() {
        let table = ListTable::default();
        let names: Vec<ListName> =
            (0..65).map(|n| ListName::from(format!("list-{n}").as_str())).collect();
        let all = table.mask(&names[..64]).unwrap();
        assert_eq!(table.names(all), names[..64]);
        assert_eq!(table.mask(&names), Err(ListLimitError { found: names[64].clone() }));
        let two = table.mask([&names[7], &names[3]]).unwrap();
        assert_eq!(table.names(two), [names[3].clone(), names[7].clone()]);
        assert_eq!(table.names(all.without(two)).len(), 62);
        assert_eq!(all.intersection(two), two);
        assert_eq!(table.names(two.first()), [names[3].clone()]);
        assert_eq!(ListMask::NONE.first(), ListMask::NONE);
        let orders = [two.is_before(all), all.is_before(two), ListMask::NONE.is_before(two)];
        assert_eq!(orders, [false, true, false]);
        assert!(two.is_before(ListMask::NONE));
        assert!(two.without(all).is_empty());
        assert_eq!(ListMask::NONE.union(two), two);
    }
}
