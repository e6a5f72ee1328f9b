"""A harness for the operations: a real book and a real stage manager, with a fake media engine.

A call passes the input validation of the service model, the handler, and the serialization of its output. The result is
the decoded JSON body that AWS clients get.
"""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from stagebook.api.aws.operation import Call, Caller
from stagebook.api.aws.operations import operations
from stagebook.api.aws.rest_json.serialization import compile_output
from stagebook.api.aws.rest_json.service_model import ServiceModel, load_service_model
from stagebook.api.aws.rest_json.validation import compile_input
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.sqlite.sqlite_pages import SqlitePages
from stagebook.manager.presence.watchers import FarewellReason, StageChange, StageSnapshot
from stagebook.manager.stage_manager import StageManager
from stagebook.manager.tokens.jwt_authority import JwtAuthority, new_private_key_pem
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.media.connection_statistics import ConnectionStatistics
from stagebook.media.port import Answer, Connected, IngestAsked, MediaEngine, MediaFact, PatchAnswer, VideoLayers
from stagebook.stage.events import Cause
from stagebook.stage.limits import RELAXED, Limits
from stagebook.stage.resources import ClientInfo
from tests.book.sample import open_book
from tests.manager.compositions.scripted_composer import ScriptedComposer
from tests.manager.recordings.scripted_recorder import ScriptedRecorder

Json: TypeAlias = Any
"""A decoded JSON value."""

REGION = "us-west-2"
ACCOUNT_ID = "123456789012"
START_MS = 1_682_541_034_250  # 2023-04-26T20:30:34.250Z
LINGER_MS = 1_000
ENDPOINTS = Endpoints(
    events="ws://127.0.0.1:8080/events",
    whip="http://127.0.0.1:8080/whip",
    rtmp="rtmp://127.0.0.1:1935/app",
    rtmps="rtmps://127.0.0.1:1936/app",
)
CHANNEL_ARN = f"arn:aws:ivs:{REGION}:{ACCOUNT_ID}:channel/abcABCdefDEg"
OTHER_CHANNEL_ARN = f"arn:aws:ivs:{REGION}:{ACCOUNT_ID}:channel/otherOTHER00"
CHANNELS = {CHANNEL_ARN: "rtmp://127.0.0.1/app/key", OTHER_CHANNEL_ARN: "rtmp://127.0.0.1/app/other"}
"""The channels that the server has."""
MODEL: ServiceModel = load_service_model()
PRIVATE_KEY_PEM = new_private_key_pem()


class ManualClock:
    """A clock that tests advance. The wall clock and the monotonic clock are the same."""

    def __init__(self) -> None:
        self.time_ms = START_MS

    def now_ms(self) -> int:
        return self.time_ms

    def monotonic_ms(self) -> int:
        return self.time_ms


class SeededRandomness:
    """A random generator with a fixed seed."""

    def __init__(self) -> None:
        self._random = random.Random(7)

    def token_bytes(self, size_bytes: int) -> bytes:
        return self._random.randbytes(size_bytes)


class FakeMediaEngine(MediaEngine):
    """Accepts every offer and every admitted encoder, without any media.

    `connected` reports that media flows on a connection. `admitted` has the connection ids of encoders by ask id.
    """

    def __init__(self) -> None:
        self.admitted: dict[str, str] = {}

    def listen(self, hear: Callable[[MediaFact], None]) -> None:
        self._report = hear

    def connected(self, connection_id: str) -> None:
        self._report(Connected(connection_id=connection_id))

    async def publish(self, **_offer: str) -> Answer:
        return Answer(sdp="v=0", ice_session="1")

    async def subscribe(self, **_offer: str | None) -> Answer:
        return Answer(sdp="v=0", ice_session="1")

    def request_ingest(self, stream_key: str, *, is_secure: bool) -> None:
        """Report an encoder that asks to publish. Its ask id is its stream key."""
        self._report(
            IngestAsked(ask_id=stream_key, stream_key=stream_key, is_secure=is_secure, remote_address="192.0.2.7")
        )

    async def ingest(self, *, ask_id: str, connection_id: str, **_source: str | bool) -> None:
        self.admitted[ask_id] = connection_id

    async def refuse_ingest(self, **_ask: str | bool) -> None:
        pass

    async def patch(self, **_fragment: str | None) -> PatchAnswer:
        return PatchAnswer(fragment=None, ice_session="1")

    async def layers(self, **_connection: str) -> VideoLayers:
        return VideoLayers()

    async def statistics(self, _connection_ids: Sequence[str]) -> tuple[ConnectionStatistics, ...]:
        return ()

    async def select_layer(self, **_choice: object) -> None:
        pass

    async def close(self, *, connection_id: str, detail: str = "", as_failure: bool = False) -> None:
        pass

    async def end_source(self, *, source_id: str, detail: str = "") -> None:
        pass


class RecordingWatcher:
    """A stage watcher that records its farewells."""

    takes_changes = False
    publishers_only = False

    def __init__(self) -> None:
        self.farewells: list[tuple[FarewellReason, str]] = []

    def show(self, snapshot: StageSnapshot) -> None:
        pass

    def show_change(self, change: StageChange) -> None:
        pass

    def farewell(self, reason: FarewellReason, detail: str) -> None:
        self.farewells.append((reason, detail))


