//! Reads what a dialer dialled: SIP user parts, `tel:` URIs (RFC 3966), local and international
//! forms with separators. A text that is no valid number is refused with its reason, never
//! guessed at.
//!
//! Digits, alone or behind a plus, or behind `00` where that is the international prefix, take a byte
//! path: where the tables of [`plan`] are certain what the library would say, it is not asked.
//! Everything else is the library's, and tests hold both against each other.

use std::borrow::Cow;

use rlibphonenumber::CountryCodeSource;
use rlibphonenumber::PHONE_NUMBER_UTIL;
use rlibphonenumber::PhoneNumber;
use rlibphonenumber::Region;

use super::Number;
use super::plan;
use super::plan::Home;
use super::special;

/// The international prefix that ITU-T E.164 recommends.
const ITU_PREFIX: &str = "00";

/// What a dialled text stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// An emergency number somewhere in the world, in whatever form it was written.
    Emergency,
    /// A short code or service number, which means something in the reader's region only.
    ShortCode(Number),
    /// A valid subscriber number.
    Number(Number),
}

/// Why a text is not a number that a campaign may call. No variant carries the text itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NumberError {
    /// A character that no telephone number holds; letters are not translated to keys.
    #[error("expected digits and separators, found `{found}`")]
    Character {
        /// The first such character.
        found: char,
    },
    /// No digit at all.
    #[error("expected a number, found nothing")]
    Empty,
    /// An emergency number.
    #[error("expected a subscriber number, found an emergency number")]
    Emergency,
    /// A number that its country's plan does not know.
    #[error(
        "expected a valid number, found {digits} digits that country code {country} does not assign"
    )]
    Invalid {
        /// The country calling code it was read with.
        country: u16,
        /// How many digits the text has.
        digits: usize,
    },
    /// More text than any written form of a number.
    #[error("expected at most {max} bytes, found {found}", max = NumberReader::TEXT_LEN_MAX)]
    Long {
        /// Its length in bytes.
        found: usize,
    },
    /// A text from which no country and number could be told apart.
    #[error("expected a number, found {digits} digits in no form that the default region knows")]
    Unreadable {
        /// How many digits the text has.
        digits: usize,
    },
    /// The default region is none of the numbering plan's.
    #[error("expected an ISO 3166 region such as ES, found `{found}`")]
    Region {
        /// What was given.
        found: String,
    },
    /// A short code.
    #[error("expected a subscriber number, found a short code of {digits} digits")]
    ShortCode {
        /// How many digits it has.
        digits: usize,
    },
}

/// Reads dialled texts as one dialer means them: with its default region for national forms.
#[derive(Clone, Debug)]
pub struct NumberReader {
    region: Region,
    country: u16,
    /// Whether the region dials abroad with `00` and nothing else, as ITU-T E.164 recommends.
    /// Elsewhere `00` is something else: a carrier's code follows it in Brazil, a digit may in
    /// Hong Kong, and in the United States it calls nobody.
    is_itu_prefix: bool,
    home: Option<&'static Home>,
}

impl NumberReader {
    /// Longest text that is looked at: RFC 3966 forms with parameters fit several times over.
    pub const TEXT_LEN_MAX: usize = 256;

    /// A reader whose national numbers belong to `default_region`, ISO 3166-1 alpha-2, any case.
    ///
    /// # Errors
    ///
    /// [`NumberError::Region`] when the numbering plans know no such region.
    pub fn new(default_region: &str) -> Result<Self, NumberError> {
        let unknown = || NumberError::Region { found: default_region.to_owned() };
        let region: Region =
            default_region.to_ascii_uppercase().parse().map_err(|_error| unknown())?;
        let country = PHONE_NUMBER_UTIL
            .get_country_code_for_region(region)
            .and_then(|code| u16::try_from(code).ok())
            .ok_or_else(unknown)?;
        let home = Home::of(&region.to_string(), country);
        Ok(Self { region, country, is_itu_prefix: has_itu_prefix(region), home })
    }

