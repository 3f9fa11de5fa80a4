-- When a change was written down, in milliseconds by the clock of the database: how long others take to
-- learn of it is measured by one clock.

ALTER TABLE changes ADD COLUMN noted_ms BIGINT NOT NULL DEFAULT 0;

CREATE TRIGGER changes_are_noted AFTER INSERT ON changes
BEGIN
    UPDATE changes SET noted_ms = CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)
    WHERE seq = NEW.seq;
END;
