"""Real ingest processes: started, used by encoders, killed, suspended, stopped and orphaned."""

import asyncio
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.processes.connection_limits import MAX_REFUSALS
from stagebook.media.ingest.processes.ingest_pool import MAX_INGEST_PROCESSES, IngestLoad, IngestPool
from stagebook.media.ingest.tls_certificate import CertificateFiles
from stagebook.media.port import CloseCause, Closed, IngestAsked, MediaFact, MediaRefusedError, RefusalReason
from stagebook.media.worker.worker_run import WorkerStartError
from stagebook.media.worker.worker_timeouts import WorkerTimeouts
from tests.clients.rtmp_publisher import RefusedError, RtmpPublisher
from tests.media.ingest.encoded_stream import stream
from tests.media.ingest.running_rtmp_server import (
    FakeMediaEngine,
    first_second,
    new_certificate,
    send,
    unchecked_tls,
    until,
    write_certificate,
)
from tests.process_state import is_alive

FAST_RESTART = WorkerTimeouts(restart_delay_seconds=0.01)
ENCODER_LEFT = Closed(connection_id="c", cause=CloseCause.PEER_CLOSED)
ENGINE_LOST = Closed(connection_id="c", cause=CloseCause.ENGINE_LOST)
FFMPEG = (
    "ffmpeg -hide_banner -loglevel error -re -f lavfi -i testsrc=size=320x180:rate=30 -f lavfi -i sine"
    " -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 30 -c:a aac -f flv"
)


Connection: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class RunningIngest:
    """An ingest pool, the facts that it reported, and the media engine that it feeds."""

    def __init__(self, pool: IngestPool, media_engine: FakeMediaEngine, ports: dict[str, int]) -> None:
        self.pool = pool
        self.media_engine = media_engine
        self.ports = ports
        self.facts: list[MediaFact] = []
        self._returned_asks = 0
        pool.listen(self.facts.append)

    def process_id(self, number: int = 0) -> int:
        process_id = self.pool.workers[number].process_id
        assert process_id is not None
        return process_id

    async def next_ask(self) -> IngestAsked:
        """Wait for the next IngestAsked."""

        def asks() -> list[IngestAsked]:
            return [fact for fact in self.facts if isinstance(fact, IngestAsked)]

        await until(lambda: len(asks()) > self._returned_asks, "an encoder asks")
        self._returned_asks += 1
        return asks()[self._returned_asks - 1]

    async def admit_encoder(self, encoder: RtmpPublisher, connection_id: str = "c") -> None:
        publishing = asyncio.create_task(encoder.publish("k"))
        ask = await self.next_ask()
        await self.pool.admit(ask_id=ask.ask_id, connection_id=connection_id, ticket=self.media_engine.ticket)
        await publishing

    async def restart_process(self, signal_number: int = signal.SIGKILL, *, number: int = 0) -> None:
        """Send a process a signal that ends or suspends it, and wait for the next one."""
        worker, old_process_id = self.pool.workers[number], self.process_id(number)
        os.kill(old_process_id, signal_number)
        await until(lambda: worker.is_running and worker.process_id != old_process_id, "the next process")

    def stream_counts(self) -> list[int]:
        """The number of streams of each process."""
        return [worker.stream_count for worker in self.pool.workers]

    def encoder(self, scheme: str = "rtmp") -> RtmpPublisher:
        tls = unchecked_tls() if scheme == "rtmps" else None
        return RtmpPublisher("127.0.0.1", self.ports[scheme], tls=tls)


