"""One viewer on its way from the last keyframe to the present: what is cached is sent to it faster than it was made.

The pictures keep their order and get timestamps just before the present one's, each one tick after the other: a
receiver takes them for pictures of this moment, decodes them at once and adds no delay. Sequence numbers go on without
a gap.
Knows groups of pictures and one outlet; not who feeds them nor when it is called.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from stagebook.media.rtc.rtp.rtp_packet import sequence_distance
from stagebook.media.rtc.sfu.down_track import DownTrack, fan_out
from stagebook.media.rtc.sfu.encoder.gop_cache import Gop
from stagebook.media.rtc.sfu.source_track import SentPacket

MAX_RUNS: Final = 4
"""Groups of which a viewer may ask for packets again."""
BEFORE_ALL: Final = -(1 << 62)
"""The last timestamp of a viewer that was sent nothing yet."""


class Progress(StrEnum):
    """What comes next."""

    GOING = "going"
    """More is to be sent."""
    WAITING = "waiting"
    """The next picture is needed: there is no group to begin with, or the viewer's timestamps are ahead of the live
    ones, which have to pass them."""
    ARRIVED = "arrived"
    """All that there is was sent: the viewer can have the live packets."""


class _Run:
    """What was sent of one group, from its keyframe on."""

    __slots__ = ("count", "first_sequence", "group", "timestamps")

    def __init__(self, group: Gop, first_sequence: int) -> None:
        self.group = group
        self.first_sequence = first_sequence
        self.count = 0
        self.timestamps: list[int] = []
        """Of each picture begun; not wrapped."""

    @property
    def is_between_pictures(self) -> bool:
        return self.count == 0 or self.group.packets[self.count - 1].marker == 1

    def find(self, sequence: int) -> SentPacket | None:
        number = sequence_distance(sequence, self.first_sequence)
        return self.packet(number) if 0 <= number < self.count else None

    def packet(self, number: int) -> SentPacket:
        payload, marker, picture = self.group.packets[number]
        sequence = (self.first_sequence + number) & 0xFFFF
        return SentPacket(sequence, marker, self.timestamps[picture] & 0xFFFFFFFF, payload)


class GopReplay:
    """One catching up of one outlet. It goes on where the viewer's stream is."""

    def __init__(self, outlet: DownTrack, *, next_sequence: int, last_timestamp: int, octets: int, now: float) -> None:
        """`last_timestamp`: the highest sent so far, not wrapped, or BEFORE_ALL. `octets`: payload sent so far."""
        self.outlet = outlet
        self.next_sequence = next_sequence
        self.last_timestamp = last_timestamp
        self.octets = octets
        self.began_at = now
        self.ended_at: float | None = None
        """When the viewer became live; None on the way."""
        self.is_paced = False
        """Whether somebody will call `advance` again."""
        self._runs: list[_Run] = []

    @property
    def has_begun(self) -> bool:
        """Whether anything was sent."""
        return bool(self._runs)

    @property
    def is_between_pictures(self) -> bool:
        """Whether the last picture begun is complete, so that another group may follow."""
        return not self._runs or self._runs[-1].is_between_pictures

    def advance(self, group: Gop | None, *, newest_timestamp: int, max_packets: int) -> Progress:
        """Send the next packets of `group`, the current one, whose last picture has `newest_timestamp` (not wrapped).

        If another group was being sent, its picture is completed and this one begun.
        """
        for _ in range(max_packets):
            run = self._runs[-1] if self._runs else None
            if run is None or (run.group is not group and run.is_between_pictures):
                if group is None:
                    return Progress.WAITING
                run = self._begin(group)
            if run.count == len(run.group.packets):
                return Progress.ARRIVED if self.last_timestamp <= newest_timestamp else Progress.WAITING
            self._send_next(run, newest_timestamp)
        return Progress.GOING

    def sent(self, sequence: int) -> SentPacket | None:
        """The packet that the viewer was sent as `sequence`."""
        found: Iterator[SentPacket | None] = (run.find(sequence) for run in self._runs)
        return next((packet for packet in found if packet is not None), None)

    def _begin(self, group: Gop) -> _Run:
        self._runs = [*self._runs[1 - MAX_RUNS :], _Run(group, self.next_sequence)]
        self.outlet.sequence_offset = 0
        return self._runs[-1]

    def _send_next(self, run: _Run, newest_timestamp: int) -> None:
        picture = run.group.packets[run.count].picture
        if picture == len(run.timestamps):
            behind = run.group.pictures - 1 - picture
            self.last_timestamp = max(self.last_timestamp + 1, newest_timestamp - behind)
            run.timestamps.append(self.last_timestamp)
        packet = run.packet(run.count)
        fan_out(
            [self.outlet],
            sequence=packet.sequence,
            marker=packet.marker,
            timestamp=packet.timestamp,
            payload=packet.payload,
        )
        run.count += 1
        self.next_sequence = (self.next_sequence + 1) & 0xFFFF
        self.octets += len(packet.payload)
