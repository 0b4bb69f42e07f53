//! Which column of a table holds the number.

use serde::Deserialize;
use serde::Serialize;

use crate::model::BulkReader;

use super::ImportError;
use super::reading::meant_range;
use super::reading::without_decimals;

/// What columns of numbers are called, in English and Spanish, in small letters and without
/// accents, spaces, dots, dashes and underscores.
const NAMES: &[&str] = &[
    "celular",
    "e164",
    "fijo",
    "landline",
    "mobile",
    "mobilenumber",
    "mobilephone",
    "movil",
    "msisdn",
    "number",
    "numero",
    "numerodetelefono",
    "numerotelefono",
    "phone",
    "phonenumber",
    "tel",
    "telefono",
    "telefonofijo",
    "telefonomovil",
    "telephone",
    "telephonenumber",
    "tfno",
    "tlf",
];

/// Digits that a column's name may have; `phone2` has one, a mistyped number six.
const NAME_DIGITS_MAX: usize = 6;

/// Digits that may stand behind a name of [`NAMES`], for which column of its kind it is. Our choice:
/// up to 99 of them; with more it is a number that somebody named.
const COLUMN_DIGITS_MAX: usize = 2;

/// The place of the number in a row, and whether the first row is a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Columns {
    /// From 0.
    pub(super) number: usize,
    /// Whether the first row holds names.
    pub(super) has_header: bool,
}

impl Columns {
    /// What the first row says; `named` is a name or a place from 1, and wins.
    pub(super) fn of(
        first: &[Vec<u8>],
        named: Option<&str>,
        numbers: &mut BulkReader,
    ) -> Result<Self, ImportError> {
        let is_number: Vec<bool> = first
            .iter()
            .map(|cell| {
                let is_one =
                    without_decimals(numbers, cell).map_or(true, |cell| numbers.read(cell).is_ok());
                is_one || matches!(meant_range(cell), Some(Ok(_)))
            })
            .collect();
        let has_header = !is_number.contains(&true);
        if let Some(named) = named {
            return Self::named(first, named, &is_number);
        }
        let is_it = |place: &usize| match is_number.get(*place) {
            _ if has_header => first.get(*place).is_some_and(|cell| is_name(cell)),
            found => found == Some(&true),
        };
        let found: Vec<usize> = (0..first.len()).filter(is_it).collect();
        match found.as_slice() {
            [number] => Ok(Self { number: *number, has_header }),
            // A line without a name that is the only column can be nothing else.
            [] if first.len() == 1 => Ok(Self { number: 0, has_header: false }),
            [] => Err(ImportError::ColumnMissing),
            several => Err(ImportError::ColumnAmbiguous { columns: places(several, first) }),
        }
    }

    fn named(first: &[Vec<u8>], named: &str, is_number: &[bool]) -> Result<Self, ImportError> {
        let by_name = first.iter().position(|cell| folded(cell) == folded(named.as_bytes()));
        let by_place = named.parse::<usize>().ok().and_then(|place| place.checked_sub(1));
        let number = by_name.or_else(|| by_place.filter(|place| *place < first.len()));
        let number = number.ok_or_else(|| ImportError::ColumnUnknown {
            named: named.to_owned(),
            found: places(&(0..first.len()).collect::<Vec<_>>(), first),
        })?;
        // A cell of many digits that is no number is told as rejected, not passed over as a name.
        let is_name = |cell: &Vec<u8>| {
            cell.iter().filter(|octet| octet.is_ascii_digit()).count() < NAME_DIGITS_MAX
        };
        let has_header =
            is_number.get(number) == Some(&false) && first.get(number).is_some_and(is_name);
        Ok(Self { number, has_header })
    }
}

/// Whether numbers are called so, be it the second column of them: `phone_2`.
fn is_name(cell: &[u8]) -> bool {
    let folded = folded(cell);
    let first = folded.trim_end_matches(|character: char| character.is_ascii_digit());
    let is_column = folded.len() - first.len() <= COLUMN_DIGITS_MAX;
    [folded.as_str(), if is_column { first } else { "" }]
        .iter()
        .any(|name| NAMES.binary_search(name).is_ok())
}

/// In small letters, without accents and what stands between words.
fn folded(cell: &[u8]) -> String {
    let plain = |character: char| match character {
        'á' | 'Á' => Some('a'),
        'é' | 'É' => Some('e'),
        'í' | 'Í' => Some('i'),
        'ó' | 'Ó' => Some('o'),
        'ú' | 'Ú' => Some('u'),
        ' ' | '_' | '-' | '.' | '\'' | 'º' | '°' => None,
        other => Some(other.to_ascii_lowercase()),
    };
    in_text(cell).chars().filter_map(plain).collect()
}

/// UTF-8, or Latin-1 where it is none.
fn in_text(cell: &[u8]) -> String {
    match std::str::from_utf8(cell) {
        Ok(text) => text.to_owned(),
        Err(_not_utf8) => cell.iter().copied().map(char::from).collect(),
    }
}

fn places(which: &[usize], first: &[Vec<u8>]) -> String {
    let name = |place: &usize| {
        let name = first.get(*place).map(|cell| folded(cell)).unwrap_or_default();
        // A cell with digits may be a number.
        let is_told = !name.is_empty() && !name.contains(|c: char| c.is_ascii_digit());
        if is_told { format!("{} (`{name}`)", place + 1) } else { (place + 1).to_string() }
    };
    which.iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted_and_folded() {
        assert!(NAMES.is_sorted());
        for name in NAMES {
            assert_eq!(folded(name.as_bytes()), *name);
        }
        for name in ["Teléfono móvil", "PHONE_NUMBER", "Nº teléfono", "n\u{fa}mero"] {
            let is_one = is_name(name.as_bytes());
            assert_eq!(is_one, !name.starts_with("Nº"), "{name}");
        }
        assert!(is_name(b"Tel\xe9fono"), "in Latin-1");
        for (name, want) in [("tel99", true), ("tel100", false), ("Tel. 600 123 456", false)] {
            assert_eq!(is_name(name.as_bytes()), want, "{name}");
        }
    }
}
