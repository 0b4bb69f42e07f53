//! What the rows of a record say, in the order of their tables' columns.

use rusqlite::types::Value;

use crate::store::StoreError;
use crate::suppression::Confirmation;
use crate::suppression::OptOut;
use crate::suppression::Reversal;
use crate::suppression::import::Import;
use crate::suppression::proof::Hash;
use crate::suppression::proof::Record;

use super::json;
use super::to_sql;

/// The row of `optout`.
pub(in crate::store) fn optout_values(
    record: &Record,
    optout: &OptOut,
) -> Result<Vec<Value>, StoreError> {
    let text = |name: Option<&str>| name.map_or(Value::Null, |name| name.to_owned().into());
    Ok(vec![
        to_sql(record.id.writer.0).into(),
        to_sql(record.id.seq).into(),
        to_sql(optout.number.digits()).into(),
        optout.pressed_at.0.into(),
        record.written_at.0.into(),
        text(optout.account.as_ref().map(|name| name.as_str())),
        text(optout.campaign.as_ref().map(|name| name.as_str())),
        text(optout.dialer.as_ref().map(|name| name.as_str())),
        text(optout.trunk.as_ref().map(|name| name.as_str())),
        optout.digits.to_string().into(),
        text(optout.method.map(|method| method.as_str())),
        optout.origin.as_str().to_owned().into(),
        optout.node.as_str().to_owned().into(),
        json(optout)?.into(),
    ])
}

/// The row of `confirmation`.
pub(in crate::store) fn confirmation_values(
    record: &Record,
    confirmation: &Confirmation,
) -> Vec<Value> {
    vec![
        to_sql(confirmation.record.writer.0).into(),
        to_sql(confirmation.record.seq).into(),
        to_sql(record.id.writer.0).into(),
        to_sql(record.id.seq).into(),
        confirmation.durable_at.0.into(),
        confirmation.at.0.into(),
        confirmation.outcome.as_str().to_owned().into(),
    ]
}

/// The row of `imports`.
pub(in crate::store) fn import_values(
    record: &Record,
    import: &Import,
) -> Result<Vec<Value>, StoreError> {
    let account = import.account.as_ref().map(|name| name.as_str().to_owned());
    Ok(vec![
        to_sql(record.id.writer.0).into(),
        to_sql(record.id.seq).into(),
        record.written_at.0.into(),
        import.imported_at.0.into(),
        import.list.as_str().to_owned().into(),
        account.map_or(Value::Null, Value::from),
        Hash(import.file_sha256).to_string().into(),
        json(import)?.into(),
    ])
}

/// The row of `reversal`.
pub(in crate::store) fn reversal_values(
    record: &Record,
    reversal: &Reversal,
) -> Result<Vec<Value>, StoreError> {
    Ok(vec![
        to_sql(record.id.writer.0).into(),
        to_sql(record.id.seq).into(),
        to_sql(reversal.number.digits()).into(),
        reversal.reversed_at.0.into(),
        json(reversal)?.into(),
    ])
}

/// The rows of `reversed` by a reversal: one for each list of each record that it cancels, each
/// once, by record and then by list.
pub(in crate::store) fn reversed_values(record: &Record, reversal: &Reversal) -> Vec<Vec<Value>> {
    let mut keys: Vec<(i64, i64, &str)> = Vec::new();
    for cancelled in &reversal.cancels {
        let (writer, seq) = (to_sql(cancelled.record.writer.0), to_sql(cancelled.record.seq));
        keys.extend(cancelled.lists.iter().map(|list| (writer, seq, list.as_str())));
    }
    keys.sort_unstable();
    keys.dedup();
    let row = |(writer, seq, list): (i64, i64, &str)| {
        vec![
            writer.into(),
            seq.into(),
            to_sql(reversal.number.digits()).into(),
            list.to_owned().into(),
            to_sql(record.id.writer.0).into(),
            to_sql(record.id.seq).into(),
        ]
    };
    keys.into_iter().map(row).collect()
}