@asynccontextmanager
async def running_ingest(
    folder: Path,
    *,
    processes: int = 1,
    settings: IngestSettings = IngestSettings(),  # noqa: B008 - frozen
    timeouts: WorkerTimeouts = FAST_RESTART,
    on_demand: bool = False,
) -> AsyncIterator[RunningIngest]:
    stream()  # encoded and cached now, so that encoding does not consume the timeouts of a test
    with socket.create_server(("127.0.0.1", 0)) as rtmp, socket.create_server(("127.0.0.1", 0)) as rtmps:
        pool = IngestPool(
            settings,
            processes=processes,
            rtmp=rtmp,
            rtmps=rtmps,
            certificate=new_certificate(folder),
            timeouts=timeouts,
            on_demand=on_demand,
        )
        media_engine = FakeMediaEngine(str(folder / "feed"))
        await media_engine.start()
        await pool.start()
        ports = {"rtmp": rtmp.getsockname()[1], "rtmps": rtmps.getsockname()[1]}
        try:
            yield RunningIngest(pool, media_engine, ports)
        finally:
            await pool.stop()
            media_engine.stop()


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
async def test_an_encoder_is_admitted_publishes_and_leaves(tmp_path: Path, scheme: str) -> None:
    async with running_ingest(tmp_path) as ingest, ingest.encoder(scheme) as encoder:
        await ingest.admit_encoder(encoder)
        assert ingest.facts[0].is_secure is (scheme == "rtmps")  # type: ignore[union-attr]  # it is IngestAsked
        await send(encoder, first_second())
        await until(lambda: ingest.media_engine.kinds() == set(MediaKind), "both tracks")
        await encoder.unpublish()
        await until(lambda: ENCODER_LEFT in ingest.facts, "the end")
        await encoder.closed()


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
async def test_a_refused_encoder_receives_the_reason(tmp_path: Path, scheme: str) -> None:
    async with running_ingest(tmp_path) as ingest, ingest.encoder(scheme) as encoder:
        publishing = asyncio.create_task(encoder.publish("k"))
        ingest.pool.refuse(ask_id=(await ingest.next_ask()).ask_id, detail="not today", is_wrong_key=False)
        with pytest.raises(RefusedError, match="not today"):
            await publishing
        await encoder.closed()


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
async def test_ffmpeg_publishes_and_prints_the_reason_of_the_end(tmp_path: Path, scheme: str) -> None:
    async with running_ingest(tmp_path) as ingest:
        command = f"{FFMPEG} {scheme}://127.0.0.1:{ingest.ports[scheme]}/app/key"
        ffmpeg = await asyncio.create_subprocess_exec(*command.split(), stderr=asyncio.subprocess.PIPE)
        ask = await ingest.next_ask()
        assert ask.stream_key == "key"
        await ingest.pool.admit(ask_id=ask.ask_id, connection_id="c", ticket=ingest.media_engine.ticket)
        await until(lambda: len(ingest.media_engine.units) > 100, "the first seconds of the stream")
        ingest.pool.close(connection_id="c", detail="PARTICIPANT_DISCONNECTED")
        _, error_output = await asyncio.wait_for(ffmpeg.communicate(), 20)
        assert ffmpeg.returncode != 0
        assert b"PARTICIPANT_DISCONNECTED" in error_output
        assert ingest.facts == [ask]


async def test_an_encoder_that_is_gone_cannot_be_admitted(tmp_path: Path) -> None:
    async with running_ingest(tmp_path) as ingest:
        with pytest.raises(MediaRefusedError) as refused:
            await ingest.pool.admit(ask_id="unknown", connection_id="c", ticket=ingest.media_engine.ticket)
        assert refused.value.reason is RefusalReason.UNKNOWN_CONNECTION
        await ingest.restart_process()
        assert ingest.facts == []


async def test_a_lost_process_is_replaced_and_its_connections_are_reported(tmp_path: Path) -> None:
    async with running_ingest(tmp_path) as ingest:
        async with ingest.encoder() as encoder, ingest.encoder() as waiting:
            await ingest.admit_encoder(encoder)
            asking = asyncio.create_task(waiting.publish("k"))
            old_ask = await ingest.next_ask()
            await ingest.restart_process()
            await until(lambda: ENGINE_LOST in ingest.facts, "the loss")
            with pytest.raises((EOFError, ConnectionError)):
                await asking
        assert [fact for fact in ingest.facts if isinstance(fact, Closed)] == [ENGINE_LOST]
        with pytest.raises(MediaRefusedError):
            await ingest.pool.admit(ask_id=old_ask.ask_id, connection_id="d", ticket=ingest.media_engine.ticket)
        async with ingest.encoder() as encoder:
            await ingest.admit_encoder(encoder)


