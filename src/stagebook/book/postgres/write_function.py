"""The SQL function that writes a group of transactions: one call is one transaction, and proves that the run may write.

    book_write_1(run, group, last sequence, one parameter for each of ROW_KINDS)

A client that is stopped in the middle of a group holds no lock, because there is nothing between two statements. The
function

1. renews the heartbeat of the run, and notes the number of the group. A run that is fenced or has ended gets SQLSTATE
   SB001, and nothing is written. The lock of the row makes a transaction that fences the run wait for this one.
2. returns false if the group was written before. A client that has lost its connection sends the group again: it need
   not know whether it arrived. Groups are numbered from 1 in each run.
3. writes the rows.

A parameter is NULL or a JSON array of rows as `ChangeTranslator` makes them; `group_parameters` puts them together.
ON CONFLICT DO UPDATE must not meet a row twice in one statement, so of several states of a row the last one counts.
Sessions are written in the order of their keys: the end of one comes before the next of the same stage, as the index
`session_open` demands.

Table `open_event` is exact after each group: recovery by another node depends on it. A start adds a row or increments
`open_count`, an end decrements it; at zero the row is deleted. What starts and ends in one group costs nothing.

A character NUL, which PostgreSQL cannot store, is replaced by U+FFFD.
"""

import re
from typing import Final

from stagebook.book.tables.change_rows import ROW_KINDS, TransactionRows, rows_by_kind

WRITE: Final = f"SELECT book_write_1(%s, %s, %s{', %s' * len(ROW_KINDS)})"
"""Takes the run, the number of the group, the newest sequence number, and `group_parameters`."""

_NUL: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")

_HEAD: Final = """
CREATE FUNCTION book_write_1(
    p_run bigint, p_group bigint, p_last_sequence bigint, p_stages jsonb, p_deletions jsonb, p_sessions jsonb,
    p_participants jsonb, p_recordings jsonb, p_events jsonb, p_revocations jsonb, p_resources jsonb, p_replicas jsonb,
    p_connection_revocations jsonb, p_compositions jsonb, p_composition_events jsonb
) RETURNS boolean LANGUAGE plpgsql AS $function$
BEGIN
    UPDATE node_run SET heartbeat_at = clock_timestamp(), backend_pid = pg_backend_pid(), last_group = p_group,
        last_sequence = greatest(last_sequence, p_last_sequence)
    WHERE run_id = p_run AND fenced_at IS NULL AND ended_at IS NULL AND last_group < p_group;
    IF NOT FOUND THEN
        UPDATE node_run SET heartbeat_at = clock_timestamp(), backend_pid = pg_backend_pid()
        WHERE run_id = p_run AND fenced_at IS NULL AND ended_at IS NULL;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'run % may not write', p_run USING ERRCODE = 'SB001';
        END IF;
        RETURN false;
    END IF;
"""

_FREQUENT: Final = """
    IF p_participants IS NOT NULL THEN
        INSERT INTO participant (session_key, number, participant_id, user_id, state, published, first_join_ms, rest)
        SELECT DISTINCT ON (1, 2) (v->>0)::bigint, (v->>1)::integer, v->>2, v->>3, (v->>4)::smallint,
            (v->>5)::boolean::integer, (v->>6)::bigint, v->>7
        FROM jsonb_array_elements(p_participants) WITH ORDINALITY AS row_of(v, n) ORDER BY 1, 2, n DESC
        ON CONFLICT (session_key, number) DO UPDATE SET user_id = excluded.user_id, state = excluded.state,
            published = excluded.published, first_join_ms = excluded.first_join_ms, rest = excluded.rest;
    END IF;
    IF p_events IS NOT NULL THEN
        WITH made AS MATERIALIZED (
            SELECT (v->>0)::bigint AS session_key, (v->>1)::integer AS participant_number,
                (v->>2)::bigint AS sequence, (v->>3)::smallint AS name, (v->>4)::smallint AS error_code,
                v->>5 AS remote_participant_id, (v->>6)::boolean::integer AS replica, (v->>7)::smallint AS cause,
                v->>8 AS detail, v->>9 AS extra
            FROM jsonb_array_elements(p_events) AS v
        ), inserted AS (
            INSERT INTO event (session_key, participant_number, sequence, name, error_code, remote_participant_id,
                replica, cause, detail, extra)
            SELECT * FROM made
        ), net AS MATERIALIZED (
            SELECT session_key, participant_number, (name - is_end)::smallint AS name, about,
                max(CASE WHEN is_end = 1 THEN 0 ELSE sequence END) AS sequence, sum(1 - 2 * is_end)::integer AS balance
            FROM (
                SELECT session_key, participant_number, sequence, name,
                    coalesce(remote_participant_id, extra, '') AS about, (name IN (1, 3, 5, 10))::integer AS is_end
                FROM made WHERE name IN (0, 1, 2, 3, 4, 5, 9, 10)
            ) AS change
            GROUP BY session_key, participant_number, name - is_end, about
        ), ended AS (
            DELETE FROM open_event USING net
            WHERE open_event.session_key = net.session_key AND open_event.participant_number = net.participant_number
                AND open_event.name = net.name AND open_event.about = net.about
                AND open_event.open_count + net.balance = 0
            RETURNING net.session_key, net.participant_number, net.name, net.about
        )
        INSERT INTO open_event (session_key, participant_number, name, about, sequence, open_count)
        SELECT session_key, participant_number, name, about, sequence, balance FROM net
        WHERE (session_key, participant_number, name, about) NOT IN (SELECT * FROM ended)
            AND (balance <> 0 OR EXISTS (SELECT 1 FROM open_event AS known
                WHERE known.session_key = net.session_key AND known.participant_number = net.participant_number
                    AND known.name = net.name AND known.about = net.about))
        ON CONFLICT (session_key, participant_number, name, about) DO UPDATE SET
            open_count = open_event.open_count + excluded.open_count,
            sequence = greatest(open_event.sequence, excluded.sequence);
    END IF;
"""

