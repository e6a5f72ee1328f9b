"""Measures compositions in this process: the media arrives as a tap hands it on, and leaves to a folder and to RTMP.

CPU time includes the receiver, which only counts the pictures. It is quoted for the pictures that were drawn: a machine
that is busy with something else draws fewer.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import msgspec

from bench.composition.rtmp_receiver import RtmpReceiver
from bench.composition.tapped_clip import SECONDS, later, make_clip
from bench.figures import median
from bench.report import Part, Table, Target
from stagebook.media.composition.composition_port import (
    BucketOutput,
    CanvasSettings,
    ChannelOutput,
    ComposedParticipant,
    CompositionRequest,
    Output,
)
from stagebook.media.composition.layout.layout_settings import GridLayout
from stagebook.media.composition.processes.composed_stage import ComposedStage
from stagebook.media.composition.processes.composition_messages import ComposingSetup
from stagebook.media.media_bus import FeedTicket
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.media.tap.tap_listener import TapListener
from stagebook.media.tap.tap_receiver import TapReceiver
from stagebook.media.tap.tapped_frame import TappedFrame
from stagebook.storage.storage_settings import FolderStorage

CANVAS = CanvasSettings(width=1280, height=720, frames_per_second=30, bitrate_bps=2_500_000)
MEASURED_SECONDS = 20.0
WARM_UP_SECONDS = 4.0
LONG_INTERVALS = 10
_POLL_SECONDS = 0.004
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class _Taps:
    """The taps of a composition without engines."""

    def __init__(self) -> None:
        self.listeners: dict[str, TapListener] = {}

    def accept(
        self, tap_id: str, description: SourceDescription, listener: TapListener, **options: object
    ) -> FeedTicket:
        del description, options
        self.listeners[tap_id] = listener
        return FeedTicket(path="", token="")

    def close(self, tap_id: str) -> None:
        self.listeners.pop(tap_id, None)

    def request_keyframe(self, tap_id: str) -> None:
        """The clips begin with keyframes."""

    def choose_height(self, tap_id: str, pixels: int | None) -> None:
        """The clips have one layer."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a composition costs."""

    cpu_seconds_per_second: float
    pictures_per_second: float
    late_frames: int
    """Frames that repeat the picture before, or are left out, because the machine was too slow."""
    resident_megabytes: tuple[float, float]
    """After the warm-up, and at the end."""


