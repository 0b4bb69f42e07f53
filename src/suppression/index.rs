//! Who must not be called: numbers to lists, with the record that put each there.
//!
//! Read by every INVITE, written by every opt-out. What single facts say stands in a sharded hash
//! map; what imports say stands in a [`Base`] beside it, which is read without a lock and
//! exchanged as a whole. A number is refused when either refuses it. Reversals stand beside both:
//! what they cancel is left out when the question is answered, so that the state follows from the
//! set of facts, whatever the order in which they came.

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
use crate::model::RecordId;
use crate::model::TopicName;
use crate::model::UnixMicros;

use super::base::Base;
use super::feed::Freshness;
use super::import::Imported;
use super::list::List;
use super::list::ListLimitError;
use super::list::ListMask;
use super::list::ListTable;
use super::number_storage::NumberStorage;
use super::optout::OptOut;
use super::range::Range;
use super::registry::Age;
use super::registry::Registries;
use super::registry::Registry;

#[cfg(test)]
mod converge;
mod ranges;
mod reversals;

pub use reversals::WAITING_MAX;

use ranges::AllRanges;
use reversals::Cancelled;

/// Why a number is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The list it stands on; the first in configuration order that was asked about.
    pub list: ListName,
    /// The account for which it was put there, where one is known.
    pub account: Option<AccountName>,
    /// The campaign in which it was put there, where one is known.
    pub campaign: Option<CampaignName>,
    /// What that campaign was about then, where that is known.
    pub topic: Option<TopicName>,
    /// The record that put it there; `None` while that is not durable yet, or never became so,
    /// and for a range that the configuration has.
    pub record: Option<RecordId>,
    /// The range that it is in, where it is not there by itself.
    pub range: Option<Range>,
}

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

/// A base with its layers as this process names lists.
#[derive(Debug, Default)]
struct Mounted {
    base: Base,
    /// By layer.
    reasons: Vec<Reason>,
    /// By set of layers, all lists of it.
    masks: Vec<ListMask>,
}

impl Mounted {
    /// What the base says of `number`: all lists that it stands on, and why.
    fn find(&self, number: Number) -> Option<(ListMask, impl Iterator<Item = &Reason>)> {
        let set = self.base.find(number)?;
        let reasons = self.base.layers_of(set).iter();
        let reasons = reasons.filter_map(|&layer| self.reasons.get(usize::from(layer)));
        Some((self.masks.get(set.place()).copied()?, reasons))
    }
}

#[derive(Debug, Default)]
struct Entry {
    /// All lists of `reasons`.
    mask: ListMask,
    reasons: Vec<Reason>,
    /// What reversals cancel, of `reasons` and of imports.
    cancelled: Cancelled,
    /// 1 for a number that stands on a list and is not in the base, -1 for one that is in the base
    /// and stands on none, since all was reversed; else 0.
    surplus: isize,
}

/// One act that put a number on lists.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reason {
    lists: ListMask,
    /// Whose wish it was towards; an entry without one reaches every account.
    account: Option<AccountName>,
    /// In which campaign; an entry without one reaches every campaign.
    campaign: Option<CampaignName>,
    /// What that campaign was about then, where it named a topic.
    topic: Option<TopicName>,
    record: Option<RecordId>,
}

impl Reason {
    /// Whether both are of one act, whether or not they know of its topic.
    fn is_of_act(&self, other: &Self) -> bool {
        let of = |it: &Self| (it.lists, it.record);
        of(self) == of(other) && self.account == other.account && self.campaign == other.campaign
    }

    fn pending(
        lists: ListMask,
        account: Option<&AccountName>,
        campaign: Option<&CampaignName>,
    ) -> Self {
        let (account, campaign) = (account.cloned(), campaign.cloned());
        Self { lists, account, campaign, topic: None, record: None }
    }
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

