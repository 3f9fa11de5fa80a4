-- When a change was written down, in milliseconds by the clock of the database: how long others take to
-- learn of it is measured by one clock.

ALTER TABLE changes ADD COLUMN noted_ms BIGINT NOT NULL DEFAULT 0;

ALTER TABLE changes ALTER COLUMN noted_ms
    SET DEFAULT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint;