    /// Whose national numbers are meant, ISO 3166-1 alpha-2.
    pub fn region(&self) -> String {
        self.region.to_string()
    }

    /// The subscriber number that `raw` stands for; for what a campaign may call.
    ///
    /// # Errors
    ///
    /// As [`Self::dialled`], and [`NumberError::Emergency`] and [`NumberError::ShortCode`].
    pub fn read(&self, raw: &str) -> Result<Number, NumberError> {
        match self.dialled(raw)? {
            Dialled::Number(number) => Ok(number),
            Dialled::Emergency => Err(NumberError::Emergency),
            Dialled::ShortCode(_) => Err(NumberError::ShortCode { digits: count_digits(raw) }),
        }
    }

    /// As [`Self::read`], and short codes too: those of the reader's region as they are dialled, of
    /// any as [`Number::reveal`] writes them. For what people enter and who calls.
    ///
    /// # Errors
    ///
    /// As [`Self::dialled`], and [`NumberError::Emergency`].
    pub fn read_any(&self, raw: &str) -> Result<Number, NumberError> {
        if let Some(code) = named_code(raw) {
            return Ok(code);
        }
        match self.dialled(raw)? {
            Dialled::Number(number) | Dialled::ShortCode(number) => Ok(number),
            Dialled::Emergency => Err(NumberError::Emergency),
        }
    }

    /// As [`Self::read`], and short codes of any region as [`Number::reveal`] writes them.
    pub(super) fn read_or_code(&self, raw: &str) -> Result<Number, NumberError> {
        named_code(raw).map_or_else(|| self.read(raw), Ok)
    }

    /// What `raw` stands for: a SIP user part (percent-decoded), a `tel:` or `sip:` URI, or a
    /// number as people write it.
    ///
    /// Parameters after `;` are cut off, save `phone-context` with a global prefix, which is put
    /// before a local number (RFC 3966 section 5.1.5). The international prefix is the default
    /// region's own: `00` means nothing where people dial `011`. `(0)` in an international number
    /// is the national prefix to be left out, and the former Mexican mobile prefix `+52 1` is
    /// folded into `+52`, as the plan did in 2019.
    ///
    /// # Errors
    ///
    /// [`NumberError`] for everything that is no valid number of any plan.
    pub fn dialled(&self, raw: &str) -> Result<Dialled, NumberError> {
        if raw.len() > Self::TEXT_LEN_MAX {
            return Err(NumberError::Long { found: raw.len() });
        }
        if let Some(number) = self.at_once(raw.as_bytes()) {
            return Ok(Dialled::Number(number));
        }
        self.at_length(raw)
    }

    /// The number when `text` is digits, alone or behind a plus or `00`, perhaps with separators
    /// between, and the plans say that they are one as they stand: some ten nanoseconds, nothing
    /// allocated.
    pub(super) fn at_once(&self, text: &[u8]) -> Option<Number> {
        self.digits(text).or_else(|| {
            let mut room = [0; TOGETHER_LEN_MAX];
            self.digits(together(text, &mut room)?)
        })
    }

    fn digits(&self, text: &[u8]) -> Option<Number> {
        if let Some(digits) = text.strip_prefix(b"+") {
            return plan::international(digits);
        }
        match text.strip_prefix(ITU_PREFIX.as_bytes()) {
            Some(digits) if self.is_itu_prefix => plan::international(digits),
            _ => self.home?.read(text),
        }
    }

    /// What `raw` stands for, by the library.
    pub(super) fn at_length(&self, raw: &str) -> Result<Dialled, NumberError> {
        let text = subscriber(raw)?;
        if let Some(special) = self.special(&text) {
            return Ok(special);
        }
        self.library(&text).map(Dialled::Number)
    }

