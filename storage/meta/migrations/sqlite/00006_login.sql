-- Log-ins that began at a client and go on in a browser. Rows live for minutes;
-- what could be used is kept as a hash, or sealed.

-- +goose Up
CREATE TABLE logins (
    id           TEXT    PRIMARY KEY, -- in the page's URL
    secret       BLOB    NOT NULL,    -- SHA-256 of what the client has the token for
    client       TEXT    NOT NULL,    -- what it says it is
    address      TEXT    NOT NULL,    -- where it asked from
    state        BLOB UNIQUE,         -- SHA-256 of the state sent to the OpenID Connect provider; NULL when none is out
    provider     BLOB,                -- sealed: what the provider's answer must fit
    principal_id INTEGER REFERENCES principals (id) ON DELETE CASCADE, -- who said yes; NULL while nobody did
    epoch        INTEGER,             -- the principal's then
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX logins_expires ON logins (expires_at);
CREATE INDEX logins_address ON logins (address);
CREATE INDEX logins_principal ON logins (principal_id) WHERE principal_id IS NOT NULL;
