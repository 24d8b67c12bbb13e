-- What was done, by whom, from where: written in the transaction of what was
-- done. Rows are never changed; retention removes the oldest.

-- +goose Up
CREATE TABLE audit (
    id            INTEGER PRIMARY KEY, -- in the order of commits, over all chains
    chain         TEXT    NOT NULL,    -- r<repository id>, n<namespace id>, access, denials
    seq           INTEGER NOT NULL,    -- in the chain, from 1, without gaps
    at            INTEGER NOT NULL,
    action        TEXT    NOT NULL,    -- noun.verb
    principal     TEXT    NOT NULL,
    token         TEXT    NOT NULL,    -- public id
    subject       TEXT    NOT NULL,    -- of the OIDC token behind it
    address       TEXT    NOT NULL,
    client        TEXT    NOT NULL,    -- User-Agent
    route         TEXT    NOT NULL,
    request_id    TEXT    NOT NULL,
    repository_id INTEGER NOT NULL,    -- 0 for none; no reference: rows outlive what they tell of
    repository    TEXT    NOT NULL,    -- its name then
    namespace     TEXT    NOT NULL,
    tag           TEXT    NOT NULL,
    digest        TEXT    NOT NULL,
    digest_before TEXT    NOT NULL,
    detail        TEXT    NOT NULL,    -- JSON object of texts, '' for none
    hash          BLOB    NOT NULL,    -- SHA-256 of all columns and the hash before it in the chain
    UNIQUE (chain, seq)
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_principal ON audit (principal, at);
CREATE INDEX audit_repository ON audit (repository, at) WHERE repository <> '';

CREATE TABLE audit_heads ( -- how far each chain goes, and where what retention left of it begins
    chain        TEXT    PRIMARY KEY,
    seq          INTEGER NOT NULL, -- of the latest row
    hash         BLOB    NOT NULL,
    trimmed_seq  INTEGER NOT NULL DEFAULT 0, -- of the latest row that was removed
    trimmed_hash BLOB    NOT NULL DEFAULT x''
) WITHOUT ROWID;
