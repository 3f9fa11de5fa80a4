-- Of the cookie that opens a browser's session only the SHA-256 is here; a session without one has
-- tokens.

ALTER TABLE sessions ADD COLUMN cookie_digest TEXT;
