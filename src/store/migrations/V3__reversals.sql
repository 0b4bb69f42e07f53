-- Reversals; body is the whole reversal as JSON.
CREATE TABLE reversal (
    writer_id BIGINT NOT NULL,
    writer_seq BIGINT NOT NULL,
    number BIGINT NOT NULL,
    reversed_us BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (writer_id, writer_seq)
);

-- On which list the record (ref_writer, ref_seq) no longer refuses a number, and by which reversal.
-- Rows of `suppressed` and numbers of imports stay as they are and are judged together with these.
CREATE TABLE reversed (
    ref_writer BIGINT NOT NULL,
    ref_seq BIGINT NOT NULL,
    number BIGINT NOT NULL,
    list TEXT NOT NULL,
    writer_id BIGINT NOT NULL,
    writer_seq BIGINT NOT NULL,
    PRIMARY KEY (ref_writer, ref_seq, number, list, writer_id, writer_seq)
);
