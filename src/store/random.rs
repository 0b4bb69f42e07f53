//! Random octets of the operating system, for keys, salts and writer ids.

use std::io;

use crate::model::WriterId;

/// Fills `bytes`; never blocks once the system has started.
pub(super) fn fill(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(|error| {
        error
            .raw_os_error()
            .map_or_else(|| io::ErrorKind::Other.into(), io::Error::from_raw_os_error)
    })
}

/// A name for a new stream: 63 random bits, since SQL's BIGINT is signed.
pub(super) fn writer() -> io::Result<WriterId> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(WriterId(u64::from_be_bytes(bytes) >> 1))
}
