//! The lock on a store's folder: one process has it, and leaves its id for others to name.

use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::path::Path;

use crate::store::StoreError;

/// Locks the folder against other processes and leaves our process id for them to name.
pub(super) fn lock(dir: &Path) -> Result<Hold, StoreError> {
    let path = dir.join("lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&path).map_err(StoreError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Whoever holds it may not have written its id yet; then none is named.
            let _ = file.read_to_string(&mut text);
            return Err(StoreError::Held { path: dir.to_owned(), pid: text.trim().parse().ok() });
        }
        Err(TryLockError::Error(source)) => {
            return Err(StoreError::Io { doing: "lock", path, source });
        }
    }
    let write = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    write.map_err(StoreError::io("write", &path))?;
    Ok(Hold(file))
}

/// Who holds the store in the folder `dir`, by the process id that it has left there; nothing where
/// nobody does.
pub fn held_by(dir: &Path) -> Option<String> {
    let mut file = File::open(dir.join("lock")).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // As above.
            let _ = file.read_to_string(&mut text);
            Some(text)
        }
        Ok(()) => {
            drop(Hold(file));
            None
        }
        Err(TryLockError::Error(_)) => None,
    }
}

/// A lock on a folder of a store.
///
/// It is let go of in so many words: a child that this process has just begun shares the open
/// file until it runs a program of its own, and closing ours would leave the lock with it so long.
#[derive(Debug)]
pub(in crate::store) struct Hold(File);

impl Hold {
    /// The lock on `file`, which is locked.
    pub(in crate::store) const fn of(file: File) -> Self {
        Self(file)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // If it fails, the system lets go of it with the last holder of the file.
        let _ = self.0.unlock();
    }
}
