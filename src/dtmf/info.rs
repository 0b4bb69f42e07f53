//! Keys in SIP INFO bodies, by convention rather than by standard.
//!
//! ```text
//! Content-Type: application/dtmf-relay     Content-Type: application/dtmf
//!
//! Signal=9                                 9
//! Duration=160
//! ```
//!
//! Vendors differ in spaces, case, line ends and spelling: `Signal= 9`, event codes 10 to 15 for
//! `*`, `#` and A to D, `d=9` (`application/vnd.nortelnetworks.digits`), a bare key under
//! `dtmf-relay`, a `Signal` line under `dtmf`. All of them are read. What names no single key
//! (a hook flash, two keys) is refused: a key is never guessed.

#![deny(clippy::indexing_slicing)]

use crate::dtmf::key::Evidence;
use crate::dtmf::key::HeardKey;
use crate::dtmf::key::Method;
use crate::model::Digit;

/// The key that an INFO names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InfoKey {
    /// Which key.
    pub digit: Digit,
    /// How long it was pressed, as the sender states it; `None` when it states nothing readable.
    pub duration_ms: Option<u16>,
}

/// Why an INFO names no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InfoError {
    /// A body of another kind; the sender is owed 415.
    #[error("expected a body of a dtmf type, found another content type")]
    ContentType,
    /// A body longer than any key needs.
    #[error("expected a body of at most {BODY_LEN_MAX} bytes, found {found}")]
    Long {
        /// How many bytes there were.
        found: usize,
    },
    /// No line that would name a key.
    #[error("expected a line `Signal=` or a single key, found neither")]
    Missing,
    /// A signal that is no key of a telephone: a hook flash, two keys at once.
    #[error("expected one key of 0-9 * # A-D or its event code, found another signal")]
    Signal,
}

/// Longest body read. The longest known, Nortel's, has under 100 bytes.
pub const BODY_LEN_MAX: usize = 512;

/// The content types whose bodies are read; parameters behind them do not matter.
const CONTENT_TYPES: [&str; 5] = [
    "application/dtmf-relay",
    "application/dtmf",
    "application/dtmf-info",
    "application/vnd.nortelnetworks.digits",
    "audio/telephone-event",
];

/// Names under which a line states the key.
const SIGNAL_NAMES: [&str; 3] = ["signal", "digit", "d"];

impl InfoKey {
    /// The key as the fusion takes it; who sent it states it, so that its confidence is 100.
    pub fn heard(self) -> HeardKey {
        HeardKey {
            digit: self.digit,
            method: Method::Info,
            evidence: Evidence {
                duration_ms: self.duration_ms,
                confidence: 100,
                ..Evidence::default()
            },
        }
    }
}

/// Reads the key from an INFO's `Content-Type` value and body.
///
/// # Errors
///
/// [`InfoError`], by which the caller answers 415 ([`InfoError::ContentType`]) or 400 (the rest).
pub fn read_info(content_type: &[u8], body: &[u8]) -> Result<InfoKey, InfoError> {
    let kind = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    if !CONTENT_TYPES.iter().any(|known| kind.eq_ignore_ascii_case(known.as_bytes())) {
        return Err(InfoError::ContentType);
    }
    if body.len() > BODY_LEN_MAX {
        return Err(InfoError::Long { found: body.len() });
    }
    let lines = || body.split(|&byte| byte == b'\n' || byte == b'\r').map(<[u8]>::trim_ascii);
    let signal = lines()
        .find_map(|line| value(line, &SIGNAL_NAMES))
        .or_else(|| lines().find(|line| !line.is_empty() && !line.contains(&b'=')))
        .ok_or(InfoError::Missing)?;
    let duration_ms = lines().find_map(|line| value(line, &["duration"])).and_then(number);
    Ok(InfoKey { digit: digit(signal)?, duration_ms })
}

/// The value of `name = value`, when the name is one of `names`.
fn value<'a>(line: &'a [u8], names: &[&str]) -> Option<&'a [u8]> {
    let at = line.iter().position(|&byte| byte == b'=' || byte == b':')?;
    let (name, value) = line.split_at_checked(at)?;
    let name = name.trim_ascii();
    let is_named = names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
    is_named.then(|| value.get(1..).unwrap_or_default().trim_ascii())
}

fn digit(signal: &[u8]) -> Result<Digit, InfoError> {
    let signal = signal.strip_prefix(b"\"").unwrap_or(signal);
    let signal = signal.strip_suffix(b"\"").unwrap_or(signal);
    let found = match *signal {
        [] => return Err(InfoError::Missing),
        [character] => Digit::from_char(char::from(character)),
        [b'1', unit @ b'0'..=b'5'] => Digit::from_event_code(10 + (unit - b'0')),
        _ => None,
    };
    found.ok_or(InfoError::Signal)
}

