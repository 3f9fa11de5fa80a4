-- Who a person of a provider is here: an issuer and a subject name one account. A session that began
-- with a provider's token names its issuer. Its row stays long after its end: without it, the provider's next
-- token would begin it anew.

CREATE TABLE provider_links (
    issuer     TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    user_id    BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);

CREATE INDEX provider_links_by_user ON provider_links (user_id);

ALTER TABLE sessions ADD COLUMN issuer TEXT;
ALTER TABLE sessions ADD COLUMN keep_until BIGINT;

-- What a provider said at a login through it; the account's own roles where this is null.
ALTER TABLE sessions ADD COLUMN roles TEXT;
