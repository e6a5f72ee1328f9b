"""The tables of the search index, and the statements that bring it up to date with the book.

The index is derived from the book, so it has no migrations: a file of another version is emptied and filled again. It
is in a file of its own, because an index of the book would make each append write a dozen pages more.

An entry stands for an event. Its row id is the sequence number, so each index below is ordered by it within one value,
and a page of a search is a range of one index, or a merge of ranges. Texts are replaced by small integers. The keys of
stages, sessions and compositions, and the codes of names, errors and causes, are those of the book; the codes of events
of compositions are COMPOSITION_CODES higher. An entry of a composition has no session, no participant and no user:
their keys are 0.
"""

APPLICATION_ID = 0x53427372
"""`SBsr` in ASCII, in bytes 68 to 71 of the file."""

VERSION = 2
"""The value of `PRAGMA user_version`. A change of the tables, or of what they mean, takes the next number."""

SETTINGS = """
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA wal_autocheckpoint = 4000;
PRAGMA journal_size_limit = 67108864;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -16384;
PRAGMA mmap_size = 2147418112
"""
"""NORMAL syncs the file at checkpoints only. A crash of the machine can lose the last transactions, not more: they are
derived again.

Pages of the file are read where the system has them in memory, without a copy."""

COMPOSITION_CODES = 1_000
"""What is added to the codes of names, errors and causes of events of compositions, which have enums of their own."""

# The numbers of a span bound the events of a session, which lie together in the order of the book: the events of other
# sessions of the stage come before or after them. So `entry_by_stage` also finds those of a session.
TABLES = """
CREATE TABLE position (
    row_key INTEGER PRIMARY KEY CHECK (row_key = 1),
    last_sequence INTEGER NOT NULL,
    trimmed_session_key INTEGER NOT NULL,
    trimmed_composition_key INTEGER NOT NULL
) STRICT;
INSERT INTO position VALUES (1, 0, 0, 0);

CREATE TABLE account (account_key INTEGER PRIMARY KEY, account_id TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE user (
    user_key INTEGER PRIMARY KEY,
    account_key INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    UNIQUE (account_key, user_id)
) STRICT;
CREATE TABLE participant (participant_key INTEGER PRIMARY KEY, participant_id TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE span (
    session_key INTEGER PRIMARY KEY,
    stage_key INTEGER NOT NULL,
    first_sequence INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL
) STRICT;

CREATE TABLE entry (
    sequence INTEGER PRIMARY KEY,
    account_key INTEGER NOT NULL,
    stage_key INTEGER NOT NULL,
    session_key INTEGER NOT NULL,
    participant_key INTEGER NOT NULL,
    user_key INTEGER NOT NULL,
    name INTEGER NOT NULL,
    error_code INTEGER,
    cause INTEGER,
    composition_key INTEGER
) STRICT;
CREATE INDEX entry_by_account ON entry (account_key, name);
CREATE INDEX entry_by_stage ON entry (stage_key, name);
CREATE INDEX entry_by_participant ON entry (participant_key);
CREATE INDEX entry_by_user ON entry (user_key);
CREATE INDEX entry_by_error ON entry (account_key, error_code) WHERE error_code IS NOT NULL;
CREATE INDEX entry_by_cause ON entry (account_key, cause) WHERE cause IS NOT NULL;
CREATE INDEX entry_by_composition ON entry (composition_key) WHERE composition_key IS NOT NULL;
"""
MARKS = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}"
"""Written in the same transaction as the tables."""

TEMPORARY_TABLES = """
CREATE TEMP TABLE batch (
    sequence INTEGER PRIMARY KEY, account_id TEXT, stage_key INTEGER, session_key INTEGER, participant_id TEXT,
    user_id TEXT, name INTEGER, error_code INTEGER, cause INTEGER
);
CREATE TEMP TABLE composition_batch (
    sequence INTEGER PRIMARY KEY, account_id TEXT, stage_key INTEGER, name INTEGER, error_code INTEGER, cause INTEGER,
    composition_key INTEGER
);
CREATE TEMP TABLE keyed_batch AS SELECT * FROM entry WHERE FALSE;
"""

# `book` is the attached file of the book.
READ_BATCH = """
INSERT INTO batch
SELECT event.sequence, stage.account_id, session.stage_key, event.session_key, participant.participant_id,
    participant.user_id, event.name, event.error_code, event.cause
FROM book.event INDEXED BY event_by_sequence
    CROSS JOIN book.session ON session.session_key = event.session_key
    CROSS JOIN book.stage ON stage.stage_key = session.stage_key
    CROSS JOIN book.participant ON participant.session_key = event.session_key
        AND participant.number = event.participant_number
WHERE event.sequence > :after AND event.sequence <= :until ORDER BY event.sequence
"""

