//! The snapshot of the imported numbers, from which a start is quick.
//!
//! ```text
//! write base.snapshot.new -> sync it -> rename to base.snapshot -> sync the folder
//! ```
//!
//! Whenever the power goes, the file under its name is a whole snapshot, the one before or the new
//! one. It is a copy of what the imports say: one that is missing, old, damaged or of a later
//! version is built anew, more slowly, and never keeps anybody from starting.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::path::PathBuf;

use crate::model::WriterId;
use crate::suppression::base::Base;
use crate::suppression::base::CodecError;
use crate::suppression::base::Cursor;

use super::StoreError;
use super::journal::sync_dir;

/// The snapshot file of a store's folder.
#[derive(Debug)]
pub struct Snapshot {
    dir: PathBuf,
}

impl Snapshot {
    /// That of the store in the folder `dir`, which is there.
    pub fn of_store(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("base.snapshot")
    }

    /// Replaces the snapshot; returns once the new one would survive a power cut. Only the process
    /// that holds the store may do that, and one thread of it at a time.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`]; the snapshot is then the one before, or the new one.
    pub fn save(&mut self, base: &Base, cursor: &[(WriterId, u64)]) -> Result<(), StoreError> {
        let mut disk = RealDisk { dir: self.dir.clone(), file: None };
        save_on(&mut disk, base, cursor).map_err(StoreError::io("write", self.path()))
    }

    /// Reads the snapshot; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`CodecError`]: it cannot be read, or is not what was written.
    pub fn load(&self) -> Result<Option<(Base, Cursor)>, CodecError> {
        let mut file = match File::open(self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let len = file.metadata()?.len();
        Base::read(&mut file, len).map(Some)
    }

    /// The snapshot where there is a whole one that `is_current`, else what `build` makes of the
    /// imports; that is saved for the next start. Says in the log which of them it was, and why.
    ///
    /// # Errors
    ///
    /// Those of `build`, and no others: a snapshot that cannot be saved is told in the log.
    pub fn load_or_build<E>(
        &mut self,
        is_current: impl FnOnce(&Base, &Cursor) -> bool,
        build: impl FnOnce() -> Result<(Base, Cursor), E>,
    ) -> Result<(Base, Cursor), E> {
        match self.load() {
            Ok(Some((base, cursor))) if is_current(&base, &cursor) => {
                tracing::info!(numbers = base.len(), "imported numbers read from the snapshot");
                return Ok((base, cursor));
            }
            Ok(Some(_)) => tracing::info!("the snapshot is old; it is built anew from the imports"),
            Ok(None) => tracing::info!("there is no snapshot; it is built from the imports"),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                path = %self.path().display(),
                "the snapshot is refused; it is built anew from the imports, which takes longer"
            ),
        }
        let (base, cursor) = build()?;
        if let Err(error) = self.save(&base, &cursor) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the snapshot cannot be saved; the next start builds it anew"
            );
        }
        Ok((base, cursor))
    }
}

/// What a snapshot asks of a disk: each method is a step that a test can make fail.
trait Disk {
    /// Begins the unfinished file, empty.
    fn create(&mut self) -> io::Result<()>;
    /// Appends to it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns once all that was appended would survive a power cut.
    fn sync(&mut self) -> io::Result<()>;
    /// Gives the unfinished file the name of the snapshot.
    fn rename(&mut self) -> io::Result<()>;
    /// Returns once the name would survive a power cut.
    fn sync_dir(&mut self) -> io::Result<()>;
}

fn save_on(disk: &mut impl Disk, base: &Base, cursor: &[(WriterId, u64)]) -> io::Result<()> {
    disk.create()?;
    base.write(cursor, &mut Appending(disk))?;
    disk.sync()?;
    disk.rename()?;
    disk.sync_dir()
}

struct Appending<'a, D>(&'a mut D);

impl<D: Disk> Write for Appending<'_, D> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct RealDisk {
    dir: PathBuf,
    file: Option<File>,
}

impl RealDisk {
    fn unfinished(&self) -> PathBuf {
        self.dir.join("base.snapshot.new")
    }

