//! Many numbers in one file: the reader's answers, remembered for blocks of ten thousand.
//!
//! A file of numbers is a few written forms over and over. When the library has read
//! `+34600123456` or `600123456`, every text of the same length that differs in its last four
//! digits alone is read the same way, so that only the first of each block of ten thousand is
//! judged. Plans are cut in blocks of a thousand and more; where one that is half assigned shares
//! its ten thousand with another, a number that nobody has is taken for one that somebody may get,
//! and on a list of numbers not to be called that costs nothing. What the library refuses is never
//! remembered, so that each refusal has its own reason.

use super::Number;
use super::NumberError;
use super::NumberReader;

/// Digits at the end of a text that are read as they stand.
const FREE: u64 = 10_000;

/// Fewest digits of a text that is remembered: emergency numbers and short codes have fewer, with
/// their country code too.
const DIGITS_MIN: usize = 9;

/// Blocks remembered at most; a later one takes the place of an earlier one. The United States
/// has 270 thousand, so that half a million (8 MiB) hold a registry in any order.
const BLOCKS: usize = 1 << 19;

/// A [`NumberReader`] for whole files.
#[derive(Debug)]
pub struct BulkReader {
    reader: NumberReader,
    blocks: Box<[Block]>,
    asked: u64,
}

/// What the texts that begin so become.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    /// [`Plain::key`]; zero where nothing is remembered.
    key: u64,
    /// The number without its last four digits.
    number: u64,
}

impl BulkReader {
    /// A reader that answers as `reader` does.
    pub fn new(reader: NumberReader) -> Self {
        Self { reader, blocks: vec![Block::default(); BLOCKS].into(), asked: 0 }
    }

    /// The number that `text` stands for: UTF-8, or Latin-1 where it is no UTF-8.
    ///
    /// # Errors
    ///
    /// As [`NumberReader::read`].
    pub fn read(&mut self, text: &[u8]) -> Result<Number, NumberError> {
        let Some(plain) = Plain::of(text) else { return self.ask(text) };
        let place = plain.place();
        let remembered = self.blocks.get(place).filter(|block| block.key == plain.key());
        let known = remembered.map(|block| block.number * FREE + plain.digits % FREE);
        if let Some(number) = known.and_then(Number::from_e164_digits) {
            return Ok(number);
        }
        let number = self.ask(text)?;
        if number.digits() % FREE == plain.digits % FREE
            && let Some(block) = self.blocks.get_mut(place)
        {
            *block = Block { key: plain.key(), number: number.digits() / FREE };
        }
        Ok(number)
    }

    /// How many texts the library was asked about.
    pub const fn asked(&self) -> u64 {
        self.asked
    }

    fn ask(&mut self, text: &[u8]) -> Result<Number, NumberError> {
        self.asked += 1;
        match std::str::from_utf8(text) {
            Ok(text) => self.reader.read(text),
            // Each octet of Latin-1 is the character of that number.
            Err(_not_utf8) => {
                self.reader.read(&text.iter().copied().map(char::from).collect::<String>())
            }
        }
    }
}

/// A text of digits alone, or of a plus and digits.
#[derive(Clone, Copy)]
struct Plain {
    digits: u64,
    len: u64,
    has_plus: bool,
}

impl Plain {
    fn of(text: &[u8]) -> Option<Self> {
        let digits = text.strip_prefix(b"+").unwrap_or(text);
        // 17 digits: `00` and a number.
        if !(DIGITS_MIN..=Number::DIGITS_MAX as usize + 2).contains(&digits.len()) {
            return None;
        }
        let mut value = 0;
        for &byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            value = value * 10 + u64::from(digit);
        }
        let has_plus = digits.len() < text.len();
        Some(Self { digits: value, len: digits.len() as u64, has_plus })
    }

    /// What texts of one block have in common; never zero, since the length is not.
    const fn key(self) -> u64 {
        // 13 digits are below 2^44, and a length is below 2^5.
        (self.digits / FREE) | (self.len << 44) | ((self.has_plus as u64) << 49)
    }

    const fn place(self) -> usize {
        // The multiplier is 2^64 over the golden ratio: its high bits are the best mixed.
        (self.key().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BLOCKS.trailing_zeros())) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::token::Seed;
    use crate::model::token::TokenSource;

    #[test]
    fn answers_are_those_of_the_reader_for_every_form() {
        #[rustfmt::skip]
        let forms = [
            ("ES", "+346001", 5), ("ES", "00346001", 5), ("ES", "6001", 5), ("ES", "346001", 5),
            ("ES", "+3491012", 4), ("GB", "020712", 5), ("GB", "+44207123", 4), ("GB", "07400 1", 5),
            ("US", "+12025", 6), ("US", "202555", 4), ("US", "1202555", 4), ("IT", "+390612", 6),
            ("MX", "+5215512", 6), ("MX", "+525512", 6), ("BY", "+37580112", 5), ("AR", "+549112", 7),
            ("AR", "0111523", 6), ("ES", "+9999999", 6), ("ES", "500000", 4), ("ES", "112", 0),
            ("ES", "+34112", 0), ("DE", "+49301", 6), ("DE", "0301", 7), ("BR", "+551191", 8),
        ];
        let mut tokens = TokenSource::new(Seed(17, 4));
        for (region, begin, free) in forms {
            let reader = NumberReader::new(region).expect("the region exists");
            let mut bulk = BulkReader::new(reader.clone());
            for _ in 0..300 {
                let end = tokens.next_u64() % 10_u64.pow(free);
                let width = free as usize;
                let text =
                    if width == 0 { begin.to_owned() } else { format!("{begin}{end:0width$}") };
                assert_eq!(bulk.read(text.as_bytes()), reader.read(&text), "{region}: {text}");
            }
        }
    }

    #[test]
    fn the_library_is_asked_once_for_ten_thousand() {
        let mut bulk = BulkReader::new(NumberReader::new("ES").expect("the region exists"));
        for end in 0..10_000 {
            let text = format!("60012{end:04}");
            let want = 34_600_120_000 + end;
            assert_eq!(bulk.read(text.as_bytes()).map(Number::digits), Ok(want));
        }
        assert_eq!(bulk.asked(), 1);
        assert_eq!(bulk.read(b"600\xa012\xa03456").map(Number::digits), Ok(34_600_123_456));
        assert!(bulk.read(b"6001234").is_err(), "too short, and no block's");
        assert!(bulk.read("teléfono".as_bytes()).is_err());
        assert!(bulk.read(b"").is_err());
    }
}
