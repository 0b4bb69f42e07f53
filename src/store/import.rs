//! A file of numbers becomes segments: read, sorted in bounded memory, written durably.
//!
//! ```text
//! file -> SHA-256 -> gunzip -> suppression::import -> runs of 16 million, sorted, in files that
//!                                                     have no name -> merge -> segment
//! ```
//!
//! Nothing in the store says anything about a segment until a record names it, so that all of this
//! may be ended at any moment and done again; the same file gives the same segment. It needs no
//! lock of the store and happens in the process of whoever imports: a running engine reads the
//! finished segment and writes one record.

use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::io::BufWriter;
use std::path::Path;
use std::path::PathBuf;

use crate::model::ListName;
use crate::model::Number;
use crate::model::UnixMicros;
use crate::suppression::import;
use crate::suppression::import::Exported;
use crate::suppression::import::ImportError;
use crate::suppression::import::Part;
use crate::suppression::import::Rejected;
use crate::suppression::import::Shape;
use crate::suppression::import::Sink;
use crate::suppression::import::Tally;
use crate::suppression::import::Whom;
use crate::suppression::segment::Content;
use crate::suppression::segment::SegmentError;
use crate::suppression::segment::SegmentHeader;
use crate::suppression::segment::SegmentWriter;

use super::journal::sync_dir;
use super::segments::segments_dir;
use input::Input;
use places::Places;
use rejects::Rejects;
use runs::Runs;

mod input;
mod places;
mod rejects;
mod runs;
mod xlsx;

pub use places::{PLACES_MAX, Place, Placed};

/// How often whoever waits is told, in numbers.
const TELL_EVERY: u64 = 1 << 16;

/// Numbers that are sorted at a time: 128 MiB, so that 250 million are 16 runs, and merging them
/// reads 16 files at once.
pub const RUN_NUMBERS: usize = 1 << 24;

/// What to read.
#[derive(Clone, Debug)]
pub struct Order {
    /// The file, plain or gz, or a spreadsheet (XLSX).
    pub file: PathBuf,
    /// How its lines are read.
    pub settings: import::Settings,
    /// Where rejected lines go, as CSV; made anew.
    pub rejects: Option<PathBuf>,
    /// Where runs are kept while they are sorted; the system's folder for temporary files unless
    /// given. 8 octets a number are needed there.
    pub runs_in: Option<PathBuf>,
    /// Numbers sorted at a time; [`RUN_NUMBERS`] but for tests.
    pub run_numbers: usize,
    /// Whether all numbers go on one list, also those of our exports, whose rows say others.
    pub is_one_list: bool,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So much of the file is read.
    Read {
        /// Octets of it.
        octets: u64,
        /// How many it has.
        of: u64,
    },
    /// So many numbers are sorted and counted.
    Sorted {
        /// Numbers.
        numbers: u64,
        /// How many there are at most.
        of: u64,
    },
    /// So many numbers are in the segment.
    Written {
        /// Numbers.
        numbers: u64,
        /// How many there are.
        of: u64,
    },
}

