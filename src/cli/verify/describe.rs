//! What the records of a bundle say, for people.

use std::io;
use std::io::Write;

use crate::cli::page::Page;
use crate::cli::text::optout_texts;
use crate::cli::text::write_texts;
use crate::model::ListName;
use crate::model::Number;
use crate::model::UnixMicros;
use crate::model::hex;
use crate::suppression::Audio;
use crate::suppression::AudioResult;
use crate::suppression::Confirmation;
use crate::suppression::Erasure;
use crate::suppression::EvidenceDeleted;
use crate::suppression::Fact;
use crate::suppression::KeyEvidence;
use crate::suppression::OptOut;
use crate::suppression::Reversal;
use crate::suppression::import::Import;
use crate::suppression::proof::bundle::SegmentPlace;
use crate::suppression::proof::bundle::VerifiedRecord;
use crate::suppression::segment::Content;

/// Says what one record of `number` says, and how its evidence went where that was `deleted`.
pub(super) fn describe(
    record: &VerifiedRecord,
    deleted: Option<EvidenceDeleted>,
    number: Number,
    page: &mut Page,
) -> io::Result<()> {
    let id = record.id;
    let heading = match record.said() {
        Some(Fact::OptOut(optout)) => format!("record {id}, {}", optout.origin.as_str()),
        Some(Fact::Confirmed(_)) => format!("record {id}, confirmation"),
        Some(Fact::Audio(_)) => format!("record {id}, audio"),
        Some(Fact::Import(_)) => format!("record {id}, import"),
        Some(Fact::Reversal(_)) => format!("record {id}, reversal"),
        Some(Fact::Erasure(_)) => format!("record {id}, erasure"),
        Some(Fact::Checkpoint(_)) | None => format!("record {id}"),
    };
    writeln!(page, "{heading}")?;
    match deleted {
        _ if record.fact.is_some() => {}
        Some(deleted) => writeln!(page, "  erased     {deleted}; the chain over it holds")?,
        None => writeln!(page, "  erased     its key was destroyed; the chain over it holds")?,
    }
    match record.said() {
        Some(Fact::OptOut(optout)) => describe_optout(optout, page)?,
        Some(Fact::Confirmed(confirmation)) => describe_confirmation(confirmation, page)?,
        Some(Fact::Audio(audio)) => describe_audio(audio, &record.audio, page)?,
        Some(Fact::Import(import)) => describe_import(import, &record.places, number, page)?,
        Some(Fact::Reversal(reversal)) => describe_reversal(reversal, page)?,
        Some(Fact::Erasure(erasure)) => describe_erasure(erasure, page)?,
        Some(Fact::Checkpoint(_)) | None => {}
    }
    writeln!(page, "  written    {}", record.written_at.iso8601())
}

fn describe_reversal(reversal: &Reversal, page: &mut Page) -> io::Result<()> {
    for cancelled in &reversal.cancels {
        let lists: Vec<&str> = cancelled.lists.iter().map(ListName::as_str).collect();
        writeln!(page, "  cancels    record {} on {}", cancelled.record, lists.join(", "))?;
    }
    if let Some(actor) = &reversal.actor {
        writeln!(page, "  actor      {actor}")?;
    }
    if !reversal.reason.is_empty() {
        writeln!(page, "  reason     {}", reversal.reason)?;
    }
    writeln!(page, "  node       {}", reversal.node)?;
    writeln!(page, "  reversed   {}", reversal.reversed_at.iso8601())
}

fn describe_erasure(erasure: &Erasure, page: &mut Page) -> io::Result<()> {
    let texts = [
        ("of", Some(erasure.number.reveal())),
        ("keys", Some(erasure.slots.len().to_string())),
        ("audio", Some(erasure.audio.len().to_string())),
        ("cause", Some(erasure.cause.as_str().to_owned())),
        ("actor", erasure.actor.clone()),
        ("reason", erasure.reason.clone()),
        ("node", Some(erasure.node.to_string())),
        ("erased", Some(erasure.erased_at.iso8601())),
    ];
    write_texts(texts, page)
}

