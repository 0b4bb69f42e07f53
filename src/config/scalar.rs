//! Single values: whether one is of its key's kind and in its range.

use std::net::{IpAddr, SocketAddr};

use toml::de::DeValue;

use super::keys::Kind;
use super::value::{Fault, PortRange, TypedDuration, TypedKeep, TypedNetwork, nearest};
use crate::suppression::Range;

/// Longest text and longest name, in bytes: longer ones are pasted by mistake.
const TEXT_LEN_MAX: usize = 500;
const NAME_LEN_MAX: usize = 64;

/// SIP's own port, RFC 3261 section 19.1.2.
const SIP_PORT: u16 = 5060;

/// Right, or the error's code and what is wrong.
pub(super) type Scalar = Result<(), (&'static str, Fault)>;

/// Whether a single value is of `kind`; for lists, whether one element is.
pub(super) fn scalar(kind: Kind, value: &DeValue<'_>) -> Scalar {
    match kind {
        Kind::Flag => match value {
            DeValue::Boolean(_) => Ok(()),
            other => Err(wrong_type("true or false", other)),
        },
        Kind::Count(min, max) => {
            let count = number(value)?;
            if (min..=max).contains(&count) {
                return Ok(());
            }
            Err(("E-RANGE", Fault::new(format!("expected {min} to {max}, found {count}"))))
        }
        Kind::Status(known) => {
            let status = number(value)?;
            if known.contains(&status) {
                return Ok(());
            }
            let list: Vec<String> = known.iter().map(i64::to_string).collect();
            Err(("E-VALUE", Fault::new(format!("expected one of {}", list.join(", ")))))
        }
        Kind::Secret => secret(value),
        Kind::Subject => subject(value),
        Kind::DurationIn(..) if matches!(value, DeValue::Integer(_)) => {
            let count = number(value)?;
            let fault = Fault::new("expected a duration, found a bare number");
            let hint = "write it with its unit (ms, s, m, h) and in quotes";
            Err(("E-TYPE", fault.hint(hint).fix(format!("{count}s"))))
        }
        Kind::KeepIn(..) if matches!(value, DeValue::Integer(_)) => {
            let count = number(value)?;
            let fault = Fault::new("expected how long it is kept, found a bare number");
            let hint = "write it with its unit (d, y) and in quotes";
            Err(("E-TYPE", fault.hint(hint).fix(format!("{count}d"))))
        }
        _ => {
            let text = text_of(value).ok_or_else(|| wrong_type("a text", value))?;
            let text_fault = text_fault(text).map_or(Ok(()), Err);
            text_fault.and_then(|()| textual(kind, text)).map_err(|fault| ("E-VALUE", fault))?;
            in_range(kind, text)
        }
    }
}

pub(super) fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

pub(super) fn text_of<'a>(value: &'a DeValue<'_>) -> Option<&'a str> {
    match value {
        DeValue::String(text) => Some(text),
        _ => None,
    }
}

fn wrong_type(expected: &str, found: &DeValue<'_>) -> (&'static str, Fault) {
    let fault = Fault::new(format!("expected {expected}, found {}", kind_of(found)));
    let bare = matches!(found, DeValue::Integer(_) | DeValue::Boolean(_)) && expected == "a text";
    ("E-TYPE", if bare { fault.hint("put it in quotes") } else { fault })
}

fn number(value: &DeValue<'_>) -> Result<i64, (&'static str, Fault)> {
    let DeValue::Integer(number) = value else { return Err(wrong_type("a whole number", value)) };
    i64::from_str_radix(number.as_str(), number.radix())
        .map_err(|_| ("E-RANGE", Fault::new("the number is beyond 64 bits")))
}

/// `{ env = "NAME" }` or `{ file = "PATH" }`.
fn secret(value: &DeValue<'_>) -> Scalar {
    const FORM: &str = "{ env = \"BAJAVOZ_DATABASE_URL\" } or { file = \"..\" }";
    let fault = |reason: &str| Fault::new(reason.to_owned()).hint(format!("write {FORM}"));
    match value {
        DeValue::Table(table) => {
            let mut entries = table.iter();
            let place = match (entries.next(), entries.next()) {
                (Some((key, value)), None) if ["env", "file"].contains(&key.get_ref().as_ref()) => {
                    text_of(value.get_ref())
                }
                _ => None,
            };
            let reason = "expected the name of a variable or a file";
            let place = place.ok_or_else(|| ("E-VALUE", fault(reason)))?;
            text_fault(place).map_or(Ok(()), |fault| Err(("E-VALUE", fault)))
        }
        DeValue::String(_) => {
            Err(("E-SECRET", fault("this would be readable by whoever reads the file")))
        }
        other => Err(wrong_type(FORM, other)),
    }
}

/// `"called"`, `"calling"` or `{ header = "X-Person" }`.
fn subject(value: &DeValue<'_>) -> Scalar {
    match value {
        DeValue::Table(table) => {
            let mut entries = table.iter();
            let header = match (entries.next(), entries.next()) {
                (Some((key, value)), None) if key.get_ref() == "header" => text_of(value.get_ref()),
                _ => None,
            };
            let fault = || Fault::new("expected { header = \"NAME\" }");
            let header = header.ok_or_else(|| ("E-VALUE", fault()))?;
            header_fault(header).map_or(Ok(()), |fault| Err(("E-NAME", fault)))
        }
        DeValue::String(text) => one_of(&["called", "calling"], text).map_err(|fault| {
            let or = "\"called\", \"calling\" or { header = \"X-Person\" }";
            let hint = fault.hint.clone().unwrap_or_else(|| format!("it is {or}"));
            ("E-VALUE", fault.hint(hint))
        }),
        other => Err(wrong_type("\"called\", \"calling\" or { header = \"..\" }", other)),
    }
}

/// Whether a text is of a kind that is typed as text.
fn textual(kind: Kind, text: &str) -> Result<(), Fault> {
    match kind {
        Kind::Address => address(text),
        Kind::Ip => text.parse::<IpAddr>().map(drop).map_err(|_| {
            Fault::new("expected an IP address").hint("without a port, such as \"203.0.113.10\"")
        }),
        Kind::DurationIn(..) => text.parse::<TypedDuration>().map(drop),
        Kind::KeepIn(..) => text.parse::<TypedKeep>().map(drop),
        Kind::HeaderName => header_fault(text).map_or(Ok(()), Err),
        Kind::Name | Kind::Names => name_fault(text).map_or(Ok(()), Err),
        Kind::Networks => text.parse::<TypedNetwork>().map(drop),
        Kind::OneOf(words) => one_of(words, text),
        Kind::Ports => text.parse::<PortRange>().map(drop),
        Kind::Ranges => text.parse::<Range>().map(drop).map_err(|error| {
            Fault::new(error.to_string()).hint("each number with its plus and country code")
        }),
        Kind::Region => region(text),
        _ => Ok(()),
    }
}

fn in_range(kind: Kind, text: &str) -> Scalar {
    let (min, max, expected) = match kind {
        Kind::DurationIn(min, max) => (min, max, format!("{min} to {max}")),
        Kind::KeepIn(min, max) => (min, max, format!("{min} to {max}, or forever")),
        _ => return Ok(()),
    };
    let read = |text: &str| match kind {
        Kind::KeepIn(..) => text.parse::<TypedKeep>().ok().and_then(|kept| kept.0),
        _ => text.parse::<TypedDuration>().ok().map(|duration| duration.0),
    };
    // What is kept for ever is no duration.
    let is_in_range = read(text).is_none_or(|it| read(min) <= Some(it) && Some(it) <= read(max));
    if is_in_range {
        return Ok(());
    }
    Err(("E-RANGE", Fault::new(format!("expected {expected}, found {text}"))))
}

fn text_fault(text: &str) -> Option<Fault> {
    if text.is_empty() {
        Some(Fault::new("the text is empty"))
    } else if text.len() > TEXT_LEN_MAX {
        Some(Fault::new(format!("the text is longer than {TEXT_LEN_MAX} bytes")))
    } else {
        // Values end up in SIP headers and on terminals.
        let control = text.chars().any(char::is_control);
        control.then(|| Fault::new("the text holds a control character"))
    }
}

fn address(text: &str) -> Result<(), Fault> {
    if text.parse::<SocketAddr>().is_ok() {
        return Ok(());
    }
    let form = "expected an IP address and a port";
    if let Ok(ip) = text.parse::<IpAddr>() {
        let fix = SocketAddr::new(ip, SIP_PORT).to_string();
        return Err(Fault::new(form).hint("the port is missing; SIP's own is 5060").fix(fix));
    }
    if text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.contains(|c: char| c.is_ascii_alphabetic() && !c.is_ascii_hexdigit())
    {
        return Err(Fault::new("this is a name, and names are not looked up")
            .hint("write the address, such as \"192.0.2.70:5060\" or \"[2001:db8::7]:5060\""));
    }
    Err(Fault::new(form).hint("such as \"192.0.2.70:5060\" or \"[2001:db8::7]:5060\""))
}

fn one_of(words: &[&str], text: &str) -> Result<(), Fault> {
    if words.contains(&text) {
        return Ok(());
    }
    let fault = Fault::new(format!("expected one of {}", words.join(", ")));
    Err(match nearest(text, words.iter().copied()) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")).fix(near),
        None => fault,
    })
}

