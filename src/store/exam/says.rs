//! What the tables say of one record, held against what the record says.

use crate::model::Number;
use crate::model::RecordId;
use crate::store::StoreError;
use crate::store::backend::Table;
use crate::store::backend::Value;
use crate::store::database::rows::audio_values;
use crate::store::database::rows::confirmation_values;
use crate::store::database::rows::erased_values;
use crate::store::database::rows::erasure_values;
use crate::store::database::rows::import_values;
use crate::store::database::rows::optout_values;
use crate::store::database::rows::reversal_values;
use crate::store::database::rows::reversed_values;
use crate::store::database::tables;
use crate::store::database::tag_text;
use crate::suppression::Evidence;
use crate::suppression::Fact;
use crate::suppression::proof::Kind;
use crate::suppression::proof::Record;

use super::rows::Rows;

/// What must stand in the table `evidence` for a record.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    /// This.
    Told(Evidence),
    /// Something, which is sealed under another node's key.
    Sealed,
    /// Nothing.
    Nothing,
    /// Whatever there is.
    Unknown,
}

impl Proof {
    /// For `fact`, with all that is sealed of it.
    pub(super) fn of(fact: &Fact) -> Self {
        Evidence::of(fact).map_or(Self::Nothing, Self::Told)
    }

    /// For a record whose key is elsewhere.
    pub(super) fn of_sealed(record: &Record) -> Self {
        match record.has_evidence() {
            Some(true) => Self::Sealed,
            Some(false) => Self::Nothing,
            None => Self::Unknown,
        }
    }
}

/// What was found there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proved {
    /// What must stand there, or nothing where an erasure says that it is gone.
    Yes,
    /// Something where nothing must stand.
    Left,
    /// Something else, or nothing.
    No,
}

/// The table in which a record of that kind has its row.
pub(super) const fn table_of(kind: Kind) -> Option<&'static Table> {
    match kind {
        Kind::OptOut => Some(&tables::OPTOUT),
        Kind::Confirmed => Some(&tables::CONFIRMATION),
        Kind::Erasure => Some(&tables::ERASURE),
        Kind::Audio => Some(&tables::AUDIO),
        Kind::Import => Some(&tables::IMPORTS),
        Kind::Reversal => Some(&tables::REVERSAL),
        Kind::Checkpoint => None,
    }
}

impl Rows {
    /// Whether the other tables say of the record what it says.
    pub(super) fn says(&self, record: &Record, fact: &Fact) -> Result<bool, StoreError> {
        if let Some((tag, slot)) = record.key_slot().filter(|_slot| !self.is_shared) {
            let sql = "SELECT slot FROM number_key WHERE tag = $1 AND slot = $2";
            if !self.exists(sql, &[tag_text(tag).into(), i64::from(slot).into()])? {
                return Ok(false);
            }
        }
        let Some(table) = table_of(record.kind) else { return Ok(true) };
        let row = match fact {
            Fact::OptOut(optout) => optout_values(record, optout),
            Fact::Confirmed(confirmation) => Ok(confirmation_values(record, confirmation)),
            Fact::Import(import) => import_values(record, import),
            Fact::Reversal(reversal) => reversal_values(record, reversal),
            Fact::Audio(audio) => Ok(audio_values(record, audio)),
            Fact::Erasure(erasure) => erasure_values(record, erasure),
            Fact::Checkpoint(_) => return Ok(true),
        };
        let Ok(row) = row else { return Ok(false) };
        if !self.has(table, &row)? {
            return Ok(false);
        }
        match fact {
            Fact::OptOut(optout) => {
                let mut lists: Vec<String> =
                    optout.lists.iter().map(|list| list.as_str().to_owned()).collect();
                lists.sort_unstable();
                lists.dedup();
                Ok(self.lists(record.id, optout.number)? == lists)
            }
            Fact::Reversal(reversal) => {
                self.has_made(&tables::REVERSED, record.id, reversed_values(record, reversal))
            }
            Fact::Erasure(erasure) => {
                self.has_made(&tables::ERASED, record.id, erased_values(record, erasure))
            }
            Fact::Audio(_) | Fact::Checkpoint(_) | Fact::Confirmed(_) | Fact::Import(_) => Ok(true),
        }
    }

