//! The shared database: the driver for PostgreSQL, and for what speaks its protocol.
//!
//! A connection that fails in any way is given up, and the next step makes a new one, not before a
//! pause that doubles from a tenth of a second to five until something is answered: many nodes find
//! a server that comes back, or whose disk is full, at about the same time. What was sent when a
//! connection failed may have been done: all that is sent can be sent again (see
//! `Backend::change`).

use std::ops::ControlFlow;
use std::time::Duration;

use tokio_postgres::Statement;
use tokio_postgres::types::FromSql;
use tokio_postgres::types::ToSql;
use tokio_postgres::types::Type;

use super::Clock;
use super::StoreError;
use super::backend::Backend;
use super::backend::Change;
use super::backend::Kind;
use super::backend::Row;
use super::backend::Table;
use super::backend::Value;
use super::backend::Visit;

mod error;
mod link;
mod migrate;
mod rights;
mod settings;
mod tls;

pub use error::ServerError;
pub use migrate::migrate;
pub use settings::{Settings, SettingsError, Tls};
pub use tls::TlsError;

use link::Link;
pub(super) use link::Use;

/// The first pause after a connection failed.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// The longest pause: how much later than the server a node may be back.
pub(super) const RETRY_MAX: Duration = Duration::from_secs(5);
/// Rows that are taken from the server at a time.
const CHUNK: usize = 256;

/// The driver.
#[derive(Debug)]
pub(super) struct Postgres {
    settings: Settings,
    purpose: Use,
    link: Option<Link>,
    /// Whether there was a connection before.
    was_open: bool,
    pause: Pause,
}

impl Postgres {
    /// A driver that connects when it is first used.
    pub(super) fn new(settings: Settings, purpose: Use, clock: Clock) -> Self {
        let pause = Pause { clock, until: 0, len: Duration::ZERO, max: settings.retry_max };
        Self { settings, purpose, link: None, was_open: false, pause }
    }

    /// Connects where it is not connected, and looks after the tables where it is to write them.
    fn connect(&mut self) -> Result<&mut Link, ServerError> {
        if self.link.is_none() {
            if self.purpose == Use::Examining && self.was_open {
                // Another connection sees another moment.
                return Err(ServerError::Closed);
            }
            if self.pause.is_on() {
                return Err(ServerError::Later);
            }
            match self.open() {
                Ok(link) => {
                    self.link = Some(link);
                    self.was_open = true;
                }
                Err(error) => {
                    self.pause.lengthen();
                    return Err(error);
                }
            }
        }
        self.link.as_mut().ok_or(ServerError::Closed)
    }

    fn open(&self) -> Result<Link, ServerError> {
        let mut link = Link::open(&self.settings, self.purpose)?;
        match self.purpose {
            Use::Writing => {
                migrate::bring_up_to_date(&mut link, &self.settings)?;
                rights::check(&mut link, &self.settings)?;
            }
            Use::Reading => {}
            Use::Examining => {
                migrate::check(&mut link, &self.settings)?;
                link.begin_snapshot()?;
            }
        }
        Ok(link)
    }

    /// Gives the connection up when `done` is an error that may be over later: what state it is in
    /// is not known. What the server refuses for its own sake, the connection outlives, and whatever
    /// else it is asked need not wait; a transaction that sees one moment is over by either.
    fn settle<T>(&mut self, done: Result<T, ServerError>) -> Result<T, StoreError> {
        done.map_err(|error| {
            let is_kept = matches!(error, ServerError::Refused { .. })
                && !error.is_passing()
                && self.purpose != Use::Examining;
            match &mut self.link {
                Some(link) if is_kept => link.forget_statements(),
                Some(_link) => {
                    self.link = None;
                    self.pause.lengthen();
                }
                None => {}
            }
            error.into()
        })
    }

    /// Whether all was as expected.
    fn try_change(&mut self, changes: &[Change]) -> Result<bool, ServerError> {
        let link = self.connect()?;
        let mut steps = Vec::with_capacity(changes.len());
        let mut moves = Vec::new();
        let mut wakes = false;
        for change in changes {
            match change {
                Change::Insert(_, rows) | Change::Delete(_, rows) if rows.is_empty() => {}
                Change::Delete(table, keys) => {
                    let kinds = table.columns.iter().take(table.key_len).enumerate();
                    let columns = kinds.map(|(at, (_name, kind))| Column::all(keys, at, *kind));
                    steps.push((link.prepare(&delete(table))?, columns.collect()));
                }
                Change::Wake => wakes = true,
                Change::Insert(table, rows) => {
                    let kinds = table.columns.iter().enumerate();
                    let columns = kinds.map(|(at, (_name, kind))| Column::all(rows, at, *kind));
                    steps.push((link.prepare(&insert(table))?, columns.collect()));
                }
                Change::Move(sql, values) => {
                    moves.push(steps.len());
                    let statement = link.prepare(sql)?;
                    let columns = singles(&statement, values)?;
                    steps.push((statement, columns));
                }
            }
        }
        let steps: Vec<_> =
            steps.iter().map(|(statement, columns)| (statement, parameters(columns))).collect();
        if steps.is_empty() {
            return Ok(true);
        }
        let counts = link.transaction(&steps, wakes)?;
        Ok(moves.iter().all(|&at| counts.get(at).is_some_and(|&count| count > 0)))
    }

