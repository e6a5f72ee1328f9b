"""Rows as this version writes them, kept as literals.

A row has no version of its own: the version of the book covers the tables, and members of a JSON column are added
without a migration. So each later version must read the rows of this one, and must go on writing rows that this version
reads. A change that breaks a test here breaks books that exist. To add a member with a default, add a new literal
beside the old one; the old one stays. Anything else needs a migration.
"""

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from stagebook.book.sqlite.rows import (
    ParticipantRest,
    event_row,
    participant_record,
    participant_row,
    recorded_event,
    resource_row,
    resource_value,
    stage_row,
    stage_value,
)
from stagebook.book.store import EventExtra
from stagebook.stage.events import (
    Cause,
    ErrorCode,
    Event,
    EventName,
    ExchangedToken,
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
GOLDEN: dict[str, list[Any]] = json.loads((Path(__file__).parent / "rows_version_2.json").read_text(encoding="utf-8"))
"""Rows by name, without their keys."""


def test_participants_are_stored_as_this_version_stores_them() -> None:
    defaults = ParticipantRecord(participant_id="q")

    assert list(participant_row(3, 7, PARTICIPANT)[2:]) == GOLDEN["participant"]
    assert list(participant_row(3, 8, defaults)[2:]) == GOLDEN["participant with defaults"]
    assert participant_record(tuple(GOLDEN["participant"])) == PARTICIPANT
    assert participant_record(tuple(GOLDEN["participant with defaults"])) == defaults


@pytest.mark.parametrize(("name", "event"), [("replication event", REPLICATION), ("exchange event", EXCHANGE)])
def test_events_are_stored_as_this_version_stores_them(name: str, event: Event) -> None:
    assert list(event_row(3, 7, GOLDEN[name][0], event)[2:]) == GOLDEN[name]
    stored = recorded_event("p", tuple(GOLDEN[name]))
    assert (stored.sequence, stored.event) == (GOLDEN[name][0], event)


def test_stages_are_stored_as_this_version_stores_them() -> None:
    assert list(stage_row(1, STAGE)[1:]) == GOLDEN["stage"]
    assert stage_value((*GOLDEN["stage"], None)) == STAGE


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: type(resource).__name__)
def test_resources_are_stored_as_this_version_stores_them(resource: Resource) -> None:
    row = GOLDEN[str(resource.__struct_config__.tag)]

    assert list(resource_row(resource)) == row
    assert resource_value((row[-1],)) == resource


def _members(document: str) -> set[str]:
    members: dict[str, Any] = json.loads(document)
    return set(members) - {"type"}


def test_the_golden_rows_have_every_member_of_the_json_columns() -> None:
    assert _members(GOLDEN["participant"][-1]) == set(ParticipantRest.__struct_fields__)
    in_events = _members(GOLDEN["replication event"][-1]) | _members(GOLDEN["exchange event"][-1])
    assert in_events == set(EventExtra.__struct_fields__)
    for resource in RESOURCES:
        row = GOLDEN[str(resource.__struct_config__.tag)]
        assert _members(row[-1]) == set(resource.__struct_fields__)


def test_every_kind_of_resource_has_a_golden_row() -> None:
    assert {type(resource) for resource in RESOURCES} == set(get_args(Resource))


def test_members_of_a_later_version_are_ignored() -> None:
    """After a downgrade, rows can have members that this version does not know."""
    participant = [*GOLDEN["participant"][:-1], _with_unknown_member(GOLDEN["participant"][-1])]
    assert participant_record(tuple(participant)) == PARTICIPANT
    for resource in RESOURCES:
        row = GOLDEN[str(resource.__struct_config__.tag)]
        assert resource_value((_with_unknown_member(row[-1]),)) == resource


def _with_unknown_member(document: str) -> str:
    members: dict[str, Any] = json.loads(document)
    return json.dumps({**members, "colour": "blue"})
