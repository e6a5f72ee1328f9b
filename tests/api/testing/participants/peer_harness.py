"""A stage manager with real tokens and engines of both kinds, and the routes of peers without media over ASGI."""

import json
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stagebook.api.routes.route_api import RouteApi
from stagebook.api.testing.participants.encoder_routes import EncoderRoutes
from stagebook.api.testing.participants.participant_routes import ParticipantRoutes
from stagebook.api.testing.participants.peer_services import PeerServices
from stagebook.api.testing.testing_access import LoopbackAccess
from stagebook.book.sqlite.open_readers import open_event_log
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.sqlite.sqlite_pages import SqlitePages
from stagebook.manager.controlled.keys_of_tests import KeysOfTests
from stagebook.manager.resources.public_key_service import KeyRing
from stagebook.manager.stage_manager import StageManager
from stagebook.manager.tokens.jwt_authority import JwtAuthority, new_private_key_pem
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.media.simulated.mixed_media import MixedMedia
from stagebook.media.simulated.silent_feeds import SilentFeeds
from stagebook.media.simulated.simulated_engine import SimulatedEngine
from stagebook.media.simulated.simulated_recorder import SimulatedRecorder
from stagebook.stage.claims import TokenSpec
from stagebook.stage.limits import STRICT, Limits
from stagebook.storage.folder_store import FolderStore
from tests.book.sample import open_book
from tests.manager.manager_harness import ACCOUNT, REGION, SeededRandomness, SettableClock
from tests.manager.scripted_engine import ScriptedEngine
from tests.media.simulated.test_mixed_media import RefusingFeeds

ENDPOINTS = Endpoints(events="ws://e", whip="http://w", rtmp="rtmp://r/app/", rtmps="rtmps://r/app/")


@dataclass
class PeerHarness:
    """The routes, and the manager behind them."""

    manager: StageManager
    book: SqliteBook
    services: PeerServices
    api: RouteApi
    clock: SettableClock

    async def stage(self, recording: dict[str, Any] | None = None) -> str:
        """Make a stage; return its ARN."""
        stage, _ = await self.manager.stages.create(
            account_id=ACCOUNT, name="", tags={}, recording=recording or {}, tokens=[]
        )
        return stage.arn

    async def storage(self) -> str:
        """Make a storage configuration; return its ARN."""
        made = await self.manager.configurations.create_storage(
            account_id=ACCOUNT, name="", bucket_name="shows", tags={}
        )
        return made.arn

    def token(self, stage_arn: str) -> str:
        """Return a token as CreateParticipantToken makes it."""
        return self.manager.tokens.create(stage_arn=stage_arn, spec=TokenSpec()).token

    async def participant(self, stage_arn: str, *actions: str, **members: object) -> "CalledPeer":
        """Make a participant of a stage, and let it do these actions."""
        document = await self.call("POST", "participants", {"stageArn": stage_arn, **members}, status=201)
        peer = CalledPeer(self, "participants", document)
        for action in actions:
            await peer.do(action)
        return peer

    async def encoder(self, **members: object) -> "CalledPeer":
        """Make an encoder."""
        return CalledPeer(self, "encoders", await self.call("POST", "encoders", members, status=201))

    async def call(self, method: str, path: str, body: object = None, *, status: int = 200) -> Any:  # noqa: ANN401 - JSON
        """Send a request, check its status and return the JSON of its response."""
        sent: list[MutableMapping[str, Any]] = []
        content, full_path = b"" if body is None else json.dumps(body).encode(), f"/testing/v1/{path}"

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": full_path,
            "raw_path": full_path.encode(),
            "query_string": b"",
            "client": ("127.0.0.1", 50_000),
            "headers": [(b"host", b"127.0.0.1")],
        }
        await self.api(scope, receive, send)
        answer = b"".join(message["body"] for message in sent[1:])
        assert sent[0]["status"] == status, answer
        return json.loads(answer) if answer else None


class CalledPeer:
    """A participant or an encoder without media. `document` is the newest response about it."""

    def __init__(self, harness: PeerHarness, kind: str, document: Any) -> None:  # noqa: ANN401 - JSON
        self._harness = harness
        self.path = f"{kind}/{document['id']}"
        self.participant_id: str = document["participantId"]
        self.document = document

    async def do(self, action: str, **members: object) -> list[str]:
        """Do an action; return its events: NAME, or NAME CODE."""
        self.document = await self._harness.call("POST", f"{self.path}/{action}", members)
        return [" ".join(filter(None, (each["name"], each.get("errorCode")))) for each in self.document["events"]]

    async def refused(self, action: str, *, status: int = 409, **members: object) -> str:
        """Return the detail of an action that must be refused."""
        problem = await self._harness.call("POST", f"{self.path}/{action}", members, status=status)
        return str(problem["detail"])

    async def state(self) -> Any:  # noqa: ANN401 - JSON
        """Return what it is doing."""
        return await self._harness.call("GET", self.path)


@asynccontextmanager
async def running_peers(folder: Path, *, limits: Limits = STRICT) -> AsyncIterator[PeerHarness]:
    """Run a manager and the routes on a book in `folder`."""
    clock, randomness, path = SettableClock(), SeededRandomness(), folder / "book"
    book = open_book(path)
    keys, engine = KeysOfTests(randomness), SimulatedEngine()
    recorder = SimulatedRecorder(store=FolderStore(folder / "recordings"), now_ms=clock.now_ms)
    manager = StageManager(
        book=book,
        media=MixedMedia(ScriptedEngine(), engine, SilentFeeds(RefusingFeeds())),
        recording=recorder,
        tokens=JwtAuthority(
            private_key_pem=new_private_key_pem(), endpoints=ENDPOINTS, find_key=keys.before(KeyRing(book).find)
        ),
        endpoints=ENDPOINTS,
        limits=limits,
        region=REGION,
        clock=clock,
        randomness=randomness,
        linger_ms=60_000,
    )
    await manager.start()
    log = open_event_log(path)
    services = PeerServices(
        manager=manager,
        pages=SqlitePages(book),
        engine=engine,
        recorder=recorder,
        log=log,
        keys=keys,
        randomness=randomness,
    )
    routes = [*ParticipantRoutes(services).routes(), *EncoderRoutes(services).routes()]
    api = RouteApi(prefix="/testing/v1/", routes=routes, access=LoopbackAccess())
    try:
        yield PeerHarness(manager=manager, book=book, services=services, api=api, clock=clock)
    finally:
        log.close()
        await manager.stop_watching()
        await book.close()
