//! A file of numbers becomes segments: read, sorted in bounded memory, written durably.
//!
//! ```text
//! file -> SHA-256 -> gunzip -> suppression::import -> runs of 16 million, sorted, in files that
//!                                                     have no name -> merge -> segment
//! ```
//!
//! The first two are work of a thread of their own, which reads ahead.
//!
//! Nothing in the store says anything about a segment until a record names it, so that all of this
//! may be ended at any moment and done again; the same file gives the same segment. It needs no
//! lock of the store and happens in the process of whoever imports: a running engine reads the
//! finished segment and writes one record.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::model::Number;
use crate::suppression::NumberStorage;
use crate::suppression::import;
use crate::suppression::import::Exported;
use crate::suppression::import::ImportError;
use crate::suppression::import::Rejected;
use crate::suppression::import::Shape;
use crate::suppression::import::Sink;
use crate::suppression::import::Tally;
use crate::suppression::import::Whom;

use input::Input;
use places::Places;
use rejects::Rejects;
use runs::Runs;

mod ahead;
mod error;
mod input;
mod places;
mod rejects;
mod runs;
mod segments;
mod xlsx;

pub use error::PrepareError;
pub use places::{PLACES_MAX, Place, Placed};
pub use segments::{Title, write, write_placed};

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
    /// How the store keeps numbers: they are hashed as they are read, where it does.
    pub numbers: NumberStorage,
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
    // Half as many of twice the size.
    let placed_runs = Runs::new(order.runs_in.clone(), order.run_numbers.div_ceil(2));
    let meter = input.meter();
    let of = input.len();
    let mut told = |octets| tell(Progress::Read { octets, of });
    let mut sorter = Sorter {
        listed: new_runs(),
        taken_off: new_runs(),
        places: Places::new(placed_runs),
        is_one_list: order.is_one_list,
        one_list_rows: 0,
        numbers: &order.numbers,
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
    numbers: &'a NumberStorage,
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
        self.listed.push(self.numbers.stored(number).digits())
    }

    fn taken_off(&mut self, number: Number) -> io::Result<()> {
        self.line();
        self.taken_off.push(self.numbers.stored(number).digits())
    }

    fn exported(&mut self, exported: &Exported) -> io::Result<()> {
        self.line();
        match exported.whom {
            _ if !self.is_one_list => self.places.push(exported, self.numbers),
            Whom::One(number) if !exported.lists.is_empty() => {
                self.one_list_rows += 1;
                self.listed.push(self.numbers.stored(number).digits())
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
