//! Small words for people.

use std::io;
use std::io::Write;

use super::page::Page;
use crate::model::hex;
use crate::suppression::OptOut;

/// `1 error`, `2 errors`.
pub(super) fn count(count: usize, noun: &str) -> String {
    let ending = match noun {
        _ if count == 1 => "",
        noun if noun.ends_with("ss") => "es",
        _ => "s",
    };
    format!("{count} {noun}{ending}")
}

/// What an opt-out says of where it came from, each under its name.
pub(super) fn optout_texts(optout: &OptOut) -> [(&'static str, Option<String>); 12] {
    [
        ("account", optout.account.as_ref().map(ToString::to_string)),
        ("campaign", optout.campaign.as_ref().map(ToString::to_string)),
        ("topic", optout.topic.as_ref().map(ToString::to_string)),
        ("dialer", optout.dialer.as_ref().map(ToString::to_string)),
        ("trunk", optout.trunk.as_ref().map(ToString::to_string)),
        ("digits", (!optout.digits.is_empty()).then(|| optout.digits.to_string())),
        ("method", optout.method.map(|method| method.as_str().to_owned())),
        ("call", optout.call.map(|call| call.to_string())),
        ("sip call-id", optout.sip_call_id.clone()),
        ("prompt", optout.prompt_sha256.map(|hash| hex(&hash))),
        ("actor", optout.actor.clone()),
        ("reason", optout.reason.clone()),
    ]
}

/// What people and peers wrote, without what a terminal obeys or what would begin a line of its own.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// Writes those that there are, a line each.
pub(super) fn write_texts(
    texts: impl IntoIterator<Item = (&'static str, Option<String>)>,
    page: &mut Page,
) -> io::Result<()> {
    for (name, text) in texts {
        if let Some(text) = text {
            writeln!(page, "  {name:<10} {}", one_line(&text))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_stays_on_its_line() {
        let told = one_line("a form\n  refused    by\u{1b}[2J nobody");
        assert_eq!(told, "a form   refused    by [2J nobody");
    }
}
