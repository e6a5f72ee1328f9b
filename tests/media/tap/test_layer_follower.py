"""Which simulcast layer of a publisher a tap hands on."""

import av
import pytest

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.media_bus import MAX_VIDEO_TRACKS
from stagebook.media.tap.layer_follower import SETTLING_SECONDS, PictureLimit
from tests.media.tap.sent_packets import h264_frames, normalised
from tests.media.tap.tapped_publisher import TappedPublisher, publisher_plan

LAYERS = {11: ("q", 160, 120), 12: ("h", 320, 240), 13: ("f", 640, 480)}
"""RID and picture size by SSRC."""


class Simulcast(TappedPublisher):
    """A publisher with three layers."""

    def __init__(self, *, limit: PictureLimit | None = None, settling_seconds: float = SETTLING_SECONDS) -> None:
        super().__init__(publisher_plan(rids=("q", "h", "f")), limit=limit, settling_seconds=settling_seconds)
        self.sent = 0

    def send_all(self, *ssrcs: int, keyframes: bool = False, frames: int = 1) -> None:
        """Send frames of these layers at the same time."""
        for _ in range(frames):
            for ssrc in ssrcs or LAYERS:
                rid, width, height = LAYERS[ssrc]
                encoded = h264_frames(4, width, height)
                is_first = ssrc not in self.sequences
                frame = encoded[0] if keyframes or is_first else encoded[1]
                now = self.now
                self.send(frame, ssrc=ssrc, at=self.sent * 3000, rid=rid)
                self.now = now
            self.pass_time(1 / 30)
            self.sent += 1

    @property
    def heights(self) -> list[int]:
        """The heights of the keyframes so far."""
        found = []
        for frame in self.video:
            if frame.is_keyframe:
                context = av.CodecContext.create("h264", "r")
                picture, *_ = [*context.decode(av.Packet(frame.body)), *context.decode(None)]
                found.append(picture.height)
        return found


def test_the_best_layer_is_handed_on() -> None:
    publisher = Simulcast()
    publisher.send_all(frames=5)
    assert publisher.heights == [480]
    assert len(publisher.video) == 5


@pytest.mark.parametrize(("settling_seconds", "heights"), [(0.0, [120, 240, 480]), (SETTLING_SECONDS, [480])])
def test_without_settling_the_first_layer_is_handed_on_until_a_better_one_has_a_keyframe(
    settling_seconds: float, heights: list[int]
) -> None:
    publisher = Simulcast(settling_seconds=settling_seconds)
    publisher.send_all(11)
    assert len(publisher.video) == (1 if settling_seconds == 0 else 0)
    publisher.send_all(11, 12, 13, frames=3)
    assert publisher.heights == heights


@pytest.mark.parametrize(("wanted", "height"), [(None, 240), (480, 240), (240, 240), (100, 120)])
def test_layers_above_the_limit_are_avoided(wanted: int | None, height: int) -> None:
    publisher = Simulcast(limit=PictureLimit(longer_side=320, shorter_side=240))
    publisher.tap.choose_height(wanted, publisher.now)
    publisher.send_all(frames=5)
    assert publisher.heights == [height]


def test_a_layer_above_the_limit_is_better_than_none() -> None:
    publisher = Simulcast(limit=PictureLimit(longer_side=320, shorter_side=240))
    publisher.send_all(13, frames=20)
    assert publisher.heights == [480]
    publisher.send_all(11, 13, frames=20)
    assert publisher.heights == [480, 120]


@pytest.mark.parametrize(("width", "height"), [(240, 320), (320, 240), (16, 16)])
def test_a_limit_is_of_both_orientations(width: int, height: int) -> None:
    limit = PictureLimit(longer_side=320, shorter_side=240)
    assert limit.admits(width, height)
    assert not limit.admits(width + 305, height)
    assert not limit.admits(242, 242)


def test_the_best_layer_is_waited_for_a_moment_only() -> None:
    publisher = Simulcast()
    publisher.send_all(11, 12, frames=20)
    assert publisher.heights == [240]
    assert len(publisher.video) == 20


def test_a_higher_layer_takes_over_with_its_keyframe() -> None:
    publisher = Simulcast()
    publisher.send_all(11, 12, frames=20)
    publisher.send_all(frames=5)
    assert publisher.heights == [240, 480]
    # The lower layer's frame of the moment of the switch had been handed on.
    assert len(publisher.video) == 26
    assert [frame.is_new_stream for frame in publisher.video].count(True) == 1


def test_the_smallest_layer_that_is_high_enough_is_chosen() -> None:
    for wanted, height in ((1, 120), (120, 120), (121, 240), (480, 480), (2000, 480)):
        publisher = Simulcast()
        publisher.tap.choose_height(wanted, publisher.now)
        publisher.send_all(frames=5)
        assert publisher.heights == [height]


def test_another_choice_takes_effect_at_a_keyframe_without_a_gap() -> None:
    publisher = Simulcast()
    publisher.send_all(frames=5)
    publisher.tap.choose_height(100, publisher.now)
    publisher.send_all(frames=5)
    assert publisher.asked == [11]
    publisher.send_all(11, keyframes=True)
    publisher.send_all(frames=5)
    assert publisher.heights == [480, 120]
    assert len(publisher.video) == 16
    assert all(frame.is_keyframe for frame in publisher.video if frame.is_new_stream)


def test_a_layer_that_the_publisher_pauses_is_replaced_and_comes_back() -> None:
    publisher = Simulcast()
    publisher.send_all(frames=5)
    publisher.send_all(11, 12, frames=30)
    assert set(publisher.asked) == {12}
    publisher.send_all(11, 12, keyframes=True)
    publisher.send_all(11, 12, frames=5)
    assert publisher.heights == [480, 240]
    publisher.send_all(frames=5)
    assert publisher.asked[-1] == 13
    publisher.send_all(13, keyframes=True)
    publisher.send_all(frames=5)
    assert publisher.heights == [480, 240, 480]


def test_a_layer_that_is_joined_is_asked_for_its_size() -> None:
    publisher = Simulcast()
    publisher.sequences = dict.fromkeys(LAYERS, 5)
    publisher.send_all(frames=10)
    assert sorted(publisher.asked) == [11, 12, 13]
    publisher.send_all(keyframes=True)
    assert publisher.heights == [480]


def test_streams_are_bounded() -> None:
    publisher = TappedPublisher()
    for ssrc in range(1, 40):
        publisher.send(h264_frames()[0], ssrc=ssrc)
    assert len(publisher.tap._publisher._video.streams) <= MAX_VIDEO_TRACKS  # type: ignore[union-attr]


def test_the_frames_of_a_layer_are_whole() -> None:
    publisher = Simulcast()
    publisher.send_all(frames=2)
    assert [frame.body for frame in publisher.video] == [normalised(each) for each in h264_frames(4, 640, 480)[:2]]
    assert all(frame.codec is Codec.H264 for frame in publisher.video)
