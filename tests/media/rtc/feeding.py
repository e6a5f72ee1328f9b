"""EncoderFeeds for tests: really encoded pictures and sound as units, and the client's end of a feed's socket."""

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
from stagebook.media.rtc.engine.engine_settings import EngineSettings
from stagebook.media.worker.framing import frame
from tests.media.rtc import encoded
from tests.media.rtc.running_engine import Engine, running_engine

PARAMETERS = "packetization-mode=1;profile-level-id=4d401f"
"""Main, level 3.1."""
OPUS_PACKET_SECONDS = 0.02


class Pictures(msgspec.Struct, frozen=True, kw_only=True):
    """What an encoder is told. `group`: pictures from keyframe to keyframe."""

    width: int = 320
    height: int = 240
    group: int = 60
    frames_per_second: int = 30
    b_frames: int = 0
    profile: str = "main"
    bitrate_bps: int = 0
    """Constant; 0 for as little as the pictures need."""


PLAIN = Pictures()


@functools.cache
def group_of_pictures(wanted: Pictures) -> tuple[tuple[int, bytes], ...]:
    """(number in order of showing, Annex B picture) in order of decoding: a keyframe and what follows, with the bar."""
    width, height, pictures, frames_per_second = wanted.width, wanted.height, wanted.group, wanted.frames_per_second
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, frames_per_second), Fraction(frames_per_second)
    context.options = {
        "profile": wanted.profile,
        "preset": "veryfast",
        "bf": str(wanted.b_frames),
        "b_strategy": "0",
        "g": str(pictures),
        "sc_threshold": "0",
    }
    if wanted.bitrate_bps:
        context.bit_rate = wanted.bitrate_bps
        rate = str(wanted.bitrate_bps)
        context.options = {**context.options, "nal-hrd": "cbr", "maxrate": rate, "bufsize": rate}
    packets = [packet for number in range(pictures) for packet in context.encode(_picture(number, width, height))]
    packets += context.encode(None)
    return tuple((packet.pts or 0, bytes(packet)) for packet in packets)


def _picture(number: int, width: int, height: int) -> av.VideoFrame:
    picture = av.VideoFrame(width, height, "yuv420p")
    luma, *chroma = picture.planes
    row = bytearray([DARK]) * luma.line_size
    left = number * BAR_STEP_PIXELS % (width - BAR_WIDTH_PIXELS)
    row[left : left + BAR_WIDTH_PIXELS] = bytes([BRIGHT]) * BAR_WIDTH_PIXELS
    luma.update(bytes(row) * luma.height)
    for plane in chroma:
        plane.update(bytes([128]) * plane.buffer_size)
    picture.pts = number
    return picture


@functools.cache
def tone() -> tuple[bytes, ...]:
    """Opus packets of 20 ms: a second of the tone, which can be repeated."""
    context = av.CodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format = 48_000, "stereo", "s16"
    packets: list[bytes] = []
    for number in range(50):
        sound = av.AudioFrame(format="s16", layout="stereo", samples=960)
        wave = (
            int(12_000 * math.sin(2 * math.pi * TONE_HERTZ * (number * 960 + index // 2) / 48_000))
            for index in range(1920)
        )
        sound.planes[0].update(array.array("h", wave).tobytes())
        sound.sample_rate, sound.pts, sound.time_base = 48_000, number * 960, Fraction(1, 48_000)
        packets += [bytes(packet) for packet in context.encode(sound)]
    return tuple(packets)


def picture_units(wanted: Pictures = PLAIN, *, start_seconds: float = 0.0) -> Iterator[tuple[float, Unit]]:
    """(the second at which it is due, unit), the group again and again, for ever."""
    pictures, frames_per_second = group_of_pictures(wanted), wanted.frames_per_second
    for lap in count():
        for place, (number, picture) in enumerate(pictures):
            base = lap * len(pictures)
            yield (
                (base + place) / frames_per_second,
                Unit(
                    kind=MediaKind.VIDEO,
                    timestamp=round(
                        (start_seconds + (base + number) / frames_per_second) * CLOCK_RATES[MediaKind.VIDEO]
                    ),
                    is_keyframe=place == 0,
                    payloads=tuple(encoded.h264_payloads(picture)),
                ),
            )


def sound_units(*, start_seconds: float = 0.0) -> Iterator[tuple[float, Unit]]:
    """The same for the tone."""
    packets = tone()
    for number in count():
        due = number * OPUS_PACKET_SECONDS
        timestamp = round((start_seconds + due) * CLOCK_RATES[MediaKind.AUDIO])
        yield (
            due,
            Unit(
                kind=MediaKind.AUDIO,
                timestamp=timestamp,
                is_keyframe=False,
                payloads=(packets[number % len(packets)],),
            ),
        )


class FeedClient:
    """The client's end of one feed. All are closed by `closing_feeds`."""

    all: ClassVar[list["FeedClient"]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.all.append(self)
        self.reader, self.writer = reader, writer
        self._playing: list[asyncio.Task[None]] = []

    @classmethod
    async def connect(cls, path: str) -> "FeedClient":
        """Connect, and say nothing."""
        return cls(*await asyncio.open_unix_connection(path))

    @classmethod
    async def open(cls, ticket: FeedTicket, *, video_parameters: str = PARAMETERS) -> "FeedClient":
        """Connect and say Hello."""
        client = await cls.connect(ticket.path)
        client.send(Hello(token=ticket.token, video_parameters=video_parameters))
        return client

    def send(self, message: FeedMessage) -> None:
        """Send one message."""
        self.writer.write(frame(message, max_bytes=MAX_FEED_MESSAGE_BYTES))

    async def is_hung_up(self) -> bool:
        """Wait until the other end hangs up. False if it said anything."""
        try:
            return await self.reader.read() == b""
        except ConnectionResetError:  # what it had not read is lost
            return True

    def play(self, pictures: Pictures = PLAIN, *, start_seconds: float = 0.0) -> None:
        """Send pictures and the tone at their time, until `pause`."""
        video = picture_units(pictures, start_seconds=start_seconds)
        for units in (video, sound_units(start_seconds=start_seconds)):
            self._playing.append(asyncio.create_task(self._play(units)))

    async def _play(self, units: Iterator[tuple[float, Unit]]) -> None:
        began = time.monotonic()
        for due, unit in units:
            await asyncio.sleep(max(0.0, began + due - time.monotonic()))
            self.send(unit)

    async def pause(self) -> None:
        """Send nothing more."""
        for task in self._playing:
            task.cancel()
        await asyncio.gather(*self._playing, return_exceptions=True)
        self._playing.clear()

    async def close(self) -> None:
        """Close the socket."""
        await self.pause()
        self.writer.close()


@contextlib.asynccontextmanager
async def closing_feeds() -> AsyncIterator[None]:
    """Close all clients' ends at the end."""
    try:
        yield
    finally:
        while FeedClient.all:
            await FeedClient.all.pop().close()


@contextlib.asynccontextmanager
async def running_fed_engine(settings: EngineSettings | None = None) -> AsyncIterator[Engine]:
    """An engine that takes feeds."""
    with tempfile.TemporaryDirectory(prefix="stagebook-") as directory:
        made = msgspec.structs.replace(settings or EngineSettings(), feed_directory=directory)
        async with running_engine(made) as engine, closing_feeds():
            yield engine


async def open_feed(engine: Engine, connection_id: str = "f", *, is_redundant: bool = False) -> FeedClient:
    """Let a connection feed `source`, and say Hello."""
    ticket = engine.forwarder.open_feed(connection_id=connection_id, source_id="source", is_redundant=is_redundant)
    return await FeedClient.open(ticket)
