//! How a store keeps numbers, and the file of the secret by which it hashes them.
//!
//! ```text
//! bajavoz-number-key-1 SECRET CRC-32      one line: 64 and 8 hexadecimal digits
//! ```
//!
//! The choice is made with the store: its key file says it for this node, a row of a shared
//! database for all of them. Whoever asks for another, or has another secret, is turned away before
//! anything is read: numbers would be looked for where they do not stand, and be called.

use std::fs;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::record::Cdr;
use crate::suppression::NumberSecret;
use crate::suppression::NumberStorage;
use crate::suppression::StorageMark;

use super::StoreError;
use super::journal::sync_dir;
use super::keys::KeyFile;
use super::random;

/// What the line begins with; the last character is its version.
const MAGIC: &str = "bajavoz-number-key-1";
/// The file's name where it stands in the store's folder.
pub(super) const FILE_NAME: &str = "number-key";

/// How a store is to keep numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberChoice {
    /// As the store was made: for who copies it and asks for no number.
    AsMade,
    /// As they are.
    #[default]
    Plain,
    /// As hashes under the secret in this file; without one, in a file in the store's folder.
    Keyed {
        /// The file, which is made with the store.
        key: Option<PathBuf>,
    },
}

impl NumberChoice {
    /// Where the secret stands of the store in the folder `dir`.
    fn key_path(&self, dir: &Path) -> PathBuf {
        match self {
            Self::Keyed { key: Some(path) } => path.clone(),
            Self::Keyed { key: None } | Self::AsMade | Self::Plain => dir.join(FILE_NAME),
        }
    }

    /// How numbers are hashed for an import into the store in the folder `dir`, by whoever reads the
    /// file, which need not have the store. Where there is no store yet, nothing is kept of what is
    /// hashed here: the secret is drawn with the store.
    ///
    /// # Errors
    ///
    /// As for opening it.
    pub fn for_import(&self, dir: &Path) -> Result<NumberStorage, StoreError> {
        let made = mark_of(&dir.join("keys"))?;
        if matches!(self, Self::Keyed { .. }) && made.is_none() && !self.key_path(dir).exists() {
            let mut secret = [0; NumberSecret::LEN];
            random::fill(&mut secret).map_err(StoreError::io("draw", "a number key"))?;
            return Ok(NumberStorage::Keyed(NumberSecret::new(&secret)));
        }
        self.resolve(dir, made, false)
    }

    /// Whether a store must be there before a file is read for it.
    pub const fn needs_store(&self) -> bool {
        matches!(self, Self::Keyed { .. })
    }

    /// Whether the store in the folder `dir`, where one is there already, is made like this, and its
    /// secret can be had: whether it would be opened. Nothing is made.
    ///
    /// # Errors
    ///
    /// As for opening it.
    pub fn check_made(&self, dir: &Path) -> Result<(), StoreError> {
        match mark_of(&dir.join("keys"))? {
            None if !self.key_path(dir).exists() => Ok(()),
            made => self.resolve(dir, made, false).map(drop),
        }
    }

    /// How the store in the folder `dir` keeps numbers, which it says of itself as `made`, where it
    /// is there already. A secret is drawn for a new one, if it `may_draw`.
    ///
    /// # Errors
    ///
    /// [`StoreError::NumberStorage`] where it is made otherwise, [`StoreError::NumberKey`] where
    /// there is no secret, or one that cannot be read.
    pub(super) fn resolve(
        &self,
        dir: &Path,
        made: Option<StorageMark>,
        may_draw: bool,
    ) -> Result<NumberStorage, StoreError> {
        let path = self.key_path(dir);
        let numbers = match self {
            Self::Plain => NumberStorage::Plain,
            Self::AsMade if !matches!(made, Some(StorageMark::Keyed(_))) => NumberStorage::Plain,
            // Nobody asks it for a number.
            Self::AsMade if !path.exists() => return Ok(NumberStorage::Plain),
            Self::Keyed { .. } if may_draw && made.is_none() && !path.exists() => draw(&path)?,
            Self::AsMade | Self::Keyed { .. } => read(&path)?,
        };
        if let Some(made) = made {
            check(&numbers, made, || format!("the store `{}`", dir.display()))?;
        }
        Ok(numbers)
    }
}

