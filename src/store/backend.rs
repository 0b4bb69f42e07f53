//! What SQLite and PostgreSQL both do for the store: rows in, in one transaction, and rows out.
//!
//! All SQL of the store is written once, in the subset that SQLite and the PostgreSQL family share
//! (`store/tests/portable.rs`); a driver says nothing but how its database is reached. Parameters are
//! `$1`, `$2` .. in the order in which they first appear, which both understand.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use super::StoreError;

/// A database, behind its driver.
pub(super) trait Backend: fmt::Debug + Send {
    /// Hands each row that `sql` finds to `visit`, as it comes, until it breaks.
    ///
    /// # Errors
    ///
    /// Those of the database, among them that it does not answer; and those of `visit`.
    fn select(&mut self, sql: &str, values: &[Value], visit: Visit<'_>) -> Result<(), StoreError>;

    /// As [`Self::select`], where the database may have to look at every row before it finds the
    /// first: its answer is waited for as long as a person waits.
    ///
    /// # Errors
    ///
    /// As [`Self::select`].
    fn search(&mut self, sql: &str, values: &[Value], visit: Visit<'_>) -> Result<(), StoreError> {
        self.select(sql, values, visit)
    }

    /// Makes all `changes` or none, in their order.
    ///
    /// An error may be of a transaction that was made all the same, when the answer was lost: who
    /// calls does it again with the same rows, which changes nothing where they are there.
    ///
    /// # Errors
    ///
    /// Those of the database, and [`StoreError::Moved`] where a [`Change::Move`] found no row: the
    /// rest may have been made.
    fn change(&mut self, changes: &[Change]) -> Result<(), StoreError>;

    /// Waits until somebody else may have changed something, for `limit` at most. Says nothing
    /// about whether anybody has.
    fn wait(&mut self, limit: Duration);

    /// Whether other nodes write to it too, so that it knows streams that are not in our journal.
    fn is_shared(&self) -> bool;

    /// Has nothing of deleted rows left to be read in files of ours, as far as it can now.
    fn scrub(&mut self) {}
}

/// Takes a row, and says whether it wants another.
pub(super) type Visit<'a> = &'a mut dyn FnMut(Row<'_>) -> Result<ControlFlow<()>, StoreError>;

/// What stands in one column of one row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    /// Nothing.
    Null,
    /// BIGINT and INT.
    Int(i64),
    /// TEXT.
    Text(String),
    /// BYTEA.
    Octets(Vec<u8>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Value {
    /// SQL's BIGINT is signed; what goes in has at most 63 bits (writer ids, sequence numbers, and
    /// keys of numbers).
    fn from(value: u64) -> Self {
        Self::Int(value.cast_signed())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Int(i64::from(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Octets(value)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a>(pub(super) &'a [Value]);

impl Row<'_> {
    /// The whole number in column `at`, from 0 on.
    pub(super) fn int(self, at: usize) -> Result<i64, StoreError> {
        self.maybe_int(at)?.ok_or(StoreError::Column { at })
    }

    /// The same, of numbers that are never negative.
    pub(super) fn unsigned(self, at: usize) -> Result<u64, StoreError> {
        self.int(at).map(i64::cast_unsigned)
    }

    /// The whole number in column `at`, if one is there.
    pub(super) fn maybe_int(self, at: usize) -> Result<Option<i64>, StoreError> {
        match self.0.get(at) {
            Some(Value::Int(value)) => Ok(Some(*value)),
            Some(Value::Null) => Ok(None),
            _ => Err(StoreError::Column { at }),
        }
    }

    /// The text in column `at`.
    pub(super) fn text(&self, at: usize) -> Result<&str, StoreError> {
        self.maybe_text(at)?.ok_or(StoreError::Column { at })
    }

    /// The text in column `at`, if one is there.
    pub(super) fn maybe_text(&self, at: usize) -> Result<Option<&str>, StoreError> {
        match self.0.get(at) {
            Some(Value::Text(value)) => Ok(Some(value)),
            Some(Value::Null) => Ok(None),
            _ => Err(StoreError::Column { at }),
        }
    }

    /// The octets in column `at`.
    pub(super) fn octets(&self, at: usize) -> Result<&[u8], StoreError> {
        match self.0.get(at) {
            Some(Value::Octets(value)) => Ok(value),
            _ => Err(StoreError::Column { at }),
        }
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole number.
    BigInt,
    /// A small whole number.
    Int,
    /// Octets.
    Bytea,
    /// Text.
    Text,
}

/// A table that rows are put into.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// Its columns, in the order of their values.
    pub(super) columns: &'static [(&'static str, Kind)],
    /// How many of them, from the first on, are its key.
    pub(super) key_len: usize,
}

impl Table {
    /// Its columns, apart by commas.
    pub(super) fn column_names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _kind)| *name).collect();
        names.join(", ")
    }
}

/// One step of a transaction.
#[derive(Debug)]
pub(super) enum Change {
    /// Puts rows into a table; one whose key is there already is left as it is.
    Insert(&'static Table, Vec<Vec<Value>>),
    /// Takes the rows with these keys out of a table of `tables::PASSING`; those that are not there
    /// are no matter.
    Delete(&'static Table, Vec<Vec<Value>>),
    /// Runs a statement that finds its row only where the database is as we believe.
    Move(&'static str, Vec<Value>),
    /// Wakes whoever waits in [`Backend::wait`], where the database can; behind the transaction,
    /// and no part of it.
    Wake,
}

/// Hands every row that `sql` finds to `visit`.
pub(super) fn each(
    backend: &mut dyn Backend,
    sql: &str,
    values: &[Value],
    mut visit: impl FnMut(Row<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    backend.select(sql, values, &mut |row| visit(row).map(ControlFlow::Continue))
}
