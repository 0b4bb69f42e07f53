//! What a record and a call say in the tables: rows, their values in the order of the columns.
//!
//! They are made to be written, and most of them once more by an examination, which holds what was
//! written against them.

use crate::model::RecordId;
use crate::record::Cdr;
use crate::store::StoreError;
use crate::store::backend::Change;
use crate::store::backend::Value;
use crate::suppression::Audio;
use crate::suppression::AudioResult;
use crate::suppression::Confirmation;
use crate::suppression::Erasure;
use crate::suppression::Evidence;
use crate::suppression::Fact;
use crate::suppression::OptOut;
use crate::suppression::Reversal;
use crate::suppression::evidence::outline_of_optout;
use crate::suppression::evidence::outline_of_reversal;
use crate::suppression::import::Import;
use crate::suppression::proof::Hash;
use crate::suppression::proof::Record;

use super::Projected;
use super::tables;
use super::tag_text;

/// The rows of `records`, table by table; `with_keys` where the database is this node's own.
pub(super) fn of_records(
    records: &[Projected],
    with_keys: bool,
) -> Result<Vec<Change>, StoreError> {
    let (mut facts, mut keys) = (Vec::with_capacity(records.len()), Vec::new());
    let (mut optouts, mut suppressed) = (Vec::new(), Vec::new());
    let (mut confirmations, mut imports) = (Vec::new(), Vec::new());
    let (mut reversals, mut reversed) = (Vec::new(), Vec::new());
    let (mut heard, mut erasures) = (Vec::new(), Vec::new());
    let (mut evidence, mut erased, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for projected in records {
        let (record, fact) = (projected.record(), projected.fact());
        facts.push(fact_values(record));
        if let Some(fact) = fact {
            evidence.extend(evidence_values(record, fact)?);
        }
        if let Some((tag, slot)) = record.key_slot().filter(|_slot| with_keys) {
            keys.push(vec![tag_text(tag).into(), i64::from(slot).into()]);
        }
        match fact {
            Some(Fact::OptOut(optout)) => {
                optouts.push(optout_values(record, optout)?);
                suppressed.extend(suppressed_values(record, optout));
            }
            Some(Fact::Confirmed(confirmation)) => {
                confirmations.push(confirmation_values(record, confirmation));
            }
            Some(Fact::Import(import)) => imports.push(import_values(record, import)?),
            Some(Fact::Reversal(reversal)) => {
                reversals.push(reversal_values(record, reversal)?);
                reversed.extend(reversed_values(record, reversal));
            }
            Some(Fact::Erasure(erasure)) => {
                erasures.push(erasure_values(record, erasure)?);
                erased.extend(erased_values(record, erasure));
                gone.extend(erasure.records.iter().copied().map(record_key));
            }
            Some(Fact::Audio(audio)) => heard.push(audio_values(record, audio)),
            // What a checkpoint says is in the record, which is asked for by its place.
            Some(Fact::Checkpoint(_)) | None => {}
        }
    }
    let all = [
        (&tables::FACT, facts),
        (&tables::NUMBER_KEY, keys),
        (&tables::OPTOUT, optouts),
        (&tables::SUPPRESSED, suppressed),
        (&tables::CONFIRMATION, confirmations),
        (&tables::IMPORTS, imports),
        (&tables::REVERSAL, reversals),
        (&tables::REVERSED, reversed),
        (&tables::AUDIO, heard),
        (&tables::ERASURE, erasures),
        (&tables::EVIDENCE, evidence),
        (&tables::ERASED, erased),
    ];
    let filled = all.into_iter().filter(|(_table, rows)| !rows.is_empty());
    let mut changes: Vec<Change> =
        filled.map(|(table, rows)| Change::Insert(table, rows)).collect();
    changes.extend(without_evidence(gone));
    Ok(changes)
}

/// Takes evidence away, by the `keys` of its rows; those that are gone already are no matter.
pub(super) fn without_evidence(keys: Vec<Vec<Value>>) -> Option<Change> {
    (!keys.is_empty()).then_some(Change::Delete(&tables::EVIDENCE, keys))
}

/// The key of what stands under a record's own name.
pub(super) fn record_key(id: RecordId) -> Vec<Value> {
    vec![id.writer.0.into(), id.seq.into()]
}

fn fact_values(record: &Record) -> Vec<Value> {
    let mut stored = Vec::new();
    record.write(&mut stored);
    vec![record.id.writer.0.into(), record.id.seq.into(), stored.into()]
}

/// The row of an opt-out.
pub(in crate::store) fn optout_values(
    record: &Record,
    optout: &OptOut,
) -> Result<Vec<Value>, StoreError> {
    Ok(vec![
        record.id.writer.0.into(),
        record.id.seq.into(),
        optout.number.digits().into(),
        optout.pressed_at.0.into(),
        record.written_at.0.into(),
        optout.account.as_ref().map(|name| name.as_str()).into(),
        optout.campaign.as_ref().map(|name| name.as_str()).into(),
        optout.dialer.as_ref().map(|name| name.as_str()).into(),
        optout.trunk.as_ref().map(|name| name.as_str()).into(),
        optout.digits.to_string().into(),
        optout.method.map(|method| method.as_str()).into(),
        optout.origin.as_str().into(),
        optout.node.as_str().into(),
        json(&outline_of_optout(optout))?.into(),
    ])
}

fn suppressed_values(record: &Record, optout: &OptOut) -> impl Iterator<Item = Vec<Value>> {
    let (number, id) = (optout.number.digits(), record.id);
    optout.lists.iter().map(move |list| {
        vec![number.into(), list.as_str().into(), id.writer.0.into(), id.seq.into()]
    })
}

/// The row of what became of a confirmation.
pub(in crate::store) fn confirmation_values(
    record: &Record,
    confirmation: &Confirmation,
) -> Vec<Value> {
    vec![
        confirmation.record.writer.0.into(),
        confirmation.record.seq.into(),
        record.id.writer.0.into(),
        record.id.seq.into(),
        confirmation.durable_at.0.into(),
        confirmation.at.0.into(),
        confirmation.outcome.as_str().into(),
    ]
}

/// The row of an import.
pub(in crate::store) fn import_values(
    record: &Record,
    import: &Import,
) -> Result<Vec<Value>, StoreError> {
    Ok(vec![
        record.id.writer.0.into(),
        record.id.seq.into(),
        record.written_at.0.into(),
        import.imported_at.0.into(),
        import.list.as_str().into(),
        import.account.as_ref().map(|name| name.as_str()).into(),
        Hash(import.file_sha256).to_string().into(),
        json(import)?.into(),
    ])
}

/// The row of a reversal.
pub(in crate::store) fn reversal_values(
    record: &Record,
    reversal: &Reversal,
) -> Result<Vec<Value>, StoreError> {
    Ok(vec![
        record.id.writer.0.into(),
        record.id.seq.into(),
        reversal.number.digits().into(),
        reversal.reversed_at.0.into(),
        json(&outline_of_reversal(reversal))?.into(),
    ])
}

/// What a reversal cancels: a row for each list of each record, each once, by record and then by
/// list.
pub(in crate::store) fn reversed_values(record: &Record, reversal: &Reversal) -> Vec<Vec<Value>> {
    let mut keys: Vec<(RecordId, &str)> = Vec::new();
    for cancelled in &reversal.cancels {
        keys.extend(cancelled.lists.iter().map(|list| (cancelled.record, list.as_str())));
    }
    keys.sort_unstable();
    keys.dedup();
    let (number, id) = (reversal.number.digits(), record.id);
    let row = |(cancelled, list): (RecordId, &str)| {
        vec![
            cancelled.writer.0.into(),
            cancelled.seq.into(),
            number.into(),
            list.into(),
            id.writer.0.into(),
            id.seq.into(),
        ]
    };
    keys.into_iter().map(row).collect()
}

/// The row of an erasure.
pub(in crate::store) fn erasure_values(
    record: &Record,
    erasure: &Erasure,
) -> Result<Vec<Value>, StoreError> {
    Ok(vec![
        record.id.writer.0.into(),
        record.id.seq.into(),
        erasure.number.digits().into(),
        erasure.erased_at.0.into(),
        json(erasure)?.into(),
    ])
}

/// The row of what proves a record, where there is anything.
pub(in crate::store) fn evidence_values(
    record: &Record,
    fact: &Fact,
) -> Result<Option<Vec<Value>>, StoreError> {
    let Some(evidence) = Evidence::of(fact) else { return Ok(None) };
    let mut row = record_key(record.id);
    row.push(json(&evidence)?.into());
    Ok(Some(row))
}

/// Whose evidence an erasure says is gone, by record.
pub(in crate::store) fn erased_values(record: &Record, erasure: &Erasure) -> Vec<Vec<Value>> {
    let mut records = erasure.records.clone();
    records.sort_unstable();
    records.dedup();
    let row = |of: RecordId| {
        vec![
            of.writer.0.into(),
            of.seq.into(),
            record.id.writer.0.into(),
            record.id.seq.into(),
            erasure.erased_at.0.into(),
            erasure.cause.as_str().into(),
        ]
    };
    records.into_iter().map(row).collect()
}

/// The row of what became of audio.
pub(in crate::store) fn audio_values(record: &Record, audio: &Audio) -> Vec<Value> {
    let (sha256, lost) = match audio.result {
        AudioResult::Kept { sha256, .. } => (Some(sha256.to_string()), None),
        AudioResult::Lost { why } => (None, Some(why.as_str())),
    };
    vec![
        record.id.writer.0.into(),
        record.id.seq.into(),
        audio.record.writer.0.into(),
        audio.record.seq.into(),
        sha256.into(),
        lost.into(),
    ]
}

/// The rows of `calls`.
pub(super) fn of_calls(calls: &[Cdr]) -> Result<Option<Change>, StoreError> {
    let rows = calls.iter().map(call_values).collect::<Result<Vec<_>, _>>()?;
    Ok((!rows.is_empty()).then_some(Change::Insert(&tables::CALL_RECORD, rows)))
}

fn call_values(call: &Cdr) -> Result<Vec<Value>, StoreError> {
    Ok(vec![
        call.call.to_string().into(),
        call.started_at.0.into(),
        call.ended_at.0.into(),
        call.dialer.as_ref().map(|name| name.as_str()).into(),
        call.campaign.as_ref().map(|name| name.as_str()).into(),
        call.account.as_ref().map(|name| name.as_str()).into(),
        call.trunk.as_ref().map(|name| name.as_str()).into(),
        call.number.map(|number| number.digits()).into(),
        call.disposition.as_str().into(),
        call.sip_status.map(i64::from).into(),
        call.node.as_str().into(),
        json(call)?.into(),
    ])
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::Row { source })
}
