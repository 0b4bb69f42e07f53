//! Runs of numbers as entries of a list: everything behind a prefix (`+34800*`), or from one number
//! to another (`+34911234000-+34911234999`).
//!
//! A run is kept as it was written and never expanded. A look-up asks each length of prefix that
//! there is, and walks back over the ranges that begin at or before the number as long as one of
//! them may still reach it: a few steps unless ranges are nested deeply, and never more than there
//! are ranges.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error as _;

use crate::model::Number;

/// National digits of a prefix that is taken without asking. Our choice: a service of a country has
/// three (Spain's 803, Britain's 0909 has four), an operator's block more, a city two.
const NATIONAL_DIGITS_MIN: u32 = 3;

/// Numbers of a run that is taken without asking. Our choice: as many as such a prefix has in a plan
/// of ten national digits.
const RUN_LEN_MAX: u64 = 10_000_000;

/// Country codes of two digits (ITU-T E.164, list of assigned country codes); 1 and 7 have one, all
/// others three.
const CODES_OF_TWO: [u64; 44] = [
    20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56,
    57, 58, 60, 61, 62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98,
];

/// Numbers that stand on a list together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Range {
    /// Every number, of whatever length, that begins with these digits.
    Prefix(Number),
    /// Every number from the first to the last, which have the same count of digits.
    Between(Number, Number),
}

/// Why a text is no range. No variant carries the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RangeError {
    /// Neither form.
    #[error("expected +34800* or +34911234000-+34911234999")]
    Form,
    /// Ends with different counts of digits.
    #[error("expected as many digits in the last number as in the first")]
    Lengths,
    /// The last before the first.
    #[error("expected the last number not to be below the first")]
    Order,
}

impl Range {
    /// Whether `text` is meant for a range rather than a number: it ends in a star, or has a dash
    /// and a plus behind that.
    pub fn is_meant(text: &str) -> bool {
        let behind_dash = text.split_once('-').map(|(_first, last)| last.trim_start());
        text.trim_end().ends_with('*') || behind_dash.is_some_and(|last| last.starts_with('+'))
    }

    /// Whether `number` is one of it; a short code never is, and of a keyed number nobody can say.
    pub fn contains(self, number: Number) -> bool {
        match self {
            _ if number.is_short_code() || number.is_keyed() => false,
            Self::Prefix(prefix) => {
                let more = len(number).checked_sub(len(prefix));
                more.is_some_and(|more| number.digits() / 10_u64.pow(more) == prefix.digits())
            }
            Self::Between(first, last) => (first..=last).contains(&number),
        }
    }

    /// Its number, where it has but one.
    pub fn only(self) -> Option<Number> {
        match self {
            Self::Prefix(prefix) => (len(prefix) == Number::DIGITS_MAX).then_some(prefix),
            Self::Between(first, last) => (first == last).then_some(first),
        }
    }

    /// The ranges that have its numbers save `holes`: itself where it has none of those, else
    /// runs of numbers as long as each other, one for each length and one more for each hole.
    pub fn without(self, holes: &[Number]) -> Vec<Self> {
        let holes: BTreeSet<u64> =
            holes.iter().filter(|hole| self.contains(**hole)).map(|hole| hole.digits()).collect();
        if holes.is_empty() {
            return vec![self];
        }
        let mut runs = Vec::new();
        for (first, last) in self.spans() {
            let mut next = first;
            for &hole in holes.range(first..=last) {
                runs.extend(hole.checked_sub(1).and_then(|before| Self::run(next, before)));
                next = hole + 1;
            }
            runs.extend(Self::run(next, last));
        }
        runs
    }

    /// The first and the last of its numbers of each length.
    fn spans(self) -> Vec<(u64, u64)> {
        match self {
            Self::Between(first, last) => vec![(first.digits(), last.digits())],
            Self::Prefix(prefix) => (0..=Number::DIGITS_MAX - len(prefix))
                .map(|more| 10_u64.pow(more))
                .map(|scale| (prefix.digits() * scale, (prefix.digits() + 1) * scale - 1))
                .collect(),
        }
    }

    /// From `first` to `last`, which are as long as each other; nothing where there is none.
    fn run(first: u64, last: u64) -> Option<Self> {
        let ends = Number::from_e164_digits(first).zip(Number::from_e164_digits(last));
        ends.filter(|_ends| first <= last).map(|(first, last)| Self::Between(first, last))
    }

