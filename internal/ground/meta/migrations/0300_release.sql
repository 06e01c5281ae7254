-- +goose Up

-- Requests for release and what became of them. The outputs and the evidence
-- are not here: they lie sealed in the store.
CREATE TABLE release_request (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT, -- release 7 is "r-0007"
    state      TEXT    NOT NULL CHECK (state IN ('requested', 'quarantined', 'in_review', 'approved', 'rejected', 'released')),
    permit     TEXT    NOT NULL,
    permit_sha TEXT    NOT NULL,
    checkers   INTEGER NOT NULL CHECK (checkers >= 1),
    barred     TEXT    NOT NULL, -- accounts that may not check it: the permit's people and who decided it, JSON list
    requester  TEXT    NOT NULL,
    requested  INTEGER NOT NULL, -- microseconds since 1970 UTC
    draft      TEXT    NOT NULL, -- the release record as far as it was known at the request, JSON
    content    TEXT    NOT NULL, -- SHA-256, hex, of what is sealed in the store
    reasons    TEXT    NOT NULL, -- why it is in quarantine, JSON list
    record     BLOB,             -- the signed release record
    CHECK ((record IS NULL) = (state NOT IN ('approved', 'released')))
) STRICT;

-- One open request for one result.
CREATE UNIQUE INDEX release_open ON release_request (permit, content) WHERE state <> 'rejected';

-- Checkers' words: one a person and release, never changed.
CREATE TABLE release_decision (
    release INTEGER NOT NULL REFERENCES release_request (seq),
    checker TEXT    NOT NULL,
    approve INTEGER NOT NULL CHECK (approve IN (0, 1)),
    reason  TEXT    NOT NULL,
    decided INTEGER NOT NULL,
    PRIMARY KEY (release, checker)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE release_decision;
DROP TABLE release_request;
