//! The last time that was believed to be it, in a file of the store's folder.
//!
//! Whoever looks after what is past its time notes it once a day ([`crate::suppression::Watchman`]).
//! No record is written as of before it: a machine that starts in 1970 would have its evidence
//! deleted as soon as its clock is right.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use crate::model::UnixMicros;

use super::Store;
use super::StoreError;
use super::journal::sync_dir;

/// The file.
const NAME: &str = "believed-time";

/// Where no time is noted.
const NONE: i64 = i64::MIN;

/// The last time that was believed.
#[derive(Debug)]
pub(super) struct Believed {
    dir: PathBuf,
    at: AtomicI64,
}

impl Believed {
    /// As it stands in the store's folder `dir`; nothing where none was noted, or none can be read.
    pub(super) fn of(dir: &Path) -> Self {
        let text = fs::read_to_string(dir.join(NAME)).ok();
        let at = text.and_then(|text| UnixMicros::from_iso8601(text.trim()));
        Self { dir: dir.to_owned(), at: AtomicI64::new(at.map_or(NONE, |at| at.0)) }
    }

    /// What it is, as far as records go, when the clock says `now`.
    pub(super) fn or_later(&self, now: UnixMicros) -> UnixMicros {
        now.max(UnixMicros(self.at.load(Ordering::Acquire)))
    }

    fn get(&self) -> Option<UnixMicros> {
        Some(self.at.load(Ordering::Acquire)).filter(|at| *at != NONE).map(UnixMicros)
    }

    fn note(&self, at: UnixMicros) -> Result<(), StoreError> {
        let path = self.dir.join(NAME);
        let write = || -> io::Result<()> {
            let unfinished = path.with_extension("new");
            let mut file = File::create(&unfinished)?;
            writeln!(file, "{}", at.iso8601())?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            sync_dir(&self.dir)
        };
        write().map_err(StoreError::io("write", &path))?;
        self.at.store(at.0, Ordering::Release);
        Ok(())
    }
}

impl Store {
    /// The last time that was believed to be it; nothing where none was noted, or none can be read.
    pub fn believed_time(&self) -> Option<UnixMicros> {
        self.believed.get()
    }

    /// Notes the last time that was believed to be it: durable when this returns. What is written from
    /// then on is of that time or later, whatever the clock says.
    ///
    /// # Errors
    ///
    /// Those of the disk.
    pub fn note_believed_time(&self, at: UnixMicros) -> Result<(), StoreError> {
        self.believed.note(at)
    }
}
