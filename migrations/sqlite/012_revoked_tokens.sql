-- Tokens of providers that count no more. A row is not kept for a token but for what tokens say: `mark` is the
-- SHA-256 of an issuer, a kind of claim (`jti`, `sid`, `sub`) and its value. Of a `sub` the tokens count no
-- more that were issued at or before `revoked_at`, of the others all. A row is of no use after `keep_until`.

CREATE TABLE revoked_tokens (
    mark       TEXT   NOT NULL PRIMARY KEY,
    revoked_at BIGINT NOT NULL,
    keep_until BIGINT NOT NULL
);

CREATE INDEX revoked_tokens_by_end ON revoked_tokens (keep_until);
