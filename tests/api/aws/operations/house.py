"""A house to test the operations in: the real book and the real manager, with an engine that moves no media.

A call goes through the model's own input rules, the handler and the model's own output, so an answer here is the JSON
that would be on the wire.
"""

import random
from collections.abc import AsyncIterator, Callable, Mapping
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
from stagebook.manager.presence.watchers import FarewellReason, StageSnapshot
from stagebook.manager.stage_manager import StageManager
from stagebook.manager.tokens.jwt_authority import JwtAuthority, new_private_key_pem
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.media.port import Answer, Connected, IngestAsked, MediaEngine, MediaFact, PatchAnswer
from stagebook.stage.events import Cause
from stagebook.stage.limits import RELAXED, Limits
from stagebook.stage.resources import ClientInfo

Json: TypeAlias = Any
"""A decoded JSON value: tests look into it freely."""

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
MODEL: ServiceModel = load_service_model()
PRIVATE_KEY_PEM = new_private_key_pem()


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time_ms = START_MS

    def now_ms(self) -> int:
        return self.time_ms


class SeededRandomness:
    """The same bytes in every run."""

    def __init__(self) -> None:
        self._random = random.Random(7)

    def token_bytes(self, size_bytes: int) -> bytes:
        return self._random.randbytes(size_bytes)


class SilentEngine(MediaEngine):
    """Accepts every offer and every encoder that may come in, and moves nothing.

    `connected` makes it say that media can flow. `admitted` are the connections of encoders by what they asked as.
    """

    def __init__(self) -> None:
        self.admitted: dict[str, str] = {}

    def listen(self, hear: Callable[[MediaFact], None]) -> None:
        self._hear = hear

    def connected(self, connection_id: str) -> None:
        self._hear(Connected(connection_id=connection_id))

    async def publish(self, **_offer: str) -> Answer:
        return Answer(sdp="v=0", ice_session="1")

    async def subscribe(self, **_offer: str) -> Answer:
        return Answer(sdp="v=0", ice_session="1")

    def ask(self, stream_key: str, *, is_secure: bool) -> None:
        """Let an encoder ask to come in, under its stream key."""
        self._hear(
            IngestAsked(ask_id=stream_key, stream_key=stream_key, is_secure=is_secure, remote_address="192.0.2.7")
        )

    async def ingest(self, *, ask_id: str, connection_id: str, **_source: str | bool) -> None:
        self.admitted[ask_id] = connection_id

    async def refuse_ingest(self, **_ask: str | bool) -> None:
        pass

    async def patch(self, **_fragment: str | None) -> PatchAnswer:
        return PatchAnswer(fragment=None, ice_session="1")

    async def close(self, *, connection_id: str, detail: str = "") -> None:
        pass

    async def end_source(self, *, source_id: str, detail: str = "") -> None:
        pass


class Onlooker:
    """A watcher that remembers why it was sent away."""

    def __init__(self) -> None:
        self.farewells: list[tuple[FarewellReason, str]] = []

    def show(self, snapshot: StageSnapshot) -> None:
        pass

    def farewell(self, reason: FarewellReason, detail: str) -> None:
        self.farewells.append((reason, detail))


