-- The second factor: one TOTP secret per account, pending until it is confirmed, and its recovery codes.

CREATE TABLE totp_factors (
    user_id      BIGINT NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    sealed       TEXT   NOT NULL,
    key_id       TEXT   NOT NULL,
    session_id   TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    confirmed_at BIGINT,
    last_step    BIGINT,
    last_step_at BIGINT,
    failures     BIGINT NOT NULL DEFAULT 0,
    locked_until BIGINT
);

CREATE TABLE recovery_codes (
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest  TEXT   NOT NULL,
    used_at BIGINT,
    PRIMARY KEY (user_id, digest)
);

-- When the second factor was proven, where the session was opened with one.
ALTER TABLE sessions ADD COLUMN second_factor_at BIGINT;
