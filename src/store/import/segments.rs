//! The segments of a file that was read: written durably, each under the name of what is in it.

use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use crate::model::ListName;
use crate::model::Number;
use crate::model::UnixMicros;
use crate::store::archive::Hold;
use crate::store::journal::sync_dir;
use crate::store::segments::segments_dir;
use crate::suppression::import::Part;
use crate::suppression::segment::Content;
use crate::suppression::segment::SegmentError;
use crate::suppression::segment::SegmentHeader;
use crate::suppression::segment::SegmentWriter;

use super::PrepareError;
use super::Prepared;
use super::Progress;
use super::TELL_EVERY;
use super::released;

/// What stands in the header of the segments that are written.
#[derive(Clone, Debug)]
pub struct Title {
    /// The list.
    pub list: ListName,
    /// Where the numbers come from.
    pub source: String,
    /// For which day.
    pub as_of: Option<UnixMicros>,
}

/// The segments of the numbers listed and of those taken off, where there are any.
pub type Parts = (Option<Part>, Option<Part>);

/// Keys of numbers, ascending.
type Numbers<'a> = dyn Iterator<Item = io::Result<u64>> + 'a;

/// Makes one segment, of as many numbers as its header says, and tells how many are done.
type Make<'a> = dyn FnMut(&SegmentHeader, &mut Numbers<'_>, &mut dyn FnMut(u64)) -> Made + 'a;

/// The segment, if it could be made.
type Made = Result<Part, PrepareError>;

/// Hears of so many of how many numbers.
type Tell<'a> = dyn FnMut(u64, u64) + 'a;

/// Writes the segments of `prepared` into the store in the folder `store`: durable when this
/// returns.
///
/// # Errors
///
/// [`PrepareError`].
pub fn write(
    prepared: &mut Prepared,
    title: &Title,
    store: &Path,
    tell: &mut dyn FnMut(Progress),
) -> Result<Parts, PrepareError> {
    let mut tell = |numbers, of| tell(Progress::Written { numbers, of });
    let written = folder(store).and_then(|(dir, _lock)| {
        let mut make =
            |header: &SegmentHeader, numbers: &mut Numbers<'_>, tell: &mut dyn FnMut(u64)| {
                write_one(&dir, header, numbers, tell)
            };
        make_both(prepared, title, &dir, &mut tell, &mut make)
    });
    prepared.unless_final(written)
}

/// As [`write()`], for what [`Prepared::placed`] says: the segment of each place, in its order;
/// none where there are but ranges.
///
/// # Errors
///
/// [`PrepareError`].
pub fn write_placed(
    prepared: &mut Prepared,
    title: &Title,
    store: &Path,
    tell: &mut dyn FnMut(Progress),
) -> Result<Vec<Option<Part>>, PrepareError> {
    let mut tell = |numbers, of| tell(Progress::Written { numbers, of });
    let written = folder(store).and_then(|(dir, _lock)| {
        let mut make =
            |header: &SegmentHeader, numbers: &mut Numbers<'_>, tell: &mut dyn FnMut(u64)| {
                write_one(&dir, header, numbers, tell)
            };
        make_placed(prepared, title, &mut tell, &mut make)
    });
    prepared.unless_final(written)
}

/// What [`write()`] would write into `store`, or [`write_placed`] for each place, and nothing is
/// written.
///
/// # Errors
///
/// [`PrepareError`].
pub fn parts_of(
    prepared: &mut Prepared,
    title: &Title,
    store: &Path,
    tell: &mut dyn FnMut(Progress),
) -> Result<Vec<Parts>, PrepareError> {
    let mut tell = |numbers, of| tell(Progress::Compared { numbers, of });
    let mut make =
        |header: &SegmentHeader, numbers: &mut Numbers<'_>, tell: &mut dyn FnMut(u64)| {
            fill(io::sink(), store, header, numbers, tell).map(|(_out, part)| part)
        };
    if prepared.placed().is_empty() {
        return Ok(vec![make_both(prepared, title, store, &mut tell, &mut make)?]);
    }
    let parts = make_placed(prepared, title, &mut tell, &mut make)?;
    Ok(parts.into_iter().map(|part| (part, None)).collect())
}

