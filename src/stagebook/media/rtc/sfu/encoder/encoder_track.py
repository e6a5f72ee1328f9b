"""A track whose media is fed in whole pictures or Opus packets: numbered here, continuous, without loss.

Nobody can be asked for a keyframe, so a viewer that joins or has lost its picture is sent the current group of pictures
first (`catch_up`) and then becomes live. Sound has no groups: a viewer begins with the next packet. Knows no feed.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.encoder.gop_cache import Gop
from stagebook.media.rtc.sfu.encoder.gop_replay import BEFORE_ALL, GopReplay, Progress
from stagebook.media.rtc.sfu.encoder.replay_pacer import PACKETS_PER_TURN, Pacer
from stagebook.media.rtc.sfu.source_track import SentPacket, SourceTrack

REFRESH_INTERVAL_SECONDS: Final = 1.0
"""Between two catch-ups of one viewer: each costs the rate of a whole group."""
MEMORY_SECONDS: Final = 5.0
"""How long what a viewer was sent to catch up can be asked for again."""


class EncoderTrack(SourceTrack):
    """One continuous stream out of what an encoder feeds."""

    def __init__(
        self,
        *,
        kind: MediaKind,
        codec: Codec,
        clock_rate: int,
        random_bits: Callable[[int], int],
        pacer: Pacer,
        on_begun: Callable[["EncoderTrack", DownTrack, float], None],
    ) -> None:
        """`on_begun` is called when an outlet was sent its first packets, and when it has become live."""
        super().__init__(kind=kind, codec=codec, clock_rate=clock_rate, random_bits=random_bits)
        self.newest_timestamp: int | None = None
        """The highest outgoing timestamp, not wrapped."""
        self.newest_at = 0.0
        self._next_sequence = 0
        self._group: Gop | None = None
        self._catch_ups: dict[DownTrack, GopReplay] = {}
        """Of every outlet that is not live yet, and of those that became live a moment ago."""
        self._pacer = pacer
        self._on_begun = on_begun

    # Viewers

    def add(self, outlet: DownTrack, now: float) -> None:
        """Begin to send to an outlet whose connection is up."""
        self._catch_up(outlet, next_sequence=self._first_number(), last_timestamp=BEFORE_ALL, octets=0, now=now)

    def remove(self, outlet: DownTrack) -> None:
        """Send no more to an outlet. One that was never added is fine."""
        self._catch_ups.pop(outlet, None)
        super().remove(outlet)

    def refresh(self, outlet: DownTrack, now: float) -> None:
        """A viewer has lost its picture: send it the current group, unless that is just being or was just done."""
        former = self._catch_ups.get(outlet)
        if former is not None and now - former.began_at < REFRESH_INTERVAL_SECONDS:
            return
        if self._group is not None and outlet in self._starts:
            self._begin_again(outlet, now)

    def is_live(self, outlet: DownTrack) -> bool:
        """Whether an outlet is being sent to: it has had its first packet."""
        catch_up = self._catch_ups.get(outlet)
        return outlet in self._starts or (catch_up is not None and catch_up.has_begun)

    def sent_octets(self, outlet: DownTrack) -> int:
        """The payload bytes sent to an outlet that `is_live`."""
        return super().sent_octets(outlet) if outlet in self._starts else self._catch_ups[outlet].octets

    def sent(self, outlet: DownTrack, sequence: int) -> SentPacket | None:
        """The packet that a viewer knows by `sequence`; None if it is not kept."""
        catch_up = self._catch_ups.get(outlet)
        packet = None if catch_up is None else catch_up.sent(sequence)
        return packet or super().sent(outlet, sequence)

    # The feed

    def send(self, payloads: Sequence[bytes], *, timestamp: int, begins: bool, group: Gop | None, now: float) -> None:
        """Send one picture or one packet of sound. `timestamp` is the outgoing one, not wrapped. `begins`: a viewer can
        begin with it. `group`: the group that it belongs to, itself included; None for sound and where none is kept."""
        begun = self._begin_with(timestamp, now) if begins else []
        self._set_group(group)
        if self.newest_timestamp is None or timestamp > self.newest_timestamp:
            self.newest_timestamp, self.newest_at = timestamp, now
        last = len(payloads) - 1
        for number, payload in enumerate(payloads):
            packet = SentPacket(self._next_sequence, int(number == last), timestamp & 0xFFFFFFFF, payload)
            self._next_sequence = (self._next_sequence + 1) & 0xFFFF
            self._send(packet, now)
        for outlet in begun:
            self._on_begun(self, outlet, now)

    def follow(self, group: Gop | None, *, newest_timestamp: int, now: float) -> None:
        """Another feed's pictures follow: all viewers begin with its group, or with its next keyframe if that is None.
        `newest_timestamp`: the outgoing one of the group's last picture, not wrapped."""
        live = list(self._live)
        self._set_group(group)
        for outlet in live:
            self._begin_again(outlet, now)
        self.newest_timestamp = newest_timestamp

    def forget(self, now: float) -> None:
        """Forget what can be asked for no more. Called about once a second."""
        for outlet, catch_up in list(self._catch_ups.items()):
            if catch_up.ended_at is not None and now - catch_up.ended_at > MEMORY_SECONDS:
                del self._catch_ups[outlet]

    # Catching up

    def _begin_again(self, outlet: DownTrack, now: float) -> None:
        octets = self.sent_octets(outlet)
        next_sequence = (self._next_sequence + outlet.sequence_offset) & 0xFFFF
        super().remove(outlet)
        last = self.newest_timestamp
        self._catch_up(
            outlet,
            next_sequence=next_sequence,
            last_timestamp=BEFORE_ALL if last is None else last,
            octets=octets,
            now=now,
        )

    def _catch_up(self, outlet: DownTrack, *, next_sequence: int, last_timestamp: int, octets: int, now: float) -> None:
        catch_up = GopReplay(outlet, next_sequence=next_sequence, last_timestamp=last_timestamp, octets=octets, now=now)
        self._catch_ups[outlet] = catch_up
        if self._group is not None:
            self._pace(catch_up)

    def _pace(self, catch_up: GopReplay) -> None:
        catch_up.is_paced = True
        self._pacer.add(partial(self._advance, catch_up))

    def _advance(self, catch_up: GopReplay, now: float) -> bool:
        """Send the next packets of a catch-up. True if more follow."""
        outlet, began = catch_up.outlet, not catch_up.has_begun
        if self._catch_ups.get(outlet) is not catch_up or catch_up.ended_at is not None:
            return False
        progress = catch_up.advance(
            self._group, newest_timestamp=self.newest_timestamp or 0, max_packets=PACKETS_PER_TURN
        )
        if progress is Progress.ARRIVED:
            self._arrive(catch_up, now)
        if progress is Progress.ARRIVED or (began and catch_up.has_begun):
            self._on_begun(self, outlet, now)
        catch_up.is_paced = progress is Progress.GOING
        return catch_up.is_paced

    def _arrive(self, catch_up: GopReplay, now: float) -> None:
        catch_up.ended_at = now
        self._go_live(
            catch_up.outlet, sequence=self._next_sequence, first=catch_up.next_sequence, octets=catch_up.octets
        )

    def _begin_with(self, timestamp: int, now: float) -> list[DownTrack]:
        """Let those become live who can begin with the picture of this timestamp."""
        arriving = [
            catch_up
            for catch_up in self._catch_ups.values()
            if catch_up.ended_at is None and catch_up.is_between_pictures and catch_up.last_timestamp < timestamp
        ]
        for catch_up in arriving:
            self._arrive(catch_up, now)
        return [catch_up.outlet for catch_up in arriving]

    def _set_group(self, group: Gop | None) -> None:
        self._group = group
        if group is None:
            return
        for catch_up in self._catch_ups.values():
            if catch_up.ended_at is None and not catch_up.is_paced:
                self._pace(catch_up)
