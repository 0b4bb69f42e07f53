//! The tables that rows are put into: their names, their columns in order, and their keys.

use crate::store::backend::Kind::BigInt;
use crate::store::backend::Kind::Bytea;
use crate::store::backend::Kind::Int;
use crate::store::backend::Kind::Text;
use crate::store::backend::Table;

/// How far each writer's stream has been taken in.
pub(in crate::store) static WRITER: Table = Table {
    name: "writer",
    columns: &[
        ("writer_id", BigInt),
        ("last_seq", BigInt),
        ("last_hash", Text),
        ("is_closed", Int),
    ],
    key_len: 1,
};

/// The stored form of each fact.
pub(in crate::store) static FACT: Table = Table {
    name: "fact",
    columns: &[("writer_id", BigInt), ("writer_seq", BigInt), ("record", Bytea)],
    key_len: 2,
};

/// Opt-outs in the clear, without their evidence.
pub(in crate::store) static OPTOUT: Table = Table {
    name: "optout",
    columns: &[
        ("writer_id", BigInt),
        ("writer_seq", BigInt),
        ("number", BigInt),
        ("pressed_us", BigInt),
        ("written_us", BigInt),
        ("account", Text),
        ("campaign", Text),
        ("dialer", Text),
        ("trunk", Text),
        ("digits", Text),
        ("method", Text),
        ("origin", Text),
        ("node", Text),
        ("body", Text),
    ],
    key_len: 2,
};

/// Why a number is refused.
pub(in crate::store) static SUPPRESSED: Table = Table {
    name: "suppressed",
    columns: &[("number", BigInt), ("list", Text), ("writer_id", BigInt), ("writer_seq", BigInt)],
    key_len: 4,
};

/// What became of confirmations.
pub(in crate::store) static CONFIRMATION: Table = Table {
    name: "confirmation",
    columns: &[
        ("ref_writer", BigInt),
        ("ref_seq", BigInt),
        ("writer_id", BigInt),
        ("writer_seq", BigInt),
        ("durable_us", BigInt),
        ("confirmed_us", BigInt),
        ("outcome", Text),
    ],
    key_len: 2,
};

/// Which slot of the key file a number's key is in.
pub(in crate::store) static NUMBER_KEY: Table =
    Table { name: "number_key", columns: &[("tag", Text), ("slot", BigInt)], key_len: 2 };

/// Files of numbers that were put on lists.
pub(in crate::store) static IMPORTS: Table = Table {
    name: "imports",
    columns: &[
        ("writer_id", BigInt),
        ("writer_seq", BigInt),
        ("written_us", BigInt),
        ("imported_us", BigInt),
        ("list", Text),
        ("account", Text),
        ("file_sha256", Text),
        ("body", Text),
    ],
    key_len: 2,
};

/// Reversals.
pub(in crate::store) static REVERSAL: Table = Table {
    name: "reversal",
    columns: &[
        ("writer_id", BigInt),
        ("writer_seq", BigInt),
        ("number", BigInt),
        ("reversed_us", BigInt),
        ("body", Text),
    ],
    key_len: 2,
};

/// On which list which record no longer refuses a number.
pub(in crate::store) static REVERSED: Table = Table {
    name: "reversed",
    columns: &[
        ("ref_writer", BigInt),
        ("ref_seq", BigInt),
        ("number", BigInt),
        ("list", Text),
        ("writer_id", BigInt),
        ("writer_seq", BigInt),
    ],
    key_len: 6,
};

/// What became of the audio around presses.
pub(in crate::store) static AUDIO: Table = Table {
    name: "audio",
    columns: &[
        ("writer_id", BigInt),
        ("writer_seq", BigInt),
        ("ref_writer", BigInt),
        ("ref_seq", BigInt),
        ("sha256", Text),
        ("lost", Text),
    ],
    key_len: 2,
};

/// Erasures.
pub(in crate::store) static ERASURE: Table = Table {
    name: "erasure",
    columns: &[
        ("writer_id", BigInt),
        ("writer_seq", BigInt),
        ("number", BigInt),
        ("erased_us", BigInt),
        ("body", Text),
    ],
    key_len: 2,
};

/// What proves opt-outs and reversals, for as long as that is kept.
pub(in crate::store) static EVIDENCE: Table = Table {
    name: "evidence",
    columns: &[("writer_id", BigInt), ("writer_seq", BigInt), ("body", Text)],
    key_len: 2,
};

/// Records whose evidence is gone.
pub(in crate::store) static ERASED: Table = Table {
    name: "erased",
    columns: &[
        ("ref_writer", BigInt),
        ("ref_seq", BigInt),
        ("writer_id", BigInt),
        ("writer_seq", BigInt),
        ("erased_us", BigInt),
        ("cause", Text),
    ],
    key_len: 4,
};

/// Calls.
pub(in crate::store) static CALL_RECORD: Table = Table {
    name: "call_record",
    columns: &[
        ("call_id", Text),
        ("started_us", BigInt),
        ("ended_us", BigInt),
        ("dialer", Text),
        ("campaign", Text),
        ("account", Text),
        ("trunk", Text),
        ("number", BigInt),
        ("disposition", Text),
        ("sip_status", Int),
        ("node", Text),
        ("body", Text),
    ],
    key_len: 1,
};

/// Imports' segments, in pieces.
pub(in crate::store) static SEGMENT_CHUNK: Table = Table {
    name: "segment_chunk",
    columns: &[("sha256", Text), ("ordinal", BigInt), ("octets", Bytea)],
    key_len: 2,
};

/// How numbers are kept in a database that nodes share: one row.
pub(in crate::store) static NUMBER_STORAGE: Table =
    Table { name: "number_storage", columns: &[("id", BigInt), ("mark", Text)], key_len: 1 };

/// Every table, in the order in which rows are put in.
pub(in crate::store) static ALL: [&Table; 16] = [
    &NUMBER_STORAGE,
    &WRITER,
    &FACT,
    &NUMBER_KEY,
    &OPTOUT,
    &SUPPRESSED,
    &CONFIRMATION,
    &IMPORTS,
    &REVERSAL,
    &REVERSED,
    &AUDIO,
    &ERASURE,
    &EVIDENCE,
    &ERASED,
    &CALL_RECORD,
    &SEGMENT_CHUNK,
];

/// The tables whose rows go again: an engine may take rows out of no other.
pub(in crate::store) static PASSING: [&Table; 2] = [&EVIDENCE, &CALL_RECORD];
