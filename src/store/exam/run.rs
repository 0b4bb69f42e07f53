//! An examination at work.

use std::collections::HashSet;
use std::error::Error;
use std::path::Path;
use std::path::PathBuf;

use crate::model::RecordId;
use crate::model::WriterId;
use crate::store::StoreError;
use crate::store::archive::journal_dir;
use crate::store::archive::open_record;
use crate::store::audio::AudioFiles;
use crate::store::journal::Stream;
use crate::store::journal::streams;
use crate::store::keys::KeyFile;
use crate::store::segments::Segments;
use crate::suppression::Fact;
use crate::suppression::proof::Checkpoint;
use crate::suppression::proof::Hash;
use crate::suppression::segment::SegmentName;

use super::Examined;
use super::FAULTS_MAX;
use super::Place;
use super::StoreFault;
use super::StoreFound;
use super::closed::Closed;
use super::pieces::OddPieces;
use super::rows::Rows;
use super::walk;
use super::walk::Walk;

/// An examination at work.
pub(super) struct Exam {
    journal: PathBuf,
    pub(super) audio: AudioFiles,
    pub(super) segments: Segments,
    /// Segments of imports that are what their names say, with as many numbers.
    pub(super) sound: HashSet<(SegmentName, u64)>,
    /// The keys that records have taken, as the database writes them where it is a file.
    pub(super) taken: HashSet<(String, i64)>,
    /// What is gone, and the erasures by which it is.
    pub(super) closed: Closed,
    /// Records whose evidence stands in the database although their key is destroyed.
    pub(super) left: Vec<RecordId>,
    pub(super) examined: Examined,
    pub(super) faults: Vec<StoreFault>,
    /// Why the server could not be asked to the end, if it could not.
    away: Option<StoreError>,
}

/// A stream's end as something else names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    pub(super) record: RecordId,
    pub(super) hash: Hash,
    /// Whether this store has named it, and not another node.
    pub(super) is_own: bool,
}

impl Exam {
    /// One of the store in the folder `dir`.
    pub(super) fn of(dir: &Path) -> Self {
        Self {
            journal: journal_dir(dir),
            audio: AudioFiles::of(dir),
            segments: Segments::of(dir),
            sound: HashSet::new(),
            taken: HashSet::new(),
            closed: Closed::default(),
            left: Vec::new(),
            examined: Examined::default(),
            faults: Vec::new(),
            away: None,
        }
    }

