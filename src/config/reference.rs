//! The generated `config/reference.toml`: every table and key with its meaning, default and range.

use std::fmt::Write;

use super::keys::{KEYS, Key, Kind, Presence, TABLES, is_chosen};
use super::shape::shown;

/// Widest line of a comment.
const WIDTH: usize = 100;

const HEAD: &str = "\
Every key of Bajavoz, generated from the program's own list; the engine does not read this file.
A key that is not written has the value shown here, unless it says otherwise. Names in headlines
(main, carrier-a, vicidial, ..) are yours to choose. Durations are a whole number and a unit: ms,
s, m, h, or d and y (366 days) for what is kept. Each table may stand in any *.toml of this folder
or of campaigns/, but only in one.";

/// The text of `config/reference.toml`. It loads as it stands, as a bridge campaign; the keys that
/// are only for ivr campaigns or registries are commented out.
pub fn reference() -> String {
    let mut text = String::new();
    comment(&mut text, HEAD);
    for table in TABLES {
        text.push('\n');
        comment(&mut text, table.doc);
        let _ = writeln!(text, "[{}]", table.example); // Writing to a String cannot fail.
        let keys = KEYS.iter().filter(|key| {
            key.path.rsplit_once('.').is_some_and(|(of_table, _)| of_table == table.path)
        });
        for (index, key) in keys.enumerate() {
            if index > 0 {
                text.push('\n');
            }
            entry(&mut text, key);
        }
    }
    text
}

fn entry(text: &mut String, key: &Key) {
    let (_, last) = key.path.rsplit_once('.').unwrap_or(("", key.path));
    let last = if is_chosen(last) { "\"X-Campaign-ID\"" } else { last };
    let range = range(key.kind);
    let absent = match key.presence {
        Presence::Required => "Must be written.".to_owned(),
        Presence::Default(value, why) => format!("Default {value}: {why}."),
        Presence::Optional(meaning) => format!("Not written: {meaning}."),
    };
    comment(text, &format!("{} {range}{absent}", key.doc));
    let is_other = is_for_others(key.path) || is_for_other_stores(key.path);
    let mark = if is_other { "# " } else { "" };
    let _ = writeln!(text, "{mark}{last} = {}", shown(key)); // As above.
}

/// Nothing in the reference's bridge campaign plays a greeting, and its list is no registry.
fn is_for_others(key: &str) -> bool {
    key.starts_with("campaigns.NAME.greeting.")
        || ["lists.NAME.max-age-days", "lists.NAME.on-stale"].contains(&key)
}

/// The reference keeps its opt-outs in a file, and numbers as they are.
fn is_for_other_stores(key: &str) -> bool {
    [
        "store.url",
        "store.tls",
        "store.ca",
        "store.ack",
        "store.stale-after",
        "store.number-key",
        "campaigns.NAME.on-stale",
    ]
    .contains(&key)
}

fn range(kind: Kind) -> String {
    match kind {
        Kind::Count(min, max) => format!("{min} to {max}. "),
        Kind::DurationIn(min, max) => format!("{min} to {max}. "),
        Kind::KeepIn(min, max) => format!("{min} to {max}, or forever. "),
        Kind::OneOf(words) => format!("One of {}. ", words.join(", ")),
        Kind::SeveralOf(words) => format!("Of {}. ", words.join(", ")),
        Kind::Status(statuses) => {
            let list: Vec<String> = statuses.iter().map(i64::to_string).collect();
            format!("One of {}. ", list.join(", "))
        }
        _ => String::new(),
    }
}

/// `prose` behind hash marks, broken between words.
fn comment(text: &mut String, prose: &str) {
    for paragraph in prose.lines() {
        let mut line = String::from("#");
        for word in paragraph.split(' ') {
            if line.len() + 1 + word.len() > WIDTH {
                text.push_str(&line);
                text.push('\n');
                line = String::from("#");
            }
            line.push(' ');
            line.push_str(word);
        }
        text.push_str(&line);
        text.push('\n');
    }
}
