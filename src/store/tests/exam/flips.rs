//! Every bit, row and pair of rows, by default a sample of the bits: `BAJAVOZ_FLIP_STEP=1` tries
//! each, as `tests/long.sh flips` does.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::*;

/// Bits from one that is tried to the next, by default; a prime, so that each bit of an octet has
/// its turn.
const STEP: usize = 193;

fn step() -> usize {
    let given = std::env::var("BAJAVOZ_FLIP_STEP").ok();
    given.map_or(STEP, |step| step.parse().expect("BAJAVOZ_FLIP_STEP is a number"))
}

/// What a row of a database says that no record says, and why that must be believed.
const UNTOLD: [(&str, Option<&str>); 3] = [
    ("call_record", None), // in no chain, as it is written after a call
    ("refinery_schema_history", Some("applied_on")), // the clock of whoever made the tables
    ("writer", Some("is_closed")), // 0 or 1: whether the next start reads the stream once more
];

/// Where a record's stored form stands in a segment.
fn places(kept: &Kept, bytes: &[u8]) -> Vec<(RecordId, std::ops::Range<usize>)> {
    let records = kept.records().into_iter().flatten();
    let place = |(id, stored): (RecordId, Vec<u8>)| {
        let at = bytes.windows(stored.len()).position(|octets| octets == stored)?;
        Some((id, at..at + stored.len()))
    };
    records.filter_map(place).collect()
}

#[test]
fn any_flipped_bit_of_the_journal_is_named() {
    let kept = Kept::new();
    for segment in &kept.segments {
        let bytes = fs::read(segment).unwrap();
        let name = segment.file_name().unwrap().to_string_lossy().into_owned();
        let places = places(&kept, &bytes);
        assert!(!places.is_empty(), "{name} has records");
        for bit in (0..8 * bytes.len()).step_by(step()) {
            let mut touched = bytes.clone();
            touched[bit / 8] ^= 1 << (bit % 8);
            let faults = kept.faults_with(segment, &touched);
            let told = || format!("{name}, octet {}, bit {}: {faults:#?}", bit / 8, bit % 8);
            assert!(!faults.is_empty(), "{}", told());
            if let Some((id, _)) = places.iter().find(|(_, place)| place.contains(&(bit / 8))) {
                assert!(faults.iter().all(|fault| fault.record == Some(*id)), "{}", told());
            } else {
                let is_placed = |fault: &StoreFault| {
                    fault.record.is_some() || fault.to_string().contains(&name)
                };
                assert!(faults.iter().all(is_placed), "{}", told());
            }
        }
        for len in (0..bytes.len()).step_by(step()) {
            assert_ne!(kept.faults_with(segment, &bytes[..len]), [], "{name} cut to {len} octets");
        }
    }
}

#[test]
fn bits_behind_the_last_record_of_a_stream_that_crashed_are_told_with_their_place() {
    let kept = Kept::new();
    let segment = &kept.segments[0];
    let bytes = fs::read(segment).unwrap();
    let path = database_path(kept.path());
    Connection::open(path).unwrap().execute("UPDATE writer SET is_closed = 0", []).unwrap();
    let mut touched = bytes.clone();
    touched.resize(16 * 1024, 0);
    for octet in (bytes.len()..touched.len()).step_by(step()) {
        touched[octet] = 1;
        fs::write(segment, &touched).unwrap();
        let examined = examine(kept.path(), None, &[]).unwrap();
        let [torn] = &examined.torn[..] else { panic!("{:?}", examined.torn) };
        assert_eq!((examined.faults.len(), torn.offset), (0, bytes.len() as u64), "octet {octet}");
        touched[octet] = 0;
    }
}

/// A row of a table.
#[derive(Clone)]
struct Line {
    id: i64,
    values: Vec<Value>,
}

/// A table, with a connection that changes it.
struct Table<'a> {
    shell: &'a Connection,
    name: String,
    columns: Vec<String>,
    /// Columns of the key.
    keys: usize,
    lines: Vec<Line>,
}

impl<'a> Table<'a> {
    fn all(shell: &'a Connection) -> Vec<Self> {
        // Two tables are only filled on servers.
        let sql = "SELECT name FROM sqlite_master WHERE type = 'table'
                   AND name NOT IN ('number_storage', 'segment_chunk') ORDER BY name";
        let mut statement = shell.prepare(sql).unwrap();
        let names = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        names.map(|name| Self::read(shell, name.unwrap())).collect()
    }