async def test_a_suspended_process_is_replaced(tmp_path: Path) -> None:
    async with running_ingest(
        tmp_path, timeouts=WorkerTimeouts(heartbeat_seconds=0.2, restart_delay_seconds=0.01)
    ) as ingest:
        async with ingest.encoder() as encoder:
            await ingest.admit_encoder(encoder)
            await ingest.restart_process(signal.SIGSTOP)
        assert ENGINE_LOST in ingest.facts


async def test_a_pending_admission_is_refused_when_the_process_is_lost(tmp_path: Path) -> None:
    async with running_ingest(tmp_path) as ingest, ingest.encoder() as encoder:
        asking = asyncio.create_task(encoder.publish("k"))
        ask = await ingest.next_ask()
        os.kill(ingest.process_id(), signal.SIGSTOP)
        admitting = asyncio.create_task(
            ingest.pool.admit(ask_id=ask.ask_id, connection_id="c", ticket=ingest.media_engine.ticket)
        )
        await asyncio.sleep(0)
        await ingest.restart_process()
        with pytest.raises(MediaRefusedError) as refused:
            await admitting
        assert refused.value.reason is RefusalReason.ENGINE_LOST
        with pytest.raises((EOFError, ConnectionError)):
            await asking
        assert ingest.facts == [ask]


async def test_a_cancelled_admission_closes_the_connection(tmp_path: Path) -> None:
    async with running_ingest(tmp_path) as ingest, ingest.encoder() as encoder:
        asking = asyncio.create_task(encoder.publish("k"))
        ask = await ingest.next_ask()
        admitting = asyncio.create_task(
            ingest.pool.admit(ask_id=ask.ask_id, connection_id="c", ticket=ingest.media_engine.ticket)
        )
        await asyncio.sleep(0)
        admitting.cancel()
        await asyncio.wait([asking, admitting])
        await encoder.closed()
        assert ingest.facts == [ask]


async def test_the_codec_libraries_are_loaded_only_for_a_stream(tmp_path: Path) -> None:
    async with running_ingest(tmp_path) as ingest:
        memory_maps = Path(f"/proc/{ingest.process_id()}/maps").read_text
        assert "libavcodec" not in memory_maps()
        async with ingest.encoder() as encoder:
            await ingest.admit_encoder(encoder)
            await send(encoder, first_second())
            await until(lambda: ingest.media_engine.kinds() == set(MediaKind), "both tracks")
            assert "libavcodec" in memory_maps()


async def test_describe_names_the_addresses(tmp_path: Path) -> None:
    async with running_ingest(tmp_path) as ingest:
        assert ingest.pool.describe() == "RTMP on 127.0.0.1:{rtmp}, RTMPS on 127.0.0.1:{rtmps}".format(**ingest.ports)


async def test_processes_on_demand_start_with_the_first_encoder(tmp_path: Path) -> None:
    async with running_ingest(tmp_path, processes=2, on_demand=True) as ingest:
        assert [worker.process_id for worker in ingest.pool.workers] == [None, None]
        async with RtmpPublisher("127.0.0.1", ingest.ports["rtmp"]) as encoder:
            await ingest.admit_encoder(encoder)
        assert any(worker.is_running for worker in ingest.pool.workers)


async def test_a_missing_certificate_is_named_at_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as rtmps:
        certificate = CertificateFiles(tmp_path / "c.pem", tmp_path / "k.pem")
        pool = IngestPool(IngestSettings(), processes=1, rtmp=None, rtmps=rtmps, certificate=certificate)
        with pytest.raises(WorkerStartError, match=r"RTMPS on 127\.0\.0\.1:\d+\): .*c\.pem: No such file"):
            await pool.start()
        assert pool.workers[0].process_id is None
        await pool.stop()


def test_rtmps_without_a_certificate_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as rtmps, pytest.raises(ValueError, match="needs a certificate"):
        IngestPool(IngestSettings(), processes=1, rtmp=None, rtmps=rtmps)


