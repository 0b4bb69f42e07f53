//! What is wrong with the files: where, why, and what was probably meant.

use std::borrow::Cow;
use std::fmt;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Patch, Renderer, Snippet};

use super::source::Place;

/// Whether a finding keeps the configuration from loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It does.
    Error,
    /// It loads, but is probably not meant.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    severity: Severity,
    code: &'static str,
    message: String,
    place: Place,
    label: String,
    also: Option<(Place, String)>,
    hint: Option<String>,
    patch: Option<String>,
}

impl Diagnostic {
    /// An error of the stable `code`, such as `E-LIST-UNKNOWN`: `message` says what is wrong in a
    /// whole sentence, `label` what is wrong at exactly this `place`.
    pub fn error(code: &'static str, message: impl Into<String>, place: Place) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            place,
            label: String::new(),
            also: None,
            hint: None,
            patch: None,
        }
    }

    /// The same as a warning, with a code such as `W-CHECK-NONE`.
    pub fn warning(code: &'static str, message: impl Into<String>, place: Place) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message, place) }
    }

    /// What is wrong at exactly this place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// A second place that has to do with it.
    #[must_use]
    pub fn also(mut self, place: Place, label: impl Into<String>) -> Self {
        self.also = Some((place, label.into()));
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What to write in place of the marked text; shown with the hint.
    #[must_use]
    pub fn patch(mut self, replacement: impl Into<String>) -> Self {
        self.patch = Some(replacement.into());
        self
    }

    /// Error or warning.
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// The stable code, for scripts.
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it, if we know.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Where.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// With the source line, the way `rustc` prints it; `colour` for a terminal.
    pub fn render(&self, colour: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut report =
            vec![level.primary_title(&self.message).id(self.code).elements(self.snippets())];
        match (&self.hint, &self.patch) {
            (Some(hint), Some(patch)) => {
                let snippet = Snippet::source(shown(&self.place, self.is_secret()))
                    .path(self.place.source().path())
                    .patch(Patch::new(self.place.range(), patch));
                report.push(Group::with_title(Level::HELP.secondary_title(hint)).element(snippet));
            }
            (Some(hint), None) => {
                report.push(Group::with_title(Level::HELP.secondary_title(hint)));
            }
            (None, _) => {}
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&report)
    }

    /// One snippet where both places are in one file, else one each.
    fn snippets(&self) -> Vec<Snippet<'_, Annotation<'_>>> {
        let primary = AnnotationKind::Primary.span(self.place.range()).label(&self.label);
        let first = snippet(&self.place, self.is_secret()).annotation(primary);
        let Some((place, label)) = &self.also else { return vec![first] };
        let context = AnnotationKind::Context.span(place.range()).label(label);
        if place.source() == self.place.source() {
            return vec![first.annotation(context)];
        }
        vec![first, snippet(place, false).annotation(context)]
    }

    /// Whether what stands at its place must not be shown: a secret that was typed out.
    fn is_secret(&self) -> bool {
        let range = self.place.range();
        let typed = self.place.source().text().get(range).unwrap_or_default();
        self.code == "E-SECRET" && typed.starts_with(['"', '\''])
    }
}

fn snippet(place: &Place, is_secret: bool) -> Snippet<'_, Annotation<'_>> {
    Snippet::source(shown(place, is_secret)).path(place.source().path())
}

/// The text of the file, with stars of the same length in place of a secret.
fn shown(place: &Place, is_secret: bool) -> Cow<'_, str> {
    let text = place.source().text();
    if !is_secret {
        return text.into();
    }
    let range = place.range();
    let (before, behind) = (text.get(..range.start), text.get(range.end..));
    let stars = "*".repeat(range.len());
    (before.unwrap_or_default().to_owned() + &stars + behind.unwrap_or_default()).into()
}

impl fmt::Display for Diagnostic {
    /// On one line: `file:line:column: CODE: message: label; hint`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.code, self.message)?;
        if !self.label.is_empty() {
            write!(f, ": {}", self.label)?;
        }
        if let Some((place, label)) = &self.also {
            write!(f, "; {place}: {label}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}
