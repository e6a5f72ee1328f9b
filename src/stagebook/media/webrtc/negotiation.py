"""Decides what to answer to an offer. Pure: descriptions in, plans out; MediaRefusedError says why not."""

from collections.abc import Sequence

from stagebook.media.webrtc.codec import Codec
from stagebook.media.webrtc.offer import PublisherPlan, SourceFormat, ViewerPlan
from stagebook.media.webrtc.sdp import SessionDescription


def negotiate_publisher(
    offer: SessionDescription, *, video_codecs: Sequence[Codec], current: SourceFormat | None = None
) -> PublisherPlan:
    """Plan for a publisher. `video_codecs` in order of preference; `current` is the format of the source that this
    connection takes over, whose codecs and H.264 profile then come first.

    Raises MediaRefusedError: VIDEO_CODEC (no sending video section with a codec of ours), AUDIO_CODEC (audio is sent but not as
    Opus), MALFORMED (no ICE credentials, no fingerprint, setup:passive, not bundled ...).
    """
    raise NotImplementedError


def negotiate_viewer(offer: SessionDescription, *, source: SourceFormat) -> ViewerPlan:
    """Plan for a viewer of `source`. Raises MediaRefusedError: VIDEO_CODEC or AUDIO_CODEC (the viewer cannot take the source's
    codec), MALFORMED."""
    raise NotImplementedError
