"""Encoder feeds for tests: encoded video and audio as units of the media bus, and a client that sends them."""

import array
import asyncio
import contextlib
import functools
import math
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from fractions import Fraction
from itertools import count
from typing import ClassVar

import av
import msgspec

from stagebook.demo.generated_media import BAR_STEP_PIXELS, BAR_WIDTH_PIXELS, BRIGHT, DARK, TONE_HERTZ
from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import CLOCK_RATES, MAX_FEED_MESSAGE_BYTES, FeedMessage, FeedTicket, Hello, Unit
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.worker.framing import frame
from tests.media.rtc import encoded
from tests.media.rtc.running_engine import RunningEngine, running_engine

PARAMETERS = "packetization-mode=1;profile-level-id=4d401f"
"""Main profile, level 3.1."""
OPUS_PACKET_SECONDS = 0.02


class VideoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the H.264 encoder."""

    width: int = 320
    height: int = 240
    gop_frames: int = 60
    """Frames from one keyframe to the next."""
    frames_per_second: int = 30
    b_frames: int = 0
    profile: str = "main"
    bitrate_bps: int = 0
    """Constant bitrate; 0 for a variable one."""


DEFAULT_VIDEO = VideoOptions()


@functools.cache
def encode_gop(options: VideoOptions) -> tuple[tuple[int, bytes], ...]:
    """Encode one GOP with the moving bar: (frame number in presentation order, Annex B frame), in decoding order."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = options.width, options.height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, options.frames_per_second), Fraction(options.frames_per_second)
    context.options = {
        "profile": options.profile,
        "preset": "veryfast",
        "bf": str(options.b_frames),
        "b_strategy": "0",
        "g": str(options.gop_frames),
        "sc_threshold": "0",
    }
    if options.bitrate_bps:
        context.bit_rate = options.bitrate_bps
        rate = str(options.bitrate_bps)
        context.options = {**context.options, "nal-hrd": "cbr", "maxrate": rate, "bufsize": rate}
    frames = [_bar_frame(number, options.width, options.height) for number in range(options.gop_frames)]
    packets = [packet for video_frame in (*frames, None) for packet in context.encode(video_frame)]
    return tuple((packet.pts or 0, bytes(packet)) for packet in packets)


def _bar_frame(number: int, width: int, height: int) -> av.VideoFrame:
    video_frame = av.VideoFrame(width, height, "yuv420p")
    luma, *chroma = video_frame.planes
    row = bytearray([DARK]) * luma.line_size
    left = number * BAR_STEP_PIXELS % (width - BAR_WIDTH_PIXELS)
    row[left : left + BAR_WIDTH_PIXELS] = bytes([BRIGHT]) * BAR_WIDTH_PIXELS
    luma.update(bytes(row) * luma.height)
    for plane in chroma:
        plane.update(bytes([128]) * plane.buffer_size)
    video_frame.pts = number
    return video_frame


