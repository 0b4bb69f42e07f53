//! The text of one file, and places in it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::campaign::Origin;

/// One configuration file as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    path: Arc<str>,
    text: String,
}

impl Source {
    /// The file `path`, as the person who started us would name it, holding `text`.
    pub fn new(path: &str, text: String) -> Arc<Self> {
        Arc::new(Self { path: path.into(), text })
    }

    /// The name of the file.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its whole text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A stretch of one file.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    source: Arc<Source>,
    range: Range<usize>,
}

impl Place {
    /// The bytes `range` of `source`; what lies beyond its end, or inside a character, is clamped
    /// to what does not.
    pub fn new(source: &Arc<Source>, range: Range<usize>) -> Self {
        let text = source.text();
        let start = text.floor_char_boundary(range.start);
        let end = text.ceil_char_boundary(range.end).max(start);
        Self { source: Arc::clone(source), range: start..end }
    }

    /// The file.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The bytes in [`Source::text`], on character boundaries.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The line of its beginning, from 1.
    pub fn line(&self) -> u32 {
        let newlines = self.before().bytes().filter(|&byte| byte == b'\n').count();
        u32::try_from(newlines).map_or(u32::MAX, |lines| lines.saturating_add(1))
    }

    /// The column of its beginning in characters, from 1.
    pub fn column(&self) -> u32 {
        let line = self.before().rsplit('\n').next().unwrap_or_default();
        u32::try_from(line.chars().count()).map_or(u32::MAX, |column| column.saturating_add(1))
    }

    /// File and line, for values that outlive the text.
    pub fn origin(&self) -> Origin {
        Origin { file: Arc::clone(&self.source.path), line: self.line() }
    }

    fn before(&self) -> &str {
        self.source.text.get(..self.range.start).unwrap_or_default()
    }
}

impl fmt::Display for Place {
    /// `file:line:column`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source.path, self.line(), self.column())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        let source = Source::new("a.toml", "x = 1\nñandú = \"é\"\n".to_owned());
        #[rustfmt::skip]
        let cases = [
            ("the first byte",                   0..1,     "a.toml:1:1"),
            ("the second line",                  6..8,     "a.toml:2:1"),
            ("characters, not bytes",           16..17,    "a.toml:2:9"),
            ("inside a character: its start",    7..8,     "a.toml:2:1"),
            ("beyond the end: the end",        900..901,   "a.toml:3:1"),
        ];
        for (name, range, want) in cases {
            assert_eq!(Place::new(&source, range).to_string(), want, "{name}");
        }
    }
}
