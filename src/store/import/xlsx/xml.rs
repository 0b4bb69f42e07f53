//! The XML of a workbook, tag by tag, in the memory of one tag and one text.
//!
//! The crate `quick-xml` reads it. What is ours are limits that it has not: how long a tag or a
//! text is and how deep elements stand in each other; and that comments, CDATA and document types
//! are refused, since no spreadsheet writes them and whoever hides something does: without a document
//! type there are no entities but the five named and the numbered ones.
//!
//! Source: XML 1.0, sections 2 and 4.6; ECMA-376 part 1, section 22.4.2.4 (`_x000D_`).

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::sync::Arc;

use quick_xml::Error;
use quick_xml::Reader;
use quick_xml::errors::SyntaxError;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::escape::unescape;
use quick_xml::events::BytesRef;
use quick_xml::events::Event;
use quick_xml::events::attributes::Attributes;

use super::damaged;

/// Octets of one tag, text or cell at most; Excel has at most 32,767 characters in a cell.
pub(super) const TEXT_LEN_MAX: usize = 128 * 1024;
/// How deep elements stand in each other at most. Our choice: spreadsheets' deepest are at some
/// twenty, in what their makers add behind a table.
pub(super) const DEPTH_MAX: usize = 64;
/// How much is read at a time.
const READ_LEN: usize = 64 * 1024;

/// The tags and texts of a document, in turn.
#[derive(Debug)]
pub(super) struct Xml<R> {
    reader: Reader<Limited<R>>,
    /// Of one tag or text.
    buffer: Vec<u8>,
    /// The tag that was read last, without its brackets and its slash.
    tag: String,
    /// How long the element's name is, with which the tag begins.
    name_len: usize,
    /// Whether the tag ends its element. One that is its own end comes twice.
    is_end: bool,
    /// The text before it.
    text: String,
    /// Elements that have no end yet.
    depth: usize,
}

impl<R: Read> Xml<R> {
    /// The document in `input`.
    pub(super) fn new(input: R) -> Self {
        let input = BufReader::with_capacity(READ_LEN, input);
        let mut reader = Reader::from_reader(Limited { input, left: TEXT_LEN_MAX });
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.allow_dangling_amp = true; // It stands for itself, and the row is judged by it.
        let (buffer, tag, text) = (Vec::new(), String::new(), String::new());
        Self { reader, buffer, tag, name_len: 0, is_end: false, text, depth: 0 }
    }

    /// Reads on to the next tag; false at the end of the document.
    pub(super) fn next(&mut self) -> io::Result<bool> {
        self.text.clear();
        loop {
            self.buffer.clear();
            // One more tells a text of the longest from one that goes on.
            self.reader.get_mut().left = TEXT_LEN_MAX + 1;
            match self.reader.read_event_into(&mut self.buffer).map_err(told)? {
                Event::Start(tag) => {
                    self.depth += 1;
                    if self.depth > DEPTH_MAX {
                        return Err(damaged("its elements stand too deep in each other"));
                    }
                    self.name_len = tag.name().into_inner().len();
                    self.is_end = false;
                    set(&mut self.tag, &tag);
                    return Ok(true);
                }
                Event::End(tag) => {
                    self.depth = self.depth.saturating_sub(1);
                    self.name_len = tag.len();
                    self.is_end = true;
                    set(&mut self.tag, &tag);
                    return Ok(true);
                }
                Event::Text(text) => add(&mut self.text, &text)?,
                Event::GeneralRef(reference) => add_referred(&mut self.text, &reference)?,
                Event::Decl(_) | Event::PI(_) => {}
                Event::Eof if self.depth > 0 => return Err(damaged("it is cut")),
                Event::Eof => return Ok(false),
                Event::CData(_) | Event::Comment(_) | Event::DocType(_) | Event::Empty(_) => {
                    return Err(damaged("it has what no spreadsheet writes"));
                }
            }
        }
    }

    /// Whether the tag is `name`, or ends it where `name` begins with a slash.
    pub(super) fn is(&self, name: &str) -> bool {
        let end = name.strip_prefix('/');
        end.is_some() == self.is_end && self.tag.get(..self.name_len) == Some(end.unwrap_or(name))
    }

