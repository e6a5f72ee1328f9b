"""Decoding of one participant with real H.264, VP8 and Opus, whole and damaged."""

import threading
from collections.abc import Iterator
from fractions import Fraction

import av
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.composition.inputs.decoding_threads import DecodingThread
from stagebook.media.composition.inputs.participant_decoder import MAX_WAITING_PICTURES, ParticipantDecoder
from stagebook.media.tap.tapped_frame import TappedFrame
from tests.media.composition.encoded_media import picture


def video(
    count: int, *, codec: Codec = Codec.H264, gop: int = 1_000, width: int = 320, height: int = 180, start_us: int = 0
) -> list[TappedFrame]:
    """Pictures of 30 Hz whose brightness is their number."""
    encoder = av.CodecContext.create("libx264" if codec is Codec.H264 else "libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.gop_size = width, height, "yuv420p", gop
    encoder.time_base, encoder.framerate = Fraction(1, 30), Fraction(30)
    encoder.options = (
        {"tune": "zerolatency", "preset": "ultrafast"} if codec is Codec.H264 else {"deadline": "realtime"}
    )
    frames = []
    for number in range(count):
        frame = picture(number, width=width, height=height)
        frame.pts = number
        frames += [
            TappedFrame(
                kind=MediaKind.VIDEO,
                codec=codec,
                time_us=start_us + (packet.pts or 0) * 1_000_000 // 30,
                body=bytes(packet),
                is_keyframe=packet.is_keyframe,
            )
            for packet in encoder.encode(frame)
        ]
    return frames


def damaged(frame: TappedFrame) -> TappedFrame:
    return TappedFrame(
        kind=frame.kind, codec=frame.codec, time_us=frame.time_us, body=b"\x00\x00\x01\x65", is_keyframe=True
    )


class Decoded:
    """What a decoder makes of frames."""

    def __init__(self) -> None:
        self.thread = DecodingThread(0)
        self.pictures: list[int] = []
        self.times_us: list[int] = []
        self.samples: list[NDArray[np.int16]] = []
        self.keyframe_requests = 0
        self.decoder = ParticipantDecoder("ann", thread=self.thread, media=self, request_keyframe=self.request_keyframe)

    def request_keyframe(self) -> None:
        self.keyframe_requests += 1

    def take_picture(self, participant_id: str, picture: av.VideoFrame, time_us: int) -> None:
        """As DecodedMedia."""
        assert participant_id == "ann"
        self.pictures.append(int(picture.to_ndarray(format="gray")[90, 160]))
        self.times_us.append(time_us)

    def take_sound(self, participant_id: str, samples: NDArray[np.int16], time_us: int) -> None:
        """As DecodedMedia."""
        assert participant_id == "ann"
        self.samples.append(samples)
        self.times_us.append(time_us)

    def settle(self) -> None:
        """Wait for what was submitted to the thread."""
        done = threading.Event()
        self.thread.submit(done.set)
        assert done.wait(10)


@pytest.fixture(name="decoded")
def decoded_fixture() -> Iterator[Decoded]:
    decoded = Decoded()
    yield decoded
    decoded.thread.stop()


@pytest.mark.parametrize("codec", [Codec.H264, Codec.VP8])
def test_pictures_are_decoded_at_once_with_their_times(decoded: Decoded, codec: Codec) -> None:
    frames = video(5, codec=codec)
    for frame in frames:
        decoded.decoder.receive(frame)
    decoded.settle()
    assert decoded.times_us == [frame.time_us for frame in frames]
    assert decoded.pictures == pytest.approx([20, 21, 22, 23, 24], abs=3)


def test_it_begins_with_a_keyframe_and_asks_for_one(decoded: Decoded) -> None:
    frames = video(4, gop=2)
    for frame in frames[1:]:
        decoded.decoder.receive(frame)
    decoded.settle()
    assert decoded.keyframe_requests == 1
    assert decoded.times_us == [frame.time_us for frame in frames[2:]]


def test_of_pictures_above_1080p_one_keyframe_a_second_is_decoded(decoded: Decoded) -> None:
    """A publisher grows above 1080p and becomes smaller again."""
    small, large = video(2), video(4, gop=2, width=1936, height=1088, start_us=1_000_000)
    for frame in (*small, *large, *video(2, start_us=2_000_000)):
        decoded.decoder.receive(frame)
        decoded.settle()
    assert decoded.times_us == [0, 33_333, 1_000_000, 2_000_000, 2_033_333]
    assert decoded.keyframe_requests == 0


def test_a_publisher_that_changes_its_large_size_all_the_time_is_decoded_once_a_second(decoded: Decoded) -> None:
    large = video(1, width=1936, height=1088)[0]
    for number in range(60):
        frame = msgspec.structs.replace(large, time_us=number * 50_000, is_new_stream=True)
        decoded.decoder.receive(frame)
        decoded.settle()
    assert decoded.times_us == [0, 1_000_000, 2_000_000]
    # The last one may have been a smaller one: another keyframe is requested.
    decoded.decoder.receive(msgspec.structs.replace(large, time_us=3_000_000, is_keyframe=False))
    assert decoded.keyframe_requests == 1


def test_a_damaged_picture_ends_nothing(decoded: Decoded) -> None:
    frames = video(6, gop=3)
    for frame in (frames[0], damaged(frames[1]), frames[2], frames[3], frames[4]):
        decoded.decoder.receive(frame)
        decoded.settle()
    assert decoded.keyframe_requests >= 1
    assert decoded.times_us == [frames[number].time_us for number in (0, 3, 4)]


def test_after_a_loss_it_waits_for_a_keyframe(decoded: Decoded) -> None:
    first, *frames = video(6, gop=3)
    lost = TappedFrame(
        kind=MediaKind.VIDEO,
        codec=Codec.H264,
        time_us=frames[0].time_us,
        body=frames[0].body,
        is_keyframe=False,
        is_after_loss=True,
    )
    for frame in (first, lost, *frames[1:]):
        decoded.decoder.receive(frame)
    decoded.settle()
    assert decoded.times_us == [first.time_us, frames[2].time_us, frames[3].time_us, frames[4].time_us]


def test_who_has_no_tile_is_not_decoded(decoded: Decoded) -> None:
    frames = video(6, gop=3)
    decoded.decoder.shows_video = False
    for frame in frames[:3]:
        decoded.decoder.receive(frame)
    decoded.decoder.shows_video = True
    for frame in frames[3:]:
        decoded.decoder.receive(frame)
    decoded.settle()
    assert decoded.times_us == [frame.time_us for frame in frames[3:]]
    assert decoded.keyframe_requests == 0


def test_what_cannot_be_decoded_in_time_is_dropped_up_to_a_keyframe(decoded: Decoded) -> None:
    go_on = threading.Event()
    decoded.thread.submit(lambda: (go_on.wait(10), None)[1])
    frames = video(2)
    for frame in (frames[0], *[frames[1]] * (MAX_WAITING_PICTURES + 20)):
        decoded.decoder.receive(frame)
    go_on.set()
    decoded.settle()
    assert len(decoded.pictures) <= MAX_WAITING_PICTURES
    assert decoded.keyframe_requests == 21


def test_opus_becomes_stereo_samples(decoded: Decoded) -> None:
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
    tone = (np.sin(np.arange(9_600) * 2 * np.pi * 440 / 48_000) * 10_000).astype(np.int16)
    for number in range(10):
        frame = av.AudioFrame.from_ndarray(tone[number * 960 :][:960].reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48_000, number * 960
        for packet in encoder.encode(frame):
            decoded.decoder.receive(
                TappedFrame(
                    kind=MediaKind.AUDIO,
                    codec=Codec.OPUS,
                    time_us=number * 20_000,
                    body=bytes(packet),
                    is_keyframe=True,
                )
            )
    decoded.settle()
    assert decoded.times_us == [number * 20_000 for number in range(len(decoded.times_us))]
    assert all(samples.shape == (960, 2) for samples in decoded.samples)
    loud = np.concatenate(decoded.samples)[4_000:]
    assert np.abs(loud).max() > 8_000
    assert np.array_equal(loud[:, 0], loud[:, 1])
