"""An RtmpServer and its acceptor in the test's process, encoders, and a fake media engine that records its feeds."""

import asyncio
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from stagebook.data_folder.rtmps_certificate import new_certificate_key, self_signed_certificate
from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.ingest.encoder_session import EncoderPeer
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.load_meter import LoadMeter
from stagebook.media.ingest.processes.connection_acceptor import ConnectionAcceptor
from stagebook.media.ingest.processes.connection_handover import HandedConnection
from stagebook.media.ingest.processes.connection_limits import ConnectionLimits
from stagebook.media.ingest.rtmp_server import RtmpServer
from stagebook.media.ingest.tls_certificate import CertificateFiles, CertificatePair
from stagebook.media.media_bus import FEED_DECODER, FeedMessage, FeedTicket, Hello, Unit
from stagebook.media.media_bus_reader import MediaBusReader
from stagebook.media.port import IngestAsked, MediaFact
from stagebook.media.worker.framing import BrokenStreamError
from tests.clients.rtmp_publisher import RtmpPublisher
from tests.media.ingest.encoded_stream import Message, stream

DEADLINE_SECONDS = 30.0
"""Long enough for a busy machine. Tests that pass do not wait for it."""
TOKEN = "feed token"


async def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds. Raises TimeoutError with `what` if it does not."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not holds():  # noqa: ASYNC110 - the event may happen in another process
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise TimeoutError(what) from None


class FakeMediaEngine:
    """The engine's end of feeds, which records the messages. With `reads` False it accepts feeds but does not read."""

    def __init__(self, path: str) -> None:
        self.ticket = FeedTicket(path=path, token=TOKEN)
        self.hellos: list[Hello] = []
        self.units: list[Unit] = []
        self.feeds = 0
        self.ended = 0
        self.reads = True
        self._open: list[MediaBusReader[FeedMessage]] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(
            lambda: MediaBusReader(self._serve, FEED_DECODER), self.ticket.path
        )

    def drop_feeds(self) -> None:
        """Close every feed, as the crash of an engine does."""
        for reader in self._open:
            reader.close()

    def stop(self) -> None:
        self.drop_feeds()
        if self._server is not None:
            self._server.close()

    def kinds(self) -> set[MediaKind]:
        return {unit.kind for unit in self.units}

    async def _serve(self, reader: MediaBusReader[FeedMessage]) -> None:
        self.feeds += 1
        self._open.append(reader)
        if not self.reads:
            return
        try:
            while True:
                message = await reader.next()
                if isinstance(message, Hello):
                    self.hellos.append(message)
                else:
                    self.units.append(message)
        except BrokenStreamError:
            self.ended += 1
            reader.close()


