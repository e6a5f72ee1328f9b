"""Still pictures of a publisher with one layer, for viewers whose lines carry no more."""

from itertools import pairwise

import pytest

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.codecs.vp8_descriptor import parse_descriptor
from stagebook.media.connection_statistics import LayerReason
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from stagebook.media.rtc.sfu.fault_isolation import FaultIsolation
from stagebook.media.rtc.sfu.published_track import PublishedTrack
from stagebook.media.rtc.sfu.sending.send_schedule import SendSchedule
from stagebook.media.rtc.sfu.simulcast.layer_allocation import STILL_INTERVAL_SECONDS
from stagebook.media.rtc.sfu.simulcast.layer_allocator import STILLS
from stagebook.media.rtc.sfu.simulcast.picture_layers import PictureLayer
from stagebook.media.rtc.sfu.simulcast.still_track import STILL_BPS
from tests.media.rtc.sfu.fake_viewer import FakeViewer
from tests.media.rtc.sfu.sending.manual_timers import ManualTimers
from tests.media.rtc.sfu.simulcast.test_layer_allocation import AllocationScenario, Viewer, check_continuous

PAYLOAD_BYTES = 1000
LARGE_BYTES = 1000
"""Of a packet of the scenario: the whole video takes 1 Mbit/s, and its lowest temporal layer 250 kbit/s."""
WIDE_BPS, STILLS_BPS, NARROW_BPS = 3_000_000, 220_000, 100_000


class OneLayer(AllocationScenario):
    """A publisher with one layer, and one viewer on a wide line, which nothing may disturb."""

    def __init__(self) -> None:
        super().__init__(["only"])
        self.sent["only"].filler_bytes = LARGE_BYTES
        self.run(4)
        self.other = self.watching(WIDE_BPS)
        self.slow = self.watching(WIDE_BPS)
        self.run(3)
        for viewer in self.viewers:
            viewer.received()


def keyframes(packets: list[RtpPacket]) -> list[bool]:
    """Whether each frame is a keyframe."""
    read = [(packet, parse_descriptor(packet.payload)) for packet in packets]
    return [found.is_key for _, found in read if found is not None and found.starts_frame]


def take(viewer: Viewer) -> list[RtpPacket]:
    packets = viewer.packets
    viewer.datagrams.clear()
    return packets


def test_a_viewer_with_a_slow_line_is_sent_keyframes_alone_and_few_are_requested() -> None:
    scenario = OneLayer()
    scenario.slow.narrow(STILLS_BPS)
    scenario.run(1)
    take(scenario.slow)
    scenario.requested.clear()
    scenario.run(3 * STILL_INTERVAL_SECONDS)
    assert keyframes(take(scenario.slow)) == [True] * len(scenario.requested)
    assert 2 <= len(scenario.requested) <= 3
    assert scenario.limits == []
    assert scenario.allocation.reason(scenario.slow, scenario.slow.video) is LayerReason.BANDWIDTH
    check_continuous(take(scenario.other))


def test_keyframes_that_come_for_others_are_stills_as_well() -> None:
    scenario = OneLayer()
    scenario.slow.narrow(STILLS_BPS)
    scenario.run(2)
    take(scenario.slow)
    scenario.requested.clear()
    for _ in range(5):
        scenario.sent["only"].keyframe_is_due = True
        scenario.run(1)
    assert keyframes(take(scenario.slow)) == [True] * 5
    assert scenario.requested == []


@pytest.mark.parametrize("seconds", [2, 6])
def test_the_stream_of_a_viewer_continues_from_video_to_stills_and_back(seconds: float) -> None:
    scenario = OneLayer()
    scenario.slow.narrow(STILLS_BPS)
    scenario.run(seconds)
    scenario.requested.clear()
    scenario.slow.bandwidth.estimate_bps = WIDE_BPS
    scenario.run(8)
    # Its decoder lacks the frames since the last still, so the video begins with a keyframe.
    assert scenario.requested == ["only"]
    packets = take(scenario.slow)
    check_continuous(packets)
    read = keyframes(packets)
    assert read[-1] is False
    assert scenario.allocation.reason(scenario.slow, scenario.slow.video) is LayerReason.BEST


def test_a_line_that_changes_all_the_time_costs_the_publisher_few_keyframes() -> None:
    scenario = OneLayer()
    scenario.requested.clear()
    for _ in range(12):
        scenario.slow.narrow(STILLS_BPS)
        scenario.run(1)
        scenario.slow.bandwidth.estimate_bps = WIDE_BPS
        scenario.run(1)
    assert len(scenario.requested) <= 4


