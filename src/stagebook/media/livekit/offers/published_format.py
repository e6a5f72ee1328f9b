"""What the publisher of a LiveKit room sends: by its offer, and by the tracks that LiveKit has reported."""

from collections.abc import Sequence

import msgspec

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.livekit.facts.room_connections import RoomConnection
from stagebook.media.livekit.offers.peer_opening import OpenConnection
from stagebook.media.rtc.sdp.media_plan import PublisherPlan, SourceFormat


def published_format(
    publisher: RoomConnection, opened: OpenConnection | None, *, video_codecs: Sequence[Codec]
) -> SourceFormat:
    """Return the format of a publisher's media. `opened` is its connection; None for a publisher of encoders.

    `video_codecs` are those of the engine, in order of preference.
    """
    expected = SourceFormat.expected(video_codecs[0])
    if opened is not None and isinstance(opened.plan, PublisherPlan):
        known = expected.fed_by(opened.plan)
    else:
        # The uplink sends audio and video, always with these codecs.
        known = msgspec.structs.replace(SourceFormat.expected(Codec.H264), has_video=True, audio_codec=Codec.OPUS)
    codec = None if publisher.tracks is None else publisher.tracks.video_codec
    if codec is None or codec == known.video_codec or codec not in tuple(Codec):
        return known
    video = SourceFormat.expected(Codec(codec))
    return msgspec.structs.replace(known, video_codec=video.video_codec, video_parameters=video.video_parameters)


def sent_kinds(source: SourceFormat) -> list[MediaKind]:
    """Return the kinds of media that a source has."""
    sent = {MediaKind.AUDIO: source.audio_codec is not None, MediaKind.VIDEO: source.has_video}
    return [kind for kind, is_sent in sent.items() if is_sent]


def has_layers(opened: OpenConnection | None) -> bool:
    """Return whether a publisher sends its video in several simulcast layers."""
    video = None if opened is None else opened.plan.video
    return video is not None and len(video.rids) > 1
