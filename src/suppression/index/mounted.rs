//! The base that is mounted: what imports say, as this process names lists.

use std::sync::Arc;
use std::sync::PoisonError;

use crate::model::Number;
use crate::suppression::base::Base;
use crate::suppression::list::ListMask;

use super::Index;
use super::entry::Reason;

/// A base with its layers as this process names lists.
#[derive(Debug, Default)]
pub(super) struct Mounted {
    pub(super) base: Base,
    /// By layer.
    reasons: Vec<Reason>,
    /// By set of layers, all lists of it.
    masks: Vec<ListMask>,
}

impl Mounted {
    /// What the base says of `number`: all lists that it stands on, and why.
    pub(super) fn find(&self, number: Number) -> Option<(ListMask, impl Iterator<Item = &Reason>)> {
        let set = self.base.find(number)?;
        let reasons = self.base.layers_of(set).iter();
        let reasons = reasons.filter_map(|&layer| self.reasons.get(usize::from(layer)));
        Some((self.masks.get(set.place()).copied()?, reasons))
    }
}

impl Index {
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
                topic: layer.topic.clone(),
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

    /// Shows the mounted base to `look`.
    pub fn with_base<T>(&self, look: impl FnOnce(&Base) -> T) -> T {
        look(&self.mounted.load().base)
    }
}
