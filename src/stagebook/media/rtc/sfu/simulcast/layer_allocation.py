"""Sends each viewer of a published source the version of the video that it chose, or that its line carries.

`LayerAllocator` says which version it is. Here the versions are measured, and viewers are moved to their tracks:

* A layer that another viewer is sent already has a track; others get one (`LayerTracks`). Beside each, there may be
  versions with fewer temporal layers.
* A viewer changes to another layer at a keyframe. If that takes too long and its line cannot carry the old layer, it is
  sent nothing until then.
* If the publisher has one layer and no viewer's line carries it, the publisher is told to send less. If some lines
  carry it, the others are sent its keyframes alone (`StillTrack`). Each keyframe that is requested for them, or that
  lets a viewer of such a publisher begin again, disturbs all others, so these keyframes have a small budget.

A viewer whose bandwidth is not known is sent the whole layer that it chose, or the best one.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Protocol

from stagebook.media.connection_statistics import LayerReason
from stagebook.media.port import LayerChoice, LayerMode, MediaRefusedError, RefusalReason
from stagebook.media.rtc.rtp.rtcp_budget import RtcpBudget
from stagebook.media.rtc.sfu.incoming_track import IncomingTrack
from stagebook.media.rtc.sfu.simulcast.layer_allocator import (
    KEEP_FACTOR,
    STILLS,
    Bandwidth,
    LayerAllocator,
    Version,
    VersionKey,
    ladder,
)
from stagebook.media.rtc.sfu.simulcast.layer_tracks import LayerTracks
from stagebook.media.rtc.sfu.simulcast.simulcast_layers import Layer, active_layers, chosen_layer
from stagebook.media.rtc.sfu.simulcast.still_track import STILL_BPS
from stagebook.media.rtc.sfu.simulcast.switchable_track import SwitchableTrack
from stagebook.media.rtc.sfu.viewer_track import ViewerTrack

CUT_SECONDS: Final = 0.2
"""How long a viewer that waits for a smaller layer is sent one that its line cannot carry."""
CUT_AT_ONCE_FACTOR: Final = 1.5
"""A viewer is sent nothing more at once of a layer that takes so much more than its line carries: it would fill the
queue in which the keyframe of the smaller layer has to wait."""
RESUMES_PER_SECOND: Final = 0.05
"""The keyframes that are requested of a publisher with one layer for viewers whose video paused; one is saved up."""
STILL_INTERVAL_SECONDS: Final = 20.0
"""How often a keyframe is requested for viewers of stills, if no other one comes."""
RESUME_SECONDS: Final = 1.0
"""Viewers whose video goes on within this time share its keyframes: many lines recover at once. Each viewer tries again
every MIN_STAY_SECONDS."""
LIMIT_SHARE: Final = 0.85
"""A publisher is told to send so much of what its best viewer's line carries."""
LIMIT_STEP: Final = 0.05
"""A limit that would change by less than this share is left."""
AUTOMATIC: Final = LayerChoice()
_NO_VIDEO: Final = (LayerMode.AUDIO_ONLY, LayerMode.PAUSED)


class WatchedBandwidth(Bandwidth, Protocol):
    """As Bandwidth, and it tells of a fall."""

    @property
    def known_bps(self) -> int | None:
        """As `estimate_bps`; while the viewer is silent, what was estimated before."""

    on_estimate_fell: Callable[[float], None] | None
    """Called with the time when the estimate has fallen."""


class VideoViewer(Protocol):
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


class _Watched:
    """One viewer's video."""

    __slots__ = ("allocator", "changed_at", "choice", "is_starved", "pixels")

    def __init__(self) -> None:
        self.allocator = LayerAllocator()
        self.choice = AUTOMATIC
        self.pixels = 0
        """The last known size of the layer that was chosen."""
        self.is_starved = False
        """Whether the viewer is sent stills, or nothing, because its line does not carry the video."""
        self.changed_at = 0.0
        """When the first of the moves was asked for that the viewer waits for."""


