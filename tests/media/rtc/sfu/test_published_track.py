"""A track fed by successive publishers: keyframe requests, and continuous sequence numbers across a switch."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.rtc.rtp.rtp_packet import sequence_distance
from stagebook.media.rtc.sfu.down_track import MAX_PAYLOAD_SIZE_BYTES
from stagebook.media.rtc.sfu.simulcast.picture_layers import PictureLayer
from tests.media.rtc.sfu.fake_viewer import FakeViewer
from tests.media.rtc.sfu.test_source_track import make_track, send


class FakeRequester:
    """Records the keyframe requests."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def request_keyframe(self, now: float) -> None:
        """Record a request."""
        self.times.append(now)


def test_a_keyframe_is_requested_for_a_waiting_viewer_until_it_arrives() -> None:
    track, requester, viewer = make_track(), FakeRequester(), FakeViewer()
    track.requester = requester
    track.add(viewer.down_track, 1.0)
    send(track, 1000)
    assert len(requester.times) == 2
    send(track, 1001, can_start=True)
    send(track, 1002)
    assert len(requester.times) == 2


def test_no_keyframe_is_requested_for_audio() -> None:
    track, requester, viewer = make_track(MediaKind.AUDIO), FakeRequester(), FakeViewer()
    track.requester = requester
    track.add(viewer.down_track, 1.0)
    send(track, 1000)
    assert requester.times == []


def test_a_payload_that_is_too_large_is_dropped() -> None:
    track, viewer = make_track(), FakeViewer()
    track.add(viewer.down_track, 0.0)
    send(track, 1000, can_start=True, payload=bytes(MAX_PAYLOAD_SIZE_BYTES + 1))
    assert viewer.datagrams == []


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.lists(st.integers(0, 30), min_size=1, max_size=20)), max_size=5))
def test_a_viewer_never_gets_two_payloads_with_one_sequence_number(
    streams: list[tuple[int, list[int]]],
) -> None:
    track, viewer = make_track(), FakeViewer()
    track.add(viewer.down_track, 0.0)
    now = 0.0
    for number, (start, steps) in enumerate(streams):
        track.switch(sequence=start, timestamp=0, now=now)
        for step in dict.fromkeys([0, *steps]):
            now += 0.01
            track.forward(
                sequence=(start + step) & 0xFFFF,
                marker=0,
                timestamp=step * 3000,
                payload=f"{number}:{step}".encode(),
                now=now,
                layer=PictureLayer(starts_keyframe=True),
            )
    content: dict[int, bytes] = {}
    for packet in viewer.packets:
        assert content.setdefault(packet.sequence, packet.payload) == packet.payload
        assert sequence_distance(packet.sequence, 7) >= 0