class _Measured:
    """A running composition and its receiver."""

    def __init__(self, clip: list[TappedFrame], participants: int, *, decodes: bool) -> None:
        self.receiver = RtmpReceiver(decodes=decodes)
        self._clip = clip
        self._names = [f"participant-{number}" for number in range(participants)]
        self._taps = _Taps()
        self.started = 0.0
        self._sent = 0
        self._stage: ComposedStage

    @contextlib.asynccontextmanager
    async def running(self, folder: Path) -> AsyncIterator[None]:
        folder.mkdir()  # noqa: ASYNC240 - a quick call before the measurement
        with contextlib.chdir(folder):  # where the spool is
            async with self._composing():
                yield

    @contextlib.asynccontextmanager
    async def _composing(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self.receiver.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        outputs: tuple[Output, ...] = (
            BucketOutput(destination_id="bucket", canvas=CANVAS, bucket_name="bench", prefix="composite"),
            ChannelOutput(destination_id="channel", canvas=CANVAS, url=f"rtmp://127.0.0.1:{port}/app/key"),
        )
        request = CompositionRequest(
            composition_id="bench", composition_arn="", stage_arn="", started_ms=0, layout=GridLayout(), outputs=outputs
        )
        cores = os.cpu_count() or 1
        stage = self._stage = ComposedStage(
            request,
            setup=ComposingSetup(storage=FolderStorage(path="store"), spool_bytes=1 << 30, decoding_threads=cores),
            taps=cast("TapReceiver", self._taps),
            report=lambda _fact: None,
            on_tap_ended=lambda _tap_id: None,
            on_failure=lambda: os._exit(1),
        )
        stage.start()
        stage.show(tuple(ComposedParticipant(participant_id=name, source_id=name) for name in self._names))
        for name in self._names:
            stage.accept_tap(name, name, SourceDescription(plan=None))
        self.started = time.monotonic()
        try:
            yield
        finally:
            await stage.end()
            await stage.close()
            server.close()

    @property
    def late_frames(self) -> int:
        """Frames so far that repeat the picture before, or were left out."""
        statistics = self._stage.statistics()
        return statistics.repeated_frames + statistics.omitted_frames

    async def send(self, seconds: float) -> None:
        """Send what is due, for some time."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            while True:
                rounds, number = divmod(self._sent, len(self._clip))
                frame = later(self._clip[number], rounds)
                if frame.time_us > (now - self.started) * 1_000_000:
                    break
                for name, listener in self._taps.listeners.items():
                    listener.frame_received(name, frame)
                self._sent += 1
            await asyncio.sleep(_POLL_SECONDS)


async def _measure_cost(clip: list[TappedFrame], participants: int, folder: Path) -> Cost:
    measured = _Measured(clip, participants, decodes=False)
    async with measured.running(folder):
        await measured.send(WARM_UP_SECONDS)
        cpu, pictures, megabytes = time.process_time(), measured.receiver.pictures, _resident_megabytes()
        late_frames = measured.late_frames
        await measured.send(MEASURED_SECONDS)
        return Cost(
            cpu_seconds_per_second=(time.process_time() - cpu) / MEASURED_SECONDS,
            pictures_per_second=(measured.receiver.pictures - pictures) / MEASURED_SECONDS,
            late_frames=measured.late_frames - late_frames,
            resident_megabytes=(megabytes, _resident_megabytes()),
        )


async def composed_for(folder: Path, interval_seconds: float, note: Callable[[float], None]) -> None:
    """Compose four participants of 180p for LONG_INTERVALS. Resident memory is noted at the start and after each."""
    measured = _Measured(make_clip(320, 180), 4, decodes=False)
    async with measured.running(folder):
        await measured.send(2 * WARM_UP_SECONDS)
        note(_resident_megabytes())
        for _ in range(LONG_INTERVALS):
            await measured.send(interval_seconds)
            note(_resident_megabytes())


def _measure_on_one_core(clip: list[TappedFrame], participants: int, folder: Path) -> Cost:
    """Measure with all threads on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        return asyncio.run(_measure_cost(clip, participants, folder))
    finally:
        os.sched_setaffinity(0, cores)


async def _measure_delay(folder: Path) -> float:
    """Return the median delay, in seconds, from the time of a picture to its decoding by the receiver."""
    measured = _Measured(make_clip(1280, 720, is_blinking=True), 1, decodes=True)
    async with measured.running(folder):
        await measured.send(3 * SECONDS)
        sent = [measured.started + SECONDS / 2 + number * SECONDS for number in range(3)]
        return median([bright - sent[number] for number, bright in enumerate(measured.receiver.bright_at)])


def _resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * _PAGE_BYTES / 1_000_000


def measure_composition(folder: Path) -> Part:
    """Measure compositions of 4 and 12 participants, and the delay."""
    layers = {"4 x 720p": (1280, 720, 4), "12 x 720p": (1280, 720, 12), "12 x 180p (simulcast)": (320, 180, 12)}
    costs = {
        name: asyncio.run(_measure_cost(make_clip(width, height), count, folder / f"composition-{count}-{height}"))
        for name, (width, height, count) in layers.items()
    }
    costs["12 x 720p, on one core"] = _measure_on_one_core(make_clip(1280, 720), 12, folder / "composition-one-core")
    delay = asyncio.run(_measure_delay(folder / "composition-delay"))
    rows = tuple(
        (
            name,
            f"{cost.cpu_seconds_per_second:.2f}",
            f"{cost.pictures_per_second:.1f}",
            str(cost.late_frames),
            f"{cost.resident_megabytes[0]:.0f}",
            f"{cost.resident_megabytes[1]:.0f}",
        )
        for name, cost in costs.items()
    )
    headings = ("Participants", "CPU s/s", "pictures/s", "late frames", "MB at first", "MB at the end")
    return Part(
        title="Composition",
        method=(
            "A composition of 1280x720 at 30 pictures a second, 2.5 Mbit/s, to a folder as HLS and to an RTMP server "
            f"at the same time, for {MEASURED_SECONDS:.0f} s. Every participant sends H.264 with motion everywhere, "
            "and Opus. Late frames repeat the picture before, or are left out, because the machine was too slow. "
            f"From a picture's time to its decoding by the RTMP server: {delay * 1_000:.0f} ms (median)."
        ),
        tables=(Table(headings=headings, rows=rows),),
        targets=(
            Target(
                what="CPU of a 2x2 composition, 720p30",
                measured=costs["4 x 720p"].cpu_seconds_per_second,
                at_most=1.2,
                unit="cores",
            ),
            Target(
                what="Pictures of a 2x2 composition, 720p30",
                measured=costs["4 x 720p"].pictures_per_second,
                at_least=29.0,
                unit="per second",
            ),
            Target(what="Delay into the RTMP output of a composition", measured=delay, at_most=2.0, unit="s"),
        ),
    )
