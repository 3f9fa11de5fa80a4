-- The keys that several gateways must have alike. Each is sealed (AES-256-GCM) for its id, purpose and
-- algorithm under a master key that is not in the database: who can write here can add none.

CREATE TABLE key_sets (
    purpose    TEXT   NOT NULL PRIMARY KEY,
    changed_at BIGINT NOT NULL
);

CREATE TABLE keys (
    id             TEXT   NOT NULL PRIMARY KEY,
    purpose        TEXT   NOT NULL REFERENCES key_sets (purpose),
    algorithm      TEXT   NOT NULL,
    sealed         TEXT   NOT NULL,
    sealed_by      TEXT   NOT NULL,
    signs_from     BIGINT,
    verifies_until BIGINT,
    created_at     BIGINT NOT NULL
);

-- For the removal of sessions that ended: those of providers are kept for long, and need not be passed by.
DROP INDEX sessions_by_expiry;
DROP INDEX sessions_by_revocation;
CREATE INDEX sessions_by_end ON sessions (COALESCE(keep_until, expires_at));
CREATE INDEX sessions_by_revocation ON sessions (revoked_at) WHERE issuer IS NULL;