/// How the key file at `path` says that numbers are kept; nothing where there is none yet.
pub(super) fn mark_of(path: &Path) -> Result<Option<StorageMark>, StoreError> {
    if !path.exists() {
        return Ok(None);
    }
    let keys = KeyFile::open_read_only(path).map_err(StoreError::io("open", path))?;
    keys.mark().map(Some).map_err(StoreError::io("read", path))
}

/// Whether `numbers` are kept as `made` says.
pub(super) fn check(
    numbers: &NumberStorage,
    made: StorageMark,
    place: impl FnOnce() -> String,
) -> Result<(), StoreError> {
    let expected = numbers.mark();
    if expected == made {
        return Ok(());
    }
    Err(StoreError::NumberStorage { place: place(), expected, found: made })
}

/// A secret of its own, durable in the file at `path` before it is used.
fn draw(path: &Path) -> Result<NumberStorage, StoreError> {
    let mut secret = [0; NumberSecret::LEN];
    random::fill(&mut secret).map_err(StoreError::io("draw", "a number key"))?;
    let digits: String = secret.iter().map(|octet| format!("{octet:02x}")).collect();
    let line = format!("{MAGIC} {digits} {:08x}\n", crc32fast::hash(&secret));
    let unfinished = path.with_extension("new");
    let write = || {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&unfinished)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        path.parent().map_or(Ok(()), sync_dir)
    };
    write().map_err(StoreError::io("create", path))?;
    Ok(NumberStorage::Keyed(NumberSecret::new(&secret)))
}

/// The secret in the file at `path`.
fn read(path: &Path) -> Result<NumberStorage, StoreError> {
    let text = fs::read_to_string(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => StoreError::NumberKey { path: path.to_owned(), what: "missing" },
        _ => StoreError::Io { doing: "read", path: path.to_owned(), source },
    })?;
    let secret = parse(&text);
    let damaged = || StoreError::NumberKey { path: path.to_owned(), what: "not what was written" };
    Ok(NumberStorage::Keyed(NumberSecret::new(&secret.ok_or_else(damaged)?)))
}

