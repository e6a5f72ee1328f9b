"""The SQL statements that write rows on SQLite.

Each statement writes all rows of its table that a group of transactions has. It takes them as one parameter, a JSON
array of arrays, which `jsonb_each` splits. A group therefore costs a handful of calls into SQLite, however many events
it holds. apsw releases the interpreter's lock (GIL) during each call; with one call per row, the writer thread would
have to compete with a busy event loop for the GIL at every row.
"""

from typing import Final

PUT_STAGES = """
INSERT INTO stage (stage_key, arn, account_id, name, created_ms, tags, recording)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6 FROM jsonb_each(?) WHERE true
ON CONFLICT (stage_key) DO UPDATE SET name = excluded.name, tags = excluded.tags, recording = excluded.recording
"""
DELETE_STAGES = """
UPDATE stage SET deleted_ms = change.value->>1 FROM jsonb_each(?) AS change WHERE stage_key = change.value->>0
"""
PUT_SESSIONS = """
INSERT INTO session (session_key, stage_key, session_id, start_ms, end_ms)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM jsonb_each(?) WHERE true
ON CONFLICT (session_key) DO UPDATE SET end_ms = excluded.end_ms
"""
PUT_PARTICIPANTS = """
INSERT INTO participant (session_key, number, participant_id, user_id, state, published, first_join_ms, rest)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7
FROM jsonb_each(?) WHERE true
ON CONFLICT (session_key, number) DO UPDATE SET user_id = excluded.user_id, state = excluded.state,
    published = excluded.published, first_join_ms = excluded.first_join_ms, rest = excluded.rest
"""
# What the row of a participant shows of its recording. The row exists, so this never inserts one; an upsert applies the
# rows of a group in their order, which UPDATE FROM would not.
SHOW_RECORDINGS = """
INSERT INTO participant (session_key, number, participant_id, user_id, state, published,
    recording_state, recording_bucket, recording_prefix)
SELECT value->>0, value->>1, value->>2, '', 1, 0, value->>3, value->>4, value->>5
FROM jsonb_each(?) WHERE value->>8
ON CONFLICT (session_key, number) DO UPDATE SET recording_state = excluded.recording_state,
    recording_bucket = excluded.recording_bucket, recording_prefix = excluded.recording_prefix
"""
NOTE_OPEN_RECORDINGS = """
INSERT INTO open_recording (session_key, participant_number, state, bucket, prefix, recording_id, is_started, is_shown)
SELECT value->>0, value->>1, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8
FROM jsonb_each(?) WHERE true
ON CONFLICT (recording_id) DO UPDATE SET session_key = excluded.session_key,
    participant_number = excluded.participant_number, state = excluded.state, bucket = excluded.bucket,
    prefix = excluded.prefix, is_started = excluded.is_started, is_shown = excluded.is_shown
"""
INSERT_EVENTS = """
INSERT INTO event (session_key, participant_number, sequence, name, error_code, remote_participant_id, replica,
    cause, detail, extra)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8,
    CAST(value->>9 AS BLOB)
FROM jsonb_each(?)
"""
INSERT_REVOCATIONS = """
INSERT OR IGNORE INTO revocation (stage_key, participant_id, revoked_ms, reason)
SELECT value->>0, value->>1, value->>2, value->>3 FROM jsonb_each(?)
"""
# This statement also deletes: a trigger removes a row whose value is NULL (see schema.py).
PUT_RESOURCES = """
INSERT INTO resource (arn, account_id, resource_type, value)
SELECT value->>0, value->>1, value->>2, value->>3 FROM jsonb_each(?) WHERE true
ON CONFLICT (arn) DO UPDATE SET value = excluded.value
"""
PUT_REPLICAS = """
INSERT INTO replica (source_stage_key, source_session_key, participant_id, destination_session_key, state)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM jsonb_each(?) WHERE true
ON CONFLICT (source_session_key, participant_id, destination_session_key) DO UPDATE SET state = excluded.state
"""
INSERT_CONNECTION_REVOCATIONS = """
INSERT INTO connection_token_revocation (account_id, token_id, revoked_ms)
SELECT value->>0, value->>1, value->>2 FROM jsonb_each(?) WHERE true
ON CONFLICT (account_id, token_id) DO NOTHING
"""
PUT_COMPOSITIONS = """
INSERT INTO composition (composition_key, arn, account_id, stage_arn, start_ms, end_ms, value)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6 FROM jsonb_each(?) WHERE true
ON CONFLICT (composition_key) DO UPDATE SET end_ms = excluded.end_ms, value = excluded.value
"""
INSERT_COMPOSITION_EVENTS = """
INSERT INTO composition_event (sequence, composition_key, name, destination_id, error_code, cause)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5 FROM jsonb_each(?)
"""

WRITE_STATEMENTS: Final = (
    (PUT_STAGES,),
    (DELETE_STAGES,),
    (PUT_SESSIONS,),
    (PUT_PARTICIPANTS,),
    (SHOW_RECORDINGS, NOTE_OPEN_RECORDINGS),
    (INSERT_EVENTS,),
    (INSERT_REVOCATIONS,),
    (PUT_RESOURCES,),
    (PUT_REPLICAS,),
    (INSERT_CONNECTION_REVOCATIONS,),
    (PUT_COMPOSITIONS,),
    (INSERT_COMPOSITION_EVENTS,),
)
"""The statements for each kind of row, in the order of ROW_KINDS. All of a kind get the same rows."""
