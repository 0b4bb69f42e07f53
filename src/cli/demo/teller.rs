//! Who tells the user what happens: in words as it happens, or in one JSON document at the end.

use std::io;
use std::io::Write;

use super::document::Document;
use crate::cli::page::Page;

/// The user's page, and the form in which he reads it.
#[derive(Debug)]
pub(super) struct Teller<'a> {
    page: &'a mut Page,
    json: bool,
}

impl<'a> Teller<'a> {
    /// For people, or with `json` for programs.
    pub(super) fn new(page: &'a mut Page, json: bool) -> Self {
        Self { page, json }
    }

    /// Tells people `text`, at once; programs wait for the document.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        writeln!(self.page, "{text}")?;
        self.page.flush()
    }

    /// Gives programs the whole; people have been told it.
    pub(super) fn document(&mut self, document: &Document) -> io::Result<()> {
        if !self.json {
            return Ok(());
        }
        self.page.json(document)?;
        self.page.flush()
    }
}
