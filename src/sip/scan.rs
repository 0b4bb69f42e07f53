//! The few scanners that every header shares. White space means LWS throughout: a folded line's
//! CR and LF count as space (RFC 3261 section 7.3.1), so no value is ever unfolded into a copy.

#![deny(clippy::indexing_slicing)]

/// Whether `byte` is part of linear white space.
pub const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Whether `byte` is a space or a control.
pub const fn is_blank(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7F
}

/// What an octet may be, as bits: one look at a table answers for each.
const CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::indexing_slicing, reason = "at compile time")]
        {
            table[byte] = classes(byte as u8);
        }
        byte += 1;
    }
    table
};

const TOKEN: u8 = 1;
const DELIMITER: u8 = 2;
const HOST: u8 = 4;

const fn classes(byte: u8) -> u8 {
    let is_token = byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
    let is_delimiter = is_blank(byte) || matches!(byte, b'"' | b'<' | b'>');
    let is_host = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (is_token as u8 * TOKEN) | (is_delimiter as u8 * DELIMITER) | (is_host as u8 * HOST)
}

fn is_of(byte: u8, class: u8) -> bool {
    CLASSES.get(usize::from(byte)).is_some_and(|classes| classes & class != 0)
}

/// Whether `byte` may stand in a token (RFC 3261 section 25.1).
pub fn is_token_byte(byte: u8) -> bool {
    is_of(byte, TOKEN)
}

/// Whether `byte` is blank, a quote or an angle bracket: none may stand in a URI unescaped, nor in
/// a parameter outside a quoted string.
pub fn is_delimiter(byte: u8) -> bool {
    is_of(byte, DELIMITER)
}

/// Whether `byte` may stand in a domain name; `_` is in no RFC and in many networks.
pub fn is_host_byte(byte: u8) -> bool {
    is_of(byte, HOST)
}

/// Whether `bytes` is a token: at least one octet, each a token octet.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

/// Where a line ends, and where the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineEnd {
    /// The offset behind the last octet of the line, its CR LF or bare LF not counted.
    pub end: usize,
    /// The offset of the line behind it.
    pub next: usize,
    /// A CR that no LF follows stands in the line: some reader behind us may end the line there.
    pub has_bare_cr: bool,
}

/// The end of the line that begins at `start`; `None` if the octets end first.
pub fn line_end(bytes: &[u8], start: usize) -> Option<LineEnd> {
    let mut has_bare_cr = false;
    let mut at = start;
    loop {
        let rest = bytes.get(at..)?;
        let end = at + memchr::memchr2(b'\r', b'\n', rest)?;
        match bytes.get(end..)? {
            [b'\n', ..] => return Some(LineEnd { end, next: end + 1, has_bare_cr }),
            [b'\r', b'\n', ..] => return Some(LineEnd { end, next: end + 2, has_bare_cr }),
            _ => has_bare_cr = true,
        }
        at = end + 1;
    }
}

/// `bytes` without the white space at both ends.
pub const fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes {
        if !is_space(*first) {
            break;
        }
        bytes = rest;
    }
    while let [rest @ .., last] = bytes {
        if !is_space(*last) {
            break;
        }
        bytes = rest;
    }
    bytes
}

/// Reads `1*DIGIT`; `None` for anything else and for what is over `u32::MAX`.
pub fn decimal(bytes: &[u8]) -> Option<u32> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u32, |value, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(u32::from(digit))
    })
}

/// Cuts `bytes` at `at`, leaving out the octet there.
pub fn cut(bytes: &[u8], at: usize) -> (&[u8], &[u8]) {
    let before = bytes.get(..at).unwrap_or(bytes);
    (before, bytes.get(at.saturating_add(1)..).unwrap_or_default())
}

/// Cuts `bytes` at the first `separator`, if there is one.
pub fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    memchr::memchr(separator, bytes).map(|at| cut(bytes, at))
}

/// Where the first `separator` outside quoted strings and angle brackets stands. Behind a quote or
/// bracket that never closes there is none.
pub fn find_outside(bytes: &[u8], separator: u8) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..)?;
        let found = memchr::memchr3(separator, b'"', b'<', rest)?;
        let rest = rest.get(found..)?;
        at += found;
        at += match rest {
            [byte, ..] if *byte == separator => return Some(at),
            [b'"', ..] => rest.len() - take_quoted(rest)?.1.len(),
            _ => memchr::memchr(b'>', rest)? + 1,
        };
    }
}

/// Takes a quoted string off the front of `bytes`, which begins with its opening quote; gives
/// what is between the quotes, escapes kept, and what follows. `None` if it never closes.
pub fn take_quoted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = bytes.strip_prefix(b"\"")?;
    let mut is_escaped = false;
    let end = inner.iter().position(|&byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })?;
    Some(cut(inner, end))
}

/// The pieces of a list, trimmed, split at a separator that stands outside quoted strings and
/// angle brackets. An empty list has no piece; `a,,b` has an empty one in its middle.
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> Pieces<'a> {
    /// The pieces of `bytes` between commas.
    pub fn commas(bytes: &'a [u8]) -> Self {
        Self::new(bytes, b',')
    }

    /// The pieces of `bytes` between `separator`s.
    pub fn new(bytes: &'a [u8], separator: u8) -> Self {
        let trimmed = trim(bytes);
        Self { rest: (!trimmed.is_empty()).then_some(trimmed), separator }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let Some(at) = find_outside(rest, self.separator) else {
            self.rest = None;
            return Some(trim(rest));
        };
        let (piece, after) = cut(rest, at);
        self.rest = Some(after);
        Some(trim(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_ends() {
        let cases: [(&str, Option<u32>); 9] = [
            ("0", Some(0)),
            ("007", Some(7)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("36893488147419103232", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1 ", None),
        ];
        for (text, want) in cases {
            assert_eq!(decimal(text.as_bytes()), want, "{text:?}");
        }
    }

    #[test]
    fn lists_split_outside_quotes_and_brackets() {
        let cases: [(&str, &[&str]); 9] = [
            ("", &[]),
            (" \r\n ", &[]),
            ("a", &["a"]),
            ("a , b\r\n\t, c", &["a", "b", "c"]),
            ("a,,b,", &["a", "", "b", ""]),
            (r#""a,b" <sip:x>, c"#, &[r#""a,b" <sip:x>"#, "c"]),
            (r#""a\",b", c"#, &[r#""a\",b""#, "c"]),
            ("<sip:a,b@c>,<sip:d>", &["<sip:a,b@c>", "<sip:d>"]),
            (r#""never, closed"#, &[r#""never, closed"#]),
        ];
        for (text, want) in cases {
            let got: Vec<&[u8]> = Pieces::commas(text.as_bytes()).collect();
            let want: Vec<&[u8]> = want.iter().map(|piece| piece.as_bytes()).collect();
            assert_eq!(got, want, "{text:?}");
        }
    }

    #[test]
    fn a_quoted_string_ends_at_its_own_quote() {
        let cases: [(&str, Option<(&str, &str)>); 5] = [
            (r#""a" b"#, Some(("a", " b"))),
            (r#""a\"b"c"#, Some((r#"a\"b"#, "c"))),
            (r#""a\\"c"#, Some((r"a\\", "c"))),
            (r#""a\""#, None),
            ("a", None),
        ];
        for (text, want) in cases {
            let want = want.map(|(inner, rest)| (inner.as_bytes(), rest.as_bytes()));
            assert_eq!(take_quoted(text.as_bytes()), want, "{text:?}");
        }
    }
}
