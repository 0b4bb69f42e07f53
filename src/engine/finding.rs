//! A finding in the configuration files, as it is printed and sent: plain values.

use serde::Deserialize;
use serde::Serialize;

use crate::campaign::Origin;
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
    /// From 1; 0 for what stands in no file.
    pub line: u32,
    /// In characters, from 1; 0 likewise.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// All of it for people, with the line of the file.
    pub text: String,
}

impl Finding {
    /// A warning about what begins at `origin`, by who compares configurations and has no text of
    /// the files at hand.
    pub(super) fn at(code: &str, origin: &Origin, message: &str, hint: &str) -> Self {
        Self {
            file: origin.file.to_string(),
            line: origin.line,
            column: 1,
            text: format!("warning[{code}]: {message}\n --> {origin}\nhelp: {hint}"),
            ..Self::of_no_place(code, message, hint)
        }
    }

    /// A warning about what stands in no file.
    pub fn of_no_place(code: &str, message: &str, hint: &str) -> Self {
        Self {
            severity: "warning".to_owned(),
            code: code.to_owned(),
            file: String::new(),
            line: 0,
            column: 0,
            message: message.to_owned(),
            hint: Some(hint.to_owned()),
            text: format!("warning[{code}]: {message}\nhelp: {hint}"),
        }
    }

    /// An error that stands in no file: the files are in order, and cannot be used here.
    pub fn of_use(code: &str, message: String) -> Self {
        Self {
            severity: "error".to_owned(),
            hint: None,
            text: format!("error[{code}]: {message}"),
            ..Self::of_no_place(code, &message, "")
        }
    }

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
