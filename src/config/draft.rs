//! All files as one draft: each table once, read into its type, and what was wrong on the way.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::diagnostic::Diagnostic;
use super::file;
use super::keys::{Child, children, is_chosen};
use super::shape::{Shape, TablePath, report_unknown};
use super::source::{Place, Source};

/// A table with the file it stands in.
#[derive(Debug)]
pub(super) struct Located<T> {
    /// The name in its headline.
    pub(super) at: Place,
    pub(super) value: T,
    /// Whether nothing in it was faulty and left out; else no one may complain of what is missing.
    pub(super) is_whole: bool,
}

impl<T> Located<T> {
    /// The place of a value inside this table.
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        Place::new(self.at.source(), span)
    }
}

/// The tables of one kind by name; `None` where one stands there but is faulty, so that whoever
/// names it is not told that it does not exist.
pub(super) type Named<T> = BTreeMap<String, Option<Located<T>>>;

/// All tables of all files.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) node: Option<Located<file::Node>>,
    pub(super) media: Option<Located<file::Media>>,
    pub(super) prompts: Option<Located<file::Prompts>>,
    pub(super) store: Option<Located<file::Store>>,
    pub(super) evidence: Option<Located<file::Evidence>>,
    pub(super) http: Option<Located<file::Http>>,
    pub(super) telemetry: Option<Located<file::Telemetry>>,
    pub(super) limits: Option<Located<file::Limits>>,
    pub(super) listen: Named<file::Listen>,
    pub(super) trunks: Named<file::Trunk>,
    pub(super) dialers: Named<file::Dialer>,
    pub(super) lists: Named<file::List>,
    pub(super) campaigns: Named<file::Campaign>,
}

/// Reads `sources`; `None` where the text of some file is no TOML, since then nothing can be said
/// about what is missing. Every fault is in `faults`.
pub(super) fn read(sources: &[Arc<Source>], faults: &mut Vec<Diagnostic>) -> Option<Draft> {
    let mut tables = Tables { found: BTreeMap::new(), faults };
    let mut is_whole = true;
    for source in sources {
        let (root, errors) = DeTable::parse_recoverable(source.text());
        for error in &errors {
            is_whole = false;
            let place = Place::new(source, error.span().unwrap_or_default());
            let fault = Diagnostic::error("E-SYNTAX", "this is no TOML", place);
            tables.faults.push(fault.label(error.message()));
        }
        if errors.is_empty() {
            tables.gather(source, root.into_inner());
        }
    }
    is_whole.then(|| tables.into_draft(sources.first()))
}

struct Found<'s> {
    source: &'s Arc<Source>,
    at: Range<usize>,
    value: Spanned<DeValue<'s>>,
}

struct Tables<'s, 'f> {
    /// By path and, where the path ends in a chosen name, that name.
    found: BTreeMap<(&'static str, String), Found<'s>>,
    faults: &'f mut Vec<Diagnostic>,
}

impl<'s> Tables<'s, '_> {
    /// Splits a file into its tables.
    fn gather(&mut self, source: &'s Arc<Source>, root: DeTable<'s>) {
        let known = children("");
        for (key, value) in root {
            let typed: &str = key.get_ref();
            let Some((segment, _)) = known.iter().find(|(segment, _)| *segment == typed) else {
                self.faults.push(report_unknown("", typed, Place::new(source, key.span()), &known));
                continue;
            };
            let is_named =
                matches!(children(segment).as_slice(), [(name, Child::Table)] if is_chosen(name));
            if !is_named {
                self.enter(segment, String::new(), Found { source, at: key.span(), value });
                continue;
            }
            let span = value.span();
            let DeValue::Table(entries) = value.into_inner() else {
                let message = format!("`{typed}` is a table of tables, not a value");
                let hint = format!("write a headline: [{typed}.NAME]");
                let fault = Diagnostic::error("E-TYPE", message, Place::new(source, span));
                self.faults.push(fault.label("expected a table").hint(hint));
                continue;
            };
            for (name, value) in entries {
                let at = name.span();
                self.enter(segment, name.into_inner().into_owned(), Found { source, at, value });
            }
        }
    }