    fn try_ask(
        &mut self,
        sql: &str,
        values: &[Value],
        limit: Duration,
    ) -> Result<Answer, ServerError> {
        let link = self.connect()?;
        let statement = link.prepare(sql)?;
        let columns = singles(&statement, values)?;
        let stream = Box::pin(link.query(&statement, &parameters(&columns), limit)?);
        Ok(Answer { stream, statement, limit })
    }

    fn try_next(&mut self, answer: &mut Answer) -> Result<Vec<Vec<Value>>, ServerError> {
        let link = self.link.as_mut().ok_or(ServerError::Closed)?;
        let rows = link.rows(&mut answer.stream, CHUNK, answer.limit)?;
        let read = |row: &tokio_postgres::Row| -> Result<Vec<Value>, ServerError> {
            let columns = answer.statement.columns().iter().enumerate();
            columns.map(|(at, column)| read(row, at, column.type_())).collect()
        };
        rows.iter().map(read).collect()
    }
}

struct Answer {
    stream: std::pin::Pin<Box<tokio_postgres::RowStream>>,
    statement: Statement,
    /// How long more of it is waited for.
    limit: Duration,
}

impl Postgres {
    /// As [`Backend::select`]; each step of the answer is waited for as long as `limit`.
    fn ask(
        &mut self,
        sql: &str,
        values: &[Value],
        limit: Duration,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        let asked = self.try_ask(sql, values, limit);
        let mut answer = self.settle(asked)?;
        loop {
            let next = self.try_next(&mut answer);
            let rows = self.settle(next)?;
            for row in &rows {
                match visit(Row(row)) {
                    Ok(ControlFlow::Continue(())) => {}
                    ended => {
                        // The rest of the answer is still to come on this connection.
                        self.link = None;
                        return ended.map(|_break| ());
                    }
                }
            }
            if rows.len() < CHUNK {
                self.pause.end();
                return Ok(());
            }
        }
    }
}

impl Backend for Postgres {
    fn select(&mut self, sql: &str, values: &[Value], visit: Visit<'_>) -> Result<(), StoreError> {
        self.ask(sql, values, self.settings.answer_max, visit)
    }

    fn search(&mut self, sql: &str, values: &[Value], visit: Visit<'_>) -> Result<(), StoreError> {
        self.ask(sql, values, self.settings.search_max(), visit)
    }

    fn change(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let done = self.try_change(changes);
        let is_as_expected = self.settle(done)?;
        self.pause.end();
        if is_as_expected { Ok(()) } else { Err(StoreError::Moved) }
    }

    fn wait(&mut self, limit: Duration) {
        let waited = self.link.as_mut().map(|link| link.wait_for_notice(limit));
        if !matches!(waited, Some(Ok(()))) {
            // Nothing can be heard without a connection, and the next question makes one.
            self.link = None;
            std::thread::park_timeout(limit);
        }
    }

    fn is_shared(&self) -> bool {
        true
    }
}

/// When the server may be tried again.
struct Pause {
    clock: Clock,
    until: i64,
    len: Duration,
    max: Duration,
}

impl std::fmt::Debug for Pause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pause").field("len", &self.len).finish_non_exhaustive()
    }
}

impl Pause {
    /// Whether it is too early; a clock that was set back does not make it longer.
    fn is_on(&self) -> bool {
        let left = self.until.saturating_sub((self.clock)().0);
        left > 0 && left <= micros(self.len)
    }

    /// The server did what it was asked: the next pause is a short one.
    const fn end(&mut self) {
        self.len = Duration::ZERO;
    }

