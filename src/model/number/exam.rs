//! Holds the byte path against the library: what it answers at once must be what the library
//! would have answered, for numbers of every region in every spelling, valid and nearly valid.
//!
//! Numbers are made from the library's own examples and from the patterns of the plans, with
//! digits changed, added and taken away; a reader of their region or of any other reads them.
//! `BAJAVOZ_NUMBERS` says how many, `BAJAVOZ_SEED` which.

use rlibphonenumber::PHONE_NUMBER_UTIL;
use rlibphonenumber::PhoneNumber;
use rlibphonenumber::PhoneNumberFormat;
use rlibphonenumber::Region;

use super::pattern::Ends;
use super::pattern::Pattern;
use super::plan;
use super::reader::Dialled;
use super::reader::NumberReader;
use crate::model::token::Seed;
use crate::model::token::TokenSource;

/// Where numbers come from: a region, or a code of no region.
struct Origin {
    region: String,
    code: String,
    /// The library's examples of each kind, national digits.
    examples: Vec<String>,
    kinds: Vec<Pattern>,
    reader: NumberReader,
}

impl Origin {
    fn of(region: &str, code: i32, examples: impl IntoIterator<Item = PhoneNumber>) -> Self {
        let code = code.to_string();
        let national = |example: PhoneNumber| {
            let e164 = PHONE_NUMBER_UTIL.format(&example, PhoneNumberFormat::E164).into_owned();
            e164.strip_prefix(&format!("+{code}")).map(str::to_owned)
        };
        let kind = |text| Pattern::read(text, Ends::Unknown).expect("every pattern is known");
        let kinds: Vec<Pattern> = plan::kinds(&code, region).map(kind).collect();
        assert!(!kinds.is_empty(), "the plans have {region}");
        let reader = if region == "001" { "ES" } else { region };
        Self {
            region: region.to_owned(),
            examples: examples.into_iter().filter_map(national).collect(),
            kinds,
            reader: NumberReader::new(reader).unwrap_or_else(|error| panic!("{error}")),
            code,
        }
    }

    /// All there are.
    fn all() -> Vec<Self> {
        let of_region = |region: Region| {
            let kinds = PHONE_NUMBER_UTIL.get_supported_types_for_region(region);
            let example =
                |kind| PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, kind).ok();
            let examples = kinds.into_iter().flatten().filter_map(example);
            let code = PHONE_NUMBER_UTIL.get_country_code_for_region(region).unwrap_or_default();
            Self::of(&region.to_string(), code, examples)
        };
        let of_world = |code| {
            Self::of("001", code, PHONE_NUMBER_UTIL.get_example_number_for_non_geo_entity(code))
        };
        let mut all: Vec<Self> = PHONE_NUMBER_UTIL.get_supported_regions().map(of_region).collect();
        all.extend(PHONE_NUMBER_UTIL.get_supported_global_network_calling_codes().map(of_world));
        all.sort_by(|a, b| (&a.region, &a.code).cmp(&(&b.region, &b.code)));
        all
    }
}

