-- The segments of imports, in pieces, for the nodes that share the database: each fetches what it
-- lacks. The ordinals of a segment count from 0; its SHA-256 tells whether all of them are there.
CREATE TABLE segment_chunk (
    sha256 TEXT NOT NULL,
    ordinal BIGINT NOT NULL,
    octets BYTEA NOT NULL,
    PRIMARY KEY (sha256, ordinal)
);
