//! Lines of the log on their way to standard error, which whoever reads it may stop reading at any time.
//!
//! A pipe that nobody empties takes 64 KiB, and then keeps whoever writes to it: a shard would stand
//! still, with all its calls. So a thread of its own writes, and what it has no room for is dropped and
//! counted.
//!
//! ```text
//! shard, store, .. -- write: never waits --> queue, 4 MiB -- thread --> standard error
//!                                     `-- no room: counted
//! ```

use std::collections::VecDeque;
use std::io;
use std::io::Write;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Octets of lines that wait at most. Our choice: some 15,000 calls' ends.
pub(super) const WAITING_OCTETS_MAX: usize = 4 << 20;

/// The queue of the lines, and what became of them.
#[derive(Debug)]
pub(super) struct Lines {
    queue: Mutex<Queue>,
    /// A line came.
    came: Condvar,
    /// No line is left.
    emptied: Condvar,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Vec<u8>>,
    octets: usize,
    /// The thread has one in hand.
    is_writing: bool,
}

impl Lines {
    /// Those that go to `to`, by a thread of their own that ends with the process.
    ///
    /// # Errors
    ///
    /// Those of starting the thread.
    pub(super) fn start(to: impl Write + Send + 'static) -> io::Result<Arc<Self>> {
        let lines = Arc::new(Self {
            queue: Mutex::default(),
            came: Condvar::new(),
            emptied: Condvar::new(),
            lost: AtomicU64::new(0),
        });
        let own = Arc::clone(&lines);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || own.write_all_to(to))?;
        Ok(lines)
    }

    /// Waits until every line is written, for `wait` at most; whether it is.
    pub(super) fn flush_for(&self, wait: Duration) -> bool {
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.waiting.is_empty();
        let queue = self.queue();
        let waited = self.emptied.wait_timeout_while(queue, wait, is_busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Lines that were dropped: for want of room, or since they could not be written.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Takes one line, or drops it.
    fn take(&self, line: &[u8]) {
        let mut queue = self.queue();
        if queue.octets + line.len() > WAITING_OCTETS_MAX {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.octets += line.len();
        queue.waiting.push_back(line.to_vec());
        drop(queue);
        self.came.notify_one();
    }

    fn write_all_to(&self, mut to: impl Write) {
        loop {
            let line = self.next();
            // The lock is not held meanwhile: it is here that a stopped reader keeps us.
            if to.write_all(&line).and_then(|()| to.flush()).is_err() {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The next line, once there is one; the one before is written.
    fn next(&self) -> Vec<u8> {
        let mut queue = self.queue();
        queue.is_writing = false;
        loop {
            if let Some(line) = queue.waiting.pop_front() {
                queue.octets -= line.len();
                queue.is_writing = true;
                return line;
            }
            self.emptied.notify_all();
            queue = self.came.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each write is one line whole, as the formatter of events writes them; it never fails or waits for who
/// reads.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.take(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;
    use std::io::BufReader;
    use std::sync::mpsc;

    use super::*;

    /// Longer than any test takes.
    const LONG: Duration = Duration::from_secs(60);

    /// Writes nothing until it is told to go on, as standard error does whose reader has stopped.
    struct Stopped {
        has_begun: mpsc::Sender<()>,
        go_on: mpsc::Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Stopped {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            // Once the test lets go of its ends, nothing stops it any more.
            let _ = self.has_begun.send(());
            let _ = self.go_on.recv();
            self.written.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stops_keeps_nobody_and_what_finds_no_room_is_counted() {
        let ((has_begun, begun), (going, go_on)) = (mpsc::channel(), mpsc::channel());
        let written = Arc::new(Mutex::new(Vec::new()));
        let to = Stopped { has_begun, go_on, written: Arc::clone(&written) };
        let lines = Lines::start(to).unwrap();
        let write = |line: &[u8]| (&*lines).write_all(line).unwrap();
        write(b"first\n");
        begun.recv().expect("it is being written");
        let long = vec![b'x'; WAITING_OCTETS_MAX - 1];
        write(&long);
        assert_eq!(lines.lost(), 0);
        write(b"\n");
        assert_eq!(lines.lost(), 0, "at the limit");
        write(b"!");
        assert_eq!(lines.lost(), 1, "one octet beyond it");
        assert!(!lines.flush_for(Duration::ZERO), "the reader has stopped");
        drop((going, begun));
        assert!(lines.flush_for(LONG), "it reads again");
        let want = [b"first\n".as_slice(), &long, b"\n"].concat();
        assert!(*written.lock().unwrap() == want, "whole and in order");
        write(b"later\n");
        assert!(lines.flush_for(LONG) && written.lock().unwrap().ends_with(b"\nlater\n"));
        assert_eq!(lines.lost(), 1);
    }

    #[test]
    fn a_full_pipe_keeps_nobody_and_one_that_is_shut_is_counted() {
        let (reader, writer) = io::pipe().unwrap();
        let lines = Lines::start(writer).unwrap();
        // More than a pipe holds, and less than may wait.
        let line = |n: usize| format!("{n:127}\n");
        let count = WAITING_OCTETS_MAX / 256;
        (0..count).for_each(|n| (&*lines).write_all(line(n).as_bytes()).unwrap());
        assert!(!lines.flush_for(Duration::ZERO));
        let mut reader = BufReader::new(reader);
        let mut read = String::new();
        for n in 0..count {
            read.clear();
            reader.read_line(&mut read).unwrap();
            assert_eq!(read, line(n));
        }
        assert!(lines.flush_for(LONG));
        assert_eq!(lines.lost(), 0);
        drop(reader);
        (&*lines).write_all(b"nobody reads it\n").unwrap();
        assert!(lines.flush_for(LONG));
        assert_eq!(lines.lost(), 1);
    }
}
