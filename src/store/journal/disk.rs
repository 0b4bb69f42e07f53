//! What the journal asks of a disk, in the few steps that can fail, and the real disk.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::thread::JoinHandle;

/// An open segment: each method is a step that a test can make fail.
pub trait JournalFile: Send {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    ///
    /// Those of the system; how much was written is then unknown.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns once everything written would survive a power cut.
    ///
    /// # Errors
    ///
    /// Those of the system. The pages may be gone and marked clean, so that asking again would
    /// be answered with a lie: the caller must not write to this file any more.
    fn sync(&mut self) -> io::Result<()>;
}

/// Makes segments.
pub trait JournalDisk: Send {
    /// A new segment called `name` of the disk's segment size: `header`, then zeros that were
    /// really written, durable together with its entry in the folder.
    ///
    /// # Errors
    ///
    /// Those of the system; a segment of that name may then be there or not.
    fn create(&mut self, name: &str, header: &[u8]) -> io::Result<Box<dyn JournalFile>>;

    /// Cuts a segment that will not grow any more to `len` octets.
    ///
    /// # Errors
    ///
    /// Those of the system; nothing is lost then.
    fn finish(&mut self, name: &str, len: u64) -> io::Result<()>;
}

impl JournalFile for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Segments as files of one folder; keeps one zeroed file in reserve, which a thread of its own
/// makes, so that changing segments does not make anybody wait for the zeros.
#[derive(Debug)]
pub struct RealDisk {
    dir: PathBuf,
    segment_bytes: u64,
    spare: Option<JoinHandle<io::Result<()>>>,
}

impl RealDisk {
    /// In the folder `dir`, with segments of `segment_bytes`.
    pub const fn new(dir: PathBuf, segment_bytes: u64) -> Self {
        Self { dir, segment_bytes, spare: None }
    }

    fn spare_path(&self) -> PathBuf {
        self.dir.join("spare")
    }

    /// A zeroed file of full size under the name of the spare.
    fn take_spare(&mut self) -> io::Result<File> {
        if let Some(making) = self.spare.take() {
            // A failed attempt is made again below, by us, where its error is seen.
            let _ = making.join();
        }
        let path = self.spare_path();
        let is_ready = fs::metadata(&path).is_ok_and(|found| found.len() == self.segment_bytes);
        if !is_ready {
            make_spare(&self.dir, self.segment_bytes)?;
        }
        OpenOptions::new().read(true).write(true).open(path)
    }
}

impl Drop for RealDisk {
    /// Waits for the thread: whoever holds the store next must not find it at work on the spare.
    fn drop(&mut self) {
        if let Some(making) = self.spare.take() {
            // A failed attempt is made again when the spare is needed.
            let _ = making.join();
        }
    }
}

impl JournalDisk for RealDisk {
    fn create(&mut self, name: &str, header: &[u8]) -> io::Result<Box<dyn JournalFile>> {
        let file = self.take_spare()?;
        file.write_all_at(header, 0)?;
        file.sync_all()?;
        let path = self.dir.join(name);
        fs::rename(self.spare_path(), &path)?;
        if let Err(error) = sync_dir(&self.dir) {
            // A disk that is tried again and again must not be filled by the tries. If it cannot
            // be removed, it is an empty stream that the next start removes.
            let _ = fs::remove_file(path);
            return Err(error);
        }
        let (dir, segment_bytes) = (self.dir.clone(), self.segment_bytes);
        let spawned = std::thread::Builder::new()
            .name("journal-spare".to_owned())
            .spawn(move || make_spare(&dir, segment_bytes));
        // Without a thread the next segment is made when it is needed.
        self.spare = spawned.ok();
        Ok(Box::new(file))
    }

    fn finish(&mut self, name: &str, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.dir.join(name))?;
        file.set_len(len)?;
        file.sync_all()
    }
}

/// Writes zeros, syncs them, and only then gives the file its name.
fn make_spare(dir: &Path, segment_bytes: u64) -> io::Result<()> {
    let unfinished = dir.join("spare.new");
    let made = write_zeros(&unfinished, segment_bytes)
        .and_then(|()| fs::rename(&unfinished, dir.join("spare")));
    if made.is_err() {
        // The last room of a full disk is left to others; where it stays, it is overwritten.
        let _ = fs::remove_file(unfinished);
    }
    made
}

fn write_zeros(path: &Path, segment_bytes: u64) -> io::Result<()> {
    const CHUNK_LEN: usize = 256 * 1024;
    let mut file = File::create(path)?;
    let zeros = vec![0; CHUNK_LEN];
    let mut left = segment_bytes;
    while left > 0 {
        let chunk = zeros.get(..usize::try_from(left).unwrap_or(CHUNK_LEN)).unwrap_or(&zeros);
        file.write_all(chunk)?;
        left -= chunk.len() as u64;
    }
    file.sync_all()
}

/// Makes names in `dir` durable.
pub(in crate::store) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: u64 = 8192;

    /// Names and contents.
    type Files = &'static [(&'static str, &'static [u8])];

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).expect("the folder is there");
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.expect("it can be listed").file_name().to_string_lossy().into_owned()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_segment_is_header_and_zeros_whatever_a_crash_left_behind() {
        let header = b"the header of the segment";
        #[rustfmt::skip]
        let cases: [(&str, Files); 5] = [
            ("nothing", &[]),
            ("a spare whose header was written before the crash", &[("spare", b"the header of a segmenX")]),
            ("a spare of another size", &[("spare", &[0; 100])]),
            ("zeros half written", &[("spare.new", &[7; 5000])]),
            ("both", &[("spare", &[0; 4096]), ("spare.new", &[7; 9000])]),
        ];
        for (name, left) in cases {
            let dir = tempfile::tempdir().unwrap();
            for (file, bytes) in left {
                let mut bytes = bytes.to_vec();
                if bytes.starts_with(b"the header") {
                    bytes.resize(LEN as usize, 0);
                }
                fs::write(dir.path().join(file), bytes).unwrap();
            }
            let mut disk = RealDisk::new(dir.path().to_owned(), LEN);
            for segment in ["one", "two"] {
                let mut file = disk.create(segment, header).unwrap();
                let bytes = fs::read(dir.path().join(segment)).unwrap();
                assert_eq!(bytes.len() as u64, LEN, "{name}");
                assert!(bytes.starts_with(header), "{name}");
                assert!(bytes.iter().skip(header.len()).all(|&octet| octet == 0), "{name}");
                file.write_at(b"x", LEN - 1).unwrap();
                file.sync().unwrap();
            }
            disk.finish("two", 4096).unwrap();
            assert_eq!(fs::metadata(dir.path().join("two")).unwrap().len(), 4096, "{name}");
            drop(disk);
            assert_eq!(names(dir.path()), ["one", "spare", "two"], "{name}: one spare is ready");
        }
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut disk = RealDisk::new(dir.path().join("gone"), LEN);
        let error = disk.create("one", b"h").err().map(|error| error.kind());
        assert_eq!(error, Some(io::ErrorKind::NotFound));
    }
}
