//! Why a file is refused whole.

use std::io;

use super::Reason;

/// Why a file is refused whole. Nothing of it counts then, whatever the sink has got.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The column that was asked for is not there.
    #[error("there is no column `{named}`; the first line has {found}")]
    ColumnUnknown {
        /// As it was asked for.
        named: String,
        /// The columns' names.
        found: String,
    },
    /// Several columns may be the number's.
    #[error("columns {columns} may each be the number's; say which with --column")]
    ColumnAmbiguous {
        /// Their places from 1 and names.
        columns: String,
    },
    /// No column is the number's.
    #[error(
        "no column is called as numbers are (phone, number, telefono, numero, ..) and the first \
         line holds no number; say which with --column"
    )]
    ColumnMissing,
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It cannot be read, or its sink failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another number of lines than its source says, where its end does not say that it is whole.
    #[error("expected {expected} lines, found {found}, and the last has no end; fetch it again")]
    Lines {
        /// As its source says.
        expected: u64,
        /// As there are.
        found: u64,
    },
    /// Not one line is a number.
    #[error(
        "none of the {read} lines is a number that could be read; most are lines {}",
        Reason::in_words(most)
    )]
    NoNumber {
        /// How many lines there are.
        read: u64,
        /// The most frequent reason, by its [`Reason::word`].
        most: String,
    },
    /// It ends in the middle of a record.
    #[error("the file is cut: line {line} is its last and has no end; fetch it again")]
    Truncated {
        /// The last line.
        line: u64,
    },
    /// Its last line has no end, and others have one.
    #[error(
        "line {line} is the last and has no end, as others have: it may be cut, and its number \
         another's; fetch the file again, or say that it is whole (--whole), or how many lines it \
         has (--expect)"
    )]
    Unended {
        /// The last line.
        line: u64,
    },
    /// A range that takes in a large part of a country.
    #[error(
        "line {line} is a range that takes in a large part of a country or more; \
         if that is meant, say --wide-ranges"
    )]
    Wide {
        /// Which line.
        line: u64,
    },
    /// The text is UTF-16.
    #[error("the file is UTF-16; save it as UTF-8")]
    Utf16,
}