    /// The value of an attribute of the tag.
    pub(super) fn attribute(&self, name: &str) -> io::Result<Option<String>> {
        let mut attributes = Attributes::new(&self.tag, self.name_len);
        // Of two of a name the first counts; to look for them takes the square of their number.
        for attribute in attributes.with_checks(false) {
            let attribute = attribute.map_err(|_error| damaged("a tag of it is none"))?;
            if attribute.key.into_inner() == name {
                let value = unescape(&attribute.value).ok();
                return Ok(Some(unescaped(value.as_deref().unwrap_or(&attribute.value))));
            }
        }
        Ok(None)
    }

    /// The text before the tag.
    pub(super) fn text(&self) -> String {
        unescaped(&self.text)
    }

    /// All text within `<t>` up to the end of the element `name`, whose tag was read. Phonetic
    /// readings, which stand beside the text, are left out.
    pub(super) fn texts(&mut self, name: &str) -> io::Result<String> {
        let (mut all, mut is_text, mut is_phonetic) = (String::new(), false, false);
        let end = format!("/{name}");
        loop {
            if !self.next()? {
                return Err(damaged("it is cut"));
            }
            if is_text && !is_phonetic {
                add(&mut all, &self.text())?;
            }
            if self.is(&end) {
                return Ok(all);
            }
            is_phonetic = self.is("rPh") || (is_phonetic && !self.is("/rPh"));
            is_text = self.is("t");
        }
    }
}

fn set(text: &mut String, to: &str) {
    text.clear();
    text.push_str(to);
}

fn add(text: &mut String, more: &str) -> io::Result<()> {
    if text.len() + more.len() > TEXT_LEN_MAX {
        return Err(damaged("a cell is too long"));
    }
    text.push_str(more);
    Ok(())
}

/// What a reference stands for; one that stands for nothing is left as it is.
fn add_referred(text: &mut String, reference: &BytesRef<'_>) -> io::Result<()> {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        return add(text, character.encode_utf8(&mut [0; 4]));
    }
    match resolve_predefined_entity(reference) {
        Some(meant) => add(text, meant),
        None => add(text, &format!("&{};", &**reference)),
    }
}

/// What `quick-xml` says in our words.
fn told(error: Error) -> io::Error {
    match error {
        Error::Io(error) => Arc::try_unwrap(error)
            .unwrap_or_else(|error| io::Error::new(error.kind(), error.to_string())),
        Error::Encoding(_) => damaged("it is no UTF-8"),
        Error::Syntax(
            SyntaxError::UnclosedTag | SyntaxError::UnclosedPI | SyntaxError::UnclosedXmlDecl,
        ) => damaged("it is cut"),
        Error::Syntax(
            SyntaxError::InvalidBangMarkup
            | SyntaxError::UnclosedCData
            | SyntaxError::UnclosedComment
            | SyntaxError::UnclosedDoctype,
        ) => damaged("it has what no spreadsheet writes"),
        Error::Syntax(_)
        | Error::IllFormed(_)
        | Error::InvalidAttr(_)
        | Error::Escape(_)
        | Error::Namespace(_) => damaged("a tag of it is none"),
    }
}

/// Text without the `_x000D_` by which spreadsheets write what XML cannot.
fn unescaped(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('_') {
        let (before, from) = rest.split_at(at);
        let (character, len) = escape(from).unwrap_or(('_', 1));
        out.push_str(before);
        out.push(character);
        rest = from.get(len..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The character of an escape such as `_x005F_` that `text` begins with, and how long that is.
fn escape(text: &str) -> Option<(char, usize)> {
    let hex = text.strip_prefix("_x")?.get(..4)?;
    text.get(6..7).filter(|end| *end == "_")?;
    Some((char::from_u32(u32::from_str_radix(hex, 16).ok()?)?, 7))
}

/// An input of which so many octets are given out and no more: the reader takes a tag or a text
/// whole into memory, however long it is.
#[derive(Debug)]
struct Limited<R> {
    input: BufReader<R>,
    left: usize,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        let len = self.fill_buf()?.read(octets)?;
        self.consume(len);
        Ok(len)
    }
}

impl<R: Read> BufRead for Limited<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(damaged("a cell is too long"));
        }
        let ready = self.input.fill_buf()?;
        Ok(ready.get(..self.left).unwrap_or(ready))
    }

    fn consume(&mut self, len: usize) {
        self.left = self.left.saturating_sub(len);
        self.input.consume(len);
    }
}
