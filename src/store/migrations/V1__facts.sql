-- Everything here but call_record is a projection of the journal and can be rebuilt from it.
-- The SQL is the subset that SQLite and the PostgreSQL family share: keys made by the client,
-- composite primary keys, no sequence, trigger, foreign key or partial index.

-- How far each writer's stream has been taken in; closed once its process is gone.
CREATE TABLE writer (
    writer_id BIGINT NOT NULL PRIMARY KEY,
    last_seq BIGINT NOT NULL,
    last_hash TEXT NOT NULL,
    is_closed INT NOT NULL
);

-- The stored form of each fact, as it stands in the journal.
CREATE TABLE fact (
    writer_id BIGINT NOT NULL,
    writer_seq BIGINT NOT NULL,
    record BYTEA NOT NULL,
    PRIMARY KEY (writer_id, writer_seq)
);

-- Opt-outs in the clear; body is the whole opt-out as JSON.
CREATE TABLE optout (
    writer_id BIGINT NOT NULL,
    writer_seq BIGINT NOT NULL,
    number BIGINT NOT NULL,
    pressed_us BIGINT NOT NULL,
    written_us BIGINT NOT NULL,
    account TEXT,
    campaign TEXT,
    dialer TEXT,
    trunk TEXT,
    digits TEXT NOT NULL,
    method TEXT,
    origin TEXT NOT NULL,
    node TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (writer_id, writer_seq)
);

-- Why a number is refused: which record put it on which list.
CREATE TABLE suppressed (
    number BIGINT NOT NULL,
    list TEXT NOT NULL,
    writer_id BIGINT NOT NULL,
    writer_seq BIGINT NOT NULL,
    PRIMARY KEY (number, list, writer_id, writer_seq)
);

-- What became of the confirmation of the opt-out (ref_writer, ref_seq).
CREATE TABLE confirmation (
    ref_writer BIGINT NOT NULL,
    ref_seq BIGINT NOT NULL,
    writer_id BIGINT NOT NULL,
    writer_seq BIGINT NOT NULL,
    durable_us BIGINT NOT NULL,
    confirmed_us BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    PRIMARY KEY (ref_writer, ref_seq)
);

-- Which slot of the key file a number's key is in, by the keyed hash of the number.
CREATE TABLE number_key (
    tag TEXT NOT NULL,
    slot BIGINT NOT NULL,
    PRIMARY KEY (tag, slot)
);

-- Calls; body is the whole call record as JSON.
CREATE TABLE call_record (
    call_id TEXT NOT NULL PRIMARY KEY,
    started_us BIGINT NOT NULL,
    ended_us BIGINT NOT NULL,
    dialer TEXT,
    campaign TEXT,
    account TEXT,
    trunk TEXT,
    number BIGINT,
    disposition TEXT NOT NULL,
    sip_status INT,
    node TEXT NOT NULL,
    body TEXT NOT NULL
);
