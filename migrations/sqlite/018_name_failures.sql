-- Failures of names that no account has, so that every gateway on one database locks them as it locks accounts.
-- A name has one slot of 131,072, by a keyed hash of it; whoever comes to a slot later takes it over, so that
-- the table does not grow beyond them. Gateways of an older version go on with unknown_names.
CREATE TABLE name_failures (
    slot              BIGINT NOT NULL PRIMARY KEY,
    name              TEXT   NOT NULL,
    failures          BIGINT NOT NULL,
    failures_in_a_row BIGINT NOT NULL,
    locked_until      BIGINT
);
