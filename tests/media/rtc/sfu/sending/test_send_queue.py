"""The queue between a track and its viewers: batches, pacing, and viewers that start and leave meanwhile."""

import pytest

from stagebook.media.rtc.sfu.fault_isolation import FaultIsolation
from stagebook.media.rtc.sfu.sending.send_queue import (
    MAX_DELAY_SECONDS,
    MAX_QUEUED_PACKETS,
    SLICE_PACKETS,
    SLICE_SECONDS,
    SendQueue,
)
from stagebook.media.rtc.sfu.sending.send_schedule import DOWN_TRACKS_FOR_MAX_WAIT, MAX_WAIT_SECONDS, SendSchedule
from stagebook.media.rtc.sfu.sending.sent_packet import NO_SHIFT, SentPacket, Shift
from tests.media.rtc.sfu.fake_viewer import FakeViewer
from tests.media.rtc.sfu.sending.manual_timers import ManualTimers


class QueueScenario:
    """A queue with one viewer, and timers that the test runs."""

    def __init__(self) -> None:
        self.timers = ManualTimers()
        isolation = FaultIsolation(clock=self.timers.clock)
        self.schedule = SendSchedule(call_later=self.timers.call_later, clock=self.timers.clock, isolation=isolation)
        self.queue = SendQueue(self.schedule)
        self.viewer = self.add_viewer(5)
        self._next = 0

    def add_viewer(self, ssrc: int, shift: Shift = NO_SHIFT) -> FakeViewer:
        """A viewer that starts now."""
        viewer = FakeViewer(ssrc)
        self.queue.add(viewer.down_track, shift, self.timers.now)
        return viewer

    def put(self, count: int = 1, *, ends_frame: bool = False) -> None:
        """Put the next packets into the queue; the last one may end the frame."""
        for index in range(count):
            marker = int(ends_frame and index == count - 1)
            self.queue.put(SentPacket(self._next, marker, self._next, b"payload"), self.timers.now)
            self._next += 1


@pytest.fixture
def scenario() -> QueueScenario:
    """A queue with one viewer."""
    return QueueScenario()


def test_what_one_wake_up_of_the_loop_brings_is_one_batch(scenario: QueueScenario) -> None:
    scenario.put(3)
    assert scenario.viewer.datagrams == []
    scenario.timers.advance(0.0)
    assert scenario.viewer.runs == [3]


def test_the_end_of_a_frame_sends_the_batch_at_once(scenario: QueueScenario) -> None:
    scenario.put(3, ends_frame=True)
    assert scenario.viewer.runs == [3]
    assert scenario.timers.count == 0


def test_an_engine_with_many_viewers_waits_for_the_end_of_the_frame(scenario: QueueScenario) -> None:
    scenario.schedule.down_tracks = DOWN_TRACKS_FOR_MAX_WAIT
    scenario.put()
    scenario.timers.advance(MAX_WAIT_SECONDS * 0.9)
    scenario.put()
    assert scenario.viewer.datagrams == []
    scenario.put(ends_frame=True)
    assert scenario.viewer.runs == [3]


def test_it_waits_no_longer_than_the_bound(scenario: QueueScenario) -> None:
    scenario.schedule.down_tracks = 100 * DOWN_TRACKS_FOR_MAX_WAIT
    scenario.put(2)
    scenario.timers.advance(MAX_WAIT_SECONDS)
    assert scenario.viewer.runs == [2]


def test_the_wait_follows_the_viewers_that_come_and_go(scenario: QueueScenario) -> None:
    others = [scenario.add_viewer(ssrc) for ssrc in range(10, 9 + DOWN_TRACKS_FOR_MAX_WAIT)]
    assert scenario.schedule.wait_seconds == MAX_WAIT_SECONDS
    for other in others:
        scenario.queue.remove(other.down_track, NO_SHIFT)
    assert scenario.schedule.wait_seconds == 0.0


def test_a_burst_is_sent_in_slices(scenario: QueueScenario) -> None:
    scenario.put(60, ends_frame=True)
    sent = [len(scenario.viewer.datagrams)]
    while scenario.timers.count:
        scenario.timers.advance(SLICE_SECONDS)
        sent.append(len(scenario.viewer.datagrams))
    assert sent == [16, 32, 48, 60]
    assert [packet.sequence for packet in scenario.viewer.packets] == list(range(60))


