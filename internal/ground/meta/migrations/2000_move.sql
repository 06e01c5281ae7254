-- +goose Up

-- Moves of the hub to another store, and drills; at most one is open.
CREATE TABLE move (
    id     INTEGER PRIMARY KEY AUTOINCREMENT, -- move 7 is "m-0007", drill 8 "d-0008"
    state  TEXT    NOT NULL CHECK (state IN ('planned', 'copying', 'switching', 'switched', 'verified', 'finishing', 'finished', 'returning', 'returned')),
    open   INTEGER NOT NULL CHECK (open = (state NOT IN ('finished', 'returned'))),
    doc    TEXT    NOT NULL, -- all that the steps so far have found, JSON
    report BLOB              -- as signed
) STRICT;
CREATE UNIQUE INDEX move_open ON move (open) WHERE open = 1;

-- The objects of the open move.
CREATE TABLE move_object (
    name   TEXT    PRIMARY KEY,
    size   INTEGER NOT NULL,
    sha256 BLOB,             -- as read from the old store; NULL = not copied yet
    back   BLOB              -- as read back from the new store; NULL = not yet
) STRICT, WITHOUT ROWID;

-- Objects that the hub wrote or deleted while the move is open, in order. A row
-- is there before the act.
CREATE TABLE move_change (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT    NOT NULL
) STRICT;
CREATE INDEX move_change_name ON move_change (name, seq);

-- +goose Down
DROP TABLE move_change;
DROP TABLE move_object;
DROP TABLE move;
