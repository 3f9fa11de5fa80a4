-- What is known of the person behind an account, the devices that an account is known from, and
-- failures in a row across locks. The address (`email_corporativo`) and whether the account is
-- active (`ativo`) stay in `users`.

CREATE TABLE profiles (
    user_id       BIGINT NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    nome_completo TEXT,
    cpf           TEXT   UNIQUE,
    oab           TEXT,
    uf_oab        TEXT,
    auth_user_id  TEXT   UNIQUE
);

ALTER TABLE users ADD COLUMN failures_in_a_row BIGINT NOT NULL DEFAULT 0;

-- Of the token that a device keeps only the SHA-256 is here. Failures from a known device count
-- apart from those of everybody else.
CREATE TABLE devices (
    digest            TEXT   NOT NULL PRIMARY KEY,
    user_id           BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at        BIGINT NOT NULL,
    last_used_at      BIGINT NOT NULL,
    expires_at        BIGINT NOT NULL,
    failures          BIGINT NOT NULL DEFAULT 0,
    failures_in_a_row BIGINT NOT NULL DEFAULT 0,
    locked_until      BIGINT
);

CREATE INDEX devices_by_user ON devices (user_id, last_used_at);
CREATE INDEX devices_by_expiry ON devices (expires_at);