    /// Reads imports from `base` from now on, and no longer from the base before it. Calls are
    /// answered all the while, by the one or by the other. Returns how many layers are left out:
    /// those on lists beyond the 64th, which no campaign can ask for either.
    pub fn mount(&self, base: Base) -> usize {
        let _turn = self.mounting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left_out = 0;
        let mut reasons = Vec::with_capacity(base.layers().len());
        for layer in base.layers() {
            let lists = self.lists.mask([&layer.list]);
            left_out += usize::from(lists.is_err());
            reasons.push(Reason {
                lists: lists.unwrap_or_default(),
                account: layer.account.clone(),
                campaign: layer.campaign.clone(),
                topic: None,
                record: Some(layer.record),
            });
        }
        let masks = base.set_ids().map(|set| {
            let layers = base.layers_of(set).iter();
            let lists = layers.filter_map(|&layer| reasons.get(usize::from(layer)));
            lists.map(|reason| reason.lists).fold(ListMask::NONE, ListMask::union)
        });
        let masks = masks.collect();
        // Let go of at the end: by then nobody who answers a call has the base before in hand, and
        // must give back its memory.
        let _before = self.mounted.swap(Arc::new(Mounted { base, reasons, masks }));
        for mut entry in self.numbers.iter_mut() {
            let number = *entry.key();
            self.recount(number, &mut entry);
        }
        left_out
    }

