//! Standard output, whose reader may leave when it has seen enough (`export | head`).

use std::io;
use std::io::BufWriter;
use std::io::IsTerminal;
use std::io::Stdout;
use std::io::Write;

use serde::Serialize;

/// Where a verb writes its answer.
#[derive(Debug)]
pub(super) struct Page {
    out: BufWriter<Stdout>,
    is_left: bool,
}

impl Page {
    /// Standard output.
    pub(super) fn new() -> Self {
        Self { out: BufWriter::new(io::stdout()), is_left: false }
    }

    /// Whether the reader has left; whatever failed since then failed for that.
    pub(super) const fn is_left(&self) -> bool {
        self.is_left
    }

    /// Whether people look at it, in colour.
    pub(super) fn is_coloured(&self) -> bool {
        io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
    }

    /// Writes one line of JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut *self, value)?;
        self.write_all(b"\n")
    }

    fn noticed<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            self.is_left = true;
        }
        result
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.out.write(bytes);
        self.noticed(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.out.flush();
        self.noticed(result)
    }
}