    /// Emergency numbers and short codes, with or without the country code before them.
    fn special(&self, text: &str) -> Option<Dialled> {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let country = self.country.to_string();
        let national = digits.strip_prefix(&country).filter(|_rest| text.starts_with('+'));
        if special::is_emergency(&digits) || national.is_some_and(special::is_emergency) {
            return Some(Dialled::Emergency);
        }
        let is_short = digits.len() <= special::SHORT_DIGITS_MAX && !text.starts_with('+');
        if !is_short || digits.is_empty() || self.library(text).is_ok() {
            return None;
        }
        Number::short_code(&self.region.to_string(), &digits).map(Dialled::ShortCode)
    }

    fn library(&self, text: &str) -> Result<Number, NumberError> {
        let first = self.parse_valid(text);
        if first.is_ok() {
            return first;
        }
        match self.without_trunk_zero(text) {
            Some(without) => self.parse_valid(&without),
            None => first,
        }
    }

    /// An international text without its `(0)`, the convention for "only when dialling
    /// nationally".
    fn without_trunk_zero(&self, text: &str) -> Option<String> {
        let (before, after) = text.split_once("(0)")?;
        let without = format!("{before}{after}");
        let parsed =
            PHONE_NUMBER_UTIL.parse_and_keep_raw_input(&without, Some(self.region)).ok()?;
        let is_national = parsed.country_code_source() == CountryCodeSource::FromDefaultCountry;
        (!is_national).then_some(without)
    }

    fn parse_valid(&self, text: &str) -> Result<Number, NumberError> {
        let digits = count_digits(text);
        let parsed = PHONE_NUMBER_UTIL
            .parse(text, Some(self.region))
            .map_err(|_error| NumberError::Unreadable { digits })?;
        let country = u16::try_from(parsed.country_code).unwrap_or_default();
        let invalid = NumberError::Invalid { country, digits };
        if parsed.extension.is_some() {
            return Err(NumberError::Unreadable { digits });
        }
        if PHONE_NUMBER_UTIL.is_valid_number(&parsed) {
            return e164(&parsed).ok_or(invalid);
        }
        unfold_mexico(&parsed)
            .filter(|folded| PHONE_NUMBER_UTIL.is_valid_number(folded))
            .and_then(|folded| e164(&folded))
            .ok_or(invalid)
    }
}

/// The short code that `raw` names with its region.
fn named_code(raw: &str) -> Option<Number> {
    Number::from_record(raw.trim()).filter(|number| number.is_short_code())
}

/// Most characters that digits have without their separators: a plus, `00` and 15 digits.
const TOGETHER_LEN_MAX: usize = 18;

/// `text` without the spaces, dashes and dots that stand alone between two digits; `None` where
/// there are none, or something else is there too.
fn together<'r>(text: &[u8], room: &'r mut [u8; TOGETHER_LEN_MAX]) -> Option<&'r [u8]> {
    let mut len = 0;
    let mut is_apart = true;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => is_apart = false,
            b'+' if at == 0 => {}
            b' ' | b'-' | b'.' if !is_apart => {
                is_apart = true;
                continue;
            }
            _ => return None,
        }
        *room.get_mut(len)? = *byte;
        len += 1;
    }
    room.get(..len).filter(|_digits| !is_apart && len < text.len())
}

/// Whether the library takes `00` from `region` for the whole international prefix. It is asked
/// with a country of each zone of ITU-T E.164, since a carrier's code or an optional digit behind
/// the `00` swallows what a country's code begins with; a test asks with every country.
fn has_itu_prefix(region: Region) -> bool {
    const ZONES: [i32; 9] = [1, 20, 34, 44, 54, 66, 7, 81, 91];
    ZONES.into_iter().all(|code| is_behind_itu_prefix(code, region))
}

/// Whether a number of `code` is the same behind `00` as behind a plus.
fn is_behind_itu_prefix(code: i32, region: Region) -> bool {
    let read = |prefix| {
        let text = format!("{prefix}{code}212345678");
        let parsed = PHONE_NUMBER_UTIL.parse(&text, Some(region));
        parsed.ok().map(|parsed| (parsed.country_code, parsed.national_number))
    };
    read(ITU_PREFIX) == read("+")
}

