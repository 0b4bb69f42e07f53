//! Reading ahead: a thread reads and hashes the file while another makes numbers of it.

use std::fs::File;
use std::io;
use std::io::Read;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::channel;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};

/// How much is read at a time.
const BLOCK_LEN: usize = 256 * 1024;

/// Blocks that are read and wait to be taken: 2 MiB.
const BLOCKS_MAX: usize = 8;

/// What is read of a file by a thread of its own, in order; it ends with this.
#[derive(Debug)]
pub(super) struct Ahead {
    blocks: Option<Receiver<io::Result<Vec<u8>>>>,
    /// Blocks that were taken, to be filled again.
    spent: Sender<Vec<u8>>,
    current: Vec<u8>,
    /// How much of `current` was taken.
    taken: usize,
    thread: Option<JoinHandle<Sha256>>,
}

impl Ahead {
    /// Reads `file` from where it is, and hashes it behind what `hasher` has.
    pub(super) fn start(file: File, hasher: Sha256) -> io::Result<Self> {
        let (sender, blocks) = sync_channel(BLOCKS_MAX);
        let (spent, returned) = channel();
        let thread = std::thread::Builder::new()
            .name("read-ahead".to_owned())
            .spawn(move || read(file, hasher, &sender, &returned))?;
        let blocks = Some(blocks);
        Ok(Self { blocks, spent, current: Vec::new(), taken: 0, thread: Some(thread) })
    }

    /// The hasher with the whole file; what was not taken is read and hashed all the same.
    pub(super) fn finish(mut self) -> io::Result<Sha256> {
        while self.next_block()? {}
        let thread = self.thread.take().and_then(|thread| thread.join().ok());
        thread.ok_or_else(|| io::Error::other("the thread that reads the file is gone"))
    }

    /// Puts what comes next in place of what was taken; false at the end.
    fn next_block(&mut self) -> io::Result<bool> {
        let Some(next) = self.blocks.as_ref().and_then(|blocks| blocks.recv().ok()) else {
            return Ok(false);
        };
        let spent = std::mem::replace(&mut self.current, next?);
        self.taken = 0;
        // A thread that has ended needs no block.
        let _ = self.spent.send(spent);
        Ok(true)
    }
}

impl Read for Ahead {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.current.len() && !self.next_block()? {
            return Ok(0);
        }
        let rest = self.current.get(self.taken..).unwrap_or_default();
        let len = rest.len().min(bytes.len());
        if let (Some(to), Some(from)) = (bytes.get_mut(..len), rest.get(..len)) {
            to.copy_from_slice(from);
        }
        self.taken += len;
        Ok(len)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // The thread ends when nobody takes its blocks.
        self.blocks = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told when it happened.
            let _ = thread.join();
        }
    }
}

fn read(
    mut file: File,
    mut hasher: Sha256,
    blocks: &SyncSender<io::Result<Vec<u8>>>,
    returned: &Receiver<Vec<u8>>,
) -> Sha256 {
    loop {
        let mut block = returned.try_recv().unwrap_or_default();
        block.resize(BLOCK_LEN, 0);
        let read = match file.read(&mut block) {
            Ok(0) => return hasher,
            Ok(len) => {
                block.truncate(len);
                hasher.update(&block);
                Ok(block)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_over = read.is_err();
        if blocks.send(read).is_err() || is_over {
            return hasher;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Seek;
    use std::io::SeekFrom;
    use std::io::Write;

    use super::*;

    /// A file of several blocks and a part of one.
    fn file() -> (File, Vec<u8>) {
        let octets: Vec<u8> =
            (0..BLOCK_LEN * (BLOCKS_MAX + 3) + 77).map(|at| (at / 3) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&octets).unwrap();
        (file, octets)
    }

    #[test]
    fn a_file_is_read_in_order_and_hashed_whole_from_where_it_stood() {
        let (mut file, octets) = file();
        file.seek(SeekFrom::Start(1000)).unwrap();
        let begun = Sha256::new_with_prefix(&octets[..1000]);
        let mut ahead = Ahead::start(file, begun).unwrap();
        let mut read = Vec::new();
        ahead.by_ref().take(100).read_to_end(&mut read).unwrap();
        ahead.read_to_end(&mut read).unwrap();
        assert!(read == octets[1000..], "in order");
        assert_eq!(ahead.finish().unwrap().finalize(), Sha256::digest(&octets));
    }

    #[test]
    fn what_nobody_takes_is_hashed_too_and_a_reader_that_is_dropped_leaves_no_thread() {
        let (mut file, octets) = file();
        let open = |file: &mut File| {
            file.rewind().unwrap();
            Ahead::start(file.try_clone().unwrap(), Sha256::new()).unwrap()
        };
        assert_eq!(open(&mut file).finish().unwrap().finalize(), Sha256::digest(&octets));
        // It waits for room in the queue until it hears that nobody takes from it.
        drop(open(&mut file));
        assert!(file.stream_position().unwrap() < octets.len() as u64);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_and_not_an_end() {
        let folder = File::open(std::env::temp_dir()).unwrap();
        let mut ahead = Ahead::start(folder, Sha256::new()).unwrap();
        let error = ahead.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }
}
