//! A finding in the configuration files, as it is printed and sent: plain values.

use serde::Deserialize;
use serde::Serialize;

use crate::config::Diagnostic;
use crate::config::Severity;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `error` or `warning`.
    pub severity: String,
    /// The stable code, such as `E-LIST-UNKNOWN`.
    pub code: String,
    /// The file, as the configuration folder was named.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// All of it for people, with the line of the file.
    pub text: String,
}

impl Finding {
    /// The finding of `diagnostic`; `colour` for a terminal.
    pub fn new(diagnostic: &Diagnostic, colour: bool) -> Self {
        let place = diagnostic.place();
        let severity = match diagnostic.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        Self {
            severity: severity.to_owned(),
            code: diagnostic.code().to_owned(),
            file: place.source().path().to_owned(),
            line: place.line(),
            column: place.column(),
            message: diagnostic.message().to_owned(),
            hint: diagnostic.hint_text().map(str::to_owned),
            text: diagnostic.render(colour),
        }
    }
}
