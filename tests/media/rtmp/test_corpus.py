"""Recorded sessions of encoders (see corpus/README.md): replayed as they are, split, and mutated."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.rtmp.rtmp_connection import RtmpConnection
from stagebook.media.rtmp.rtmp_error import RtmpError
from stagebook.media.rtmp.rtmp_events import AudioMessage, PublishReceived, Unpublished, VideoMessage
from tests.media.rtmp.session_replay import CORPUS, SMALL, check_session, replay

COUNTS = {
    "ffmpeg-5.1": (22, 89),
    "gstreamer-1.22-rtmp2sink": (22, 92),
    "librtmp-2.4": (22, 92),
    "libavformat-62-hevc": (22, 65),
    "obs-29.0.2": (20, 87),
}
"""The number of video and audio messages of each session."""


@pytest.mark.parametrize("name", CORPUS)
def test_a_session_requests_publishes_and_unpublishes(name: str) -> None:
    events = replay(CORPUS[name], piece_bytes=1400)
    assert events[0] == PublishReceived(app="app", stream_key="throwaway-key")
    assert events[-1] == Unpublished()
    counts = Counter(type(event) for event in events)
    assert (counts[VideoMessage], counts[AudioMessage]) == COUNTS[name]


@pytest.mark.parametrize("name", CORPUS)
def test_the_timestamps_of_a_session_increase(name: str) -> None:
    for kind in (VideoMessage, AudioMessage):
        times = [event.timestamp_ms for event in replay(CORPUS[name], piece_bytes=1400) if isinstance(event, kind)]
        assert times == sorted(times)
        assert times[0] == 0
        assert 1000 < times[-1] < 3000


@pytest.mark.parametrize("name", CORPUS)
def test_a_session_begins_with_the_codec_configurations(name: str) -> None:
    events = replay(CORPUS[name], piece_bytes=1400)
    video = next(event for event in events if isinstance(event, VideoMessage))
    audio = next(event for event in events if isinstance(event, AudioMessage))
    assert video.payload.startswith(b"\x90hvc1" if "hevc" in name else b"\x17\0")
    assert audio.payload.startswith(b"\xaf\0")


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.parametrize("piece_bytes", [1, 7, 100])
def test_the_events_do_not_depend_on_the_sizes_of_the_reads(name: str, piece_bytes: int) -> None:
    assert replay(CORPUS[name], piece_bytes=piece_bytes) == replay(CORPUS[name], piece_bytes=1400)


def test_there_are_no_events_before_the_handshake_is_complete() -> None:
    """The client's side of the handshake has 3073 bytes, and the first of them is 3."""
    rng = random.Random(1)
    for first in range(256):
        server = RtmpConnection(SMALL)
        try:
            assert server.receive(bytes([first]) + rng.randbytes(3071)) == []
        except RtmpError:
            assert first != 3


HANDSHAKE_BYTES = 1 + 2 * 1536


def flip(data: bytearray, position: int, rng: random.Random) -> None:
    data[position] ^= 1 << rng.randrange(8)


def change(data: bytearray, position: int, rng: random.Random) -> None:
    data[position] = rng.choice((0, 1, 2, 3, 9, 0x7F, 0x80, 0xC0, 0xFF, rng.randrange(256)))


def widen(data: bytearray, position: int, rng: random.Random) -> None:
    data[position : position + 3] = rng.choice((b"\0\0\0", b"\xff\xff\xff", rng.randbytes(3)))


def cut(data: bytearray, position: int, rng: random.Random) -> None:
    del data[position : position + rng.choice((1, 2, 4, rng.randrange(1, 400)))]


def repeat(data: bytearray, position: int, rng: random.Random) -> None:
    data[position:position] = data[position : position + rng.randrange(1, 400)] * rng.randrange(1, 4)


def splice(data: bytearray, position: int, rng: random.Random) -> None:
    other = rng.choice(list(CORPUS.values()))
    start = rng.randrange(HANDSHAKE_BYTES, len(other))
    data[position:position] = other[start : start + rng.randrange(1, 2000)]


def stop(data: bytearray, position: int, rng: random.Random) -> None:  # noqa: ARG001 - a mutation like the others
    del data[position + 1 :]


MUTATIONS: list[Callable[[bytearray, int, random.Random], None]] = [flip, change, widen, cut, repeat, splice, stop]


def mutated(seed: int) -> bytes:
    """A recorded session, mutated in one to eight places; half of them among the commands at its start."""
    rng = random.Random(seed)
    data = bytearray(rng.choice(list(CORPUS.values())))
    for _ in range(rng.randrange(1, 9)):
        first = 0 if rng.random() < 0.05 else min(HANDSHAKE_BYTES, len(data) - 1)
        end = min(len(data), HANDSHAKE_BYTES + 1500) if rng.random() < 0.5 else len(data)
        rng.choice(MUTATIONS)(data, rng.randrange(first, max(end, first + 1)), rng)
    return bytes(data)


@given(seed=st.integers(0, 2**64), piece_bytes=st.sampled_from([50, 1400, 65536]))
def test_a_mutated_session_has_fewer_events_or_is_an_rtmp_error(seed: int, piece_bytes: int) -> None:
    check_session(mutated(seed), piece_bytes=piece_bytes)


@given(st.sampled_from(list(CORPUS.values())), st.integers(HANDSHAKE_BYTES, 8000), st.binary(max_size=200))
def test_random_bytes_in_a_session_are_ignored_or_an_rtmp_error(session: bytes, position: int, data: bytes) -> None:
    check_session(session[:position] + data, piece_bytes=1400)
