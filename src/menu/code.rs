//! The response codes of one campaign, compiled once and shared by its calls.

use crate::model::Digit;
use crate::model::Digits;

/// One response code: the keys a person presses, and whether the press is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The keys, 1 to [`Digits::LEN_MAX`].
    pub digits: Digits,
    /// Whether, and by which key, the person confirms it.
    pub confirm: Confirm,
}

/// Whether a code asks for a second press.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confirm {
    /// The code counts by itself.
    #[default]
    Never,
    /// The code's last key, once more.
    Again,
    /// This key.
    Key(Digit),
}

/// The place of a code in its book, in the order in which the campaign gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CodeId(pub u8);

/// The codes of a campaign, each different from the others; one may begin another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeBook {
    codes: Box<[Code]>,
}

/// Why codes make no book.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeBookError {
    /// Not one code.
    #[error("expected 1 to {max} codes, found none", max = CodeBook::CODES_MAX)]
    Empty,
    /// More codes than a campaign may have.
    #[error("expected 1 to {max} codes, found more", max = CodeBook::CODES_MAX)]
    Many,
    /// A code without a key.
    #[error("expected 1 to {max} keys in code {at}, found none", max = Digits::LEN_MAX)]
    Blank {
        /// The code's place, counted from 0.
        at: usize,
    },
    /// Two codes with the same keys.
    #[error("code `{digits}` is given twice, as number {first} and number {second}")]
    Duplicate {
        /// The keys of both.
        digits: Digits,
        /// The place of the earlier, counted from 0.
        first: usize,
        /// The place of the later, counted from 0.
        second: usize,
    },
}

impl CodeBook {
    /// Most codes of a campaign: each key is held against all of them, and no voice prompt can
    /// explain more.
    pub const CODES_MAX: usize = 64;

    /// The book of `codes`; their order gives the [`CodeId`]s.
    ///
    /// # Errors
    ///
    /// [`CodeBookError`] when there are none or too many, one is blank, or two are equal.
    pub fn new(codes: impl IntoIterator<Item = Code>) -> Result<Self, CodeBookError> {
        let codes: Box<[Code]> = codes.into_iter().take(Self::CODES_MAX + 1).collect();
        match codes.len() {
            0 => return Err(CodeBookError::Empty),
            len if len > Self::CODES_MAX => return Err(CodeBookError::Many),
            _ => {}
        }
        for (second, code) in codes.iter().enumerate() {
            if code.digits.is_empty() {
                return Err(CodeBookError::Blank { at: second });
            }
            let earlier = codes.iter().take(second);
            if let Some(first) = earlier.clone().position(|other| other.digits == code.digits) {
                return Err(CodeBookError::Duplicate { digits: code.digits, first, second });
            }
        }
        Ok(Self { codes })
    }

    /// The code of `id`; `None` for an id of another book.
    pub fn code(&self, id: CodeId) -> Option<&Code> {
        self.codes.get(usize::from(id.0))
    }

    /// All codes with their ids, in order.
    pub fn iter(&self) -> impl Iterator<Item = (CodeId, &Code)> {
        (0..=u8::MAX).map(CodeId).zip(&self.codes)
    }

    /// Whether a code begins with `typed` and has more keys.
    pub(super) fn continues(&self, typed: &Digits) -> bool {
        self.codes
            .iter()
            .any(|code| code.digits.len() > typed.len() && code.digits.starts_with(typed))
    }

    /// The longest code that `typed` begins with.
    pub(super) fn longest_in(&self, typed: &Digits) -> Option<(CodeId, Code)> {
        self.iter()
            .filter(|(_, code)| typed.starts_with(&code.digits))
            .max_by_key(|(_, code)| code.digits.len())
            .map(|(id, code)| (id, *code))
    }
}

impl Code {
    /// The key that confirms it; `None` when it counts by itself.
    pub fn confirm_key(&self) -> Option<Digit> {
        match self.confirm {
            Confirm::Never => None,
            Confirm::Again => self.digits.iter().last(),
            Confirm::Key(digit) => Some(digit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(digits: &str) -> Code {
        Code { digits: digits.parse().unwrap_or_default(), confirm: Confirm::Never }
    }

    #[test]
    fn codes_become_a_book_or_an_error() {
        let many: Vec<String> = (10..10 + 64).map(|n| n.to_string()).collect();
        let too_many: Vec<String> = (10..10 + 65).map(|n| n.to_string()).collect();
        let strings = |codes: &[&str]| codes.iter().map(|&c| c.to_owned()).collect::<Vec<_>>();
        let nine = "9".parse().unwrap();
        let cases = [
            ("one code", strings(&["9"]), Ok(1)),
            ("codes that begin one another", strings(&["9", "99", "999"]), Ok(3)),
            ("the longest code", strings(&["0123456789*#ABCD"]), Ok(1)),
            ("as many as there may be", many, Ok(64)),
            ("one more than that", too_many, Err(CodeBookError::Many)),
            ("none", strings(&[]), Err(CodeBookError::Empty)),
            ("a blank one", strings(&["9", ""]), Err(CodeBookError::Blank { at: 1 })),
            (
                "one twice",
                strings(&["*", "9", "1", "9"]),
                Err(CodeBookError::Duplicate { digits: nine, first: 1, second: 3 }),
            ),
        ];
        for (name, codes, want) in cases {
            let got = CodeBook::new(codes.iter().map(|digits| code(digits)));
            assert_eq!(got.map(|book| book.iter().count()), want, "{name}");
        }
    }

    #[test]
    fn a_duplicate_is_named_with_both_places() {
        let error = CodeBook::new([code("*9"), code("*9")]).unwrap_err();
        assert_eq!(error.to_string(), "code `*9` is given twice, as number 0 and number 1");
    }
}
