//! Why a file does not become segments.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::suppression::import::ImportError;
use crate::suppression::segment::SegmentError;

/// Why a file does not become segments. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// Another import writes segments into this store.
    #[error("another import into the store `{}` is being written", path.display())]
    Busy {
        /// The folder of segments.
        path: PathBuf,
    },
    /// What is in the file.
    #[error("`{}` was not imported", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ImportError,
    },
    /// A gz file that ends early.
    #[error("`{}` is a cut gz file: its end is missing; fetch it again; nothing was imported", path.display())]
    GzCut {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Rejected lines would be written over the file that is imported.
    #[error("`{}` is the file that is imported: its rejected lines need another one; nothing was changed", path.display())]
    RejectsSource {
        /// The file.
        path: PathBuf,
    },
    /// Rejected lines would be written over what somebody else keeps.
    #[error("`{}` is there already, and is no file of rejected lines: name another one; nothing was changed", path.display())]
    RejectsTaken {
        /// The file.
        path: PathBuf,
    },
    /// The segment cannot be written.
    #[error(transparent)]
    Segment(#[from] SegmentError),
}

impl PrepareError {
    /// Whether nothing is kept for a later try: the file is to be fetched again, or the disk is full,
    /// whose last room is for opt-outs.
    pub(super) fn is_final(&self) -> bool {
        let is_full = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        };
        match self {
            Self::Busy { .. } | Self::RejectsSource { .. } | Self::RejectsTaken { .. } => false,
            // What the system did not say is of the file: a wrong checksum, a damaged spreadsheet.
            Self::Content { source: ImportError::Io(error), .. } => {
                is_full(error) || error.raw_os_error().is_none()
            }
            Self::Content { .. } | Self::GzCut { .. } => true,
            Self::Io { source, .. } | Self::Segment(SegmentError::Io(source)) => is_full(source),
            Self::Segment(_) => true,
        }
    }

    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}