async def test_a_renewed_certificate_is_used_for_new_connections_and_by_the_next_process(tmp_path: Path) -> None:
    async with running_ingest(tmp_path) as ingest:
        first = await asyncio.to_thread(presented_certificate, ingest.ports["rtmps"])
        assert first == await asyncio.to_thread(presented_certificate, ingest.ports["rtmps"])
        write_certificate(tmp_path)
        ingest.pool.renew_certificate()
        await until_renewed(ingest.ports["rtmps"], first)
        await ingest.restart_process()
        assert await asyncio.to_thread(presented_certificate, ingest.ports["rtmps"]) != first


def presented_certificate(port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=20)


async def until_renewed(port: int, former: str) -> None:
    """Connect until the server presents another certificate than `former`."""
    async with asyncio.timeout(20):
        while await asyncio.to_thread(presented_certificate, port) == former:
            pass


async def test_stop_notifies_the_encoders_and_ends_the_process(tmp_path: Path) -> None:
    async with running_ingest(tmp_path) as ingest, ingest.encoder() as encoder:
        await ingest.admit_encoder(encoder)
        process = Path(f"/proc/{ingest.process_id()}")
        stopping = asyncio.create_task(ingest.pool.stop())
        assert (await encoder.status())["description"] == "the server stops"
        await stopping
        await until(lambda: not process.exists(), "the end of the process")
        assert not [fact for fact in ingest.facts if isinstance(fact, Closed)]


async def close_idle(idle: list[Connection]) -> None:
    for _, writer in idle:
        writer.close()


