"""The video tracks of a published source: one of the best layer, and one for each other layer that viewers are sent.

Viewers share the track of the best layer unless they chose another one, or their line does not carry it
(`layer_allocation`). A chosen layer gets a track of its own while it has viewers. It outlives the publisher's
connection like the other: when the participant publishes again, it follows the layer with the same encoding id, or what
comes closest.

A viewer may also start with the lowest layer, which is small and so soon complete on a slow line. After
LOW_START_SECONDS it goes on with the best layer, unless its line is measured by then.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Final, TypeAlias

from stagebook.media.port import MediaRefusedError, RefusalReason, VideoLayer
from stagebook.media.rtc.rtp.source_meter import SourceMeter
from stagebook.media.rtc.sfu.incoming_track import IncomingTrack
from stagebook.media.rtc.sfu.published_track import PublishedTrack
from stagebook.media.rtc.sfu.simulcast.simulcast_layers import Layer, active_layers, lowest_layer
from stagebook.media.rtc.sfu.simulcast.switchable_track import SwitchableTrack
from stagebook.media.rtc.sfu.viewer_track import ViewerTrack

MAX_CHOSEN_LAYERS: Final = 16
"""Tracks of chosen layers. Several publishers after each other may have layers with different encoding ids."""
LOW_START_SECONDS: Final = 1.0
"""How long a viewer that starts with the lowest layer is sent that layer."""

MakeTrack: TypeAlias = Callable[[str | None, PublishedTrack | None], PublishedTrack]
"""Makes a track for an encoding id, None for the best layer, beside a track that exists."""


class LayerTracks:
    """The video tracks of one source, and the publisher's video that feeds them."""

    def __init__(self, make_track: MakeTrack) -> None:
        self.best = make_track(None, None)
        """The track of the best layer."""
        self._make_track = make_track
        self._chosen: dict[str, PublishedTrack] = {}
        """By encoding id."""
        self._low_starts: dict[ViewerTrack, float | None] = {}
        """Viewers that started with the lowest layer, and when each was first seen to have been sent something."""
        self.incoming: IncomingTrack | None = None
        """The publisher's video; None while no publisher is connected, or it sends none."""

    def __iter__(self) -> Iterator[PublishedTrack]:
        yield from self._chosen.values()
        yield self.best

    def feed_from(self, incoming: IncomingTrack, meter: SourceMeter) -> None:
        """Feed the tracks from a publisher's video."""
        self.incoming = incoming
        incoming.feed(self, meter)

    def detach(self) -> None:
        """No publisher feeds the tracks any more."""
        self.incoming = None

    # Viewers

    def layers(self, viewer_track: ViewerTrack) -> tuple[VideoLayer, ...]:
        """The active layers, the smallest first; empty without simulcast. Selected is the one that the viewer is sent,
        or will be sent from its next keyframe on."""
        incoming = self.incoming
        if incoming is None:
            return ()
        selected = self._wanted(viewer_track, incoming)
        by_id = {
            layer.encoding_id: layer
            for layer in sorted(active_layers(incoming.layers.values()), key=lambda layer: layer is selected)
            if layer.encoding_id is not None
        }
        return tuple(
            VideoLayer(
                encoding_id=encoding_id,
                bitrate_bps=layer.shown_bitrate_bps.shown,
                width=layer.size[0],
                height=layer.size[1],
                frames_per_second=layer.shown_frames_per_second.shown,
                is_selected=layer is selected,
            )
            for encoding_id, layer in sorted(by_id.items(), key=lambda item: item[1].pixels)
        )

    @staticmethod
    def _wanted(viewer_track: ViewerTrack, incoming: IncomingTrack) -> Layer | None:
        track = viewer_track.next_track or viewer_track.track
        if isinstance(track, SwitchableTrack):
            track = track.whole
        return None if viewer_track.is_paused and viewer_track.next_track is None else incoming.wanted_by(track)

    def choose(self, viewer_track: ViewerTrack, encoding_id: str | None, now: float) -> None:
        """Send a viewer the layer with this encoding id, or with None the best one, from its next keyframe on.

        A viewer that starts low and chooses none goes on with its low start. Raises MediaRefusedError: UNKNOWN_LAYER,
        or BUSY if there are MAX_CHOSEN_LAYERS.
        """
        if encoding_id is None and viewer_track in self._low_starts and not viewer_track.is_paused:
            # The Web Broadcast SDK sends this choice at once when it is connected (observed with version 1.41).
            return
        track = self.best if encoding_id is None else self.chosen(encoding_id, now)
        self._low_starts.pop(viewer_track, None)
        viewer_track.move_to(track, now)

    def start_low(self, viewer_track: ViewerTrack, now: float) -> None:
        """Let a viewer that is not connected yet start with the lowest layer. No effect without simulcast."""
        incoming = self.incoming
        if incoming is None:
            return
        lowest = lowest_layer(incoming.layers.values())
        if lowest is None or lowest.encoding_id is None or lowest is incoming.followed_by(self.best):
            return
        self.choose(viewer_track, lowest.encoding_id, now)
        self._low_starts[viewer_track] = None

    def chosen(self, encoding_id: str, now: float) -> PublishedTrack:
        """The track of the layer with this encoding id. Raises MediaRefusedError: UNKNOWN_LAYER, or BUSY if there are
        MAX_CHOSEN_LAYERS."""
        track = self._chosen.get(encoding_id)
        if track is not None:
            return track
        incoming = self.incoming
        if incoming is None or encoding_id not in incoming.plan.encoding_ids:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_LAYER, detail="the publisher has no such layer")
        if len(self._chosen) >= MAX_CHOSEN_LAYERS:
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail="too many different layers are being watched")
        track = self._chosen[encoding_id] = self._make_track(encoding_id, self.best)
        incoming.add_selection(track, now)
        return track

    def knows(self, encoding_id: str) -> bool:
        """Whether the publisher has, or viewers are sent, a layer with this encoding id."""
        ids = () if self.incoming is None else self.incoming.plan.encoding_ids
        return encoding_id in self._chosen or encoding_id in ids

    def starts_low(self, viewer_track: ViewerTrack) -> bool:
        """Whether the viewer started with the lowest layer and is not to be sent another one yet."""
        return viewer_track in self._low_starts

    # Time

    def end_low_starts(self, now: float, *, measured: Collection[ViewerTrack] = ()) -> None:
        """Move viewers to the best layer that have been sent the lowest for LOW_START_SECONDS. What `measured` ones are
        sent then is up to the caller."""
        for viewer_track, started_at in list(self._low_starts.items()):
            if started_at is None:
                self._low_starts[viewer_track] = now if viewer_track.has_started else None
            elif now - started_at >= LOW_START_SECONDS:
                del self._low_starts[viewer_track]
                if viewer_track not in measured:
                    viewer_track.move_to(self.best, now)

    def drop_unused(self, viewer_tracks: Collection[ViewerTrack], now: float) -> None:
        """Drop the tracks of chosen layers that no viewer is sent or waits for. `viewer_tracks` are those of all
        viewers, connecting ones included. Called about once a second."""
        for viewer_track in viewer_tracks:
            viewer_track.expire_runs(now)
        tracks = {each.track for each in viewer_tracks} | {each.next_track for each in viewer_tracks}
        used = tracks | {each.whole for each in tracks if isinstance(each, SwitchableTrack)}
        for whole in self:
            whole.thinned = {level: each for level, each in whole.thinned.items() if each in used}
        for encoding_id, track in list(self._chosen.items()):
            if track not in used:
                del self._chosen[encoding_id]
                if self.incoming is not None:
                    self.incoming.remove_selection(track)
        for viewer_track in self._low_starts.keys() - set(viewer_tracks):
            del self._low_starts[viewer_track]
