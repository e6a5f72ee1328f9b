"""The engine process in the test's process: a scripted forwarder at one end of a socket pair, the test at the other."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import pytest
import structlog
from msgspec import structs

from stagebook.media.connection_statistics import ConnectionRole, ConnectionStatistics, StreamStatistics
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import (
    Answer,
    CloseCause,
    Closed,
    InitialLayer,
    LayerChoice,
    MediaFact,
    MediaRefusedError,
    PatchAnswer,
    RefusalReason,
    SourceMeasured,
    VideoLayer,
    VideoLayers,
)
from stagebook.media.rtc.engine import engine_messages, engine_process
from stagebook.media.rtc.engine.engine_process import serve
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.media.rtc.sfu.statistics.engine_statistics import NO_STATISTICS, EngineStatistics
from stagebook.media.rtc.transport.tcp_connections import TcpSockets
from stagebook.media.worker import worker_messages

MEASURED = SourceMeasured(source_id="s", connection_id="c", bitrate_bps=1)
LAYERS = VideoLayers(
    section=1,
    layers=(VideoLayer(encoding_id="low", bitrate_bps=1, width=2, height=3, frames_per_second=30, is_selected=True),),
)
STATISTICS = ConnectionStatistics(
    connection_id="c",
    role=ConnectionRole.VIEWER,
    transport="udp",
    seconds=1.5,
    bitrate_bps=1_000,
    estimate_bps=None,
    round_trip_seconds=0.02,
    loss=0.0,
    nacked_packets=1,
    resent_packets=1,
    keyframe_requests=0,
    layer_reason=None,
    is_video_paused=False,
    streams=(
        StreamStatistics(
            kind="audio",
            layer=None,
            width=None,
            height=None,
            frames_per_second=None,
            bitrate_bps=None,
            packets=3,
            lost_packets=1,
            repaired_packets=0,
            jitter_seconds=0.001,
        ),
    ),
)
CLOSED = Closed(connection_id="c", cause=CloseCause.PEER_CLOSED)


class ScriptedForwarder:
    """Replies with its arguments. The offers `refuse`, `fail` and `report` have the effect that they name."""

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
        self.calls: list[str] = []

    async def start(self) -> None:
        if self.settings.udp_port == 1:
            raise PermissionError(13, "Permission denied")
        if self.settings.udp_port == 2:
            raise LookupError("no such codec")

    async def stop(self) -> None:
        self.calls.append("stop")

    def statistics(self, *, cpu_seconds: float) -> EngineStatistics:
        assert cpu_seconds > 0
        return structs.replace(NO_STATISTICS, sources=3)

    def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        if offer == "refuse":
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail="full")
        if offer == "fail":
            raise ZeroDivisionError
        if offer == "report":
            self.on_fact(MEASURED)
            self.on_fact(CLOSED)
        return Answer(sdp=f"published {connection_id} {source_id} {offer}", ice_session="i")

    def subscribe(
        self, *, connection_id: str, source_id: str, offer: str, initial_layer: InitialLayer | None
    ) -> Answer:
        return Answer(sdp=f"subscribed {connection_id} {source_id} {offer} {initial_layer}", ice_session="i")

    def layers(self, *, connection_id: str) -> VideoLayers:
        self.calls.append(f"layers {connection_id}")
        return LAYERS

    def select_layer(self, *, connection_id: str, choice: LayerChoice) -> None:
        if choice.encoding_id == "refuse":
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_LAYER, detail="no")
        self.calls.append(f"select {connection_id} {choice.encoding_id}")

    def open_feed(self, *, connection_id: str, source_id: str, is_redundant: bool) -> FeedTicket:
        return FeedTicket(path=f"{connection_id} {source_id}", token=str(is_redundant))

    def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        return PatchAnswer(fragment=f"patched {connection_id} {fragment}", ice_session=ice_session or "none")

    def connection_statistics(self, connection_ids: Sequence[str]) -> tuple[ConnectionStatistics, ...]:
        return tuple(structs.replace(STATISTICS, connection_id=each) for each in connection_ids)

    def describe_source(self, *, source_id: str, feed_id: str | None) -> SourceDescription:
        return SourceDescription(plan=None, video_parameters=f"described {source_id} {feed_id}")

    def accept_relay(self, *, source_id: str, description: SourceDescription) -> FeedTicket:
        return FeedTicket(path=f"relay {source_id}", token=description.video_parameters)

    def start_relay(self, *, source_id: str, ticket: FeedTicket, is_tap: bool, feed_id: str | None) -> None:
        self.calls.append(f"relay {source_id} {ticket.token} {is_tap} {feed_id}")

    def close(self, *, connection_id: str, as_failure: bool) -> None:
        if connection_id == "fail":
            raise ZeroDivisionError
        self.calls.append(f"{'fail' if as_failure else 'close'} {connection_id}")

    def end_source(self, *, source_id: str) -> None:
        self.calls.append(f"end {source_id}")


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    """Restore the process-wide state that `serve` changes: logging. What it freezes may stay so in the tests too."""
    root = logging.getLogger()
    handlers, level, configured = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configured)


class FakeServer:
    """The server's end of the control socket, and the running `serve`."""

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
        tcp: TcpSockets | None,
    ) -> ScriptedForwarder:
        assert tcp is None
        self.forwarders.append(
            ScriptedForwarder(settings, on_fact=on_fact, clock=clock, wall_clock=wall_clock, randomness=randomness)
        )
        return self.forwarders[-1]

    def send(self, command: worker_messages.Command) -> None:
        worker_messages.send(self.writer, command)

    def publish(self, offer: str) -> None:
        self.send(engine_messages.PublishRequest(request_id=7, connection_id="c", source_id="s", offer=offer))

    async def report(self) -> engine_messages.EngineReport:
        """The next report that is not a heartbeat."""
        while isinstance(report := await engine_messages.receive_report(self.reader), worker_messages.Heartbeat):
            pass
        return report

    async def start(self, settings: EngineSettings = EngineSettings()) -> None:  # noqa: B008 - frozen
        self.send(engine_messages.StartEngine(settings=settings))
        assert await self.report() == engine_messages.EngineRunning(udp_port=40_000)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    near, far = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=near)
    server = FakeServer(reader, writer, far)
    yield server
    writer.close()
    await server.serving


