-- Files of numbers that were put on lists; body is the whole import as JSON, the numbers are in the
-- segments that it names.
CREATE TABLE imports (
    writer_id BIGINT NOT NULL,
    writer_seq BIGINT NOT NULL,
    written_us BIGINT NOT NULL,
    imported_us BIGINT NOT NULL,
    list TEXT NOT NULL,
    account TEXT,
    file_sha256 TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (writer_id, writer_seq)
);
