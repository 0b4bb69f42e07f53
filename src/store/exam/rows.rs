//! The database as an examination reads it: as it is, and without a trace.

use std::cell::RefCell;
use std::cell::RefMut;
use std::ops::ControlFlow;
use std::path::Path;

use crate::model::RecordId;
use crate::model::WriterId;
use crate::store::Clock;
use crate::store::StoreError;
use crate::store::backend::Backend;
use crate::store::backend::Row;
use crate::store::backend::Value;
use crate::store::database::Cursor;
use crate::store::postgres;
use crate::store::postgres::Postgres;
use crate::store::postgres::Use;
use crate::store::sqlite::Sqlite;
use crate::suppression::proof::Checkpoint;
use crate::suppression::proof::Hash;
use crate::suppression::proof::Record;

/// Records that are read at a time, since no answer of a server may take up more memory than that of
/// a file does. Our choice: some hundreds of kilobytes, and one question for as many as they are.
const PAGE_LEN: u64 = if cfg!(test) { 4 } else { 1_000 };

/// A connection that changes nothing, not even beside the file.
pub(super) struct Rows {
    base: RefCell<Base>,
    /// Whether other nodes write to it too.
    pub(super) is_shared: bool,
}

pub(super) enum Base {
    File(Sqlite),
    Server(Box<Postgres>),
}

impl Rows {
    /// The rows of the file at `path`.
    pub(super) fn of_file(path: &Path) -> Result<Self, StoreError> {
        let file = Sqlite::open_as_it_is(path)?;
        Ok(Self { base: RefCell::new(Base::File(file)), is_shared: false })
    }

    /// The rows of a server, all as they stand at one moment: that of the first question.
    pub(super) fn of_server(settings: &postgres::Settings, clock: &Clock) -> Self {
        let server = Postgres::new(settings.clone(), Use::Examining, Clock::clone(clock));
        Self { base: RefCell::new(Base::Server(Box::new(server))), is_shared: true }
    }

    /// Asks the first question: all others are answered as of this one.
    pub(super) fn begin(&self) -> Result<(), StoreError> {
        self.each("SELECT MAX(version) FROM refinery_schema_history", &[], |_row| Ok(()))
    }

    pub(super) fn base(&self) -> RefMut<'_, Base> {
        self.base.borrow_mut()
    }

    /// Hands every row that `sql` finds to `visit`, which may not ask anything itself.
    pub(super) fn each(
        &self,
        sql: &str,
        values: &[Value],
        mut visit: impl FnMut(Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut failed = None;
        let mut visit = |row: Row<'_>| {
            // One row that is damaged does not end the connection, as breaking off would.
            if failed.is_none() {
                failed = visit(row).err();
            }
            Ok(ControlFlow::Continue(()))
        };
        // Every row may have to be looked at before the first is found.
        self.base().backend().search(sql, values, &mut visit)?;
        failed.map_or(Ok(()), Err)
    }

    /// What SQLite itself finds wrong; a server looks after its own pages.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match &*self.base() {
            Base::File(file) => file.check_sound(false),
            Base::Server(_) => Ok(()),
        }
    }

    /// How numbers are kept in a shared database, as it stands there; nothing where nobody has said
    /// so yet.
    pub(super) fn mark(&self) -> Result<Option<String>, StoreError> {
        let mut found = None;
        self.each("SELECT mark FROM number_storage WHERE id = 1", &[], |row| {
            found = Some(row.text(0)?.to_owned());
            Ok(())
        })?;
        Ok(found)
    }

    /// Whether nobody has written there yet.
    pub(super) fn is_empty(&self) -> Result<bool, StoreError> {
        self.exists("SELECT writer_id FROM writer LIMIT 1", &[]).map(|is_there| !is_there)
    }

    /// Every writer that any record is of.
    pub(super) fn writers(&self) -> Result<Vec<WriterId>, StoreError> {
        let sql = "SELECT writer_id FROM writer WHERE last_seq > 0
                   UNION SELECT DISTINCT writer_id FROM fact";
        let mut writers = Vec::new();
        self.each(sql, &[], |row| {
            writers.push(WriterId(row.unsigned(0)?));
            Ok(())
        })?;
        Ok(writers)
    }

    /// The checkpoints of streams before that of `writer`, as far as they can be read.
    pub(super) fn links(&self, writer: WriterId) -> Vec<Checkpoint> {
        let mut links = Vec::new();
        for seq in 1.. {
            let link = self.record(RecordId { writer, seq }).and_then(|record| record.checkpoint());
            let Some(link) = link.filter(|link| link.writer != writer) else { break };
            links.push(link);
        }
        links
    }

    /// How far the stream of `writer` was taken in.
    pub(super) fn cursor(&self, writer: WriterId) -> Result<Option<Cursor>, StoreError> {
        let sql = "SELECT last_seq, last_hash, is_closed FROM writer WHERE writer_id = $1";
        let mut found = None;
        self.each(sql, &[writer.0.into()], |row| {
            // What is not the form that we write must match no record either.
            let hash = row.text(1).unwrap_or_default().to_owned();
            let mut cursor = Cursor::from_row(writer, row.int(0)?, &hash, row.int(2)? != 0);
            if cursor.hash.to_string() != hash {
                cursor.hash = Hash::NONE;
            }
            found = Some(cursor);
            Ok(())
        })?;
        Ok(found)
    }

    /// A record, as far as it can be read.
    pub(super) fn record(&self, id: RecordId) -> Option<Record> {
        let sql = "SELECT record FROM fact WHERE writer_id = $1 AND writer_seq = $2";
        let mut found = None;
        let read = self.each(sql, &[id.writer.0.into(), id.seq.into()], |row| {
            found = row.octets(0).ok().and_then(|stored| Record::parse(stored).ok());
            Ok(())
        });
        read.ok().and(found)
    }

    /// Hands a page of the records of a stream behind the place `after` to `visit`, in their order:
    /// their places and stored forms, empty where one is no octets.
    pub(super) fn facts(
        &self,
        writer: WriterId,
        after: Option<i64>,
        mut visit: impl FnMut(i64, Vec<u8>),
    ) -> Result<(), StoreError> {
        let take = |row: Row<'_>| {
            visit(row.int(0)?, row.octets(1).unwrap_or_default().to_vec());
            Ok(())
        };
        let writer = writer.0.into();
        match after {
            None => self.each(
                "SELECT writer_seq, record FROM fact WHERE writer_id = $1
                 ORDER BY writer_seq LIMIT $2",
                &[writer, PAGE_LEN.into()],
                take,
            ),
            Some(after) => self.each(
                "SELECT writer_seq, record FROM fact WHERE writer_id = $1 AND writer_seq > $2
                 ORDER BY writer_seq LIMIT $3",
                &[writer, after.into(), PAGE_LEN.into()],
                take,
            ),
        }
    }

    /// Whether `sql` finds a row.
    pub(super) fn exists(&self, sql: &str, values: &[Value]) -> Result<bool, StoreError> {
        let mut is_there = false;
        self.each(sql, values, |_row| {
            is_there = true;
            Ok(())
        })?;
        Ok(is_there)
    }
}

impl Base {
    /// What the statements of either go to.
    pub(super) fn backend(&mut self) -> &mut dyn Backend {
        match self {
            Self::File(file) => file,
            Self::Server(server) => server.as_mut(),
        }
    }
}
