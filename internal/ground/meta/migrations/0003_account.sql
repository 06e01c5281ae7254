-- +goose Up

-- The people of the hub and what each may do.
CREATE TABLE account_role (
    account TEXT    NOT NULL,
    role    TEXT    NOT NULL,
    granted INTEGER NOT NULL, -- microseconds since 1970 UTC
    PRIMARY KEY (account, role)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE account_role;
