"""The synthetic stream, parsed by the modules of the forwarder."""

from bench.forwarder.synthetic_stream import (
    FRAMES_PER_SECOND,
    HEIGHT,
    LARGE_FRAME_FRAGMENTS,
    WIDTH,
    SyntheticAudio,
    SyntheticVideo,
)
from stagebook.media.codecs import h264, h264_sps

HEADER_SIZE_BYTES = 12
SECONDS = 20


def payloads(frame: list[bytes]) -> list[bytes]:
    return [packet[HEADER_SIZE_BYTES:] for packet in frame]


def test_the_video_has_a_bitrate_of_one_and_a_half_megabits() -> None:
    video = SyntheticVideo(ssrc=1)
    for _ in range(SECONDS * FRAMES_PER_SECOND):
        video.next_frame()
    bitrate_bps = video.stream.payload_bytes * 8 / SECONDS
    assert abs(bitrate_bps - 1_500_000) < 15_000


def test_large_frames_have_a_bitrate_of_two_and_a_half_megabits() -> None:
    video = SyntheticVideo(ssrc=1, fragments=LARGE_FRAME_FRAGMENTS)
    for _ in range(SECONDS * FRAMES_PER_SECOND):
        video.next_frame()
    bitrate_bps = video.stream.payload_bytes * 8 / SECONDS
    assert abs(bitrate_bps - 2_500_000) < 100_000


def test_given_packets_of_sound_are_repeated() -> None:
    audio = SyntheticAudio(ssrc=1, packets=(b"a", b"b"))
    assert payloads([audio.next_frame() for _ in range(3)]) == [b"a", b"b", b"a"]


def test_video_and_audio_have_about_238_packets_a_second() -> None:
    video, audio = SyntheticVideo(ssrc=1), SyntheticAudio(ssrc=2)
    packets = sum(len(video.next_frame()) for _ in range(SECONDS * FRAMES_PER_SECOND))
    packets += sum(1 for _ in range(SECONDS * 50) if audio.next_frame())
    assert abs(packets / SECONDS - 238) < 1


def test_the_first_frame_is_a_keyframe_of_1280_by_720() -> None:
    first, *rest = payloads(SyntheticVideo(ssrc=1).next_frame())
    assert h264.starts_keyframe(first)
    sizes = [(sps.width, sps.height) for unit in h264.nal_units(first) if (sps := h264_sps.parse_sps(unit))]
    assert sizes == [(WIDTH, HEIGHT)]
    assert [h264.slice_type(unit) for packet in rest for unit in h264.nal_units(packet)] == [h264.SliceType.I]


def test_a_later_frame_has_p_slices() -> None:
    video = SyntheticVideo(ssrc=1)
    video.next_frame()
    frame = payloads(video.next_frame())
    assert not any(map(h264.starts_keyframe, frame))
    assert [h264.slice_type(unit) for packet in frame for unit in h264.nal_units(packet)] == [h264.SliceType.P]


def test_a_requested_keyframe_is_the_next_frame() -> None:
    video = SyntheticVideo(ssrc=1)
    video.next_frame()
    video.request_keyframe()
    assert h264.starts_keyframe(payloads(video.next_frame())[0])


def test_packets_have_consecutive_numbers_and_the_last_of_a_frame_has_the_marker() -> None:
    video = SyntheticVideo(ssrc=1)
    frames = [video.next_frame(), video.next_frame()]
    assert [int.from_bytes(packet[2:4]) for frame in frames for packet in frame] == list(range(sum(map(len, frames))))
    assert [[packet[1] >> 7 for packet in frame] for frame in frames] == [[0] * (len(f) - 1) + [1] for f in frames]
    assert [{int.from_bytes(packet[4:8]) for packet in frame} for frame in frames] == [{0}, {3_000}]


def test_sequence_numbers_wrap() -> None:
    audio = SyntheticAudio(ssrc=1)
    audio.stream.sequence = 0xFFFF
    assert [int.from_bytes(audio.next_frame()[2:4]) for _ in range(2)] == [0xFFFF, 0]
