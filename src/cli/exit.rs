//! How the program ends: the exit codes that scripts rely on, and what it says on the way.

use std::io;
use std::io::Write;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::engine::DeskError;
use crate::store::StoreError;
use crate::store::import::PrepareError;
use crate::store::postgres::ServerError;

/// How long who reads standard error is waited for. Our choice: somebody who reads has a line at once.
const READER_WAIT: Duration = Duration::from_secs(1);

/// The exit codes; their meaning never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// Done; the answer is yes.
    Yes = 0,
    /// The answer is no.
    No = 1,
    /// What was typed cannot be used, or a file cannot be read.
    Usage = 2,
    /// No engine can be reached.
    Unreachable = 3,
    /// The engine, or whoever holds the store, refuses.
    Refused = 4,
    /// A defect of ours.
    Internal = 70,
}

impl Code {
    /// How every verb ends, `run` among them, that the store or its database keeps from an answer.
    pub(super) fn of_store(error: &StoreError) -> Self {
        match error {
            error if error.is_held() => Self::Refused,
            error if error.is_passing() => Self::Unreachable,
            StoreError::CopyDiffers { .. } => Self::No,
            StoreError::Server(ServerError::Role | ServerError::Settings(_)) => Self::Usage,
            StoreError::Closed
            | StoreError::Foreign { .. }
            | StoreError::KeepsNumbers
            | StoreError::Long { .. }
            | StoreError::Others { .. }
            | StoreError::RestoreCut { .. }
            | StoreError::Server(_)
            | StoreError::Unsigned { .. } => Self::Refused,
            // A file, or what is in it.
            _ => Self::Usage,
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Why a verb did not come to an answer, and how the program ends for it.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: Code,
    pub(super) error: anyhow::Error,
}

impl Failure {
    /// Ends with `code` for this reason.
    pub(super) fn new(code: Code, why: impl Into<String>) -> Self {
        Self { code, error: anyhow::Error::msg(why.into()) }
    }

    /// Says it on standard error.
    pub(super) fn report(&self, json: bool) {
        say(&self.line(json));
    }

    /// Says it on standard error; who has stopped reading that is waited for no longer than
    /// [`READER_WAIT`], and the program is to end then.
    pub(super) fn report_at_last(&self, json: bool) {
        let line = self.line(json);
        let (said, is_said) = channel();
        let own = line.clone();
        let saying = std::thread::Builder::new().name("report".to_owned()).spawn(move || {
            say(&own);
            let _ = said.send(());
        });
        match saying {
            Ok(_thread) => drop(is_said.recv_timeout(READER_WAIT)),
            Err(_no_thread) => say(&line),
        }
    }

    fn line(&self, json: bool) -> String {
        let why = told(&self.error);
        if json {
            serde_json::json!({ "error": why, "exit": self.code as u8 }).to_string()
        } else {
            format!("bajavoz: {why}")
        }
    }
}

fn say(line: &str) {
    // Without standard error there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// The error with its causes, each once: some name theirs themselves, for the log.
pub(super) fn told(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| {
        let cause = cause.to_string();
        match told.as_str() {
            "" => cause,
            told if told.ends_with(&cause) => told.to_owned(),
            told => format!("{told}: {cause}"),
        }
    })
}

impl From<DeskError> for Failure {
    fn from(error: DeskError) -> Self {
        let code = match &error {
            error if error.is_nothing() => Code::No,
            error if error.is_usage() => Code::Usage,
            DeskError::NoStore { .. } => Code::Usage,
            DeskError::Store(error) => Code::of_store(error),
            _ => Code::Refused,
        };
        let hint = if error.is_held() {
            "; no engine answers on its admin socket, and only one process may have the store"
        } else {
            ""
        };
        Self::new(code, told(&anyhow::Error::new(error)) + hint)
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        let code = match &error {
            PrepareError::Busy { .. } => Code::Refused,
            _ => Code::Usage,
        };
        Self { code, error: error.into() }
    }
}

impl From<io::Error> for Failure {
    /// Standard output failed.
    fn from(error: io::Error) -> Self {
        Self { code: Code::Usage, error: anyhow::Error::new(error).context("standard output") }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_away_held_or_not_usable_ends_every_verb_alike() {
        let path = std::path::PathBuf::from("data");
        let key = StoreError::NumberKey { path: path.clone(), what: "missing" };
        for (error, code) in [
            (StoreError::Held { path: path.clone(), pid: None }, Code::Refused),
            (StoreError::Away, Code::Unreachable),
            (StoreError::Missing { path }, Code::Usage),
            (key, Code::Usage),
            (StoreError::KeepsNumbers, Code::Refused),
            (StoreError::Server(ServerError::Role), Code::Usage),
            (StoreError::Server(ServerError::Later), Code::Unreachable),
            (StoreError::Server(ServerError::Kind), Code::Refused),
            (StoreError::CopyDiffers { table: "fact" }, Code::No),
        ] {
            let name = error.to_string();
            assert_eq!(Code::of_store(&error), code, "{name}");
            assert_eq!(Failure::from(DeskError::from(error)).code, code, "{name}");
        }
    }

    #[test]
    fn a_cause_is_told_once_whether_or_not_its_error_names_it() {
        let cause = || io::Error::from(io::ErrorKind::AddrInUse);
        let bare = anyhow::Error::new(cause()).context("no listener");
        assert_eq!(told(&bare), format!("no listener: {}", cause()));
        let naming = anyhow::Error::new(cause()).context(format!("no listener: {}", cause()));
        assert_eq!(told(&naming), format!("no listener: {}", cause()));
    }
}