    fn read(shell: &'a Connection, name: String) -> Self {
        let sql = format!("SELECT name, pk FROM pragma_table_info('{name}') ORDER BY cid");
        let mut statement = shell.prepare(&sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?))).unwrap();
        let columns: Vec<(String, i64)> = rows.map(Result::unwrap).collect();
        let mut statement = shell.prepare(&format!("SELECT rowid, * FROM {name}")).unwrap();
        let rows = statement.query_map([], |row| {
            let values: Result<Vec<Value>, _> =
                (1..=columns.len()).map(|index| row.get(index)).collect();
            Ok(Line { id: row.get(0)?, values: values? })
        });
        let lines: Vec<Line> = rows.unwrap().map(Result::unwrap).collect();
        assert!(!lines.is_empty(), "{name} has rows");
        let keys = columns.iter().filter(|(_, place)| *place > 0).count();
        let columns = columns.into_iter().map(|(name, _)| name).collect();
        Self { shell, name, columns, keys, lines }
    }

    /// The record that a row stands for, where it stands for one.
    fn record(&self, line: &Line) -> Option<RecordId> {
        let value = |name: &str| {
            let index = self.columns.iter().position(|column| column == name)?;
            match line.values[index] {
                Value::Integer(value) => Some(value.cast_unsigned()),
                _ => None,
            }
        };
        Some(RecordId { writer: WriterId(value("writer_id")?), seq: value("writer_seq")? })
    }

    fn remove(&self, line: &Line) {
        let sql = format!("DELETE FROM {} WHERE rowid = ?1", self.name);
        assert_eq!(self.shell.execute(&sql, [line.id]).unwrap(), 1);
    }

    /// Puts a row back, or another one in its place; false when the table does not take it.
    fn insert(&self, line: &Line) -> bool {
        let places: Vec<String> = (2..=self.columns.len() + 1).map(|n| format!("?{n}")).collect();
        let (columns, places) = (self.columns.join(", "), places.join(", "));
        let sql = format!("INSERT INTO {} (rowid, {columns}) VALUES (?1, {places})", self.name);
        let values = std::iter::once(Value::Integer(line.id)).chain(line.values.iter().cloned());
        self.shell.execute(&sql, rusqlite::params_from_iter(values)).is_ok()
    }

    /// Writes octets that may be no text into a column of text.
    fn set_text(&self, line: &Line, column: usize, octets: &[u8]) {
        let sql = format!(
            "UPDATE {} SET {} = CAST(?2 AS TEXT) WHERE rowid = ?1",
            self.name, self.columns[column]
        );
        self.shell.execute(&sql, rusqlite::params![line.id, octets]).unwrap();
    }
}

fn shell(kept: &Kept) -> Connection {
    let shell = Connection::open(database_path(kept.path())).unwrap();
    shell.pragma_update(None, "synchronous", "OFF").unwrap();
    shell.pragma_update(None, "journal_mode", "MEMORY").unwrap();
    shell
}

fn is_untold(table: &Table<'_>, column: &str) -> bool {
    UNTOLD.iter().any(|(name, of)| *name == table.name && of.is_none_or(|of| of == column))
}

/// How many bits a value has.
fn bits(value: &Value) -> usize {
    match value {
        Value::Integer(_) => 64,
        Value::Text(text) => 8 * text.len(),
        Value::Blob(octets) => 8 * octets.len(),
        Value::Null | Value::Real(_) => 0,
    }
}

/// Has one bit of a row flipped while `look` runs; false when the table does not take it.
fn with_bit(
    table: &Table<'_>,
    line: &Line,
    column: usize,
    bit: usize,
    look: impl FnOnce(),
) -> bool {
    let flip = |octets: &[u8]| {
        let mut octets = octets.to_vec();
        octets[bit / 8] ^= 1 << (bit % 8);
        octets
    };
    let mut touched = line.clone();
    touched.values[column] = match &line.values[column] {
        Value::Integer(value) => Value::Integer(value ^ (1 << bit)),
        Value::Blob(octets) => Value::Blob(flip(octets)),
        other => other.clone(),
    };
    table.remove(line);
    let is_taken = table.insert(&touched);
    if is_taken {
        if let Value::Text(text) = &line.values[column] {
            table.set_text(line, column, &flip(text.as_bytes()));
        }
        look();
        table.remove(line);
    }
    assert!(table.insert(line));
    is_taken
}

#[test]
fn any_flipped_bit_of_a_row_is_named() {
    let kept = Kept::new();
    let shell = shell(&kept);
    let mut at = 0_usize;
    for table in Table::all(&shell) {
        for (line, (column, name)) in table
            .lines
            .iter()
            .flat_map(|line| table.columns.iter().enumerate().map(move |column| (line, column)))
            .filter(|(_, (_, name))| !is_untold(&table, name))
        {
            for bit in 0..bits(&line.values[column]) {
                at += 1;
                if !at.is_multiple_of(step()) {
                    continue;
                }
                with_bit(&table, line, column, bit, || {
                    let faults = kept.faults();
                    let told = format!("{}.{name}, bit {bit}: {faults:#?}", table.name);
                    assert!(!faults.is_empty(), "{told}");
                    if let Some(record) = table.record(line) {
                        assert!(names(&faults, record), "record {record}, {told}");
                    }
                });
            }
        }
    }
    assert_eq!(kept.faults(), [], "all is put back");
}

