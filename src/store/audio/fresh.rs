//! Which files of audio must not be removed now, whatever the journal says of them.
//!
//! Files are named by what is in them, so that somebody may have just kept the same silence as
//! somebody whose audio is about to go, and the fact that names it may not be in the journal yet.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::suppression::proof::Hash;

/// The names of files that were kept since a look at the journal began, and of those that no fact
/// names yet. Outside of looks there are as many as are being kept.
#[derive(Debug, Default)]
pub(in crate::store) struct Fresh(Mutex<Names>);

#[derive(Debug, Default)]
struct Names {
    looks: usize,
    /// With how many of each wait for their facts.
    of: HashMap<Hash, usize>,
}

impl Fresh {
    fn names(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the file at `unfinished` its own name, which is `path`; [`Self::is_named`] ends what this
    /// begins, unless it fails.
    pub(super) fn place(&self, sha256: Hash, unfinished: &Path, path: &Path) -> io::Result<()> {
        let mut names = self.names();
        fs::rename(unfinished, path)?;
        *names.of.entry(sha256).or_default() += 1;
        Ok(())
    }

    /// The fact that names the file is on its way to the journal, or never will be.
    pub(super) fn is_named(&self, sha256: Hash) {
        let mut names = self.names();
        let is_looked_at = names.looks > 0;
        if let Some(waiting) = names.of.get_mut(&sha256) {
            *waiting -= 1;
            if *waiting == 0 && !is_looked_at {
                names.of.remove(&sha256);
            }
        }
    }

    /// Removes the file at `path`, unless somebody has kept the same; one that is gone is no matter.
    pub(in crate::store) fn remove(&self, sha256: Hash, path: &Path) -> io::Result<()> {
        let names = self.names();
        if names.of.contains_key(&sha256) {
            return Ok(());
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// A look at the journal for what is to be destroyed. Keep it from before the journal is read until
/// all that was found is destroyed: audio that anybody has kept meanwhile is not removed.
#[derive(Debug)]
pub struct AudioLook(Arc<Fresh>);

impl AudioLook {
    pub(in crate::store) fn begin(fresh: &Arc<Fresh>) -> Self {
        fresh.names().looks += 1;
        Self(Arc::clone(fresh))
    }
}

impl Drop for AudioLook {
    fn drop(&mut self) {
        let mut names = self.0.names();
        names.looks -= 1;
        if names.looks == 0 {
            names.of.retain(|_sha256, waiting| *waiting > 0);
        }
    }
}