@functools.cache
def encode_tone() -> tuple[bytes, ...]:
    """Encode one second of the tone as Opus packets of 20 ms. The second can be repeated without a gap."""
    context = av.CodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format = 48_000, "stereo", "s16"
    packets: list[bytes] = []
    for number in range(50):
        audio_frame = av.AudioFrame(format="s16", layout="stereo", samples=960)
        wave = (
            int(12_000 * math.sin(2 * math.pi * TONE_HERTZ * (number * 960 + index // 2) / 48_000))
            for index in range(1920)
        )
        audio_frame.planes[0].update(array.array("h", wave).tobytes())
        audio_frame.sample_rate, audio_frame.pts, audio_frame.time_base = 48_000, number * 960, Fraction(1, 48_000)
        packets += [bytes(packet) for packet in context.encode(audio_frame)]
    return tuple(packets)


def video_units(options: VideoOptions = DEFAULT_VIDEO, *, start_seconds: float = 0.0) -> Iterator[tuple[float, Unit]]:
    """Yield (second at which the unit is due, unit) for the GOP, repeated without end.

    `start_seconds` is the time of the first frame by the encoder's clock.
    """
    gop, frames_per_second = encode_gop(options), options.frames_per_second
    for repetition in count():
        first = repetition * len(gop)
        for index, (number, annex_b) in enumerate(gop):
            presented_at = start_seconds + (first + number) / frames_per_second
            yield (
                (first + index) / frames_per_second,
                Unit(
                    kind=MediaKind.VIDEO,
                    timestamp=round(presented_at * CLOCK_RATES[MediaKind.VIDEO]),
                    is_keyframe=index == 0,
                    payloads=tuple(encoded.h264_payloads(annex_b)),
                ),
            )


def audio_units(*, start_seconds: float = 0.0) -> Iterator[tuple[float, Unit]]:
    """Yield (second at which the unit is due, unit) for the tone, repeated without end."""
    packets = encode_tone()
    for number in count():
        due = number * OPUS_PACKET_SECONDS
        yield (
            due,
            Unit(
                kind=MediaKind.AUDIO,
                timestamp=round((start_seconds + due) * CLOCK_RATES[MediaKind.AUDIO]),
                is_keyframe=False,
                payloads=(packets[number % len(packets)],),
            ),
        )


class FeedClient:
    """The client's end of one media bus connection. `closing_feeds` closes all of them."""

    all: ClassVar[list["FeedClient"]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.all.append(self)
        self.reader, self.writer = reader, writer
        self.sent_units = 0
        """The units that `play` has sent."""
        self._playing: list[asyncio.Task[None]] = []

    @classmethod
    async def connect(cls, path: str) -> "FeedClient":
        """Connect to the socket and send nothing."""
        return cls(*await asyncio.open_unix_connection(path))

    @classmethod
    async def open(
        cls, ticket: FeedTicket, *, video_parameters: str = PARAMETERS, video_tracks: int = 1
    ) -> "FeedClient":
        """Connect to the socket and send a Hello with the ticket's token."""
        client = await cls.connect(ticket.path)
        client.send(Hello(token=ticket.token, video_parameters=video_parameters, video_tracks=video_tracks))
        return client

    def send(self, message: FeedMessage) -> None:
        """Send one message."""
        self.writer.write(frame(message, max_bytes=MAX_FEED_MESSAGE_BYTES))

    async def is_disconnected(self) -> bool:
        """Wait until the server closes the connection. False if the server sent anything."""
        try:
            return await self.reader.read() == b""
        except (ConnectionResetError, BrokenPipeError):  # it was closed before everything was read or sent
            return True

    def play(self, options: VideoOptions = DEFAULT_VIDEO, *, start_seconds: float = 0.0) -> None:
        """Send video and the tone in real time, until `pause`."""
        encode_gop(options), encode_tone()  # before the time of the first unit is noted: encoding may take seconds
        video = video_units(options, start_seconds=start_seconds)
        for units in (video, audio_units(start_seconds=start_seconds)):
            self._playing.append(asyncio.create_task(self._play(units)))

    async def _play(self, units: Iterator[tuple[float, Unit]]) -> None:
        started = time.monotonic()
        for due, unit in units:
            await asyncio.sleep(max(0.0, started + due - time.monotonic()))
            self.send(unit)
            self.sent_units += 1

    async def pause(self) -> None:
        """Stop sending; the connection stays open."""
        for task in self._playing:
            task.cancel()
        await asyncio.gather(*self._playing, return_exceptions=True)
        self._playing.clear()

    async def close(self) -> None:
        """Close the connection."""
        await self.pause()
        self.writer.close()


@contextlib.asynccontextmanager
async def closing_feeds() -> AsyncIterator[None]:
    """Close all clients at the end."""
    try:
        yield
    finally:
        while FeedClient.all:
            await FeedClient.all.pop().close()


@contextlib.asynccontextmanager
async def running_engine_with_feeds(settings: EngineSettings | None = None) -> AsyncIterator[RunningEngine]:
    """Run an engine that accepts encoder feeds."""
    with tempfile.TemporaryDirectory(prefix="stagebook-") as directory:
        with_directory = msgspec.structs.replace(settings or EngineSettings(), feed_directory=directory)
        async with running_engine(with_directory) as engine, closing_feeds():
            yield engine


async def open_feed(
    engine: RunningEngine, connection_id: str = "f", *, is_redundant: bool = False, video_tracks: int = 1
) -> FeedClient:
    """Get a ticket for `source` and connect a feed with it."""
    ticket = engine.forwarder.open_feed(connection_id=connection_id, source_id="source", is_redundant=is_redundant)
    return await FeedClient.open(ticket, video_tracks=video_tracks)