class RunningRtmpServer:
    """A server with its acceptor, the facts that it reported, and the media engine that it feeds."""

    def __init__(
        self,
        settings: IngestSettings,
        listeners: dict[str, socket.socket],
        certificate: CertificatePair | None,
        media_engine: FakeMediaEngine,
    ) -> None:
        clock = asyncio.get_running_loop().time
        self.media_engine = media_engine
        self.facts: list[MediaFact] = []
        self.gone: list[str] = []
        """The ask ids of the connections that have ended."""
        self.shed: list[str] = []
        """Those of them that were refused to shed load."""
        self.overloads: list[bool] = []
        self.cpu_clock: Callable[[], float] = lambda: 0.0
        """What the server's LoadMeter reads. With the event loop's clock the process seems to use a whole core."""
        self.server = RtmpServer(
            settings,
            certificate=certificate,
            on_fact=lambda fact: self.facts.append(fact),
            on_gone=self._on_gone,
            on_overload=self.overloads.append,
            load=LoadMeter(clock=clock, cpu_clock=lambda: self.cpu_clock()),
            clock=clock,
        )
        self.acceptor = ConnectionAcceptor(
            rtmp=listeners["rtmp"],
            rtmps=listeners.get("rtmps"),
            limits=ConnectionLimits(
                max_connections=settings.max_connections,
                max_per_network=settings.max_connections_per_address,
                shared_networks=settings.shared_networks,
                clock=clock,
            ),
            hand_over=self._serve,
            drop=lambda ask_id: self.server.drop(ask_id=ask_id),
            clock=clock,
        )
        self._listeners = listeners
        self._returned_asks = 0

    def refuse(self, ask: IngestAsked, *, is_wrong_key: bool, detail: str = "no") -> None:
        """Refuse an encoder as the pool does."""
        if is_wrong_key:
            self.acceptor.add_wrong_key(ask.ask_id)
        self.server.refuse(ask_id=ask.ask_id, detail=detail)

    def _serve(self, handed: HandedConnection, accepted: socket.socket) -> bool:
        """Serve a copy of the connection, as a process that it was handed to."""
        copy = accepted.dup()
        copy.setblocking(False)  # noqa: FBT003 - the standard library's
        peer = EncoderPeer(address=handed.address, is_secure=handed.is_secure, is_relayed=handed.is_relayed)
        self.server.serve(copy, ask_id=handed.ask_id, peer=peer)
        return True

    def _on_gone(self, ask_id: str, *, was_shed: bool) -> None:
        self.gone.append(ask_id)
        if was_shed:
            self.shed.append(ask_id)
        self.acceptor.end(ask_id)

    def port(self, scheme: str = "rtmp") -> int:
        port: int = self._listeners[scheme].getsockname()[1]
        return port

    def encoder(self, *, is_secure: bool = False) -> RtmpPublisher:
        """Return an encoder that is not connected yet."""
        if not is_secure:
            return RtmpPublisher("127.0.0.1", self.port())
        return RtmpPublisher("127.0.0.1", self.port("rtmps"), tls=unchecked_tls())

    async def next_ask(self) -> IngestAsked:
        """Wait for the next IngestAsked."""
        await until(lambda: len(self._ask_facts()) > self._returned_asks, "an encoder asks")
        self._returned_asks += 1
        return self._ask_facts()[self._returned_asks - 1]

    def admit(self, ask: IngestAsked, connection_id: str = "c") -> None:
        """Admit an encoder as the pool does."""
        self.acceptor.keep(ask.ask_id)
        self.server.admit(ask_id=ask.ask_id, connection_id=connection_id, ticket=self.media_engine.ticket)

    async def admit_encoder(self, encoder: RtmpPublisher, connection_id: str = "c") -> None:
        """Let the encoder publish, and admit it."""
        publishing = asyncio.create_task(encoder.publish("a stream key"))
        try:
            self.admit(await self.next_ask(), connection_id)
            await publishing
        finally:
            publishing.cancel()

    async def wait_for_fact(self, fact: MediaFact) -> None:
        """Wait until this fact was reported."""
        await until(lambda: fact in self.facts, f"{fact} among {self.facts}")

    def video_frame_count(self) -> int:
        """Return the number of video frames that the media engine received."""
        return sum(unit.kind is MediaKind.VIDEO for unit in self.media_engine.units)

    def end_facts(self) -> list[MediaFact]:
        """Return all facts except IngestAsked."""
        return [fact for fact in self.facts if not isinstance(fact, IngestAsked)]

    def _ask_facts(self) -> list[IngestAsked]:
        return [fact for fact in self.facts if isinstance(fact, IngestAsked)]


@asynccontextmanager
async def running_rtmp_server(
    settings: IngestSettings | None = None, *, with_tls: bool = False
) -> AsyncIterator[RunningRtmpServer]:
    """Run a server on a free port of 127.0.0.1, and with TLS on another one."""
    stream()  # encoded and cached now, so that encoding does not consume the timeouts of a test
    with tempfile.TemporaryDirectory(prefix="feed-") as folder:
        names = ["rtmp", "rtmps"] if with_tls else ["rtmp"]
        listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
        certificate = new_certificate(Path(folder)).pair() if with_tls else None
        media_engine = FakeMediaEngine(f"{folder}/feed")
        await media_engine.start()
        running = RunningRtmpServer(settings or IngestSettings(), listeners, certificate, media_engine)
        await running.server.start()
        running.acceptor.start()
        try:
            yield running
        finally:
            await running.acceptor.stop()
            await running.server.stop()
            media_engine.stop()
            for listener in listeners.values():
                listener.close()


def new_certificate(folder: Path) -> CertificateFiles:
    """Return a new certificate for 127.0.0.1, written to the folder."""
    return CertificateFiles(*write_certificate(folder))


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a new certificate and its key. Returns their paths."""
    key = new_certificate_key()
    certificate = self_signed_certificate(key, hosts=["127.0.0.1"], now=datetime.now(UTC))
    paths = folder / "certificate.pem", folder / "key.pem"
    for path, data in zip(paths, (certificate, key), strict=True):
        path.write_bytes(data)
    return paths


def unchecked_tls() -> ssl.SSLContext:
    """Return a client's TLS context that accepts any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def send(encoder: RtmpPublisher, messages: list[Message]) -> None:
    """Send messages without pauses."""
    for message in messages:
        send_message = encoder.video if message.kind is MediaKind.VIDEO else encoder.audio
        await send_message(message.timestamp_ms, message.payload)


def first_second() -> list[Message]:
    """Return the first second of `stream()`: both configurations, a keyframe, more video frames, and audio."""
    return [message for message in stream() if message.timestamp_ms < 1_000]
