-- +goose Up

-- What was decided about where the hub stands, and what was frozen and
-- answered: signed documents that are only ever added. A kind's numbers run
-- from 1 without a gap.
CREATE TABLE host_document (
    kind      TEXT    NOT NULL,
    number    INTEGER NOT NULL CHECK (number > 0),
    signed    BLOB    NOT NULL,
    actor     TEXT    NOT NULL, -- account that decided; the log holds a commitment to it
    log_index INTEGER,          -- of its entry; NULL only for an order given while another process held the log
    PRIMARY KEY (kind, number)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE host_document;
