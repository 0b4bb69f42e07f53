//! Who runs the program, for the records that say who did something.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The login name as far as the environment says it; else, as under cron, an init system or in a
/// container, the name of the user that this process is, or that user's number.
pub(super) fn login() -> Option<String> {
    let said = |name: &str| std::env::var(name).ok().filter(|name| !name.is_empty());
    said("LOGNAME").or_else(|| said("USER")).or_else(|| {
        let user = own_user()?;
        Some(named(user, &fs::read_to_string("/etc/passwd").unwrap_or_default()))
    })
}

/// Whether the file or folder at `path` is known to be this process's own user's.
pub(super) fn is_own(path: &Path) -> bool {
    let owner = fs::metadata(path).ok().map(|it| it.uid());
    owner.is_some() && owner == own_user()
}

/// The number of the user that this process is.
fn own_user() -> Option<u32> {
    Some(fs::metadata("/proc/self").ok()?.uid())
}

/// The name that `passwd` has for `user`, passwd(5); users that only a directory service knows stand
/// for themselves by their number.
fn named(user: u32, passwd: &str) -> String {
    let is_its = |line: &&str| line.split(':').nth(2).is_some_and(|uid| uid.parse() == Ok(user));
    let name = passwd.lines().find(is_its).and_then(|line| line.split(':').next());
    let name = name.filter(|name| !name.is_empty());
    name.map_or_else(|| format!("uid {user}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_name_or_a_number() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\n\n# 7:8:9\nana:x:1000:1000::/home/ana:\n:x:5:\n";
        for (user, want) in [(0, "root"), (1000, "ana"), (1001, "uid 1001"), (5, "uid 5")] {
            assert_eq!(named(user, passwd), want);
        }
        assert_eq!(named(7, ""), "uid 7", "without such a file");
    }
}
