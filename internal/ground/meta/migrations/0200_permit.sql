-- +goose Up

-- People who work at the hub or with it. An account has one role: whoever
-- decides on permits neither uses data nor checks results (EHDS Art. 55(3)).
CREATE TABLE account (
    name  TEXT PRIMARY KEY,
    role  TEXT NOT NULL,
    added INTEGER NOT NULL -- microseconds since 1970 UTC
) STRICT, WITHOUT ROWID;

CREATE TABLE permit (
    number     INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice
    id         TEXT NOT NULL UNIQUE,              -- p-0001
    applicant  TEXT NOT NULL,
    state      TEXT NOT NULL,  -- for lists; what counts is signed in standing
    pending    TEXT,           -- application or amendment that waits for a decision, JSON
    pending_by TEXT,
    standing   BLOB,           -- signed state of a permit that was granted
    applied    INTEGER NOT NULL
) STRICT;

-- Every version of every permit, as signed.
CREATE TABLE permit_version (
    permit  TEXT NOT NULL REFERENCES permit (id),
    version INTEGER NOT NULL,
    signed  BLOB NOT NULL,
    PRIMARY KEY (permit, version)
) STRICT, WITHOUT ROWID;

-- Opt-outs: who is meant stands sealed in the store under optout/NUMBER. This
-- list says which objects must be there.
CREATE TABLE optout (
    number   INTEGER PRIMARY KEY,
    id       TEXT NOT NULL UNIQUE, -- of the keeper's message
    recorded INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE optout;
DROP TABLE permit_version;
DROP TABLE permit;
DROP TABLE account;
