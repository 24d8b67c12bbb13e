-- What processes that share a database must know of each other.

-- +goose Up
CREATE TABLE identity ( -- of the database, one row
    id       BIGINT           PRIMARY KEY CHECK (id = 1),
    database TEXT COLLATE "C" NOT NULL, -- random
    oldest   BIGINT           NOT NULL  -- binaries that know migrations up to this one can use the schema as it is
);
INSERT INTO identity (id, database, oldest) VALUES (1, replace(gen_random_uuid()::text, '-', ''), 7);

CREATE TABLE clock ( -- one row: how many transactions touched a stripe
    id  BIGINT PRIMARY KEY CHECK (id = 1),
    seq BIGINT NOT NULL
);
INSERT INTO clock (id, seq) VALUES (1, 0);

CREATE TABLE stripes ( -- clock.seq when something of the stripe last changed
    stripe BIGINT PRIMARY KEY,
    seq    BIGINT NOT NULL
);
CREATE INDEX stripes_seq ON stripes (seq);

CREATE TABLE writers ( -- tells whether a commit took place whose answer was lost
    id     TEXT COLLATE "C" PRIMARY KEY, -- random, of one process' life
    number BIGINT           NOT NULL,    -- of its latest transaction
    at     BIGINT           NOT NULL
);

CREATE TABLE replicas (
    id      TEXT COLLATE "C" PRIMARY KEY,
    seen_at BIGINT           NOT NULL
);

CREATE TABLE leases ( -- what one replica at a time does
    name   TEXT COLLATE "C" PRIMARY KEY,
    holder TEXT COLLATE "C" NOT NULL, -- replica
    until  BIGINT           NOT NULL
);

ALTER TABLE object_blocks ADD COLUMN owner TEXT COLLATE "C" NOT NULL DEFAULT ''; -- replica that writes the keys

ALTER TABLE releases ADD COLUMN incomplete BIGINT NOT NULL DEFAULT 0; -- derived, of facts
UPDATE releases SET incomplete = 1 WHERE (facts::json ->> 'incomplete')::boolean;
