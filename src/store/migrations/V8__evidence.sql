-- What proves the opt-out or reversal (writer_id, writer_seq) beside whom and what it is about: as JSON.
-- The only rows made from the journal that are taken away again, once they are past their time. The
-- bodies of opt-outs and reversals are without it; those from before this table still have it.
CREATE TABLE evidence (
    writer_id BIGINT NOT NULL,
    writer_seq BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (writer_id, writer_seq)
);

-- That the evidence of (ref_writer, ref_seq) is gone, by which erasure, since when and what for.
CREATE TABLE erased (
    ref_writer BIGINT NOT NULL,
    ref_seq BIGINT NOT NULL,
    writer_id BIGINT NOT NULL,
    writer_seq BIGINT NOT NULL,
    erased_us BIGINT NOT NULL,
    cause TEXT NOT NULL,
    PRIMARY KEY (ref_writer, ref_seq, writer_id, writer_seq)
);