fn make_both(
    prepared: &mut Prepared,
    title: &Title,
    dir: &Path,
    tell: &mut Tell<'_>,
    make: &mut Make<'_>,
) -> Result<Parts, PrepareError> {
    let sorting = || PrepareError::io("merge the numbers for", dir);
    let of = prepared.listed + prepared.taken_off;
    let header = |content, count| {
        let Title { list, source, as_of } = title.clone();
        SegmentHeader { content, list, source, as_of, count }
    };
    let (listed_runs, taken_off_runs) = (&mut prepared.listed_runs, &mut prepared.taken_off_runs);
    let (mut listed, mut taken_off) = (None, None);
    if prepared.listed > 0 {
        let header = header(Content::Listed, prepared.listed);
        let mut numbers = listed_runs.merged().map_err(sorting())?;
        listed = Some(make(&header, &mut numbers, &mut |numbers| tell(numbers, of))?);
    }
    if prepared.taken_off > 0 {
        let header = header(Content::TakenOff, prepared.taken_off);
        let mut numbers = released(taken_off_runs, listed_runs).map_err(sorting())?;
        let before = prepared.listed;
        let mut made = |numbers| tell(before + numbers, of);
        taken_off = Some(make(&header, &mut numbers, &mut made)?);
    }
    Ok((listed, taken_off))
}

fn make_placed(
    prepared: &mut Prepared,
    title: &Title,
    tell: &mut Tell<'_>,
    make: &mut Make<'_>,
) -> Result<Vec<Option<Part>>, PrepareError> {
    let of = prepared.placed().iter().map(|placed| placed.count).sum();
    let (mut parts, mut before) = (Vec::new(), 0);
    prepared.places.each(|placed, numbers| {
        let (list, count) = (placed.place.list.clone(), placed.count);
        if count == 0 {
            parts.push(None);
            return Ok(());
        }
        let Title { source, as_of, .. } = title.clone();
        let header = SegmentHeader { content: Content::Listed, list, source, as_of, count };
        parts.push(Some(make(&header, numbers, &mut |numbers| tell(before + numbers, of))?));
        before += count;
        Ok::<_, PrepareError>(())
    })?;
    Ok(parts)
}

/// The folder of the segments of `store`, made where it is missing, and the lock on it.
fn folder(store: &Path) -> Result<(PathBuf, Hold), PrepareError> {
    let dir = segments_dir(store);
    let mut builder = fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o700);
    builder.create(&dir).map_err(PrepareError::io("create", &dir))?;
    sync_dir(store).map_err(PrepareError::io("sync", store))?;
    let lock_path = dir.join("lock");
    let lock = File::create(&lock_path).map_err(PrepareError::io("open", &lock_path))?;
    match lock.try_lock() {
        Ok(()) => Ok((dir, Hold::of(lock))),
        Err(TryLockError::WouldBlock) => Err(PrepareError::Busy { path: dir }),
        Err(TryLockError::Error(error)) => Err(PrepareError::io("lock", &lock_path)(error)),
    }
}

/// One segment: written under another name, synced, and only then given its own.
fn write_one(
    dir: &Path,
    header: &SegmentHeader,
    numbers: &mut Numbers<'_>,
    tell: &mut dyn FnMut(u64),
) -> Result<Part, PrepareError> {
    let unfinished = dir.join("unfinished");
    let file = File::create(&unfinished).map_err(PrepareError::io("create", &unfinished))?;
    let out = BufWriter::with_capacity(1 << 20, file);
    let (out, part) = fill(out, dir, header, numbers, tell)?;
    let file = out.into_inner().map_err(|error| SegmentError::Io(error.into_error()))?;
    file.sync_all().map_err(PrepareError::io("sync", &unfinished))?;
    let path = dir.join(format!("{}.seg", part.segment));
    fs::rename(&unfinished, &path).map_err(PrepareError::io("rename", &unfinished))?;
    sync_dir(dir).map_err(PrepareError::io("sync", dir))?;
    Ok(part)
}

/// Hands one segment, which is for the folder `dir`, to `out`.
fn fill<W: Write>(
    out: W,
    dir: &Path,
    header: &SegmentHeader,
    numbers: &mut Numbers<'_>,
    tell: &mut dyn FnMut(u64),
) -> Result<(W, Part), PrepareError> {
    let mut writer = SegmentWriter::new(out, header)?;
    for (place, number) in (0_u64..).zip(numbers) {
        let number = number.map_err(PrepareError::io("merge the numbers for", dir))?;
        let out_of_place = SegmentError::Order { position: place };
        writer.push(Number::from_key(number).ok_or(out_of_place)?)?;
        if place.is_multiple_of(TELL_EVERY) {
            tell(place);
        }
    }
    let (out, segment) = writer.finish()?;
    Ok((out, Part { segment, count: header.count }))
}
