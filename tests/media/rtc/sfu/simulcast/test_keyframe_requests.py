"""The budget of keyframe requests, and which layer's turn it is."""

from stagebook.media.rtc.sfu.simulcast.keyframe_requests import (
    KEYFRAME_INTERVAL_SECONDS,
    MAX_KEYFRAMES_AT_ONCE,
    KeyframeRequests,
)
from stagebook.media.rtc.sfu.simulcast.simulcast_layers import Layer


class Section:
    """Two layers and the requests that were sent for them."""

    def __init__(self) -> None:
        self.layers = [Layer(ssrc=ssrc, clock_rate=90_000, rid=None, now=0.0) for ssrc in (1, 2)]
        self.sent: list[int] = []
        self._requests = KeyframeRequests(lambda layer: self.sent.append(layer.ssrc))

    def request(self, ssrc: int, now: float) -> None:
        """Request a keyframe of a layer."""
        self._requests.request(self.layers[ssrc - 1], self.layers, now)


def test_requests_in_quick_succession_are_merged() -> None:
    section = Section()
    for step in range(10):
        section.request(1, step * KEYFRAME_INTERVAL_SECONDS / 10)
    assert section.sent == [1]


def test_the_requests_of_all_layers_have_one_rate_in_the_long_run() -> None:
    section = Section()
    for step in range(2_000):
        section.request(1 + step % 2, step * 0.05)
    assert len(section.sent) <= MAX_KEYFRAMES_AT_ONCE + 100


def test_layers_that_need_a_keyframe_take_turns() -> None:
    section = Section()
    for step in range(20):
        section.request(1, step * 0.5)
        section.request(2, step * 0.5)
    assert section.sent[:6] == [1, 2, 1, 2, 1, 2]


def test_a_keyframe_that_has_come_is_not_requested_any_more() -> None:
    section = Section()
    section.request(1, 0.0)
    section.request(2, 0.1)
    section.layers[1].wants_keyframe = False
    section.request(1, 1.0)
    assert section.sent == [1, 1]
