//! What is known of one number, and how it comes to be known: an act is blocked at once, and its
//! record is named once that is durable.

use std::sync::atomic::Ordering;

use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::TopicName;
use crate::suppression::list::ListLimitError;
use crate::suppression::list::ListMask;
use crate::suppression::optout::OptOut;

use super::Index;
use super::reversals::Cancelled;

#[derive(Debug, Default)]
pub(super) struct Entry {
    /// All lists of `reasons`.
    pub(super) mask: ListMask,
    pub(super) reasons: Vec<Reason>,
    /// What reversals cancel, of `reasons` and of imports.
    pub(super) cancelled: Cancelled,
    /// 1 for a number that stands on a list and is not in the base, -1 for one that is in the base
    /// and stands on none, since all was reversed; else 0.
    pub(super) surplus: isize,
}

/// One act that put a number on lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) lists: ListMask,
    /// Whose wish it was towards; an entry without one reaches every account.
    pub(super) account: Option<AccountName>,
    /// In which campaign; an entry without one reaches every campaign.
    pub(super) campaign: Option<CampaignName>,
    /// What that campaign was about then, where it named a topic.
    pub(super) topic: Option<TopicName>,
    pub(super) record: Option<RecordId>,
}

impl Reason {
    /// Whether both are of one act, whether or not they know of its topic.
    fn is_of_act(&self, other: &Self) -> bool {
        let of = |it: &Self| (it.lists, it.record);
        of(self) == of(other) && self.account == other.account && self.campaign == other.campaign
    }

    /// Whether it says all that `other` does of the same record, whether or not either knows of its
    /// topic. A table has a row for each list of an act, the act itself all of them.
    fn says(&self, other: &Self) -> bool {
        let is_one = self.record == other.record && self.account == other.account;
        is_one && self.campaign == other.campaign && other.lists.without(self.lists).is_empty()
    }

    pub(super) fn pending(
        lists: ListMask,
        account: Option<&AccountName>,
        campaign: Option<&CampaignName>,
    ) -> Self {
        let (account, campaign) = (account.cloned(), campaign.cloned());
        Self { lists, account, campaign, topic: None, record: None }
    }
}

impl Index {
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

    fn settle_reason(&self, number: Number, pending: Reason, record: RecordId) {
        let number = self.stored(number);
        let mut settled = Reason { record: Some(record), ..pending.clone() };
        let mut entry = self.numbers.entry(number).or_default();
        entry.mask = entry.mask.union(settled.lists);
        if let Some(known) = entry.reasons.iter_mut().find(|known| known.says(&settled)) {
            known.topic = settled.topic.or_else(|| known.topic.take());
            return;
        }
        let said_before = entry.reasons.extract_if(.., |known| settled.says(known));
        let topic = said_before.filter_map(|known| known.topic).last();
        settled.topic = settled.topic.or(topic);
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

    /// Those of `lists` that have or get a bit, and the error of the last that does not.
    pub(super) fn mask_of_known(&self, lists: &[ListName]) -> (ListMask, Option<ListLimitError>) {
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
}
