"""A book for the tests of examples: more stages than a page of ListStages has, and a long session that has ended."""

from pathlib import Path

from stagebook.book.changes import AppendEvent, EndSession, OpenSession, PutParticipant, PutStage
from stagebook.data_folder.secrets import DataFolder
from stagebook.data_folder.testing_mark import claim_folder
from stagebook.stage.events import Event, EventName
from stagebook.stage.resources import ParticipantProtocol, ParticipantRecord, Stage
from tests.e2e.aws.documented_example import write_book
from tests.e2e.server import ACCOUNT_ID, REGION

STAGE_NAME = "archive"
SESSION_ID = "st-a1b2c3d4e5f6g"
VIEWER_ID = "abCDEf12GHIj"
PUBLISHER_ID = "bcDEFg23HIJk"
SUBSCRIPTIONS = 150
"""They make 300 events beside JOINED and LEFT: four pages at 100 events, the most that a page can have."""

_PAGE_OF_STAGES = 100
_START_MS = 1_795_860_000_000
_SESSION = {"stage_arn": f"arn:aws:ivs:{REGION}:{ACCOUNT_ID}:stage/zzzzzzzzzzzz", "session_id": SESSION_ID}


def recorded_events() -> list[tuple[str, str]]:
    """Return the names and the times of the viewer's events, the newest first."""
    return [
        (str(name), f"2026-11-28T10:00:{at_ms // 1000:02}.{at_ms % 1000:03}Z") for name, at_ms in reversed(_events())
    ]


def write_recorded_stages(data: Path) -> None:
    """Create a data folder with the book, for a server with `--testing`."""
    folder = DataFolder(data)
    folder.prepare()
    claim_folder(folder, is_testing=True)
    write_book(
        data,
        *(_stage(f"{number:012}", f"other-{number}") for number in range(_PAGE_OF_STAGES + 10)),
        _stage("zzzzzzzzzzzz", STAGE_NAME),
        OpenSession(**_SESSION, start_ms=_START_MS),
        *(
            PutParticipant(
                **_SESSION,
                participant=ParticipantRecord(
                    participant_id=participant_id,
                    first_join_ms=_START_MS,
                    published=participant_id == PUBLISHER_ID,
                    protocol=ParticipantProtocol.WHIP,
                ),
            )
            for participant_id in (VIEWER_ID, PUBLISHER_ID)
        ),
        _publisher_event(EventName.JOINED, at_ms=0),
        _publisher_event(EventName.PUBLISH_STARTED, at_ms=0),
        *(
            AppendEvent(**_SESSION, participant_id=VIEWER_ID, event=_event(name), at_ms=_START_MS + at_ms)
            for name, at_ms in _events()
        ),
        _publisher_event(EventName.PUBLISH_STOPPED, at_ms=59_000),
        _publisher_event(EventName.LEFT, at_ms=59_000),
        EndSession(**_SESSION, end_ms=_START_MS + 60_000),
    )


def _stage(stage_id: str, name: str) -> PutStage:
    arn = f"arn:aws:ivs:{REGION}:{ACCOUNT_ID}:stage/{stage_id}"
    return PutStage(stage=Stage(arn=arn, account_id=ACCOUNT_ID, name=name, created_ms=_START_MS - 1))


def _publisher_event(name: EventName, *, at_ms: int) -> AppendEvent:
    return AppendEvent(**_SESSION, participant_id=PUBLISHER_ID, event=Event(name=name), at_ms=_START_MS + at_ms)


def _events() -> list[tuple[EventName, int]]:
    """Return the names and the milliseconds since the start of the viewer's events, the oldest first."""
    pairs = [EventName.SUBSCRIBE_STARTED, EventName.SUBSCRIBE_STOPPED] * SUBSCRIPTIONS
    return [(name, 100 * number) for number, name in enumerate([EventName.JOINED, *pairs, EventName.LEFT])]


def _event(name: EventName) -> Event:
    has_remote = name in {EventName.SUBSCRIBE_STARTED, EventName.SUBSCRIBE_STOPPED}
    return Event(name=name, remote_participant_id=PUBLISHER_ID if has_remote else None)
