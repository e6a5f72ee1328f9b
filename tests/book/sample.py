"""Sample values and short constructors of changes, for tests of books."""

import asyncio
from pathlib import Path

from stagebook.book.changes import (
    AppendCompositionEvent,
    AppendEvent,
    Change,
    EndSession,
    OpenSession,
    PutComposition,
    PutParticipant,
    PutReplica,
    PutResource,
    PutStage,
)
from stagebook.book.sqlite.book_lock import BookLock
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.store import Book
from stagebook.book.tables.stream_key_seal import SECRET_SIZE_BYTES, StreamKeySeal
from stagebook.stage.composition.composition import Composition, CompositionDestination, CompositionState
from stagebook.stage.composition.composition_events import CompositionEvent, CompositionEventName
from stagebook.stage.events import Event, EventName
from stagebook.stage.resources import ParticipantRecord, PublicKey, Replica, ReplicationState, Resource, Stage

ACCOUNT = "123456789012"
ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT}:stage/abcdABCDefgh"
KEY_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT}:public-key/abcdABCDefgh"
COMPOSITION_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT}:composition/abcdABCDefgh"
OTHER_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT}:stage/otherOTHER00"
SESSION = "st-a1b2c3d4e5f6g"
OTHER_SESSION = "st-g6f5e4d3c2b1a"
NOON_MS = 1_700_000_000_000
SECRET = bytes(range(SECRET_SIZE_BYTES))
SEAL = StreamKeySeal(SECRET)


def read_secret(*, may_generate: bool) -> bytes:  # noqa: ARG001 - the secret is always there
    """Return SECRET, as ReadSecret does."""
    return SECRET


def open_book(
    path: Path,
    *,
    lock: BookLock | None = None,
    loop: asyncio.AbstractEventLoop | None = None,
    show_deleted_history: bool = False,
) -> SqliteBook:
    """Open the book at `path` for writing, with SECRET; see SqliteBook.open."""
    return SqliteBook.open(
        path, read_secret=read_secret, lock=lock, loop=loop, show_deleted_history=show_deleted_history
    )


def stage(arn: str = ARN, *, name: str = "talk", account_id: str = ACCOUNT) -> Stage:
    """Return a stage."""
    return Stage(arn=arn, account_id=account_id, name=name, created_ms=NOON_MS)


def put_stage(arn: str = ARN) -> PutStage:
    """Return the change that creates a stage."""
    return PutStage(stage=stage(arn))


def open_session(session_id: str = SESSION, *, arn: str = ARN, start_ms: int = NOON_MS) -> OpenSession:
    """Return the change that opens a session."""
    return OpenSession(stage_arn=arn, session_id=session_id, start_ms=start_ms)


def end_session(session_id: str = SESSION, *, arn: str = ARN, end_ms: int = NOON_MS + 60_000) -> EndSession:
    """Return the change that ends a session."""
    return EndSession(stage_arn=arn, session_id=session_id, end_ms=end_ms)


def put(record: ParticipantRecord | str, *, session_id: str = SESSION, arn: str = ARN) -> PutParticipant:
    """Return the change that puts a participant. A string is the id of a participant with default values."""
    if isinstance(record, str):
        record = ParticipantRecord(participant_id=record)
    return PutParticipant(stage_arn=arn, session_id=session_id, participant=record)


def append(
    participant_id: str,
    event: Event | EventName = EventName.JOINED,
    *,
    at_ms: int = NOON_MS,
    session_id: str = SESSION,
    arn: str = ARN,
) -> AppendEvent:
    """Return the change that appends an event. A name alone means an event without further members."""
    if isinstance(event, EventName):
        event = Event(name=event)
    return AppendEvent(stage_arn=arn, session_id=session_id, participant_id=participant_id, event=event, at_ms=at_ms)


def public_key(arn: str = KEY_ARN, *, name: str = "key", account_id: str = ACCOUNT) -> PublicKey:
    """Return a public key."""
    return PublicKey(arn=arn, account_id=account_id, created_ms=NOON_MS, name=name, material="PEM", fingerprint="aa:bb")


def put_resource(resource: Resource | str = KEY_ARN) -> PutResource:
    """Return the change that puts a resource. A string is the ARN of a sample public key."""
    return PutResource(resource=public_key(resource) if isinstance(resource, str) else resource)


def replica(
    participant_id: str = "p",
    *,
    source: tuple[str, str] = (ARN, SESSION),
    destination: tuple[str, str] = (OTHER_ARN, OTHER_SESSION),
    state: ReplicationState = ReplicationState.ACTIVE,
) -> Replica:
    """Return a replica. `source` and `destination` are each a stage ARN and a session id."""
    return Replica(
        source_stage_arn=source[0],
        source_session_id=source[1],
        participant_id=participant_id,
        destination_stage_arn=destination[0],
        destination_session_id=destination[1],
        state=state,
    )


def put_replica(participant_id: str = "p", *, state: ReplicationState = ReplicationState.ACTIVE) -> PutReplica:
    """Return the change that puts the default replica of a participant."""
    return PutReplica(replica=replica(participant_id, state=state))


def composition(
    arn: str = COMPOSITION_ARN, *, stage_arn: str = ARN, account_id: str = ACCOUNT, end_ms: int | None = None
) -> Composition:
    """Return a composition into a bucket."""
    destination = CompositionDestination(
        destination_id="GHFabcgefABC",
        configuration={
            "name": "",
            "s3": {
                "storageConfigurationArn": "arn:aws:ivs:us-west-2:123456789012:storage-configuration/FefABabCDcdE",
                "encoderConfigurationArns": ["arn:aws:ivs:us-west-2:123456789012:encoder-configuration/ABabCDcdEFef"],
            },
        },
        recording_prefix="abcdABCDefgh/abcdABCDefgh/GHFabcgefABC/composite",
    )
    return Composition(
        arn=arn,
        account_id=account_id,
        stage_arn=stage_arn,
        start_ms=NOON_MS,
        layout={"grid": {"gridGap": 2}},
        destinations=(destination,),
        tags={"team": "blue"},
        state=CompositionState.STARTING if end_ms is None else CompositionState.STOPPED,
        end_ms=end_ms,
        client_token="token",
        parameters="digest",
    )


def put_composition(value: Composition | str = COMPOSITION_ARN) -> PutComposition:
    """Return the change that puts a composition. A string is the ARN of a sample composition."""
    return PutComposition(composition=composition(value) if isinstance(value, str) else value)


def append_composition(
    event: CompositionEvent | CompositionEventName = CompositionEventName.COMPOSITION_STARTED,
    *,
    arn: str = COMPOSITION_ARN,
    at_ms: int = NOON_MS,
) -> AppendCompositionEvent:
    """Return the change that appends an event of a composition. A name alone means an event without further members."""
    if isinstance(event, CompositionEventName):
        event = CompositionEvent(name=event)
    return AppendCompositionEvent(composition_arn=arn, event=event, at_ms=at_ms)


async def commit(book: Book, *changes: Change) -> tuple[int, ...]:
    """Submit one transaction, wait until it is durable, and return the sequence numbers of its events."""
    submission = book.submit(changes)
    await submission.durable
    return submission.sequences