fn region(text: &str) -> Result<(), Fault> {
    let bytes = text.as_bytes();
    if bytes.len() == 2 && bytes.iter().all(u8::is_ascii_uppercase) {
        return Ok(());
    }
    let fault = Fault::new("expected two capital letters").hint("ISO 3166-1, such as \"ES\"");
    let two_letters = bytes.len() == 2 && bytes.iter().all(u8::is_ascii_alphabetic);
    Err(if two_letters { fault.fix(text.to_ascii_uppercase()) } else { fault })
}

/// A token of RFC 3261 section 25.1.
pub(super) fn header_fault(text: &str) -> Option<Fault> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c);
    match text.chars().find(|&c| !is_token(c)) {
        _ if text.is_empty() || text.len() > NAME_LEN_MAX => {
            Some(Fault::new(format!("a header's name has 1 to {NAME_LEN_MAX} characters")))
        }
        Some(odd) => Some(
            Fault::new(format!("`{}` cannot stand in a header's name", odd.escape_debug()))
                .hint("such as \"X-Campaign-ID\""),
        ),
        None => None,
    }
}

pub(super) fn name_fault(text: &str) -> Option<Fault> {
    if text.is_empty() || text.len() > NAME_LEN_MAX {
        return Some(Fault::new(format!("a name has 1 to {NAME_LEN_MAX} characters")));
    }
    // Names stand in SIP headers, file names and metrics.
    if text.starts_with('.') {
        return Some(Fault::new("a name does not begin with a dot"));
    }
    let odd = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.".contains(*c))?;
    Some(
        Fault::new(format!("`{}` cannot stand in a name", odd.escape_debug()))
            .hint("a name is made of a-z, 0-9, `-`, `_` and `.`; a title may be anything"),
    )
}