async def test_requests_are_replied_to_with_their_request_id(server: FakeServer) -> None:
    await server.start()
    server.publish("offer")
    server.send(
        engine_messages.SubscribeRequest(
            request_id=8, connection_id="d", source_id="s", offer="offer", initial_layer=InitialLayer.LOWEST
        )
    )
    server.send(engine_messages.PatchRequest(request_id=9, connection_id="d", fragment="f", ice_session=None))
    server.send(engine_messages.OpenFeedRequest(request_id=10, connection_id="e", source_id="s", is_redundant=True))
    server.send(engine_messages.LayersRequest(request_id=11, connection_id="d"))
    server.send(engine_messages.SelectLayerRequest(request_id=12, connection_id="d", choice=LayerChoice.exactly("low")))
    refused = LayerChoice.exactly("refuse")
    server.send(engine_messages.SelectLayerRequest(request_id=13, connection_id="d", choice=refused))
    server.send(engine_messages.StatisticsRequest(request_id=14, connection_id="s", connection_ids=("c",)))
    answered = [await server.report() for _ in range(8)]
    assert answered == [
        engine_messages.OfferAnswered(request_id=7, answer=Answer(sdp="published c s offer", ice_session="i")),
        engine_messages.OfferAnswered(request_id=8, answer=Answer(sdp="subscribed d s offer lowest", ice_session="i")),
        engine_messages.FragmentAnswered(request_id=9, answer=PatchAnswer(fragment="patched d f", ice_session="none")),
        engine_messages.FeedOpened(request_id=10, ticket=FeedTicket(path="e s", token="True")),
        engine_messages.LayersListed(request_id=11, layers=LAYERS),
        engine_messages.LayerSelected(request_id=12),
        worker_messages.RequestRefused(request_id=13, reason=RefusalReason.UNKNOWN_LAYER, detail="no"),
        engine_messages.ConnectionsMeasured(request_id=14, connections=(STATISTICS,)),
    ]
    assert server.forwarders[0].calls[-2:] == ["layers d", "select d low"]


async def test_a_source_is_described_accepted_and_relayed(server: FakeServer) -> None:
    await server.start()
    described = SourceDescription(plan=None, video_parameters="described s f")
    ticket = FeedTicket(path="relay s", token="described s f")
    server.send(
        engine_messages.DescribeSourceRequest(request_id=1, connection_id="relay:s", source_id="s", feed_id="f")
    )
    server.send(
        engine_messages.AcceptRelayRequest(request_id=2, connection_id="relay:s", source_id="s", description=described)
    )
    server.send(engine_messages.StartRelayCommand(source_id="s", ticket=ticket, is_tap=True, feed_id="f"))
    assert [await server.report() for _ in range(2)] == [
        engine_messages.SourceDescribed(request_id=1, description=described),
        engine_messages.FeedOpened(request_id=2, ticket=ticket),
    ]
    server.send(worker_messages.Stop())
    assert await server.serving == 0
    assert server.forwarders[0].calls == ["relay s described s f True f", "stop"]


async def test_commands_without_a_reply_are_carried_out_in_order(server: FakeServer) -> None:
    await server.start()
    server.send(engine_messages.CloseCommand(connection_id="c"))
    server.send(engine_messages.CloseCommand(connection_id="d", as_failure=True))
    server.send(engine_messages.EndSourceCommand(source_id="s"))
    server.send(worker_messages.Stop())
    assert await server.serving == 0
    assert server.forwarders[0].calls == ["close c", "fail d", "end s", "stop"]