#[test]
fn a_piece_of_a_segment_has_no_place_in_a_file() {
    let kept = Kept::new();
    let shell = shell(&kept);
    shell.execute("INSERT INTO segment_chunk VALUES ('00', 0, x'00')", []).unwrap();
    assert_ne!(kept.faults(), []);
    shell.execute("DELETE FROM segment_chunk", []).unwrap();
    shell.execute("INSERT INTO number_storage VALUES (1, 'plain')", []).unwrap();
    assert_ne!(kept.faults(), [], "nor has what servers say of numbers");
}

#[test]
fn what_no_record_says_is_the_whole_of_what_is_not_named() {
    let kept = Kept::new();
    let shell = shell(&kept);
    let tables = Table::all(&shell);
    for (name, column) in UNTOLD {
        let table = tables.iter().find(|table| table.name == name).unwrap();
        let column = column.unwrap_or("body");
        let column = table.columns.iter().position(|of| of == column).unwrap();
        let line = &table.lines[0];
        let is_taken = with_bit(table, line, column, 0, || assert_eq!(kept.faults(), [], "{name}"));
        assert!(is_taken, "{name}");
    }
    // Of whether a stream is closed only one bit is free.
    let writer = tables.iter().find(|table| table.name == "writer").unwrap();
    for bit in 1..64 {
        with_bit(writer, &writer.lines[0], 3, bit, || assert_ne!(kept.faults(), [], "bit {bit}"));
    }
}

#[test]
fn every_row_that_is_dropped_or_swapped_is_named() {
    let kept = Kept::new();
    let shell = shell(&kept);
    for table in Table::all(&shell).iter().filter(|table| !is_untold(table, "")) {
        for line in &table.lines {
            table.remove(line);
            let faults = kept.faults();
            assert!(!faults.is_empty(), "{}: {:?} dropped", table.name, line.values);
            if let Some(record) = table.record(line) {
                assert!(names(&faults, record), "{}, record {record}: {faults:#?}", table.name);
            }
            assert!(table.insert(line));
        }
        // What a key stands for is swapped; where all is key, its last column.
        let first = if table.keys == table.columns.len() { table.keys - 1 } else { table.keys };
        for (index, one) in table.lines.iter().enumerate() {
            for other in &table.lines[index + 1..] {
                let (mut left, mut right) = (one.clone(), other.clone());
                left.values[first..].clone_from_slice(&other.values[first..]);
                right.values[first..].clone_from_slice(&one.values[first..]);
                if left.values == one.values {
                    continue;
                }
                table.remove(one);
                table.remove(other);
                if table.insert(&left) {
                    if table.insert(&right) {
                        let faults = kept.faults();
                        let told = format!(
                            "{}: {:?}, {:?}: {faults:#?}",
                            table.name, one.values, other.values
                        );
                        assert!(!faults.is_empty(), "{told}");
                        for record in [one, other].iter().filter_map(|line| table.record(line)) {
                            assert!(names(&faults, record), "record {record}: {told}");
                        }
                        table.remove(&right);
                    }
                    table.remove(&left);
                }
                assert!(table.insert(one) && table.insert(other));
            }
        }
    }
    assert_eq!(kept.faults(), [], "all is put back");
}

#[test]
fn tables_that_somebody_else_has_made_are_named() {
    let kept = Kept::new();
    for sql in [
        "CREATE INDEX more ON optout (number)",
        "CREATE TRIGGER eat AFTER INSERT ON optout BEGIN DELETE FROM optout; END",
        "CREATE VIEW people AS SELECT number FROM optout",
        "ALTER TABLE optout ADD COLUMN note TEXT",
    ] {
        assert_ne!(kept.faults_after(sql), [], "{sql}");
    }
}

#[test]
fn any_flipped_bit_of_a_key_that_is_in_use_is_named() {
    let kept = Kept::new();
    let path = kept.path().join("keys");
    let bytes = fs::read(&path).unwrap();
    // Magic, tag key and checksum; the signing key and its own; and the keys of three people.
    let used = [0..44, 64..100, 4096..4096 + 3 * 32].into_iter().flatten();
    for bit in used.flat_map(|octet| 8 * octet..8 * (octet + 1)).step_by(step()) {
        let mut touched = bytes.clone();
        touched[bit / 8] ^= 1 << (bit % 8);
        let faults = kept.faults_with(&path, &touched);
        assert!(!faults.is_empty(), "octet {}, bit {}", bit / 8, bit % 8);
        if bit >= 8 * 4096 {
            assert!(faults.iter().all(|fault| fault.record.is_some()), "{faults:#?}");
        }
    }
}
