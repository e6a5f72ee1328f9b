"""H.264, picture by picture: parameter sets go in band before every keyframe, once."""

import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.codecs.h264 import starts_keyframe
from stagebook.media.codecs.h264_sps import parse_sps
from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.ingest.pipeline.video_track import Picture, VideoTrack
from stagebook.media.media_bus import Unit
from stagebook.media.port import IngestFault
from tests.media.ingest import received
from tests.media.ingest.encoded_stream import parameter_sets, stream

IDR = b"\x65\x88\x84"
SLICE = b"\x41\x9a\x24"
SETS = parameter_sets()
OTHER_SETS = parameter_sets(width=640, height=352)


def _configuration(sets: list[bytes]) -> memoryview:
    """A record of one SPS and one PPS."""
    sps, pps = ((len(unit).to_bytes(2) + unit) for unit in sets)
    return memoryview(b"\x01" + sets[0][1:4] + b"\xff\xe1" + sps + b"\x01" + pps)


def _track() -> VideoTrack:
    track = VideoTrack()
    track.configure(_configuration(SETS))
    return track


def _joined(*units: bytes) -> memoryview:
    return memoryview(b"".join(len(unit).to_bytes(4) + unit for unit in units))


def _nal_units(picture: Picture | None) -> list[bytes]:
    assert picture is not None
    unit = Unit(kind=MediaKind.VIDEO, timestamp=0, is_keyframe=picture.is_keyframe, payloads=picture.payloads)
    return received.nal_units(unit)


def test_a_keyframe_begins_with_the_parameter_sets() -> None:
    track = _track()
    keyframe = track.picture(_joined(IDR))
    assert keyframe is not None
    assert keyframe.is_keyframe
    assert starts_keyframe(keyframe.payloads[0])
    assert [nal[0] & 0x1F for nal in _nal_units(keyframe)] == [7, 8, 5]
    other = track.picture(_joined(SLICE))
    assert other == Picture(is_keyframe=False, payloads=(SLICE,))


def test_sets_that_the_encoder_sends_in_band_are_not_sent_twice() -> None:
    track = _track()
    assert _nal_units(track.picture(_joined(*SETS, IDR))) == [*SETS, IDR]
    assert _nal_units(track.picture(_joined(*SETS, SLICE))) == [SLICE]


def test_every_slice_and_its_information_goes_on_and_the_rest_stays() -> None:
    delimiter, information, filler, end = b"\x09\xf0", b"\x06\x05\x01a", b"\x0c\xff\xff", b"\x0a"
    unspecified = b"\x18rtp"
    units = _nal_units(_track().picture(_joined(delimiter, information, IDR, b"\x65\x40", filler, unspecified, end)))
    assert units[2:] == [information, IDR, b"\x65\x40"]


def test_a_message_without_a_slice_is_no_picture() -> None:
    assert _track().picture(_joined(b"\x06\x05\x01a")) is None
    assert _track().picture(_joined()) is None


def test_a_picture_before_the_configuration_is_left_out() -> None:
    assert VideoTrack().picture(memoryview(b"garbage")) is None


def test_a_new_configuration_is_in_force_from_the_next_keyframe_on() -> None:
    track = _track()
    before = track.parameters
    track.configure(_configuration(OTHER_SETS))
    parameters = parse_sps(_nal_units(track.picture(_joined(IDR)))[0])
    assert parameters is not None
    assert (parameters.width, parameters.height) == (640, 352)
    assert track.parameters != before


def test_new_sets_in_band_stay_in_force() -> None:
    track = _track()
    assert _nal_units(track.picture(_joined(*OTHER_SETS, IDR))) == [*OTHER_SETS, IDR]
    assert _nal_units(track.picture(_joined(IDR))) == [*OTHER_SETS, IDR]


def test_a_set_that_changes_between_keyframes_is_sent_at_once() -> None:
    track = _track()
    other = b"\x68\x5e\x3c\x80"
    assert _nal_units(track.picture(_joined(other, SLICE))) == [other, SLICE]
    assert _nal_units(track.picture(_joined(IDR))) == [*SETS, other, IDR]


def test_a_profile_that_is_not_ours_is_refused_in_band_too() -> None:
    high_10 = parameter_sets(profile="high10", pixels="yuv420p10le")
    with pytest.raises(InputFaultError, match="High 10") as caught:
        _track().picture(_joined(*high_10, IDR))
    assert caught.value.fault is IngestFault.VIDEO_CODEC


def test_the_profile_for_sdp_is_the_streams_own() -> None:
    assert VideoTrack().parameters is None
    assert _track().parameters == "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42c00b"


def test_a_real_stream_arrives_bit_by_bit() -> None:
    configuration, *video = [message.payload for message in stream() if message.kind is MediaKind.VIDEO]
    track = VideoTrack()
    track.configure(memoryview(configuration)[5:])
    for payload in video[:-1]:
        units = _nal_units(track.picture(memoryview(payload)[5:]))
        assert _joined(*(unit for unit in units if unit[0] & 0x1F not in (7, 8))) == payload[5:]
