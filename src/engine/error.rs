//! Why an engine does not start, or does not take a new configuration.

use std::path::PathBuf;

use crate::model::CampaignName;
use crate::model::number::NumberError;
use crate::net::NetError;
use crate::store::StoreError;
use crate::suppression::list::ListLimitError;

/// Why an engine does not start, or does not take a new configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The operating system gives no randomness.
    #[error("no randomness from the operating system: {0}")]
    Random(std::io::Error),
    /// A thread or runtime could not be started.
    #[error("could not start a thread: {0}")]
    Thread(std::io::Error),
    /// A socket.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The health and metrics page could not be bound.
    #[error("could not bind http on {address}: {source}")]
    Http {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// More lists than an engine tells apart.
    #[error(transparent)]
    Lists(#[from] ListLimitError),
    /// A dialer's default region.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// A prompt.
    #[error("{}: {why}", path.display())]
    Prompt {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A campaign's codes.
    #[error("campaign `{campaign}`: {why}")]
    Codes {
        /// The campaign.
        campaign: CampaignName,
        /// What is wrong with them.
        why: String,
    },
    /// A setting that takes effect only at start has changed.
    #[error("needs a restart: {what}")]
    NeedsRestart {
        /// Which.
        what: &'static str,
    },
    /// A thread that the engine cannot do without has panicked; the panic stands in the log.
    #[error("the {thread} thread died by a defect of ours; calls were hung up, start it again")]
    Died {
        /// Which.
        thread: &'static str,
    },
    /// The engine is going down.
    #[error("the engine is going down")]
    Down,
}
