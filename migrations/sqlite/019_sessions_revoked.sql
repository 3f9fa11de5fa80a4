-- When all sessions of an account were last revoked: a provider's token that was issued until then begins
-- none. Gateways of an older version do not write it.

ALTER TABLE users ADD COLUMN sessions_revoked_at BIGINT;
