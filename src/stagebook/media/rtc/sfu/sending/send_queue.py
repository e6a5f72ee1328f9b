"""The queue between a track and its viewers: it makes batches of the packets, and paces them.

Packets that arrive together, or one after another within the wait of the `SendSchedule`, are sent as one batch. The end
of a frame (the marker bit) ends a batch. Late packets do not wait. Audio has a track and a queue of its own, without a
schedule: it is sent at once, and is never behind video.

A track may have more to send at once than a viewer's line can take without loss: an encoder's keyframe has hundreds of
packets, and a publisher may send in bursts. So no more than SLICE_PACKETS are sent at once, and as many every
SLICE_SECONDS: 35 Mbit/s with packets of 1,100 bytes. A longer queue is sent in larger slices, so that a packet waits no
longer than MAX_DELAY_SECONDS. All viewers of a track share its queue, so the pacer costs nothing for a viewer.

A viewer that starts while packets are queued is sent those behind its start: its start takes a place in the queue.
"""

from collections import deque
from collections.abc import Callable, Sequence
from math import ceil
from typing import Final, NamedTuple, TypeAlias

from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.sending.fan_out import fan_out
from stagebook.media.rtc.sfu.sending.send_schedule import ScheduledCall, SendSchedule
from stagebook.media.rtc.sfu.sending.sent_packet import SentPacket, Shift

SLICE_PACKETS: Final = 16
SLICE_SECONDS: Final = 0.004
MAX_DELAY_SECONDS: Final = 0.04
"""The longest delay by pacing. Browsers' jitter buffers take it without a stall."""
MAX_QUEUED_PACKETS: Final = 1024
"""More are sent at once: as many as the history holds."""


class _Start(NamedTuple):
    """A down track that is sent the packets behind this place of the queue."""

    down_track: DownTrack
    shift: Shift


_Item: TypeAlias = tuple[float, SentPacket | _Start]
"""With the time when it was put into the queue."""


class SendQueue:
    """The live down tracks of one track, and the packets that wait to be sent to them."""

    def __init__(self, schedule: SendSchedule | None) -> None:
        """Without a schedule each packet is sent at once."""
        self._schedule = schedule
        self.groups: dict[Shift, list[DownTrack]] = {}
        """The live down tracks, apart from those whose start waits in the queue."""
        self._items: deque[_Item] = deque()
        self._timer: ScheduledCall | None = None
        self._is_pacing = False
        """Whether the timer sends the next slice. Nothing else sends then."""
        self._allowance: float = SLICE_PACKETS
        """Packets that may be sent at `_allowed_at`."""
        self._allowed_at = 0.0
        self._next_slice_at = 0.0
        """Until then only what the allowance permits is sent."""

    # Viewers

    def add(self, down_track: DownTrack, shift: Shift, now: float) -> None:
        """Send to a down track what is put into the queue from now on."""
        if self._schedule is not None:
            self._schedule.down_tracks += 1
        if self._items:
            self._items.append((now, _Start(down_track, shift)))
        else:
            self.groups.setdefault(shift, []).append(down_track)

    def remove(self, down_track: DownTrack, shift: Shift) -> None:
        """Stop sending to a down track that was added with this shift."""
        if self._schedule is not None:
            self._schedule.down_tracks -= 1
        group = self.groups.get(shift, [])
        if down_track in group:
            group.remove(down_track)
            if not group:
                del self.groups[shift]
        else:
            kept = (each for each in self._items if not _is_start_of(each, down_track))
            self._items = deque(kept)

    def finish(self, down_track: DownTrack, shift: Shift) -> None:
        """Send a down track what waits for it, before something else continues its stream."""
        if self._schedule is None or not self._items:
            return
        packets: list[SentPacket] = []
        for item in self._items:
            if _is_start_of(item, down_track):
                packets.clear()
            elif isinstance(item[1], SentPacket):
                packets.append(shift.apply(item[1]))
        fan_out([down_track], packets, now=self._schedule.clock())

    # Packets

    def put(self, packet: SentPacket, now: float) -> None:
        """Queue a packet for all down tracks. The last packet of a frame sends the queue."""
        schedule = self._schedule
        if schedule is None:
            self._send([packet], now)
            return
        if not self.groups and not self._items:
            return
        self._items.append((now, packet))
        if self._is_pacing:
            return
        if packet.marker or len(self._items) >= SLICE_PACKETS:
            self._send_due(now)
        elif self._timer is None:
            self._timer = schedule.call_later(schedule.wait_seconds, self._send_due)

    def send_late(self, packet: SentPacket, now: float, *, may_send: Callable[[DownTrack], bool]) -> None:
        """Send a packet at once that belongs before others that have been sent, to those down tracks that may have it.

        A down track whose start still waits in the queue is sent nothing from before it.
        """
        for shift, group in self.groups.items():
            fan_out([each for each in group if may_send(each)], [shift.apply(packet)], now=now)

    def _send_due(self, now: float) -> None:
        """Send the next slice, and schedule another one if packets are left."""
        if self._timer is not None:
            self._timer.cancel()
        # Before anything can fail: the next packet would otherwise wait for a timer that does not exist.
        self._timer, self._is_pacing = None, False
        self._take(self._slice_packets(now), now)
        self._is_pacing = bool(self._items)
        if self._is_pacing and self._schedule is not None:
            self._timer = self._schedule.call_later(SLICE_SECONDS, self._send_due)

    def _slice_packets(self, now: float) -> int:
        """How many packets are sent now: what the rate allows, or more if the first would wait for too long."""
        passed = max(0.0, now - self._allowed_at)
        allowed = min(SLICE_PACKETS, self._allowance + passed * SLICE_PACKETS / SLICE_SECONDS)
        queued = len(self._items)
        slices_left = 1 + max(0, int((self._items[0][0] + MAX_DELAY_SECONDS - now) / SLICE_SECONDS)) if queued else 1
        due = ceil(queued / slices_left) if now >= self._next_slice_at else 0
        count = min(queued, max(int(allowed), due, queued - MAX_QUEUED_PACKETS))
        self._allowance, self._allowed_at = max(0.0, allowed - count), now
        if self._allowance < 1:
            self._next_slice_at = now + SLICE_SECONDS
        return count

    def _take(self, count: int, now: float) -> None:
        """Send so many packets from the head of the queue, and let those down tracks start whose turn it is."""
        items = self._items
        batch: list[SentPacket] = []
        while items and (len(batch) < count or isinstance(items[0][1], _Start)):
            item = items.popleft()[1]
            if isinstance(item, SentPacket):
                batch.append(item)
                continue
            self._send(batch, now)
            count -= len(batch)
            batch = []
            self.groups.setdefault(item.shift, []).append(item.down_track)
        self._send(batch, now)

    def _send(self, packets: Sequence[SentPacket], now: float) -> None:
        if packets:
            for shift, group in self.groups.items():
                fan_out(group, shift.apply_all(packets), now=now)


def _is_start_of(item: _Item, down_track: DownTrack) -> bool:
    return isinstance(item[1], _Start) and item[1].down_track is down_track
