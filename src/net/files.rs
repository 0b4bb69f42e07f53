//! How many files and sockets this process may have open.

use std::io;

use super::sys;

/// Raises the soft limit to the hard one and says how many that is. The soft limit is 1,024 nearly
/// everywhere, for the sake of `select`, which nothing here uses; a call takes four sockets.
///
/// # Errors
///
/// The system's; the limit is as it was then, and what goes beyond it is refused one by one.
pub fn raise_limit() -> io::Result<u64> {
    sys::raise_open_files()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_the_system_allows_is_used() {
        let limit = raise_limit().unwrap();
        let limits = fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[3..5], [limit.to_string(), limit.to_string()], "{line}");
    }
}
