-- +goose Up

-- What opens the commitments of the log (salt and value of each), apart from
-- the log, so that a value can be erased and the proof stays.
CREATE TABLE opening (
    commitment TEXT PRIMARY KEY,
    salt       BLOB NOT NULL,
    value      TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE opening;
