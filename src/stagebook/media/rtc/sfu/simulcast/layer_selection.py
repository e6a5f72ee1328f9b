"""Which layer of a publisher one track of its source follows.

A selection follows one layer, the current one. When another one is to be followed, it becomes the target: a keyframe of
it is requested, and the selection switches when the keyframe arrives, because a viewer cannot decode the new layer
earlier. The current layer goes on until then.
"""

from collections.abc import Callable, Collection

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.rtc.sfu.published_track import PublishedTrack
from stagebook.media.rtc.sfu.simulcast.simulcast_layers import Layer, best_layer, chosen_layer


class LayerSelection:
    """The choice of the followed layer for one track. It is the track's `KeyframeRequester`."""

    __slots__ = ("_request_keyframe", "current", "target", "track")

    def __init__(self, track: PublishedTrack, *, request_keyframe: Callable[[Layer, float], None]) -> None:
        """`request_keyframe` requests a keyframe of a layer from the publisher, throttled."""
        self.track = track
        self.current: Layer | None = None
        """The followed layer. None before its first keyframe."""
        self.target: Layer | None = None
        """The layer to switch to at its next keyframe."""
        self._request_keyframe = request_keyframe

    def choose(self, layers: Collection[Layer]) -> None:
        """Set the target: the layer that the track's viewers chose, or the best one (see `PublishedTrack`)."""
        track = self.track
        if track.encoding_id is None:
            wanted = best_layer(layers, current=self.current)
        else:
            wanted = chosen_layer(layers, track.encoding_id, pixels=track.chosen_pixels, current=self.current)
            if wanted is not None and wanted.encoding_id == track.encoding_id and wanted.pixels:
                track.chosen_pixels = wanted.pixels
        self.target = None if wanted is self.current else wanted

    def may_switch_to(self, layer: Layer) -> bool:
        """Whether to follow a layer from its keyframe, which has just begun.

        Before `choose` has set a first target, the best layer is not known: any one is followed then, or only the
        chosen one if there was a choice.
        """
        if layer is self.target or self.track.kind is MediaKind.AUDIO:
            return True
        return self.current is None and self.track.encoding_id in (None, layer.encoding_id)

    def switch_to(self, layer: Layer) -> None:
        """Follow a layer from now on."""
        self.current, self.target = layer, None

    def request_keyframe(self, now: float) -> None:
        """Request a keyframe of the target, or else of the followed layer. No effect without a layer."""
        layer = self.target or self.current
        if layer is not None:
            self._request_keyframe(layer, now)
