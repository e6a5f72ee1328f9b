"""The stream of still pictures to one viewer of an encoder's video: its keyframes alone, packet by packet.

It is a `GopReplay` that ends with the keyframe of each GOP. It continues the viewer's stream where the live packets
have ended, and the live packets continue it from a keyframe on. What it has sent is retransmitted like any replay.
"""

from typing import Final

from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.encoder.encoder_track import EncoderTrack
from stagebook.media.rtc.sfu.encoder.gop_replay import GopReplay
from stagebook.media.rtc.sfu.simulcast.layer_meter import PACKET_OVERHEAD_BYTES

MAX_LEAD_SECONDS: Final = 5.0
"""A still picture has a timestamp at most so far ahead."""


class StillStream:
    """The stills of one down track."""

    def __init__(self, track: EncoderTrack, down_track: DownTrack) -> None:
        self._track = track
        self._down_track = down_track

    @property
    def _replay(self) -> GopReplay | None:
        """None unless the viewer is sent stills."""
        replay = self._track.replay_of(self._down_track)
        return replay if replay is not None and replay.is_of_stills and replay.ended_at is None else None

    @property
    def is_active(self) -> bool:
        """Whether the viewer is sent keyframes alone."""
        return self._replay is not None

    @property
    def ends_with_keyframe(self) -> bool:
        """Whether the viewer goes live with the next keyframe."""
        replay = self._replay
        return replay is not None and replay.awaits_keyframe

    def start(self, now: float) -> None:
        """Send nothing but stills from now on. No effect on a viewer that is not live yet."""
        replay = self._replay or self._track.take_out(self._down_track, now)
        if replay is not None:
            replay.awaits_keyframe = False

    def end_with_keyframe(self) -> None:
        """Let the viewer go live with the next keyframe. No other still begins until then."""
        replay = self._replay
        if replay is not None:
            replay.awaits_keyframe = True

    def send_next(self, bitrate_bps: int, now: float) -> float | None:
        """Send the next packet of the newest keyframe. Returns the seconds that it takes at `bitrate_bps`; None if
        nothing is left to be sent.

        The timestamp of a keyframe is that of the moment at which its last packet will have been sent. With an earlier
        one, receivers would take it for late, and delay the audio as well.
        """
        track, replay = self._track, self._replay
        if replay is None or track.gop is None or (replay.awaits_keyframe and replay.is_at_frame_boundary):
            return None
        whole_bytes = track.gop.keyframe_bytes + PACKET_OVERHEAD_BYTES * track.gop.keyframe_packets
        lead_seconds = min(MAX_LEAD_SECONDS, 8 * whole_bytes / bitrate_bps) + now - track.newest_at
        timestamp = (track.newest_timestamp or 0) + round(lead_seconds * track.clock_rate)
        size = replay.send_still(track.gop, timestamp=timestamp, now=now)
        return 8 * (size + PACKET_OVERHEAD_BYTES) / bitrate_bps if size else None
