//! Many numbers in one file, as octets of no certain encoding.

use super::Number;
use super::NumberError;
use super::NumberReader;

/// A [`NumberReader`] for whole files.
#[derive(Debug)]
pub struct BulkReader {
    reader: NumberReader,
    asked: u64,
}

impl BulkReader {
    /// A reader that answers as `reader` does.
    pub const fn new(reader: NumberReader) -> Self {
        Self { reader, asked: 0 }
    }

    /// The number that `text` stands for: UTF-8, or Latin-1 where it is no UTF-8. A short code only
    /// with its region, as [`Number::reveal`] writes it: in a file of numbers bare digits that are as
    /// few are a number that was cut rather than a code that somebody meant.
    ///
    /// # Errors
    ///
    /// As [`NumberReader::read`].
    pub fn read(&mut self, text: &[u8]) -> Result<Number, NumberError> {
        if let Some(number) = self.at_once(text) {
            return Ok(number);
        }
        self.asked += 1;
        match std::str::from_utf8(text) {
            Ok(text) => self.reader.read_or_code(text),
            // Each octet of Latin-1 is the character of that number.
            Err(_not_utf8) => {
                self.reader.read(&text.iter().copied().map(char::from).collect::<String>())
            }
        }
    }

    /// The number where the byte path knows that it is one, as nearly always; [`Self::read`] says
    /// the same of it.
    pub fn at_once(&self, text: &[u8]) -> Option<Number> {
        self.reader.at_once(text)
    }

    /// How many texts the byte path left to the library.
    pub const fn asked(&self) -> u64 {
        self.asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_not_asked_for_what_files_are_made_of() {
        #[rustfmt::skip]
        let forms = [
            ("ES", "+34600", 6), ("ES", "0034600", 6), ("ES", "600", 6), ("ES", "34600", 6),
            ("GB", "020712", 5), ("GB", "+44207123", 4), ("FR", "06", 8), ("US", "+1202555", 4),
            ("US", "202555", 4), ("US", "1202555", 4), ("IT", "+390612", 6), ("IT", "06123", 5),
            ("MX", "+5215512", 6), ("MX", "+525512", 6), ("DE", "030123", 5), ("BR", "+5511911", 6),
        ];
        for (region, begin, width) in forms {
            let mut bulk = BulkReader::new(NumberReader::new(region).expect("the region exists"));
            for end in (0..10_u64.pow(width)).step_by(97).take(1_000) {
                let text = format!("{begin}{end:0width$}", width = width as usize);
                let number = bulk.read(text.as_bytes());
                assert!(number.is_ok(), "{region} {text}: {number:?}");
            }
            assert_eq!(bulk.asked(), 0, "{region} {begin}");
        }
    }

    #[test]
    fn octets_that_are_no_text_are_read_as_latin_1() {
        let mut bulk = BulkReader::new(NumberReader::new("ES").expect("the region exists"));
        assert_eq!(bulk.read(b"600\xa012\xa03456").map(Number::digits), Ok(34_600_123_456));
        assert!(bulk.read(b"6001234").is_err(), "too short");
        assert!(bulk.read("teléfono".as_bytes()).is_err());
        assert!(bulk.read(b"").is_err());
        assert_eq!(bulk.asked(), 4);
    }
}
