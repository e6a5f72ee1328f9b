"""The SQL functions by which nodes take accounts and end runs: each call is one transaction.

    account_take_1(account, run, lease in seconds) -> (is taken, last sequence number of the account, run before)

An account is free if it has no lease, or if the run that has it has ended. It is also taken from a run that is fenced,
and from one whose heartbeat is older than the lease, by the clock of the database. That run is fenced first: the UPDATE
waits for a group that the run is writing at this moment, and then looks at its heartbeat again. After the fence, no
group of the run can be written.

Two takers: the second one waits for the row of the account, and finds the run of the first one, which is alive.
"""

from typing import Final

ACCOUNT_FUNCTIONS: Final = """
CREATE FUNCTION account_take_1(
    p_account text, p_run bigint, p_lease_seconds double precision,
    OUT is_taken boolean, OUT account_sequence bigint, OUT former_run bigint
) LANGUAGE plpgsql AS $function$
DECLARE
    lease interval := p_lease_seconds * interval '1 second';
    is_over boolean;
    run_sequence bigint := 0;
BEGIN
    is_taken := false;
    IF NOT EXISTS (SELECT 1 FROM node_run WHERE run_id = p_run AND fenced_at IS NULL AND ended_at IS NULL) THEN
        RAISE EXCEPTION 'run % may not take an account', p_run USING ERRCODE = 'SB001';
    END IF;
    INSERT INTO account_lease (account_id) VALUES (p_account) ON CONFLICT (account_id) DO NOTHING;
    SELECT run_id, last_sequence INTO former_run, account_sequence
    FROM account_lease WHERE account_id = p_account FOR UPDATE;
    IF former_run = p_run THEN
        is_taken := true;
        RETURN;
    END IF;
    IF former_run IS NOT NULL THEN
        UPDATE node_run SET fenced_at = clock_timestamp()
        WHERE run_id = former_run AND fenced_at IS NULL AND ended_at IS NULL
            AND heartbeat_at < clock_timestamp() - lease;
        SELECT fenced_at IS NOT NULL OR ended_at IS NOT NULL, last_sequence INTO is_over, run_sequence
        FROM node_run WHERE run_id = former_run;
        IF NOT is_over THEN
            RETURN;
        END IF;
    END IF;
    account_sequence := greatest(account_sequence, run_sequence);
    UPDATE account_lease SET run_id = p_run, last_sequence = account_sequence, taken_at = clock_timestamp()
    WHERE account_id = p_account;
    PERFORM pg_notify('stagebook_account_lease', p_account);
    is_taken := true;
END $function$;
"""
