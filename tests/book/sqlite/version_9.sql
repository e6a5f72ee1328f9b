-- A book of version 9 as a script: its tables as that version made them, and a little of everything it could hold.

BEGIN;
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
CREATE INDEX composition_of_account ON composition (account_id);
CREATE INDEX composition_of_account_by_end ON composition (account_id, end_ms);
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
CREATE TABLE connection_token_revocation (
    account_id TEXT NOT NULL,
    token_id TEXT NOT NULL,
    revoked_ms INTEGER NOT NULL,
    PRIMARY KEY (account_id, token_id)
) WITHOUT ROWID, STRICT;
INSERT INTO connection_token_revocation VALUES('123456789012','token',1700000000000);
CREATE INDEX connection_token_revocation_of_account ON connection_token_revocation (account_id, revoked_ms);
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
INSERT INTO event VALUES(1,1,1782579200005242880,2,NULL,NULL,0,NULL,NULL,NULL);
INSERT INTO event VALUES(1,1,1782579200000000000,0,NULL,NULL,0,NULL,NULL,NULL);
INSERT INTO event VALUES(2,1,1782579200005242882,1,NULL,NULL,0,NULL,NULL,NULL);
INSERT INTO event VALUES(2,1,1782579200005242881,0,NULL,NULL,0,NULL,NULL,NULL);
INSERT INTO event VALUES(3,1,1782579200005242884,11,NULL,NULL,0,NULL,NULL,X'7B2265786368616E6765223A7B2270726576696F7573223A7B226361706162696C6974696573223A5B225055424C495348225D2C2261747472696275746573223A7B2261223A2262227D2C22757365725F6964223A22616E6E222C2265787069726174696F6E5F6D73223A313730303030303030303030307D2C226E6577223A7B226361706162696C6974696573223A5B22535542534352494245225D2C2261747472696275746573223A7B7D2C22757365725F6964223A22222C2265787069726174696F6E5F6D73223A313730303030303030303030317D7D7D');
INSERT INTO event VALUES(3,1,1782579200005242883,9,3,'r',1,10,'why',X'7B2264657374696E6174696F6E5F73746167655F61726E223A2261726E3A6177733A6976733A75732D776573742D323A3132333435363738393031323A73746167652F64657374696E6174696F6E222C2264657374696E6174696F6E5F73657373696F6E5F6964223A2273742D64657374696E6174696F6E227D');
CREATE INDEX event_by_sequence ON event (sequence);
CREATE TABLE expired_composition (composition_key INTEGER PRIMARY KEY) STRICT;
CREATE TABLE expired_session (session_key INTEGER PRIMARY KEY) STRICT;
CREATE TABLE open_event (
    session_key INTEGER NOT NULL,
    participant_number INTEGER NOT NULL,
    name INTEGER NOT NULL,
    about TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    open_count INTEGER NOT NULL,
    PRIMARY KEY (session_key, participant_number, name, about)
) WITHOUT ROWID, STRICT;
INSERT INTO open_event VALUES(1,1,0,'',1782579200000000000,1);
INSERT INTO open_event VALUES(1,1,2,'',1782579200005242880,1);
INSERT INTO open_event VALUES(3,1,9,'r',1782579200005242883,1);
CREATE TRIGGER open_event_ended AFTER UPDATE ON open_event WHEN new.open_count = 0
    BEGIN DELETE FROM open_event
    WHERE session_key = new.session_key AND participant_number = new.participant_number AND name = new.name
        AND about = new.about; END;
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
INSERT INTO open_recording VALUES('recording',1,1,1,'bucket','stage/st-session/p/2024-01-01T12-00-55Z',1,1);
CREATE INDEX open_recording_of_session ON open_recording (session_key);
CREATE TRIGGER open_recording_over AFTER UPDATE ON open_recording WHEN new.state > 2
    BEGIN DELETE FROM open_recording WHERE recording_id = new.recording_id; END;