class LayerAllocation:
    """The viewers of one source's video."""

    def __init__(self, tracks: LayerTracks, *, limit_publisher: Callable[[int | None], None]) -> None:
        """`limit_publisher` tells the publisher the most that it may send, in bits per second; None: no limit."""
        self.tracks = tracks
        self.audio_bps = 0
        """What a viewer's audio takes without redundancy."""
        self._limit_publisher = limit_publisher
        self._limit_bps: int | None = None
        self._unlimited_bps = 0
        """What the publisher sent when it was limited."""
        self._watched: dict[ViewerTrack, _Watched] = {}
        self._versions: tuple[Version, ...] = ()
        self._resumes = RtcpBudget(per_second=RESUMES_PER_SECOND, burst=1)
        self._resumed_at = float("-inf")
        """When the budget was last used."""
        self._stills_requested_at = float("-inf")

    def choose(self, viewer: VideoViewer, video: ViewerTrack, choice: LayerChoice, now: float) -> None:
        """Follow a viewer's own choice from the next keyframe on. Raises MediaRefusedError: UNKNOWN_LAYER, or BUSY if
        viewers are sent too many different layers."""
        if choice.encoding_id is not None and not self.tracks.knows(choice.encoding_id):
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_LAYER, detail="the publisher has no such layer")
        watched = self._watched.setdefault(video, _Watched())
        before, watched.choice = watched.choice, choice
        try:
            self._allocate(viewer, video, now)
        except MediaRefusedError:
            watched.choice = before
            raise

    def publisher_changed(self) -> None:
        """Another publisher, which has no limit yet, feeds the tracks. Its layers are measured with the next timer."""
        self._limit_bps = None
        self._versions = ()

    def is_stopped(self, video: ViewerTrack) -> bool:
        """Whether the viewer has chosen to be sent no video."""
        watched = self._watched.get(video)
        return watched is not None and watched.choice.mode in _NO_VIDEO

    def reason(self, viewer: VideoViewer, video: ViewerTrack) -> LayerReason:
        """Why the viewer is sent what it is sent."""
        watched = self._watched.get(video) or _Watched()
        has_chosen = watched.choice.mode is not LayerMode.AUTO
        if watched.choice.mode in _NO_VIDEO:
            return LayerReason.CHOSEN
        if viewer.bandwidth.estimate_bps is None:
            return LayerReason.CHOSEN if has_chosen else LayerReason.NO_ESTIMATE
        incoming, permitted = self.tracks.incoming, self._permitted(watched)
        if incoming is not None and permitted and self._wanted(video, incoming) != permitted[-1].key:
            return LayerReason.BANDWIDTH
        return LayerReason.CHOSEN if has_chosen else LayerReason.BEST

    def handle_timers(self, viewers: Iterable[VideoViewer], now: float) -> None:
        """Measure the layers, and choose for each viewer. Called every `engine_timer.TICK_SECONDS`."""
        self._versions = ladder([each for layer in self._layers() for each in self._versions_of(layer)])
        self._resumes.renew(now)
        watching = [(viewer, video) for viewer in viewers if (video := viewer.video) is not None]
        top = self._top_version()
        for viewer, video in watching:
            bandwidth = viewer.bandwidth
            if video not in self._watched and bandwidth.estimate_bps is None:
                continue
            if bandwidth.on_estimate_fell is None:
                bandwidth.on_estimate_fell = partial(self._allocate, viewer, video)
            elif top is not None and self._stays(viewer, video, top):
                continue
            self._allocate(viewer, video, now)
        measured = {
            video for viewer, video in watching if viewer.bandwidth.estimate_bps is not None or self.is_stopped(video)
        }
        self.tracks.end_low_starts(now, measured=measured)
        for video in self._watched.keys() - {video for _, video in watching}:
            del self._watched[video]
        self._request_stills(now)
        self._limit(watching)

    def _layers(self) -> list[Layer]:
        incoming = self.tracks.incoming
        return [] if incoming is None else active_layers(incoming.layers.values())

    def _top_version(self) -> Version | None:
        """The best version, where the track of the best layer sends it; None otherwise."""
        incoming = self.tracks.incoming
        if incoming is None or not self._versions:
            return None
        best, top = incoming.wanted_by(self.tracks.best), self._versions[-1]
        return top if top.key == VersionKey(None if best is None else best.encoding_id) else None

    def _stays(self, viewer: VideoViewer, video: ViewerTrack, top: Version) -> bool:
        """Whether a viewer is sent the best version and its line carries it, so that there is nothing to choose. Most
        viewers are asked for nothing else, several times a second."""
        watched, estimate_bps = self._watched.get(video), viewer.bandwidth.estimate_bps
        return (
            watched is not None
            and watched.choice is AUTOMATIC
            and not watched.is_starved
            and video.track is self.tracks.best
            and video.next_track is None
            and not video.is_paused
            and estimate_bps is not None
            and top.bitrate_bps <= max(0, estimate_bps - self._audio_of(viewer)) * KEEP_FACTOR
        )

    def _versions_of(self, layer: Layer) -> list[Version]:
        rates = layer.meter.rates()
        versions = [
            Version(
                key=VersionKey(layer.encoding_id, None if each is rates[-1] else each.max_temporal_id),
                bitrate_bps=each.bitrate_bps,
                peak_bps=each.peak_bps,
                pixels=layer.pixels,
                frames_per_second=each.frames_per_second,
            )
            for each in rates
        ]
        if versions and versions[0].bitrate_bps > STILL_BPS and self._has_one_layer():
            stills = VersionKey(layer.encoding_id, STILLS)
            versions.insert(0, versions[0]._replace(key=stills, bitrate_bps=STILL_BPS, peak_bps=STILL_BPS))
        return versions

    # One viewer

    def _allocate(self, viewer: VideoViewer, video: ViewerTrack, now: float) -> None:
        watched = self._watched.setdefault(video, _Watched())
        incoming = self.tracks.incoming
        if watched.choice.mode in _NO_VIDEO:
            video.pause(now)
        elif viewer.bandwidth.estimate_bps is None:
            self._send_whole(video, watched.choice, now)
        elif incoming is None or not self._versions or not (video.has_started or video.is_paused):
            # Without a publisher, or while the viewer waits for its first keyframe, there is nothing to choose.
            return
        elif not self.tracks.starts_low(video) or watched.choice is not AUTOMATIC:
            self._send_fitting(viewer, video, watched, incoming, now)

    def _audio_of(self, viewer: VideoViewer) -> int:
        return self.audio_bps * viewer.audio_copies

    def _send_whole(self, video: ViewerTrack, choice: LayerChoice, now: float) -> None:
        self.tracks.choose(video, choice.encoding_id, now)

    def _send_fitting(
        self, viewer: VideoViewer, video: ViewerTrack, watched: _Watched, incoming: IncomingTrack, now: float
    ) -> None:
        versions = self._permitted(watched)
        current = self._wanted(video, incoming)
        chosen = watched.allocator.choose(
            versions,
            current,
            bandwidth=viewer.bandwidth,
            audio_bps=self.audio_bps,
            redundant_bps=self._audio_of(viewer) - self.audio_bps,
            now=now,
        )
        if not versions:
            return
        if chosen == current:
            self._cut_if_late(viewer, video, watched, incoming, now)
        elif chosen is None:
            watched.is_starved = True
            video.pause(now)
        elif chosen.is_of_stills or not watched.is_starved or self._may_resume(now):
            watched.is_starved = chosen.is_of_stills
            if video.next_track is None:
                watched.changed_at = now
            video.move_to(self._track_of(chosen, current, video, incoming, now), now)
            self._cut_if_late(viewer, video, watched, incoming, now)

    def _permitted(self, watched: _Watched) -> tuple[Version, ...]:
        """The versions that a viewer may be sent by its own choice."""
        mode, encoding_id = watched.choice.mode, watched.choice.encoding_id
        if encoding_id is None:
            return self._versions
        layer = chosen_layer(self._layers(), encoding_id, pixels=watched.pixels, current=None)
        if layer is None:
            return ()
        if layer.encoding_id == encoding_id:
            watched.pixels = layer.pixels
        if mode is LayerMode.EXACTLY:
            return tuple(each for each in self._versions if each.key.encoding_id == layer.encoding_id)
        return tuple(each for each in self._versions if each.pixels <= layer.pixels)

    def _wanted(self, video: ViewerTrack, incoming: IncomingTrack) -> VersionKey | None:
        """What the viewer is sent, or will be sent from the next keyframe on; None for nothing."""
        track = video.next_track or video.track
        if (video.is_paused and video.next_track is None) or not isinstance(track, SwitchableTrack):
            return None
        layer = incoming.wanted_by(track.whole)
        return VersionKey(None if layer is None else layer.encoding_id, track.max_temporal_id)

    def _track_of(
        self, key: VersionKey, current: VersionKey | None, video: ViewerTrack, incoming: IncomingTrack, now: float
    ) -> SwitchableTrack:
        """The track of a version. One temporal layer more is the most that a viewer can get at once."""
        track = video.next_track or video.track
        if current is not None and current.encoding_id == key.encoding_id and isinstance(track, SwitchableTrack):
            return track.version(self._next_level(key, current))
        best = incoming.wanted_by(self.tracks.best)
        is_best = key.encoding_id is None or (best is not None and best.encoding_id == key.encoding_id)
        whole = self.tracks.best if is_best else self.tracks.chosen(key.encoding_id or "", now)
        return whole.version(key.max_temporal_id)

    def _next_level(self, key: VersionKey, current: VersionKey) -> int | None:
        levels = [each.key.max_temporal_id for each in self._versions if each.key.encoding_id == key.encoding_id]
        if current.max_temporal_id not in levels:
            return key.max_temporal_id
        return levels[min(levels.index(key.max_temporal_id), levels.index(current.max_temporal_id) + 1)]

    def _cut_if_late(
        self, viewer: VideoViewer, video: ViewerTrack, watched: _Watched, incoming: IncomingTrack, now: float
    ) -> None:
        """Send nothing more of a layer that the viewer's line cannot carry, if the keyframe of the next one is late."""
        track, estimate_bps = video.track, viewer.bandwidth.estimate_bps
        if video.next_track is None or video.is_paused:
            return
        if estimate_bps is None or not isinstance(track, SwitchableTrack):
            return
        layer = incoming.followed_by(track.whole)
        key = VersionKey(None if layer is None else layer.encoding_id, track.max_temporal_id)
        sent_bps = next((each.bitrate_bps for each in self._versions if each.key == key), 0)
        available_bps = max(0, estimate_bps - self._audio_of(viewer))
        is_late = now - watched.changed_at >= CUT_SECONDS
        if sent_bps > available_bps * (KEEP_FACTOR if is_late else CUT_AT_ONCE_FACTOR):
            video.cut(now)

    def _may_resume(self, now: float) -> bool:
        """Whether a video that has paused may go on, which takes a keyframe."""
        if not self._has_one_layer() or now - self._resumed_at < RESUME_SECONDS:
            return True
        if not self._resumes.take():
            return False
        self._resumed_at = now
        return True

    def _request_stills(self, now: float) -> None:
        """Request a keyframe for the viewers of stills, if none has come for long."""
        stills = self.tracks.best.stills
        if stills is None or not stills.has_viewers():
            return
        if now - max(stills.completed_at, self._stills_requested_at) >= STILL_INTERVAL_SECONDS:
            self._stills_requested_at = now
            self.tracks.best.request_keyframe(now)

    def _has_one_layer(self) -> bool:
        return self.tracks.incoming is not None and len(self.tracks.incoming.plan.encoding_ids) <= 1

    # The publisher

    def _limit(self, watching: list[tuple[VideoViewer, ViewerTrack]]) -> None:
        """Let a publisher with one layer send what its best viewer's line carries, if that is less."""
        limit = self._limit_for([each for each in watching if not self.is_stopped(each[1])])
        if limit != self._limit_bps:
            self._limit_bps = limit
            self._limit_publisher(limit)

    def _limit_for(self, watching: list[tuple[VideoViewer, ViewerTrack]]) -> int | None:
        # A line that carries nothing for some seconds is no reason to let the publisher send less.
        estimates = [viewer.bandwidth.known_bps for viewer, _ in watching]
        known = [each for each in estimates if each is not None]
        if not known or len(known) < len(estimates) or not self._versions or not self._has_one_layer():
            return None
        most, needed = max(known), self._versions[-1].bitrate_bps + self.audio_bps
        if self._limit_bps is None:
            self._unlimited_bps = needed
        if most >= self._unlimited_bps:
            return None
        wanted = round(most * LIMIT_SHARE)
        is_near = self._limit_bps is not None and abs(wanted - self._limit_bps) <= LIMIT_STEP * self._limit_bps
        return self._limit_bps if is_near else wanted
