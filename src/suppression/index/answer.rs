//! Whether a number is refused, and why: by its own records, by an import, or by a range that it is
//! in.

use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;
use crate::model::Number;
use crate::model::RecordId;
use crate::model::TopicName;
use crate::suppression::list::ListMask;
use crate::suppression::range::Range;

use super::Index;
use super::entry::Reason;

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

impl Index {
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

    /// Whether what put a number on the list of `hit` concerns calls of `campaign` of `account`.
    pub fn concerns(&self, hit: &Hit, account: &AccountName, campaign: &CampaignName) -> bool {
        let Ok(lists) = self.lists.mask([&hit.list]) else { return true };
        let pending = Reason::pending(lists, hit.account.as_ref(), hit.campaign.as_ref());
        let reason = Reason { topic: hit.topic.clone(), ..pending };
        !self.reach(&reason, account, campaign).is_empty()
    }

    pub(super) fn is_durable_on_all(
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
}
