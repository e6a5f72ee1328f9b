"""H.264 messages to RTP payloads, with the parameter sets in band, once, before every keyframe."""

import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.codecs.h264 import starts_keyframe
from stagebook.media.codecs.h264_sps import parse_sps
from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.ingest.pipeline.video_track import (
    DAMAGED_MESSAGES_WINDOW,
    MAX_DAMAGED_MESSAGES,
    MAX_DROPPED_FRAMES,
    VideoFrame,
    VideoTrack,
)
from stagebook.media.media_bus import Unit
from stagebook.media.port import IngestFault
from tests.media.ingest import received
from tests.media.ingest.encoded_stream import parameter_sets, stream

IDR = b"\x65\x88\x84"
SLICE = b"\x41\x9a\x24"
SETS = parameter_sets()
OTHER_SETS = parameter_sets(width=640, height=352)


def configuration(sets: list[bytes]) -> memoryview:
    """A record of one SPS and one PPS."""
    sps, pps = ((len(unit).to_bytes(2) + unit) for unit in sets)
    return memoryview(b"\x01" + sets[0][1:4] + b"\xff\xe1" + sps + b"\x01" + pps)


def make_track() -> VideoTrack:
    track = VideoTrack()
    track.configure(configuration(SETS))
    return track


def message(*units: bytes) -> memoryview:
    return memoryview(b"".join(len(unit).to_bytes(4) + unit for unit in units))


def nal_units(frame: VideoFrame | None) -> list[bytes]:
    assert frame is not None
    unit = Unit(kind=MediaKind.VIDEO, timestamp=0, is_keyframe=frame.is_keyframe, payloads=frame.payloads)
    return received.nal_units(unit)


def test_a_keyframe_begins_with_the_parameter_sets() -> None:
    track = make_track()
    keyframe = track.packetize(message(IDR))
    assert keyframe is not None
    assert keyframe.is_keyframe
    assert starts_keyframe(keyframe.payloads[0])
    assert [nal[0] & 0x1F for nal in nal_units(keyframe)] == [7, 8, 5]
    other = track.packetize(message(SLICE))
    assert other == VideoFrame(is_keyframe=False, payloads=(SLICE,))


def test_parameter_sets_that_the_encoder_sends_in_band_are_not_duplicated() -> None:
    track = make_track()
    assert nal_units(track.packetize(message(*SETS, IDR))) == [*SETS, IDR]
    assert nal_units(track.packetize(message(*SETS, SLICE))) == [SLICE]


def test_only_slices_and_sei_are_forwarded() -> None:
    delimiter, information, filler, end = b"\x09\xf0", b"\x06\x05\x01a", b"\x0c\xff\xff", b"\x0a"
    unspecified = b"\x18rtp"
    units = nal_units(
        make_track().packetize(message(delimiter, information, IDR, b"\x65\x40", filler, unspecified, end))
    )
    assert units[2:] == [information, IDR, b"\x65\x40"]


def test_a_message_without_a_slice_is_skipped() -> None:
    assert make_track().packetize(message(b"\x06\x05\x01a")) is None
    assert make_track().packetize(message()) is None


def test_a_frame_before_the_configuration_is_skipped() -> None:
    assert VideoTrack().packetize(memoryview(b"garbage")) is None


def test_a_new_configuration_is_sent_with_the_next_keyframe() -> None:
    track = make_track()
    before = track.parameters
    track.configure(configuration(OTHER_SETS))
    parameters = parse_sps(nal_units(track.packetize(message(IDR)))[0])
    assert parameters is not None
    assert (parameters.width, parameters.height) == (640, 352)
    assert track.parameters != before


def test_new_parameter_sets_in_band_replace_the_configured_ones() -> None:
    track = make_track()
    assert nal_units(track.packetize(message(*OTHER_SETS, IDR))) == [*OTHER_SETS, IDR]
    assert nal_units(track.packetize(message(IDR))) == [*OTHER_SETS, IDR]


def test_a_parameter_set_that_changes_between_keyframes_is_sent_at_once() -> None:
    track = make_track()
    other = b"\x68\x5e\x3c\x80"
    assert nal_units(track.packetize(message(other, SLICE))) == [other, SLICE]
    assert nal_units(track.packetize(message(IDR))) == [*SETS, other, IDR]


def test_an_unsupported_profile_in_band_is_refused() -> None:
    high_10 = parameter_sets(profile="high10", pixels="yuv420p10le")
    with pytest.raises(InputFaultError, match="High 10") as caught:
        make_track().packetize(message(*high_10, IDR))
    assert caught.value.fault is IngestFault.VIDEO_CODEC


