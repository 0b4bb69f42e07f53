//! Lines that are no number, and why.

use crate::model::NumberError;
use crate::suppression::range::RangeError;

use super::LINE_LEN_MAX;
use super::RANGES_MAX;

/// A line that is no number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected<'a> {
    /// Which line of the file, from 1.
    pub line: u64,
    /// Its text, without the line's end.
    pub text: &'a [u8],
    /// Why.
    pub reason: Reason,
}

/// Why a line is no number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// A row that ends before the number's column.
    #[error("expected the number in column {column}, found {found} columns")]
    Columns {
        /// The number's column, from 1.
        column: usize,
        /// How many the row has.
        found: usize,
    },
    /// A line too long to be looked at.
    #[error("expected at most {LINE_LEN_MAX} octets in a line")]
    Long,
    /// A change that says neither or both of added and deleted.
    #[error("expected one of A (added) and D (deleted)")]
    Mark,
    /// Zeros behind a point that are decimals or digits: either way it is a number.
    #[error("expected a number without a point: with the zeros behind it it is one, and without")]
    Decimals,
    /// A text that is no number.
    #[error("{0}")]
    Number(NumberError),
    /// A text that is meant for a range, and is none.
    #[error("{0}")]
    Range(RangeError),
    /// A range more than an import may have.
    #[error("expected at most {RANGES_MAX} ranges in a file")]
    Ranges,
    /// A record that has not the registry's form.
    #[error("expected {expected}")]
    Record {
        /// The form.
        expected: &'static str,
    },
    /// A quoted field that does not end.
    #[error("expected a closing quote")]
    Quote,
}

impl Reason {
    /// What people are told of the lines that are counted under `word`, behind how many they are:
    /// "2 with a short code". A word that is none of ours, as a later version may write, says itself.
    pub fn in_words(word: &str) -> &str {
        match word {
            "columns" => "without the number's column",
            "long" => "longer than a line may be",
            "mark" => "without an A or a D of its own",
            "decimals" => "with zeros behind a point that may be decimals or digits",
            "character" => "with characters that no number has",
            "emergency" => "with an emergency number",
            "empty" => "without a number",
            "invalid" => "with a number that its country does not assign",
            "short_code" => "with a short code of no named region",
            "unreadable" => "in no form of a number that is known there",
            "range" => "with a range that is none, or one too many",
            "record" => "not in the registry's form",
            "quote" => "with a quote that does not end",
            other => other,
        }
    }

    /// The word under which it is counted.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Columns { .. } => "columns",
            Self::Long => "long",
            Self::Mark => "mark",
            Self::Number(NumberError::Character { .. }) => "character",
            Self::Number(NumberError::Emergency) => "emergency",
            Self::Number(NumberError::Empty) => "empty",
            Self::Number(NumberError::Invalid { .. }) => "invalid",
            Self::Number(NumberError::ShortCode { .. }) => "short_code",
            Self::Number(_) => "unreadable",
            Self::Range(_) | Self::Ranges => "range",
            Self::Record { .. } => "record",
            Self::Decimals => "decimals",
            Self::Quote => "quote",
        }
    }
}