    /// Whether it takes in a large part of a country or more, which is hardly ever meant: fewer than
    /// three digits behind the country code, or more than ten million numbers.
    pub fn is_wide(self) -> bool {
        match self {
            Self::Prefix(prefix) => {
                let digits = prefix.digits();
                let lead = |count: u32| digits / 10_u64.pow(len(prefix).saturating_sub(count));
                let code_len = match (lead(1), lead(2)) {
                    (1 | 7, _) => 1,
                    (_, code) if CODES_OF_TWO.contains(&code) => 2,
                    _ => 3,
                };
                len(prefix) < code_len + NATIONAL_DIGITS_MIN
            }
            Self::Between(first, last) => last.digits() - first.digits() >= RUN_LEN_MAX,
        }
    }

    /// How many numbers it has, or may have: what says which of two is the closer answer.
    pub(super) fn width(self) -> u64 {
        match self {
            Self::Prefix(prefix) => 10_u64.pow(Number::DIGITS_MAX - len(prefix)),
            Self::Between(first, last) => last.digits() - first.digits(),
        }
    }
}

/// Count of the digits of `number`.
const fn len(number: Number) -> u32 {
    number.digits().ilog10() + 1
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let number = |text: &str| Number::from_e164(text.trim()).ok_or(RangeError::Form);
        if let Some(prefix) = text.trim().strip_suffix('*') {
            return number(prefix).map(Self::Prefix);
        }
        let (first, last) = text.split_once('-').ok_or(RangeError::Form)?;
        let (first, last) = (number(first)?, number(last)?);
        if len(first) != len(last) {
            return Err(RangeError::Lengths);
        }
        if last < first { Err(RangeError::Order) } else { Ok(Self::Between(first, last)) }
    }
}

impl fmt::Display for Range {
    /// As it is written in a configuration, with its digits whole; not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => write!(f, "{}*", prefix.reveal()),
            Self::Between(first, last) => write!(f, "{}-{}", first.reveal(), last.reveal()),
        }
    }
}

impl Serialize for Range {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Ranges with what each stands for, made once and then only asked.
#[derive(Clone, Debug)]
pub struct Ranges<T> {
    /// By their digits as one decimal.
    prefixes: Vec<(Number, T)>,
    /// Which counts of digits prefixes have, as bits.
    lengths: u16,
    /// By their first number.
    between: Vec<(Number, Number, T)>,
    /// The greatest last number of those up to here.
    reach: Vec<Number>,
}

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self { prefixes: Vec::new(), lengths: 0, between: Vec::new(), reach: Vec::new() }
    }
}

