-- How the nodes that share the database keep numbers, in one row: 'plain', or 'hmac' and the
-- fingerprint of the key by which they are hashed, which no database has.
CREATE TABLE number_storage (
    id BIGINT NOT NULL,
    mark TEXT NOT NULL,
    PRIMARY KEY (id)
);
