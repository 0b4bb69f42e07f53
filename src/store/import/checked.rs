//! Octets that are counted and summed on their way.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::rc::Rc;

use serde::Deserialize;
use serde::Serialize;

/// How many octets, and the CRC-32 of them: enough to tell what a disk has lost or somebody has
/// changed by mistake. Who means harm may write into the store's folder anyway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sum {
    pub(super) octets: u64,
    pub(super) crc: u32,
}

impl Sum {
    /// Of all that `input` gives.
    pub(super) fn of(input: &mut impl Read) -> io::Result<Self> {
        let mut summing = Summing::default();
        io::copy(input, &mut summing)?;
        Ok(summing.sum())
    }
}

/// A sum that grows.
#[derive(Clone, Debug, Default)]
pub(super) struct Summing {
    octets: u64,
    hasher: crc32fast::Hasher,
}

impl Summing {
    pub(super) fn sum(&self) -> Sum {
        Sum { octets: self.octets, crc: self.hasher.clone().finalize() }
    }

    fn add(&mut self, octets: &[u8]) {
        self.octets += octets.len() as u64;
        self.hasher.update(octets);
    }
}

impl Write for Summing {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.add(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file, and what was written to it.
#[derive(Debug)]
pub(super) struct Checked {
    file: File,
    summing: Summing,
}

impl Checked {
    /// What is written to `file`, which is empty.
    pub(super) fn new(file: File) -> Self {
        Self { file, summing: Summing::default() }
    }

    /// A new file for our user alone; what was there under its name is nothing any more.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        // Numbers of people are in it.
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self::new(options.open(path)?))
    }

    /// The file as it was when it had the sum `was`, to be written on; nothing where it has not.
    pub(super) fn reopen(path: &Path, was: Sum) -> io::Result<Option<Self>> {
        let mut file = File::options().read(true).write(true).open(path)?;
        let mut summing = Summing::default();
        io::copy(&mut (&mut file).take(was.octets), &mut summing)?;
        if summing.sum() != was {
            return Ok(None);
        }
        file.set_len(was.octets)?;
        Ok(Some(Self { file, summing }))
    }

    pub(super) fn sum(&self) -> Sum {
        self.summing.sum()
    }

    /// Returns once what was written would survive a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    pub(super) fn into_file(self) -> File {
        self.file
    }
}

impl Write for Checked {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let len = self.file.write(octets)?;
        self.summing.add(octets.get(..len).unwrap_or_default());
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// What is summed of a text as it is read; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch(Rc<RefCell<Watched>>);

#[derive(Debug, Default)]
struct Watched {
    summing: Summing,
    /// What it had come to when an earlier try had read so much.
    was: Option<Sum>,
    has_changed: bool,
}

impl Watch {
    /// Holds the text against what it `was`.
    pub(super) fn expect(&self, was: Sum) {
        self.0.borrow_mut().was = Some(was);
    }

    /// What was read so far.
    pub(super) fn sum(&self) -> Sum {
        self.0.borrow().summing.sum()
    }

    /// Whether the text is another one than it was.
    pub(super) fn has_changed(&self) -> bool {
        self.0.borrow().has_changed
    }

    /// That the file is the same that it was, or that it is not.
    pub(super) fn hold(&self, is_same: bool) -> io::Result<()> {
        if is_same {
            return Ok(());
        }
        self.0.borrow_mut().has_changed = true;
        Err(other_file())
    }

    /// The text, watched.
    pub(super) const fn over<R: Read>(self, text: R) -> WatchedText<R> {
        WatchedText { text, watch: self }
    }
}

fn other_file() -> io::Error {
    let why = "it is another file than it was when this import was begun";
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// A text that is watched.
#[derive(Debug)]
pub(super) struct WatchedText<R> {
    text: R,
    watch: Watch,
}

impl<R: Read> Read for WatchedText<R> {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        let mut watched = self.watch.0.borrow_mut();
        // Up to where it was summed before, and no further at a time.
        let before = watched.was.map_or(u64::MAX, |was| was.octets - watched.summing.octets);
        let len = usize::try_from(before).unwrap_or(usize::MAX).min(octets.len());
        let len = self.text.read(octets.get_mut(..len).unwrap_or_default())?;
        watched.summing.add(octets.get(..len).unwrap_or_default());
        let is_there = watched.was.is_some_and(|was| watched.summing.octets == was.octets);
        let is_cut = len == 0 && watched.was.is_some();
        if (is_there || is_cut) && watched.was.take() != Some(watched.summing.sum()) {
            watched.has_changed = true;
            return Err(other_file());
        }
        Ok(len)
    }
}
