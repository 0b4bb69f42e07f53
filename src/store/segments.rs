//! The segments of imports on disk, and what all imports together say about a number.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;

use crate::model::ListName;
use crate::model::Number;
use crate::suppression::import::Imported;
use crate::suppression::import::Part;
use crate::suppression::import::standing;
use crate::suppression::segment::Content;
use crate::suppression::segment::SegmentError;
use crate::suppression::segment::SegmentHeader;
use crate::suppression::segment::SegmentReader;
use crate::suppression::segment::find;

use super::StoreError;

/// How much of a segment is read at a time: few seeks between the segments that are read at once.
const READ_LEN: usize = 256 * 1024;

/// The same where many are read at once, so that all of them together take [`READ_TOGETHER`].
const READ_LEN_MIN: usize = 8 * 1024;

/// Memory for all segments that are read at once. Our choice: a fifth of a registry in the index.
const READ_TOGETHER: usize = 64 * 1024 * 1024;

/// The folder of the segments in the store's folder `dir`.
pub(super) fn segments_dir(dir: &Path) -> PathBuf {
    dir.join("segments")
}

/// A segment's numbers, ascending.
type Numbers = SegmentReader<BufReader<Pieces>>;

/// A file that is open only while some of it is read: a registry that is kept by daily change lists
/// has more segments than a process has descriptors to spare, and they are all read at once.
#[derive(Debug)]
pub(super) struct Pieces {
    path: PathBuf,
    offset: u64,
}

impl Read for Pieces {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        let len = File::open(&self.path)?.read_at(octets, self.offset)?;
        self.offset += len as u64;
        Ok(len)
    }
}

/// The numbers of one segment.
#[derive(Debug)]
pub(super) struct PartNumbers {
    path: PathBuf,
    numbers: Numbers,
}

impl Iterator for PartNumbers {
    type Item = Result<Number, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let failed = |source| StoreError::Segment { path: self.path.clone(), source };
        Some(self.numbers.next()?.map_err(failed))
    }
}

/// The segments of a store.
#[derive(Clone, Debug)]
pub(super) struct Segments {
    dir: PathBuf,
}

impl Segments {
    /// Those of the store in the folder `store`.
    pub(super) fn of(store: &Path) -> Self {
        Self { dir: segments_dir(store) }
    }

    /// Where a segment is.
    pub(super) fn path(&self, part: &Part) -> PathBuf {
        self.dir.join(format!("{}.seg", part.segment))
    }

    /// Opens a segment, one of `together` that are read at once.
    fn open(&self, part: &Part, together: usize) -> Result<Numbers, StoreError> {
        let len = (READ_TOGETHER / together.max(1)).clamp(READ_LEN_MIN, READ_LEN);
        let input = BufReader::with_capacity(len, Pieces { path: self.path(part), offset: 0 });
        SegmentReader::open(input, part.segment).map_err(|error| self.failed(part, error))
    }

    /// The numbers of a segment, one of `together` that are read at once. No descriptor is held.
    pub(super) fn numbers(&self, part: &Part, together: usize) -> Result<PartNumbers, StoreError> {
        Ok(PartNumbers { path: self.path(part), numbers: self.open(part, together)? })
    }

    /// Reads the segment of `part` whole and checks that it is one of `list` and holds what it
    /// should.
    pub(super) fn verify(
        &self,
        part: &Part,
        list: &ListName,
        content: Content,
    ) -> Result<(), StoreError> {
        let verified = self.open(part, 1)?.verify();
        let header = verified.map_err(|error| self.failed(part, error))?;
        self.check_header(&header, list, part, content)
    }

    /// Checks that the segment of `part`, which begins with `header`, is one of `list` and holds what
    /// it should.
    pub(super) fn check_header(
        &self,
        header: &SegmentHeader,
        list: &ListName,
        part: &Part,
        content: Content,
    ) -> Result<(), StoreError> {
        let what = if header.list != *list {
            "it is of another list"
        } else if header.content != content {
            "its numbers are not what they are said to be"
        } else if header.count != part.count {
            "it does not hold as many numbers as it is said to"
        } else {
            return Ok(());
        };
        Err(self.failed(part, SegmentError::Header { what }))
    }

    /// Reads the segment of `part` whole and checks that it is the one of that name.
    pub(super) fn check_whole(&self, part: &Part) -> Result<(), StoreError> {
        self.open(part, 1)?.verify().map(drop).map_err(|error| self.failed(part, error))
    }

