//! Integers of either byte order at a place that may not be there.

#![deny(clippy::indexing_slicing)]

/// The order of the octets of an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endian {
    Big,
    Little,
}

impl Endian {
    /// The 2 octets from `at` on.
    pub(super) fn u16_at(self, bytes: &[u8], at: usize) -> Option<u16> {
        let octets = bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Big => u16::from_be_bytes(*octets),
            Self::Little => u16::from_le_bytes(*octets),
        })
    }

    /// The 4 octets from `at` on.
    pub(super) fn u32_at(self, bytes: &[u8], at: usize) -> Option<u32> {
        let octets = bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Big => u32::from_be_bytes(*octets),
            Self::Little => u32::from_le_bytes(*octets),
        })
    }
}
