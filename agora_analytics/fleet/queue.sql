-- Version 1 of the tables of a fleet. They are in the schema of the queue, next to those of Procrastinate.

CREATE TABLE fleet (
    version int NOT NULL,
    procrastinate text NOT NULL,                -- the newest migration of Procrastinate that was applied
    id uuid NOT NULL DEFAULT gen_random_uuid()  -- fleets with different queues may share a ledger
);

CREATE TABLE account (
    name text PRIMARY KEY,
    vendor text NOT NULL,
    token bigint NOT NULL,            -- the fencing token of the latest pass
    worker text NOT NULL,             -- the process that has or had it
    begun_at float8 NOT NULL,         -- UTC epoch seconds of this server's clock
    ended_at float8,                  -- of the last pass that ended, as everything below
    outcome text,
    calls bigint NOT NULL DEFAULT 0,
    calls_left bigint NOT NULL DEFAULT 0,
    quota jsonb,                      -- the daily quota of which the smallest part is left
    reason text NOT NULL DEFAULT '',
    failures int NOT NULL DEFAULT 0   -- in a row
);
