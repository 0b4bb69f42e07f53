//! The XML of a workbook, tag by tag, in the memory of one tag and one text.
//!
//! What spreadsheets write and no more: elements without a prefix, attributes, texts, and the five
//! named and the numbered entities. Comments, CDATA and document types are refused, since no
//! spreadsheet writes them and whoever hides something does.
//!
//! Source: XML 1.0, sections 2 and 4.6; ECMA-376 part 1, section 22.4.2.4 (`_x000D_`).

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;

use super::damaged;

/// Octets of one tag, text or cell at most; Excel has at most 32,767 characters in a cell.
pub(super) const TEXT_LEN_MAX: usize = 128 * 1024;
/// Octets of an entity's name and its semicolon at most; `#x10FFFF;` is the longest.
const ENTITY_LEN_MAX: usize = 10;
/// How much is read at a time.
const READ_LEN: usize = 64 * 1024;

/// The tags and texts of a document, in turn.
#[derive(Debug)]
pub(super) struct Xml<R> {
    input: BufReader<R>,
    /// The tag that was read last, without its brackets.
    tag: Vec<u8>,
    /// The text before it.
    text: Vec<u8>,
}

impl<R: Read> Xml<R> {
    /// The document in `input`.
    pub(super) fn new(input: R) -> Self {
        let input = BufReader::with_capacity(READ_LEN, input);
        Self { input, tag: Vec::new(), text: Vec::new() }
    }

    /// Reads on to the next tag; false at the end of the document.
    pub(super) fn next(&mut self) -> io::Result<bool> {
        self.text.clear();
        self.tag.clear();
        if !read_until(&mut self.input, b'<', &mut self.text)? {
            return Ok(false);
        }
        if !read_until(&mut self.input, b'>', &mut self.tag)? {
            return Err(damaged("it is cut"));
        }
        if self.tag.first() == Some(&b'!') {
            return Err(damaged("it has what no spreadsheet writes"));
        }
        Ok(true)
    }

    /// Whether the tag is `name`, or ends it where `name` begins with a slash.
    pub(super) fn is(&self, name: &str) -> bool {
        let rest = self.tag.strip_prefix(name.as_bytes());
        rest.is_some_and(|rest| rest.first().is_none_or(|next| b"/ \r\n\t".contains(next)))
    }

    /// Whether the tag ends its element too.
    pub(super) fn is_closed(&self) -> bool {
        self.tag.ends_with(b"/")
    }

    /// The value of an attribute of the tag.
    pub(super) fn attribute(&self, name: &str) -> io::Result<Option<String>> {
        let tag = str::from_utf8(&self.tag).map_err(|_error| damaged("it is no UTF-8"))?;
        let (_element, mut rest) = tag.split_once(char::is_whitespace).unwrap_or_default();
        while let Some((found, value)) = rest.split_once('=') {
            let quote = value.chars().next().filter(|quote| ['"', '\''].contains(quote));
            let value = quote.and_then(|quote| value.get(1..)?.split_once(quote));
            let (value, after) = value.ok_or_else(|| damaged("a tag of it is none"))?;
            if found.trim() == name {
                return Ok(Some(plain(value)));
            }
            rest = after;
        }
        Ok(None)
    }

    /// The text before the tag.
    pub(super) fn text(&self) -> io::Result<String> {
        let text = str::from_utf8(&self.text).map_err(|_error| damaged("it is no UTF-8"))?;
        Ok(plain(text))
    }

    /// All text within `<t>` up to the end of the element `name`, whose tag was read. Phonetic
    /// readings, which stand beside the text, are left out.
    pub(super) fn texts(&mut self, name: &str) -> io::Result<String> {
        let (mut all, mut is_text, mut is_phonetic) = (String::new(), false, false);
        if self.is_closed() {
            return Ok(all);
        }
        let end = format!("/{name}");
        loop {
            if !self.next()? {
                return Err(damaged("it is cut"));
            }
            if is_text && !is_phonetic {
                all.push_str(&self.text()?);
            }
            if all.len() > TEXT_LEN_MAX {
                return Err(damaged("a cell is too long"));
            }
            if self.is(&end) {
                return Ok(all);
            }
            is_phonetic = self.is("rPh") || (is_phonetic && !self.is("/rPh"));
            is_text = self.is("t") && !self.is_closed();
        }
    }
}

/// Reads up to `end`, which is taken and left out; false when there is none any more.
fn read_until(input: &mut impl BufRead, end: u8, into: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let ready = input.fill_buf()?;
        if ready.is_empty() {
            return Ok(false);
        }
        let found = ready.iter().position(|octet| *octet == end);
        let part = ready.get(..found.unwrap_or(ready.len())).unwrap_or_default();
        if into.len() + part.len() > TEXT_LEN_MAX {
            return Err(damaged("a cell is too long"));
        }
        into.extend_from_slice(part);
        let taken = part.len() + usize::from(found.is_some());
        input.consume(taken);
        if found.is_some() {
            return Ok(true);
        }
    }
}

/// Text without its entities and without the `_x000D_` by which spreadsheets write what XML cannot.
fn plain(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(['&', '_']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let (character, len) = entity(from).or_else(|| escape(from)).unwrap_or_else(|| {
            let first = from.chars().next().unwrap_or_default();
            (first, first.len_utf8())
        });
        out.push(character);
        rest = from.get(len..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The character of an entity that `text` begins with, and how long that is.
fn entity(text: &str) -> Option<(char, usize)> {
    let rest = text.strip_prefix('&')?;
    let end = rest.bytes().take(ENTITY_LEN_MAX).position(|octet| octet == b';')?;
    let name = rest.get(..end)?;
    let character = match name {
        "amp" => '&',
        "apos" => '\'',
        "gt" => '>',
        "lt" => '<',
        "quot" => '"',
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(number)?
        }
    };
    Some((character, name.len() + 2))
}

/// As [`entity`], for `_x005F_`.
fn escape(text: &str) -> Option<(char, usize)> {
    let hex = text.strip_prefix("_x")?.get(..4)?;
    text.get(6..7).filter(|end| *end == "_")?;
    Some((char::from_u32(u32::from_str_radix(hex, 16).ok()?)?, 7))
}
