"""The example on the CLI reference page of `list-participant-events`, and a data folder whose book holds it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from stagebook.book.changes import AppendEvent, Change, EndSession, OpenSession, PutParticipant, PutResource, PutStage
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.data_folder.secrets import DataFolder
from stagebook.server.system_clock import SystemRandomness
from stagebook.stage.events import Event, EventName
from stagebook.stage.resources import (
    EncoderConfiguration,
    IngestConfiguration,
    IngestProtocol,
    ParticipantProtocol,
    ParticipantRecord,
    Resource,
    Stage,
    StorageConfiguration,
)

ACCOUNT_ID = "123456789012"
STAGE_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:stage/abcdABCDefgh"
SESSION_ID = "st-a1b2c3d4e5f6g"
PARTICIPANT_ID = "abCDEf12GHIj"
INGEST_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:ingest-configuration/AbCdEfGh1234"
ENCODER_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:encoder-configuration/abcdABCDefgh"
STORAGE_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:storage-configuration/abcdABCDefgh"
REQUEST = {"stageArn": STAGE_ARN, "sessionId": SESSION_ID, "participantId": PARTICIPANT_ID}

JOINED_AT = datetime(2023, 4, 26, 20, 30, 34, tzinfo=UTC)
LEFT_AT = datetime(2023, 4, 26, 20, 36, 28, tzinfo=UTC)
EVENTS = (
    (EventName.JOINED, JOINED_AT),
    (EventName.PUBLISH_STARTED, JOINED_AT),
    (EventName.PUBLISH_STOPPED, LEFT_AT),
    (EventName.LEFT, LEFT_AT),
)
NEWEST_FIRST = tuple((str(name), time) for name, time in reversed(EVENTS))


def in_ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


RESOURCES: tuple[Resource, ...] = (
    IngestConfiguration(
        arn=INGEST_ARN,
        account_id=ACCOUNT_ID,
        created_ms=in_ms(JOINED_AT),
        name="ingest1",
        ingest_protocol=IngestProtocol.RTMPS,
        participant_id="xyZ654abC321",
        stream_key=f"rt_{ACCOUNT_ID}_us-west-2_AbCdEfGh1234_abcd1234efgh5678ijkl9012MNOP34",
    ),
    EncoderConfiguration(
        arn=ENCODER_ARN,
        account_id=ACCOUNT_ID,
        created_ms=in_ms(JOINED_AT),
        name="test-ec",
        width=1_920,
        height=1_080,
        bitrate_bps=3_500_000,
    ),
    StorageConfiguration(
        arn=STORAGE_ARN,
        account_id=ACCOUNT_ID,
        created_ms=in_ms(JOINED_AT),
        name="test-sc",
        bucket_name="amzn-s3-demo-bucket",
    ),
)
"""The resources on the reference pages of `get-ingest-configuration`, `get-encoder-configuration` and
`get-storage-configuration`; the ARNs of the latter two have this server's region instead of the documented one."""


def write_documented_book(data: Path) -> None:
    """Create a data folder whose book holds the example.

    It has one stage, one ended session, one participant, four events, and one resource of each kind.
    """
    session = {"stage_arn": STAGE_ARN, "session_id": SESSION_ID}
    participant = ParticipantRecord(
        participant_id=PARTICIPANT_ID,
        first_join_ms=in_ms(JOINED_AT),
        published=True,
        protocol=ParticipantProtocol.WHIP,
    )
    stage = Stage(arn=STAGE_ARN, account_id=ACCOUNT_ID, name="documented", created_ms=in_ms(JOINED_AT) - 60_000)
    write_book(
        data,
        PutStage(stage=stage),
        OpenSession(**session, start_ms=in_ms(JOINED_AT) - 4_398),
        PutParticipant(**session, participant=participant),
        *(
            AppendEvent(**session, participant_id=PARTICIPANT_ID, event=Event(name=name), at_ms=in_ms(time))
            for name, time in EVENTS
        ),
        EndSession(**session, end_ms=in_ms(LEFT_AT) + 1_000),
        *(PutResource(resource=resource) for resource in RESOURCES),
    )


def write_book(data: Path, *changes: Change) -> None:
    """Create a data folder with a book, and commit these changes to it in one transaction."""
    folder = DataFolder(data)
    folder.prepare()
    asyncio.run(_write(folder, changes))


async def _write(folder: DataFolder, changes: Sequence[Change]) -> None:
    read_secret = partial(folder.stream_key_secret, randomness=SystemRandomness())
    book = SqliteBook.open(folder.book_path, read_secret=read_secret)
    await book.submit(changes).durable
    await book.close()