    /// Notes a fault; not once the server cannot be asked, since what it has is not known then.
    pub(super) fn fault(&mut self, place: Place, record: Option<RecordId>, found: StoreFound) {
        let fault = StoreFault { place, record, found };
        let has_room = self.faults.len() < FAULTS_MAX && self.away.is_none();
        if has_room && !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// What was found.
    ///
    /// # Errors
    ///
    /// Why the server could not be asked to the end, unless what stands there is why: that is the
    /// last of the faults.
    pub(super) fn end(mut self) -> Result<Examined, StoreError> {
        match self.away.take() {
            Some(away) if !away.is_of_tables() => return Err(away),
            Some(refused) => {
                let found = StoreFound::Unusable(told(&refused));
                self.fault(Place::Database, None, found);
            }
            None => {}
        }
        self.examined.faults = self.faults;
        Ok(self.examined)
    }

    /// Looks at the whole store: `streams` of the journal, and the `rows` where there is a database.
    pub(super) fn run(
        &mut self,
        streams: &[Stream],
        rows: Option<&Rows>,
        keys: Option<&KeyFile>,
        mut named: Vec<Named>,
    ) -> Result<(), StoreError> {
        let mut writers: Vec<WriterId> = streams.iter().map(|stream| stream.writer).collect();
        let is_shared = rows.is_some_and(|rows| rows.is_shared);
        let is_foreign =
            |writer: WriterId| is_shared && !streams.iter().any(|stream| stream.writer == writer);
        if let Some(rows) = rows {
            self.frame(rows, keys);
            writers.extend(self.ask(rows.writers()).unwrap_or_default());
        }
        writers.sort_unstable();
        writers.dedup();
        let links = links(streams, rows, &writers)?;
        self.examined.other_streams = writers.iter().filter(|it| is_foreign(**it)).count();
        self.examined.streams = writers.len() - self.examined.other_streams;
        let first = links.iter().find(|(by, _link)| !is_foreign(*by)).map(|(_by, link)| link.key);
        self.examined.key = self.examined.key.or(first);
        let own = self.examined.key;
        for (by, link) in links {
            // Only what is signed can say how another stream ended; ours by our key alone.
            let is_own = own.is_some_and(|key| link.is_signed_by(key));
            let is_others =
                is_foreign(by) && is_foreign(link.writer) && link.is_signed_by(link.key);
            if is_own || is_others {
                named.push(Named { record: link.record(), hash: link.hash, is_own });
            }
        }
        for writer in &writers {
            let stream = streams.iter().find(|stream| stream.writer == *writer);
            Walk::new(self, rows, keys, &named, *writer, is_foreign(*writer)).run(stream)?;
        }
        for named in &named {
            let writer = named.record.writer;
            let is_there = streams.iter().any(|stream| stream.writer == writer)
                || (!named.is_own && writers.contains(&writer));
            if !is_there {
                let found = StoreFound::Missing { found: None };
                self.fault(Place::Journal, Some(named.record), found);
            }
        }
        self.closed(keys)?;
        if let Some(rows) = rows {
            self.left(rows)?;
            self.strays(rows);
        }
        Ok(())
    }

    /// The database as a whole, and how it says that numbers are kept.
    fn frame(&mut self, rows: &Rows, keys: Option<&KeyFile>) {
        self.ask(rows.check());
        if let Some(Some(what)) = self.ask(rows.odd_schema()) {
            self.fault(Place::Database, None, StoreFound::Frame { what });
        }
        let own = keys.and_then(|keys| keys.mark().ok()).filter(|_mark| rows.is_shared);
        let Some(own) = own.map(|own| own.to_string()) else { return };
        let is_said = match self.ask(rows.mark()) {
            Some(Some(mark)) => mark == own,
            // It is said before anything is written there.
            Some(None) => self.ask(rows.is_empty()) != Some(false),
            None => return,
        };
        if !is_said {
            self.fault(Place::Table("number_storage"), None, StoreFound::Row);
        }
    }

    /// What is gone must be so by an erasure of our own. A node that is at work may have put one into the
    /// journal since that was walked through.
    fn closed(&mut self, keys: Option<&KeyFile>) -> Result<(), StoreError> {
        let mut closed = std::mem::take(&mut self.closed);
        if let Some(keys) = keys.filter(|_keys| !closed.is_explained()) {
            for stream in streams(&self.journal)? {
                for record in walk::erasures_behind(&stream, 0)? {
                    if let Ok(Some(Fact::Erasure(erasure))) = open_record(keys, &record) {
                        closed.note_erasure(&erasure);
                    }
                }
            }
        }
        for (place, record, found) in closed.faults() {
            self.fault(place, Some(record), found);
        }
        Ok(())
    }

    /// Evidence of a destroyed key is there rightly as long as the database has not heard of the
    /// erasure, which the journal has by now.
    fn left(&mut self, rows: &Rows) -> Result<(), StoreError> {
        if self.left.is_empty() {
            return Ok(());
        }
        let mut unheard = HashSet::new();
        // It may have got on since it was listed.
        for stream in streams(&self.journal)? {
            let cursor = self.ask(rows.cursor(stream.writer)).flatten();
            unheard.extend(walk::erased_behind(&stream, cursor.map_or(0, |cursor| cursor.seq))?);
        }
        for record in std::mem::take(&mut self.left) {
            if !unheard.contains(&record) {
                self.fault(Place::Table("evidence"), Some(record), StoreFound::Row);
            }
        }
        Ok(())
    }

    /// Rows of the database that no record stands for.
    fn strays(&mut self, rows: &Rows) {
        for (table, record) in self.ask(rows.strays()).unwrap_or_default() {
            self.fault(Place::Table(table), Some(record), StoreFound::Stray);
        }
        if rows.is_shared {
            for OddPieces { name, import, found } in self.ask(rows.odd_pieces()).unwrap_or_default()
            {
                self.fault(Place::Pieces(name), import, found);
            }
            return;
        }
        // What the records say cannot be told while one of them cannot be read.
        if self.faults.is_empty() {
            for (tag, slot) in self.ask(rows.keys()).unwrap_or_default() {
                if !self.taken.contains(&(tag, slot)) {
                    self.fault(Place::Table("number_key"), None, StoreFound::StrayKey { slot });
                }
            }
        }
    }

    /// The answer of the database. A server that gives none is not asked any more; of a file, it is
    /// a fault.
    pub(super) fn ask<T>(&mut self, answer: Result<T, StoreError>) -> Option<T> {
        match answer {
            Ok(answer) => return Some(answer),
            Err(error @ StoreError::Server(_)) => drop(self.away.get_or_insert(error)),
            Err(error) => {
                self.fault(Place::Database, None, StoreFound::Unusable(told(&error)));
            }
        }
        None
    }
}

/// How streams before others ended, as these say, with who says it.
fn links(
    streams: &[Stream],
    rows: Option<&Rows>,
    writers: &[WriterId],
) -> Result<Vec<(WriterId, Checkpoint)>, StoreError> {
    let mut links = Vec::new();
    for stream in streams {
        links.extend(walk::links(stream)?.into_iter().map(|link| (stream.writer, link)));
    }
    for writer in rows.iter().flat_map(|_rows| writers) {
        let said = rows.map(|rows| rows.links(*writer)).unwrap_or_default();
        links.extend(said.into_iter().map(|link| (*writer, link)));
    }
    Ok(links)
}

/// The error with what it comes from.
fn told(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text.push_str(&format!(": {deeper}"));
        cause = deeper.source();
    }
    text
}