    /// Checks that the segment of `part` is there; what is in it is checked when it is read.
    pub(super) fn check_there(&self, part: &Part) -> Result<(), StoreError> {
        let found = self.path(part).metadata();
        found.map(drop).map_err(|error| self.failed(part, error.into()))
    }

    /// The numbers that `imported` put on its list and that none of `all` took off again,
    /// ascending.
    pub(super) fn remaining(
        &self,
        imported: &Imported,
        all: &[Imported],
    ) -> Result<Remaining, StoreError> {
        let takers = imported.takers(all).map(|taken_off| &taken_off.part);
        let Some(listed) = &imported.import.listed else { return Ok(Remaining::default()) };
        let parts: Vec<&Part> = std::iter::once(listed).chain(takers).collect();
        let mut remaining = Remaining::default();
        for part in &parts {
            remaining.numbers.push(self.numbers(part, parts.len())?);
        }
        for which in 1..parts.len() {
            remaining.wait_for(which)?;
        }
        Ok(remaining)
    }

    /// Whether `number` stands on its list by `imported`, and none of `all` took it off again.
    pub(super) fn holds(
        &self,
        imported: &Imported,
        all: &[Imported],
        number: Number,
    ) -> Result<bool, StoreError> {
        let Some(listed) = &imported.import.listed else { return Ok(false) };
        if self.find(listed, number)?.is_none() {
            return Ok(false);
        }
        for taken_off in imported.takers(all) {
            if self.find(&taken_off.part, number)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Which of `all`, the first of them, took `number` off from `imported`, which had it.
    pub(super) fn taker<'a>(
        &self,
        imported: &Imported,
        all: &'a [Imported],
        number: Number,
    ) -> Result<Option<&'a Imported>, StoreError> {
        let Some(listed) = &imported.import.listed else { return Ok(None) };
        if self.find(listed, number)?.is_none() {
            return Ok(None);
        }
        for taker in standing(all) {
            if let Some(taken_off) = &taker.import.taken_off
                && taken_off.from.contains(&imported.record)
                && self.find(&taken_off.part, number)?.is_some()
            {
                return Ok(Some(taker));
            }
        }
        Ok(None)
    }

    /// The place of `number` among the numbers of a segment, counted from 0.
    pub(super) fn find(&self, part: &Part, number: Number) -> Result<Option<u64>, StoreError> {
        let file = File::open(self.path(part)).map_err(|error| self.failed(part, error.into()))?;
        find(file, number).map_err(|error| self.failed(part, error))
    }

    pub(super) fn failed(&self, part: &Part, source: SegmentError) -> StoreError {
        StoreError::Segment { path: self.path(part), source }
    }
}

/// The numbers of one import, without those that were taken off from it: all of them merged, so that a
/// registry with a change list for each day asks one of them, and not each, about each number.
#[derive(Debug, Default)]
pub(super) struct Remaining {
    /// Those that it lists, then those that each of its takers takes off.
    numbers: Vec<PartNumbers>,
    /// The next number of each taker that has one.
    taken_off: BinaryHeap<Reverse<(Number, usize)>>,
}

impl Remaining {
    fn next_of(&mut self, which: usize) -> Result<Option<Number>, StoreError> {
        self.numbers.get_mut(which).and_then(Iterator::next).transpose()
    }

    fn wait_for(&mut self, which: usize) -> Result<(), StoreError> {
        let next = self.next_of(which)?;
        self.taken_off.extend(next.map(|number| Reverse((number, which))));
        Ok(())
    }

    /// Whether any taker has `wanted`; those before it are left behind.
    fn is_taken_off(&mut self, wanted: Number) -> Result<bool, StoreError> {
        let mut is_taken_off = false;
        while let Some(&Reverse((number, which))) = self.taken_off.peek()
            && number <= wanted
        {
            is_taken_off |= number == wanted;
            self.taken_off.pop();
            self.wait_for(which)?;
        }
        Ok(is_taken_off)
    }
}

impl Iterator for Remaining {
    type Item = Result<Number, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let number = match self.next_of(0).transpose()? {
                Ok(number) => number,
                Err(error) => return Some(Err(error)),
            };
            match self.is_taken_off(number) {
                Ok(true) => {}
                Ok(false) => return Some(Ok(number)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
