"""Sessions of real encoders (see corpus/README.md): replayed, in any pieces, and changed in every way that is cheap."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.rtmp.rtmp_connection import RtmpServer
from stagebook.media.rtmp.rtmp_events import (
    AudioMessage,
    PublishAsked,
    RtmpEvent,
    Unpublished,
    VideoMessage,
)
from stagebook.media.rtmp.rtmp_limits import RtmpError, RtmpLimits

CORPUS = {path.stem: path.read_bytes() for path in sorted((Path(__file__).parent / "corpus").glob("*.bin"))}
SMALL = RtmpLimits(
    max_message_bytes=20_000, max_command_bytes=2000, max_incomplete_bytes=30_000, max_held_bytes=9000, max_commands=12
)

COUNTS = {
    "ffmpeg-5.1": (22, 89),
    "gstreamer-1.22-rtmp2sink": (22, 92),
    "librtmp-2.4": (22, 92),
    "libavformat-62-hevc": (22, 65),
    "obs-29.0.2": (20, 87),
}
"""Of each session: video messages, audio messages."""


def replay(data: bytes, *, piece_bytes: int = 65536) -> list[RtmpEvent]:
    """The events of a session whose publish is accepted as soon as it is asked for."""
    server = RtmpServer(RtmpLimits())
    events: list[RtmpEvent] = []
    for start in range(0, len(data), piece_bytes):
        new = server.receive(data[start : start + piece_bytes])
        if any(isinstance(event, PublishAsked) for event in new) and not isinstance(new[-1], Unpublished):
            server.accept_publish()
            new += server.receive(b"")
        server.data_to_send()
        events += new
    return events


@pytest.mark.parametrize("name", CORPUS)
def test_a_real_session_is_asked_for_runs_and_ends(name: str) -> None:
    events = replay(CORPUS[name], piece_bytes=1400)
    assert events[0] == PublishAsked(app="app", stream_key="throwaway-key")
    assert events[-1] == Unpublished()
    counts = Counter(type(event) for event in events)
    assert (counts[VideoMessage], counts[AudioMessage]) == COUNTS[name]


@pytest.mark.parametrize("name", CORPUS)
def test_the_clock_of_a_real_session_goes_forward(name: str) -> None:
    for kind in (VideoMessage, AudioMessage):
        times = [event.timestamp_ms for event in replay(CORPUS[name], piece_bytes=1400) if isinstance(event, kind)]
        assert times == sorted(times)
        assert times[0] == 0
        assert 1000 < times[-1] < 3000


@pytest.mark.parametrize("name", CORPUS)
def test_a_real_session_begins_with_the_parameters_of_its_codecs(name: str) -> None:
    events = replay(CORPUS[name], piece_bytes=1400)
    video = next(event for event in events if isinstance(event, VideoMessage))
    audio = next(event for event in events if isinstance(event, AudioMessage))
    assert video.payload.startswith(b"\x90hvc1" if "hevc" in name else b"\x17\0")
    assert audio.payload.startswith(b"\xaf\0")


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.parametrize("piece_bytes", [1, 7, 100])
def test_a_real_session_means_the_same_in_any_pieces(name: str, piece_bytes: int) -> None:
    assert replay(CORPUS[name], piece_bytes=piece_bytes) == replay(CORPUS[name], piece_bytes=1400)


def test_any_bytes_are_an_rtmp_error_or_nothing_before_the_handshake() -> None:
    """Nobody publishes without a handshake: it takes 3073 bytes, and the first of them is a 3."""
    chance = random.Random(1)
    for first in range(256):
        server = RtmpServer(SMALL)
        try:
            assert server.receive(bytes([first]) + chance.randbytes(3071)) == []
        except RtmpError:
            assert first != 3


def check(data: bytes, piece_bytes: int) -> None:
    """Whatever the bytes are: nothing is raised but RtmpError, and the events are those of one publish at most."""
    server = RtmpServer(SMALL)
    events: list[RtmpEvent] = []
    try:
        for start in range(0, len(data), piece_bytes):
            new = server.receive(data[start : start + piece_bytes])
            assert len(server.data_to_send()) <= SMALL.max_output_bytes + 2 * 3073
            events += new
            if any(isinstance(event, PublishAsked) for event in new) and not isinstance(new[-1], Unpublished):
                server.accept_publish()
    except RtmpError as error:
        server.end(error.detail)
        server.data_to_send()
        with pytest.raises(RtmpError):
            server.receive(b"")
    assert not events or isinstance(events[0], PublishAsked)
    assert not any(isinstance(event, PublishAsked) for event in events[1:])
    assert not any(isinstance(event, Unpublished) for event in events[:-1])
    media = [event.payload for event in events if isinstance(event, VideoMessage | AudioMessage)]
    assert sum(map(len, media)) <= len(data)
    assert all(media)


HANDSHAKE_BYTES = 1 + 2 * 1536


def flip(data: bytearray, position: int, chance: random.Random) -> None:
    data[position] ^= 1 << chance.randrange(8)


def change(data: bytearray, position: int, chance: random.Random) -> None:
    data[position] = chance.choice((0, 1, 2, 3, 9, 0x7F, 0x80, 0xC0, 0xFF, chance.randrange(256)))


def widen(data: bytearray, position: int, chance: random.Random) -> None:
    data[position : position + 3] = chance.choice((b"\0\0\0", b"\xff\xff\xff", chance.randbytes(3)))


def cut(data: bytearray, position: int, chance: random.Random) -> None:
    del data[position : position + chance.choice((1, 2, 4, chance.randrange(1, 400)))]


def repeat(data: bytearray, position: int, chance: random.Random) -> None:
    data[position:position] = data[position : position + chance.randrange(1, 400)] * chance.randrange(1, 4)


def splice(data: bytearray, position: int, chance: random.Random) -> None:
    other = chance.choice(list(CORPUS.values()))
    start = chance.randrange(HANDSHAKE_BYTES, len(other))
    data[position:position] = other[start : start + chance.randrange(1, 2000)]


def stop(data: bytearray, position: int, chance: random.Random) -> None:  # noqa: ARG001 - a mutation like the others
    del data[position + 1 :]


MUTATIONS: list[Callable[[bytearray, int, random.Random], None]] = [flip, change, widen, cut, repeat, splice, stop]


def mutated(seed: int) -> bytes:
    """A real session, changed in one to eight places; half of them among its commands, which come first."""
    chance = random.Random(seed)
    data = bytearray(chance.choice(list(CORPUS.values())))
    for _ in range(chance.randrange(1, 9)):
        first = 0 if chance.random() < 0.05 else min(HANDSHAKE_BYTES, len(data) - 1)
        end = min(len(data), HANDSHAKE_BYTES + 1500) if chance.random() < 0.5 else len(data)
        chance.choice(MUTATIONS)(data, chance.randrange(first, max(end, first + 1)), chance)
    return bytes(data)


@given(seed=st.integers(0, 2**64), piece_bytes=st.sampled_from([50, 1400, 65536]))
def test_a_changed_session_means_less_or_is_an_rtmp_error(seed: int, piece_bytes: int) -> None:
    check(mutated(seed), piece_bytes)


@given(st.sampled_from(list(CORPUS.values())), st.integers(HANDSHAKE_BYTES, 8000), st.binary(max_size=200))
def test_garbage_in_a_session_means_less_or_is_an_rtmp_error(session: bytes, position: int, garbage: bytes) -> None:
    check(session[:position] + garbage, 1400)
