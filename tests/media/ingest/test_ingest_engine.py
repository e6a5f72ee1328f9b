"""The ingest process, real: started, asked by real encoders, killed, hung, stopped, orphaned."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.ingest.ingest_engine import IngestEngine
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.port import CloseCause, Closed, IngestAsked, MediaFact, MediaRefusedError, RefusalReason
from stagebook.media.worker.worker_process import WorkerStartError
from stagebook.media.worker.worker_timeouts import WorkerTimeouts
from tests.clients.rtmp_publisher import RefusedError, RtmpPublisher
from tests.media.ingest.encoded_stream import stream
from tests.media.ingest.serving import NotingForwarder, first_second, send, unchecked_tls, until, with_certificate

PROMPT = WorkerTimeouts(restart_delay_seconds=0.01)
LEFT = Closed(connection_id="c", cause=CloseCause.PEER_CLOSED)
LOST = Closed(connection_id="c", cause=CloseCause.ENGINE_LOST)
FFMPEG = (
    "ffmpeg -hide_banner -loglevel error -re -f lavfi -i testsrc=size=320x180:rate=30 -f lavfi -i sine"
    " -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 30 -c:a aac -f flv"
)


class Running:
    """An ingest engine, what it told, and the forwarder that is fed."""

    def __init__(self, engine: IngestEngine, forwarder: NotingForwarder, ports: dict[str, int]) -> None:
        self.engine = engine
        self.forwarder = forwarder
        self.ports = ports
        self.facts: list[MediaFact] = []
        self._answered = 0
        engine.listen(self.facts.append)

    def process_id(self) -> int:
        assert self.engine.process_id is not None
        return self.engine.process_id

    async def asked(self) -> IngestAsked:
        """The next ask."""

        def asks() -> list[IngestAsked]:
            return [fact for fact in self.facts if isinstance(fact, IngestAsked)]

        await until(lambda: len(asks()) > self._answered, "an encoder asks")
        self._answered += 1
        return asks()[self._answered - 1]

    async def let_in(self, encoder: RtmpPublisher, connection_id: str = "c") -> None:
        publishing = asyncio.create_task(encoder.publish("k"))
        ask = await self.asked()
        await self.engine.admit(ask_id=ask.ask_id, connection_id=connection_id, ticket=self.forwarder.ticket)
        await publishing

    async def killed_and_back(self, number: int = signal.SIGKILL) -> None:
        """Kill the process, or hang it, and wait for the next one."""
        former = self.process_id()
        os.kill(former, number)
        await until(lambda: self.engine.is_running and self.engine.process_id != former, "the next process")

    def encoder(self, scheme: str = "rtmp") -> RtmpPublisher:
        tls = unchecked_tls() if scheme == "rtmps" else None
        return RtmpPublisher("127.0.0.1", self.ports[scheme], tls=tls)


@asynccontextmanager
async def running(folder: Path, *, timeouts: WorkerTimeouts = PROMPT) -> AsyncIterator[Running]:
    stream()  # encoded now, so that no timeout runs meanwhile
    with socket.create_server(("127.0.0.1", 0)) as rtmp, socket.create_server(("127.0.0.1", 0)) as rtmps:
        settings = with_certificate(IngestSettings(), folder)
        engine = IngestEngine(settings, rtmp=rtmp, rtmps=rtmps, timeouts=timeouts)
        forwarder = NotingForwarder(str(folder / "feed"))
        await forwarder.start()
        await engine.start()
        ports = {"rtmp": rtmp.getsockname()[1], "rtmps": rtmps.getsockname()[1]}
        try:
            yield Running(engine, forwarder, ports)
        finally:
            await engine.stop()
            forwarder.stop()


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
async def test_an_encoder_asks_is_let_in_and_leaves(tmp_path: Path, scheme: str) -> None:
    async with running(tmp_path) as it, it.encoder(scheme) as encoder:
        await it.let_in(encoder)
        assert it.facts[0].is_secure is (scheme == "rtmps")  # type: ignore[union-attr]  # the ask
        await send(encoder, first_second())
        await until(lambda: it.forwarder.kinds() == set(MediaKind), "both tracks")
        await encoder.unpublish()
        await until(lambda: LEFT in it.facts, "the end")
        await encoder.closed()


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
async def test_a_refused_encoder_is_told_why(tmp_path: Path, scheme: str) -> None:
    async with running(tmp_path) as it, it.encoder(scheme) as encoder:
        publishing = asyncio.create_task(encoder.publish("k"))
        it.engine.refuse(ask_id=(await it.asked()).ask_id, detail="not today", is_wrong_key=False)
        with pytest.raises(RefusedError, match="not today"):
            await publishing
        await encoder.closed()


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
async def test_a_real_ffmpeg_publishes_and_is_told_of_the_end(tmp_path: Path, scheme: str) -> None:
    async with running(tmp_path) as it:
        command = f"{FFMPEG} {scheme}://127.0.0.1:{it.ports[scheme]}/app/key"
        ffmpeg = await asyncio.create_subprocess_exec(*command.split(), stderr=asyncio.subprocess.PIPE)
        ask = await it.asked()
        assert ask.stream_key == "key"
        await it.engine.admit(ask_id=ask.ask_id, connection_id="c", ticket=it.forwarder.ticket)
        await until(lambda: len(it.forwarder.units) > 100, "a second or two of the stream")
        it.engine.close(connection_id="c", detail="PARTICIPANT_DISCONNECTED")
        _, said = await asyncio.wait_for(ffmpeg.communicate(), 20)
        assert ffmpeg.returncode != 0
        assert b"PARTICIPANT_DISCONNECTED" in said
        assert it.facts == [ask]


async def test_an_encoder_that_is_gone_cannot_be_admitted(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        with pytest.raises(MediaRefusedError) as refused:
            await it.engine.admit(ask_id="unknown", connection_id="c", ticket=it.forwarder.ticket)
        assert refused.value.reason is RefusalReason.UNKNOWN_CONNECTION
        await it.killed_and_back()
        assert it.facts == []


async def test_a_lost_process_loses_its_connections_and_the_next_one_serves_at_the_same_port(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        async with it.encoder() as encoder, it.encoder() as waiting:
            await it.let_in(encoder)
            asking = asyncio.create_task(waiting.publish("k"))
            former_ask = await it.asked()
            await it.killed_and_back()
            await until(lambda: LOST in it.facts, "the loss")
            with pytest.raises((EOFError, ConnectionError)):
                await asking
        assert [fact for fact in it.facts if isinstance(fact, Closed)] == [LOST]
        with pytest.raises(MediaRefusedError):
            await it.engine.admit(ask_id=former_ask.ask_id, connection_id="d", ticket=it.forwarder.ticket)
        async with it.encoder() as encoder:
            await it.let_in(encoder)


async def test_a_process_that_hangs_is_replaced_unasked(tmp_path: Path) -> None:
    async with running(tmp_path, timeouts=WorkerTimeouts(heartbeat_seconds=0.2, restart_delay_seconds=0.01)) as it:
        async with it.encoder() as encoder:
            await it.let_in(encoder)
            await it.killed_and_back(signal.SIGSTOP)
        assert LOST in it.facts


async def test_who_waits_for_a_killed_process_is_refused_and_told_nothing_else(tmp_path: Path) -> None:
    async with running(tmp_path) as it, it.encoder() as encoder:
        asking = asyncio.create_task(encoder.publish("k"))
        ask = await it.asked()
        os.kill(it.process_id(), signal.SIGSTOP)
        admitting = asyncio.create_task(
            it.engine.admit(ask_id=ask.ask_id, connection_id="c", ticket=it.forwarder.ticket)
        )
        await asyncio.sleep(0)
        await it.killed_and_back()
        with pytest.raises(MediaRefusedError) as refused:
            await admitting
        assert refused.value.reason is RefusalReason.ENGINE_LOST
        with pytest.raises((EOFError, ConnectionError)):
            await asking
        assert it.facts == [ask]


async def test_an_admission_that_nobody_waits_for_is_taken_back(tmp_path: Path) -> None:
    async with running(tmp_path) as it, it.encoder() as encoder:
        asking = asyncio.create_task(encoder.publish("k"))
        ask = await it.asked()
        admitting = asyncio.create_task(
            it.engine.admit(ask_id=ask.ask_id, connection_id="c", ticket=it.forwarder.ticket)
        )
        await asyncio.sleep(0)
        admitting.cancel()
        await asyncio.wait([asking, admitting])
        await encoder.closed()
        assert it.facts == [ask]


async def test_a_start_does_not_load_what_only_a_stream_needs(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        loaded = Path(f"/proc/{it.process_id()}/maps").read_text
        assert "libavcodec" not in loaded()
        async with it.encoder() as encoder:
            await it.let_in(encoder)
            await send(encoder, first_second())
            await until(lambda: it.forwarder.kinds() == set(MediaKind), "both tracks")
            assert "libavcodec" in loaded()


async def test_it_says_where_encoders_are_served(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        assert it.engine.describe() == "RTMP on 127.0.0.1:{rtmp}, RTMPS on 127.0.0.1:{rtmps}".format(**it.ports)


async def test_a_certificate_that_cannot_be_used_is_named_at_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as rtmps:
        settings = IngestSettings(certificate_path=str(tmp_path / "c.pem"), private_key_path=str(tmp_path / "k.pem"))
        engine = IngestEngine(settings, rtmp=None, rtmps=rtmps)
        with pytest.raises(WorkerStartError, match=r"RTMPS on 127\.0\.0\.1:\d+\): .*c\.pem: No such file"):
            await engine.start()
        assert engine.process_id is None
        await engine.stop()


def test_rtmps_without_a_certificate_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as rtmps, pytest.raises(ValueError, match="certificate_path"):
        IngestEngine(IngestSettings(), rtmp=None, rtmps=rtmps)


async def test_a_stop_tells_encoders_and_no_fact_and_leaves_no_process(tmp_path: Path) -> None:
    async with running(tmp_path) as it, it.encoder() as encoder:
        await it.let_in(encoder)
        process = Path(f"/proc/{it.process_id()}")
        stopping = asyncio.create_task(it.engine.stop())
        assert (await encoder.status())["description"] == "the server stops"
        await stopping
        await until(lambda: not process.exists(), "the end of the process")
        assert not [fact for fact in it.facts if isinstance(fact, Closed)]


PARENT = """
import asyncio, socket
from stagebook.media.ingest.ingest_engine import IngestEngine
from stagebook.media.ingest.ingest_settings import IngestSettings

async def main():
    with socket.create_server(("127.0.0.1", 0)) as rtmp:
        engine = IngestEngine(IngestSettings(), rtmp=rtmp, rtmps=None)
        await engine.start()
        print("ingest", engine.process_id, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_it_ends_with_a_server_that_was_killed() -> None:
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE)
    assert server.stdout is not None
    async for line in server.stdout:
        if line.startswith(b"ingest "):
            break
    process = Path(f"/proc/{int(line.split()[1])}/stat")
    server.kill()
    await server.wait()
    await until(lambda: not process.exists() or process.read_text().rpartition(")")[2].split()[0] == "Z", "its end")
