//! Whether a call may be made: the one answer by which the gate acts and that people are told.

use std::time::Instant;

use crate::campaign::Campaign;
use crate::campaign::OnStale;
use crate::campaign::Subject;
use crate::model::ListName;
use crate::model::Number;
use crate::model::UnixMicros;
use crate::suppression::Freshness;
use crate::suppression::Hit;
use crate::suppression::Index;
use crate::suppression::ListMask;
use crate::suppression::registry::Registry;

/// What the calls of a campaign are checked against, worked out once.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// The lists that a number is looked for on which is called.
    pub called: ListMask,
    /// Those that the number is looked for on which calls.
    pub calling: ListMask,
    /// The registries among them that refuse calls while they are too old.
    pub registries: Vec<Registry>,
}

/// The numbers of a call.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    /// The person's.
    pub person: Number,
    /// The one that is dialled, whoever the person is; nothing where we answer ourselves.
    pub dialled: Option<Number>,
}

/// When it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// By the clock that nobody sets.
    pub now: Instant,
    /// By the calendar.
    pub today: UnixMicros,
}

/// Why a call may not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    /// A short code is called by no campaign.
    ShortCode,
    /// A number stands on a list.
    Suppressed(Hit),
    /// This node may not know that somebody of the call has opted out.
    Stale,
    /// This registry is too old to say that the number may be called.
    StaleRegistry(ListName),
}

impl Checks {
    /// Why a call of `campaign` with `numbers` may not be made at `at`, if it may not.
    pub fn objection(
        &self,
        index: &Index,
        campaign: &Campaign,
        numbers: Numbers,
        at: Moment,
    ) -> Option<Objection> {
        let Numbers { person, dialled } = numbers;
        let is_short = person.is_short_code() && !takes_short_codes(campaign);
        if is_short || dialled.is_some_and(Number::is_short_code) {
            return Some(Objection::ShortCode);
        }
        if let Some(hit) = self.suppressed(index, campaign, numbers) {
            return Some(Objection::Suppressed(hit));
        }
        if is_blind(at.now, index, campaign) {
            return Some(Objection::Stale);
        }
        let account = Some(&campaign.account);
        let is_stale = |registry: &&Registry| index.age(registry, account, at.today).is_stale();
        let stale = self.registries.iter().find(is_stale)?;
        Some(Objection::StaleRegistry(stale.list.clone()))
    }

    /// The first list, in the campaign's order, on which the person's number stands, or the one
    /// that is dialled.
    pub fn suppressed(&self, index: &Index, campaign: &Campaign, numbers: Numbers) -> Option<Hit> {
        let check = |number, is_inbound| {
            let lists = if is_inbound { self.calling } else { self.called };
            index.check(number, lists, &campaign.account, &campaign.name)
        };
        let person = check(numbers.person, campaign.is_inbound());
        person.or_else(|| numbers.dialled.and_then(|number| check(number, false)))
    }
}

/// Whether the person may have a short code: who calls may, and nobody is called by one.
pub(super) fn takes_short_codes(campaign: &Campaign) -> bool {
    campaign.is_inbound()
}

/// Whether this node may not know that somebody has opted out, and the campaign does not call
/// then. A node that never knew has nothing to call by, whatever the campaign says. Who calls in is
/// answered all the same: nobody is dialled who may not be.
pub(super) fn is_blind(now: Instant, index: &Index, campaign: &Campaign) -> bool {
    let is_dialled = campaign.subject != Subject::Calling;
    let never_knew = index.freshness() == Freshness::Never;
    let may_call = campaign.on_stale == OnStale::Call && !never_knew;
    is_dialled && !may_call && index.is_stale(now)
}
