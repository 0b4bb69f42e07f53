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
use fresh::Fresh;

pub(super) mod fresh;

pub use fresh::AudioLook;

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

    /// Writes `wav`, durable when this returns, and tells its name, which is fresh until it
    /// [`Fresh::is_named`].
    fn keep(&self, wav: &[u8], fresh: &Fresh) -> Result<Hash, StoreError> {
        let sha256 = name_of(wav);
        let path = self.path(sha256);
        let unfinished = path.with_extension("new");
        let write = || {
            create_private(&self.dir)?;
            let mut file = create(&unfinished)?;
            file.write_all(wav)?;
            file.sync_all()?;
            fresh.place(sha256, &unfinished, &path)?;
            let synced = sync_dir(&self.dir);
            let synced = synced.and_then(|()| self.dir.parent().map_or(Ok(()), sync_dir));
            synced.inspect_err(|_error| fresh.is_named(sha256))
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
    /// It is durable when this returns: for a thread that may wait for the disk. One that nobody names
    /// by then may be removed as another's; see [`Self::keep_audio_and`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`]; nothing is left of it then.
    pub fn keep_audio(&self, wav: &[u8]) -> Result<Hash, StoreError> {
        self.keep_audio_and(wav, |sha256| sha256)
    }

    /// The same, and has `say` submit the fact that names the file, which is not removed before that
    /// counts, though somebody else's was the same.
    ///
    /// # Errors
    ///
    /// As [`Self::keep_audio`]; nothing is said then.
    pub fn keep_audio_and<T>(
        &self,
        wav: &[u8],
        say: impl FnOnce(Hash) -> T,
    ) -> Result<T, StoreError> {
        let fresh = &self.site.fresh;
        let sha256 = AudioFiles::of(&self.site.dir).keep(wav, fresh)?;
        let said = say(sha256);
        fresh.is_named(sha256);
        Ok(said)
    }

    /// Begins a look at the journal for what is to be destroyed.
    pub fn look(&self) -> AudioLook {
        AudioLook::begin(&self.site.fresh)
    }
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