    fn enter(&mut self, segment: &'static str, name: String, found: Found<'s>) {
        let headline =
            if name.is_empty() { segment.to_owned() } else { format!("{segment}.{name}") };
        let Some(first) = self.found.get(&(segment, name.clone())) else {
            self.found.insert((segment, name), found);
            return;
        };
        let place = Place::new(found.source, found.at);
        let earlier = Place::new(first.source, first.at.clone());
        self.faults.push(
            Diagnostic::error("E-TABLE-TWICE", format!("[{headline}] stands twice"), place)
                .label("here again")
                .also(earlier, "first here")
                .hint("write all of it in one place; no file wins over another"),
        );
    }

    fn into_draft(mut self, main: Option<&'s Arc<Source>>) -> Draft {
        Draft {
            node: self.only("node", main),
            media: self.only("media", main),
            prompts: self.only("prompts", main),
            store: self.only("store", main),
            evidence: self.only("evidence", main),
            http: self.only("http", main),
            telemetry: self.only("telemetry", main),
            limits: self.only("limits", main),
            listen: self.named("listen", "listen.NAME"),
            trunks: self.named("trunks", "trunks.NAME"),
            dialers: self.named("dialers", "dialers.NAME"),
            lists: self.named("lists", "lists.NAME"),
            campaigns: self.named("campaigns", "campaigns.NAME"),
        }
    }

    /// A table that there is once; where nobody wrote it, all its defaults.
    fn only<T: DeserializeOwned>(
        &mut self,
        segment: &'static str,
        main: Option<&'s Arc<Source>>,
    ) -> Option<Located<T>> {
        let found = self.found.remove(&(segment, String::new())).or_else(|| {
            let value = Spanned::new(0..0, DeValue::Table(DeTable::new()));
            Some(Found { source: main?, at: 0..0, value })
        })?;
        self.read(segment, segment.to_owned(), found)
    }

    fn named<T: DeserializeOwned>(&mut self, segment: &'static str, path: &str) -> Named<T> {
        let mut rest = self.found.split_off(&(segment, String::new()));
        let mut named = Named::new();
        while let Some(entry) = rest.first_entry() {
            if entry.key().0 != segment {
                break;
            }
            let ((_, name), found) = entry.remove_entry();
            self.check_name(&name, &found);
            let headline = format!("{segment}.{name}");
            named.insert(name, self.read(path, headline, found));
        }
        self.found.append(&mut rest);
        named
    }

    fn check_name(&mut self, name: &str, found: &Found<'s>) {
        Shape::new(found.source, self.faults).name("NAME", name, found.at.clone());
    }

    fn read<T: DeserializeOwned>(
        &mut self,
        path: &str,
        headline: String,
        found: Found<'s>,
    ) -> Option<Located<T>> {
        let Found { source, at, mut value } = found;
        let place = Place::new(source, at.clone());
        let before = self.faults.len();
        let mut shape = Shape::new(source, self.faults);
        match value.get_mut() {
            DeValue::Table(table) => {
                shape.table(&TablePath::new(path, headline.clone(), at.clone()), table);
            }
            _ => {
                let fault = Diagnostic::error("E-TYPE", format!("[{headline}] is a table"), place);
                self.faults.push(fault.label("expected a table, found a value"));
                return None;
            }
        }
        if !shape.is_readable() {
            return None;
        }
        let is_whole = self.faults.len() == before;
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(value) => Some(Located { at: place, value, is_whole }),
            Err(error) => {
                let place = Place::new(source, error.span().unwrap_or(at));
                let fault =
                    Diagnostic::error("E-TYPE", format!("[{headline}] cannot be read"), place);
                self.faults.push(fault.label(error.message()));
                None
            }
        }
    }
}