# The number of the last event of the next batch, NULL if it is not full. A batch has at most `:size` events of
# participants and as many of compositions.
BATCH_END = """
SELECT min(sequence) FROM (
    SELECT (SELECT sequence FROM book.event INDEXED BY event_by_sequence
        WHERE sequence > :after ORDER BY sequence LIMIT 1 OFFSET :size - 1) AS sequence
    UNION ALL
    SELECT (SELECT sequence FROM book.composition_event
        WHERE sequence > :after ORDER BY sequence LIMIT 1 OFFSET :size - 1))
"""

# A composition can outlive the row of its stage by the minutes that its end takes.
READ_COMPOSITIONS = """
INSERT INTO composition_batch
SELECT event.sequence, composition.account_id, coalesce(stage.stage_key, 0), event.name + :shift,
    event.error_code + :shift, event.cause + :shift, event.composition_key
FROM book.composition_event AS event
    CROSS JOIN book.composition ON composition.composition_key = event.composition_key
    LEFT JOIN book.stage ON stage.arn = composition.stage_arn
WHERE event.sequence > :after AND event.sequence <= :until
"""
ADD_COMPOSITIONS = """
INSERT OR IGNORE INTO account (account_id) SELECT DISTINCT account_id FROM composition_batch;
INSERT INTO keyed_batch
SELECT sequence, account_key, stage_key, 0, 0, 0, name, error_code, cause, composition_key
FROM composition_batch CROSS JOIN account ON account.account_id = composition_batch.account_id
"""

ADD_KEYS = """
INSERT OR IGNORE INTO account (account_id) SELECT DISTINCT account_id FROM batch;
INSERT OR IGNORE INTO user (account_key, user_id)
SELECT account.account_key, batch.user_id
FROM batch CROSS JOIN account ON account.account_id = batch.account_id ORDER BY batch.sequence;
INSERT OR IGNORE INTO participant (participant_id) SELECT participant_id FROM batch ORDER BY sequence;
INSERT INTO keyed_batch
SELECT batch.sequence, account.account_key, batch.stage_key, batch.session_key, participant.participant_key,
    user.user_key, batch.name, batch.error_code, batch.cause, NULL
FROM batch
    CROSS JOIN account ON account.account_id = batch.account_id
    CROSS JOIN user ON user.account_key = account.account_key AND user.user_id = batch.user_id
    CROSS JOIN participant ON participant.participant_id = batch.participant_id
ORDER BY batch.sequence;
"""

# A token with another user id, at a new join or in a token exchange, changes the user id of all events of the
# participant in the session. All its entries agree, so the newest one tells whether they have to change.
CHANGED_USERS = """
SELECT DISTINCT participant_key, session_key, user_key FROM keyed_batch AS fresh
WHERE name IN (:joined, :exchanged) AND user_key <> (
    SELECT user_key FROM entry INDEXED BY entry_by_participant
    WHERE participant_key = fresh.participant_key AND session_key = fresh.session_key
    ORDER BY sequence DESC LIMIT 1)
"""
CHANGE_USER = """
UPDATE entry INDEXED BY entry_by_participant SET user_key = :user
WHERE participant_key = :participant AND session_key = :session AND user_key <> :user
"""

ADD_ENTRIES = """
INSERT INTO entry SELECT * FROM keyed_batch ORDER BY sequence;
INSERT INTO span
SELECT session_key, stage_key, min(sequence), max(sequence)
FROM keyed_batch WHERE composition_key IS NULL GROUP BY session_key
ON CONFLICT (session_key) DO UPDATE SET last_sequence = excluded.last_sequence;
"""
CLEAR_BATCH = "DELETE FROM batch; DELETE FROM composition_batch; DELETE FROM keyed_batch"

LAST_SEQUENCE = "SELECT last_sequence FROM position"
SET_LAST_SEQUENCE = "UPDATE position SET last_sequence = :sequence"
# The same as LAST_SEQUENCE of `book/tables/queries.py`.
LAST_SEQUENCE_OF_BOOK = """
SELECT max(last_sequence, (SELECT coalesce(max(sequence), 0) FROM book.event INDEXED BY event_by_sequence),
    (SELECT coalesce(max(sequence), 0) FROM book.composition_event))
FROM book.sequencer
"""
FIRST_SEQUENCE_OF_BOOK = """
SELECT min(sequence) FROM (
    SELECT min(sequence) AS sequence FROM book.event INDEXED BY event_by_sequence
    UNION ALL SELECT min(sequence) FROM book.composition_event)
"""

