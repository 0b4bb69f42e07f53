//! Telephone numbers in E.164 form.

use std::fmt;

/// A telephone number in E.164 form: 1 to 15 digits, the country code first, without the plus.
///
/// `Display` and `Debug` print it redacted, since most places that print are logs; who must see
/// it whole says so with [`Number::reveal`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number(u64);

impl Number {
    /// The number as `+` and digits, for records, exports and SIP; never for a log.
    pub fn reveal(self) -> String {
        format!("+{}", self.0)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+…{:02}", self.0 % 100)
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
