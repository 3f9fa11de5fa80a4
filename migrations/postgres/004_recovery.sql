-- Recovery of passwords, verification of addresses, and the mails that wait to be sent.
-- A user_id of 0 is nobody: asking for an address that no account has writes the same rows.

ALTER TABLE users ADD COLUMN email_verified_at BIGINT;

-- One token per account, the newest. It counts only while the account has that address.
CREATE TABLE password_resets (
    id          TEXT   NOT NULL PRIMARY KEY,
    user_id     BIGINT NOT NULL UNIQUE,
    email       TEXT   NOT NULL,
    secret_hash TEXT   NOT NULL CHECK (secret_hash LIKE '$%'),
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    used_at     BIGINT
);

CREATE INDEX password_resets_by_expiry ON password_resets (expires_at);

CREATE TABLE email_verifications (
    id          TEXT   NOT NULL PRIMARY KEY,
    user_id     BIGINT NOT NULL UNIQUE,
    email       TEXT   NOT NULL,
    secret_hash TEXT   NOT NULL CHECK (secret_hash LIKE '$%'),
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    used_at     BIGINT
);

CREATE INDEX email_verifications_by_expiry ON email_verifications (expires_at);

-- What a mail says is not kept: it is rendered when it is sent. `sealed` is the token of its link,
-- encrypted under a key that is not in the database.
CREATE TABLE outbox (
    id              TEXT   NOT NULL PRIMARY KEY,
    user_id         BIGINT NOT NULL,
    kind            TEXT   NOT NULL,
    language        TEXT   NOT NULL,
    recipient       TEXT   NOT NULL,
    sealed          TEXT,
    key_id          TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    attempts        BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX outbox_by_time ON outbox (next_attempt_at);
CREATE INDEX outbox_by_user ON outbox (user_id, kind);