    fn file(&mut self) -> io::Result<&mut File> {
        self.file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for RealDisk {
    fn create(&mut self) -> io::Result<()> {
        self.file = Some(File::create(self.unfinished())?);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file()?.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file()?.sync_all()
    }

    fn rename(&mut self) -> io::Result<()> {
        fs::rename(self.unfinished(), self.dir.join("base.snapshot"))
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        sync_dir(&self.dir)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::model::Number;
    use crate::model::RecordId;
    use crate::suppression::base::Layer;
    use crate::suppression::base::Source;

    /// A base of `len` numbers, more than one chunk of a snapshot from some 600,000 on.
    fn base(len: u64) -> (Base, Cursor) {
        let layer = Layer {
            list: "registry".into(),
            account: None,
            campaign: None,
            topic: None,
            record: RecordId { writer: WriterId(1), seq: len },
            segment: [7; 32],
        };
        let number = |n| Number::from_e164_digits(34_600_000_000 + 31 * n).expect("it is E.164");
        let numbers = (0..len).map(|n| Ok::<_, Infallible>(number(n)));
        let base = Base::build([Source { layer, numbers }]).expect("they are sorted");
        (base, vec![(WriterId(1), len)])
    }

    /// A disk in memory that knows what a power cut leaves behind.
    #[derive(Clone, Default)]
    struct ModelDisk {
        unfinished: Vec<u8>,
        is_synced: bool,
        /// What the name stands for now, and whether its octets are safe.
        named: (Vec<u8>, bool),
        /// What it stands for after a power cut, where the newer name is lost.
        safe: Vec<u8>,
        steps_left: usize,
    }

    impl ModelDisk {
        fn step(&mut self) -> io::Result<()> {
            self.steps_left = self.steps_left.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
            Ok(())
        }

        /// Every file that may be found under the name of the snapshot after a power cut now.
        fn images(&self) -> Vec<Vec<u8>> {
            let (octets, is_safe) = &self.named;
            let mut images = vec![self.safe.clone()];
            if *is_safe {
                images.push(octets.clone());
            } else {
                images.extend([Vec::new(), octets[..octets.len() / 2].to_vec()]);
            }
            images
        }
    }

    impl Disk for ModelDisk {
        fn create(&mut self) -> io::Result<()> {
            self.step()?;
            (self.unfinished, self.is_synced) = (Vec::new(), false);
            Ok(())
        }

        fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
            if self.step().is_err() {
                self.unfinished.extend_from_slice(&bytes[..bytes.len() / 2]);
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.unfinished.extend_from_slice(bytes);
            self.is_synced = false;
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            self.step()?;
            self.is_synced = true;
            Ok(())
        }

        fn rename(&mut self) -> io::Result<()> {
            self.step()?;
            self.named = (std::mem::take(&mut self.unfinished), self.is_synced);
            Ok(())
        }

        fn sync_dir(&mut self) -> io::Result<()> {
            self.step()?;
            self.safe = self.named.0.clone();
            Ok(())
        }
    }

    #[test]
    fn a_power_cut_at_any_step_leaves_a_whole_snapshot() {
        let (old, new) = (base(1_000), base(20_000));
        let mut disk = ModelDisk { steps_left: usize::MAX, ..ModelDisk::default() };
        save_on(&mut disk, &old.0, &old.1).expect("the disk is sound");
        let saved = disk.safe.clone();
        for steps in 0.. {
            let mut disk = ModelDisk { steps_left: steps, ..disk.clone() };
            let result = save_on(&mut disk, &new.0, &new.1);
            for image in disk.images() {
                let (base, cursor) = Base::read(&mut &*image, image.len() as u64)
                    .unwrap_or_else(|error| panic!("after {steps} steps: {error}"));
                assert!([1_000, 20_000].contains(&base.len()), "after {steps} steps");
                assert_eq!(cursor, [(WriterId(1), base.len())], "after {steps} steps");
                assert!(result.is_err() || image != saved, "after {steps} steps: it was promised");
            }
            if result.is_ok() {
                assert!(steps > 10, "create, write, sync, rename, sync");
                return;
            }
        }
    }

    #[test]
    fn a_snapshot_is_used_only_while_it_is_whole_and_current() {
        let dir = tempfile::tempdir().unwrap();
        let mut snapshot = Snapshot::of_store(dir.path());
        let path = snapshot.path();
        // What is done to the file, which base is asked for -> whether it had to be built.
        let flip = |at: usize| {
            let mut octets = fs::read(&path).unwrap();
            octets[at] ^= 1;
            fs::write(&path, octets).unwrap();
        };
        let cut = || {
            let octets = fs::read(&path).unwrap();
            fs::write(&path, &octets[..octets.len() - 1]).unwrap();
        };
        #[rustfmt::skip]
        let cases: [(&str, &dyn Fn(), u64, bool); 8] = [
            ("there is none",               &|| {},            100, true),
            ("it is there",                 &|| {},            100, false),
            ("an import has been made",     &|| {},            200, true),
            ("it was saved then",           &|| {},            200, false),
            ("a bit has flipped",           &|| flip(300),     200, true),
            ("it has been cut",             &cut,              200, true),
            ("a crash while it was saved",  &|| fs::write(dir.path().join("base.snapshot.new"), "half").unwrap(), 200, false),
            ("and then the next is saved",  &|| {},            300, true),
        ];
        for (name, change, len, want) in cases {
            change();
            let mut is_built = false;
            let build = || {
                is_built = true;
                Ok::<_, Infallible>(base(len))
            };
            let is_current = |_base: &Base, cursor: &Cursor| *cursor == [(WriterId(1), len)];
            let (base, cursor) = snapshot.load_or_build(is_current, build).unwrap();
            assert_eq!((base.len(), cursor[0].1, is_built), (len, len, want), "{name}");
        }
    }

    #[test]
    fn a_start_needs_no_snapshot_that_can_be_saved() {
        let dir = tempfile::tempdir().unwrap();
        let mut snapshot = Snapshot::of_store(dir.path().join("gone"));
        let (new, cursor) = base(10);
        assert!(matches!(snapshot.save(&new, &cursor), Err(StoreError::Io { .. })));
        let built = snapshot.load_or_build(|_, _| true, || Ok::<_, Infallible>((new, cursor)));
        assert_eq!(built.unwrap().0.len(), 10);
        assert_eq!(snapshot.load_or_build(|_, _| true, || Err("no disk")).unwrap_err(), "no disk");
    }
}