    fn lengthen(&mut self) {
        self.len = (self.len * 2).clamp(RETRY_MIN.min(self.max), self.max);
        self.until = (self.clock)().0.saturating_add(micros(self.len));
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The statement that puts rows into `table`, a column of all rows in each parameter.
pub(super) fn insert(table: &Table) -> String {
    let arrays: Vec<String> = table
        .columns
        .iter()
        .enumerate()
        .map(|(at, (_name, kind))| format!("${}::{}[]", at + 1, type_name(*kind)))
        .collect();
    let (name, columns) = (table.name, table.column_names());
    let arrays = arrays.join(", ");
    format!("INSERT INTO {name} ({columns}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING")
}

/// The statement that takes rows out of `table`, a column of all keys in each parameter.
fn delete(table: &Table) -> String {
    let keys = || table.columns.iter().take(table.key_len).enumerate();
    let names: Vec<&str> = keys().map(|(_at, (name, _kind))| *name).collect();
    let arrays: Vec<String> =
        keys().map(|(at, (_name, kind))| format!("${}::{}[]", at + 1, type_name(*kind))).collect();
    let (name, names, arrays) = (table.name, names.join(", "), arrays.join(", "));
    format!("DELETE FROM {name} WHERE ({names}) IN (SELECT * FROM unnest({arrays}))")
}

const fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::BigInt => "BIGINT",
        Kind::Int => "INT",
        Kind::Bytea => "BYTEA",
        Kind::Text => "TEXT",
    }
}

/// What one parameter is given: a value, or all values of a column.
enum Column<'a> {
    BigInt(Option<i64>),
    Int(Option<i32>),
    Octets(Option<&'a [u8]>),
    Text(Option<&'a str>),
    BigInts(Vec<Option<i64>>),
    Ints(Vec<Option<i32>>),
    ManyOctets(Vec<Option<&'a [u8]>>),
    Texts(Vec<Option<&'a str>>),
}

impl<'a> Column<'a> {
    /// `value` as a parameter of the type `kind`; nothing where it is none.
    fn single(value: &'a Value, kind: &Type) -> Option<Self> {
        match (kind, value) {
            (&Type::INT8, Value::Int(value)) => Some(Self::BigInt(Some(*value))),
            (&Type::INT8, Value::Null) => Some(Self::BigInt(None)),
            (&Type::INT4, Value::Int(value)) => Some(Self::Int(Some(i32::try_from(*value).ok()?))),
            (&Type::INT4, Value::Null) => Some(Self::Int(None)),
            (&Type::BYTEA, Value::Octets(value)) => Some(Self::Octets(Some(value))),
            (&Type::TEXT, Value::Text(value)) => Some(Self::Text(Some(value))),
            (&Type::TEXT, Value::Null) => Some(Self::Text(None)),
            _ => None,
        }
    }

    /// The values in the column `at` of `rows`.
    fn all(rows: &'a [Vec<Value>], at: usize, kind: Kind) -> Self {
        let values = rows.iter().map(|row| row.get(at).unwrap_or(&Value::Null));
        match kind {
            Kind::BigInt => Self::BigInts(values.map(int).collect()),
            Kind::Int => Self::Ints(
                values.map(|value| int(value).and_then(|value| value.try_into().ok())).collect(),
            ),
            Kind::Bytea => Self::ManyOctets(values.map(octets).collect()),
            Kind::Text => Self::Texts(values.map(text).collect()),
        }
    }

    fn parameter(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::BigInt(value) => value,
            Self::Int(value) => value,
            Self::Octets(value) => value,
            Self::Text(value) => value,
            Self::BigInts(values) => values,
            Self::Ints(values) => values,
            Self::ManyOctets(values) => values,
            Self::Texts(values) => values,
        }
    }
}

const fn int(value: &Value) -> Option<i64> {
    if let Value::Int(value) = value { Some(*value) } else { None }
}

fn octets(value: &Value) -> Option<&[u8]> {
    if let Value::Octets(value) = value { Some(value) } else { None }
}

fn text(value: &Value) -> Option<&str> {
    if let Value::Text(value) = value { Some(value) } else { None }
}

/// What the parameters of `statement` are given.
fn singles<'a>(statement: &Statement, values: &'a [Value]) -> Result<Vec<Column<'a>>, ServerError> {
    let columns = values.iter().zip(statement.params());
    let columns = columns.map(|(value, kind)| Column::single(value, kind));
    columns.collect::<Option<_>>().ok_or(ServerError::Kind)
}

fn parameters<'a>(columns: &'a [Column<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    columns.iter().map(Column::parameter).collect()
}

fn read(row: &tokio_postgres::Row, at: usize, kind: &Type) -> Result<Value, ServerError> {
    fn value<'a, T: FromSql<'a> + Into<Value>>(
        row: &'a tokio_postgres::Row,
        at: usize,
    ) -> Result<Value, ServerError> {
        Ok(row.try_get::<_, Option<T>>(at)?.into())
    }
    match *kind {
        Type::INT8 => value::<i64>(row, at),
        Type::INT4 => Ok(row.try_get::<_, Option<i32>>(at)?.map(i64::from).into()),
        Type::TEXT | Type::VARCHAR => value::<String>(row, at),
        Type::BYTEA => value::<Vec<u8>>(row, at),
        _ => Err(ServerError::Kind),
    }
}
