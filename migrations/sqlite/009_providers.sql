-- Who a person of a provider is here: an issuer and a subject name one account. A session that began
-- with a provider's token names its issuer; its row stays to its end, so that a revocation does too.

CREATE TABLE provider_links (
    issuer     TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    user_id    BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);

CREATE INDEX provider_links_by_user ON provider_links (user_id);

ALTER TABLE sessions ADD COLUMN issuer TEXT;

-- What a provider said at a login through it; the account's own roles where this is null.
ALTER TABLE sessions ADD COLUMN roles TEXT;