/// The number's text without scheme, parameters and context, in ASCII digits.
fn subscriber(raw: &str) -> Result<Cow<'_, str>, NumberError> {
    let whole = raw.trim();
    let (address, parameters) = whole.split_once(';').unwrap_or((whole, ""));
    let bare = match address.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("tel") => rest,
        Some((scheme, rest))
            if scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") =>
        {
            rest.split_once('@').map_or(rest, |(user, _host)| user)
        }
        _ => address,
    };
    let text = in_ascii(bare.trim());
    if let Some(found) = text.chars().find(|&character| !is_telephone_character(character)) {
        return Err(NumberError::Character { found });
    }
    if !text.contains(|character: char| character.is_ascii_digit()) {
        return Err(NumberError::Empty);
    }
    match phone_context(parameters) {
        Some(prefix) if !text.starts_with('+') => Ok(Cow::Owned(format!("{prefix}{text}"))),
        _ => Ok(text),
    }
}

/// The global prefix of a `phone-context`; a domain name there says nothing about digits.
fn phone_context(parameters: &str) -> Option<&str> {
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_context = name.trim().eq_ignore_ascii_case("phone-context");
        let prefix = value.trim();
        let is_global = prefix.strip_prefix('+')?.chars().all(is_telephone_character);
        (is_context && is_global).then_some(prefix)
    })
}

/// Full-width digits and plus (U+FF10 to U+FF19, U+FF0B), spaces and dashes of every width as
/// ASCII; the rest as it is.
fn in_ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let narrow = |character| match character {
        '\u{ff10}'..='\u{ff19}' => {
            char::from_u32(u32::from(character) - 0xff10 + u32::from('0')).unwrap_or(character)
        }
        '\u{ff0b}' => '+',
        '\u{a0}' | '\u{2009}' | '\u{202f}' | '\u{3000}' => ' ',
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' => '-',
        _ => character,
    };
    Cow::Owned(text.chars().map(narrow).collect())
}

/// Digits, plus, and the separators of RFC 3966 section 3 and of people.
const fn is_telephone_character(character: char) -> bool {
    matches!(character, '0'..='9' | '+' | ' ' | '-' | '.' | '/' | '(' | ')' | '[' | ']')
}

fn count_digits(text: &str) -> usize {
    text.chars().filter(char::is_ascii_digit).count()
}

/// `+52 1` and ten digits, Mexico's mobile form until 2019, as the same number of today.
fn unfold_mexico(parsed: &PhoneNumber) -> Option<PhoneNumber> {
    const MEXICO: i32 = 52;
    const MOBILE: u64 = 10_u64.pow(10);
    let is_former = parsed.country_code == MEXICO && parsed.national_number / MOBILE == 1;
    is_former
        .then(|| PhoneNumber { national_number: parsed.national_number % MOBILE, ..parsed.clone() })
}

/// The E.164 digits of a parsed number: country code, leading zeros, national number.
fn e164(parsed: &PhoneNumber) -> Option<Number> {
    let zeros = match parsed.italian_leading_zero {
        Some(true) => parsed.number_of_leading_zeros.unwrap_or(1),
        _ => 0,
    };
    let mut national_len = u32::try_from(zeros).ok()?;
    let mut rest = parsed.national_number;
    while rest > 0 {
        national_len += 1;
        rest /= 10;
    }
    let country = u64::try_from(parsed.country_code).ok()?;
    let shifted = country.checked_mul(10_u64.checked_pow(national_len)?)?;
    Number::from_e164_digits(shifted.checked_add(parsed.national_number)?)
}

#[cfg(test)]
mod tests {
    use rlibphonenumber::PhoneNumberFormat;

    use super::*;
    use crate::model::token::Seed;
    use crate::model::token::TokenSource;

    const UNASSIGNED_34: &str = "digits that country code 34 does not assign";

