-- A used refresh token keeps, for the seconds of grace, what its successor is derived from together
-- with the token itself: a repeated request gets the same successor, and nobody else can make it.

ALTER TABLE refresh_tokens ADD COLUMN successor_seed TEXT;

CREATE INDEX refresh_tokens_with_seed ON refresh_tokens (used_at) WHERE successor_seed IS NOT NULL;
