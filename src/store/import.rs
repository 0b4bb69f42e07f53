//! A file of numbers becomes segments: read, sorted in bounded memory, written durably.
//!
//! ```text
//! file -> SHA-256 -> gunzip -> suppression::import -> runs of 16 million, sorted, in files
//!                                                     -> merge -> segment
//! ```
//!
//! The first two are work of a thread of their own, which reads ahead.
//!
//! Nothing in the store says anything about a segment until a record names it, so that all of this
//! may be ended at any moment and done again; the same file gives the same segment. What was read and
//! sorted by then is kept (`kept`), so that the next try goes on behind it. It needs no
//! lock of the store and happens in the process of whoever imports: a running engine reads the
//! finished segment and writes one record.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::suppression::NumberStorage;
use crate::suppression::import;
use crate::suppression::import::ImportError;
use crate::suppression::import::Mark;
use crate::suppression::import::Shape;
use crate::suppression::import::Tally;

use checked::Watch;
use input::Input;
use kept::Kept;
use kept::Left;
use kept::Whole;
use places::Places;
use rejects::Rejects;
use runs::Runs;
use sorter::Sorter;

mod ahead;
mod checked;
mod error;
mod input;
mod kept;
mod places;
mod rejects;
mod runs;
mod segments;
mod sorter;
mod xlsx;

pub use error::PrepareError;
pub use kept::{Keeping, Resumed};
pub use places::{PLACES_MAX, Place, Placed};
pub use segments::{Parts, Title, parts_of, write, write_placed};

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
    /// Where rejected lines go, as CSV; made anew where an earlier import made it, and no other
    /// file is touched.
    pub rejects: Option<PathBuf>,
    /// Where runs are kept while they are sorted; the system's folder for temporary files unless
    /// given. 8 octets a number are needed there.
    pub runs_in: Option<PathBuf>,
    /// Where runs are kept for a later try, should this one be ended; they have no name otherwise.
    pub keeping: Option<Keeping>,
    /// Numbers sorted at a time; [`RUN_NUMBERS`] but for tests.
    pub run_numbers: usize,
    /// Whether all numbers go on one list, also those of our exports, whose rows say others.
    pub is_one_list: bool,
    /// How the store keeps numbers: they are hashed as they are read, where it does.
    pub numbers: NumberStorage,
}

