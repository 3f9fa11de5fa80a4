-- What all gateways on one database share where there is no Redis, and the secret that they share.

CREATE TABLE shared_secrets (
    name TEXT PRIMARY KEY,
    secret TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- When the bucket of a key would be empty again, in microseconds; past that it may go.
CREATE TABLE rates (
    name TEXT PRIMARY KEY,
    empty_at BIGINT NOT NULL
);
CREATE INDEX rates_by_end ON rates (empty_at);

CREATE TABLE tickets (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);
CREATE INDEX tickets_by_end ON tickets (kind, expires_at);

-- The clock of the database: those of the gateways may differ.
CREATE VIEW server_clock AS
    SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS micros;
