//! Whether what is typed has the shape that [`keys`](super::keys) lists: known keys, the right
//! kinds, values in range. All faults at once; what is missing gets its default.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;
use super::keys::{Child, KEYS, Key, Kind, Presence, children, is_chosen};
use super::scalar::{header_fault, kind_of, name_fault, scalar, text_of};
use super::source::{Place, Source};
use super::value::{Fault, nearest};
use crate::model::Digits;

/// Most elements of a list; a campaign that matches more users than this wants a header.
const LIST_LEN_MAX: usize = 1000;

/// Which table is walked.
pub(super) struct TablePath {
    /// As in [`KEYS`].
    path: String,
    /// As it is typed.
    headline: String,
    /// Where it is typed; of a table that nobody typed, where its parent is.
    at: Range<usize>,
}

impl TablePath {
    /// The table `path`, typed as `headline` at `at`.
    pub(super) fn new(path: &str, headline: String, at: Range<usize>) -> Self {
        Self { path: path.to_owned(), headline, at }
    }

    fn inner(&self, segment: &str, typed: &str, at: Range<usize>) -> Self {
        let is_bare = typed.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let quote = if is_bare && !is_digits(segment) { "" } else { "\"" };
        Self {
            path: format!("{}.{segment}", self.path),
            headline: format!("{}.{quote}{typed}{quote}", self.headline),
            at,
        }
    }
}

/// Codes are quoted even where TOML needs no quotes, so that all of them look alike.
fn is_digits(segment: &str) -> bool {
    segment == "KEYS"
}

/// Walks one table and all below it.
///
/// What is faulty is reported and taken out, so that the rest can still be read and checked.
pub(super) struct Shape<'a> {
    source: &'a Arc<Source>,
    faults: &'a mut Vec<Diagnostic>,
    is_readable: bool,
}

impl<'a> Shape<'a> {
    pub(super) const fn new(source: &'a Arc<Source>, faults: &'a mut Vec<Diagnostic>) -> Self {
        Self { source, faults, is_readable: true }
    }

    /// Whether all that must be written is there and right, so that the table has a value.
    pub(super) const fn is_readable(&self) -> bool {
        self.is_readable
    }

    /// Checks the table `path`, and completes it by defaults.
    pub(super) fn table(&mut self, path: &TablePath, table: &mut DeTable<'_>) {
        let known = children(&path.path);
        let mut faulty: Vec<String> = Vec::new();
        for (key, value) in table.iter_mut() {
            if !self.entry(path, &known, key, value) {
                faulty.push(key.get_ref().to_string());
            }
        }
        for faulty in &faulty {
            table.remove(faulty.as_str());
        }
        for &(segment, child) in &known {
            if !is_chosen(segment) && !table.contains_key(segment) {
                let was_faulty = faulty.iter().any(|faulty| faulty == segment);
                self.complete(path, table, segment, child, was_faulty);
            }
        }
    }