# Whether the newest entry is an event of the book: not if another book was restored. NULL if there is no entry.
NEWEST_ENTRY_IS_KNOWN = f"""
SELECT EXISTS (SELECT 1 FROM book.event INDEXED BY event_by_sequence
    WHERE event.sequence = entry.sequence AND event.session_key = entry.session_key AND event.name = entry.name)
    OR EXISTS (SELECT 1 FROM book.composition_event AS event WHERE event.sequence = entry.sequence
        AND event.composition_key = entry.composition_key AND event.name + {COMPOSITION_CODES} = entry.name)
FROM entry ORDER BY entry.sequence DESC LIMIT 1
"""  # noqa: S608 - a constant

# Sessions are deleted from the book by its retention. A span whose first event is missing has entries to delete.
TRIMMED_UP_TO = "SELECT trimmed_session_key FROM position"
SET_TRIMMED_UP_TO = "UPDATE position SET trimmed_session_key = :session"
SPANS_TO_CHECK = """
SELECT session_key, stage_key, first_sequence, last_sequence, EXISTS (
    SELECT 1 FROM book.event INDEXED BY event_by_sequence
    WHERE event.sequence = first_sequence AND event.session_key = span.session_key) AS is_known
FROM span WHERE session_key > :after ORDER BY session_key LIMIT :limit
"""
DELETE_ENTRIES = """
DELETE FROM entry WHERE sequence IN (
    SELECT entry.sequence
    FROM json_each(:names) AS event_name CROSS JOIN entry INDEXED BY entry_by_stage
        ON entry.stage_key = :stage AND entry.name = event_name.value
        AND entry.sequence BETWEEN :first AND :last AND entry.session_key = :session
    WHERE NOT EXISTS (SELECT 1 FROM book.event INDEXED BY event_by_sequence WHERE event.sequence = entry.sequence)
    LIMIT :limit)
RETURNING participant_key, user_key
"""
FIRST_ENTRY_OF_SPAN = """
SELECT min(entry.sequence)
FROM json_each(:names) AS event_name CROSS JOIN entry INDEXED BY entry_by_stage
    ON entry.stage_key = :stage AND entry.name = event_name.value
    AND entry.sequence BETWEEN :first AND :last AND entry.session_key = :session
"""
SET_FIRST_OF_SPAN = "UPDATE span SET first_sequence = :first WHERE session_key = :session"
DELETE_SPAN = "DELETE FROM span WHERE session_key = :session"
DELETE_UNUSED_KEYS = """
DELETE FROM participant WHERE participant_key IN (SELECT value FROM json_each(:participants)) AND NOT EXISTS (
    SELECT 1 FROM entry INDEXED BY entry_by_participant WHERE entry.participant_key = participant.participant_key);
DELETE FROM user WHERE user_key IN (SELECT value FROM json_each(:users)) AND NOT EXISTS (
    SELECT 1 FROM entry INDEXED BY entry_by_user WHERE entry.user_key = user.user_key);
"""
# The keys of the next compositions that have entries. The retention deletes a composition before its events.
COMPOSITIONS_TO_CHECK = """
WITH RECURSIVE next (composition_key) AS (
    SELECT min(composition_key) FROM entry INDEXED BY entry_by_composition
    WHERE composition_key IS NOT NULL AND composition_key > :after
    UNION ALL
    SELECT (SELECT min(entry.composition_key) FROM entry INDEXED BY entry_by_composition
        WHERE entry.composition_key IS NOT NULL AND entry.composition_key > next.composition_key)
    FROM next WHERE next.composition_key IS NOT NULL LIMIT :limit
)
SELECT composition_key, EXISTS (
    SELECT 1 FROM book.composition WHERE composition.composition_key = next.composition_key) AS is_known
FROM next WHERE composition_key IS NOT NULL
"""
DELETE_ENTRIES_OF_COMPOSITION = """
DELETE FROM entry WHERE sequence IN (
    SELECT sequence FROM entry INDEXED BY entry_by_composition
    WHERE composition_key IS NOT NULL AND composition_key = :composition LIMIT :limit)
RETURNING sequence
"""
COMPOSITIONS_TRIMMED_UP_TO = "SELECT trimmed_composition_key FROM position"
SET_COMPOSITIONS_TRIMMED_UP_TO = "UPDATE position SET trimmed_composition_key = :composition"
GIVE_BACK_SPACE = "PRAGMA incremental_vacuum(2000)"

ACCOUNTS = "SELECT account_id FROM account ORDER BY account_key"