class ManagerHarness:
    """The operations over a real manager; `call` is how tests speak to them."""

    def __init__(self, book: SqliteBook, *, limits: Limits, oldest_first: bool) -> None:
        self.book = book
        self.clock = HandClock()
        self.engine = SilentEngine()
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
        )
        self._operations = operations(self.manager, page_token_secret=b"secret", oldest_first=oldest_first)

    async def call(self, operation: str, *, account_id: str = ACCOUNT_ID, **members: Json) -> Json:
        """Return the decoded answer of an operation; None for an empty body. Domain errors come out as raised."""
        model = MODEL.operations[operation]
        caller = Caller(access_key_id="AKIDEXAMPLE", account_id=account_id, arn=f"arn:aws:iam::{account_id}:root")
        answer = self._operations[operation].handle(
            Call(caller=caller, request=compile_input(model.input)(dict(members)))
        )
        result = answer if isinstance(answer, bytes | Mapping) else await answer
        body = result if isinstance(result, bytes) else compile_output(model.output)(result)
        return msgspec.json.decode(body) if body else None

    async def pages(self, operation: str, items: str, **members: Json) -> list[list[Json]]:
        """Return every page of a list, following its tokens."""
        pages: list[list[Json]] = []
        token: dict[str, str] = {}
        while True:
            answer = await self.call(operation, **members, **token)
            pages.append(answer[items])
            if "nextToken" not in answer:
                return pages
            token = {"nextToken": answer["nextToken"]}

    async def create_stage(self, **members: Json) -> str:
        """Return the ARN of a new stage."""
        arn: str = (await self.call("CreateStage", **members))["stage"]["arn"]
        return arn

    async def join(self, stage_arn: str, *, client: ClientInfo | None = None, **token: Json) -> "Visit":
        """Let a new participant join by its events connection; return where it is."""
        made = (await self.call("CreateParticipantToken", stageArn=stage_arn, **token))["participantToken"]
        onlooker = Onlooker()
        claims = self.manager.admit(made["token"])
        connection_id = await self.manager.open_events(claims, watcher=onlooker, client=client or ClientInfo())
        session_id = (await self.call("GetStage", arn=stage_arn))["stage"]["activeSessionId"]
        return Visit(self, made, onlooker, connection_id, session_id, stage_arn)

    async def encode(self, stream_key: str, *, is_secure: bool = True) -> None:
        """Let an encoder ask to come in by a stream key; if it may, its media flows."""
        self.engine.ask(stream_key, is_secure=is_secure)
        await self.manager.settled()
        if stream_key in self.engine.admitted:
            self.engine.connected(self.engine.admitted[stream_key])
            await self.manager.settled()

    async def end_session(self, *visits: "Visit") -> None:
        """Let these, the last participants, leave, and their session end."""
        for visit in visits:
            await visit.leave()
        self.clock.time_ms += LINGER_MS
        self.manager.tick()
        while self.book.get_session(visits[0].stage_arn, visits[0].session_id).end_ms is None:  # type: ignore[union-attr]  # it exists
            await visits[0].settle()


class Visit:
    """A participant's stay on a stage."""

    def __init__(
        self,
        house: ManagerHarness,
        made: dict[str, Json],
        onlooker: Onlooker,
        connection_id: str,
        session_id: str,
        stage_arn: str,
    ) -> None:
        self._house = house
        self.token: str = made["token"]
        self.participant_id: str = made["participantId"]
        self.onlooker = onlooker
        self.connection_id = connection_id
        self.session_id = session_id
        self.stage_arn = stage_arn

    async def publish(self) -> None:
        """Publish, until media flows and the book knows it."""
        claims = self._house.manager.admit(self.token)
        opened = await self._house.manager.publish(claims, offer="v=0", client=ClientInfo())
        self._house.engine.connected(opened.connection_id)
        await self.settle()

    async def leave(self) -> None:
        """Close the events connection."""
        await self._house.manager.close_events(connection_id=self.connection_id, cause=Cause.CLIENT)

    async def settle(self) -> None:
        """Wait until what was submitted before is durable."""
        await self._house.book.submit([]).durable

    @property
    def names(self) -> dict[str, str]:
        """The members that name this participant in a call."""
        return {
            "stageArn": self.stage_arn,
            "sessionId": self.session_id,
            "participantId": self.participant_id,
        }


@asynccontextmanager
async def open_house(
    folder: Path, *, limits: Limits = RELAXED, oldest_first: bool = False
) -> AsyncIterator[ManagerHarness]:
    """Give a house with an empty book; shut it down afterwards."""
    book = SqliteBook.open(folder / "book.sqlite3")
    house = ManagerHarness(book, limits=limits, oldest_first=oldest_first)
    await house.manager.start()
    try:
        yield house
    finally:
        await house.manager.shutdown()
        await book.close()
