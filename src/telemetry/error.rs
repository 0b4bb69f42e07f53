//! What can go wrong in this room.

use thiserror::Error;

/// A failure to set up the logs.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The filter string cannot be read.
    #[error(
        "expected a log filter such as `info` or `info,bajavoz::sip=debug`, found `{filter}`: {reason}"
    )]
    Filter {
        /// What was found.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something in this process has set up logs already.
    #[error("the logs of this process are set up already")]
    AlreadySet,
    /// There is no thread to be had that writes them.
    #[error("cannot start the thread that writes the log")]
    Thread(#[source] std::io::Error),
}