fn describe_optout(optout: &OptOut, page: &mut Page) -> io::Result<()> {
    let lists: Vec<&str> = optout.lists.iter().map(ListName::as_str).collect();
    writeln!(page, "  lists      {}", lists.join(", "))?;
    write_texts(optout_texts(optout), page)?;
    for key in &optout.key_events {
        writeln!(page, "  key        {}", evidence(key))?;
    }
    writeln!(page, "  node       {}", optout.node)?;
    writeln!(page, "  pressed    {}", optout.pressed_at.iso8601())
}

fn describe_audio(audio: &Audio, wav: &[u8], page: &mut Page) -> io::Result<()> {
    writeln!(page, "  of record  {}", audio.record)?;
    match audio.result {
        AudioResult::Kept { sha256, duration_ms, before_ms, .. } => {
            let place = if wav.is_empty() { "not in the bundle" } else { "in the bundle" };
            writeln!(page, "  audio      {duration_ms} ms, {before_ms} before the press, {place}")?;
            writeln!(page, "  sha256     {sha256}")?;
        }
        AudioResult::Lost { why } => {
            writeln!(page, "  audio      none: {}", why.as_str())?;
        }
    }
    writeln!(page, "  kept       {}", audio.at.iso8601())
}

fn describe_import(
    import: &Import,
    places: &[SegmentPlace],
    number: Number,
    page: &mut Page,
) -> io::Result<()> {
    let texts = [
        ("list", Some(import.list.to_string())),
        ("account", import.account.as_ref().map(ToString::to_string)),
        ("withdraws", import.withdraws.as_ref().map(|it| it.import.to_string())),
        ("reason", import.withdraws.as_ref().map(|it| it.reason.clone())),
        ("source", Some(import.source.clone()).filter(|source| !source.is_empty())),
        ("as of", import.as_of.map(UnixMicros::iso8601)),
        ("file", Some(hex(&import.file_sha256))),
        ("actor", import.actor.clone()),
        ("node", Some(import.node.to_string())),
    ];
    write_texts(texts, page)?;
    for SegmentPlace { content, segment, place } in places {
        let name = match content {
            Content::Listed => "listed",
            Content::TakenOff => "taken off",
        };
        writeln!(page, "  {name:<10} as number {place}, counted from 0, of the segment {segment}")?;
    }
    for range in import.ranges_of(number) {
        writeln!(page, "  listed     by the range {range}")?;
    }
    writeln!(page, "  imported   {}", import.imported_at.iso8601())
}

/// What was heard of one key, as far as its way to us says it.
fn evidence(key: &KeyEvidence) -> String {
    let mut text = format!("{} by {} at {}", key.digit, key.method.as_str(), key.at.iso8601());
    let facts = [
        ("RTP sequence ", key.rtp_sequence.map(i64::from), ""),
        ("timestamp ", key.rtp_timestamp.map(i64::from), ""),
        ("", key.duration_ms.map(i64::from), " ms"),
        ("", key.volume_dbm0.map(i64::from), " dBm0"),
        ("low tone ", key.low_dbm0.map(i64::from), " dBm0"),
        ("high tone ", key.high_dbm0.map(i64::from), " dBm0"),
    ];
    for (before, value, after) in facts {
        if let Some(value) = value {
            text.push_str(&format!(", {before}{value}{after}"));
        }
    }
    text
}

fn describe_confirmation(confirmation: &Confirmation, page: &mut Page) -> io::Result<()> {
    writeln!(page, "  of record  {}", confirmation.record)?;
    writeln!(page, "  outcome    {}", confirmation.outcome.as_str())?;
    writeln!(page, "  durable    {}", confirmation.durable_at.iso8601())?;
    writeln!(page, "  confirmed  {}", confirmation.at.iso8601())
}
