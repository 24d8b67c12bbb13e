-- What was done, by whom, from where: written in the transaction of what was
-- done. Rows are never changed; retention removes the oldest.

-- +goose Up
CREATE TABLE audit (
    id            BIGINT           PRIMARY KEY, -- in the order of commits, over all chains
    chain         TEXT COLLATE "C" NOT NULL,    -- r<repository id>, n<namespace id>, access, denials
    seq           BIGINT           NOT NULL,    -- in the chain, from 1, without gaps
    at            BIGINT           NOT NULL,
    action        TEXT COLLATE "C" NOT NULL, -- noun.verb
    principal     TEXT COLLATE "C" NOT NULL,
    token         TEXT COLLATE "C" NOT NULL, -- public id
    subject       TEXT COLLATE "C" NOT NULL, -- of the OIDC token behind it
    address       TEXT COLLATE "C" NOT NULL,
    client        TEXT COLLATE "C" NOT NULL, -- User-Agent
    route         TEXT COLLATE "C" NOT NULL,
    request_id    TEXT COLLATE "C" NOT NULL,
    repository_id BIGINT           NOT NULL, -- 0 for none; no reference: rows outlive what they tell of
    repository    TEXT COLLATE "C" NOT NULL, -- its name then
    namespace     TEXT COLLATE "C" NOT NULL,
    tag           TEXT COLLATE "C" NOT NULL,
    digest        TEXT COLLATE "C" NOT NULL,
    digest_before TEXT COLLATE "C" NOT NULL,
    detail        TEXT COLLATE "C" NOT NULL, -- JSON object of texts, '' for none
    hash          BYTEA            NOT NULL, -- SHA-256 of all columns and the hash before it in the chain
    UNIQUE (chain, seq)
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_principal ON audit (principal, at);
CREATE INDEX audit_repository ON audit (repository, at) WHERE repository <> '';

CREATE TABLE audit_heads ( -- how far each chain goes, and where what retention left of it begins
    chain        TEXT COLLATE "C" PRIMARY KEY,
    seq          BIGINT           NOT NULL, -- of the latest row
    hash         BYTEA            NOT NULL,
    trimmed_seq  BIGINT           NOT NULL DEFAULT 0, -- of the latest row that was removed
    trimmed_hash BYTEA            NOT NULL DEFAULT ''
);
