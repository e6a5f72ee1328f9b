"""The SQL functions by which runs begin and take accounts: each call is one transaction.

    run_register_1(node, internal URL, version) -> run

A run gets the lowest slot of sequence numbers that no living run has (`node_run.py`). Registrations wait for each
other. A run that has been silent for an hour is fenced, which frees its slot.

    account_take_1(account, run, lease in seconds) -> (is taken, last sequence number of the account, run before)

An account is free if it has no lease, or if the run that has it has ended. It is also taken from a run that is fenced,
and from one whose heartbeat is older than the lease, by the clock of the database. That run is fenced first: the UPDATE
waits for a group that the run is writing at this moment, and then looks at its heartbeat again. After the fence, no
group of the run can be written.

Two takers: the second one waits for the row of the account, and finds the run of the first one, which is alive.
"""

from typing import Final

SEQUENCE_SLOTS: Final = 1024
"""How many runs can live at a time."""

_LOCK_KEY: Final = 0x53426F6C
"""The advisory lock of registrations: another one than that of migrations."""

ACCOUNT_FUNCTIONS: Final = f"""
CREATE FUNCTION run_register_1(p_node text, p_internal_url text, p_software_version text) RETURNS bigint
LANGUAGE plpgsql AS $function$
DECLARE
    free_slot smallint;
    new_run bigint;
BEGIN
    PERFORM pg_advisory_xact_lock({_LOCK_KEY});
    UPDATE node_run SET fenced_at = clock_timestamp()
    WHERE fenced_at IS NULL AND ended_at IS NULL AND heartbeat_at < clock_timestamp() - interval '1 hour';
    SELECT min(slot) INTO free_slot FROM generate_series(0, {SEQUENCE_SLOTS - 1}) AS slot
    WHERE slot NOT IN (SELECT sequence_slot FROM node_run WHERE fenced_at IS NULL AND ended_at IS NULL);
    IF free_slot IS NULL THEN
        RAISE EXCEPTION 'there are {SEQUENCE_SLOTS} other nodes';
    END IF;
    INSERT INTO node_run (sequence_slot, backend_pid, node, internal_url, software_version)
    VALUES (free_slot, pg_backend_pid(), p_node, p_internal_url, p_software_version) RETURNING run_id INTO new_run;
    RETURN new_run;
END $function$;

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
"""  # noqa: S608 - a constant
