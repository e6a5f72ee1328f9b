"""The pacer of one viewer's video: its rate, its longest wait, and what is dropped."""

import pytest

from stagebook.media.rtc.sfu.fault_isolation import FaultIsolation
from stagebook.media.rtc.sfu.sending.send_queue import SendQueue
from stagebook.media.rtc.sfu.sending.send_schedule import SendSchedule
from stagebook.media.rtc.sfu.sending.sent_packet import NO_SHIFT, SentPacket
from stagebook.media.rtc.sfu.sending.viewer_pacer import LIMITED_SECONDS, MAX_WAIT_SECONDS, ViewerPacer
from tests.media.rtc.congestion.simulated_path import SimulatedPath
from tests.media.rtc.sfu.fake_viewer import FakeViewer
from tests.media.rtc.sfu.sending.manual_timers import ManualTimers

PAYLOAD = bytes(1000)


class PacedViewer(FakeViewer):
    """A viewer of a queue, with a pacer, and the times at which its packets were sent."""

    def __init__(self, *, rate_bps: float | None) -> None:
        super().__init__()
        self.timers = ManualTimers()
        isolation = FaultIsolation(clock=self.timers.clock)
        self.schedule = SendSchedule(call_later=self.timers.call_later, clock=self.timers.clock, isolation=isolation)
        self.queue = SendQueue(self.schedule)
        self.queue.add(self.down_track, NO_SHIFT, self.timers.now)
        self.pacer = ViewerPacer(self.down_track, schedule=self.schedule, rate=lambda: rate_bps)
        self.pacer.limit(self.timers.now)
        self.next_number = 0

    def put_frame(self, packets: int) -> None:
        """Put a frame into the queue, whose slices pass into the pacer."""
        for index in range(packets):
            packet = SentPacket(self.next_number, int(index == packets - 1), 9000, PAYLOAD)
            self.queue.put(packet, self.timers.now)
            self.next_number += 1


def test_a_burst_is_sent_at_the_rate() -> None:
    viewer = PacedViewer(rate_bps=1_000_000)
    viewer.put_frame(20)
    viewer.timers.advance(0.1)
    # 12 packets of some 8,300 bits, and those of the credit.
    assert 10 <= len(viewer.datagrams) <= 16
    viewer.timers.advance(0.1)
    assert [packet.sequence for packet in viewer.packets] == list(range(20))


def test_audio_is_hardly_delayed_by_a_keyframe_on_a_narrow_line() -> None:
    viewer = PacedViewer(rate_bps=0.9 * 1_000_000)
    path = SimulatedPath(1_000_000)
    delays: list[float] = []
    viewer.put_frame(40)
    for step in range(160):
        before = len(viewer.datagrams)
        viewer.timers.advance(0.005)
        for datagram, _ in viewer.datagrams[0 if step == 0 else before :]:
            path.send(len(datagram), lambda _: None)
        if step % 4 == 0:
            path.send(120, lambda now, sent_at=path.now: delays.append(now - sent_at))  # type: ignore[misc]  # a default
        path.run_until(path.now + 0.005)
    assert len(delays) >= 38
    assert max(delays) - min(delays) < 0.04


def test_a_packet_waits_no_longer_than_the_bound() -> None:
    viewer = PacedViewer(rate_bps=100_000)
    viewer.put_frame(100)
    viewer.timers.advance(MAX_WAIT_SECONDS + 0.1)
    assert len(viewer.datagrams) == 100


def test_what_follows_keeps_its_place_where_the_queue_is_finished_and_the_offset_changes() -> None:
    viewer = PacedViewer(rate_bps=1_000_000)
    viewer.put_frame(20)
    viewer.timers.advance(0.05)
    viewer.queue.finish(viewer.down_track, NO_SHIFT)
    viewer.down_track.sequence_offset = 1000
    viewer.timers.advance(0.5)
    assert [packet.sequence for packet in viewer.packets] == list(range(20))


def test_what_is_dropped_is_never_sent() -> None:
    viewer = PacedViewer(rate_bps=1_000_000)
    viewer.put_frame(20)
    viewer.timers.advance(0.05)
    sent = len(viewer.datagrams)
    assert 0.07 < viewer.pacer.wait_seconds() < 0.15
    assert viewer.pacer.drop() == (20 - sent, (20 - sent) * len(PAYLOAD))
    assert viewer.pacer.wait_seconds() == 0.0
    viewer.timers.advance(1.0)
    assert len(viewer.datagrams) == sent


@pytest.mark.parametrize("rate_bps", [None, 1_000_000.0])
def test_it_ends_some_time_after_the_last_limit_when_nothing_waits(rate_bps: float | None) -> None:
    viewer = PacedViewer(rate_bps=rate_bps)
    viewer.pacer.handle_timers(viewer.timers.now + LIMITED_SECONDS)
    assert viewer.pacer.is_used
    viewer.timers.advance(LIMITED_SECONDS + 0.1)
    viewer.put_frame(20)
    viewer.timers.advance(0.02)
    viewer.pacer.handle_timers(viewer.timers.now)
    assert viewer.pacer.is_used is (rate_bps is not None)
    viewer.timers.advance(1.0)
    viewer.pacer.handle_timers(viewer.timers.now)
    assert viewer.schedule.paced == 0
    assert len(viewer.datagrams) == 20
