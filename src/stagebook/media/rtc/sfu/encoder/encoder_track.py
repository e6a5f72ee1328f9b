"""A track whose media comes from an encoder: complete video frames or Opus packets, in order and without loss.

The track numbers the packets itself. A viewer that joins, or that has lost its video, is first sent the cached GOP
(`GopReplay`) and then goes live. Two events make a down track live:

* its replay has caught up with the current frame; or
* a keyframe arrives that is later than everything the viewer was sent, while its replay is at a frame boundary: the
  viewer can start with that keyframe directly.

Audio needs no keyframe: a viewer starts with the next packet. A viewer may also be sent keyframes alone
(`still_pictures`).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.encoder.gop_cache import Gop
from stagebook.media.rtc.sfu.encoder.gop_replay import NOTHING_SENT, GopReplay, ReplayState
from stagebook.media.rtc.sfu.encoder.replay_pacer import PACKETS_PER_TURN, ReplayPacer
from stagebook.media.rtc.sfu.sending.send_schedule import SendSchedule
from stagebook.media.rtc.sfu.sending.sent_packet import SentPacket
from stagebook.media.rtc.sfu.source_track import SourceTrack

MIN_REPLAY_INTERVAL_SECONDS: Final = 1.0
"""Minimum time between two replays to one viewer: each sends a whole GOP."""
REPLAY_HISTORY_SECONDS: Final = 5.0
"""How long after a replay its packets can be retransmitted."""


class _Position(NamedTuple):
    """Where a viewer's stream stands."""

    next_sequence: int
    last_timestamp: int
    """Not wrapped; NOTHING_SENT before the first packet."""
    octets: int