    /// Keep what this returns from asking which imports there are until their base is mounted, so
    /// that a base of fewer imports never takes the place of one of more.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the mounted base to `look`.
    pub fn with_base<T>(&self, look: impl FnOnce(&Base) -> T) -> T {
        look(&self.mounted.load().base)
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

    /// Refuses `number` on `lists` from this moment on, before any record of it is durable.
    /// It stays refused when no record ever is.
    ///
    /// Returns whether durable records had put it on every one of them before.
    ///
    /// # Errors
    ///
    /// [`ListLimitError`] when a list has no bit and gets none; the others refuse all the same.
    pub fn block(
        &self,
        number: Number,
        lists: &[ListName],
        account: &AccountName,
        campaign: &CampaignName,
    ) -> Result<bool, ListLimitError> {
        let number = self.stored(number);
        let (mask, error) = self.mask_of_known(lists);
        let already = self.is_durable_on_all(number, mask, account, campaign);
        self.insert(number, Reason::pending(mask, Some(account), Some(campaign)));
        error.map_or(Ok(already), Err)
    }

    /// As [`Self::block`], for an act outside a call: where it names no account or no campaign, it
    /// reaches all of them.
    ///
    /// # Errors
    ///
    /// As [`Self::block`].
    pub fn block_beyond(
        &self,
        number: Number,
        lists: &[ListName],
        account: Option<&AccountName>,
        campaign: Option<&CampaignName>,
    ) -> Result<(), ListLimitError> {
        let (mask, error) = self.mask_of_known(lists);
        self.insert(self.stored(number), Reason::pending(mask, account, campaign));
        error.map_or(Ok(()), Err)
    }

    /// Those of `lists` that have or get a bit, and the error of the last that does not.
    fn mask_of_known(&self, lists: &[ListName]) -> (ListMask, Option<ListLimitError>) {
        let mut mask = ListMask::NONE;
        let mut error = None;
        for list in lists {
            match self.lists.mask([list]) {
                Ok(bit) => mask = mask.union(bit),
                Err(limit) => error = Some(limit),
            }
        }
        (mask, error)
    }

    fn is_durable_on_all(
        &self,
        number: Number,
        lists: ListMask,
        account: &AccountName,
        campaign: &CampaignName,
    ) -> bool {
        let mounted = self.mounted.load();
        let entry = self.numbers.get(&number);
        let cancelled = |reason: &Reason| match &entry {
            Some(entry) => entry.cancelled.of(reason.record),
            None => ListMask::NONE,
        };
        let base = mounted.find(number).map(|(_mask, reasons)| reasons);
        let later = entry.as_ref().map(|entry| entry.reasons.iter());
        let durable = base
            .into_iter()
            .flatten()
            .chain(later.into_iter().flatten())
            .filter(|reason| reason.record.is_some())
            .map(|reason| self.reach(reason, account, campaign).without(cancelled(reason)))
            .fold(ListMask::NONE, ListMask::union);
        !durable.is_empty() && lists.without(durable).is_empty()
    }

    /// Names the durable record behind what [`Self::block`] did; also right without a block
    /// before it, as when facts are read back at start.
    ///
    /// # Errors
    ///
    /// [`ListLimitError`] when a list has no bit and gets none; the others refuse all the same.
    pub fn settle(
        &self,
        number: Number,
        lists: &[ListName],
        account: Option<&AccountName>,
        campaign: Option<&CampaignName>,
        record: RecordId,
    ) -> Result<(), ListLimitError> {
        let (lists, error) = self.mask_of_known(lists);
        self.settle_reason(number, Reason::pending(lists, account, campaign), record);
        error.map_or(Ok(()), Err)
    }

    /// As [`Self::settle`], by all that the record says.
    ///
    /// # Errors
    ///
    /// As [`Self::settle`].
    pub fn settle_optout(&self, optout: &OptOut, record: RecordId) -> Result<(), ListLimitError> {
        let (lists, error) = self.mask_of_known(&optout.lists);
        let (account, campaign) = (optout.account.as_ref(), optout.campaign.as_ref());
        let pending =
            Reason { topic: optout.topic.clone(), ..Reason::pending(lists, account, campaign) };
        self.settle_reason(optout.number, pending, record);
        error.map_or(Ok(()), Err)
    }

    /// Says what the campaign was about when `record` put `number` on a list, for who reads that
    /// from elsewhere than the rest.
    pub fn note_topic(&self, number: Number, record: RecordId, topic: &TopicName) {
        let Some(mut entry) = self.numbers.get_mut(&self.stored(number)) else { return };
        for reason in entry.reasons.iter_mut().filter(|reason| reason.record == Some(record)) {
            reason.topic = Some(topic.clone());
        }
    }

    /// The lists whose entries reach the campaigns of their topic.
    pub fn lists_of_topics(&self) -> Vec<ListName> {
        self.lists.names(self.lists.scopes().topic)
    }

    fn settle_reason(&self, number: Number, pending: Reason, record: RecordId) {
        let number = self.stored(number);
        let settled = Reason { record: Some(record), ..pending.clone() };
        let mut entry = self.numbers.entry(number).or_default();
        entry.mask = entry.mask.union(settled.lists);
        if let Some(known) = entry.reasons.iter_mut().find(|known| known.is_of_act(&settled)) {
            known.topic = settled.topic.or_else(|| known.topic.take());
            return;
        }
        match entry.reasons.iter_mut().find(|reason| reason.is_of_act(&pending)) {
            Some(reason) => {
                reason.record = settled.record;
                reason.topic = settled.topic.or_else(|| reason.topic.take());
            }
            None => entry.reasons.push(settled),
        }
        let seen = entry.cancelled.see(|waiting| waiting == record);
        self.waiting.fetch_sub(seen, Ordering::Relaxed);
        self.recount(number, &mut entry);
    }

    /// Whether `number` stands on one of `lists` for a call of `campaign` of `account`, and why:
    /// a record of its own is named before an import, either before what is not durable yet, and
    /// that before a range, of which the closest is named.
    /// One shard read-lock, one hash, and no lock for the base; allocates only for a hit.
    pub fn check(
        &self,
        number: Number,
        lists: ListMask,
        account: &AccountName,
        campaign: &CampaignName,
    ) -> Option<Hit> {
        let asked = |mask: ListMask| !mask.intersection(lists).is_empty();
        let mounted = self.mounted.load();
        // Ranges are of numbers as they are dialled.
        let dialled = number;
        let number = self.stored(number);
        let entry = self.numbers.get(&number);
        let own = entry.as_ref().filter(|entry| asked(entry.mask));
        let base = mounted.find(number).filter(|(mask, _reasons)| asked(*mask));
        let imports = base.into_iter().flat_map(|(_mask, reasons)| reasons);
        let own = own.into_iter().flat_map(|entry| &entry.reasons);
        let ranges = self.ranges.load();
        let alone = imports.chain(own).map(|reason| (None, reason));
        let reached = |reason: &Reason| {
            let reached = self.reach(reason, account, campaign).intersection(lists);
            let cancelled = entry.as_ref().map(|entry| entry.cancelled.of(reason.record));
            reached.without(cancelled.unwrap_or_default())
        };
        let mut best: Option<(ListMask, Option<Range>, &Reason)> = None;
        for (range, reason) in ranges.find(dialled).chain(alone) {
            let first = reached(reason).first();
            // Where two are alike, the later one: of ranges the closer, of the others the
            // number's own.
            let is_better = best.is_none_or(|(list, other, known)| {
                let is_as_good = range.is_none() && other.is_some()
                    || range.is_some()
                    || reason.record.is_some() >= known.record.is_some();
                first.is_before(list) || (first == list && is_as_good)
            });
            if !first.is_empty() && is_better {
                best = Some((first, range, reason));
            }
        }
        let (first, range, reason) = best?;
        Some(Hit { range, ..self.hits(first, reason).next()? })
    }

    /// The lists of `reason` that reach calls of `campaign` of `account`, by the lists' scopes.
    fn reach(&self, reason: &Reason, account: &AccountName, campaign: &CampaignName) -> ListMask {
        let scopes = self.lists.scopes();
        let mut lists = reason.lists;
        if reason.account.as_ref().is_some_and(|of| of != account) {
            lists = lists.without(scopes.account);
        }
        if reason.campaign.as_ref().is_some_and(|of| of != campaign) {
            lists = lists.without(scopes.campaign);
            if !lists.intersection(scopes.topic).is_empty() && !self.share_topic(reason, campaign) {
                lists = lists.without(scopes.topic);
            }
        }
        lists
    }

    /// Whether the campaign of `reason` was about the same as `campaign` is, or is so today. One
    /// that is configured no more, or without a topic, may have been about anything.
    fn share_topic(&self, reason: &Reason, campaign: &CampaignName) -> bool {
        let topics = self.topics.load();
        let topic = |of: &CampaignName| topics.get(of).and_then(Option::as_ref);
        let Some(asked) = topic(campaign) else { return true };
        if reason.topic.as_ref() == Some(asked) {
            return true;
        }
        reason.campaign.as_ref().and_then(topic).is_none_or(|today| today == asked)
    }

    /// Whether what put a number on the list of `hit` concerns calls of `campaign` of `account`.
    pub fn concerns(&self, hit: &Hit, account: &AccountName, campaign: &CampaignName) -> bool {
        let Ok(lists) = self.lists.mask([&hit.list]) else { return true };
        let pending = Reason::pending(lists, hit.account.as_ref(), hit.campaign.as_ref());
        let reason = Reason { topic: hit.topic.clone(), ..pending };
        !self.reach(&reason, account, campaign).is_empty()
    }

    /// Everything that refuses `number`: each list with each record, for people who ask why.
    /// Ranges come first, then imports.
    pub fn explain(&self, number: Number) -> Vec<Hit> {
        let mounted = self.mounted.load();
        let dialled = number;
        let number = self.stored(number);
        let entry = self.numbers.get(&number);
        let imports = mounted.find(number).into_iter().flat_map(|(_mask, reasons)| reasons);
        let own = entry.iter().flat_map(|entry| &entry.reasons);
        let ranges = self.ranges.load();
        let alone = imports.chain(own).map(|reason| (None, reason));
        let mut hits = Vec::new();
        for (range, reason) in ranges.find(dialled).chain(alone) {
            let cancelled = entry.as_ref().map(|entry| entry.cancelled.of(reason.record));
            let lists = reason.lists.without(cancelled.unwrap_or_default());
            hits.extend(self.hits(lists, reason).map(|hit| Hit { range, ..hit }));
        }
        hits
    }

    /// One for each of `lists`, on which a number stands by `reason`.
    fn hits(&self, lists: ListMask, reason: &Reason) -> impl Iterator<Item = Hit> {
        self.lists.names(lists).into_iter().map(|list| Hit {
            list,
            account: reason.account.clone(),
            campaign: reason.campaign.clone(),
            topic: reason.topic.clone(),
            record: reason.record,
            range: None,
        })
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

    /// Refuses `number` for `reason`, about whatever its campaign is about today.
    fn insert(&self, number: Number, mut reason: Reason) {
        let topics = self.topics.load();
        reason.topic =
            reason.campaign.as_ref().and_then(|campaign| topics.get(campaign).cloned().flatten());
        let mut entry = self.numbers.entry(number).or_default();
        entry.mask = entry.mask.union(reason.lists);
        if !entry.reasons.contains(&reason) {
            entry.reasons.push(reason);
            self.recount(number, &mut entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::ranges::ImportedRange;
    use super::*;
    use crate::model::WriterId;
    use crate::suppression::base::Layer;
    use crate::suppression::base::Source;
    use crate::suppression::list::Scope;

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
            let calls =
                [("acme", "promo"), ("acme", "other"), ("rival", "promo"), ("rival", "spring")];
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
        let is_refused = |campaign: &str| {
            index.check(number(1), all, &"acme".into(), &campaign.into()).is_some()
        };
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
        assert_eq!(
            hit.map(|hit| (hit.list, hit.record)),
            Some((names[3].clone(), Some(record(1))))
        );
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
}
