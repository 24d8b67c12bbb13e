-- What processes that share a database must know of each other. With SQLite
-- there is one, and most of it stays empty.

-- +goose Up
CREATE TABLE identity ( -- of the database, one row
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    database TEXT    NOT NULL, -- random
    oldest   INTEGER NOT NULL  -- binaries that know migrations up to this one can use the schema as it is
);
INSERT INTO identity (id, database, oldest) VALUES (1, lower(hex(randomblob(16))), 7);

CREATE TABLE clock ( -- one row: how many transactions touched a stripe
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL
);
INSERT INTO clock (id, seq) VALUES (1, 0);

CREATE TABLE stripes ( -- clock.seq when something of the stripe last changed
    stripe INTEGER PRIMARY KEY,
    seq    INTEGER NOT NULL
);
CREATE INDEX stripes_seq ON stripes (seq);

CREATE TABLE writers ( -- tells whether a commit took place whose answer was lost
    id     TEXT    PRIMARY KEY, -- random, of one process' life
    number INTEGER NOT NULL,    -- of its latest transaction
    at     INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE replicas (
    id      TEXT    PRIMARY KEY,
    seen_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE leases ( -- what one replica at a time does
    name   TEXT    PRIMARY KEY,
    holder TEXT    NOT NULL, -- replica
    until  INTEGER NOT NULL
) WITHOUT ROWID;

ALTER TABLE object_blocks ADD COLUMN owner TEXT NOT NULL DEFAULT ''; -- replica that writes the keys

ALTER TABLE releases ADD COLUMN incomplete INTEGER NOT NULL DEFAULT 0; -- derived, of facts
UPDATE releases SET incomplete = 1 WHERE json_extract(facts, '$.incomplete');