/// A count of milliseconds; more than fits is as long as can be said.
fn number(text: &[u8]) -> Option<u16> {
    let number: u32 = str::from_utf8(text).ok()?.parse().ok()?;
    Some(u16::try_from(number).unwrap_or(u16::MAX))
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may stop at a miss")]
mod tests {
    use super::*;

    fn read(kind: &str, body: &[u8]) -> String {
        match read_info(kind.as_bytes(), body) {
            Ok(InfoKey { digit, duration_ms: Some(ms) }) => format!("{digit} {ms}"),
            Ok(InfoKey { digit, duration_ms: None }) => digit.to_string(),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn bodies_name_keys() {
        let relay = "application/dtmf-relay";
        let plain = "application/dtmf";
        #[rustfmt::skip]
        let cases: &[(&str, &str, &[u8], &str)] = &[
            ("as everybody writes it",            relay, b"Signal=9\r\nDuration=160\r\n", "9 160"),
            ("spaces around the values",          relay, b"Signal= 5 \r\nDuration = 250\r\n", "5 250"),
            ("bare line feeds, lower case",       relay, b"signal=#\nduration=100\n", "# 100"),
            ("bare carriage returns",             relay, b"SIGNAL=*\rDURATION=90\r", "* 90"),
            ("the duration first",                relay, b"Duration=80\r\nSignal=0", "0 80"),
            ("no duration",                       relay, b"Signal=1\r\n", "1"),
            ("event code 10 is the star",         relay, b"Signal=10\r\nDuration=160", "* 160"),
            ("event code 11 is the hash",         relay, b"Signal=11\r\nDuration=160", "# 160"),
            ("event code 12 is A",                relay, b"Signal=12\r\n", "A"),
            ("event code 15 is D",                relay, b"Signal=15\r\n", "D"),
            ("a letter",                          relay, b"Signal=c\r\n", "C"),
            ("parameters of the type",            "Application/DTMF-Relay ; charset=utf-8", b"Signal=7", "7"),
            ("a quoted key",                      relay, b"Signal=\"8\"\r\n", "8"),
            ("colons for equals signs",           relay, b"Signal: 4\r\nDuration: 120\r\n", "4 120"),
            ("an empty line first",               relay, b"\r\nSignal=9\r\n", "9"),
            ("a bare key under relay",            relay, b"9\r\n", "9"),
            ("a bare key",                        plain, b"9", "9"),
            ("a bare key with spaces and CRLF",   plain, b" * \r\n", "*"),
            ("a signal line under dtmf",          plain, b"Signal=3\r\nDuration=200\r\n", "3 200"),
            ("Nortel's form",  "application/vnd.nortelnetworks.digits", b"p=Digit-Collection\r\ny=Digits\r\nd=9\r\n", "9"),
            ("a duration beyond 16 bits",         relay, b"Signal=9\r\nDuration=70000", "9 65535"),
            ("a duration that is none",           relay, b"Signal=9\r\nDuration=long", "9"),
            ("a negative duration",               relay, b"Signal=9\r\nDuration=-1", "9"),
            ("event code 16 is a flash",          relay, b"Signal=16\r\n", "Signal"),
            ("a flash by name",                   relay, b"Signal=hf\r\n", "Signal"),
            ("an exclamation mark",               plain, b"!", "Signal"),
            ("two keys",                          plain, b"99", "Signal"),
            ("a letter beyond D",                 relay, b"Signal=E", "Signal"),
            ("a Latin-1 byte",                    plain, b"\xb9", "Signal"),
            ("a full-width nine",                 plain, "９".as_bytes(), "Signal"),
            ("a signal without value",            relay, b"Signal=\r\n", "Missing"),
            ("nothing but a duration",            relay, b"Duration=160\r\n", "Missing"),
            ("an empty body",                     plain, b"", "Missing"),
            ("nothing but line ends",             plain, b"\r\n\r\n", "Missing"),
            ("a body of another type",            "text/plain", b"Signal=9", "ContentType"),
            ("no type at all",                    "", b"9", "ContentType"),
            ("a longer name of the type",         "application/dtmf-relayed", b"Signal=9", "ContentType"),
        ];
        for (name, kind, body, want) in cases {
            assert_eq!(read(kind, body), *want, "{name}: {}", body.escape_ascii());
        }
    }

    #[test]
    fn a_body_is_read_to_its_limit_and_no_further() {
        let body = |len: usize| [b"Signal=9\r\n".as_slice(), &vec![b' '; len - 10]].concat();
        assert_eq!(read("application/dtmf", &body(BODY_LEN_MAX)), "9");
        assert_eq!(read("application/dtmf", &body(BODY_LEN_MAX + 1)), "Long { found: 513 }");
    }

    #[test]
    fn a_body_cut_anywhere_never_names_another_key() {
        let body = b"Signal=11\r\nDuration=160\r\n";
        for len in 0..body.len() {
            let got = read("application/dtmf-relay", &body[..len]);
            // "Signal=1" is what is left of "Signal=11" when the datagram was cut there.
            let known = ["Missing", "Signal", "1", "#", "# 1", "# 16", "# 160"];
            assert!(known.contains(&got.as_str()), "cut at {len}: {got}");
        }
    }
}
