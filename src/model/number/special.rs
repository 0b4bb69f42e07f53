//! Emergency numbers and short codes: dialled texts that no campaign may send out.
//!
//! The number library knows no short numbers, so the rule is ours and leans to refusing:
//! three to five digits that are an emergency number *anywhere* are one everywhere, and any
//! other run of up to six digits that is no valid subscriber number of the default region is a
//! short code.

/// Most digits a short code has; subscriber numbers as short as that exist only on a few islands
/// and are recognised by their plan first. Our choice: European 116xxx and US five- and six-digit
/// codes are the longest in use.
pub(super) const SHORT_DIGITS_MAX: usize = 6;

/// Emergency numbers of the world's plans, sorted: 112 and 911 (ITU-T E.161.1), and the national
/// police, fire and ambulance numbers that are still answered beside them, Spain's 061, 062, 080,
/// 085, 091 and 092 among them. Our choice: rather one too many than one missing, since so short
/// a text is refused in any case and only the reason differs.
const EMERGENCY: [&str; 88] = [
    "000", "008", "010", "011", "013", "015", "016", "017", "018", "022", "033", "055", "060",
    "061", "062", "064", "065", "066", "068", "080", "085", "088", "089", "091", "092", "093",
    "094", "097", "098", "100", "1006", "101", "102", "103", "104", "105", "106", "107", "108",
    "110", "111", "112", "113", "114", "115", "116", "117", "118", "119", "120", "122", "123",
    "124", "125", "126", "127", "128", "129", "130", "131", "132", "133", "140", "144", "150",
    "155", "158", "160", "166", "190", "191", "192", "193", "194", "195", "197", "198", "199",
    "911", "912", "913", "990", "991", "993", "995", "997", "998", "999",
];

/// Whether `digits` (ASCII digits without a prefix) are an emergency number somewhere.
pub(super) fn is_emergency(digits: &str) -> bool {
    EMERGENCY.binary_search(&digits).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_knows_the_common_ones() {
        assert!(EMERGENCY.is_sorted(), "binary search needs it");
        for digits in ["112", "911", "091", "062", "999", "000", "110", "119", "190"] {
            assert!(is_emergency(digits), "{digits}");
        }
        for digits in ["", "1", "1124", "600", "900", "34"] {
            assert!(!is_emergency(digits), "{digits}");
        }
    }
}