    /// `want` is the number, the kind of special number, or the end of the error's text.
    fn check(region: &str, cases: &[(&str, &str, &str)]) {
        let reader = NumberReader::new(region).unwrap_or_else(|error| panic!("{error}"));
        for (name, text, want) in cases {
            let got = match reader.dialled(text) {
                Ok(Dialled::Number(number)) => number.reveal(),
                Ok(other) => format!("{other:?}"),
                Err(error) => error.to_string(),
            };
            assert!(got.ends_with(want), "{name}: {region} `{text}`: got {got}, want {want}");
        }
    }

    #[test]
    fn a_spanish_dialer_is_understood() {
        #[rustfmt::skip]
        let cases = [
            ("E.164", "+34600123456", "+34600123456"),
            ("ITU 00 form", "0034600123456", "+34600123456"),
            ("national", "600123456", "+34600123456"),
            ("country code without plus", "34600123456", "+34600123456"),
            ("a landline", "910000001", "+34910000001"),
            ("number portability parameters", "+34600123456;npdi;rn=+34700000000", "+34600123456"),
            ("a tel URI", "tel:+34-600-123-456", "+34600123456"),
            ("a tel URI of any case", "TEL:+34600123456", "+34600123456"),
            ("a sip URI", "sip:+34600123456@carrier.example;user=phone", "+34600123456"),
            ("a local number with its context", "tel:2025550199;phone-context=+1", "+12025550199"),
            ("an area code as context", "tel:5550199;phone-context=+1202", "+12025550199"),
            ("a domain as context", "600123456;phone-context=example.com", "+34600123456"),
            ("spaces and dots", "+34 600.12.34.56", "+34600123456"),
            ("no-break spaces", "+34\u{a0}600\u{202f}123456", "+34600123456"),
            ("full-width digits", "＋３４６００１２３４５６", "+34600123456"),
            ("the zero in brackets", "+44 (0)20 7946 0000", "+442079460000"),
            ("the zero in brackets where the plan has none", "+34 (0) 600 123 456", "+34600123456"),
            ("the zero in brackets after 00", "0034 (0) 600 123 456", "+34600123456"),
            ("a trunk zero by mistake", "+4402079460000", "+442079460000"),
            ("an Italian zero stays", "+390612345678", "+390612345678"),
            ("the former Mexican mobile form", "+5215512345678", "+525512345678"),
            ("the Mexican form of today", "+525512345678", "+525512345678"),
            ("an Argentine mobile", "+5491123456789", "+5491123456789"),
            ("a Russian 800 number keeps its 8", "+78005553535", "+78005553535"),
            ("two pluses", "++34600123456", "+34600123456"),
            ("a zero before the country code", "+043123456789", "12 digits in no form that the default region knows"),
            ("three zeros abroad", "00043123456789", UNASSIGNED_34),
            ("one digit too many", "+346001234567", UNASSIGNED_34),
            ("one digit too few", "+3460012345", UNASSIGNED_34),
            ("a range nobody has", "+34100123456", UNASSIGNED_34),
            ("no such country code", "+999123456789", "12 digits in no form that the default region knows"),
            ("letters are not keys", "1-800-FLOWERS", "expected digits and separators, found `F`"),
            ("an extension", "+34600123456x12", "expected digits and separators, found `x`"),
            ("a name", "alice", "expected digits and separators, found `a`"),
            ("a star code", "*21*600123456#", "expected digits and separators, found `*`"),
            ("a percent escape left in", "%2B34600123456", "expected digits and separators, found `%`"),
            ("a NUL", "600\u{0}123456", "expected digits and separators, found `\u{0}`"),
            ("nothing", "", "expected a number, found nothing"),
            ("a plus alone", "+", "expected a number, found nothing"),
            ("parameters alone", ";npdi", "expected a number, found nothing"),
        ];
        check("ES", &cases);
    }

