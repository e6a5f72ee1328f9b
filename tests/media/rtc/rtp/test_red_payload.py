"""RED payloads (RFC 2198)."""

from collections.abc import Sequence

import pytest

from stagebook.media.rtc.rtp.red_payload import (
    MAX_REPEATED_FRAMES,
    RedundantAudio,
    RepeatedFrame,
    pack_red,
    unpack_red,
)
from tests.media.rtc.packets import red

OPUS = 111
FRAME = 960


def unpack(payload: bytes) -> RedundantAudio | None:
    """Unpack a payload with frames of Opus."""
    return unpack_red(payload, OPUS)


def test_a_packet_without_repeated_frames_has_its_own() -> None:
    assert unpack(red(b"own")) == RedundantAudio(b"own", ())
    assert unpack(red(b"")) == RedundantAudio(b"", ())


def test_repeated_frames_are_those_of_the_packets_before() -> None:
    audio = unpack(red(b"own", [(2 * FRAME, b"older"), (FRAME, b"old")]))
    assert audio == RedundantAudio(b"own", (RepeatedFrame(2, 2 * FRAME, b"older"), RepeatedFrame(1, FRAME, b"old")))


def test_an_empty_repeated_frame_is_left_out() -> None:
    audio = unpack(red(b"own", [(2 * FRAME, b"older"), (FRAME, b"")]))
    assert audio == RedundantAudio(b"own", (RepeatedFrame(2, 2 * FRAME, b"older"),))


_TOO_MANY: Sequence[tuple[int, bytes]] = [(FRAME, b"x")] * (MAX_REPEATED_FRAMES + 1)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xef",
        bytes([0x80 | OPUS, 0, 0, 3]),
        bytes([0x80 | OPUS, 0, 0, 3, OPUS]) + b"ab",
        bytes([OPUS + 1]) + b"own",
        bytes([0x80 | OPUS + 1, 0, 0, 1, OPUS]) + b"xown",
        red(b"own", _TOO_MANY),
    ],
    ids=["empty", "cut header", "no own header", "cut frame", "another type", "another repeated type", "too many"],
)
def test_a_malformed_payload_is_refused(payload: bytes) -> None:
    assert unpack(payload) is None


def test_what_is_packed_is_unpacked() -> None:
    assert unpack(pack_red(b"own", OPUS)) == RedundantAudio(b"own", ())
    packed = pack_red(b"own", OPUS, [(16_383, b"x" * 1023)])
    assert unpack(packed) == RedundantAudio(b"own", (RepeatedFrame(1, 16_383, b"x" * 1023),))
    repeated = [(2 * FRAME, b"older"), (FRAME, b"old")]
    assert pack_red(b"own", OPUS, repeated) == red(b"own", repeated)


@pytest.mark.parametrize(("size", "elapsed"), [(0, FRAME), (1024, FRAME), (10, 0), (10, 16_384), (10, 0xFFFFFFFF)])
def test_a_frame_that_no_header_can_describe_is_left_out_with_those_before_it(size: int, elapsed: int) -> None:
    assert pack_red(b"own", OPUS, [(2 * FRAME, b"older"), (elapsed, b"x" * size)]) == pack_red(b"own", OPUS)


def test_frames_for_which_a_packet_has_no_room_are_left_out_the_oldest_first() -> None:
    repeated = [(1920, b"a" * 800), (960, b"b" * 700)]
    assert pack_red(b"own" * 100, OPUS, repeated) == red(b"own" * 100, repeated[1:])
    assert unpack(pack_red(bytes(1_500), OPUS, repeated)) == RedundantAudio(bytes(1_500), ())