/// Why a file does not become segments. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// Another import writes segments into this store.
    #[error("another import into the store `{}` is being written", path.display())]
    Busy {
        /// The folder of segments.
        path: PathBuf,
    },
    /// What is in the file.
    #[error("`{}` was not imported", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ImportError,
    },
    /// A gz file that ends early.
    #[error("`{}` is a cut gz file: its end is missing; fetch it again; nothing was imported", path.display())]
    GzCut {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The segment cannot be written.
    #[error(transparent)]
    Segment(#[from] SegmentError),
}

impl PrepareError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

/// A file that was read whole: what is in it, sorted and counted.
#[derive(Debug)]
pub struct Prepared {
    /// Its shape.
    pub shape: Shape,
    /// What was read of it.
    pub tally: Tally,
    /// SHA-256 of the file.
    pub file_sha256: [u8; 32],
    /// Numbers that stand on the list, each once.
    pub listed: u64,
    /// Numbers that it takes off, each once; one that it lists too stays listed.
    pub taken_off: u64,
    listed_runs: Runs,
    taken_off_runs: Runs,
    places: Places,
}

impl Prepared {
    /// What one of our exports puts where, unless the order has it all on one list.
    pub fn placed(&self) -> &[Placed] {
        self.places.placed()
    }

    /// Lines whose number another line had already, or that another line listed.
    pub fn duplicates(&self) -> u64 {
        let placed: u64 = self.placed().iter().map(|placed| placed.count).sum();
        let numbers = self.listed + self.taken_off + placed;
        self.tally.listed + self.tally.taken_off - numbers
    }
}

/// Reads the file that `order` names.
///
/// # Errors
///
/// [`PrepareError`].
pub fn prepare(order: &Order, tell: &mut dyn FnMut(Progress)) -> Result<Prepared, PrepareError> {
    let path = &order.file;
    let mut input = Input::open(path).map_err(PrepareError::io("read", path))?;
    let create = |path| Rejects::create(path, input.sheets());
    let rejects = order.rejects.as_deref().map(create).transpose()?;
    let new_runs = || Runs::new(order.runs_in.clone(), order.run_numbers);
    let meter = input.meter();
    let of = input.len();
    let mut told = |octets| tell(Progress::Read { octets, of });
    let mut sorter = Sorter {
        listed: new_runs(),
        taken_off: new_runs(),
        places: Places::new(new_runs()),
        is_one_list: order.is_one_list,
        one_list_rows: 0,
        rejects,
        lines: 0,
        tell: &mut || told(meter.octets()),
    };
    let is_gz = input.is_gz();
    let lines = input.lines().map_err(PrepareError::io("read", path))?;
    let read = import::read(lines, order.settings.clone(), &mut sorter);
    let Sorter { listed: mut listed_runs, taken_off: mut taken_off_runs, .. } = sorter;
    let Sorter { mut places, one_list_rows, rejects, .. } = sorter;
    let (shape, mut tally) = read.map_err(|source| match source {
        ImportError::Io(error) if is_gz && error.kind() == io::ErrorKind::UnexpectedEof => {
            PrepareError::GzCut { path: path.clone() }
        }
        source => PrepareError::Content { path: path.clone(), source },
    })?;
    if shape == Shape::Export && order.is_one_list {
        tally.listed = one_list_rows;
    }
    if let Some(rejects) = rejects {
        rejects.finish()?;
    }
    let file_sha256 = input.finish().map_err(PrepareError::io("read", path))?;
    let sorting = || PrepareError::io("sort the numbers of", path);
    let of = tally.listed + tally.taken_off;
    let mut sorted = |numbers| tell(Progress::Sorted { numbers, of });
    let listed = count(listed_runs.merged().map_err(sorting())?, &mut sorted).map_err(sorting())?;
    let released = released(&mut taken_off_runs, &mut listed_runs).map_err(sorting())?;
    let taken_off = count(released, &mut sorted).map_err(sorting())?;
    places.count().map_err(sorting())?;
    Ok(Prepared {
        shape,
        tally,
        file_sha256,
        listed,
        taken_off,
        listed_runs,
        taken_off_runs,
        places,
    })
}

/// Whether the file at `path` begins as one of our exports does, whose rows say their lists.
///
/// # Errors
///
/// [`PrepareError::Io`].
pub fn is_export(path: &Path) -> Result<bool, PrepareError> {
    let mut input = Input::open(path).map_err(PrepareError::io("read", path))?;
    let mut lines = input.lines().map_err(PrepareError::io("read", path))?;
    import::is_export(&mut lines).map_err(PrepareError::io("read", path))
}

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

/// Writes the segments of `prepared` into the store in the folder `store`: durable when this
/// returns. Those of the numbers listed and of those taken off, where there are any.
///
/// # Errors
///
/// [`PrepareError`].
pub fn write(
    prepared: &mut Prepared,
    title: &Title,
    store: &Path,
    tell: &mut dyn FnMut(Progress),
) -> Result<(Option<Part>, Option<Part>), PrepareError> {
    let (dir, _lock) = folder(store)?;
    let sorting = || PrepareError::io("merge the numbers for", &dir);
    let of = prepared.listed + prepared.taken_off;
    let header = |content, count| {
        let Title { list, source, as_of } = title.clone();
        SegmentHeader { content, list, source, as_of, count }
    };
    let (listed_runs, taken_off_runs) = (&mut prepared.listed_runs, &mut prepared.taken_off_runs);
    let (mut listed, mut taken_off) = (None, None);
    if prepared.listed > 0 {
        let header = header(Content::Listed, prepared.listed);
        let numbers = listed_runs.merged().map_err(sorting())?;
        let mut written = |numbers| tell(Progress::Written { numbers, of });
        listed = Some(write_one(&dir, &header, numbers, &mut written)?);
    }
    if prepared.taken_off > 0 {
        let header = header(Content::TakenOff, prepared.taken_off);
        let numbers = released(taken_off_runs, listed_runs).map_err(sorting())?;
        let before = prepared.listed;
        let mut written = |numbers| tell(Progress::Written { numbers: before + numbers, of });
        taken_off = Some(write_one(&dir, &header, numbers, &mut written)?);
    }
    Ok((listed, taken_off))
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
    let (dir, _lock) = folder(store)?;
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
        let mut written = |numbers| tell(Progress::Written { numbers: before + numbers, of });
        parts.push(Some(write_one(&dir, &header, numbers, &mut written)?));
        before += count;
        Ok::<_, PrepareError>(())
    })?;
    Ok(parts)
}