impl Order {
    /// To read `file`, each row onto its own lists where it is an export, for a store that keeps
    /// numbers as they are; nothing is kept of it but what [`Prepared`] holds.
    pub fn new(file: PathBuf, settings: import::Settings) -> Self {
        Self {
            file,
            settings,
            rejects: None,
            runs_in: None,
            keeping: None,
            run_numbers: RUN_NUMBERS,
            is_one_list: false,
            numbers: NumberStorage::Plain,
        }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It goes on where an earlier try stood.
    Resumed(Resumed),
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
    /// So many numbers are held against an import of the same file.
    Compared {
        /// Numbers.
        numbers: u64,
        /// How many there are.
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
    /// Where it went on, if an earlier try was ended.
    pub resumed: Option<Resumed>,
    listed_runs: Runs,
    taken_off_runs: Runs,
    places: Places,
    kept: Option<Kept>,
}

impl Prepared {
    /// The import is on record, so that nothing is kept of it for a later try.
    pub fn done(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.forget();
        }
    }

    /// What came of writing it; nothing is kept where the disk is full.
    fn unless_final<T>(&mut self, written: Result<T, PrepareError>) -> Result<T, PrepareError> {
        if written.as_ref().is_err_and(PrepareError::is_final) {
            self.done();
        }
        written
    }

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

/// Reads the file that `order` names; from where an earlier try ended, where that was kept.
///
/// # Errors
///
/// [`PrepareError`]. What is kept then lets the next try go on, unless the file is at fault or the
/// disk is full.
pub fn prepare(order: &Order, tell: &mut dyn FnMut(Progress)) -> Result<Prepared, PrepareError> {
    let path = &order.file;
    let mut kept = Kept::of(order).map_err(PrepareError::io("read", path))?;
    let mut left = kept.as_mut().and_then(|kept| kept.left(order));
    loop {
        let (is_anew, watch) = (left.is_none(), Watch::default());
        if let (true, Some(kept)) = (is_anew, &mut kept) {
            kept.forget();
        }
        let read = read_file(order, left.take(), &mut kept, &watch, tell);
        let prepared = read.and_then(|read| sorted(order, read, tell));
        match prepared {
            Ok(prepared) => return Ok(Prepared { kept, ..prepared }),
            Err(_) if watch.has_changed() && !is_anew => {}
            Err(error) => {
                if let (true, Some(kept)) = (error.is_final(), &mut kept) {
                    kept.forget();
                }
                return Err(error);
            }
        }
    }
}

/// A file that is read, whose numbers are in runs.
struct Sorted {
    shape: Shape,
    mark: Mark,
    file_sha256: [u8; 32],
    listed: Runs,
    taken_off: Runs,
    places: Places,
    one_list_rows: u64,
    resumed: Option<Resumed>,
}

fn read_file(
    order: &Order,
    left: Option<Left>,
    kept: &mut Option<Kept>,
    watch: &Watch,
    tell: &mut dyn FnMut(Progress),
) -> Result<Sorted, PrepareError> {
    let path = &order.file;
    let mut input = Input::open(path).map_err(PrepareError::io("read", path))?;
    let (meter, of, is_gz) = (input.meter(), input.len(), input.is_gz());
    let (mut left, mut mark, mut was_whole) = (left, None, None);
    let resumed = left.as_ref().map(|left| left.resumed);
    let mut rejects = None;
    if let Some(left) = &mut left {
        tell(Progress::Resumed(left.resumed));
        let resume = |file| order.rejects.as_deref().map(|path| (path, file));
        let file = left.rejects.take().and_then(resume);
        rejects = file.map(|(path, file)| Rejects::resume(path, file, input.sheets()));
        watch.expect(left.state.text);
        (mark, was_whole) = (Some(left.state.mark.clone()), left.state.whole);
    } else if let Some(path) = &order.rejects {
        rejects = Some(Rejects::create(path, &order.file, input.sheets())?);
    }
    let mut told = || tell(Progress::Read { octets: meter.octets(), of });
    let mut sorter = Sorter::new(order, left, rejects, kept, watch.clone(), &mut told);
    let (shape, mark, file_sha256) = match (was_whole, mark) {
        (Some(Whole { shape, file_sha256 }), Some(mark)) => {
            let now = input.finish().map_err(PrepareError::io("read", path))?;
            watch.hold(now == file_sha256).map_err(PrepareError::io("read", path))?;
            (shape, mark, file_sha256)
        }
        (_, mark) => {
            let lines = input.lines(watch.clone()).map_err(PrepareError::io("read", path))?;
            let read = import::read_from(lines, order.settings.clone(), mark, &mut sorter);
            let (shape, mark) = read.map_err(|source| match source {
                ImportError::Io(error) if is_gz && error.kind() == io::ErrorKind::UnexpectedEof => {
                    PrepareError::GzCut { path: path.clone() }
                }
                source => PrepareError::Content { path: path.clone(), source },
            })?;
            let file_sha256 = input.finish().map_err(PrepareError::io("read", path))?;
            if sorter.is_kept() {
                let whole = Whole { shape, file_sha256 };
                let keeping = sorter.keep(&mark, Some(whole));
                keeping.map_err(PrepareError::io("sort the numbers of", path))?;
            }
            (shape, mark, file_sha256)
        }
    };
    let Sorter { listed, taken_off, places, one_list_rows, rejects, .. } = sorter;
    rejects.map_or(Ok(()), Rejects::finish)?;
    Ok(Sorted { shape, mark, file_sha256, listed, taken_off, places, one_list_rows, resumed })
}

/// Counts what is in the runs.
fn sorted(
    order: &Order,
    read: Sorted,
    tell: &mut dyn FnMut(Progress),
) -> Result<Prepared, PrepareError> {
    let sorting = || PrepareError::io("sort the numbers of", &order.file);
    let Sorted { shape, file_sha256, mut places, one_list_rows, resumed, .. } = read;
    let (mut listed_runs, mut taken_off_runs) = (read.listed, read.taken_off);
    let mut tally = read.mark.tally;
    if shape == Shape::Export && order.is_one_list {
        tally.listed = one_list_rows;
    }
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
        resumed,
        listed_runs,
        taken_off_runs,
        places,
        kept: None,
    })
}

/// Whether the file at `path` begins as one of our exports does, whose rows say their lists.
///
/// # Errors
///
/// [`PrepareError::Io`].
pub fn is_export(path: &Path) -> Result<bool, PrepareError> {
    let mut input = Input::open(path).map_err(PrepareError::io("read", path))?;
    let lines = input.lines(Watch::default()).map_err(PrepareError::io("read", path))?;
    let mut lines = io::BufReader::with_capacity(import::LINE_LEN_MAX, lines);
    import::is_export(&mut lines).map_err(PrepareError::io("read", path))
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

#[cfg(test)]
mod tests;