    #[test]
    fn other_regions_read_their_own_forms() {
        #[rustfmt::skip]
        let us = [
            ("ten digits", "2025550123", "+12025550123"),
            ("eleven digits", "12025550123", "+12025550123"),
            ("the American prefix", "01134600123456", "+34600123456"),
            ("the ITU prefix, which is not the region's", "0034600123456", "13 digits that country code 1 does not assign"),
            ("the zero in brackets after 011", "011 44 (0) 20 7946 0000", "+442079460000"),
            ("brackets", "(202) 555-0123", "+12025550123"),
            ("a Spanish national number is not guessed at", "600123456", "9 digits that country code 1 does not assign"),
        ];
        check("US", &us);
        check("AR", &[("the Argentine 15", "011 15 2345 6789", "+5491123456789")]);
        check("GB", &[("a trunk zero", "020 7946 0000", "+442079460000")]);
        check("it", &[("a lower case region", "06 1234 5678", "+390612345678")]);
    }

    #[test]
    fn each_region_dials_abroad_with_its_own_prefix() {
        // Prefixes from ITU-T's list "Dialling procedures (international prefix, national (trunk)
        // prefix and national (significant) number)", Annex to Operational Bulletin 994.
        #[rustfmt::skip]
        let cases = [
            ("US", "011", true), ("US", "00", false), ("CA", "011", true), ("JP", "010", true),
            ("JP", "00", false), ("AU", "0011", true), ("AU", "00", false), ("BR", "0021", true),
            ("BR", "0015", true), ("BR", "00", false), ("RU", "810", true), ("RU", "00", false),
            ("KZ", "810", true), ("KR", "001", true), ("KR", "00", false), ("SG", "001", true),
            ("TH", "001", true), ("TH", "00", false), ("KE", "000", true), ("NG", "009", true),
            ("CU", "119", true), ("CU", "00", false), ("KH", "001", true), ("GY", "001", true),
            ("ES", "00", true), ("GB", "00", true), ("MX", "00", true), ("AR", "00", true),
            ("FI", "00", true), ("DE", "00", true), ("IN", "00", true), ("ZA", "00", true),
        ];
        let number = "34600123456";
        for (region, prefix, is_theirs) in cases {
            let got = NumberReader::new(region).unwrap().read(&format!("{prefix}{number}"));
            let want = is_theirs.then_some(34_600_123_456);
            assert_eq!(got.ok().map(Number::digits), want, "{region} {prefix}");
        }
    }

    /// What the library makes of `text`, asked directly.
    fn oracle(text: &str, region: Region) -> Option<String> {
        let parsed = PHONE_NUMBER_UTIL.parse(text, Some(region)).ok()?;
        let is_valid = PHONE_NUMBER_UTIL.is_valid_number(&parsed) && parsed.extension.is_none();
        is_valid.then(|| PHONE_NUMBER_UTIL.format(&parsed, PhoneNumberFormat::E164).into_owned())
    }

    #[test]
    fn every_region_is_read_as_the_library_reads_it() {
        let mut regions: Vec<Region> = PHONE_NUMBER_UTIL.get_supported_regions().collect();
        regions.sort_unstable_by_key(ToString::to_string);
        let example = |region: &Region| PHONE_NUMBER_UTIL.get_example_number(*region).unwrap();
        let examples: Vec<PhoneNumber> = regions.iter().map(example).collect();
        let codes: Vec<i32> = PHONE_NUMBER_UTIL.get_supported_calling_codes().collect();
        let mut read = 0;
        for (at, &region) in regions.iter().enumerate() {
            let reader = NumberReader::new(&region.to_string()).unwrap();
            let is_itu_prefix = codes.iter().all(|&code| is_behind_itu_prefix(code, region));
            assert_eq!(reader.is_itu_prefix, is_itu_prefix, "{region}");
            let own = &examples[at];
            let mut texts =
                vec![PHONE_NUMBER_UTIL.format(own, PhoneNumberFormat::National).into_owned()];
            // A dozen countries from all over the list, others for each region.
            for abroad in examples.iter().cycle().skip(at).step_by(examples.len() / 12).take(12) {
                let e164 = PHONE_NUMBER_UTIL.format(abroad, PhoneNumberFormat::E164).into_owned();
                let dialled =
                    PHONE_NUMBER_UTIL.format_out_of_country_calling_number(abroad, region);
                texts.push(dialled.replace('~', ""));
                texts.push(e164.replacen('+', "00", 1));
                texts.push(e164);
            }
            for text in texts {
                let want = oracle(&text, region);
                let got = match reader.dialled(&text) {
                    Ok(Dialled::Number(number)) => Some(number.reveal()),
                    _ => None,
                };
                assert_eq!(got, want, "{region} `{text}`");
                read += usize::from(got.is_some());
            }
        }
        assert!(read > regions.len() * 24, "of {} regions, read {read}", regions.len());
    }