CREATE TRIGGER open_recording_over_at_once AFTER INSERT ON open_recording WHEN new.state > 2
    BEGIN DELETE FROM open_recording WHERE recording_id = new.recording_id; END;
CREATE TABLE participant (
    session_key INTEGER NOT NULL,
    number INTEGER NOT NULL,
    participant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    state INTEGER NOT NULL,
    published INTEGER NOT NULL,
    first_join_ms INTEGER,
    rest TEXT, recording_state INTEGER, recording_bucket TEXT, recording_prefix TEXT,
    PRIMARY KEY (session_key, number)
) WITHOUT ROWID, STRICT;
INSERT INTO participant VALUES(1,1,'p','ann',0,1,1700000000000,'{"attributes":{"role":"host"},"protocol":"WHIP"}',1,'bucket','stage/st-session/p/2024-01-01T12-00-55Z');
INSERT INTO participant VALUES(2,1,'q','',1,0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO participant VALUES(3,1,'p','ann',0,1,1700000000000,'{"attributes":{"role":"host","é":"\""},"protocol":"WHIP","client":{"isp_name":"isp","os_name":"Linux","os_version":"6","browser_name":"Chromium","browser_version":"130","sdk_version":"1.2"},"replication_type":"REPLICA","replication_state":"ACTIVE","source_stage_arn":"arn:aws:ivs:us-west-2:123456789012:stage/source","source_session_id":"st-source","redundant_ingest":true,"ingest_configuration_arn":"arn:aws:ivs:us-west-2:123456789012:ingest-configuration/a"}',NULL,NULL,NULL);
INSERT INTO participant VALUES(3,2,'q','',1,0,NULL,NULL,NULL,NULL,NULL);
CREATE UNIQUE INDEX participant_by_id ON participant (session_key, participant_id);
CREATE INDEX participant_by_recording ON participant (session_key, recording_state)
    WHERE recording_state IS NOT NULL;
CREATE INDEX participant_by_state ON participant (session_key, state);
CREATE INDEX participant_by_user ON participant (session_key, user_id);
CREATE INDEX participant_published ON participant (session_key) WHERE published = 1;
CREATE TABLE "replica" (
    replica_key INTEGER PRIMARY KEY AUTOINCREMENT,
    source_stage_key INTEGER NOT NULL,
    source_session_key INTEGER NOT NULL,
    participant_id TEXT NOT NULL,
    destination_session_key INTEGER NOT NULL,
    state INTEGER NOT NULL,
    UNIQUE (source_session_key, participant_id, destination_session_key)
) STRICT;
INSERT INTO replica VALUES(1,3,3,'p',1,0);
CREATE INDEX replica_active ON replica (replica_key) WHERE state = 0;
CREATE INDEX replica_of_destination ON replica (destination_session_key);
CREATE INDEX replica_of_participant ON replica (source_stage_key, participant_id);
CREATE TABLE resource (
    resource_key INTEGER PRIMARY KEY AUTOINCREMENT,
    arn TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    value TEXT
) STRICT;
INSERT INTO resource VALUES(1,'arn:aws:ivs:us-west-2:123456789012:public-key/a','123456789012','public-key','{"type":"public-key","arn":"arn:aws:ivs:us-west-2:123456789012:public-key/a","account_id":"123456789012","created_ms":1,"name":"name","tags":{"team":"blue"},"material":"PEM\n","fingerprint":"aa:bb"}');
INSERT INTO resource VALUES(2,'arn:aws:ivs:us-west-2:123456789012:ingest-configuration/a','123456789012','ingest-configuration','{"type":"ingest-configuration","arn":"arn:aws:ivs:us-west-2:123456789012:ingest-configuration/a","account_id":"123456789012","created_ms":1,"name":"name","tags":{"team":"blue"},"ingest_protocol":"RTMP","insecure_ingest":true,"stage_arn":"arn:aws:ivs:us-west-2:123456789012:stage/a","participant_id":"p","stream_key":"EHpI1pPV-LYmEfCXfxMqykYODQz25w==","user_id":"encoder","attributes":{"room":"one"},"redundant_ingest":true,"redundant_credentials":[{"participant_id":"q","stream_key":"75X24qFevP3coS8CwxL7X-z-v2xLd-Ho"}]}');
INSERT INTO resource VALUES(3,'arn:aws:ivs:us-west-2:123456789012:encoder-configuration/a','123456789012','encoder-configuration','{"type":"encoder-configuration","arn":"arn:aws:ivs:us-west-2:123456789012:encoder-configuration/a","account_id":"123456789012","created_ms":1,"name":"name","tags":{"team":"blue"},"width":640,"height":360,"framerate":29.5,"bitrate_bps":1000000}');
INSERT INTO resource VALUES(4,'arn:aws:ivs:us-west-2:123456789012:storage-configuration/a','123456789012','storage-configuration','{"type":"storage-configuration","arn":"arn:aws:ivs:us-west-2:123456789012:storage-configuration/a","account_id":"123456789012","created_ms":1,"name":"name","tags":{"team":"blue"},"bucket_name":"bucket"}');
CREATE TRIGGER resource_changed_to_no_value AFTER UPDATE ON resource WHEN new.value IS NULL
    BEGIN DELETE FROM resource WHERE resource_key = new.resource_key; END;
CREATE INDEX resource_of_account ON resource (account_id, resource_type);
CREATE TRIGGER resource_put_without_value AFTER INSERT ON resource WHEN new.value IS NULL
    BEGIN DELETE FROM resource WHERE resource_key = new.resource_key; END;
CREATE TABLE revocation (
    stage_key INTEGER NOT NULL,
    participant_id TEXT NOT NULL,
    revoked_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (stage_key, participant_id)
) WITHOUT ROWID, STRICT;
INSERT INTO revocation VALUES(1,'out',1700000000000,'rude');
CREATE INDEX revocation_of_stage ON revocation (stage_key, revoked_ms);
CREATE TABLE sequencer (
    row_key INTEGER PRIMARY KEY CHECK (row_key = 1),
    last_sequence INTEGER NOT NULL
, last_stage_key INTEGER NOT NULL DEFAULT 0, last_session_key INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO sequencer VALUES(1,1782579200005242884,0,0);
CREATE TABLE session (
    session_key INTEGER PRIMARY KEY,
    stage_key INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER,
    UNIQUE (stage_key, session_id)
) STRICT;
INSERT INTO session VALUES(1,1,'st-a1b2c3d4e5f6g',1700000000000,NULL);
INSERT INTO session VALUES(2,2,'st-g6f5e4d3c2b1a',1700000000000,1700000060000);
INSERT INTO session VALUES(3,3,'st-goldengolden0',1700000000000,NULL);
CREATE INDEX session_by_id ON session (session_id);
CREATE INDEX session_of_stage ON session (stage_key);
CREATE UNIQUE INDEX session_open ON session (stage_key) WHERE end_ms IS NULL;
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
INSERT INTO stage VALUES(1,'arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh','123456789012','talk',1700000000000,'{}','{}',NULL);
INSERT INTO stage VALUES(2,'arn:aws:ivs:us-west-2:123456789012:stage/otherOTHER00','123456789012','talk',1700000000000,'{}','{}',1700000060000);
INSERT INTO stage VALUES(3,'arn:aws:ivs:us-west-2:123456789012:stage/a','123456789012','talk',1700000000000,'{"team":"blue"}','{"mediaTypes":["AUDIO_VIDEO"],"thumbnailConfiguration":{"targetIntervalSeconds":60}}',NULL);
CREATE INDEX stage_of_account ON stage (account_id) WHERE deleted_ms IS NULL;
PRAGMA application_id = 1396862827;
PRAGMA user_version = 9;
COMMIT;
