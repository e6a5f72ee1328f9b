"""A track that publishers feed, one after the other: who is asked for keyframes, and what viewers get of a switch."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.rtc.rtp.rtp_packet import sequence_distance
from stagebook.media.rtc.sfu.down_track import MAX_PAYLOAD_SIZE_BYTES
from tests.media.rtc.sfu.fake_viewer import FakeViewer
from tests.media.rtc.sfu.test_source_track import send, track


class Asked:
    """An origin that counts the keyframes it is asked for."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def request_keyframe(self, now: float) -> None:
        """Note it."""
        self.times.append(now)


def test_a_waiting_viewer_makes_the_track_ask_for_a_keyframe_until_it_comes() -> None:
    made, origin, viewer = track(), Asked(), FakeViewer()
    made.requester = origin
    made.add(viewer.down_track, 1.0)
    send(made, 1000)
    assert len(origin.times) == 2
    send(made, 1001, can_start=True)
    send(made, 1002)
    assert len(origin.times) == 2


def test_sound_is_never_asked_for_a_keyframe() -> None:
    made, origin, viewer = track(MediaKind.AUDIO), Asked(), FakeViewer()
    made.requester = origin
    made.add(viewer.down_track, 1.0)
    send(made, 1000)
    assert origin.times == []


def test_a_payload_too_large_for_any_datagram_of_ours_goes_nowhere() -> None:
    made, viewer = track(), FakeViewer()
    made.add(viewer.down_track, 0.0)
    send(made, 1000, can_start=True, payload=bytes(MAX_PAYLOAD_SIZE_BYTES + 1))
    assert viewer.datagrams == []


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.lists(st.integers(0, 30), min_size=1, max_size=20)), max_size=5))
def test_whoever_publishes_a_viewer_never_gets_a_number_twice_with_other_content(
    streams: list[tuple[int, list[int]]],
) -> None:
    made, viewer = track(), FakeViewer()
    made.add(viewer.down_track, 0.0)
    now = 0.0
    for number, (start, steps) in enumerate(streams):
        made.switch(sequence=start, timestamp=0, now=now)
        for step in dict.fromkeys([0, *steps]):
            now += 0.01
            made.forward(
                sequence=(start + step) & 0xFFFF,
                marker=0,
                timestamp=step * 3000,
                payload=f"{number}:{step}".encode(),
                now=now,
                can_start=True,
            )
    content: dict[int, bytes] = {}
    for packet in viewer.packets:
        assert content.setdefault(packet.sequence, packet.payload) == packet.payload
        assert sequence_distance(packet.sequence, 7) >= 0
