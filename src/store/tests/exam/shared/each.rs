//! Every row of every table that one node has written: each of its columns changed, the row dropped,
//! another one added beside it, and the row swapped with the next.

use super::*;
use crate::store::backend::Kind;
use crate::store::backend::Table;

/// In no chain, since it is written after a call: not looked at.
const UNTOLD: &str = "call_record";

/// A row of a table.
struct Line {
    /// What it is found by: its key.
    key: String,
    /// The record that it stands for, where it stands for one.
    record: Option<RecordId>,
}

fn has(table: &Table, column: &str) -> bool {
    table.columns.iter().any(|(name, _kind)| *name == column)
}

/// The rows of `table` that `writer` has written, or that are nobody's.
fn lines(database: &TestDatabase, table: &Table, writer: WriterId) -> Vec<Line> {
    let keys = table.columns.iter().take(table.key_len).map(|(name, _kind)| *name);
    let form: Vec<String> = keys.clone().map(|name| format!("{name} = %L")).collect();
    let (form, keys) = (form.join(" AND "), keys.collect::<Vec<_>>().join(", "));
    let seq = if has(table, "writer_seq") { "writer_seq" } else { "0" };
    let of = match has(table, "writer_id") {
        true => format!("WHERE writer_id = {}", writer.0.cast_signed()),
        false => String::new(),
    };
    let name = table.name;
    let sql = format!("SELECT format('{form}', {keys}), {seq} FROM {name} {of} ORDER BY 1");
    let line = |line: &str| {
        let (key, seq) = line.rsplit_once('|').expect("two columns");
        let seq = seq.parse().expect("it is a number");
        Line { key: key.to_owned(), record: (seq > 0).then_some(RecordId { writer, seq }) }
    };
    database.psql(&sql).lines().map(line).collect()
}

/// Another value in place of that of a column.
fn changed(name: &str, kind: Kind) -> String {
    match kind {
        Kind::BigInt | Kind::Int => format!("{name} + 1"),
        Kind::Bytea => format!("set_byte({name}, 30, get_byte({name}, 30) # 1)"),
        Kind::Text => format!("COALESCE({name}, '') || ' '"),
    }
}

/// How much further on the rows stand that are added.
const FURTHER: u64 = 50;

/// A row like `line` with a key of its own.
fn added(table: &Table, line: &Line) -> String {
    let value = |(at, (name, kind)): (usize, &(&str, Kind))| match *name {
        "writer_seq" | "ref_seq" => format!("{name} + {FURTHER}"),
        _ if at + 1 == table.key_len && !has(table, "writer_seq") => changed(name, *kind),
        _ => (*name).to_owned(),
    };
    let values: Vec<String> = table.columns.iter().enumerate().map(value).collect();
    let (name, values) = (table.name, values.join(", "));
    format!("INSERT INTO {name} SELECT {values} FROM {name} WHERE {}", line.key)
}

/// Has two rows say what the other says.
fn swapped(table: &Table, one: &Line, other: &Line) -> Option<String> {
    let said = table.columns.iter().skip(table.key_len).map(|(name, _kind)| *name);
    let own: Vec<&str> = said.clone().collect();
    let others: Vec<String> = said.map(|name| format!("b.{name}")).collect();
    let is = |row: &str, line: &Line| {
        let key = line.key.split(" AND ").map(|part| format!("{row}.{part}"));
        key.collect::<Vec<_>>().join(" AND ")
    };
    let (name, own, others) = (table.name, own.join(", "), others.join(", "));
    let [there, back] = [(one, other), (other, one)]
        .map(|(left, right)| format!("({} AND {})", is("a", left), is("b", right)));
    (!own.is_empty()).then(|| {
        format!(
            "UPDATE {name} AS a SET ({own}) = ROW({others}) FROM {name} AS b WHERE {there} OR {back}"
        )
    })
}

#[test]
fn every_row_on_a_server_that_is_changed_dropped_added_or_swapped_is_named() {
    let shared = Shared::new();
    let (stand, database) = (&shared.own, &shared.database);
    let writer = Shared::writer(stand);
    let mut count = 0;
    let mut check = |sql: &str, records: &[RecordId]| {
        count += 1;
        let faults = stand.examined().faults;
        assert!(!faults.is_empty(), "{sql}");
        for record in records {
            assert!(names(&faults, *record), "record {record}, {sql}: {faults:#?}");
        }
    };
    let change = |sql: &str| shared.try_change(sql).unwrap_or_else(|told| panic!("{sql}: {told}"));
    for table in tables::ALL {
        let lines = lines(database, table, writer);
        let is_empty = table.name == "number_key";
        assert_eq!(lines.is_empty(), is_empty, "{}", table.name);
        if table.name == UNTOLD {
            continue;
        }
        for (at, line) in lines.iter().enumerate() {
            let (name, key, record) = (table.name, &line.key, line.record.as_slice());
            let dropped = format!("DELETE FROM {name} WHERE {key}");
            change(&dropped);
            check(&dropped, record);
            for (column, kind) in table.columns {
                let value = changed(column, *kind);
                let sql = format!("UPDATE {name} SET {column} = {value} WHERE {key}");
                // Another row may have that key.
                if shared.try_change(&sql).is_ok() {
                    check(&sql, record);
                }
            }
            let beside = line.record.map(|id| RecordId { seq: id.seq + FURTHER, ..id });
            let sql = added(table, line);
            change(&sql);
            check(&sql, beside.as_slice());
            let next = lines.get(at + 1).map(|next| (next, swapped(table, line, next)));
            if let Some((next, Some(sql))) = next {
                change(&sql);
                check(&sql, &[record, next.record.as_slice()].concat());
            }
        }
    }
    database.psql(&back_to("kept"));
    assert_eq!(stand.examined().faults, [], "all is put back");
    assert!(count > 150, "there was something to change: {count}");
}