    /// Whether one entry is known and right.
    fn entry(
        &mut self,
        path: &TablePath,
        known: &[(&'static str, Child)],
        key: &Spanned<Cow<'_, str>>,
        value: &mut Spanned<DeValue<'_>>,
    ) -> bool {
        let typed: &str = key.get_ref();
        let Some((segment, child)) = known
            .iter()
            .find(|(segment, _)| *segment == typed)
            .or_else(|| known.iter().find(|(segment, _)| is_chosen(segment)))
        else {
            let fault = report_unknown(&path.headline, typed, self.place(key.span()), known);
            self.faults.push(fault);
            return false;
        };
        let is_named = !is_chosen(segment) || self.name(segment, typed, key.span());
        let span = value.span();
        let is_right = match (child, value.get_mut()) {
            (Child::Key(key), value) => self.value(key, &span, value),
            (Child::Table, DeValue::Table(table)) => {
                self.table(&path.inner(segment, typed, key.span()), table);
                true
            }
            (Child::Table, other) => {
                let message = format!("`{typed}` is a table, not a value");
                let found = kind_of(other);
                let fault = Diagnostic::error("E-TYPE", message, self.place(span));
                self.faults.push(fault.label(format!("expected a table, found {found}")).hint(
                    format!("write a headline: [{}]", path.inner(segment, typed, 0..0).headline),
                ));
                false
            }
        };
        is_named && is_right
    }

    /// Puts in what is missing: a default, a table of defaults; or says that it must be written.
    fn complete(
        &mut self,
        path: &TablePath,
        table: &mut DeTable<'_>,
        segment: &'static str,
        child: Child,
        was_faulty: bool,
    ) {
        let value = match child {
            Child::Table => {
                let mut inner = DeTable::new();
                self.table(&path.inner(segment, segment, path.at.clone()), &mut inner);
                DeValue::Table(inner)
            }
            Child::Key(key) => match key.presence {
                Presence::Optional(_) => return,
                Presence::Default(text, _) => default_value(text),
                Presence::Required => {
                    self.is_readable = false;
                    if !was_faulty {
                        self.missing(path, key, segment);
                    }
                    return;
                }
            },
        };
        let key = Spanned::new(path.at.clone(), segment.into());
        table.insert(key, Spanned::new(path.at.clone(), value));
    }

    fn missing(&mut self, path: &TablePath, key: &Key, segment: &str) {
        let message = format!("[{}] needs the key `{segment}`", path.headline);
        self.faults.push(
            Diagnostic::error("E-KEY-MISSING", message, self.place(path.at.clone()))
                .label(format!("`{segment}` is missing here"))
                .hint(format!("such as: {segment} = {}", key.example)),
        );
    }

    /// Whether a name that the operator chose can be one.
    pub(super) fn name(&mut self, segment: &str, typed: &str, span: Range<usize>) -> bool {
        let fault = match segment {
            "KEYS" => typed.parse::<Digits>().err().map(|error| {
                Fault::new(error.to_string())
                    .hint("a code is what the person presses, such as \"9\" or \"*2\"")
            }),
            "HEADER" => header_fault(typed),
            _ => name_fault(typed),
        };
        let Some(fault) = fault else { return true };
        let what = match segment {
            "KEYS" => "a code",
            "HEADER" => "a header",
            _ => "a name",
        };
        self.report("E-NAME", format!("`{typed}` cannot be {what}"), span, fault);
        false
    }

    /// Whether a value is of its key's kind and in its range.
    fn value(&mut self, key: &Key, span: &Range<usize>, value: &DeValue<'_>) -> bool {
        let (_, last) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        let what =
            if is_chosen(last) { "the header's value".to_owned() } else { format!("`{last}`") };
        let before = self.faults.len();
        if let Kind::Names | Kind::Networks | Kind::Ranges | Kind::SeveralOf(_) | Kind::Texts =
            key.kind
        {
            self.list(key, &what, span, value);
        } else if let Err((code, fault)) = scalar(key.kind, value) {
            self.report(code, format!("{what} has a value it cannot have"), span.clone(), fault);
        }
        self.faults.len() == before
    }

    fn list(&mut self, key: &Key, what: &str, span: &Range<usize>, value: &DeValue<'_>) {
        let message = format!("{what} has a value it cannot have");
        let DeValue::Array(items) = value else {
            let found = kind_of(value);
            let mut fault = Fault::new(format!("expected a list, found {found}"));
            if let Some(text) = text_of(value) {
                fault = fault.hint("put it in brackets").fix(format!("[\"{text}\"]"));
            }
            self.faults.push(render_fault("E-TYPE", message, self.place(span.clone()), fault));
            return;
        };
        if items.is_empty() && !matches!(key.kind, Kind::Names | Kind::Ranges | Kind::Texts) {
            let fault = Fault::new("the list is empty").hint(format!("such as {}", shown(key)));
            self.report("E-VALUE", message.clone(), span.clone(), fault);
        }
        if items.len() > LIST_LEN_MAX {
            let fault = Fault::new(format!("more than {LIST_LEN_MAX} elements"));
            self.report("E-RANGE", message.clone(), span.clone(), fault);
        }
        let kind = match key.kind {
            Kind::SeveralOf(words) => Kind::OneOf(words),
            other => other,
        };
        let mut seen = BTreeSet::new();
        for item in items.iter().take(LIST_LEN_MAX) {
            if let Err((code, fault)) = scalar(kind, item.get_ref()) {
                self.report(code, message.clone(), item.span(), fault);
            } else if !seen.insert(text_of(item.get_ref())) {
                let fault = Fault::new("this stands in the list already").hint("leave it out");
                self.report("E-VALUE", message.clone(), item.span(), fault);
            }
        }
    }

    /// A fault of a string: its fix is put in quotes.
    fn report(&mut self, code: &'static str, message: String, span: Range<usize>, fault: Fault) {
        let place = self.place(span);
        let quoted = fault.fix.as_ref().map(|fix| format!("\"{fix}\""));
        let fault = Fault { fix: quoted, ..fault };
        self.faults.push(render_fault(code, message, place, fault));
    }

    fn place(&self, span: Range<usize>) -> Place {
        Place::new(self.source, span)
    }
}

/// A key that nothing enforces, with what was probably meant.
pub(super) fn report_unknown(
    headline: &str,
    typed: &str,
    place: Place,
    known: &[(&'static str, Child)],
) -> Diagnostic {
    let names = known.iter().map(|(segment, _)| *segment);
    let is_root = headline.is_empty();
    let table = if is_root { "any file".to_owned() } else { format!("[{headline}]") };
    let what = if is_root { "table" } else { "key" };
    let message = format!("`{typed}` is no {what} of {table}");
    let fault = Diagnostic::error("E-KEY-UNKNOWN", message, place);
    let elsewhere = KEYS.iter().find(|key| key.path.rsplit('.').next() == Some(typed));
    if let (false, Some(key)) = (is_root, elsewhere) {
        let (table, _) = key.path.rsplit_once('.').unwrap_or((key.path, ""));
        return fault.label("unknown here").hint(format!("`{typed}` is a key of [{table}]"));
    }
    let fault = fault.label(format!("unknown {what}"));
    match nearest(typed, names.clone()) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")).patch(near),
        None => {
            let list: Vec<&str> = names.collect();
            fault.hint(format!("there are: {}", list.join(", ")))
        }
    }
}

fn render_fault(code: &'static str, message: String, place: Place, fault: Fault) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(code, message, place).label(fault.reason);
    if let Some(hint) = fault.hint.or_else(|| fault.fix.as_ref().map(|_| "write it so".to_owned()))
    {
        diagnostic = diagnostic.hint(hint);
    }
    if let Some(fix) = fault.fix {
        diagnostic = diagnostic.patch(fix);
    }
    diagnostic
}

/// What the reference shows as the key's value.
pub(super) fn shown(key: &Key) -> &'static str {
    match key.presence {
        Presence::Default(value, _) if key.example.is_empty() => value,
        _ => key.example,
    }
}

fn default_value(text: &'static str) -> DeValue<'static> {
    DeValue::parse(text).expect("each default is read by the test of the reference").into_inner()
}
