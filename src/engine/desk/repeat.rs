//! A file that comes again: the same import, if it says the same numbers.
//!
//! Read by another column, for another region or by a later version, the same file has other numbers,
//! and however many there are, only those themselves tell. A segment's name is the sum of them and of
//! its title: so it is made under the title that the earlier import gave its own, and not written.

use std::path::Path;

use super::Claim;
use super::Earlier;
use crate::model::ListName;
use crate::model::UnixMicros;
use crate::store::import::PrepareError;
use crate::store::import::Prepared;
use crate::store::import::Progress;
use crate::store::import::Title;
use crate::store::import::parts_of;
use crate::suppression::import::Part;

impl Earlier {
    /// Whether it has these segments.
    pub(super) fn has(&self, listed: Option<Part>, taken_off: Option<Part>) -> bool {
        (self.listed, self.taken_off) == (listed, taken_off)
    }

    /// Whether it may: it has as many numbers.
    fn has_as_many(&self, (listed, taken_off): (u64, u64)) -> bool {
        let count = |part: Option<Part>| part.map_or(0, |part| part.count);
        (count(self.listed), count(self.taken_off)) == (listed, taken_off)
    }

    fn title(&self) -> (&str, Option<UnixMicros>) {
        (&self.source, self.as_of)
    }
}

/// Which import each of `claims`, all that `prepared` has, repeats, of those that
/// [`Desk::weigh`](super::Desk::weigh) said of it; its segments are in the claim then. `store` is
/// where they would be written.
///
/// # Errors
///
/// [`PrepareError`].
pub fn repeated(
    claims: &mut [Claim],
    mut earlier: Vec<Vec<Earlier>>,
    prepared: &mut Prepared,
    store: &Path,
    tell: &mut dyn FnMut(Progress),
) -> Result<Vec<Option<Earlier>>, PrepareError> {
    let mut counts: Vec<_> = prepared.placed().iter().map(|placed| (placed.count, 0)).collect();
    if counts.is_empty() {
        counts.push((prepared.listed, prepared.taken_off));
    }
    for (earlier, counts) in earlier.iter_mut().zip(counts) {
        earlier.retain(|it| it.has_as_many(counts));
    }
    let mut found = vec![None; claims.len()];
    while let Some((list, (source, as_of))) = next_title(claims, &earlier, &found) {
        let title = Title { list, source, as_of };
        let is_titled = |it: &Earlier| it.title() == (title.source.as_str(), title.as_of);
        let parts = parts_of(prepared, &title, store, tell)?;
        for (place, (listed, taken_off)) in parts.into_iter().enumerate() {
            let (Some(claim), Some(earlier), Some(found)) =
                (claims.get_mut(place), earlier.get(place), found.get_mut(place))
            else {
                continue;
            };
            let same = earlier.iter().find(|it| is_titled(it) && it.has(listed, taken_off));
            if let (Some(same), None) = (same, &found) {
                (claim.listed, claim.taken_off) = (listed, taken_off);
                *found = Some(same.clone());
            }
        }
        earlier.iter_mut().for_each(|earlier| earlier.retain(|it| !is_titled(it)));
    }
    Ok(found)
}

/// What an earlier import that some claim may repeat called its segments, with the claim's list; one
/// title is of several places.
fn next_title(
    claims: &[Claim],
    earlier: &[Vec<Earlier>],
    found: &[Option<Earlier>],
) -> Option<(ListName, (String, Option<UnixMicros>))> {
    let open = claims.iter().zip(earlier).zip(found).filter(|(_claim, found)| found.is_none());
    let mut open = open.map(|(claim, _found)| claim);
    open.find_map(|(claim, earlier)| {
        let (source, as_of) = earlier.first()?.title();
        Some((claim.list.clone(), (source.to_owned(), as_of)))
    })
}
