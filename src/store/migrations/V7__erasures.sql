-- Erasures: whose, as the store keeps the number, and by whom and why. What they destroyed is not here.
CREATE TABLE erasure (
    writer_id BIGINT NOT NULL,
    writer_seq BIGINT NOT NULL,
    number BIGINT NOT NULL,
    erased_us BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (writer_id, writer_seq)
);