fn parse(text: &str) -> Option<[u8; NumberSecret::LEN]> {
    let rest = text.strip_prefix(MAGIC)?.strip_prefix(' ')?;
    let (digits, crc) = rest.trim_end().split_once(' ')?;
    let mut secret = [0; NumberSecret::LEN];
    for (place, octet) in secret.iter_mut().enumerate() {
        *octet = u8::from_str_radix(digits.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    let is_whole = digits.len() == 2 * secret.len()
        && u32::from_str_radix(crc, 16) == Ok(crc32fast::hash(&secret));
    is_whole.then_some(secret)
}

/// A call record as it is kept: where numbers are hashed, nothing of it says one.
pub(super) fn stored_call(numbers: &NumberStorage, mut call: Cdr) -> Cdr {
    if !numbers.is_keyed() {
        return call;
    }
    call.number = call.number.map(|number| numbers.stored(number));
    call.reason = call.reason.as_deref().map(causes);
    for leg in [Some(&mut call.a), call.b.as_mut()].into_iter().flatten() {
        // A dialer may make its Call-ID of the number.
        leg.sip_call_id = numbers.stored_text(&leg.sip_call_id);
        leg.reason = leg.reason.as_deref().map(causes);
    }
    call
}

/// What RFC 3326 defines of a Reason: protocols and causes, without the texts, in which anything
/// may stand.
fn causes(reason: &str) -> String {
    let is_cause = |part: &&str| {
        let cause = part.trim().strip_prefix("cause=");
        cause.is_some_and(|cause| cause.len() <= 3 && cause.bytes().all(|it| it.is_ascii_digit()))
    };
    let is_protocol = |part: &&str| ["Q.850", "SIP", "preemption"].contains(&part.trim());
    let parts = reason.split([';', ',']).filter(|part| is_cause(part) || is_protocol(part));
    parts.map(str::trim).collect::<Vec<_>>().join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_drawn_for_a_new_store_alone_and_is_the_same_later() {
        let dir = tempfile::tempdir().unwrap();
        let choice = NumberChoice::Keyed { key: None };
        let told = choice.resolve(dir.path(), None, false).unwrap_err().to_string();
        assert!(told.contains("number-key") && told.contains("missing"), "{told}");
        let drawn = choice.resolve(dir.path(), None, true).unwrap();
        let path = dir.path().join(FILE_NAME);
        let mode = fs::metadata(&path).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&mode.permissions());
        assert_eq!(mode & 0o777, 0o600);
        for made in [None, Some(drawn.mark())] {
            assert_eq!(choice.resolve(dir.path(), made, false).unwrap(), drawn);
        }
        assert_eq!(
            NumberChoice::AsMade.resolve(dir.path(), Some(drawn.mark()), false).unwrap(),
            drawn
        );
        let text = fs::read_to_string(&path).unwrap();
        for (name, changed) in [
            ("a digit", text.replacen(&text[40..42], "zz", 1)),
            ("cut", text[..80].to_owned()),
            ("another file", "number".to_owned()),
        ] {
            fs::write(&path, changed).unwrap();
            let told = choice.resolve(dir.path(), None, true).unwrap_err().to_string();
            assert!(told.contains("not what was written"), "{name}: {told}");
        }
    }

    #[test]
    fn whether_a_store_would_be_opened_is_told_without_making_anything() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("secret");
        let choice = NumberChoice::Keyed { key: Some(key.clone()) };
        let told = |choice: &NumberChoice| {
            choice.check_made(dir.path()).map_err(|error| error.to_string())
        };
        let is_refused = |choice, want: &str| told(choice).is_err_and(|told| told.contains(want));
        assert_eq!((told(&choice), told(&NumberChoice::Plain)), (Ok(()), Ok(())), "no store yet");
        assert!(!key.exists(), "and no secret is drawn for it");
        fs::write(&key, "a secret").unwrap();
        assert!(is_refused(&choice, "not what was written"));
        fs::remove_file(&key).unwrap();
        let numbers = choice.resolve(dir.path(), None, true).unwrap();
        KeyFile::open(&dir.path().join("keys"), true, numbers).unwrap();
        assert_eq!(told(&choice), Ok(()));
        assert!(is_refused(&NumberChoice::Plain, "number-storage = \"hmac\""));
        let other = NumberChoice::Keyed { key: Some(dir.path().join("other")) };
        assert!(is_refused(&other, "missing"));
        other.resolve(dir.path(), None, true).unwrap();
        assert!(is_refused(&other, "`number-key` must name the file"));
    }

    #[test]
    fn another_choice_or_another_secret_is_turned_away_with_what_to_do() {
        let keyed = |octet| NumberStorage::Keyed(NumberSecret::new(&[octet; 32]));
        let plain = NumberStorage::Plain;
        let cases = [
            (&plain, plain.mark(), None),
            (&keyed(1), keyed(1).mark(), None),
            (&plain, keyed(1).mark(), Some("number-storage = \"hmac\"")),
            (&keyed(1), plain.mark(), Some("number-storage = \"plain\"")),
            (&keyed(1), keyed(2).mark(), Some("number-key")),
        ];
        for (numbers, made, want) in cases {
            let told = check(numbers, made, || "the store".to_owned());
            let told = told.map_err(|error| error.to_string());
            match want {
                None => assert_eq!(told, Ok(())),
                Some(want) => {
                    let told = told.unwrap_err();
                    assert!(told.contains(want) && told.contains(&made.to_string()), "{told}");
                }
            }
        }
    }

    #[test]
    fn a_reason_keeps_its_causes_and_nothing_that_was_written_freely() {
        for (reason, want) in [
            ("Q.850;cause=16", "Q.850;cause=16"),
            ("SIP ;cause=200 ;text=\"Call completed elsewhere\"", "SIP;cause=200"),
            (
                "Q.850;cause=16;text=\"34600123456; cause=1\", SIP;cause=603",
                "Q.850;cause=16;SIP;cause=603",
            ),
            ("34600123456", ""),
            ("Q.850;cause=34600123456", "Q.850"),
        ] {
            assert_eq!(causes(reason), want);
        }
    }
}
