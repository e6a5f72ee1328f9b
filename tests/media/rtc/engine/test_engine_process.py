"""The engine process's loop: a scripted forwarder at one end of a socket pair, the test at the other."""

import asyncio
import gc
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from random import Random

import pytest
import structlog

from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import (
    Answer,
    CloseCause,
    Closed,
    MediaFact,
    MediaRefusedError,
    PatchAnswer,
    RefusalReason,
    SourceMeasured,
)
from stagebook.media.rtc.engine import engine_messages
from stagebook.media.rtc.engine.engine_process import serve
from stagebook.media.rtc.engine.engine_settings import EngineSettings
from stagebook.media.worker import worker_messages

MEASURED = SourceMeasured(source_id="s", connection_id="c", bitrate_bps=1)
CLOSED = Closed(connection_id="c", cause=CloseCause.PEER_CLOSED)


class ScriptedForwarder:
    """Answers with what it was asked; offers named after their effect do something else."""

    udp_port = 40_000

    def __init__(
        self,
        settings: EngineSettings,
        *,
        on_fact: Callable[[MediaFact], None],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        randomness: Random,
    ) -> None:
        assert clock() <= clock()
        assert wall_clock() > 0
        assert randomness.getrandbits(8) >= 0
        self.settings = settings
        self.on_fact = on_fact
        self.did: list[str] = []

    async def start(self) -> None:
        if self.settings.udp_port == 1:
            raise PermissionError(13, "Permission denied")

    async def stop(self) -> None:
        self.did.append("stop")

    def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        if offer == "refuse":
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail="full")
        if offer == "fail":
            raise ZeroDivisionError
        if offer == "tell":
            self.on_fact(MEASURED)
            self.on_fact(CLOSED)
        return Answer(sdp=f"published {connection_id} {source_id} {offer}", ice_session="i")

    def subscribe(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        return Answer(sdp=f"subscribed {connection_id} {source_id} {offer}", ice_session="i")

    def open_feed(self, *, connection_id: str, source_id: str, is_redundant: bool) -> FeedTicket:
        return FeedTicket(path=f"{connection_id} {source_id}", token=str(is_redundant))

    def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        return PatchAnswer(fragment=f"patched {connection_id} {fragment}", ice_session=ice_session or "none")

    def close(self, *, connection_id: str) -> None:
        self.did.append(f"close {connection_id}")

    def end_source(self, *, source_id: str) -> None:
        self.did.append(f"end {source_id}")


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """What a process of its own may change for itself is put back."""
    root = logging.getLogger()
    handlers, level, configured = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configured)
    gc.unfreeze()