class EncoderTrack(SourceTrack):
    """One continuous stream from the units of an encoder's feed."""

    def __init__(
        self,
        *,
        kind: MediaKind,
        codec: Codec,
        clock_rate: int,
        random_bits: Callable[[int], int],
        pacer: ReplayPacer,
        on_started: Callable[["EncoderTrack", DownTrack, float], None],
        schedule: SendSchedule | None = None,
    ) -> None:
        """`on_started` is called when a down track has been sent its first packets, and again when it goes live."""
        super().__init__(kind=kind, codec=codec, clock_rate=clock_rate, random_bits=random_bits, schedule=schedule)
        self.newest_timestamp: int | None = None
        """The highest outgoing timestamp, not wrapped."""
        self.newest_at = 0.0
        self._next_sequence = 0
        self._gop: Gop | None = None
        self._replays: dict[DownTrack, GopReplay] = {}
        """The replay of each down track that is not live yet, and of those that went live a short time ago."""
        self._held: dict[DownTrack, _Position] = {}
        """Where the streams stand that are held."""
        self._pacer = pacer
        self._on_started = on_started

    # Viewers

    def add(self, down_track: DownTrack, now: float) -> None:
        """Start sending to a down track whose connection is up: with a replay of the cached GOP, or, if none is cached,
        with the next keyframe. Call it once for a down track."""
        held = self._held.pop(down_track, None) or _Position(self._first_sequence(), NOTHING_SENT, 0)
        self._replay_from(held, down_track, now)

    def remove(self, down_track: DownTrack) -> None:
        """Stop sending to a down track. A down track that was never added is ignored."""
        self._held.pop(down_track, None)
        self._replays.pop(down_track, None)
        super().remove(down_track)

    def hold(self, down_track: DownTrack) -> None:
        """Stop sending to a down track, so that `add` goes on with its numbers if it has been sent anything."""
        replay = self._replays.get(down_track)
        position = None
        if down_track in self._starts:
            position = self._position(down_track)
            self._send_queued(down_track)
        elif replay is not None and replay.has_started:
            position = _Position(replay.next_sequence, replay.last_timestamp, replay.octets)
        self.remove(down_track)
        if position is not None:
            self._held[down_track] = position

    def handle_keyframe_request(self, down_track: DownTrack, now: float) -> None:
        """Replay the GOP to a viewer that sent a PLI or FIR, since an encoder cannot be asked for a keyframe.

        At most one replay to a viewer starts in MIN_REPLAY_INTERVAL_SECONDS. Without a cached GOP nothing happens.
        """
        last = self._replays.get(down_track)
        if last is not None and now - last.started_at < MIN_REPLAY_INTERVAL_SECONDS:
            return
        if self._gop is not None and down_track in self._starts:
            self._restart(down_track, now)

    def has_started(self, down_track: DownTrack) -> bool:
        """Whether the down track has been sent its first packet, live or in a replay."""
        replay = self._replays.get(down_track)
        return down_track in self._starts or (replay is not None and replay.has_started)

    def sent_octets(self, down_track: DownTrack) -> int:
        """Payload bytes sent to a down track, live and in replays. Raises KeyError unless it `has_started`."""
        return super().sent_octets(down_track) if down_track in self._starts else self._replays[down_track].octets

    def find_sent(self, down_track: DownTrack, sequence: int) -> SentPacket | None:
        """The packet that the viewer received as `sequence`, live or in a replay; None if it is no longer held."""
        replay = self._replays.get(down_track)
        packet = None if replay is None else replay.find_sent(sequence)
        return packet or super().find_sent(down_track, sequence)

    # The encoder's feed

    def send(self, payloads: Sequence[bytes], *, timestamp: int, can_start: bool, gop: Gop | None, now: float) -> None:
        """Send one video frame or one audio packet to the live down tracks.

        `timestamp` is the outgoing one, not wrapped. `can_start`: a viewer can start here, that is at a keyframe or at
        any audio packet. `gop` is the GOP that ends with this frame; None for audio, and where no GOP is cached.
        """
        started = self._start_with(timestamp, now) if can_start else []
        self._set_gop(gop)
        if self.newest_timestamp is None or timestamp > self.newest_timestamp:
            self.newest_timestamp, self.newest_at = timestamp, now
        last = len(payloads) - 1
        for index, payload in enumerate(payloads):
            packet = SentPacket(self._next_sequence, int(index == last), timestamp & 0xFFFFFFFF, payload)
            self._next_sequence = (self._next_sequence + 1) & 0xFFFF
            self._send(packet, now)
        for down_track in started:
            self._on_started(self, down_track, now)

    def switch_feed(self, gop: Gop | None, *, newest_timestamp: int, now: float) -> None:
        """Continue with the frames of another feed. All viewers are sent its GOP, or wait for its next keyframe if
        `gop` is None. `newest_timestamp` is the outgoing timestamp of the GOP's last frame, not wrapped."""
        live = list(self._starts)
        self._set_gop(gop)
        for down_track in live:
            self._restart(down_track, now)
        self.newest_timestamp = newest_timestamp

    def expire_replays(self, now: float) -> None:
        """Drop the history of replays that ended REPLAY_HISTORY_SECONDS ago. Called about once a second."""
        for down_track, replay in list(self._replays.items()):
            if replay.ended_at is not None and now - replay.ended_at > REPLAY_HISTORY_SECONDS:
                del self._replays[down_track]

    # Stills

    @property
    def gop(self) -> Gop | None:
        """The cached GOP."""
        return self._gop

    def replay_of(self, down_track: DownTrack) -> GopReplay | None:
        """The replay to a down track, which may have ended a short time ago."""
        return self._replays.get(down_track)

    def take_out(self, down_track: DownTrack, now: float) -> GopReplay | None:
        """Send a live down track nothing more. Returns a replay that continues its stream with keyframes alone
        (`still_stream`); None for a down track that is not live."""
        if down_track not in self._starts:
            return None
        position = self._position(down_track)
        self._send_queued(down_track)
        super().remove(down_track)
        replay = self._replays[down_track] = _replay_of(down_track, position, now)
        replay.is_of_stills = True
        return replay

    # Replays

    def _restart(self, down_track: DownTrack, now: float) -> None:
        """Take a live down track out of the live ones and replay the GOP to it, as a continuation of its stream."""
        position = self._position(down_track)
        self._send_queued(down_track)
        super().remove(down_track)
        self._replay_from(position, down_track, now)

    def _position(self, down_track: DownTrack) -> _Position:
        """Where the stream of a live down track stands."""
        return _Position(
            (self._next_sequence + down_track.sequence_offset) & 0xFFFF,
            NOTHING_SENT if self.newest_timestamp is None else self.newest_timestamp,
            self.sent_octets(down_track),
        )

    def _replay_from(self, position: _Position, down_track: DownTrack, now: float) -> None:
        replay = self._replays[down_track] = _replay_of(down_track, position, now)
        if self._gop is not None:
            self._schedule(replay)

    def _schedule(self, replay: GopReplay) -> None:
        replay.is_scheduled = True
        self._pacer.add(partial(self._take_turn, replay))

    def _take_turn(self, replay: GopReplay, now: float) -> bool:
        """Send the next packets of a replay, when the pacer calls. True if more follow."""
        down_track, had_started = replay.down_track, replay.has_started
        if self._replays.get(down_track) is not replay or replay.ended_at is not None:
            # The viewer has left, has gone live with a keyframe, or is sent a newer replay.
            return False
        state = replay.send_next(
            self._gop, newest_timestamp=self.newest_timestamp or 0, max_packets=PACKETS_PER_TURN, now=now
        )
        if state is ReplayState.CAUGHT_UP:
            self._end_replay(replay, now)
        if state is ReplayState.CAUGHT_UP or (not had_started and replay.has_started):
            self._on_started(self, down_track, now)
        replay.is_scheduled = state is ReplayState.SENDING
        return replay.is_scheduled

    def _end_replay(self, replay: GopReplay, now: float) -> None:
        replay.ended_at = now
        self._go_live(
            replay.down_track,
            sequence=self._next_sequence,
            first=replay.next_sequence,
            now=now,
            octets=replay.octets,
        )

    def _start_with(self, timestamp: int, now: float) -> list[DownTrack]:
        """Make those down tracks live that can start with the keyframe of this timestamp. Returns them."""
        ready = [
            replay
            for replay in self._replays.values()
            if replay.ended_at is None
            and replay.is_at_frame_boundary
            and replay.last_timestamp < timestamp
            and (replay.awaits_keyframe or not replay.is_of_stills)
        ]
        for replay in ready:
            self._end_replay(replay, now)
        return [replay.down_track for replay in ready]

    def _set_gop(self, gop: Gop | None) -> None:
        """Set the current GOP, and schedule the replays that waited for it or for its newest frame."""
        self._gop = gop
        if gop is None:
            return
        for replay in self._replays.values():
            if replay.ended_at is None and not replay.is_scheduled and not replay.is_of_stills:
                self._schedule(replay)


def _replay_of(down_track: DownTrack, position: _Position, now: float) -> GopReplay:
    """A replay that continues a viewer's stream."""
    return GopReplay(
        down_track,
        next_sequence=position.next_sequence,
        last_timestamp=position.last_timestamp,
        octets=position.octets,
        now=now,
    )
