"""The work of one request does not grow with the account.

Every operation is called in a small and in a large account, and three things are counted:

* the instructions of SQLite's virtual machine, which executes a few of them for each row that it reads
  (sqlite.org/c3ref/c_stmtstatus_counter.html);
* the lines of Python that the event loop's thread executes, which shows a search in memory;
* the changes that are written.

Both accounts have more items than a page, so each call reads as many rows in the large account as in the small one.
Filters are also used where no item matches: a search for the first one would read all of them.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias, cast
from unittest.mock import MagicMock

import apsw
import msgspec
import pytest

from stagebook.api.aws.operations import operations
from stagebook.book.changes import (
    AppendEvent,
    Change,
    OpenSession,
    PutParticipant,
    PutResource,
    PutStage,
    RevokeParticipant,
)
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.store import Submission
from stagebook.manager.stage_manager import StageManager
from stagebook.stage.errors import ResourceNotFoundError
from stagebook.stage.events import Event, EventName
from stagebook.stage.limits import RELAXED
from stagebook.stage.resources import (
    ClientInfo,
    EncoderConfiguration,
    IngestConfiguration,
    IngestProtocol,
    ParticipantRecord,
    ParticipantState,
    PublicKey,
    Stage,
    StorageConfiguration,
)
from tests.api.aws.operations.aws_api_harness import ACCOUNT_ID, START_MS, AwsApiHarness, Json, open_api
from tests.book.sample import open_book
from tests.clients.own_key import OwnKey
from tests.executed_lines import counted_lines

FIRST, SMALL, LARGE = 10, 1_000, 3_000
"""Items of each kind. The first account is measured for what is done once in a process, such as compiling a shape."""
JOINED_SHARE = 5
"""Of so many stages of an account one has a participant that is connected."""


class Work(msgspec.Struct):
    """What a request has cost."""

    steps: int = 0
    lines: int = 0
    changes: int = 0


SLACK = Work(steps=1_000, lines=100, changes=0)
"""Deeper index trees, and other pages of them. A read of all rows would add at least 2,000 rows of several steps, and a
search of all connections 400 lines."""

Measured: TypeAlias = dict[str, Work]

LIMITS = msgspec.structs.replace(
    RELAXED,
    encoder_configurations=10 * LARGE,
    storage_configurations=10 * LARGE,
    public_keys=10 * LARGE,
    ingest_configurations=10 * LARGE,
)
SESSION = "st-a1b2c3d4e5f6g"
TOKEN_ID = "connection-token"


def arn(resource_type: str, number: int) -> str:
    return f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:{resource_type}/number{number:06}"


STAGE_ARN, OTHER_STAGE_ARN, ALIKE_STAGE_ARN = (arn("stage", number) for number in range(3))
"""The participants of the third stage are alike: all of them have published, and all have left."""


def _resources(number: int) -> list[Change]:
    common: dict[str, Any] = {"account_id": ACCOUNT_ID, "created_ms": START_MS}
    return [
        PutResource(
            resource=IngestConfiguration(
                arn=arn("ingest-configuration", number),
                ingest_protocol=IngestProtocol.RTMPS,
                participant_id=f"ingest{number}",
                # All of them are attached to the stage that is deleted.
                stage_arn=OTHER_STAGE_ARN,
                stream_key=f"key{number}",
                **common,
            )
        ),
        PutResource(resource=EncoderConfiguration(arn=arn("encoder-configuration", number), **common)),
        PutResource(
            resource=StorageConfiguration(arn=arn("storage-configuration", number), bucket_name="bucket", **common)
        ),
        PutResource(
            resource=PublicKey(arn=arn("public-key", number), material="PEM", fingerprint=f"{number}", **common)
        ),
    ]


def _participant(number: int) -> list[Change]:
    where = {"stage_arn": STAGE_ARN, "session_id": SESSION}
    record = ParticipantRecord(
        participant_id=f"participant{number}",
        user_id=f"user{number % 2}",
        state=ParticipantState.DISCONNECTED if number % 2 else ParticipantState.CONNECTED,
        published=number % 4 < 2,
    )
    # The first participant has all events of the session but one for each other participant.
    names = [EventName.JOINED, EventName.LEFT]
    own = [
        AppendEvent(participant_id=record.participant_id, event=Event(name=name), at_ms=0, **where) for name in names
    ]
    of_first = AppendEvent(participant_id="participant0", event=Event(name=EventName.JOINED), at_ms=0, **where)
    return [PutParticipant(participant=record, **where), *own, of_first]


def _participant_like_all(number: int) -> list[Change]:
    record = ParticipantRecord(participant_id=f"participant{number}", user_id="user", published=True)
    return [PutParticipant(stage_arn=ALIKE_STAGE_ARN, session_id=SESSION, participant=record)]


def _revocation(number: int) -> Change:
    return RevokeParticipant(stage_arn=STAGE_ARN, participant_id=f"revoked{number}", at_ms=START_MS, reason="")


async def _fill(path: Path, size: int) -> None:
    """Write an account with `size` items of each kind: stages, sessions, resources, participants and events."""
    book = open_book(path)
    for number in range(size):
        stage = Stage(arn=arn("stage", number), account_id=ACCOUNT_ID, name="", created_ms=START_MS)
        book.submit([PutStage(stage=stage), *_resources(number)])
    for stage_arn in (STAGE_ARN, ALIKE_STAGE_ARN):
        book.submit([OpenSession(stage_arn=stage_arn, session_id=SESSION, start_ms=START_MS)])
    for number in range(size):
        book.submit([*_participant(number), *_participant_like_all(number), _revocation(number)])
    await book.close()


@contextmanager
def measured(book: SqliteBook, work: Work) -> Iterator[None]:
    """Add what happens in this context to `work`."""

    def count_steps(profile: dict[str, Json]) -> None:
        work.steps += profile["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]

    def submit(changes: Sequence[Change]) -> Submission:
        work.changes += len(changes)
        return book.__class__.submit(book, changes)

    book._reading.connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, count_steps)
    with pytest.MonkeyPatch.context() as patch, counted_lines() as count:
        patch.setattr(book, "submit", submit)
        try:
            yield
        finally:
            work.lines += count.lines
            book._reading.connection.trace_v2(0, None)


def _calls() -> list[tuple[str, dict[str, Json]]]:
    in_session = {"stageArn": STAGE_ARN, "sessionId": SESSION}
    of_alike = {"stageArn": ALIKE_STAGE_ARN, "sessionId": SESSION}
    first = {**in_session, "participantId": "participant0"}
    replication = {"sourceStageArn": STAGE_ARN, "destinationStageArn": OTHER_STAGE_ARN, "participantId": "participant0"}
    return [
        ("CreateStage", {}),
        ("GetStage", {"arn": STAGE_ARN}),
        ("ListStages", {}),
        ("UpdateStage", {"arn": STAGE_ARN, "name": "new"}),
        ("CreateParticipantToken", {"stageArn": STAGE_ARN}),
        ("GetStageSession", in_session),
        ("ListStageSessions", {"stageArn": STAGE_ARN}),
        ("GetParticipant", first),
        ("ListParticipants", in_session),
        ("ListParticipants", {**in_session, "filterByUserId": "user1"}),
        ("ListParticipants", {**in_session, "filterByState": "CONNECTED"}),
        ("ListParticipants", {**in_session, "filterByState": "DISCONNECTED"}),
        ("ListParticipants", {**in_session, "filterByPublished": True}),
        ("ListParticipants", {**in_session, "filterByPublished": False}),
        ("ListParticipants", {**of_alike, "filterByPublished": False}),
        ("ListParticipants", {**of_alike, "filterByState": "CONNECTED"}),
        ("ListParticipants", {**of_alike, "filterByUserId": "nobody"}),
        ("ListParticipantEvents", first),
        ("ListParticipantReplicas", {"sourceStageArn": STAGE_ARN, "participantId": "participant0"}),
        ("StartParticipantReplication", replication),
        ("StopParticipantReplication", replication),
        ("DisconnectParticipant", {"stageArn": STAGE_ARN, "participantId": "participant0"}),
        ("CreateIngestConfiguration", {"ingestProtocol": "RTMPS", "stageArn": STAGE_ARN}),
        ("GetIngestConfiguration", {"arn": arn("ingest-configuration", 0)}),
        ("UpdateIngestConfiguration", {"arn": arn("ingest-configuration", 0), "stageArn": STAGE_ARN}),
        ("DeleteIngestConfiguration", {"arn": arn("ingest-configuration", 0)}),
        ("ListIngestConfigurations", {}),
        ("ListIngestConfigurations", {"filterByState": "ACTIVE"}),
        ("ListIngestConfigurations", {"filterByState": "INACTIVE"}),
        ("ListIngestConfigurations", {"filterByStageArn": OTHER_STAGE_ARN}),
        ("ListIngestConfigurations", {"filterByStageArn": STAGE_ARN}),
        ("CreateEncoderConfiguration", {}),
        ("GetEncoderConfiguration", {"arn": arn("encoder-configuration", 0)}),
        ("ListEncoderConfigurations", {}),
        ("DeleteEncoderConfiguration", {"arn": arn("encoder-configuration", 0)}),
        ("CreateStorageConfiguration", {"s3": {"bucketName": "bucket"}}),
        ("GetStorageConfiguration", {"arn": arn("storage-configuration", 0)}),
        ("ListStorageConfigurations", {}),
        ("DeleteStorageConfiguration", {"arn": arn("storage-configuration", 0)}),
        ("ImportPublicKey", {"publicKeyMaterial": OwnKey().public_pem}),
        ("GetPublicKey", {"arn": arn("public-key", 0)}),
        ("ListPublicKeys", {}),
        ("DeletePublicKey", {"arn": arn("public-key", 0)}),
        ("RevokeConnectionToken", {"tokenId": TOKEN_ID}),
        ("TagResource", {"resourceArn": STAGE_ARN, "tags": {"a": "b"}}),
        ("UntagResource", {"resourceArn": STAGE_ARN, "tagKeys": ["a"]}),
        ("ListTagsForResource", {"resourceArn": STAGE_ARN}),
        ("DeleteStage", {"arn": OTHER_STAGE_ARN}),
    ]


async def _measure(folder: Path, size: int) -> Measured:
    await _fill(folder / "book.sqlite3", size)
    found: Measured = {}
    async with open_api(folder, limits=LIMITS) as api:
        await _count_once(api)
        for number in range(size // JOINED_SHARE):
            await _publish(api, arn("stage", size - 1 - number))
        for name, members in _calls():
            label = f"{name} {sorted(members.items())}" if name.startswith("List") else name
            # A refusal is measured too: it has cost its reads.
            with measured(api.book, found.setdefault(label, Work())), suppress(ResourceNotFoundError):
                await api.call(name, **members)
        found["publish"] = Work()
        with measured(api.book, found["publish"]):
            await _publish(api, STAGE_ARN)
    return found


async def _publish(api: AwsApiHarness, stage_arn: str) -> None:
    """Publish with a new token. Without an events websocket, so that no list of participants is sent meanwhile."""
    created = await api.call("CreateParticipantToken", stageArn=stage_arn)
    claims = api.manager.participants.admit(created["participantToken"]["token"])
    opened = await api.manager.participants.publish(claims, offer="v=0", client=ClientInfo())
    api.engine.connected(opened.connection_id)
    await api.manager.settled()


async def _count_once(api: AwsApiHarness) -> None:
    """Create one resource of each kind. The first creation of a run counts those of the account."""
    await api.call("CreateStage")
    await api.call("CreateIngestConfiguration", ingestProtocol="RTMPS")
    await api.call("CreateEncoderConfiguration")
    await api.call("CreateStorageConfiguration", s3={"bucketName": "bucket"})
    await api.call("ImportPublicKey", publicKeyMaterial=OwnKey().public_pem)


def test_every_operation_is_measured() -> None:
    served = set(operations(cast("StageManager", MagicMock()), MagicMock(), page_token_secret=bytes(32)))
    assert {name for name in served if "Composition" not in name} == {name for name, _ in _calls()}


@pytest.mark.timeout(240)
def test_no_request_reads_more_in_a_larger_account(tmp_path: Path) -> None:
    results: list[Measured] = []
    for size in (FIRST, SMALL, LARGE):
        folder = tmp_path / str(size)
        folder.mkdir()
        results.append(asyncio.run(_measure(folder, size)))
    _, small, large = results

    assert small.keys() == large.keys()
    growth = {name: (small[name], large[name]) for name in small if _grows(small[name], large[name])}
    assert growth == {}


def _grows(small: Work, large: Work) -> bool:
    return (
        large.steps > small.steps + SLACK.steps
        or large.lines > small.lines + SLACK.lines
        or large.changes > small.changes + SLACK.changes
    )
