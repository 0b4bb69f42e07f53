//! Which lists a campaign's call is checked against.
//!
//! Those that the campaign names under `check`, and every list that one of its own codes adds to:
//! whoever presses 9 in a campaign is not called by that campaign again, even where somebody
//! forgot the line that says so. Of these, a number that is called is looked for on the lists that
//! count for outbound calls, and a caller on those that count for inbound ones.

use crate::model::ListName;

/// The lists that a call of a campaign is checked against: `check` in its order, then what
/// `add_to` (the lists of the campaign's codes) has beyond it. No list comes twice.
pub fn checked_lists<'a>(
    check: &'a [ListName],
    add_to: impl IntoIterator<Item = &'a ListName>,
) -> Vec<ListName> {
    let mut lists: Vec<ListName> = Vec::new();
    for list in check.iter().chain(add_to) {
        if !lists.contains(list) {
            lists.push(list.clone());
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_checked_against_what_concerns_it() {
        let cases = [
            ("the lists it names", "robinson own", "", "robinson own"),
            ("and those its codes add to", "robinson", "own", "robinson own"),
            ("each once, in the order of check", "own robinson", "robinson own", "own robinson"),
            ("its codes' lists alone", "", "own", "own"),
            ("none at all", "", "", ""),
        ];
        for (name, check, add_to, want) in cases {
            let names =
                |text: &str| text.split_whitespace().map(ListName::from).collect::<Vec<_>>();
            let (check, add_to) = (names(check), names(add_to));
            let got = checked_lists(&check, &add_to);
            let got: Vec<&str> = got.iter().map(ListName::as_str).collect();
            assert_eq!(got.join(" "), want, "{name}");
        }
    }
}
