"""The track of encoded frames that aiortc sends."""

import asyncio

import pytest
from aiortc.mediastreams import MediaStreamError

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.livekit.uplink.packet_track import BURST_INTERVAL_SECONDS, MAX_WAITING_FRAMES, PacketTrack


class Sleeps:
    """A `sleep` that only records."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


async def test_frames_are_taken_as_they_are_with_their_times() -> None:
    track = PacketTrack(MediaKind.VIDEO)
    track.put(b"keyframe", 90_000, is_keyframe=True)
    packet = await track.recv()
    assert (bytes(packet), packet.pts, packet.time_base.denominator) == (b"keyframe", 90_000, 90_000)


async def test_a_sender_that_waits_gets_the_next_frame() -> None:
    track = PacketTrack(MediaKind.AUDIO)
    receiving = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    track.put(b"opus", 960, is_keyframe=True)
    assert bytes(await receiving) == b"opus"


async def test_a_burst_is_spread_and_a_live_frame_is_not_delayed() -> None:
    sleeps = Sleeps()
    track = PacketTrack(MediaKind.VIDEO, sleep=sleeps)
    for number in range(3):
        track.put(b"frame", number, is_keyframe=number == 0)
    assert [(await track.recv()).pts for _ in range(3)] == [0, 1, 2]
    assert sleeps.seconds == [BURST_INTERVAL_SECONDS] * 2


async def test_after_an_overflow_a_keyframe_is_the_next() -> None:
    track = PacketTrack(MediaKind.VIDEO, sleep=Sleeps())
    for number in range(MAX_WAITING_FRAMES + 2):
        track.put(b"frame", number, is_keyframe=number == 0)
    track.put(b"keyframe", 5_000, is_keyframe=True)
    assert (await track.recv()).pts == 5_000


async def test_the_end_is_told_to_a_sender_that_waits() -> None:
    track = PacketTrack(MediaKind.VIDEO)
    receiving = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    track.stop()
    with pytest.raises(MediaStreamError):
        await receiving
