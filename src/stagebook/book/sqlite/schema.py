"""The tables of the book, and the migrations that make them.

The version of a book is `PRAGMA user_version`, the number of migrations that have been applied to it. A released
migration must not be edited; a change of the tables is a new migration at the end of MIGRATIONS. `book_connection.py`
applies them.
"""

from typing import Any

import msgspec

from stagebook.book.tables.stream_key_seal import StreamKeySeal

APPLICATION_ID = 0x53426F6B
"""`SBok` in ASCII, in bytes 68 to 71 of the file (sqlite.org/fileformat.html, section 1.3.18)."""

# Table `event` is clustered by participant, newest first (WITHOUT ROWID): a page of events is one search and a scan of
# neighbouring rows. `number` is a participant's number within its session, which keeps event rows short.
# Names, error codes, causes and states are stored as the index of their enum's member (see rows.py).
_VERSION_1 = """
CREATE TABLE sequencer (
    row_key INTEGER PRIMARY KEY CHECK (row_key = 1),
    last_sequence INTEGER NOT NULL
) STRICT;
INSERT INTO sequencer VALUES (1, 0);

CREATE TABLE stage (
    stage_key INTEGER PRIMARY KEY,
    arn TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL,
    name TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    tags TEXT NOT NULL,
    recording TEXT NOT NULL,
    deleted_ms INTEGER
) STRICT;
CREATE INDEX stage_of_account ON stage (account_id) WHERE deleted_ms IS NULL;

CREATE TABLE session (
    session_key INTEGER PRIMARY KEY,
    stage_key INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER,
    UNIQUE (stage_key, session_id)
) STRICT;
CREATE INDEX session_of_stage ON session (stage_key);
CREATE UNIQUE INDEX session_open ON session (stage_key) WHERE end_ms IS NULL;

CREATE TABLE participant (
    session_key INTEGER NOT NULL,
    number INTEGER NOT NULL,
    participant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    state INTEGER NOT NULL,
    published INTEGER NOT NULL,
    first_join_ms INTEGER,
    rest TEXT,
    PRIMARY KEY (session_key, number)
) WITHOUT ROWID, STRICT;
CREATE UNIQUE INDEX participant_by_id ON participant (session_key, participant_id);
CREATE INDEX participant_by_user ON participant (session_key, user_id);
CREATE INDEX participant_by_state ON participant (session_key, state);
CREATE INDEX participant_published ON participant (session_key) WHERE published = 1;

CREATE TABLE event (
    session_key INTEGER NOT NULL,
    participant_number INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    name INTEGER NOT NULL,
    error_code INTEGER,
    remote_participant_id TEXT,
    replica INTEGER NOT NULL,
    cause INTEGER,
    detail TEXT,
    extra BLOB,
    PRIMARY KEY (session_key, participant_number, sequence DESC)
) WITHOUT ROWID, STRICT;

CREATE TABLE revocation (
    stage_key INTEGER NOT NULL,
    participant_id TEXT NOT NULL,
    revoked_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (stage_key, participant_id)
) WITHOUT ROWID, STRICT;
"""

# A row of `resource` that is put with the value NULL deletes the resource, by a trigger. One statement therefore both
# creates and deletes, and the changes of a group keep their order. AUTOINCREMENT, because a key is a position in pages
# and must not be reused. Replicas are listed by the participant of the source stage, over all of its sessions.
_VERSION_2 = """
CREATE TABLE resource (
    resource_key INTEGER PRIMARY KEY AUTOINCREMENT,
    arn TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    value TEXT
) STRICT;
CREATE INDEX resource_of_account ON resource (account_id, resource_type);
CREATE TRIGGER resource_put_without_value AFTER INSERT ON resource WHEN new.value IS NULL
    BEGIN DELETE FROM resource WHERE resource_key = new.resource_key; END;
CREATE TRIGGER resource_changed_to_no_value AFTER UPDATE ON resource WHEN new.value IS NULL
    BEGIN DELETE FROM resource WHERE resource_key = new.resource_key; END;

CREATE TABLE replica (
    replica_key INTEGER PRIMARY KEY,
    source_stage_key INTEGER NOT NULL,
    source_session_key INTEGER NOT NULL,
    participant_id TEXT NOT NULL,
    destination_session_key INTEGER NOT NULL,
    state INTEGER NOT NULL,
    UNIQUE (source_session_key, participant_id, destination_session_key)
) STRICT;
CREATE INDEX replica_of_participant ON replica (source_stage_key, participant_id);
CREATE INDEX replica_active ON replica (replica_key) WHERE state = 0;

CREATE TABLE connection_token_revocation (
    account_id TEXT NOT NULL,
    token_id TEXT NOT NULL,
    revoked_ms INTEGER NOT NULL,
    PRIMARY KEY (account_id, token_id)
) WITHOUT ROWID, STRICT;
"""

