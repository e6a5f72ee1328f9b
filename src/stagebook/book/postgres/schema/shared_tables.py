"""The tables beside a book in PostgreSQL that all nodes share: webhooks, and the bearer keys of the watch API.

The tables of webhooks are those of the file of a server with a SQLite book; `webhooks/webhook_file.py` says what they
mean and who writes them. The one row of `webhook_version` counts the changes by operators, and the one row of
`bearer_key_version` those of bearer keys.
"""

from typing import Final

WEBHOOK_TABLES: Final = """
CREATE TABLE destination (
    destination_id text COLLATE "C" PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL,
    document text NOT NULL,
    created_ms bigint NOT NULL
);
CREATE INDEX destination_of_account ON destination (account_id, created_ms);

CREATE TABLE run (
    run_key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    destination_id text COLLATE "C" NOT NULL,
    kind smallint NOT NULL,
    position bigint NOT NULL,
    end_sequence bigint,
    session_id text COLLATE "C",
    since_ms bigint NOT NULL
);
CREATE INDEX run_of_destination ON run (destination_id);

CREATE TABLE lagging_session (
    run_key bigint NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (run_key, session_id)
);

CREATE TABLE delivery (
    delivery_key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    destination_id text COLLATE "C" NOT NULL,
    run_key bigint NOT NULL,
    sequence bigint NOT NULL,
    event_id text NOT NULL,
    name text NOT NULL,
    session_id text NOT NULL,
    origin text NOT NULL,
    state text NOT NULL,
    attempts integer NOT NULL,
    status integer,
    error text,
    first_ms bigint NOT NULL,
    last_ms bigint NOT NULL,
    next_ms bigint,
    UNIQUE (destination_id, run_key, sequence)
);
CREATE INDEX delivery_of_destination ON delivery (destination_id, delivery_key);

CREATE TABLE dead_letter (
    destination_id text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    event_id text NOT NULL,
    name text NOT NULL,
    session_id text NOT NULL,
    attempts integer NOT NULL,
    status integer,
    error text NOT NULL,
    died_ms bigint NOT NULL,
    PRIMARY KEY (destination_id, sequence)
);

CREATE TABLE test_request (
    request_key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    destination_id text COLLATE "C" NOT NULL,
    event_id text NOT NULL,
    requested_ms bigint NOT NULL
);

CREATE TABLE backlog (
    destination_id text COLLATE "C" PRIMARY KEY,
    pending bigint NOT NULL,
    is_complete smallint NOT NULL,
    oldest_sequence bigint,
    blocked_sessions bigint NOT NULL,
    delivered bigint NOT NULL,
    failed_attempts bigint NOT NULL,
    dead bigint NOT NULL
);

CREATE TABLE webhook_version (
    row_key smallint PRIMARY KEY CHECK (row_key = 1),
    version bigint NOT NULL
);
INSERT INTO webhook_version (row_key, version) VALUES (1, 1);
"""

BEARER_KEY_TABLES: Final = """
CREATE TABLE bearer_key (
    key_id text COLLATE "C" PRIMARY KEY,
    document text NOT NULL,
    created_ms bigint NOT NULL
);

CREATE TABLE bearer_key_version (
    row_key smallint PRIMARY KEY CHECK (row_key = 1),
    version bigint NOT NULL
);
INSERT INTO bearer_key_version (row_key, version) VALUES (1, 1);
"""
