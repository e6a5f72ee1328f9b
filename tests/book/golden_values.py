"""Values that set every member which the book stores, for tests of its format."""

from typing import Any

from stagebook.stage.events import (
    Cause,
    ErrorCode,
    Event,
    EventName,
    ExchangedToken,
    RecordingDetails,
    RecordingErrorCode,
    ReplicationDestination,
    TokenExchange,
)
from stagebook.stage.resources import (
    ClientInfo,
    EncoderConfiguration,
    IngestConfiguration,
    IngestCredential,
    IngestProtocol,
    ParticipantProtocol,
    ParticipantRecord,
    ParticipantState,
    PublicKey,
    ReplicationState,
    ReplicationType,
    Resource,
    Stage,
    StorageConfiguration,
)

PARTICIPANT = ParticipantRecord(
    participant_id="p",
    user_id="ann",
    state=ParticipantState.CONNECTED,
    first_join_ms=1_700_000_000_000,
    attributes={"role": "host", "é": '"'},
    published=True,
    protocol=ParticipantProtocol.WHIP,
    client=ClientInfo(
        browser_name="Chromium",
        browser_version="130",
        isp_name="isp",
        os_name="Linux",
        os_version="6",
        sdk_version="1.2",
    ),
    replication_type=ReplicationType.REPLICA,
    replication_state=ReplicationState.ACTIVE,
    source_stage_arn="arn:aws:ivs:us-west-2:123456789012:stage/source",
    source_session_id="st-source",
    redundant_ingest=True,
    ingest_configuration_arn="arn:aws:ivs:us-west-2:123456789012:ingest-configuration/a",
)
REPLICATION = Event(
    name=EventName.REPLICATION_STARTED,
    remote_participant_id="r",
    error_code=ErrorCode.BITRATE_EXCEEDED,
    replica=True,
    destination=ReplicationDestination(
        stage_arn="arn:aws:ivs:us-west-2:123456789012:stage/destination", session_id="st-destination"
    ),
    cause=Cause.CRASH_RECOVERY,
    detail="why",
)
EXCHANGE = Event(
    name=EventName.TOKEN_EXCHANGED,
    exchange=TokenExchange(
        previous=ExchangedToken(
            capabilities=("PUBLISH",), attributes={"a": "b"}, user_id="ann", expiration_ms=1_700_000_000_000
        ),
        new=ExchangedToken(capabilities=("SUBSCRIBE",), attributes={}, user_id="", expiration_ms=1_700_000_000_001),
    ),
)
RECORDING = Event(
    name=EventName.RECORDING_END_FAILED,
    recording=RecordingDetails(
        bucket_name="bucket",
        prefix="stage/st-session/p/2024-01-01T12-00-55Z",
        duration_ms=547_327,
        error_code=RecordingErrorCode.ACCESS_DENIED,
    ),
)
STAGE = Stage(
    arn="arn:aws:ivs:us-west-2:123456789012:stage/a",
    account_id="123456789012",
    name="talk",
    created_ms=1_700_000_000_000,
    tags={"team": "blue"},
    recording={"mediaTypes": ["AUDIO_VIDEO"], "thumbnailConfiguration": {"targetIntervalSeconds": 60}},
)
COMMON: dict[str, Any] = {"account_id": "123456789012", "created_ms": 1, "name": "name", "tags": {"team": "blue"}}
RESOURCES: list[Resource] = [
    PublicKey(arn="arn:aws:ivs:us-west-2:123456789012:public-key/a", material="PEM\n", fingerprint="aa:bb", **COMMON),
    IngestConfiguration(
        arn="arn:aws:ivs:us-west-2:123456789012:ingest-configuration/a",
        ingest_protocol=IngestProtocol.RTMP,
        insecure_ingest=True,
        stage_arn="arn:aws:ivs:us-west-2:123456789012:stage/a",
        participant_id="p",
        stream_key="rt_key",
        user_id="encoder",
        attributes={"room": "one"},
        redundant_ingest=True,
        redundant_credentials=(IngestCredential(participant_id="q", stream_key="rt_other"),),
        **COMMON,
    ),
    EncoderConfiguration(
        arn="arn:aws:ivs:us-west-2:123456789012:encoder-configuration/a",
        width=640,
        height=360,
        framerate=29.5,
        bitrate_bps=1_000_000,
        **COMMON,
    ),
    StorageConfiguration(
        arn="arn:aws:ivs:us-west-2:123456789012:storage-configuration/a", bucket_name="bucket", **COMMON
    ),
]