async def is_closed_at_once(ingest: RunningIngest, scheme: str = "rtmp") -> bool:
    """Whether the server closes a new connection without waiting for `connect_timeout_seconds`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", ingest.ports[scheme])
    try:
        async with asyncio.timeout(IngestSettings().connect_timeout_seconds / 2):
            return await reader.read() == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    finally:
        writer.close()


async def test_the_loss_of_a_process_ends_its_own_streams_only(tmp_path: Path) -> None:
    async with (
        running_ingest(tmp_path, processes=2) as ingest,
        ingest.encoder() as first,
        ingest.encoder("rtmps") as second,
    ):
        await ingest.admit_encoder(first, "c")
        await ingest.admit_encoder(second, "d")
        assert ingest.stream_counts() == [1, 1]
        await ingest.restart_process(number=0)
        await until(lambda: ENGINE_LOST in ingest.facts, "the loss")
        await send(second, first_second())
        await until(lambda: ingest.media_engine.kinds() == set(MediaKind), "both tracks of the other stream")
        async with ingest.encoder() as again:
            await ingest.admit_encoder(again, "e")
            assert ingest.stream_counts() == [1, 1]
        assert next(fact for fact in ingest.facts if isinstance(fact, Closed)) == ENGINE_LOST
        assert Closed(connection_id="d", cause=CloseCause.ENGINE_LOST) not in ingest.facts


async def test_an_encoder_goes_to_the_process_that_has_room_and_is_refused_when_none_has(tmp_path: Path) -> None:
    settings = IngestSettings(max_streams=1)
    async with running_ingest(tmp_path, processes=2, settings=settings) as ingest, AsyncExitStack() as encoders:
        published = [await encoders.enter_async_context(ingest.encoder()) for _ in range(2)]
        for number, encoder in enumerate(published):
            await ingest.admit_encoder(encoder, f"c{number}")
        async with ingest.encoder() as refused:
            with pytest.raises(RefusedError, match="limit of 1 encoder streams per process"):
                await refused.publish("k")
        await until(lambda: ingest.pool.load == IngestLoad(streams=2, shed_encoders=1), "the count of the refusal")
        await published[1].unpublish()
        await until(lambda: ingest.stream_counts() == [1, 0], "the end of a stream")
        async with ingest.encoder() as encoder:
            await ingest.admit_encoder(encoder, "c2")
            assert ingest.stream_counts() == [1, 1]


async def test_an_encoder_waits_for_the_next_process_if_the_others_are_full(tmp_path: Path) -> None:
    settings = IngestSettings(max_streams=1)
    async with running_ingest(tmp_path, processes=2, settings=settings) as ingest, AsyncExitStack() as encoders:
        for number in range(2):
            encoder = await encoders.enter_async_context(ingest.encoder())
            await ingest.admit_encoder(encoder, f"c{number}")
        os.kill(ingest.process_id(0), signal.SIGKILL)
        await until(lambda: ingest.stream_counts() == [0, 1], "the loss")
        assert not ingest.pool.workers[0].is_running
        again = await encoders.enter_async_context(ingest.encoder())
        await ingest.admit_encoder(again, "c2")
        assert ingest.stream_counts() == [1, 1]
        assert ingest.pool.load.shed_encoders == 0


async def test_the_limits_of_an_address_hold_for_all_processes_together(tmp_path: Path) -> None:
    settings = IngestSettings(max_connections_per_address=3)
    async with running_ingest(tmp_path, processes=2, settings=settings) as ingest:
        idle = [
            await asyncio.open_connection("127.0.0.1", port) for port in [*ingest.ports.values(), ingest.ports["rtmp"]]
        ]
        assert [await is_closed_at_once(ingest, scheme) for scheme in ingest.ports] == [True, True]
        await ingest.restart_process(number=0)  # It had two of the three.
        async with ingest.encoder() as encoder:
            await ingest.admit_encoder(encoder)
        await close_idle(idle)


async def test_wrong_keys_are_counted_over_all_processes(tmp_path: Path) -> None:
    async with running_ingest(tmp_path, processes=2) as ingest:
        for _ in range(MAX_REFUSALS + 1):
            async with ingest.encoder() as encoder:
                publishing = asyncio.create_task(encoder.publish("guess"))
                ingest.pool.refuse(ask_id=(await ingest.next_ask()).ask_id, detail="no", is_wrong_key=True)
                with pytest.raises(RefusedError):
                    await publishing
        assert [await is_closed_at_once(ingest, scheme) for scheme in ingest.ports] == [True, True]


async def test_a_process_that_takes_no_connections_does_not_keep_encoders_waiting(tmp_path: Path) -> None:
    settings = IngestSettings(max_connections_per_address=200)
    quick_stop = WorkerTimeouts(stop_seconds=0.1)
    running = running_ingest(tmp_path, processes=2, settings=settings, timeouts=quick_stop)
    async with running as ingest, AsyncExitStack() as encoders:
        os.kill(ingest.process_id(0), signal.SIGSTOP)
        idle = [await asyncio.open_connection("127.0.0.1", ingest.ports["rtmp"]) for _ in range(60)]
        for number in range(3):
            encoder = await encoders.enter_async_context(ingest.encoder())
            await ingest.admit_encoder(encoder, f"c{number}")
        assert ingest.stream_counts() == [0, 3]
        await close_idle(idle)


@pytest.mark.parametrize("processes", [0, MAX_INGEST_PROCESSES + 1])
def test_the_number_of_processes_is_limited(processes: int) -> None:
    with pytest.raises(ValueError, match="processes: 1 to 64"):
        IngestPool(IngestSettings(), processes=processes, rtmp=None, rtmps=None)


PARENT = """
import asyncio, socket
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.processes.connection_limits import MAX_REFUSALS
from stagebook.media.ingest.processes.ingest_pool import MAX_INGEST_PROCESSES, IngestLoad, IngestPool

async def main():
    with socket.create_server(("127.0.0.1", 0)) as rtmp:
        pool = IngestPool(IngestSettings(), processes=1, rtmp=rtmp, rtmps=None)
        await pool.start()
        print("ingest", pool.workers[0].process_id, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_the_process_exits_when_the_server_was_killed() -> None:
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE)
    assert server.stdout is not None
    async for line in server.stdout:
        if line.startswith(b"ingest "):
            break
    process_id = int(line.split()[1])
    server.kill()
    await server.wait()
    await until(lambda: not is_alive(process_id), "its end")