_STAGES: Final = """
    IF p_stages IS NOT NULL THEN
        INSERT INTO stage (stage_key, arn, account_id, name, created_ms, tags, recording)
        SELECT DISTINCT ON (1) (v->>0)::bigint, v->>1, v->>2, v->>3, (v->>4)::bigint, v->>5, v->>6
        FROM jsonb_array_elements(p_stages) WITH ORDINALITY AS row_of(v, n) ORDER BY 1, n DESC
        ON CONFLICT (stage_key) DO UPDATE SET name = excluded.name, tags = excluded.tags,
            recording = excluded.recording;
    END IF;
    IF p_deletions IS NOT NULL THEN
        UPDATE stage SET deleted_ms = (v->>1)::bigint
        FROM jsonb_array_elements(p_deletions) AS v WHERE stage_key = (v->>0)::bigint;
    END IF;
    IF p_sessions IS NOT NULL THEN
        INSERT INTO session (session_key, stage_key, session_id, start_ms, end_ms)
        SELECT DISTINCT ON (1) (v->>0)::bigint, (v->>1)::bigint, v->>2, (v->>3)::bigint, (v->>4)::bigint
        FROM jsonb_array_elements(p_sessions) WITH ORDINALITY AS row_of(v, n) ORDER BY 1, n DESC
        ON CONFLICT (session_key) DO UPDATE SET end_ms = excluded.end_ms;
    END IF;
    IF p_revocations IS NOT NULL THEN
        INSERT INTO revocation (stage_key, participant_id, revoked_ms, reason)
        SELECT (v->>0)::bigint, v->>1, (v->>2)::bigint, v->>3 FROM jsonb_array_elements(p_revocations) AS v
        ON CONFLICT (stage_key, participant_id) DO NOTHING;
    END IF;
    IF p_connection_revocations IS NOT NULL THEN
        INSERT INTO connection_token_revocation (account_id, token_id, revoked_ms)
        SELECT v->>0, v->>1, (v->>2)::bigint FROM jsonb_array_elements(p_connection_revocations) AS v
        ON CONFLICT (account_id, token_id) DO NOTHING;
    END IF;
"""

