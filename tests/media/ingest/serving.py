"""The ingest server in this process, with a forwarder that takes notes, and encoders to try them with."""

import asyncio
import itertools
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from stagebook.data_folder.rtmps_certificate import new_certificate_key, self_made_certificate
from stagebook.media import media_bus
from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.rtmp_server import IngestServer
from stagebook.media.media_bus import FeedTicket, Hello, Unit
from stagebook.media.port import IngestAsked, MediaFact
from stagebook.media.worker.framing import BrokenStreamError
from tests.clients.rtmp_publisher import RtmpPublisher
from tests.media.ingest.encoded_stream import Message, stream

DEADLINE_SECONDS = 30.0
"""Generous: the machine may be busy. Nothing waits for it when all is well."""
TOKEN = "opens the feed once"


async def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds. Raises TimeoutError that says what never came."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not holds():  # noqa: ASYNC110 - what is waited for may happen in another process
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise TimeoutError(what) from None


class NotingForwarder:
    """The forwarder's end of feeds. With `reads` switched off it takes connections and reads nothing."""

    def __init__(self, path: str) -> None:
        self.ticket = FeedTicket(path=path, token=TOKEN)
        self.hellos: list[Hello] = []
        self.units: list[Unit] = []
        self.feeds = 0
        self.ended = 0
        self.reads = True
        self._open: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._take, self.ticket.path)

    def drop_feeds(self) -> None:
        """Close every feed, as a forwarder that dies."""
        for writer in self._open:
            writer.close()

    def stop(self) -> None:
        self.drop_feeds()
        if self._server is not None:
            self._server.close()

    def kinds(self) -> set[MediaKind]:
        return {unit.kind for unit in self.units}

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.feeds += 1
        self._open.append(writer)
        if not self.reads:
            return
        try:
            while True:
                message = await media_bus.receive(reader)
                if isinstance(message, Hello):
                    self.hellos.append(message)
                else:
                    self.units.append(message)
        except BrokenStreamError:
            self.ended += 1
            writer.close()


class Serving:
    """A server, what it told, and the forwarder that it feeds."""

    def __init__(self, server: IngestServer, listeners: dict[str, socket.socket], forwarder: NotingForwarder) -> None:
        self.server = server
        self.forwarder = forwarder
        self.facts: list[MediaFact] = []
        self._listeners = listeners
        self._asks = 0

    def port(self, scheme: str = "rtmp") -> int:
        port: int = self._listeners[scheme].getsockname()[1]
        return port

    def encoder(self, *, is_secure: bool = False) -> RtmpPublisher:
        """An encoder that is not connected yet."""
        if not is_secure:
            return RtmpPublisher("127.0.0.1", self.port())
        return RtmpPublisher("127.0.0.1", self.port("rtmps"), tls=unchecked_tls())

    async def asked(self) -> IngestAsked:
        """The next ask that was not returned before."""
        await until(lambda: len(self._all_asks()) > self._asks, "an encoder asks")
        self._asks += 1
        return self._all_asks()[self._asks - 1]

    def admit(self, ask: IngestAsked, connection_id: str = "c") -> None:
        self.server.admit(ask_id=ask.ask_id, connection_id=connection_id, ticket=self.forwarder.ticket)

    async def let_in(self, encoder: RtmpPublisher, connection_id: str = "c") -> None:
        """Have the encoder publish, and admit it."""
        publishing = asyncio.create_task(encoder.publish("a stream key"))
        try:
            self.admit(await self.asked(), connection_id)
            await publishing
        finally:
            publishing.cancel()

    async def told(self, fact: MediaFact) -> None:
        """Wait until exactly this fact was told."""
        await until(lambda: fact in self.facts, f"{fact} among {self.facts}")

    def pictures(self) -> int:
        """How many pictures the forwarder was given."""
        return sum(unit.kind is MediaKind.VIDEO for unit in self.forwarder.units)

    def endings(self) -> list[MediaFact]:
        """What was told but asks."""
        return [fact for fact in self.facts if not isinstance(fact, IngestAsked)]

    def _all_asks(self) -> list[IngestAsked]:
        return [fact for fact in self.facts if isinstance(fact, IngestAsked)]


@asynccontextmanager
async def serving(settings: IngestSettings | None = None, *, with_tls: bool = False) -> AsyncIterator[Serving]:
    """A server on a free port of 127.0.0.1, and with TLS on another."""
    stream()  # encoded now, so that no timeout of a test runs meanwhile
    with tempfile.TemporaryDirectory(prefix="feed-") as folder:
        settings = settings or IngestSettings()
        names = ["rtmp", "rtmps"] if with_tls else ["rtmp"]
        listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
        if with_tls:
            settings = with_certificate(settings, Path(folder))
        forwarder = NotingForwarder(f"{folder}/feed")
        await forwarder.start()
        facts: list[MediaFact] = []
        server = IngestServer(
            settings,
            rtmp=listeners["rtmp"],
            rtmps=listeners.get("rtmps"),
            hear=lambda fact: facts.append(fact),
            clock=asyncio.get_running_loop().time,
            new_id=map("ask-{}".format, itertools.count(1)).__next__,
        )
        await server.start()
        it = Serving(server, listeners, forwarder)
        it.facts = facts
        try:
            yield it
        finally:
            await server.stop()
            forwarder.stop()
            for listener in listeners.values():
                listener.close()


def with_certificate(settings: IngestSettings, folder: Path) -> IngestSettings:
    """These settings with a new certificate for 127.0.0.1 in the folder."""
    certificate, key = write_certificate(folder)
    members = {name: getattr(settings, name) for name in settings.__struct_fields__}
    return IngestSettings(**members | {"certificate_path": str(certificate), "private_key_path": str(key)})


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate and its key; where they are."""
    key = new_certificate_key()
    certificate = self_made_certificate(key, hosts=["127.0.0.1"], now=datetime.now(UTC))
    paths = folder / "certificate.pem", folder / "key.pem"
    for path, data in zip(paths, (certificate, key), strict=True):
        path.write_bytes(data)
    return paths


def unchecked_tls() -> ssl.SSLContext:
    """An encoder's end of TLS that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def send(encoder: RtmpPublisher, messages: list[Message]) -> None:
    """Send messages as fast as they are taken."""
    for message in messages:
        give = encoder.video if message.kind is MediaKind.VIDEO else encoder.audio
        await give(message.timestamp_ms, message.payload)


def first_second() -> list[Message]:
    """A second of a real stream: both configurations, a keyframe, pictures and sound."""
    return [message for message in stream() if message.timestamp_ms < 1_000]