async def test_media_and_timers_get_a_turn_between_two_commands_of_a_burst(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server.start()
    turns: list[int] = [0]
    turn_of_command: list[int] = []
    monkeypatch.setattr(server.forwarders[0], "close", lambda **_: turn_of_command.append(turns[0]))

    async def count_turns() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    for number in range(50):
        server.send(engine_messages.CloseCommand(connection_id=str(number)))
    server.publish("offer")
    await server.report()
    counting.cancel()
    assert len(set(turn_of_command)) == 50


async def test_a_refusal_is_replied_with_its_reason(server: FakeServer) -> None:
    await server.start()
    server.publish("refuse")
    assert await server.report() == worker_messages.RequestRefused(
        request_id=7, reason=RefusalReason.BUSY, detail="full"
    )


async def test_an_exception_is_logged_and_the_process_continues(server: FakeServer) -> None:
    await server.start()
    server.publish("fail")
    logged = await server.report()
    assert isinstance(logged, worker_messages.Logged)
    assert logged.level == logging.ERROR
    assert "ZeroDivisionError" in str(logged.values["exception"])
    refused = await server.report()
    assert isinstance(refused, worker_messages.RequestRefused)
    assert refused.reason is RefusalReason.ENGINE_LOST
    server.publish("offer")
    assert isinstance(await server.report(), engine_messages.OfferAnswered)


async def test_a_command_without_a_reply_that_fails_does_not_end_the_process(server: FakeServer) -> None:
    await server.start()
    for _ in range(20):
        server.send(engine_messages.CloseCommand(connection_id="fail"))
    server.publish("offer")
    reports = [await server.report() for _ in range(11)]
    # The lines of one cause are limited.
    assert [isinstance(report, worker_messages.Logged) for report in reports] == [True] * 10 + [False]
    assert isinstance(reports[-1], engine_messages.OfferAnswered)


async def test_facts_are_reported(server: FakeServer) -> None:
    await server.start()
    server.publish("report")
    assert [await server.report(), await server.report()] == [
        worker_messages.FactReported(fact=MEASURED),
        worker_messages.FactReported(fact=CLOSED),
    ]


async def test_measurements_are_dropped_while_the_server_does_not_read(server: FakeServer) -> None:
    await server.start()
    before = 60_000
    for _ in range(before):
        server.forwarders[0].on_fact(MEASURED)
    server.forwarders[0].on_fact(CLOSED)
    measured = 0
    while isinstance(report := await server.report(), worker_messages.FactReported) and report.fact == MEASURED:
        measured += 1
    assert report == worker_messages.FactReported(fact=CLOSED)
    assert 0 < measured < before


async def test_statistics_are_reported_again_and_again(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_process, "STATISTICS_INTERVAL_SECONDS", 0.001)
    await server.start()
    for _ in range(2):
        reported = await server.report()
        assert isinstance(reported, engine_messages.StatisticsReported)
        assert reported.statistics.sources == 3


async def test_heartbeats_are_sent(server: FakeServer) -> None:
    await server.start()
    async with asyncio.timeout(10):
        while not isinstance(await engine_messages.receive_report(server.reader), worker_messages.Heartbeat):
            pass


async def test_a_socket_that_cannot_be_bound_is_reported(server: FakeServer) -> None:
    server.send(engine_messages.StartEngine(settings=EngineSettings(udp_port=1)))
    assert await server.report() == worker_messages.StartFailed(detail="Permission denied")
    assert await server.serving == 1


async def test_a_start_that_fails_is_logged_with_its_reason(server: FakeServer) -> None:
    server.send(engine_messages.StartEngine(settings=EngineSettings(udp_port=2)))
    logged = await server.report()
    assert isinstance(logged, worker_messages.Logged)
    assert "no such codec" in str(logged)
    assert await server.serving == 1


async def test_the_first_command_must_be_start_engine(server: FakeServer) -> None:
    server.send(worker_messages.Stop())
    assert await server.serving == 1
    assert server.forwarders == []


@pytest.mark.parametrize("last", [b"", b"\0\0\0\1\xc1"], ids=["end of stream", "malformed message"])
async def test_the_process_exits_when_the_control_socket_ends(server: FakeServer, last: bytes) -> None:
    await server.start()
    server.writer.write(last)
    server.writer.write_eof()
    assert await server.serving == 0
    assert server.forwarders[0].calls == ["stop"]


@pytest.mark.parametrize("is_last", [True, False])
async def test_the_last_engine_deletes_the_feed_directory(server: FakeServer, tmp_path: Path, *, is_last: bool) -> None:
    folder = tmp_path / "feeds"
    folder.mkdir()
    if not is_last:
        (folder / "socket-of-another-engine").touch()
    await server.start(EngineSettings(feed_directory=str(folder)))
    server.writer.write_eof()
    assert await server.serving == 0
    assert folder.exists() is not is_last
