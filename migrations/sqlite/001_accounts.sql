-- Accounts, their roles, their sessions, their refresh tokens, and the feed of changes.
-- Times are seconds since the epoch, booleans are 0 or 1, folded names are in lower case.

CREATE TABLE users (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    username         TEXT    NOT NULL,
    username_folded  TEXT    NOT NULL UNIQUE,
    email            TEXT,
    email_folded     TEXT    UNIQUE,
    password_hash    TEXT    NOT NULL CHECK (password_hash LIKE '$%'),
    active           INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    failures         BIGINT  NOT NULL DEFAULT 0,
    locked_until     BIGINT,
    roles_changed_at BIGINT  NOT NULL,
    created_at       BIGINT  NOT NULL
);

CREATE TABLE user_roles (
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role    TEXT   NOT NULL,
    PRIMARY KEY (user_id, role)
);

CREATE TABLE sessions (
    id           TEXT   NOT NULL PRIMARY KEY,
    user_id      BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    revoked_at   BIGINT,
    address      TEXT,
    user_agent   TEXT
);

CREATE INDEX sessions_by_user ON sessions (user_id, created_at);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_revocation ON sessions (revoked_at);

CREATE TABLE refresh_tokens (
    digest      TEXT   NOT NULL PRIMARY KEY,
    session_id  TEXT   NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    family      TEXT   NOT NULL,
    issued_at   BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    used_at     BIGINT,
    replaced_by TEXT
);

CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

-- What takes access away or changes roles, in the order it was committed.
CREATE TABLE changes (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT   NOT NULL,
    key  TEXT   NOT NULL,
    at   BIGINT NOT NULL
);

CREATE INDEX changes_by_time ON changes (at);

-- Failures of names that no account has: written as those of accounts are, so that the time an
-- answer takes does not tell them apart.
CREATE TABLE unknown_names (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    failures BIGINT  NOT NULL
);

INSERT INTO unknown_names (id, failures) VALUES (1, 0);