class Parent:
    """The server's end of the socket, and the running loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, far: socket.socket) -> None:
        self.reader, self.writer = reader, writer
        self.forwarders: list[ScriptedForwarder] = []
        self.serving = asyncio.create_task(serve(far, self._make))

    def _make(
        self,
        settings: EngineSettings,
        *,
        on_fact: Callable[[MediaFact], None],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        randomness: Random,
    ) -> ScriptedForwarder:
        self.forwarders.append(
            ScriptedForwarder(settings, on_fact=on_fact, clock=clock, wall_clock=wall_clock, randomness=randomness)
        )
        return self.forwarders[-1]

    def send(self, command: worker_messages.Command) -> None:
        worker_messages.send(self.writer, command)

    def publish(self, offer: str) -> None:
        self.send(engine_messages.PublishRequest(request_id=7, connection_id="c", source_id="s", offer=offer))

    async def report(self) -> engine_messages.EngineReport:
        """The next report that is no sign of life."""
        while isinstance(report := await engine_messages.receive_report(self.reader), worker_messages.Heartbeat):
            pass
        return report

    async def run(self, settings: EngineSettings = EngineSettings()) -> None:  # noqa: B008 - frozen
        self.send(engine_messages.StartEngine(settings=settings))
        assert await self.report() == engine_messages.EngineRunning(udp_port=40_000)


@pytest.fixture
async def parent() -> AsyncIterator[Parent]:
    near, far = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=near)
    parent = Parent(reader, writer, far)
    yield parent
    writer.close()
    await parent.serving


async def test_requests_are_answered_by_their_number(parent: Parent) -> None:
    await parent.run()
    parent.publish("offer")
    parent.send(engine_messages.SubscribeRequest(request_id=8, connection_id="d", source_id="s", offer="offer"))
    parent.send(engine_messages.PatchRequest(request_id=9, connection_id="d", fragment="f", ice_session=None))
    parent.send(engine_messages.OpenFeedRequest(request_id=10, connection_id="e", source_id="s", is_redundant=True))
    answered = [await parent.report() for _ in range(4)]
    assert answered == [
        engine_messages.OfferAnswered(request_id=7, answer=Answer(sdp="published c s offer", ice_session="i")),
        engine_messages.OfferAnswered(request_id=8, answer=Answer(sdp="subscribed d s offer", ice_session="i")),
        engine_messages.FragmentAnswered(request_id=9, answer=PatchAnswer(fragment="patched d f", ice_session="none")),
        engine_messages.FeedOpened(request_id=10, ticket=FeedTicket(path="e s", token="True")),
    ]


async def test_commands_without_an_answer_are_obeyed_in_order(parent: Parent) -> None:
    await parent.run()
    parent.send(engine_messages.CloseCommand(connection_id="c"))
    parent.send(engine_messages.EndSourceCommand(source_id="s"))
    parent.send(worker_messages.Stop())
    assert await parent.serving == 0
    assert parent.forwarders[0].did == ["close c", "end s", "stop"]


async def test_a_refusal_keeps_its_reason(parent: Parent) -> None:
    await parent.run()
    parent.publish("refuse")
    assert await parent.report() == worker_messages.RequestRefused(
        request_id=7, reason=RefusalReason.BUSY, detail="full"
    )


async def test_a_fault_is_logged_at_the_server_and_ends_nothing_else(parent: Parent) -> None:
    await parent.run()
    parent.publish("fail")
    logged = await parent.report()
    assert isinstance(logged, worker_messages.Logged)
    assert logged.level == logging.ERROR
    assert "ZeroDivisionError" in str(logged.values["exception"])
    refused = await parent.report()
    assert isinstance(refused, worker_messages.RequestRefused)
    assert refused.reason is RefusalReason.ENGINE_LOST
    parent.publish("offer")
    assert isinstance(await parent.report(), engine_messages.OfferAnswered)


async def test_facts_are_passed_on(parent: Parent) -> None:
    await parent.run()
    parent.publish("tell")
    assert [await parent.report(), await parent.report()] == [
        worker_messages.FactReported(fact=MEASURED),
        worker_messages.FactReported(fact=CLOSED),
    ]


async def test_measurements_do_not_pile_up_for_a_server_that_does_not_read(parent: Parent) -> None:
    await parent.run()
    before = 60_000
    for _ in range(before):
        parent.forwarders[0].on_fact(MEASURED)
    parent.forwarders[0].on_fact(CLOSED)
    measured = 0
    while isinstance(report := await parent.report(), worker_messages.FactReported) and report.fact == MEASURED:
        measured += 1
    assert report == worker_messages.FactReported(fact=CLOSED)
    assert 0 < measured < before


async def test_it_says_that_it_lives(parent: Parent) -> None:
    await parent.run()
    async with asyncio.timeout(10):
        while not isinstance(await engine_messages.receive_report(parent.reader), worker_messages.Heartbeat):
            pass


async def test_sockets_that_cannot_be_bound_are_reported(parent: Parent) -> None:
    parent.send(engine_messages.StartEngine(settings=EngineSettings(udp_port=1)))
    assert await parent.report() == worker_messages.StartFailed(detail="Permission denied")
    assert await parent.serving == 1


async def test_the_first_command_must_be_run(parent: Parent) -> None:
    parent.send(worker_messages.Stop())
    assert await parent.serving == 1
    assert parent.forwarders == []


@pytest.mark.parametrize("last", [b"", b"\0\0\0\1\xc1"], ids=["the end", "nonsense"])
async def test_the_end_of_the_server_is_the_end_of_the_engine(parent: Parent, last: bytes) -> None:
    await parent.run()
    parent.writer.write(last)
    parent.writer.write_eof()
    assert await parent.serving == 0
    assert parent.forwarders[0].did == ["stop"]


@pytest.mark.parametrize("is_last", [True, False])
async def test_the_last_engine_takes_the_folder_of_feeds_along(
    parent: Parent, tmp_path: Path, *, is_last: bool
) -> None:
    folder = tmp_path / "feeds"
    folder.mkdir()
    if not is_last:
        (folder / "socket-of-another-engine").touch()
    await parent.run(EngineSettings(feed_directory=str(folder)))
    parent.writer.write_eof()
    assert await parent.serving == 0
    assert folder.exists() is not is_last
