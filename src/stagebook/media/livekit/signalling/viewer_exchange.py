"""The exchange of a viewer that has one SDP offer: it joins, subscribes to the publisher's tracks, and then offers.

The order matters. LiveKit answers an offer that comes before the subscription without tracks, and a client with one
offer could not be sent another answer. So the offer waits until LiveKit has said which media sections the tracks need
(`media_sections_requirement`), about 150 ms after the subscription.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from livekit.protocol import models, rtc

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.livekit.signalling.signalling_exchange import ExchangeState, SignallingExchange
from stagebook.media.port import RefusalReason

_TYPES: Final = {MediaKind.AUDIO: models.TrackType.AUDIO, MediaKind.VIDEO: models.TrackType.VIDEO}
_CODEC_REASONS: Final = {MediaKind.AUDIO: RefusalReason.AUDIO_CODEC, MediaKind.VIDEO: RefusalReason.VIDEO_CODEC}
_RED: Final = "RED"
"""Opus with redundancy. LiveKit sends plain Opus to viewers that do not offer it."""


def track_codec(track: models.TrackInfo) -> str | None:
    """Return the name of a track's codec in upper case, such as H264; None if LiveKit does not know it yet."""
    name = track.mime_type.partition("/")[2].upper()
    return (Codec.OPUS.upper() if name == _RED else name) or None


class ViewerExchange(SignallingExchange):
    """The signalling of one viewer."""

    def __init__(self, *, offer: str, publisher_id: str, codecs: Mapping[MediaKind, frozenset[str]]) -> None:
        """`publisher_id` is the identity of the publisher. `codecs` has the kinds of media that the viewer receives and
        the publisher sends, with the codecs that the viewer offers, in upper case."""
        super().__init__(offer=offer)
        self._publisher_id = publisher_id
        self._codecs = codecs
        self.tracks: dict[MediaKind, models.TrackInfo] = {}
        """The tracks of the publisher that the viewer watches, as LiveKit described them last."""
        self._needed = {MediaKind.AUDIO: 0, MediaKind.VIDEO: 0}

    def _take(self, message: rtc.SignalResponse) -> list[rtc.SignalRequest]:
        match message.WhichOneof("message"):
            case "media_sections_requirement":
                return self._take_sections(message.media_sections_requirement)
            case "subscription_response":
                self._take_subscription(message.subscription_response)
                return []
        return super()._take(message)

    def _joined(self, join: rtc.JoinResponse) -> list[rtc.SignalRequest]:
        if not self._codecs:
            return self._send_offer()
        self.state = ExchangeState.TRACKS
        return self._updated(join.other_participants)

    def _updated(self, participants: Sequence[models.ParticipantInfo]) -> list[rtc.SignalRequest]:
        for publisher in participants:
            if publisher.identity == self._publisher_id:
                self._take_tracks(publisher)
        if self.state is not ExchangeState.TRACKS or self.tracks.keys() < self._codecs.keys():
            return []
        return self._subscribe()

    def _take_tracks(self, publisher: models.ParticipantInfo) -> None:
        """Take the publisher's first track of each kind, or what is new about a track that was taken."""
        has_left = publisher.state == models.ParticipantInfo.State.DISCONNECTED
        if has_left and self.state is not ExchangeState.ANSWERED:
            self._fail(RefusalReason.UNKNOWN_SOURCE, "the publisher has left")
        for kind in self._codecs:
            known = self.tracks.get(kind)
            found = [track for track in publisher.tracks if track.type == _TYPES[kind]]
            same = [track for track in found if known is not None and track.sid == known.sid]
            if same or (found and known is None):
                self.tracks[kind] = (same or found)[0]

    def _subscribe(self) -> list[rtc.SignalRequest]:
        for kind, track in self.tracks.items():
            codec = track_codec(track)
            # LiveKit would answer and never send this kind of media.
            if codec is not None and codec not in self._codecs[kind]:
                self._fail(_CODEC_REASONS[kind], f"the offer cannot take the publisher's {codec} {kind}")
                return []
        self.state = ExchangeState.SECTIONS
        sids = [track.sid for track in self.tracks.values()]
        return [rtc.SignalRequest(subscription=rtc.UpdateSubscription(track_sids=sids, subscribe=True))]

    def _take_sections(self, required: rtc.MediaSectionsRequirement) -> list[rtc.SignalRequest]:
        """LiveKit needs further media sections. Each message adds to the former ones."""
        self._needed[MediaKind.AUDIO] += required.num_audios
        self._needed[MediaKind.VIDEO] += required.num_videos
        is_ready = all(self._needed[kind] > 0 for kind in self.tracks)
        return self._send_offer() if is_ready and self.state is ExchangeState.SECTIONS else []

    def _take_subscription(self, failed: rtc.SubscriptionResponse) -> None:
        """A subscription has failed."""
        kind = next((kind for kind, track in self.tracks.items() if track.sid == failed.track_sid), None)
        if kind is None or self.state is ExchangeState.ANSWERED:
            return
        if failed.err == models.SubscriptionError.SE_CODEC_UNSUPPORTED:
            self._fail(_CODEC_REASONS[kind], f"LiveKit cannot send the publisher's {kind} to this peer")
        elif failed.err == models.SubscriptionError.SE_TRACK_NOTFOUND:
            self._fail(RefusalReason.UNKNOWN_SOURCE, f"the publisher's {kind} has ended")
