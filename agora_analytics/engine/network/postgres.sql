-- Version 1 of the ledger's schema. `PostgresLedger.create_schema` runs it in a transaction. All access is through the
-- functions, so other roles need `GRANT USAGE ON SCHEMA agora_ledger` only.
-- Times are epoch seconds of this server's clock. See engine/ledger.py for the rules.

CREATE SCHEMA IF NOT EXISTS agora_ledger;

CREATE TABLE agora_ledger.day (
    account text, grp text, day date, spent bigint NOT NULL DEFAULT 0, closed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (account, grp, day));

-- One row for each budget. `arrived` has the times of its last places in order; the last element is place `seq`.
CREATE TABLE agora_ledger.queue (
    account text, grp text, seq bigint NOT NULL DEFAULT 0, free float8 NOT NULL DEFAULT '-infinity',
    held float8 NOT NULL DEFAULT '-infinity', seen float8 NOT NULL DEFAULT '-infinity',
    arrived float8[] NOT NULL DEFAULT '{}', PRIMARY KEY (account, grp)) WITH (fillfactor = 50);

CREATE TABLE agora_ledger.fence (name text PRIMARY KEY, token bigint NOT NULL);

CREATE FUNCTION agora_ledger.version() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';

CREATE FUNCTION agora_ledger.reserve(
    p_account text, p_grp text, p_day date, p_per_day bigint, p_requests int, p_period float8, p_gap float8, p_burst int,
    p_late float8, p_delay float8, p_ahead float8, p_most int, p_phase_low float8, p_phase_high float8,
    p_fence text, p_token bigint,
    OUT now float8, OUT seq bigint, OUT slots float8[], OUT predecessors float8[], OUT frees float8[],
    OUT next_slot float8, OUT is_spent boolean, OUT newest bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = agora_ledger, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    catch_up CONSTANT float8 := 0.05;
    early CONSTANT float8 := 0.0005;
    outdated CONSTANT float8 := 15;
    q queue%ROWTYPE;
    left_today bigint;
    places int;
    predecessor float8;
    slot float8;
    reply float8;  -- when the caller has the slots
BEGIN
    slots := '{}'; predecessors := '{}'; frees := '{}'; next_slot := 0; is_spent := false;

    IF p_fence IS NOT NULL THEN
        SELECT f.token INTO newest FROM fence f WHERE f.name = p_fence;
        IF newest IS NULL OR newest < p_token THEN
            INSERT INTO fence AS f VALUES (p_fence, p_token)
                ON CONFLICT (name) DO UPDATE SET token = greatest(f.token, excluded.token) RETURNING f.token INTO newest;
        END IF;
    END IF;

    SELECT * INTO q FROM queue b WHERE (b.account, b.grp) = (p_account, p_grp) FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO queue (account, grp) VALUES (p_account, p_grp) ON CONFLICT DO NOTHING;
        SELECT * INTO q FROM queue b WHERE (b.account, b.grp) = (p_account, p_grp) FOR UPDATE;
    END IF;
    now := extract(epoch FROM clock_timestamp());
    seq := q.seq + 1;
    IF newest > p_token THEN RETURN; END IF;
    newest := NULL;

    SELECT CASE WHEN d.closed THEN 0 ELSE p_per_day - d.spent END INTO left_today
        FROM day d WHERE (d.account, d.grp, d.day) = (p_account, p_grp, p_day);
    left_today := coalesce(left_today, p_per_day);
    IF left_today <= 0 THEN is_spent := true; RETURN; END IF;

    IF q.seen - now > outdated THEN  -- this server's clock was set back: nothing recorded counts, so wait a window
        q.free := now;
        q.held := now + greatest(q.held - q.seen, p_period);
        q.arrived := '{}';
        UPDATE queue b SET free = q.free, held = q.held, seen = now, arrived = q.arrived
            WHERE (b.account, b.grp) = (p_account, p_grp);
    END IF;

    reply := now + p_delay;
    places := cardinality(q.arrived);
    WHILE cardinality(slots) < least(p_most, left_today) LOOP
        predecessor := CASE WHEN places < p_requests THEN '-infinity' ELSE q.arrived[places + 1 - p_requests] END;
        slot := predecessor + p_period;
        IF p_phase_low IS NOT NULL AND predecessor > '-infinity' THEN
            slot := least(slot, (floor((predecessor + p_phase_high) / p_period) + 1) * p_period - p_phase_low);
        END IF;
        slot := greatest(slot, q.held, q.free - (p_burst - 1) * p_gap);
        IF slot - now > p_ahead + early THEN
            next_slot := slot;
            EXIT;
        END IF;
        predecessors := predecessors || predecessor;
        frees := frees || q.free;
        q.free := greatest(q.free, CASE WHEN reply - slot <= catch_up THEN slot ELSE reply END) + p_gap;
        slot := greatest(slot, reply);
        slots := slots || slot;
        q.arrived := q.arrived || (slot + p_late);
        places := places + 1;
    END LOOP;
    IF cardinality(slots) = 0 THEN RETURN; END IF;

    WHILE places > p_requests AND q.arrived[1] < now - 2 * p_period LOOP
        q.arrived := q.arrived[2:];
        places := places - 1;
    END LOOP;
    UPDATE queue b SET seq = q.seq + cardinality(slots), free = q.free, held = q.held, seen = now, arrived = q.arrived
        WHERE (b.account, b.grp) = (p_account, p_grp);
    INSERT INTO day AS d (account, grp, day, spent) VALUES (p_account, p_grp, p_day, cardinality(slots))
        ON CONFLICT ON CONSTRAINT day_pkey DO UPDATE SET spent = d.spent + excluded.spent;
END $$;

CREATE FUNCTION agora_ledger.postpone(p_account text, p_grp text, p_seq bigint, p_arrived float8) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = agora_ledger, pg_temp SET lock_timeout = '4s' AS $$
    UPDATE queue SET arrived[cardinality(arrived) - (seq - p_seq)] = p_arrived
        WHERE (account, grp) = (p_account, p_grp) AND seq - p_seq BETWEEN 0 AND cardinality(arrived) - 1;
$$;

-- `p_seqs` ascends; the other arrays belong to it.
CREATE FUNCTION agora_ledger.release(
    p_account text, p_grp text, p_day date, p_seqs bigint[], p_predecessors float8[], p_frees float8[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = agora_ledger, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    q queue%ROWTYPE;
    i int;
    place int;
BEGIN
    SELECT * INTO q FROM queue b WHERE (b.account, b.grp) = (p_account, p_grp) FOR UPDATE;
    FOR i IN REVERSE cardinality(p_seqs)..1 LOOP
        place := cardinality(q.arrived) - (q.seq - p_seqs[i]);
        IF p_seqs[i] = q.seq THEN
            q.seq := q.seq - 1;
            q.free := p_frees[i];
            q.arrived := trim_array(q.arrived, least(1, cardinality(q.arrived)));
        ELSIF place >= 1 THEN  -- the next request waits for the predecessor of this one
            q.arrived[place] := p_predecessors[i];
        END IF;
    END LOOP;
    UPDATE queue b SET seq = q.seq, free = q.free, arrived = q.arrived WHERE (b.account, b.grp) = (p_account, p_grp);
    UPDATE day d SET spent = greatest(d.spent - cardinality(p_seqs), 0)
        WHERE (d.account, d.grp, d.day) = (p_account, p_grp, p_day);
END $$;

CREATE FUNCTION agora_ledger.hold(p_account text, p_grp text, p_seconds float8) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = agora_ledger, pg_temp SET lock_timeout = '4s' AS $$
    INSERT INTO queue AS q (account, grp, held)
        VALUES (p_account, p_grp, extract(epoch FROM clock_timestamp()) + p_seconds)
        ON CONFLICT (account, grp) DO UPDATE SET held = greatest(q.held, excluded.held);
$$;

CREATE FUNCTION agora_ledger.close_day(p_account text, p_grp text, p_day date) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = agora_ledger, pg_temp SET lock_timeout = '4s' AS $$
    INSERT INTO day (account, grp, day, closed) VALUES (p_account, p_grp, p_day, true)
        ON CONFLICT (account, grp, day) DO UPDATE SET closed = true;
$$;

CREATE FUNCTION agora_ledger.spent(p_account text, p_grp text, p_day date, OUT spent bigint, OUT closed boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = agora_ledger, pg_temp AS $$
    SELECT coalesce(sum(d.spent), 0)::bigint, coalesce(bool_or(d.closed), false)
        FROM day d WHERE (d.account, d.grp, d.day) = (p_account, p_grp, p_day);
$$;
