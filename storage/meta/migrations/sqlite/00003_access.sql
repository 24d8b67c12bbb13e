-- Who may do what. Rows that decide about access are read as one snapshot,
-- which access.generation dates.

-- +goose Up
CREATE TABLE access (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    generation      INTEGER NOT NULL DEFAULT 0, -- changes of anything below that can take a right away or give one
    bootstrapped_at INTEGER                     -- when the first administrator's token was made
);
INSERT INTO access (id) VALUES (1);

CREATE TABLE principals (
    id           INTEGER PRIMARY KEY,
    kind         TEXT    NOT NULL, -- user, service
    name         TEXT    NOT NULL,
    full_name    TEXT    NOT NULL DEFAULT '',
    email        TEXT    NOT NULL DEFAULT '',
    source       TEXT    NOT NULL, -- local, oidc, htpasswd, ldap: who vouches for it
    external_id  TEXT,             -- oidc: issuer, space, subject
    password     TEXT,             -- of local users: PHC string; NULL for none
    epoch        INTEGER NOT NULL DEFAULT 1, -- tokens of an earlier one are dead
    exempt       INTEGER NOT NULL DEFAULT 0, -- 1: rate limits do not apply
    created_at   INTEGER NOT NULL,
    disabled_at  INTEGER,
    last_used_at INTEGER,
    UNIQUE (kind, name)
);
CREATE UNIQUE INDEX principals_external ON principals (external_id) WHERE external_id IS NOT NULL;

CREATE TABLE groups (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    description TEXT    NOT NULL DEFAULT '',
    created_at  INTEGER NOT NULL
);

CREATE TABLE group_members (
    group_id     INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    principal_id INTEGER NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    source       TEXT    NOT NULL, -- local; oidc, ldap: set anew at each log-in
    PRIMARY KEY (group_id, principal_id, source)
) WITHOUT ROWID;
CREATE INDEX group_members_principal ON group_members (principal_id);

CREATE TABLE grants (
    id           INTEGER PRIMARY KEY,
    namespace_id INTEGER REFERENCES namespaces (id), -- NULL: of the whole registry
    principal_id INTEGER REFERENCES principals (id) ON DELETE CASCADE,
    group_id     INTEGER REFERENCES groups (id) ON DELETE CASCADE, -- neither: everybody, logged in or not
    deny         INTEGER NOT NULL DEFAULT 0,
    role         TEXT    NOT NULL, -- a role's name, or verbs, comma-separated
    repositories TEXT    NOT NULL, -- glob over names
    created_at   INTEGER NOT NULL
);
CREATE INDEX grants_namespace ON grants (namespace_id);

CREATE TABLE trusts ( -- what may be exchanged for a token to publish
    id           INTEGER PRIMARY KEY,
    namespace_id INTEGER REFERENCES namespaces (id), -- NULL: of the whole registry
    name         TEXT    NOT NULL UNIQUE,
    issuer       TEXT    NOT NULL,
    audience     TEXT    NOT NULL, -- '' for the registry's own name
    claims       TEXT    NOT NULL, -- JSON object: claim → value it must have
    role         TEXT    NOT NULL,
    repositories TEXT    NOT NULL,
    created_at   INTEGER NOT NULL
);

CREATE TABLE tokens (
    id           TEXT    PRIMARY KEY, -- public
    principal_id INTEGER REFERENCES principals (id) ON DELETE CASCADE,
    trust_id     INTEGER REFERENCES trusts (id) ON DELETE CASCADE, -- one of both
    hash         BLOB    NOT NULL UNIQUE, -- SHA-256 of the secret
    name         TEXT    NOT NULL,
    scope        TEXT,                -- JSON: [{"repositories":glob,"role":…}]; NULL for all that its owner may
    subject      TEXT    NOT NULL DEFAULT '', -- of the OIDC token behind it
    epoch        INTEGER NOT NULL,    -- its owner's when it was made
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    revoked_at   INTEGER,             -- may lie ahead: a rotated token works until then
    last_used_at INTEGER
) WITHOUT ROWID;
CREATE INDEX tokens_principal ON tokens (principal_id);
CREATE INDEX tokens_trust ON tokens (trust_id);
CREATE INDEX tokens_expires ON tokens (expires_at);

CREATE TABLE secret_keys ( -- of the server itself
    id         TEXT    PRIMARY KEY,
    purpose    TEXT    NOT NULL, -- jwt, checkpoint
    private    BLOB    NOT NULL, -- PKCS #8, DER, sealed
    public     BLOB    NOT NULL, -- SPKI, DER
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

-- A name that is used again is another namespace: what was granted in the old
-- one is gone, and tokens that name its incarnation are dead.
ALTER TABLE namespaces ADD COLUMN incarnation INTEGER NOT NULL DEFAULT 1;
ALTER TABLE namespaces ADD COLUMN visibility TEXT NOT NULL DEFAULT '';   -- public, private; '' for as above it
ALTER TABLE namespaces ADD COLUMN first_push TEXT NOT NULL DEFAULT '';   -- '': who may create makes repositories by pushing; admin: administrators alone
ALTER TABLE feeds ADD COLUMN visibility TEXT NOT NULL DEFAULT '';
ALTER TABLE repositories ADD COLUMN visibility TEXT NOT NULL DEFAULT '';

ALTER TABLE repositories ADD COLUMN created_by TEXT NOT NULL DEFAULT ''; -- principal

ALTER TABLE uploads ADD COLUMN principal TEXT NOT NULL DEFAULT ''; -- who began it: nobody else may go on
