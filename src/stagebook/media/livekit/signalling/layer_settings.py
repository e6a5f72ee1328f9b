"""LiveKit's simulcast layers: those that a viewer can choose, and the message that chooses one.

LiveKit knows a layer by its quality (low, medium, high) and sends a viewer the best one that its line carries, up to
the quality that was asked for. So a choice of exactly one layer means "at most this one".
"""

from collections.abc import Mapping, Sequence

from livekit.protocol import models, rtc

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.port import LayerChoice, LayerMode, MediaRefusedError, RefusalReason, VideoLayer


def track_layers(track: models.TrackInfo) -> list[models.VideoLayer]:
    """Return the layers of a video track that have a RID, the lowest first. Empty without simulcast."""
    described = next((list(codec.layers) for codec in track.codecs if codec.layers), None)
    layers = list(track.layers) if described is None else described
    named = [layer for layer in layers if layer.rid]
    return sorted(named, key=lambda layer: layer.spatial_layer) if len(named) > 1 else []


def video_layers(track: models.TrackInfo, *, chosen: str | None) -> tuple[VideoLayer, ...]:
    """Return the layers of a video track for a viewer that has chosen one by its RID, or None.

    LiveKit does not report which layer it sends: the chosen one, or else the best one, is returned as selected. It does
    not report bitrates and frame rates either.
    """
    layers = track_layers(track)
    selected = chosen if chosen is not None else (layers[-1].rid if layers else None)
    return tuple(
        VideoLayer(
            encoding_id=layer.rid,
            bitrate_bps=layer.bitrate,
            width=layer.width,
            height=layer.height,
            frames_per_second=0,
            is_selected=layer.rid == selected,
        )
        for layer in layers
    )


def layer_messages(choice: LayerChoice, tracks: Mapping[MediaKind, models.TrackInfo]) -> Sequence[rtc.SignalRequest]:
    """Return the messages for the choice of a viewer of these tracks.

    Raises MediaRefusedError (UNKNOWN_LAYER).
    """
    stopped = {
        LayerMode.PAUSED: (MediaKind.AUDIO, MediaKind.VIDEO),
        LayerMode.AUDIO_ONLY: (MediaKind.VIDEO,),
    }.get(choice.mode, ())
    quality = models.VideoQuality.HIGH
    if choice.encoding_id is not None:
        layers = [] if MediaKind.VIDEO not in tracks else track_layers(tracks[MediaKind.VIDEO])
        found = next((layer for layer in layers if layer.rid == choice.encoding_id), None)
        if found is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_LAYER, detail="the publisher has no such layer")
        quality = found.quality
    return [
        rtc.SignalRequest(
            track_setting=rtc.UpdateTrackSettings(track_sids=[track.sid], disabled=kind in stopped, quality=quality)
        )
        for kind, track in tracks.items()
    ]
