//! Small words for people.

/// `1 error`, `2 errors`.
pub(super) fn count(count: usize, noun: &str) -> String {
    let ending = match noun {
        _ if count == 1 => "",
        noun if noun.ends_with("ss") => "es",
        _ => "s",
    };
    format!("{count} {noun}{ending}")
}