struct Dice(TokenSource);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        (self.0.next_u64() % end as u64) as usize
    }

    fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn digit(&mut self) -> char {
        char::from(b'0' + self.below(10) as u8)
    }

    /// Some digits that `pattern` matches.
    fn matching(&mut self, pattern: &Pattern, digits: &mut String) {
        match pattern {
            Pattern::Digit(set) => loop {
                let digit = self.below(10);
                if set >> digit & 1 == 1 {
                    digits.push(char::from(b'0' + digit as u8));
                    break;
                }
            },
            Pattern::End(_mark) => {}
            Pattern::Row(parts) => parts.iter().for_each(|part| self.matching(part, digits)),
            Pattern::Either(ways) => {
                let way = self.one_of(ways);
                self.matching(way, digits);
            }
            Pattern::Repeat(part, min, max) => {
                for _ in 0..min + self.below(max - min + 1) {
                    self.matching(part, digits);
                }
            }
        }
    }

    /// National digits of `origin`, valid or nearly so.
    fn national(&mut self, origin: &Origin) -> String {
        let mut digits = String::new();
        if self.below(2) == 0 || origin.examples.is_empty() {
            let kind = self.one_of(&origin.kinds);
            self.matching(kind, &mut digits);
        } else {
            digits.clone_from(self.one_of(&origin.examples));
            let kept = digits.len() - self.below(digits.len().min(7));
            let len = digits.len();
            digits.truncate(kept);
            digits.extend((kept..len).map(|_| self.digit()));
        }
        match self.below(12) {
            0 => {
                digits.pop();
            }
            1 => digits.push(self.digit()),
            2 => {
                let at = self.below(digits.len());
                let digit = self.digit().to_string();
                digits.replace_range(at..=at, &digit);
            }
            3 => digits.insert(0, self.digit()),
            _ => {}
        }
        digits
    }

    /// `national` as somebody might write it.
    fn spelt(&mut self, origin: &Origin, national: &str) -> String {
        let code = &origin.code;
        let plain = match self.below(16) {
            0..=3 => format!("+{code}{national}"),
            4 => format!("00{code}{national}"),
            5 => format!("{}{code}{national}", self.one_of(&["011", "010", "0011", "810", "009"])),
            6 | 7 => national.to_owned(),
            8 => format!("{}{national}", self.one_of(&["0", "8", "1", "06", "90"])),
            9 => format!("{code}{national}"),
            10 => format!("+{code}{}{national}", self.one_of(&["1", "9", "0", "15", "44", "8"])),
            11 => format!("{code}{}{national}", self.one_of(&["1", "9", "0", "15"])),
            12 => format!("{national};phone-context=+{code}"),
            13 => format!("+{code} (0) {national}"),
            14 => (0..1 + self.below(6)).map(|_| self.digit()).collect(),
            _ => format!("+{code}-{}", national.chars().rev().collect::<String>()),
        };
        match self.below(24) {
            0 => format!("tel:{plain}"),
            1 => format!("{plain};npdi;rn=+34700000000"),
            2 => plain.chars().map(wide).collect(),
            3..=5 => {
                let mut apart = plain;
                for _ in 0..=self.below(3) {
                    apart.insert(self.below(apart.len()), *self.one_of(&[' ', '-', '.', '/']));
                }
                apart
            }
            6 => format!("sip:{plain}@carrier.example"),
            _ => plain,
        }
    }
}

fn wide(character: char) -> char {
    match character {
        '+' => '\u{ff0b}',
        '0'..='9' => char::from_u32(u32::from(character) + 0xff10 - u32::from('0')).unwrap(),
        _ => character,
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
#[expect(clippy::print_stdout, reason = "a long run tells what it ran")]
fn what_is_answered_at_once_is_what_the_library_says() {
    let (count, seed) = (setting("BAJAVOZ_NUMBERS", 200_000), setting("BAJAVOZ_SEED", 2026));
    println!("BAJAVOZ_NUMBERS={count} BAJAVOZ_SEED={seed}");
    let origins = Origin::all();
    let mut dice = Dice(TokenSource::new(Seed(seed, 1122)));
    let (mut answered, mut valid) = (0, 0);
    for _ in 0..count {
        let origin = dice.one_of(&origins);
        let national = dice.national(origin);
        let text = dice.spelt(origin, &national);
        let reader = if dice.below(3) == 0 { dice.one_of(&origins) } else { origin };
        let quick = reader.reader.at_once(text.as_bytes());
        // What is left to the library cannot differ; a sample says how much that is.
        if quick.is_none() && dice.below(8) != 0 {
            continue;
        }
        let slow = reader.reader.at_length(&text);
        if let Some(number) = quick {
            let (at, seed) = (&reader.region, seed);
            assert_eq!(slow, Ok(Dialled::Number(number)), "{at} `{text}`, seed {seed}");
            answered += 1;
        } else if matches!(slow, Ok(Dialled::Number(_))) {
            valid += 8;
        }
    }
    println!("{answered} of {} valid numbers were answered at once", answered + valid);
    // What is left are separators, other spellings, and prefixes that need the library.
    assert!(answered * 6 > count, "{answered} of {count}: the byte path has to answer");
}

#[test]
fn every_country_has_its_table() {
    for origin in Origin::all() {
        for national in &origin.examples {
            let text = format!("+{}{national}", origin.code);
            let is_answered = origin.reader.at_once(text.as_bytes()).is_some();
            // Short codes may look like the numbers of some islands, which the library judges.
            assert!(is_answered || national.len() < 6, "{} {text}", origin.region);
        }
    }
}
