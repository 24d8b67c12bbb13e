-- Times are Unix milliseconds. Generations are repositories.generation.

-- +goose Up
CREATE TABLE namespaces (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE, -- '' is the root namespace, which owns one-segment names
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
);

CREATE TABLE repositories (
    id           INTEGER PRIMARY KEY,
    namespace_id INTEGER NOT NULL REFERENCES namespaces (id),
    name         TEXT    NOT NULL,
    generation   INTEGER NOT NULL DEFAULT 0,
    created_at   INTEGER NOT NULL,
    deleted_at   INTEGER
);
CREATE UNIQUE INDEX repositories_live ON repositories (name) WHERE deleted_at IS NULL;
CREATE INDEX repositories_deleted ON repositories (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX repositories_namespace ON repositories (namespace_id);

CREATE TABLE blobs (
    id                 INTEGER PRIMARY KEY,
    digest             TEXT    NOT NULL UNIQUE,
    size               INTEGER NOT NULL,
    state              INTEGER NOT NULL, -- 0 live, 1 being deleted, 2 quarantined, 3 absent (a sparse manifest names it)
    unreferenced_since INTEGER,          -- NULL while a manifest references it
    created_at         INTEGER NOT NULL
);
CREATE INDEX blobs_unreferenced ON blobs (unreferenced_since) WHERE unreferenced_since IS NOT NULL;

CREATE TABLE objects (
    blob_id  INTEGER NOT NULL REFERENCES blobs (id),
    position INTEGER NOT NULL,
    key      TEXT    NOT NULL UNIQUE,
    size     INTEGER NOT NULL,
    PRIMARY KEY (blob_id, position)
) WITHOUT ROWID;

CREATE TABLE repository_blobs (
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    blob_id       INTEGER NOT NULL REFERENCES blobs (id),
    PRIMARY KEY (repository_id, blob_id)
) WITHOUT ROWID;
CREATE INDEX repository_blobs_blob ON repository_blobs (blob_id);

CREATE TABLE manifests (
    id            INTEGER PRIMARY KEY,
    digest        TEXT    NOT NULL,
    media_type    TEXT    NOT NULL,
    artifact_type TEXT    NOT NULL,
    subject       TEXT, -- digest
    annotations   TEXT, -- JSON object
    depth         INTEGER NOT NULL, -- 0 for an image, 1 + the deepest child for an index
    raw           BLOB    NOT NULL,
    created_at    INTEGER NOT NULL,
    UNIQUE (digest, media_type)
);
CREATE INDEX manifests_subject ON manifests (subject) WHERE subject IS NOT NULL;

CREATE TABLE manifest_blobs (
    manifest_id INTEGER NOT NULL REFERENCES manifests (id),
    blob_id     INTEGER NOT NULL REFERENCES blobs (id),
    PRIMARY KEY (manifest_id, blob_id)
) WITHOUT ROWID;
CREATE INDEX manifest_blobs_blob ON manifest_blobs (blob_id);

CREATE TABLE manifest_children (
    manifest_id INTEGER NOT NULL REFERENCES manifests (id),
    digest      TEXT    NOT NULL,
    PRIMARY KEY (manifest_id, digest)
) WITHOUT ROWID;
CREATE INDEX manifest_children_digest ON manifest_children (digest);

CREATE TABLE memberships (
    id            INTEGER PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    manifest_id   INTEGER NOT NULL REFERENCES manifests (id),
    digest        TEXT    NOT NULL,
    from_gen      INTEGER NOT NULL,
    from_at       INTEGER NOT NULL,
    until_gen     INTEGER,
    until_at      INTEGER
);
CREATE UNIQUE INDEX memberships_open ON memberships (repository_id, digest) WHERE until_gen IS NULL;
CREATE INDEX memberships_manifest ON memberships (manifest_id);
CREATE INDEX memberships_closed ON memberships (until_at) WHERE until_gen IS NOT NULL;

CREATE TABLE tags (
    id            INTEGER PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    name          TEXT    NOT NULL,
    manifest_id   INTEGER NOT NULL REFERENCES manifests (id),
    from_gen      INTEGER NOT NULL,
    from_at       INTEGER NOT NULL,
    until_gen     INTEGER,
    until_at      INTEGER
);
CREATE UNIQUE INDEX tags_open ON tags (repository_id, name) WHERE until_gen IS NULL;
CREATE INDEX tags_manifest ON tags (manifest_id);
CREATE INDEX tags_history ON tags (repository_id, name, id);
CREATE INDEX tags_closed ON tags (until_at) WHERE until_gen IS NOT NULL;

CREATE TABLE uploads (
    id         TEXT PRIMARY KEY,
    repository TEXT    NOT NULL, -- a name: a session alone makes no repository
    algorithm  TEXT    NOT NULL,
    hash_state BLOB,             -- encoding.BinaryMarshaler of the hash at the last segment's end
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX uploads_updated ON uploads (updated_at);

CREATE TABLE upload_segments (
    upload_id TEXT    NOT NULL REFERENCES uploads (id),
    position  INTEGER NOT NULL,
    key       TEXT    NOT NULL UNIQUE,
    size      INTEGER NOT NULL,
    PRIMARY KEY (upload_id, position)
) WITHOUT ROWID;

CREATE TABLE object_blocks (
    token       TEXT PRIMARY KEY, -- keys are token-00 … token-ff
    reserved_at INTEGER NOT NULL
) WITHOUT ROWID;