_RECORDINGS: Final = """
    IF p_recordings IS NOT NULL THEN
        UPDATE participant SET recording_state = shown.state, recording_bucket = shown.bucket,
            recording_prefix = shown.prefix
        FROM (
            SELECT DISTINCT ON (1, 2) (v->>0)::bigint AS session_key, (v->>1)::integer AS number,
                (v->>3)::smallint AS state, v->>4 AS bucket, v->>5 AS prefix
            FROM jsonb_array_elements(p_recordings) WITH ORDINALITY AS row_of(v, n)
            WHERE (v->>8)::boolean ORDER BY 1, 2, n DESC
        ) AS shown
        WHERE participant.session_key = shown.session_key AND participant.number = shown.number;
        WITH last AS MATERIALIZED (
            SELECT DISTINCT ON (v->>6) v->>6 AS recording_id, v
            FROM jsonb_array_elements(p_recordings) WITH ORDINALITY AS row_of(v, n) ORDER BY v->>6, n DESC
        ), over AS (
            DELETE FROM open_recording USING last
            WHERE open_recording.recording_id = last.recording_id AND (v->>3)::integer > 2
        )
        INSERT INTO open_recording (recording_id, session_key, participant_number, state, bucket, prefix, is_started,
            is_shown)
        SELECT recording_id, (v->>0)::bigint, (v->>1)::integer, (v->>3)::smallint, v->>4, v->>5,
            (v->>7)::boolean::integer, (v->>8)::boolean::integer
        FROM last WHERE (v->>3)::integer <= 2
        ON CONFLICT (recording_id) DO UPDATE SET session_key = excluded.session_key,
            participant_number = excluded.participant_number, state = excluded.state, bucket = excluded.bucket,
            prefix = excluded.prefix, is_started = excluded.is_started, is_shown = excluded.is_shown;
    END IF;
"""

_RESOURCES: Final = """
    IF p_resources IS NOT NULL THEN
        WITH last AS MATERIALIZED (
            SELECT DISTINCT ON (v->>0) v->>0 AS arn, v, n
            FROM jsonb_array_elements(p_resources) WITH ORDINALITY AS row_of(v, n) ORDER BY v->>0, n DESC
        ), deleted AS (
            DELETE FROM resource USING last WHERE resource.arn = last.arn AND v->>3 IS NULL
        ), changed AS (
            UPDATE resource SET value = v->>3 FROM last WHERE resource.arn = last.arn AND v->>3 IS NOT NULL
            RETURNING resource.arn
        )
        INSERT INTO resource (arn, account_id, resource_type, value)
        SELECT arn, v->>1, v->>2, v->>3 FROM last
        WHERE v->>3 IS NOT NULL AND arn NOT IN (SELECT changed.arn FROM changed) ORDER BY n;
    END IF;
    IF p_replicas IS NOT NULL THEN
        WITH last AS MATERIALIZED (
            SELECT DISTINCT ON (1, 2, 3) (v->>1)::bigint AS source_session_key, v->>2 AS participant_id,
                (v->>3)::bigint AS destination_session_key, (v->>0)::bigint AS source_stage_key,
                (v->>4)::smallint AS state, n
            FROM jsonb_array_elements(p_replicas) WITH ORDINALITY AS row_of(v, n) ORDER BY 1, 2, 3, n DESC
        )
        INSERT INTO replica (source_stage_key, source_session_key, participant_id, destination_session_key, state)
        SELECT source_stage_key, source_session_key, participant_id, destination_session_key, state FROM last
        ORDER BY n
        ON CONFLICT (source_session_key, participant_id, destination_session_key) DO UPDATE
            SET state = excluded.state;
    END IF;
"""

_COMPOSITIONS: Final = """
    IF p_compositions IS NOT NULL THEN
        INSERT INTO composition (composition_key, arn, account_id, stage_arn, start_ms, end_ms, value)
        SELECT DISTINCT ON (1) (v->>0)::bigint, v->>1, v->>2, v->>3, (v->>4)::bigint, (v->>5)::bigint, v->>6
        FROM jsonb_array_elements(p_compositions) WITH ORDINALITY AS row_of(v, n) ORDER BY 1, n DESC
        ON CONFLICT (composition_key) DO UPDATE SET end_ms = excluded.end_ms, value = excluded.value;
    END IF;
    IF p_composition_events IS NOT NULL THEN
        INSERT INTO composition_event (sequence, composition_key, name, destination_id, error_code, cause)
        SELECT (v->>0)::bigint, (v->>1)::bigint, (v->>2)::smallint, v->>3, (v->>4)::smallint, (v->>5)::smallint
        FROM jsonb_array_elements(p_composition_events) AS v;
    END IF;
    RETURN true;
END $function$;
"""

WRITE_FUNCTION: Final = _HEAD + _STAGES + _FREQUENT + _RECORDINGS + _RESOURCES + _COMPOSITIONS


def group_parameters(rows: TransactionRows) -> list[str | None]:
    """Return the rows of a group as the parameters of WRITE: a JSON array for each of ROW_KINDS."""
    by_kind = rows_by_kind(rows)
    return [_array(by_kind[kind]) if kind in by_kind else None for kind in ROW_KINDS]


def _array(rows: list[str]) -> str:
    text = "[" + ",".join(rows) + "]"
    return _NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text
