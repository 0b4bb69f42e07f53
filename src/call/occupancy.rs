//! How many calls each dialer, campaign and trunk has, and the caps on them.

use std::collections::BTreeMap;

use super::gate::Admitted;
use super::gate::Refused;
use super::rules::Trunk;
use crate::model::CampaignName;
use crate::model::DialerName;
use crate::model::TrunkName;

/// Calls in progress, by whom they belong to.
#[derive(Debug, Default)]
pub(super) struct Occupancy {
    dialers: BTreeMap<DialerName, usize>,
    campaigns: BTreeMap<CampaignName, usize>,
    trunks: BTreeMap<TrunkName, usize>,
}

impl Occupancy {
    /// Whether one more call is within every cap; otherwise the refusal that says which is not.
    pub(super) fn fits(
        &self,
        calls_len: usize,
        admitted: Box<Admitted>,
    ) -> Result<Box<Admitted>, Box<Refused>> {
        let dialer_len = count(&self.dialers, &admitted.dialer.name);
        let campaign_len = count(&self.campaigns, &admitted.campaign.name);
        let campaign_max = admitted.campaign.channels_max.map_or(usize::MAX, |max| max as usize);
        let full = if calls_len >= admitted.rules.limits.calls_max {
            Some("engine-full")
        } else if dialer_len >= admitted.dialer.channels_max {
            Some("dialer-full")
        } else if campaign_len >= campaign_max {
            Some("campaign-full")
        } else {
            None
        };
        match full {
            None => Ok(admitted),
            Some(why) => Err(Box::new(Refused::full(why, &admitted))),
        }
    }

    /// Calls in progress on a trunk.
    pub(super) fn on_trunk(&self, name: &TrunkName) -> usize {
        count(&self.trunks, name)
    }

    /// A call begins.
    pub(super) fn enter(&mut self, admitted: &Admitted, trunk: Option<&Trunk>) {
        *self.dialers.entry(admitted.dialer.name.clone()).or_default() += 1;
        *self.campaigns.entry(admitted.campaign.name.clone()).or_default() += 1;
        if let Some(trunk) = trunk {
            *self.trunks.entry(trunk.name.clone()).or_default() += 1;
        }
    }

    /// A call that had begun is over.
    pub(super) fn leave(&mut self, admitted: &Admitted, trunk: Option<&Trunk>) {
        lower(&mut self.dialers, &admitted.dialer.name);
        lower(&mut self.campaigns, &admitted.campaign.name);
        if let Some(trunk) = trunk {
            lower(&mut self.trunks, &trunk.name);
        }
    }
}

fn count<N: Ord>(counts: &BTreeMap<N, usize>, name: &N) -> usize {
    counts.get(name).copied().unwrap_or_default()
}

fn lower<N: Ord>(counts: &mut BTreeMap<N, usize>, name: &N) {
    if let Some(count) = counts.get_mut(name) {
        *count = count.saturating_sub(1);
    }
}