def test_packets_behind_a_burst_wait_for_their_turn(scenario: QueueScenario) -> None:
    scenario.put(2 * SLICE_PACKETS, ends_frame=True)
    scenario.put(ends_frame=True)
    assert len(scenario.viewer.datagrams) == SLICE_PACKETS
    scenario.timers.advance(2 * SLICE_SECONDS)
    assert [packet.sequence for packet in scenario.viewer.packets] == list(range(2 * SLICE_PACKETS + 1))


def test_the_rate_holds_over_several_frames(scenario: QueueScenario) -> None:
    for _ in range(4):
        scenario.put(SLICE_PACKETS // 2, ends_frame=True)
    assert len(scenario.viewer.datagrams) < 3 * SLICE_PACKETS // 2
    scenario.timers.advance(2 * SLICE_SECONDS)
    assert len(scenario.viewer.datagrams) == 2 * SLICE_PACKETS


def test_no_packet_waits_longer_than_the_bound(scenario: QueueScenario) -> None:
    scenario.put(MAX_QUEUED_PACKETS - 24, ends_frame=True)
    assert len(scenario.viewer.datagrams) < MAX_QUEUED_PACKETS / 8
    scenario.timers.advance(MAX_DELAY_SECONDS)
    assert len(scenario.viewer.datagrams) == MAX_QUEUED_PACKETS - 24


def test_no_more_packets_wait_than_the_bound(scenario: QueueScenario) -> None:
    scenario.put(3 * MAX_QUEUED_PACKETS)
    scenario.timers.advance(SLICE_SECONDS)
    assert len(scenario.viewer.datagrams) >= 2 * MAX_QUEUED_PACKETS


def test_a_viewer_that_starts_during_a_burst_gets_what_follows_its_start(scenario: QueueScenario) -> None:
    scenario.put(40)
    late = scenario.add_viewer(6, Shift(timestamp=1000))
    scenario.put(2, ends_frame=True)
    scenario.timers.advance(1.0)
    assert [(packet.sequence, packet.timestamp) for packet in late.packets] == [(40, 1040), (41, 1041)]
    assert len(scenario.viewer.packets) == 42


def test_a_viewer_that_leaves_in_the_middle_of_a_burst_is_sent_nothing_more(scenario: QueueScenario) -> None:
    scenario.put(40, ends_frame=True)
    waiting = scenario.add_viewer(6)
    scenario.put(10)
    for viewer in (scenario.viewer, waiting):
        scenario.queue.remove(viewer.down_track, NO_SHIFT)
    scenario.timers.advance(1.0)
    assert len(scenario.viewer.datagrams) == SLICE_PACKETS
    assert waiting.datagrams == []


def test_what_waits_for_a_viewer_is_sent_before_something_else_continues_its_stream(scenario: QueueScenario) -> None:
    scenario.put(20, ends_frame=True)
    second = scenario.add_viewer(6)
    scenario.put(3)
    for viewer in (scenario.viewer, second):
        scenario.queue.finish(viewer.down_track, NO_SHIFT)
        scenario.queue.remove(viewer.down_track, NO_SHIFT)
    scenario.timers.advance(1.0)
    assert [packet.sequence for packet in scenario.viewer.packets] == list(range(23))
    assert [packet.sequence for packet in second.packets] == [20, 21, 22]


def test_a_late_packet_is_sent_at_once_to_those_that_may_have_it(scenario: QueueScenario) -> None:
    other = scenario.add_viewer(6)
    scenario.put(30, ends_frame=True)
    starting = scenario.add_viewer(7)
    late = SentPacket(65535, 0, 0, b"late")
    scenario.queue.send_late(late, 0.0, may_send=lambda each: each is other.down_track)
    assert len(other.datagrams) == SLICE_PACKETS + 1
    assert len(scenario.viewer.datagrams) == SLICE_PACKETS
    assert starting.datagrams == []


def test_a_track_without_viewers_queues_nothing(scenario: QueueScenario) -> None:
    scenario.queue.remove(scenario.viewer.down_track, NO_SHIFT)
    scenario.put(100)
    assert scenario.timers.count == 0


def test_a_failure_does_not_stop_the_queue(scenario: QueueScenario, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise RuntimeError

    scenario.put(3 * SLICE_PACKETS, ends_frame=True)
    with monkeypatch.context() as patched:
        patched.setattr(scenario.viewer.down_track, "send_run", fail)
        scenario.timers.advance(SLICE_SECONDS)
    scenario.put(ends_frame=True)
    scenario.timers.advance(1.0)
    scenario.put()
    scenario.timers.advance(MAX_WAIT_SECONDS)
    received = [packet.timestamp for packet in scenario.viewer.packets]
    assert received[-2:] == [3 * SLICE_PACKETS, 3 * SLICE_PACKETS + 1]
