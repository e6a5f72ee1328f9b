"""The settings of the LiveKit engine: its deployment, and the limits of the server."""

import msgspec

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.livekit.livekit_access import LiveKitKey


class LiveKitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One LiveKit deployment as a media engine."""

    url: str
    """Its HTTP URL, without a slash at the end."""
    key: LiveKitKey
    server_id: str
    """Identifies the data folder of this server. It is the metadata of the rooms, so that a server finds those that an
    earlier run has left."""
    video_codecs: tuple[Codec, ...]
    """In order of preference."""
    max_bitrate_bps: int
    max_connections: int