# Version 3 has the tables of version 2. The stream keys of ingest configurations are sealed, by the function that
# `book_connection.py` defines for the migration.
_VERSION_3 = """
UPDATE resource SET value = seal_stream_keys(value) WHERE resource_type = 'ingest-configuration';
"""

# Version 4 has the tables and rows of version 3. It says that the file was rewritten after the keys were sealed.
_VERSION_4 = ""

# What is open: each JOINED without LEFT and each *_STARTED without *_STOPPED. So recovery need not read the others.
# `name` is the code of the start (see rows.py), `about` what it has in common with its end: the remote participant, or
# the destination in the JSON of `extra`. `open_count` counts the starts that nothing has ended; a row whose count
# becomes 0 is deleted, by a trigger. `sequence` is that of the newest start. `change_rows.py` writes the rows.
_VERSION_5 = """
CREATE TABLE open_event (
    session_key INTEGER NOT NULL,
    participant_number INTEGER NOT NULL,
    name INTEGER NOT NULL,
    about TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    open_count INTEGER NOT NULL,
    PRIMARY KEY (session_key, participant_number, name, about)
) WITHOUT ROWID, STRICT;
CREATE TRIGGER open_event_ended AFTER UPDATE ON open_event WHEN new.open_count = 0
    BEGIN DELETE FROM open_event
    WHERE session_key = new.session_key AND participant_number = new.participant_number AND name = new.name
        AND about = new.about; END;
INSERT INTO open_event
SELECT session_key, participant_number, event.name - (event.name IN (1, 3, 5, 10)) AS start,
    coalesce(remote_participant_id, CAST(extra AS TEXT), '') AS about,
    max(iif(event.name IN (1, 3, 5, 10), 0, sequence)), sum(iif(event.name IN (1, 3, 5, 10), -1, 1)) AS balance
FROM session CROSS JOIN event USING (session_key)
WHERE session.end_ms IS NULL AND event.name IN (0, 1, 2, 3, 4, 5, 9, 10)
GROUP BY session_key, participant_number, start, about HAVING balance > 0;
"""

# The event log is read in the order of the sequence numbers, across sessions. They only grow, so a new event extends
# the last page of its index.
_VERSION_6 = """
CREATE INDEX event_by_sequence ON event (sequence);
CREATE INDEX session_by_id ON session (session_id);
"""

# What deletion by age needs (`deletion_steps.py`). `expired_session` has the keys of sessions whose rows are being
# deleted, and `sequencer` the largest keys that were deleted. A replica's key is a position in pages, so the table gets
# AUTOINCREMENT: without it, SQLite would use the key of a deleted newest replica again.
_VERSION_7 = """
CREATE TABLE expired_session (session_key INTEGER PRIMARY KEY) STRICT;
ALTER TABLE sequencer ADD COLUMN last_stage_key INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sequencer ADD COLUMN last_session_key INTEGER NOT NULL DEFAULT 0;
CREATE INDEX revocation_of_stage ON revocation (stage_key, revoked_ms);
CREATE INDEX connection_token_revocation_of_account ON connection_token_revocation (account_id, revoked_ms);

CREATE TABLE replica_with_lasting_keys (
    replica_key INTEGER PRIMARY KEY AUTOINCREMENT,
    source_stage_key INTEGER NOT NULL,
    source_session_key INTEGER NOT NULL,
    participant_id TEXT NOT NULL,
    destination_session_key INTEGER NOT NULL,
    state INTEGER NOT NULL,
    UNIQUE (source_session_key, participant_id, destination_session_key)
) STRICT;
INSERT INTO replica_with_lasting_keys SELECT * FROM replica;
DROP TABLE replica;
ALTER TABLE replica_with_lasting_keys RENAME TO replica;
CREATE INDEX replica_of_participant ON replica (source_stage_key, participant_id);
CREATE INDEX replica_of_destination ON replica (destination_session_key);
CREATE INDEX replica_active ON replica (replica_key) WHERE state = 0;
"""