impl<T> Ranges<T> {
    /// The set of `ranges`; the same range may stand for several things.
    pub fn new(ranges: impl IntoIterator<Item = (Range, T)>) -> Self {
        let mut set = Self::default();
        for (range, it) in ranges {
            match range {
                Range::Prefix(prefix) => set.prefixes.push((prefix, it)),
                Range::Between(first, last) => set.between.push((first, last, it)),
            }
        }
        set.prefixes.sort_by_key(|(prefix, _it)| *prefix);
        set.between.sort_by_key(|(first, last, _it)| (*first, *last));
        set.lengths = set.prefixes.iter().fold(0, |bits, (prefix, _it)| bits | 1 << len(*prefix));
        set.reach = set
            .between
            .iter()
            .scan(None, |reach: &mut Option<Number>, (_first, last, _it)| {
                *reach = (*reach).max(Some(*last));
                *reach
            })
            .collect();
        set
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.prefixes.len() + self.between.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ranges that `number` is in, the widest first. Allocates only for what it finds.
    pub fn find(&self, number: Number) -> Vec<(Range, &T)> {
        let mut found = Vec::new();
        if number.is_short_code() || number.is_keyed() {
            return found;
        }
        for prefix_len in (1..=len(number)).filter(|len| self.lengths >> len & 1 == 1) {
            let prefix = number.digits() / 10_u64.pow(len(number) - prefix_len);
            let begin = self.prefixes.partition_point(|(known, _it)| known.digits() < prefix);
            let equal = self.prefixes.iter().skip(begin);
            let equal = equal.take_while(|(known, _it)| known.digits() == prefix);
            found.extend(equal.map(|(known, it)| (Range::Prefix(*known), it)));
        }
        let end = self.between.partition_point(|(first, _last, _it)| *first <= number);
        let before = self.between.iter().zip(&self.reach).take(end).rev();
        for ((first, last, it), _reach) in before.take_while(|(_span, reach)| **reach >= number) {
            if *last >= number {
                found.push((Range::Between(*first, *last), it));
            }
        }
        found.sort_by_key(|(range, _it)| std::cmp::Reverse(range.width()));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::token::Seed;
    use crate::model::token::TokenSource;

    fn number(digits: u64) -> Number {
        Number::from_e164_digits(digits).expect("the test's numbers are E.164")
    }

    #[test]
    fn a_range_is_wide_that_takes_in_much_of_a_country() {
        #[rustfmt::skip]
        let cases = [
            ("a quarter of the world",       "+3*",                       true),
            ("a country",                    "+34*",                      true),
            ("a city",                       "+3491*",                    true),
            ("premium numbers of Spain",     "+34803*",                   false),
            ("those of the United States",   "+1900*",                    false),
            ("a part of North America",      "+190*",                     true),
            ("a country code of three",      "+351800*",                  false),
            ("two digits behind it",         "+35180*",                   true),
            ("Britain's service numbers",    "+449*",                     true),
            ("a run of ten million",         "+34600000000-+34609999999", false),
            ("one more",                     "+34600000000-+34610000000", true),
        ];
        for (name, text, want) in cases {
            let range: Range = text.parse().expect("it is a range");
            assert_eq!(range.is_wide(), want, "{name}: {text}");
        }
    }

    #[test]
    fn both_forms_are_read_and_written() {
        #[rustfmt::skip]
        let cases = [
            ("a prefix",                  "+34800*",                       Ok("+34800*")),
            ("a country",                 "+1*",                           Ok("+1*")),
            ("from one to another",       "+34911234000-+34911234999",     Ok("+34911234000-+34911234999")),
            ("with space around",         " +34911234000 - +34911234999 ", Ok("+34911234000-+34911234999")),
            ("one number alone",          "+34911234000-+34911234000",     Ok("+34911234000-+34911234000")),
            ("everybody",                 "+*",                            Err(RangeError::Form)),
            ("a star alone",              "*",                             Err(RangeError::Form)),
            ("a prefix without its plus", "34800*",                        Err(RangeError::Form)),
            ("a star in the middle",      "+34*800",                       Err(RangeError::Form)),
            ("two stars",                 "+34800**",                      Err(RangeError::Form)),
            ("sixteen digits",            "+3480000000000000*",            Err(RangeError::Form)),
            ("a last one without a plus", "+34911234000-34911234999",      Err(RangeError::Form)),
            ("backwards",                 "+34911234999-+34911234000",     Err(RangeError::Order)),
            ("of two lengths",            "+34911234-+349112349",          Err(RangeError::Lengths)),
            ("no range",                  "+34911234000",                  Err(RangeError::Form)),
            ("nothing",                   "",                              Err(RangeError::Form)),
        ];
        for (name, text, want) in cases {
            let got = text.parse::<Range>().map(|range| range.to_string());
            assert_eq!(got, want.map(str::to_owned), "{name}");
        }
        let meant = ["34*", "+1-+2", "+1 - +2", "1-+2"].map(|text| (text, true));
        let not = ["+34 600-1", "++34600", "3.4E+10", "*21*6#", "", "-"].map(|text| (text, false));
        for (text, want) in meant.into_iter().chain(not) {
            assert_eq!(Range::is_meant(text), want, "{text}");
        }
        let range: Range = "+34800*".parse().unwrap();
        let json = serde_json::to_string(&range).unwrap();
        assert_eq!(json, "\"+34800*\"");
        assert_eq!(serde_json::from_str::<Range>(&json).unwrap(), range);
    }

    #[test]
    fn the_widest_comes_first_and_nothing_beside_is_found() {
        let texts =
            ["+34*", "+34911*", "+349*", "+34911234000-+34911234999", "+34911234500-+34911234500"];
        let ranges = Ranges::new(texts.map(|text| (text.parse().expect("a range"), text)));
        let find = |digits| -> Vec<&str> {
            ranges.find(number(digits)).into_iter().map(|(_range, text)| *text).collect()
        };
        assert_eq!(find(34_911_234_500), [texts[0], texts[2], texts[1], texts[3], texts[4]]);
        assert_eq!(find(34_911_235_000), [texts[0], texts[2], texts[1]]);
        assert_eq!(find(34_911_233_999), [texts[0], texts[2], texts[1]]);
        assert_eq!(find(34_600_000_000), [texts[0]]);
        assert_eq!(find(3_491_123), [texts[0], texts[2], texts[1]], "whatever the length");
        assert!(find(33_911_234_500).is_empty());
        let short = Number::short_code("AC", "9").expect("a short code"); // 3 with 15 digits behind
        assert!(Ranges::new([("+3*".parse().expect("a range"), ())]).find(short).is_empty());
        assert!(find(349).iter().eq([&texts[0], &texts[2]]), "the prefix itself");
    }

    #[test]
    fn a_range_with_holes_has_all_its_other_numbers() {
        let without = |text: &str, holes: &[u64]| {
            let range: Range = text.parse().expect("a range");
            let holes: Vec<Number> = holes.iter().map(|hole| number(*hole)).collect();
            let left: Vec<String> = range.without(&holes).iter().map(Range::to_string).collect();
            left.join(" ")
        };
        #[rustfmt::skip]
        let cases: [(&str, &str, &[u64], &str); 8] = [
            ("no hole",           "+34800*",       &[],                "+34800*"),
            ("a hole elsewhere",  "+34800*",       &[34_900_000_000],  "+34800*"),
            ("in the middle",     "+34910-+34919", &[34_915],          "+34910-+34914 +34916-+34919"),
            ("its ends",          "+34910-+34919", &[34_919, 34_910],  "+34911-+34918"),
            ("side by side",      "+34910-+34919", &[34_914, 34_915],  "+34910-+34913 +34916-+34919"),
            ("twice the same",    "+34910-+34912", &[34_911, 34_911],  "+34910-+34910 +34912-+34912"),
            ("all of it",         "+34910-+34910", &[34_910],          ""),
            ("of a prefix, the length of the hole alone is cut", "+1234567890123*", &[12_345_678_901_230],
                "+1234567890123-+1234567890123 +12345678901231-+12345678901239 +123456789012300-+123456789012399"),
        ];
        for (name, text, holes, want) in cases {
            assert_eq!(without(text, holes), want, "{name}");
        }
        let code = Number::short_code("ES", "1004").expect("a short code");
        let all: Range = "+1*".parse().expect("a range");
        assert_eq!(all.without(&[code]), [all], "a short code is in none");
        // Every number beside the hole, of every length, by the definition itself.
        let prefix: Range = "+12*".parse().expect("a range");
        let (one, other) = (number(12_345), number(12));
        let left = prefix.without(&[one, other]);
        for digits in (1..200_000).map(number) {
            let want = prefix.contains(digits) && digits != one && digits != other;
            let got = left.iter().filter(|range| range.contains(digits)).count();
            assert_eq!(got, usize::from(want), "{}", digits.reveal());
        }
        let last = number(129_999_999_999_999);
        assert!(left.iter().any(|range| range.contains(last)), "the longest too");
    }

    #[test]
    fn a_set_answers_as_each_range_by_itself() {
        let mut tokens = TokenSource::new(Seed(5, 22));
        for round in 0..200 {
            let mut below = |end: u64| tokens.next_u64() % end;
            let mut ranges: Vec<(Range, usize)> = Vec::new();
            for at in 0..below(40) as usize {
                let first = 10_000 + below(90_000);
                let range = if below(2) == 0 {
                    Range::Prefix(number(first / 10_u64.pow(below(5) as u32)))
                } else {
                    Range::Between(number(first), number(first + below(100_000 - first)))
                };
                ranges.push((range, at));
            }
            let set = Ranges::new(ranges.clone());
            for _ in 0..50 {
                let number = number(1 + below(200_000));
                let mut got: Vec<usize> = set.find(number).into_iter().map(|it| *it.1).collect();
                got.sort_unstable();
                let want = ranges.iter().filter(|(range, _at)| range.contains(number));
                let want: Vec<usize> = want.map(|(_range, at)| *at).collect();
                assert_eq!(got, want, "round {round}: {}", number.reveal());
            }
        }
    }
}