def test_the_profile_for_sdp_is_that_of_the_stream() -> None:
    assert VideoTrack().parameters is None
    assert make_track().parameters == "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42c00b"


def test_the_nal_units_of_a_real_stream_arrive_unchanged() -> None:
    configuration, *video = [message.payload for message in stream() if message.kind is MediaKind.VIDEO]
    track = VideoTrack()
    track.configure(memoryview(configuration)[5:])
    for payload in video[:-1]:
        units = nal_units(track.packetize(memoryview(payload)[5:]))
        assert message(*(unit for unit in units if unit[0] & 0x1F not in (7, 8))) == payload[5:]


def byte_stream(*units: bytes) -> memoryview:
    return memoryview(b"".join(b"\0\0\0\1" + unit for unit in units))


LATER_SLICE = b"\x41\x5a\x24"
"""first_mb_in_slice is not 0."""
LATER_IDR = b"\x65\x58\x84"


def test_slices_in_a_message_of_their_own_continue_the_frame() -> None:
    track = make_track()
    assert track.packetize(message(LATER_SLICE)) == VideoFrame(
        is_keyframe=False, payloads=(LATER_SLICE,), is_continuation=True
    )
    assert track.packetize(message(LATER_IDR)) == VideoFrame(
        is_keyframe=False, payloads=(LATER_IDR,), is_continuation=True
    )


def test_a_parameter_set_that_changes_in_a_message_of_its_own_is_sent_with_the_next_frame() -> None:
    track = make_track()
    other = b"\x68\x5e\x3c\x80"
    assert track.packetize(message(other)) is None
    assert nal_units(track.packetize(message(SLICE))) == [other, SLICE]
    assert nal_units(track.packetize(message(SLICE))) == [SLICE]


def test_after_damage_messages_are_dropped_until_the_next_keyframe() -> None:
    track = make_track()
    track.drop_until_keyframe("damage")
    assert track.packetize(message(SLICE)) is None
    assert track.packetize(message(LATER_IDR)) is None, "the first slice of the keyframe is missing"
    keyframe = track.packetize(message(IDR))
    assert keyframe is not None
    assert keyframe.is_keyframe
    assert track.packetize(message(SLICE)) is not None
    assert track.damaged_messages == 1


def test_too_much_damage_is_an_input_fault() -> None:
    track = make_track()
    for _ in range(MAX_DAMAGED_MESSAGES - 1):
        track.packetize(message(IDR))
        track.drop_until_keyframe("the first byte is wrong")
    track.packetize(message(IDR))
    with pytest.raises(InputFaultError, match=r"30 of 30 video messages are malformed; .* the first byte is wrong"):
        track.drop_until_keyframe("the first byte is wrong")


def test_rare_damage_is_accepted_for_ever() -> None:
    track = make_track()
    for _ in range(3 * MAX_DAMAGED_MESSAGES):
        for _ in range(DAMAGED_MESSAGES_WINDOW // (MAX_DAMAGED_MESSAGES - 1) + 1):
            track.packetize(message(IDR))
        track.drop_until_keyframe("damage")


def test_damage_without_a_keyframe_after_it_is_an_input_fault() -> None:
    track = make_track()
    track.drop_until_keyframe("damage")
    for _ in range(MAX_DROPPED_FRAMES):
        assert track.packetize(message(SLICE)) is None
        assert track.packetize(message(LATER_SLICE)) is None
        track.check_recovery()
    assert track.packetize(message(SLICE)) is None
    with pytest.raises(InputFaultError, match="no keyframe came in 900 frames"):
        track.check_recovery()


def test_frames_may_be_a_byte_stream_after_a_configuration_record() -> None:
    assert nal_units(make_track().packetize(byte_stream(b"\x09\xf0", *SETS, IDR))) == [*SETS, IDR]


def test_a_byte_stream_needs_no_configuration() -> None:
    track = VideoTrack()
    assert track.packetize(byte_stream(SLICE)) is None
    assert nal_units(track.packetize(byte_stream(*SETS, IDR))) == [*SETS, IDR]
    assert track.parameters == make_track().parameters


def test_the_parameter_sets_of_a_byte_stream_may_come_one_by_one() -> None:
    track = VideoTrack()
    for unit in SETS:
        assert not track.is_configured
        assert track.packetize(byte_stream(unit)) is None
    assert nal_units(track.packetize(byte_stream(IDR))) == [*SETS, IDR]


def test_the_configuration_may_be_a_byte_stream() -> None:
    track = VideoTrack()
    track.configure(byte_stream(*SETS))
    assert nal_units(track.packetize(message(IDR))) == [*SETS, IDR]
