//! The audio around presses: files that are named by what is in them.
//!
//! ```text
//! audio/SHA256.wav    as the fact that names it says; one that no fact names is no evidence
//! ```
//!
//! A file is written under another name, synced, and given its own: so the fact that names it is
//! never durable before it. It is personal, and for our user alone.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use crate::suppression::audio::name_of;
use crate::suppression::proof::Hash;

use super::Store;
use super::StoreError;
use super::archive::create_private;
use super::journal::sync_dir;

/// Largest file that is read: far beyond a minute of G.711.
const LEN_MAX: u64 = 4 * 1024 * 1024;

/// The folder of the audio in the store's folder `dir`.
pub(super) fn audio_dir(dir: &Path) -> PathBuf {
    dir.join("audio")
}

/// The audio of a store.
#[derive(Clone, Debug)]
pub(super) struct AudioFiles {
    dir: PathBuf,
}

impl AudioFiles {
    /// That of the store in the folder `store`.
    pub(super) fn of(store: &Path) -> Self {
        Self { dir: audio_dir(store) }
    }

    /// Where a file is.
    pub(super) fn path(&self, sha256: Hash) -> PathBuf {
        self.dir.join(format!("{sha256}.wav"))
    }

    /// Writes `wav`, durable when this returns, and tells its name.
    fn keep(&self, wav: &[u8]) -> Result<Hash, StoreError> {
        let sha256 = name_of(wav);
        let path = self.path(sha256);
        let unfinished = path.with_extension("new");
        let write = || {
            create_private(&self.dir)?;
            let mut file = create(&unfinished)?;
            file.write_all(wav)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            sync_dir(&self.dir)?;
            self.dir.parent().map_or(Ok(()), sync_dir)
        };
        write().map_err(|source| {
            // Where it cannot be removed either, its name says what it is.
            let _ = fs::remove_file(&unfinished);
            StoreError::Io { doing: "keep", path: path.clone(), source }
        })?;
        Ok(sha256)
    }

    /// The file; nothing when it is not there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Audio`] when it is not what its name says, and those of the disk.
    pub(super) fn read(&self, sha256: Hash) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(sha256);
        let read = fs::metadata(&path).and_then(|found| match found.len() {
            0..=LEN_MAX => fs::read(&path),
            _ => Err(io::ErrorKind::FileTooLarge.into()),
        });
        match read {
            Ok(wav) if name_of(&wav) == sha256 => Ok(Some(wav)),
            Ok(_other) => Err(StoreError::Audio { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { doing: "read", path, source }),
        }
    }
}

impl Store {
    /// Keeps the audio around a press; the name is for [`crate::suppression::AudioResult::Kept`].
    /// It is durable when this returns: for a thread that may wait for the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`]; nothing is left of it then.
    pub fn keep_audio(&self, wav: &[u8]) -> Result<Hash, StoreError> {
        AudioFiles::of(&self.site.dir).keep(wav)
    }
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
