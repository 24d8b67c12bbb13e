-- Packages: feeds, releases and what is derived from them. Columns and tables
-- marked derived can be emptied at any time; `packhouse reindex` fills them.

-- +goose Up
ALTER TABLE objects ADD COLUMN content BLOB; -- of a small blob, which lies here and not in the storage; its key is = and the digest

CREATE TABLE feeds (
    id           INTEGER PRIMARY KEY,
    namespace_id INTEGER NOT NULL REFERENCES namespaces (id),
    format       TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    UNIQUE (namespace_id, format)
);

ALTER TABLE repositories ADD COLUMN changed_at INTEGER; -- the last change of what a package's clients see
ALTER TABLE repositories ADD COLUMN feed_id INTEGER REFERENCES feeds (id);
ALTER TABLE repositories ADD COLUMN package TEXT;   -- native name; NULL until a release came
ALTER TABLE repositories ADD COLUMN bucket INTEGER; -- which part of its feed's documents it is in
ALTER TABLE repositories ADD COLUMN terms TEXT;     -- derived: what a search looks at
CREATE INDEX repositories_package ON repositories (feed_id, package) WHERE package IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX repositories_bucket ON repositories (feed_id, bucket, package) WHERE package IS NOT NULL AND deleted_at IS NULL;

CREATE TABLE releases (
    id            INTEGER PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    version       TEXT    NOT NULL, -- native
    tag           TEXT    NOT NULL,
    manifest_id   INTEGER REFERENCES manifests (id), -- the latest edition; NULL once a withdrawn one is collected
    published_at  INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    withdrawn_at  INTEGER, -- a tombstone
    reason        TEXT,
    status_count  INTEGER NOT NULL DEFAULT 0, -- changes of its state
    signature     TEXT,    -- JSON, the registry's own
    facts         TEXT     -- derived: JSON
);
CREATE UNIQUE INDEX releases_tag ON releases (repository_id, tag);
CREATE INDEX releases_manifest ON releases (manifest_id);
CREATE INDEX releases_order ON releases (repository_id, id);

ALTER TABLE tags ADD COLUMN label INTEGER; -- 1 for a package's tag that is no version's
CREATE INDEX tags_label ON tags (repository_id, name) WHERE label = 1 AND until_gen IS NULL;

CREATE TABLE editions (
    release_id  INTEGER NOT NULL REFERENCES releases (id),
    manifest_id INTEGER NOT NULL REFERENCES manifests (id),
    PRIMARY KEY (release_id, manifest_id)
) WITHOUT ROWID;
CREATE INDEX editions_manifest ON editions (manifest_id);

CREATE TABLE release_files (
    release_id INTEGER NOT NULL REFERENCES releases (id),
    name       TEXT    NOT NULL, -- registry.File.Key
    added_at   INTEGER NOT NULL,
    PRIMARY KEY (release_id, name)
) WITHOUT ROWID;

CREATE TABLE states (
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    tag           TEXT    NOT NULL, -- a release's, or '' for the package's
    key           TEXT    NOT NULL,
    value         TEXT    NOT NULL,
    PRIMARY KEY (repository_id, tag, key)
) WITHOUT ROWID;

CREATE TABLE file_facts ( -- derived
    digest     TEXT    NOT NULL,
    format     TEXT    NOT NULL,
    parser     INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    media_type TEXT    NOT NULL,
    facts      TEXT    NOT NULL, -- JSON
    PRIMARY KEY (digest, format, parser, name, media_type)
) WITHOUT ROWID;

CREATE TABLE fragments ( -- derived
    id            INTEGER PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    kind          TEXT    NOT NULL,
    release_id    INTEGER NOT NULL,
    body          BLOB    NOT NULL
);
CREATE UNIQUE INDEX fragments_release ON fragments (repository_id, kind, release_id);

CREATE TABLE signing_keys (
    id         TEXT    PRIMARY KEY, -- SHA256: and the base64 of the SHA-256 of public
    private    BLOB    NOT NULL,    -- PKCS #8, DER
    public     BLOB    NOT NULL,    -- SPKI, DER
    created_at INTEGER NOT NULL
) WITHOUT ROWID;
