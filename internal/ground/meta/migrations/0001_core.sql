-- +goose Up

-- The latest time the hub has seen, in microseconds since 1970 UTC.
CREATE TABLE clock (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    latest INTEGER NOT NULL
) STRICT;
INSERT INTO clock (one, latest) VALUES (1, 0);

-- +goose Down
DROP TABLE clock;