# Individual participant recording. The row of a participant shows its newest recording; the columns are NULL for one
# that was not recorded, which is most. `open_recording` has the recordings that are STARTING, ACTIVE or STOPPING (codes
# 0 to 2, see rows.py), for recovery; a row that gets another state is deleted, by a trigger.
_VERSION_8 = """
ALTER TABLE participant ADD COLUMN recording_state INTEGER;
ALTER TABLE participant ADD COLUMN recording_bucket TEXT;
ALTER TABLE participant ADD COLUMN recording_prefix TEXT;
CREATE INDEX participant_by_recording ON participant (session_key, recording_state)
    WHERE recording_state IS NOT NULL;

CREATE TABLE open_recording (
    recording_id TEXT PRIMARY KEY,
    session_key INTEGER NOT NULL,
    participant_number INTEGER NOT NULL,
    state INTEGER NOT NULL,
    bucket TEXT NOT NULL,
    prefix TEXT NOT NULL,
    is_started INTEGER NOT NULL,
    is_shown INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX open_recording_of_session ON open_recording (session_key);
CREATE TRIGGER open_recording_over_at_once AFTER INSERT ON open_recording WHEN new.state > 2
    BEGIN DELETE FROM open_recording WHERE recording_id = new.recording_id; END;
CREATE TRIGGER open_recording_over AFTER UPDATE ON open_recording WHEN new.state > 2
    BEGIN DELETE FROM open_recording WHERE recording_id = new.recording_id; END;
"""

# Compositions and their events, which belong to no participant and no session. Their sequence numbers are from the same
# sequence as those of `event`. `end_ms` of a composition that has not ended is the largest 64-bit integer, so that one
# range of an index has what has not ended and what ended lately. `expired_composition` has the keys of compositions
# whose events are being deleted by age. AUTOINCREMENT, because a key is a position in pages and must not be reused.
_VERSION_9 = """
CREATE TABLE composition (
    composition_key INTEGER PRIMARY KEY AUTOINCREMENT,
    arn TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL,
    stage_arn TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL,
    value TEXT NOT NULL
) STRICT;
CREATE INDEX composition_by_end ON composition (end_ms);
CREATE INDEX composition_of_account_by_end ON composition (account_id, end_ms);
CREATE INDEX composition_of_account ON composition (account_id);
CREATE INDEX composition_of_stage ON composition (stage_arn);
CREATE TABLE composition_event (
    sequence INTEGER PRIMARY KEY,
    composition_key INTEGER NOT NULL,
    name INTEGER NOT NULL,
    destination_id TEXT,
    error_code INTEGER,
    cause INTEGER
) STRICT;
CREATE INDEX composition_event_of_composition ON composition_event (composition_key, sequence);
CREATE TABLE expired_composition (composition_key INTEGER PRIMARY KEY) STRICT;
"""

# Table `open_event` has what is open after the event `noted_sequence`. The writer notes later events many at a time,
# and the next start those that it has not noted (`open_events.py`).
_VERSION_10 = """
ALTER TABLE sequencer ADD COLUMN noted_sequence INTEGER NOT NULL DEFAULT 0;
UPDATE sequencer SET noted_sequence = last_sequence;
"""

MIGRATIONS: tuple[str, ...] = (
    _VERSION_1,
    _VERSION_2,
    _VERSION_3,
    _VERSION_4,
    _VERSION_5,
    _VERSION_6,
    _VERSION_7,
    _VERSION_8,
    _VERSION_9,
    _VERSION_10,
)

SEALED_VERSION = 3
"""The first version whose stream keys are sealed."""

REWRITTEN_VERSION = 4
"""Before a book gets this version, VACUUM rewrites it.

SQLite does not erase what it replaces: free space of a page can hold a stream key from before version 3. VACUUM cannot
be a part of a transaction. As a version of its own it is repeated if the server ended before it was complete.
"""

FIRST_INGEST_CONFIGURATION = """
SELECT value FROM resource WHERE resource_type = 'ingest-configuration' ORDER BY resource_key LIMIT 1
"""


def seal_document(document: str, seal: StreamKeySeal) -> str:
    """Return the JSON of an ingest configuration of version 2 as version 3 stores it.

    It depends on the names of that version only, not on the present `IngestConfiguration`. Raises ValueError for JSON
    that no version 2 has written.
    """
    try:
        configuration: dict[str, Any] = msgspec.json.decode(document)
        arn = configuration["arn"]
        for holder in (configuration, *configuration.get("redundant_credentials", ())):
            sealed = seal.seal(holder["stream_key"], arn=arn, participant_id=holder["participant_id"])
            holder["stream_key"] = sealed
        return msgspec.json.encode(configuration).decode()
    except (msgspec.MsgspecError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"an ingest configuration cannot be read: {error}") from error
