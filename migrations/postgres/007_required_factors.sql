-- Whether the sessions of an account count only once a second factor was proven.

ALTER TABLE users ADD COLUMN second_factor_required BIGINT  NOT NULL DEFAULT 0
    CHECK (second_factor_required IN (0, 1));
