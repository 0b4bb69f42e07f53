//! Records of national registries, whose numbers stand without a country.
//!
//! - United States, FTC: the flat full list has one area code and number a line, separated by a
//!   comma, or ten digits together; the change list has several items a line, separated by commas
//!   (Telemarketer Access Information, Federal Trade Commission, 2003). Which items stand between
//!   the number and the mark is not documented publicly; they are passed over.
//! - United Kingdom, TPS and CTPS: records of twelve characters and CR LF; the national dialling
//!   code in five characters and the rest in seven, or both together and spaces behind
//!   (Technical Specifications for File Formats, corporate TPS).

use crate::model::Number;

use super::Reason;
use super::Shape;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// The number is on the registry.
    Listed(Number),
    /// It is not any more.
    TakenOff(Number),
}

impl Record {
    /// The record in a line of a registry's file, without space around it.
    pub(super) fn read(shape: Shape, text: &[u8]) -> Result<Self, Reason> {
        match shape {
            Shape::FtcChange => change(text),
            Shape::FtcFull => american(text).map(Self::Listed),
            Shape::Tps => british(text).map(Self::Listed),
            // Tables are read elsewhere.
            Shape::Csv | Shape::Txt | Shape::Export => {
                Err(Reason::Record { expected: "a registry's record" })
            }
        }
    }
}

/// `201,5551234` or `2015551234`: area code and central office code of the North American plan
/// begin with 2 to 9.
fn american(text: &[u8]) -> Result<Number, Reason> {
    const FORM: Reason =
        Reason::Record { expected: "an area code and seven digits, with or without a comma" };
    let digits = match text.split_at_checked(3) {
        Some((area, [b',', rest @ ..])) => digits(area.iter().chain(rest.trim_ascii_start()), 10),
        _ => digits(text.iter(), 10),
    };
    let national = digits.ok_or(FORM)?;
    let (area, office) = (national / 10_000_000, national / 10_000 % 1_000);
    if area < 200 || office < 200 {
        return Err(FORM);
    }
    Number::from_e164_digits(10_000_000_000 + national).ok_or(FORM)
}

/// A number, then items of which exactly one is the mark.
fn change(text: &[u8]) -> Result<Record, Reason> {
    let mut items = text.split(|&octet| octet == b',').map(<[u8]>::trim_ascii);
    let first = items.next().unwrap_or_default();
    let number = if first.len() == 3 {
        let both = [first, b",", items.next().unwrap_or_default()].concat();
        american(&both)?
    } else {
        american(first)?
    };
    let marks: Vec<bool> = items.filter_map(mark).collect();
    match marks.as_slice() {
        [true] => Ok(Record::Listed(number)),
        [false] => Ok(Record::TakenOff(number)),
        _ => Err(Reason::Mark),
    }
}

/// Whether an item says added or deleted.
fn mark(item: &[u8]) -> Option<bool> {
    match item.to_ascii_uppercase().as_slice() {
        b"A" | b"ADD" => Some(true),
        b"D" | b"DELETE" => Some(false),
        _ => None,
    }
}

/// A national number of the United Kingdom: 0 and nine or ten digits.
fn british(text: &[u8]) -> Result<Number, Reason> {
    const FORM: Reason = Reason::Record { expected: "0 and nine or ten digits" };
    let kept = || text.iter().filter(|octet| **octet != b' ');
    let len = kept().count();
    let national = digits(kept(), len).filter(|_digits| (10..=11).contains(&len)).ok_or(FORM)?;
    // The zero in front is gone; a second one would be a number of nobody's.
    let scale = 10_u64.pow(len as u32 - 1);
    if national < scale / 10 || national >= scale {
        return Err(FORM);
    }
    Number::from_e164_digits(44 * scale + national).ok_or(FORM)
}

/// The decimal of exactly `count` digits.
fn digits<'a>(text: impl Iterator<Item = &'a u8>, count: usize) -> Option<u64> {
    let mut value: u64 = 0;
    let mut len = 0;
    for octet in text {
        let digit = octet.wrapping_sub(b'0');
        if digit > 9 || len == count {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
        len += 1;
    }
    (len == count).then_some(value)
}
