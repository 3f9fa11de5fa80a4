-- The keys of services, by name. Of a key only the SHA-256 is here, and the few characters that are
-- shown of it. A key never changes but by its revocation; of one name two count at a time, so that one
-- can take the place of the other.
-- `roles` and `networks` are joined by commas, `scopes` by spaces, which none of them contains.

CREATE TABLE api_keys (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT   NOT NULL,
    prefix       TEXT   NOT NULL,
    digest       TEXT   NOT NULL UNIQUE,
    roles        TEXT   NOT NULL,
    scopes       TEXT   NOT NULL,
    networks     TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    revoked_at   BIGINT,
    last_used_at BIGINT
);

CREATE INDEX api_keys_by_name ON api_keys (name);
CREATE INDEX api_keys_by_prefix ON api_keys (prefix);