    /// Whether what proves the record `id` is there as it should be. What was erased may be gone
    /// before its key is, where a crash came in between.
    pub(super) fn proves(&self, id: RecordId, proof: &Proof) -> Result<Proved, StoreError> {
        let want = match proof {
            Proof::Told(evidence) => serde_json::to_string(evidence).ok(),
            Proof::Sealed | Proof::Nothing => None,
            Proof::Unknown => return Ok(Proved::Yes),
        };
        let sql = "SELECT body FROM evidence WHERE writer_id = $1 AND writer_seq = $2";
        let key = [id.writer.0.into(), id.seq.into()];
        let mut found = None;
        self.each(sql, &key, |row| {
            found = row.0.first().cloned();
            Ok(())
        })?;
        match (proof, found) {
            (Proof::Sealed, Some(_)) | (Proof::Nothing, None) => Ok(Proved::Yes),
            (Proof::Nothing, Some(_)) => Ok(Proved::Left),
            (_, None) => {
                let sql = "SELECT writer_seq FROM erased WHERE ref_writer = $1 AND ref_seq = $2";
                Ok(if self.exists(sql, &key)? { Proved::Yes } else { Proved::No })
            }
            (_, found) if found == want.map(Value::from) => Ok(Proved::Yes),
            _ => Ok(Proved::No),
        }
    }

    /// The number that the row of a record in `table` says, if it has a row that says one: that of a
    /// record whose key is elsewhere.
    pub(super) fn number(&self, table: &Table, id: RecordId) -> Result<Option<Number>, StoreError> {
        let sql =
            format!("SELECT number FROM {} WHERE writer_id = $1 AND writer_seq = $2", table.name);
        let mut found = None;
        self.each(&sql, &[id.writer.0.into(), id.seq.into()], |row| {
            found = Number::from_key(row.unsigned(0)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Whether `table` has the row `want`: one with its key, and nothing else in it.
    fn has(&self, table: &Table, want: &[Value]) -> Result<bool, StoreError> {
        let key: Vec<String> = table
            .columns
            .iter()
            .take(table.key_len)
            .enumerate()
            .map(|(at, (name, _kind))| format!("{name} = ${}", at + 1))
            .collect();
        let (columns, name) = (table.column_names(), table.name);
        let sql = format!("SELECT {columns} FROM {name} WHERE {}", key.join(" AND "));
        let mut found = None;
        self.each(&sql, want.get(..table.key_len).unwrap_or(want), |row| {
            found = Some(row.0 == want);
            Ok(())
        })?;
        Ok(found == Some(true))
    }

    /// The lists that the record says the number is on, in order.
    fn lists(&self, id: RecordId, number: Number) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT list FROM suppressed
                   WHERE number = $1 AND writer_id = $2 AND writer_seq = $3";
        let mut lists = Vec::new();
        self.each(sql, &[number.digits().into(), id.writer.0.into(), id.seq.into()], |row| {
            lists.push(row.text(0).unwrap_or_default().to_owned());
            Ok(())
        })?;
        // Databases order texts differently.
        lists.sort_unstable();
        Ok(lists)
    }

    /// Whether the rows of `table` that the record `id` has made are those of `want`.
    fn has_made(
        &self,
        table: &Table,
        id: RecordId,
        mut want: Vec<Vec<Value>>,
    ) -> Result<bool, StoreError> {
        let (columns, name) = (table.column_names(), table.name);
        let sql = format!("SELECT {columns} FROM {name} WHERE writer_id = $1 AND writer_seq = $2");
        let mut rows = Vec::new();
        self.each(&sql, &[id.writer.0.into(), id.seq.into()], |row| {
            rows.push(row.0.to_vec());
            Ok(())
        })?;
        rows.sort_unstable();
        want.sort_unstable();
        Ok(rows == want)
    }
}
