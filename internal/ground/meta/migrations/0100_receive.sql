-- +goose Up

-- Data holders and the keys that sign their deliveries.
CREATE TABLE holder (
    id     TEXT PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE CHECK (number > 0), -- holder_id in the warehouse
    key    TEXT NOT NULL UNIQUE,                       -- havre-ed25519:...
    added  INTEGER NOT NULL                            -- microseconds since 1970 UTC
) STRICT, WITHOUT ROWID;

-- Deliveries that were verified, and how far each has come.
CREATE TABLE delivery (
    id              TEXT PRIMARY KEY,
    holder          TEXT NOT NULL REFERENCES holder (id),
    state           TEXT NOT NULL CHECK (state IN ('received', 'linked', 'ingested', 'validated')),
    manifest_sha256 TEXT NOT NULL,
    receipt         BLOB NOT NULL, -- as signed
    persons         INTEGER NOT NULL,
    rows            INTEGER NOT NULL,
    key_version     INTEGER,       -- of the keeper's secret, once linked
    snapshot        INTEGER,       -- number of the first snapshot that holds it, once ingested
    received        INTEGER NOT NULL,
    linked          INTEGER,
    ingested        INTEGER,
    validated       INTEGER
) STRICT, WITHOUT ROWID;

-- Deliveries that were refused; what arrived is sealed under quarantine/ID/.
CREATE TABLE quarantine (
    id       TEXT PRIMARY KEY,
    delivery TEXT NOT NULL, -- as claimed, '' if it cannot be read
    holder   TEXT NOT NULL, -- as claimed
    kind     TEXT NOT NULL,
    reason   TEXT NOT NULL,
    objects  TEXT NOT NULL, -- JSON list: name of each object, in the order of their numbers
    at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE quarantine;
DROP TABLE delivery;
DROP TABLE holder;
