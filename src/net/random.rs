//! Randomness of the operating system, for secrets and identifiers.

use std::io;

use crate::model::token::Seed;

/// A fresh secret seed.
///
/// # Errors
///
/// The operating system's, when it has no randomness; nothing may be minted then.
pub fn seed() -> io::Result<Seed> {
    let bytes: [u8; 16] = bytes()?;
    let both = u128::from_be_bytes(bytes);
    Ok(Seed((both >> 64) as u64, both as u64))
}

/// `N` random bytes.
///
/// # Errors
///
/// As [`seed`].
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(bytes::<32>().unwrap(), bytes::<32>().unwrap());
        let (one, other) = (seed().unwrap(), seed().unwrap());
        assert_ne!((one.0, one.1), (other.0, other.1));
    }
}
