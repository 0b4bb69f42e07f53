//! Random octets of the operating system, for keys, salts and writer ids.

use std::io;

/// Fills `bytes`; never blocks once the system has started.
pub(super) fn fill(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(|error| {
        error
            .raw_os_error()
            .map_or_else(|| io::ErrorKind::Other.into(), io::Error::from_raw_os_error)
    })
}