    #[test]
    fn emergency_and_short_numbers_are_told_apart_from_subscribers() {
        #[rustfmt::skip]
        let cases = [
            ("the European emergency number", "112", "Emergency"),
            ("the American one, here too", "911", "Emergency"),
            ("Spain's police", "091", "Emergency"),
            ("with the country code", "+34112", "Emergency"),
            ("with a plus", "+112", "Emergency"),
            ("in a tel URI with parameters", "tel:112;phone-context=+34", "Emergency"),
            ("spaced", "1 1 2", "Emergency"),
            ("full-width", "１１２", "Emergency"),
            ("directory assistance", "11818", "ShortCode(short code …8)"),
            ("an operator's service", "1004", "ShortCode(short code …4)"),
            ("a help line", "116111", "ShortCode(short code …1)"),
            ("one digit", "9", "ShortCode(short code …9)"),
            ("seven digits are no short code", "1234567", UNASSIGNED_34),
        ];
        check("ES", &cases);
        check("SH", &[("an island's five digits are a number", "22158", "+29022158")]);
        let reader = NumberReader::new("ES").unwrap();
        assert_eq!(reader.read("112"), Err(NumberError::Emergency));
        assert_eq!(reader.read("11818"), Err(NumberError::ShortCode { digits: 5 }));
        let any =
            |text| reader.read_any(text).map(Number::reveal).map_err(|error| error.to_string());
        assert_eq!(any("1 004").as_deref(), Ok("ES:1004"));
        assert_eq!(any("MX:030").as_deref(), Ok("MX:030"));
        assert_eq!(any("600123456").as_deref(), Ok("+34600123456"));
        assert_eq!(reader.read_any("112"), Err(NumberError::Emergency), "nobody's");
        assert!(reader.read_any("ES:1234567").is_err() && reader.read_any("es:1004").is_err());
    }

    #[test]
    fn a_region_or_text_out_of_bounds_is_refused() {
        for region in ["", "E", "ESP", "ZZ", "XK1", "001", "¿?"] {
            let want = NumberError::Region { found: region.to_owned() };
            assert_eq!(NumberReader::new(region).unwrap_err(), want);
        }
        let reader = NumberReader::new("ES").unwrap();
        let longest = format!("+34600123456;{}", "x".repeat(NumberReader::TEXT_LEN_MAX - 13));
        assert!(reader.read(&longest).is_ok(), "the limit itself");
        let found = NumberReader::TEXT_LEN_MAX + 1;
        assert_eq!(reader.read(&(longest + "x")), Err(NumberError::Long { found }));
    }

    #[test]
    fn mutated_texts_never_panic_and_never_leave_e164() {
        let reader = NumberReader::new("ES").unwrap();
        let seeds = ["+34600123456", "tel:+1-202-555-0123;phone-context=+34", "0044(0)2079460000"];
        let alphabet: Vec<char> = "0123456789+()-;:= .x*#%é９\u{202f}".chars().collect();
        let mut tokens = TokenSource::new(Seed(7, 7));
        for round in 0..20_000 {
            let mut text: Vec<char> = seeds[round % seeds.len()].chars().collect();
            for _ in 0..=tokens.next_u64() % 4 {
                let at = (tokens.next_u64() % text.len() as u64) as usize;
                text[at] = alphabet[(tokens.next_u64() % alphabet.len() as u64) as usize];
            }
            let text: String = text.into_iter().collect();
            if let Ok(number) = reader.read(&text) {
                assert_eq!(Number::from_e164(&number.reveal()), Some(number), "{text}");
            }
        }
    }
}
