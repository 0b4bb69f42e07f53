//! The command line's side of the admin socket.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::exit::Code;
use super::exit::Failure;
use crate::engine::admin::Reply;
use crate::engine::admin::Request;
use crate::net::AdminSocket;
use crate::net::JsonLines;
use crate::net::NetError;

/// How long an engine may take for a line: longer than it gives its own disk.
const LINE_MAX: Duration = Duration::from_secs(60);

/// A running engine. It waits for no client that is silent for long, and an import is: so each
/// question goes over a connection of its own.
#[derive(Debug)]
pub(super) struct Engine {
    runtime: Runtime,
    path: PathBuf,
    lines: JsonLines,
    /// Whether something was asked over this connection.
    is_used: bool,
}

impl Engine {
    /// The engine that listens at `path`; nothing when none does.
    pub(super) fn connect(path: &Path) -> Result<Option<Self>, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure { code: Code::Internal, error: error.into() })?;
        match runtime.block_on(AdminSocket::connect(path)) {
            Ok(lines) => Ok(Some(Self { runtime, path: path.into(), lines, is_used: false })),
            Err(NetError::Admin { source, .. }) if is_nobody(&source) => Ok(None),
            Err(error) => Err(Failure { code: Code::Unreachable, error: error.into() }),
        }
    }

    /// Asks something; the answer is in [`Self::next`].
    pub(super) fn send(&mut self, request: &Request) -> Result<(), Failure> {
        if self.is_used {
            self.lines = self
                .runtime
                .block_on(AdminSocket::connect(&self.path))
                .map_err(|error| Failure { code: Code::Unreachable, error: error.into() })?;
        }
        self.is_used = true;
        self.runtime.block_on(self.lines.write(request)).map_err(gone)
    }

    /// The next line of the answer; a refusal is a failure.
    pub(super) fn next(&mut self) -> Result<Reply, Failure> {
        let read = async {
            tokio::time::timeout(LINE_MAX, self.lines.read()).await.map_err(io::Error::from)
        };
        match self.runtime.block_on(read).map_err(gone)?.map_err(gone)? {
            Some(reply) => taken(reply),
            None => Err(gone(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Waits so long.
    pub(super) fn pause(&self, duration: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(duration).await });
    }

    /// Waits for an answer that takes as long as calls do; nothing when the engine has ended
    /// without one.
    pub(super) fn last(&mut self) -> Result<Option<Reply>, Failure> {
        match self.runtime.block_on(self.lines.read()) {
            Ok(reply) => reply.map(taken).transpose(),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(gone(error)),
        }
    }
}

/// Errors that say that no engine runs, not that it cannot be asked.
fn is_nobody(error: &io::Error) -> bool {
    // InvalidInput: a path too long for any socket, so that no engine is bound to it either.
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidInput
    )
}

fn taken(reply: Reply) -> Result<Reply, Failure> {
    match reply {
        Reply::Refused { why, is_nothing: true, .. } => Err(Failure::new(Code::No, why)),
        Reply::Refused { why, is_usage: true, .. } => Err(Failure::new(Code::Usage, why)),
        Reply::Refused { why, is_away: true, .. } => Err(Failure::new(Code::Unreachable, why)),
        Reply::Refused { why, .. } => Err(Failure::new(Code::Refused, why)),
        reply => Ok(reply),
    }
}

fn gone(error: io::Error) -> Failure {
    let error = anyhow::Error::new(error).context("the engine does not answer");
    Failure { code: Code::Unreachable, error }
}

/// What an engine of another version may say.
pub(super) fn unexpected(reply: &Reply) -> Failure {
    Failure::new(
        Code::Internal,
        format!("the engine gave another answer than asked for: {reply:?}"),
    )
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;
    use std::io::BufReader;
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn an_engine_that_waits_for_no_silent_client_is_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let answering = std::thread::spawn(move || {
            for _client in 0..2 {
                let (mut stream, _address) = listener.accept().unwrap();
                let mut request = String::new();
                BufReader::new(&stream).read_line(&mut request).unwrap();
                let end = serde_json::to_string(&Reply::End).unwrap();
                // What an engine says to somebody who has been silent for long, and hangs up.
                let why = "the request cannot be read: deadline has elapsed".to_owned();
                let bye = Reply::Refused { why, is_usage: true, is_nothing: false, is_away: false };
                let bye = serde_json::to_string(&bye).unwrap();
                write!(stream, "{end}\n{bye}\n").unwrap();
            }
        });
        let mut engine = Engine::connect(&path).unwrap().expect("somebody answers");
        for _question in 0..2 {
            engine.send(&Request::Calls).unwrap();
            assert!(matches!(engine.next().unwrap(), Reply::End));
        }
        answering.join().unwrap();
        // It has ended.
        assert_eq!(engine.send(&Request::Calls).unwrap_err().code, Code::Unreachable);
    }
}
