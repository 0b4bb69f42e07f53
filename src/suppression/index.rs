//! Who must not be called: numbers to lists, with the record that put each there.
//!
//! Read by every INVITE, written by every opt-out. What single facts say stands in a sharded hash
//! map (`entry`); what imports say stands in a base (`super::base`) beside it, which is read without
//! a lock and exchanged as a whole (`mounted`). A number is refused when either refuses it
//! (`answer`). Reversals stand beside both: what they cancel is left out when the question is
//! answered, so that the state follows from the set of facts, whatever the order in which they came.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicIsize;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arc_swap::ArcSwap;
use dashmap::DashMap;

use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::Number;
use crate::model::TopicName;
use crate::model::UnixMicros;

use super::feed::Freshness;
use super::import::Imported;
use super::list::List;
use super::list::ListLimitError;
use super::list::ListMask;
use super::list::ListTable;
use super::number_storage::NumberStorage;
use super::registry::Age;
use super::registry::Registries;
use super::registry::Registry;

mod answer;
#[cfg(test)]
mod converge;
mod entry;
mod mounted;
mod ranges;
mod reversals;
#[cfg(test)]
mod tests;

pub use answer::Hit;
pub use reversals::WAITING_MAX;

use entry::Entry;
use mounted::Mounted;
use ranges::AllRanges;

/// What each campaign is about that the configuration has; nothing where it names no topic.
pub type Topics = BTreeMap<CampaignName, Option<TopicName>>;

/// The suppression index of one process.
#[derive(Debug, Default)]
pub struct Index {
    numbers: DashMap<Number, Entry>,
    /// How the numbers are kept, here and in the store that it is filled from; set once.
    storage: OnceLock<NumberStorage>,
    lists: ListTable,
    mounted: ArcSwap<Mounted>,
    topics: ArcSwap<Topics>,
    ranges: ArcSwap<AllRanges>,
    registries: ArcSwap<Registries>,
    /// The imports that were taken over last.
    imports: ArcSwap<Vec<Imported>>,
    /// By how much more numbers stand on a list than the base has: the sum over `numbers`.
    surplus: AtomicIsize,
    /// Reversals of records that have not come.
    waiting: AtomicUsize,
    /// Reversals that found no room to wait in.
    overflowed: AtomicU64,
    /// Held while a base is made.
    making: Mutex<()>,
    /// Held while a base is exchanged.
    mounting: Mutex<()>,
    /// Until when it knows what others have made durable.
    freshness: ArcSwap<Freshness>,
}

impl Index {
    /// An empty index whose lists take their bits in the order of `lists`.
    ///
    /// # Errors
    ///
    /// [`ListLimitError`] for more than 64 lists.
    pub fn new(lists: &[List]) -> Result<Self, ListLimitError> {
        let index = Self::default();
        index.configure(lists)?;
        Ok(index)
    }

    /// Says how the store keeps numbers that it is filled from: before it is filled, and the same
    /// ever after. Who is asked about is hashed as they are, and only ranges are held against the
    /// number itself.
    pub fn keep_numbers_as(&self, storage: &NumberStorage) {
        let known = self.storage.get_or_init(|| storage.clone());
        debug_assert_eq!(known, storage, "an index is filled from one store");
    }

    /// The number as it is kept; as it is, until that is said.
    pub fn stored(&self, number: Number) -> Number {
        self.storage.get().map_or(number, |storage| storage.stored(number))
    }

    /// Takes over the lists of a new configuration; those it no longer names keep their numbers.
    ///
    /// # Errors
    ///
    /// [`ListLimitError`] for more than 64 names since the start; nothing is changed then.
    pub fn configure(&self, lists: &[List]) -> Result<(), ListLimitError> {
        self.lists.configure(lists)
    }

    /// Takes over what the campaigns of a new configuration are about.
    pub fn set_topics(&self, topics: Topics) {
        self.topics.store(Arc::new(topics));
    }

    /// How old `registry` is at `now` for calls of `account`; `None` asks for everybody's.
    pub fn age(&self, registry: &Registry, account: Option<&AccountName>, now: UnixMicros) -> Age {
        self.registries.load().age(registry, account, now)
    }

    /// Keep what this returns from asking which imports there are until their base is mounted, so
    /// that a base of fewer imports never takes the place of one of more.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says until when it knows what other nodes have made durable; see [`super::Feed`]. An index
    /// that is not told is alone.
    pub fn set_freshness(&self, freshness: Freshness) {
        self.freshness.store(Arc::new(freshness));
    }

    /// Until when it does.
    pub fn freshness(&self) -> Freshness {
        **self.freshness.load()
    }

    /// Whether an opt-out made on another node may be unknown here, longer after than is allowed.
    pub fn is_stale(&self, now: Instant) -> bool {
        self.freshness.load().is_stale(now)
    }

    /// The set of `names` in this index's bits; ask once a campaign, not once a call.
    ///
    /// # Errors
    ///
    /// [`ListLimitError`] at the 65th name this process has met.
    pub fn mask<'a>(
        &self,
        names: impl IntoIterator<Item = &'a ListName>,
    ) -> Result<ListMask, ListLimitError> {
        self.lists.mask(names)
    }

    /// The lists whose entries reach the campaigns of their topic.
    pub fn lists_of_topics(&self) -> Vec<ListName> {
        self.lists.names(self.lists.scopes().topic)
    }

    /// How many numbers stand on any list; each is counted once, also where an import has it and
    /// a record of its own.
    pub fn len(&self) -> usize {
        let base = usize::try_from(self.mounted.load().base.len()).unwrap_or(usize::MAX);
        base.saturating_add_signed(self.surplus.load(Ordering::Relaxed))
    }

    /// Whether no number stands on any list.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
