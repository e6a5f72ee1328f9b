"""Still pictures for viewers whose lines do not carry the video of an encoder. Audio goes on without loss.

An encoder sends one quality and cannot be asked for another one, nor for a keyframe. What its keyframes need is only
that they are complete. So a viewer whose line is too narrow is sent keyframes alone: each as slowly as the line permits
beside the audio, and the newest one when the last one is complete. When the line carries the whole video again, which
the estimate or a probe says, the viewer goes on with it at the next keyframe.

`LayerAllocator` decides, with the whole video as the only version: the same rules as for layers.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Protocol

from stagebook.media.connection_statistics import LayerReason
from stagebook.media.rtc.sfu.encoder.encoder_track import EncoderTrack
from stagebook.media.rtc.sfu.encoder.still_stream import StillStream
from stagebook.media.rtc.sfu.sending.send_schedule import SendSchedule
from stagebook.media.rtc.sfu.simulcast.layer_allocation import WatchedBandwidth
from stagebook.media.rtc.sfu.simulcast.layer_allocator import LayerAllocator, Version, VersionKey
from stagebook.media.rtc.sfu.simulcast.layer_meter import PACKET_OVERHEAD_BYTES, LayerMeter
from stagebook.media.rtc.sfu.source_track import SourceTrack
from stagebook.media.rtc.sfu.viewer_track import ViewerTrack

STILL_SHARE: Final = 0.7
"""A still picture takes so much of what the line carries beside the audio, so that no queue grows behind it."""
MIN_STILL_BPS: Final = 30_000
"""A line of less than this gets a picture at this rate: it needs a minute for one of 200 KB."""
_WHOLE: Final = VersionKey(None)


class StillViewer(Protocol):
    """What is used of a `viewer.Viewer`."""

    @property
    def bandwidth(self) -> WatchedBandwidth:
        """What its line carries."""

    @property
    def video(self) -> ViewerTrack | None:
        """Its video; None for a viewer of audio alone."""

    @property
    def audio_copies(self) -> int:
        """How often each frame of audio is sent."""


class _TrackMeter:
    """The bitrate of a track."""

    def __init__(self, track: SourceTrack) -> None:
        self._track = track
        self._meter: LayerMeter | None = None
        self._counted = (track.packets, track.octets)

    def end_interval(self, now: float) -> tuple[int, int]:
        """Return the lower and the higher average, in bits per second. 0 while nothing comes."""
        (packets, octets), self._counted = self._counted, (self._track.packets, self._track.octets)
        if self._meter is None:
            self._meter = LayerMeter(now)
            return 0, 0
        new_packets = self._track.packets - packets
        if new_packets:
            size = self._track.octets - octets + (new_packets - 1) * PACKET_OVERHEAD_BYTES
            self._meter.add(size, temporal_id=0, ends_frame=True)
        self._meter.end_interval(now)
        rates = self._meter.rates()
        return (rates[-1].bitrate_bps, rates[-1].peak_bps) if rates else (0, 0)


class _StillChoice:
    """One viewer's video."""

    def __init__(self, stream: StillStream) -> None:
        self.stream = stream
        self.allocator = LayerAllocator()
        self.bitrate_bps = MIN_STILL_BPS
        """What a still picture may take."""
        self.is_sending = False
        """Whether a timer will send the next packet of a still picture."""


class StillPictures:
    """The choice between the whole video and still pictures, for the viewers of one encoder."""

    def __init__(self, video: EncoderTrack, audio: EncoderTrack, *, schedule: SendSchedule | None) -> None:
        """Without a schedule nothing is chosen."""
        self._video = video
        self._schedule = schedule
        self._video_meter, self._audio_meter = _TrackMeter(video), _TrackMeter(audio)
        self._audio_bps = 0
        self._whole: tuple[Version, ...] = ()
        """The whole video as it was measured; empty while nothing comes."""
        self._watched: dict[ViewerTrack, _StillChoice] = {}

    def reason(self, viewer: StillViewer, video: ViewerTrack) -> LayerReason:
        """Why the viewer is sent what it is sent."""
        if video.is_paused:
            return LayerReason.CHOSEN
        if viewer.bandwidth.estimate_bps is None:
            return LayerReason.NO_ESTIMATE
        watched = self._watched.get(video)
        return LayerReason.BANDWIDTH if watched is not None and watched.stream.is_active else LayerReason.BEST

    def handle_timers(self, viewers: Iterable[StillViewer], now: float) -> None:
        """Measure the video, and choose for each viewer. Called every `engine_timer.TICK_SECONDS`."""
        bitrate_bps, peak_bps = self._video_meter.end_interval(now)
        self._audio_bps = self._audio_meter.end_interval(now)[1]
        measured = Version(key=_WHOLE, bitrate_bps=bitrate_bps, peak_bps=peak_bps, pixels=1, frames_per_second=1)
        self._whole = (measured,) if bitrate_bps else ()
        watching = set()
        for viewer in viewers:
            video = viewer.video
            if video is None or viewer.bandwidth.estimate_bps is None:
                continue
            watching.add(video)
            if video not in self._watched:
                self._watched[video] = _StillChoice(StillStream(self._video, video.down_track))
                viewer.bandwidth.on_estimate_fell = partial(self._choose, viewer, video)
            self._choose(viewer, video, now)
        for video in self._watched.keys() - watching:
            del self._watched[video]

    def _choose(self, viewer: StillViewer, video: ViewerTrack, now: float) -> None:
        watched, estimate_bps = self._watched.get(video), viewer.bandwidth.estimate_bps
        if watched is None or estimate_bps is None or not self._whole or self._schedule is None or video.is_paused:
            return
        stream = watched.stream
        current = None if stream.is_active and not stream.ends_with_keyframe else _WHOLE
        audio_bps = self._audio_bps * viewer.audio_copies
        chosen = watched.allocator.choose(
            self._whole,
            current,
            bandwidth=viewer.bandwidth,
            audio_bps=self._audio_bps,
            redundant_bps=audio_bps - self._audio_bps,
            now=now,
        )
        watched.bitrate_bps = max(MIN_STILL_BPS, round(STILL_SHARE * (estimate_bps - audio_bps)))
        if chosen is None:
            stream.start(now)
        elif current is None:
            stream.end_with_keyframe()
        if stream.is_active and not watched.is_sending and not viewer.bandwidth.is_full:
            self._send_next(watched, video, now)

    def _send_next(self, watched: _StillChoice, video: ViewerTrack, now: float) -> None:
        """Send a packet of a still picture, and the next one when the line has carried it."""
        watched.is_sending = False
        if self._schedule is None or self._watched.get(video) is not watched:
            return
        seconds = watched.stream.send_next(watched.bitrate_bps, now)
        if seconds is not None:
            watched.is_sending = True
            again: Callable[[float], None] = partial(self._send_next, watched, video)
            self._schedule.call_later(seconds, again)