class AwsApiHarness:
    """All operations over a real stage manager. Tests use `call`."""

    def __init__(self, book: SqliteBook, *, limits: Limits, oldest_first: bool, composes: bool = True) -> None:
        self.book = book
        self.clock = ManualClock()
        self.engine = FakeMediaEngine()
        self.composer = ScriptedComposer()
        self.recorder = ScriptedRecorder(completes=True)
        self.manager = StageManager(
            book=book,
            media=self.engine,
            tokens=JwtAuthority(private_key_pem=PRIVATE_KEY_PEM, endpoints=ENDPOINTS),
            endpoints=ENDPOINTS,
            limits=limits,
            region=REGION,
            clock=self.clock,
            randomness=SeededRandomness(),
            linger_ms=LINGER_MS,
            recording=self.recorder,
            composition=self.composer if composes else None,
            channel_url=CHANNELS.get,
        )
        self._operations = operations(
            self.manager, SqlitePages(book), page_token_secret=b"secret", oldest_first=oldest_first
        )

    async def call(self, operation: str, *, account_id: str = ACCOUNT_ID, **members: Json) -> Json:
        """Call an operation and return its decoded output; None for an empty body. Domain errors are raised."""
        model = MODEL.operations[operation]
        caller = Caller(access_key_id="AKIDEXAMPLE", account_id=account_id, arn=f"arn:aws:iam::{account_id}:root")
        call = Call(caller=caller, request=compile_input(model.input)(dict(members)))
        result = await self._operations[operation].handle(call)
        body = result if isinstance(result, bytes) else compile_output(model.output)(result)
        return msgspec.json.decode(body) if body else None

    async def pages(self, operation: str, items: str, **members: Json) -> list[list[Json]]:
        """Return all pages of a list operation, following `nextToken`."""
        pages: list[list[Json]] = []
        token: dict[str, str] = {}
        while True:
            answer = await self.call(operation, **members, **token)
            pages.append(answer[items])
            if "nextToken" not in answer:
                return pages
            token = {"nextToken": answer["nextToken"]}

    async def create_stage(self, **members: Json) -> str:
        """Create a stage and return its ARN."""
        arn: str = (await self.call("CreateStage", **members))["stage"]["arn"]
        return arn

    async def create_storage(self, bucket_name: str = "bucket") -> str:
        """Create a storage configuration and return its ARN."""
        created = await self.call("CreateStorageConfiguration", s3={"bucketName": bucket_name})
        arn: str = created["storageConfiguration"]["arn"]
        return arn

    async def join(self, stage_arn: str, *, client: ClientInfo | None = None, **token: Json) -> "JoinedParticipant":
        """Join a new participant by an events connection."""
        created = (await self.call("CreateParticipantToken", stageArn=stage_arn, **token))["participantToken"]
        watcher = RecordingWatcher()
        claims = self.manager.participants.admit(created["token"])
        connection_id = await self.manager.participants.open_events(
            claims, watcher=watcher, client=client or ClientInfo()
        )
        session_id = (await self.call("GetStage", arn=stage_arn))["stage"]["activeSessionId"]
        return JoinedParticipant(self, created, watcher, connection_id, session_id, stage_arn)

    async def rejoin(self, token: str) -> str:
        """Join once more with a token; return the connection's id. Raises TokenRefusedError."""
        claims = self.manager.participants.admit(token)
        return await self.manager.participants.open_events(claims, watcher=RecordingWatcher(), client=ClientInfo())

    async def connect_encoder(self, stream_key: str, *, is_secure: bool = True) -> None:
        """Connect an encoder with a stream key. If it is admitted, its media starts to flow."""
        self.engine.request_ingest(stream_key, is_secure=is_secure)
        await self.manager.settled()
        if stream_key in self.engine.admitted:
            self.engine.connected(self.engine.admitted[stream_key])
            await self.manager.settled()

    async def end_session(self, *participants: "JoinedParticipant") -> None:
        """Disconnect the last participants of a stage and end their session."""
        for joined in participants:
            await joined.leave()
        self.clock.time_ms += LINGER_MS
        self.manager.tick()
        while self.book.get_session(participants[0].stage_arn, participants[0].session_id).end_ms is None:  # type: ignore[union-attr]  # it exists
            await participants[0].settle()


class JoinedParticipant:
    """A participant that has joined a stage."""

    def __init__(
        self,
        harness: AwsApiHarness,
        created: dict[str, Json],
        watcher: RecordingWatcher,
        connection_id: str,
        session_id: str,
        stage_arn: str,
    ) -> None:
        self._harness = harness
        self.token: str = created["token"]
        self.participant_id: str = created["participantId"]
        self.watcher = watcher
        self.connection_id = connection_id
        self.session_id = session_id
        self.stage_arn = stage_arn

    async def publish(self, *, client: ClientInfo | None = None) -> None:
        """Publish, and wait until the event is durable."""
        claims = self._harness.manager.participants.admit(self.token)
        opened = await self._harness.manager.participants.publish(claims, offer="v=0", client=client or ClientInfo())
        self._harness.engine.connected(opened.connection_id)
        await self.settle()

    async def leave(self) -> None:
        """Close the events connection."""
        await self._harness.manager.participants.close_events(connection_id=self.connection_id, cause=Cause.CLIENT)

    async def settle(self) -> None:
        """Wait until everything submitted before is durable."""
        await self._harness.book.submit([]).durable

    @property
    def identifiers(self) -> dict[str, str]:
        """The input members that identify this participant."""
        return {
            "stageArn": self.stage_arn,
            "sessionId": self.session_id,
            "participantId": self.participant_id,
        }


@asynccontextmanager
async def open_api(
    folder: Path, *, limits: Limits = RELAXED, oldest_first: bool = False, composes: bool = True
) -> AsyncIterator[AwsApiHarness]:
    """Open a harness with an empty book and close it afterwards."""
    book = open_book(folder / "book.sqlite3")
    harness = AwsApiHarness(book, limits=limits, oldest_first=oldest_first, composes=composes)
    await harness.manager.start()
    try:
        yield harness
    finally:
        await harness.manager.shutdown()
        await book.close()
