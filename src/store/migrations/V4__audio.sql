-- What became of the audio around the press of the opt-out (ref_writer, ref_seq): the name of its file,
-- or why there is none.
CREATE TABLE audio (
    writer_id BIGINT NOT NULL,
    writer_seq BIGINT NOT NULL,
    ref_writer BIGINT NOT NULL,
    ref_seq BIGINT NOT NULL,
    sha256 TEXT,
    lost TEXT,
    PRIMARY KEY (writer_id, writer_seq)
);
