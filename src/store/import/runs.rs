//! Sorting more numbers than fit the memory: runs that are sorted by themselves, then merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io;
use std::io::BufReader;
use std::io::BufWriter;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::path::PathBuf;

use super::checked::Checked;
use super::kept::Held;
use super::kept::Kept;

/// How much of each run is read at a time; with sixteen runs, 4 MiB.
const READ_LEN: usize = 256 * 1024;

/// What is sorted: a number's key, or more that stands above it.
pub(super) trait Item: Copy + Ord {
    /// Octets of it in a file.
    const LEN: usize;

    fn put(self, out: &mut impl Write) -> io::Result<()>;

    /// Of [`Self::LEN`] octets.
    fn of(octets: &[u8]) -> Self;
}

macro_rules! item {
    ($($name:ty)*) => {$(
        impl Item for $name {
            const LEN: usize = size_of::<Self>();

            fn put(self, out: &mut impl Write) -> io::Result<()> {
                out.write_all(&self.to_le_bytes())
            }

            fn of(octets: &[u8]) -> Self {
                // The octets of an item are as many as it is long.
                Self::from_le_bytes(octets.try_into().unwrap_or_default())
            }
        }
    )*};
}

item!(u64 u128);

/// Longest item, in octets.
const ITEM_LEN_MAX: usize = 16;

/// Numbers in sorted runs. The last one stays in memory, so that a small file never meets a disk.
#[derive(Debug)]
pub(super) struct Runs<T = u64> {
    dir: Option<PathBuf>,
    run_numbers: usize,
    current: Vec<T>,
    is_sorted: bool,
    /// Files without a name, which end with us whatever happens; or kept ones.
    files: Vec<File>,
}

impl<T: Item> Runs<T> {
    /// Keeps runs of `run_numbers` in the folder `dir`, or the system's for temporary files.
    pub(super) const fn new(dir: Option<PathBuf>, run_numbers: usize) -> Self {
        Self { dir, run_numbers, current: Vec::new(), is_sorted: true, files: Vec::new() }
    }

    /// Takes a number.
    pub(super) fn push(&mut self, number: T) {
        self.is_sorted &= self.current.last().is_none_or(|last| *last < number);
        self.current.push(number);
    }

    /// Whether the run in memory is to be spilt.
    pub(super) const fn is_full(&self) -> bool {
        self.current.len() >= self.run_numbers
    }

    /// Takes a sorted run.
    pub(super) fn add(&mut self, run: File) {
        self.files.push(run);
    }

    /// All numbers, ascending, each once. May be asked again.
    pub(super) fn merged(&mut self) -> io::Result<Merged<'_, T>> {
        self.sort();
        let mut sources = Vec::with_capacity(self.files.len() + 1);
        for file in &mut self.files {
            file.rewind()?;
            sources.push(Source::File(BufReader::with_capacity(READ_LEN, &*file)));
        }
        sources.push(Source::Memory(self.current.iter()));
        let mut heap = BinaryHeap::with_capacity(sources.len());
        for (which, source) in sources.iter_mut().enumerate() {
            heap.extend(source.next()?.map(|number| Reverse((number, which))));
        }
        Ok(Merged { sources, heap, last: None })
    }

    /// Sorts the run in memory; registries come sorted.
    fn sort(&mut self) {
        if !self.is_sorted {
            self.current.sort_unstable();
            self.current.dedup();
            self.is_sorted = true;
        }
    }

    /// Writes the run in memory to a file, which is kept as one that holds such numbers where there
    /// is somebody who keeps it.
    pub(super) fn spill(&mut self, held: Held, kept: Option<&mut Kept>) -> io::Result<()> {
        self.sort();
        if self.current.is_empty() {
            return Ok(());
        }
        let file = match (&kept, &self.dir) {
            (Some(kept), _) => kept.new_run()?,
            (None, Some(dir)) => Checked::new(tempfile::tempfile_in(dir)?),
            (None, None) => Checked::new(tempfile::tempfile()?),
        };
        let mut out = BufWriter::with_capacity(READ_LEN, file);
        for number in &self.current {
            number.put(&mut out)?;
        }
        let run = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        if let Some(kept) = kept {
            kept.written(held, &run)?;
        }
        self.current.clear();
        self.files.push(run.into_file());
        Ok(())
    }
}

/// The numbers of all runs, ascending, each once.
#[derive(Debug)]
pub(super) struct Merged<'a, T> {
    sources: Vec<Source<'a, T>>,
    /// The next number of each source that has one.
    heap: BinaryHeap<Reverse<(T, usize)>>,
    last: Option<T>,
}

impl<T: Item> Merged<'_, T> {
    fn advance(&mut self) -> io::Result<Option<T>> {
        loop {
            // Where runs follow each other, the top stays on top: two comparisons a number.
            let Some(mut top) = self.heap.peek_mut() else { return Ok(None) };
            let Reverse((number, which)) = *top;
            match self.sources.get_mut(which).map_or(Ok(None), Source::next)? {
                Some(next) => *top = Reverse((next, which)),
                None => drop(PeekMut::pop(top)),
            }
            if self.last != Some(number) {
                self.last = Some(number);
                return Ok(Some(number));
            }
        }
    }
}

impl<T: Item> Iterator for Merged<'_, T> {
    type Item = io::Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

/// One run.
#[derive(Debug)]
enum Source<'a, T> {
    File(BufReader<&'a File>),
    Memory(std::slice::Iter<'a, T>),
}

impl<T: Item> Source<'_, T> {
    fn next(&mut self) -> io::Result<Option<T>> {
        let file = match self {
            Self::Memory(numbers) => return Ok(numbers.next().copied()),
            Self::File(file) => file,
        };
        let mut octets = [0; ITEM_LEN_MAX];
        let octets = &mut octets[..T::LEN];
        match file.read_exact(octets) {
            Ok(()) => Ok(Some(T::of(octets))),
            // Runs are written whole, so that this is their end.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}
