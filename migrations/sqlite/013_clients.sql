-- The clients that ask about tokens, beside those of the configuration. A row is a secret of the client of that
-- name, of which only the SHA-256 is here; of one name two count at a time, so that one can take the place of the other.

CREATE TABLE clients (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT   NOT NULL,
    digest     TEXT   NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);

CREATE INDEX clients_by_name ON clients (name);