/// The folder of the segments of `store`, made where it is missing, and the lock on it.
fn folder(store: &Path) -> Result<(PathBuf, File), PrepareError> {
    let dir = segments_dir(store);
    let mut builder = fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o700);
    builder.create(&dir).map_err(PrepareError::io("create", &dir))?;
    sync_dir(store).map_err(PrepareError::io("sync", store))?;
    let lock_path = dir.join("lock");
    let lock = File::create(&lock_path).map_err(PrepareError::io("open", &lock_path))?;
    match lock.try_lock() {
        Ok(()) => Ok((dir, lock)),
        Err(TryLockError::WouldBlock) => Err(PrepareError::Busy { path: dir }),
        Err(TryLockError::Error(error)) => Err(PrepareError::io("lock", &lock_path)(error)),
    }
}

/// One segment: written under another name, synced, and only then given its own.
fn write_one(
    dir: &Path,
    header: &SegmentHeader,
    numbers: impl Iterator<Item = io::Result<u64>>,
    tell: &mut dyn FnMut(u64),
) -> Result<Part, PrepareError> {
    let unfinished = dir.join("unfinished");
    let file = File::create(&unfinished).map_err(PrepareError::io("create", &unfinished))?;
    let mut writer = SegmentWriter::new(BufWriter::with_capacity(1 << 20, file), header)?;
    for (place, number) in (0_u64..).zip(numbers) {
        let number = number.map_err(PrepareError::io("merge the numbers for", dir))?;
        let out_of_place = SegmentError::Order { position: place };
        writer.push(Number::from_key(number).ok_or(out_of_place)?)?;
        if place.is_multiple_of(TELL_EVERY) {
            tell(place);
        }
    }
    let (out, segment) = writer.finish()?;
    let file = out.into_inner().map_err(|error| SegmentError::Io(error.into_error()))?;
    file.sync_all().map_err(PrepareError::io("sync", &unfinished))?;
    let path = dir.join(format!("{segment}.seg"));
    fs::rename(&unfinished, &path).map_err(PrepareError::io("rename", &unfinished))?;
    sync_dir(dir).map_err(PrepareError::io("sync", dir))?;
    Ok(Part { segment, count: header.count })
}

/// Those of `taken_off` that are not in `listed`.
fn released<'a>(
    taken_off: &'a mut Runs,
    listed: &'a mut Runs,
) -> io::Result<impl Iterator<Item = io::Result<u64>> + use<'a>> {
    let mut listed = listed.merged()?.peekable();
    let is_released = move |number: &io::Result<u64>| {
        let Ok(number) = number else { return true };
        while listed.next_if(|listed| listed.as_ref().is_ok_and(|listed| listed < number)).is_some()
        {
        }
        !matches!(listed.peek(), Some(Ok(listed)) if listed == number)
    };
    Ok(taken_off.merged()?.filter(is_released))
}

fn count(
    numbers: impl Iterator<Item = io::Result<u64>>,
    tell: &mut dyn FnMut(u64),
) -> io::Result<u64> {
    let mut count: u64 = 0;
    for number in numbers {
        number?;
        count += 1;
        if count.is_multiple_of(TELL_EVERY) {
            tell(count);
        }
    }
    Ok(count)
}

/// Takes what is read to the runs.
struct Sorter<'a> {
    listed: Runs,
    taken_off: Runs,
    places: Places,
    is_one_list: bool,
    /// Rows of an export that go on one list, whatever lists they say.
    one_list_rows: u64,
    rejects: Option<Rejects>,
    lines: u64,
    tell: &'a mut dyn FnMut(),
}

impl Sorter<'_> {
    fn line(&mut self) {
        self.lines += 1;
        if self.lines.is_multiple_of(TELL_EVERY) {
            (self.tell)();
        }
    }
}

impl Sink for Sorter<'_> {
    fn listed(&mut self, number: Number) -> io::Result<()> {
        self.line();
        self.listed.push(number.digits())
    }

    fn taken_off(&mut self, number: Number) -> io::Result<()> {
        self.line();
        self.taken_off.push(number.digits())
    }

    fn exported(&mut self, exported: &Exported) -> io::Result<()> {
        self.line();
        match exported.whom {
            _ if !self.is_one_list => self.places.push(exported),
            Whom::One(number) if !exported.lists.is_empty() => {
                self.one_list_rows += 1;
                self.listed.push(number.digits())
            }
            // Ranges are in the tally.
            Whom::One(_) | Whom::Range(_) => Ok(()),
        }
    }

    fn rejected(&mut self, rejected: &Rejected<'_>) -> io::Result<()> {
        self.line();
        self.rejects.as_mut().map_or(Ok(()), |rejects| rejects.write(rejected))
    }
}

#[cfg(test)]
mod tests;