def test_a_line_that_does_not_carry_stills_either_gets_no_video() -> None:
    scenario = OneLayer()
    scenario.slow.narrow(NARROW_BPS)
    scenario.run(1)
    take(scenario.slow)
    scenario.run(3)
    assert take(scenario.slow) == []


def test_a_line_that_carries_all_that_it_is_sent_keeps_the_video_below_a_low_estimate() -> None:
    scenario = OneLayer()
    scenario.slow.bandwidth.is_full = False
    scenario.slow.narrow(STILLS_BPS)
    scenario.run(1)
    take(scenario.slow)
    scenario.run(1)
    assert keyframes(take(scenario.slow)).count(False) > 20


class Stills:
    """A track of H.264 with one viewer of its stills, by a schedule."""

    def __init__(self) -> None:
        self.timers = ManualTimers()
        schedule = SendSchedule(
            call_later=self.timers.call_later,
            clock=self.timers.clock,
            isolation=FaultIsolation(clock=self.timers.clock),
        )
        self.track = PublishedTrack(
            kind=MediaKind.VIDEO,
            codec=Codec.H264,
            clock_rate=90_000,
            random_bits=lambda _: 7,
            schedule=schedule,
        )
        self.track.switch(sequence=0, timestamp=0, now=self.timers.now)
        self.viewer = FakeViewer()
        self.track.version(STILLS).add(self.viewer.down_track, self.timers.now)
        self.sequence = 0

    def send(self, count: int, *, is_key: bool, left_out: int | None = None) -> None:
        """Send a frame."""
        timestamp = round((self.timers.now - 100.0) * 90_000)
        for index in range(count):
            if index != left_out:
                self.send_packet(index, count, timestamp, is_key=is_key)
        self.sequence += count

    def send_packet(self, index: int, count: int, timestamp: int, *, is_key: bool, is_late: bool = False) -> None:
        self.track.forward(
            sequence=self.sequence + index,
            marker=int(index == count - 1),
            timestamp=timestamp,
            payload=bytes(PAYLOAD_BYTES - 1) + bytes([index]),
            now=self.timers.now,
            layer=PictureLayer(starts_keyframe=is_key and index == 0, starts_frame=index == 0),
            is_late=is_late,
        )

    def indexes(self) -> list[int]:
        """The packets that came, by their index in the frame."""
        packets = self.viewer.packets
        assert all(after.sequence == (before.sequence + 1) & 0xFFFF for before, after in pairwise(packets))
        return [packet.payload[-1] for packet in packets]


def test_a_still_is_sent_slowly_and_one_that_begins_meanwhile_is_left_out() -> None:
    scenario = Stills()
    scenario.send(50, is_key=True)
    scenario.timers.advance(1)
    assert len(scenario.viewer.datagrams) * 8 * PAYLOAD_BYTES <= STILL_BPS
    scenario.send(20, is_key=True)
    scenario.timers.advance(4)
    assert scenario.indexes() == list(range(50))


def test_frames_between_keyframes_are_not_sent() -> None:
    scenario = Stills()
    for is_key in (False, True, False, True):
        scenario.send(3, is_key=is_key)
        scenario.timers.advance(1)
    assert scenario.indexes() == [0, 1, 2] * 2


def test_a_still_waits_for_its_late_packet() -> None:
    scenario = Stills()
    scenario.send(5, is_key=True, left_out=2)
    scenario.timers.advance(1)
    assert scenario.viewer.datagrams == []
    scenario.sequence -= 5
    scenario.send_packet(2, 5, 0, is_key=True, is_late=True)
    scenario.timers.advance(1)
    assert scenario.indexes() == [0, 1, 2, 3, 4]


def test_the_timestamp_of_a_still_is_that_of_its_last_packet() -> None:
    scenario = Stills()
    scenario.timers.advance(1)
    scenario.send(25, is_key=True)
    while len(scenario.viewer.datagrams) < 25:
        scenario.timers.advance(0.01)
    (timestamp,) = {packet.timestamp for packet in scenario.viewer.packets}
    newest = scenario.track.newest
    assert newest is not None
    whole_timestamp, at = newest
    assert (timestamp - whole_timestamp) / 90_000 == pytest.approx(scenario.timers.now - at, abs=0.1)


def test_nothing_more_of_a_still_is_sent_when_its_viewers_have_left() -> None:
    scenario = Stills()
    scenario.send(50, is_key=True)
    scenario.timers.advance(0.5)
    scenario.track.version(STILLS).remove(scenario.viewer.down_track)
    scenario.timers.advance(0.5)
    assert scenario.timers.count == 0
