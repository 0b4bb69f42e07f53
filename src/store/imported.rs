//! What all imports together say: the base of their numbers, from its snapshot or the segments.

use std::cell::Cell;
use std::cell::RefCell;
use std::path::Path;

use crate::model::RecordId;
use crate::model::WriterId;
use crate::suppression::base::Base;
use crate::suppression::base::BuildError;
use crate::suppression::base::Cursor;
use crate::suppression::import::Imported;
use crate::suppression::import::Part;
use crate::suppression::import::base_of;
use crate::suppression::import::layers;
use crate::suppression::import::listing;
use crate::suppression::import::standing;

use super::StoreError;
use super::segments::Segments;
use super::snapshot::Snapshot;

/// How often whoever waits is told, in numbers.
const TELL_EVERY: u64 = 1 << 16;

/// The base of `imports` in the store's folder `dir`: what its snapshot says where that is of
/// just these imports, else made of their segments and saved for the next start. Only the
/// process that holds the store may ask, and one thread of it at a time.
///
/// # Errors
///
/// [`StoreError::Segment`] for a segment that is missing or damaged, also where the snapshot
/// would do without it: whoever asks why a number is refused needs it. [`StoreError::Imports`].
pub(super) fn load_base(dir: &Path, imports: &[Imported]) -> Result<Base, StoreError> {
    let segments = Segments::of(dir);
    for imported in imports {
        for (part, _content) in imported.import.parts() {
            segments.check_there(part)?;
        }
    }
    if imports.is_empty() {
        return Ok(Base::default());
    }
    let (layers, cursor) = (layers(imports), cursor(imports));
    let is_current = |base: &Base, of: &Cursor| *of == cursor && base.layers() == layers;
    let build = || {
        let base = build_base(dir, imports, &mut |_done, _of| {})?;
        Ok::<_, StoreError>((base, cursor.clone()))
    };
    Ok(Snapshot::of_store(dir).load_or_build(is_current, build)?.0)
}

/// The base of `imports`, made of their segments, each of which is read once; `tell` hears how many
/// of how many of their numbers are done.
///
/// # Errors
///
/// [`StoreError::Segment`], and [`StoreError::Imports`] for more than a base holds.
pub(super) fn build_base(
    dir: &Path,
    imports: &[Imported],
    tell: &mut dyn FnMut(u64, u64),
) -> Result<Base, StoreError> {
    let parts = || standing(imports).flat_map(|imported| imported.import.parts());
    let of = parts().map(|(part, _content)| part.count).sum();
    let (done, tell) = (Cell::new(0_u64), RefCell::new(tell));
    let count = || {
        done.set(done.get() + 1);
        if done.get().is_multiple_of(TELL_EVERY) {
            tell.borrow_mut()(done.get(), of);
        }
    };
    let segments = Segments::of(dir);
    let together = parts().count();
    let read = |part: &Part| {
        let numbers = segments.numbers(part, together)?;
        Ok::<_, StoreError>(numbers.inspect(|_number| count()))
    };
    base_of(imports, read).map_err(|error| match error {
        BuildError::Source { source, .. } => source,
        error => StoreError::Imports { source: Box::new(error) },
    })
}

/// Whether `base` has the layers of `imports` and no others, in whatever order.
pub(super) fn is_base_of(base: &Base, imports: &[Imported]) -> bool {
    let mut records: Vec<RecordId> = base.layers().iter().map(|layer| layer.record).collect();
    let mut wanted: Vec<RecordId> =
        listing(imports).map(|(imported, _part)| imported.record).collect();
    records.sort_unstable();
    wanted.sort_unstable();
    records == wanted
}

/// Up to which record of each writer `imports` are all the imports there are.
pub(super) fn cursor(imports: &[Imported]) -> Cursor {
    let mut cursor: Vec<(WriterId, u64)> = Vec::new();
    let mut records: Vec<RecordId> = imports.iter().map(|imported| imported.record).collect();
    records.sort_unstable();
    for RecordId { writer, seq } in records {
        match cursor.last_mut() {
            Some((known, last)) if *known == writer => *last = seq,
            _ => cursor.push((writer, seq)),
        }
    }
    cursor
}
