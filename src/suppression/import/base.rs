//! The base of all imports there are: which of them hold, the layer of each, and what is taken off
//! from which.

use std::collections::BTreeMap;

use crate::model::Number;
use crate::suppression::base::Base;
use crate::suppression::base::BuildError;
use crate::suppression::base::Layer;
use crate::suppression::base::Source;
use crate::suppression::base::Taker;

use super::Imported;
use super::Part;
use super::standing;

/// Those of `all` that put numbers on a list, and are not taken back.
pub fn listing(all: &[Imported]) -> impl Iterator<Item = (&Imported, Part)> {
    standing(all).filter_map(|imported| Some((imported, imported.import.listed?)))
}

/// The layer of each of them.
pub fn layers(all: &[Imported]) -> Vec<Layer> {
    let layer = |(imported, part): (&Imported, Part)| Layer {
        list: imported.import.list.clone(),
        account: imported.import.account.clone(),
        campaign: imported.import.campaign.clone(),
        topic: imported.import.campaign.as_ref().and_then(|_named| imported.import.topic.clone()),
        record: imported.record,
        segment: part.segment.0,
    };
    listing(all).map(layer).collect()
}

/// The base of `all`; `read` gives the numbers of a part, ascending, and is asked once for each.
///
/// # Errors
///
/// [`BuildError`]; those of `read` stand in [`BuildError::Source`].
pub fn base_of<E, I: Iterator<Item = Result<Number, E>>>(
    all: &[Imported],
    mut read: impl FnMut(&Part) -> Result<I, E>,
) -> Result<Base, BuildError<E>> {
    let mut sources = Vec::new();
    let mut places = BTreeMap::new();
    for (layer, (imported, part)) in layers(all).into_iter().zip(listing(all)) {
        let place = sources.len();
        places.insert(imported.record, place);
        let numbers = read(&part).map_err(|source| BuildError::Source { layer: place, source })?;
        sources.push(Source { layer, numbers });
    }
    let mut takers = Vec::new();
    for taken_off in standing(all).filter_map(|imported| imported.import.taken_off.as_ref()) {
        let from = taken_off.from.iter().filter_map(|record| places.get(record)).copied().collect();
        let layer = sources.len() + takers.len();
        let numbers =
            read(&taken_off.part).map_err(|source| BuildError::Source { layer, source })?;
        takers.push(Taker { from, numbers });
    }
    Base::build_less(sources, takers)
}
