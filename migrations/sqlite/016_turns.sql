-- What one process of all that share this database does at a time, and which: it goes on until `ends_at` (microseconds, by
-- the clock of the database), and past that anybody may. The row of each is always there.
CREATE TABLE turns (
    name    TEXT    NOT NULL PRIMARY KEY,
    holder  TEXT    NOT NULL,
    ends_at INTEGER NOT NULL
);

INSERT INTO turns (name, holder, ends_at) VALUES ('sweep', '', 0);

-- Tickets of all kinds that ended are removed together.
CREATE INDEX tickets_by_expiry ON tickets (expires_at);
-- Mails too.
CREATE INDEX outbox_by_expiry ON outbox (expires_at);
