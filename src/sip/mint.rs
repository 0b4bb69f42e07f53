//! The names we mint for the wire: tags, Via branches and Call-IDs of one fixed layout.
//!
//! ```text
//! SSIIIIIIIIRRRRRRRRRRRRRRRR      26 hexadecimal digits
//! |  |       `- 64 bits that nobody without our seed can foretell
//! |  `--------- the slot in the owner's table, so that no table is keyed by an outsider's text
//! `------------ the shard that owns it, so that an ingress thread can route without a look-up
//! ```
//!
//! A tag is such a name with the session's slot; a branch is the magic cookie of RFC 3261
//! section 8.1.1.7 and such a name with the transaction's slot; a Call-ID is one with the
//! session's slot and the host behind an `@`; a Contact's user is the first two digits behind
//! an `s`. The secret part makes 64 bits of the "at least 32 bits of randomness" that RFC 3261
//! section 19.3 wants of a tag.

/// Octets of a minted name.
pub(crate) const NAME_LEN: usize = 26;

/// The start of every branch made by an element that follows RFC 3261, section 8.1.1.7.
pub(crate) const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

/// One minted name, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Minted {
    /// Which shard made it.
    pub(crate) shard: u8,
    /// The slot of its owner.
    pub(crate) index: u32,
    /// The unguessable part.
    pub(crate) secret: u64,
}

impl Minted {
    /// The name as it stands on the wire.
    pub(crate) fn to_text(self) -> [u8; NAME_LEN] {
        let mut text = [0; NAME_LEN];
        let parts =
            [(u64::from(self.shard), 0, 2), (u64::from(self.index), 2, 8), (self.secret, 10, 16)];
        for (value, start, digits) in parts {
            for (place, octet) in text.iter_mut().skip(start).take(digits).enumerate() {
                let nibble = value >> (4 * (digits - 1 - place)) & 0xf;
                *octet = if nibble < 10 { b'0' + nibble as u8 } else { b'a' + nibble as u8 - 10 };
            }
        }
        text
    }

    /// Reads a name; `None` for a text that we cannot have minted.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let text: &[u8; NAME_LEN] = text.try_into().ok()?;
        let mut value = 0_u128;
        for &octet in text {
            value = value << 4 | u128::from(char::from(octet).to_digit(16)?);
        }
        Some(Self { shard: (value >> 96) as u8, index: (value >> 64) as u32, secret: value as u64 })
    }

    /// Reads the name in a branch of ours.
    pub(crate) fn read_branch(branch: &[u8]) -> Option<Self> {
        Self::read(branch.strip_prefix(MAGIC_COOKIE)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let minted = Minted { shard: 0xa7, index: 0x0102_0304, secret: 0xfedc_ba98_7654_3210 };
        let text = minted.to_text();
        assert_eq!(&text, b"a701020304fedcba9876543210");
        assert_eq!(Minted::read(&text), Some(minted));
        assert_eq!(Minted::read_branch(b"z9hG4bKa701020304fedcba9876543210"), Some(minted));
    }

    #[test]
    fn foreign_names_are_no_names_of_ours() {
        let cases: [(&str, &[u8]); 5] = [
            ("nothing", b""),
            ("one digit short", b"a701020304fedcba987654321"),
            ("one digit long", b"a701020304fedcba98765432100"),
            ("no hexadecimal digit", b"a701020304fedcba987654321g"),
            ("an octet above ASCII", b"a701020304fedcba987654321\xff"),
        ];
        for (name, text) in cases {
            assert_eq!(Minted::read(text), None, "{name}");
        }
        assert_eq!(Minted::read_branch(b"a701020304fedcba9876543210"), None, "no magic cookie");
    }
}
