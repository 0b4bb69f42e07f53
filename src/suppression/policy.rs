//! Which lists a campaign's call is checked against.
//!
//! Three sources, so that forgetting one line of configuration never calls a person who opted
//! out: the lists that the campaign names under `check`; every list that one of its own codes
//! adds to (whoever presses 9 in a campaign is not called by that campaign again); and every
//! list with `enforce` whose scope covers the campaign. A list out of scope never applies, even
//! when it is named: the configuration reports that as an error, and here it is left out.

use crate::model::AccountName;
use crate::model::CampaignName;
use crate::model::ListName;

use super::list::List;
use super::list::Scope;

/// Whether `scope` covers calls of `campaign` of `account`.
pub fn is_in_scope(scope: &Scope, account: &AccountName, campaign: &CampaignName) -> bool {
    match scope {
        Scope::Global => true,
        Scope::Account(of) => of == account,
        Scope::Campaign(of) => of == campaign,
    }
}

/// The lists, in configuration order, that a call of `campaign` is checked against.
///
/// - `check`: the lists that the campaign names; `add_to`: those that its codes add to.
pub fn checked_lists(
    lists: &[List],
    account: &AccountName,
    campaign: &CampaignName,
    check: &[ListName],
    add_to: &[ListName],
) -> Vec<ListName> {
    lists
        .iter()
        .filter(|list| is_in_scope(&list.scope, account, campaign))
        .filter(|list| list.enforce || check.contains(&list.name) || add_to.contains(&list.name))
        .map(|list| list.name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_checked_against_what_concerns_it() {
        let list = |name: &str, scope, enforce| List {
            name: name.into(),
            title: String::new(),
            scope,
            enforce,
        };
        let lists = [
            list("registry", Scope::Global, true),
            list("house", Scope::Global, false),
            list("acme", Scope::Account("acme".into()), true),
            list("other", Scope::Account("other".into()), true),
            list("spring", Scope::Campaign("spring".into()), false),
            list("autumn", Scope::Campaign("autumn".into()), false),
        ];
        #[rustfmt::skip]
        let cases: [(&str, &[&str], &[&str], &str); 5] = [
            ("enforced lists in scope apply unasked", &[], &[], "registry acme"),
            ("a named list applies too", &["house"], &[], "registry house acme"),
            ("what a code adds to is checked", &[], &["spring"], "registry acme spring"),
            ("naming a list twice changes nothing", &["registry", "spring"], &["spring"], "registry acme spring"),
            ("another's list never applies", &["other", "autumn"], &["other"], "registry acme"),
        ];
        for (name, check, add_to, want) in cases {
            let names =
                |names: &[&str]| names.iter().copied().map(ListName::from).collect::<Vec<_>>();
            let got = checked_lists(
                &lists,
                &"acme".into(),
                &"spring".into(),
                &names(check),
                &names(add_to),
            );
            let got: Vec<&str> = got.iter().map(ListName::as_str).collect();
            assert_eq!(got.join(" "), want, "{name}");
        }
    }
}
