"""The exchange of a publisher with simulcast: the join has its offer and the layers of its video.

Publishers without simulcast use LiveKit's WHIP endpoint (`whip_client`). With simulcast that endpoint of LiveKit 1.13
treats every layer as the lowest one. Here each layer is declared with its RID.
"""

from collections.abc import Sequence
from typing import Final

from livekit.protocol import models, rtc

from stagebook.media.livekit.signalling.signalling_exchange import ExchangeState, SignallingExchange

QUALITIES: Final = (models.VideoQuality.LOW, models.VideoQuality.MEDIUM, models.VideoQuality.HIGH)
"""LiveKit has at most three layers, the lowest first."""
_KNOWN_ORDERS: Final = (("q", "h", "f"), ("l", "m", "h"), ("low", "mid", "hi"), ("2", "1", "0"))
"""RIDs that tell their layers' order whatever their order in the offer, the lowest first. LiveKit itself orders the
first and the last of these."""


def ordered_rids(rids: Sequence[str]) -> tuple[str, ...]:
    """Return the RIDs of an offer by quality, the lowest first. If the names are unknown, in the order of the offer."""
    for order in _KNOWN_ORDERS:
        if set(rids) <= set(order):
            return tuple(rid for rid in order if rid in rids)
    return tuple(rids)


class PublisherExchange(SignallingExchange):
    """The signalling of one publisher."""

    def __init__(self, *, offer: str, audio_track: str | None, video_track: str, rids: Sequence[str]) -> None:
        """`audio_track` and `video_track` are the track ids of the offer's `a=msid`. `rids` has the RIDs of the layers,
        the lowest first, at most three."""
        super().__init__(offer=offer)
        self._audio_track = audio_track
        self._video_track = video_track
        self._rids = rids

    def join_request(self) -> rtc.JoinRequest:
        """Return the message for the URL of the websocket, with the offer and the tracks."""
        request = super().join_request()
        request.publisher_offer.CopyFrom(rtc.SessionDescription(type="offer", sdp=self._offer, id=self._offer_id))
        if self._audio_track is not None:
            request.add_track_requests.append(
                rtc.AddTrackRequest(
                    cid=self._audio_track, type=models.TrackType.AUDIO, source=models.TrackSource.MICROPHONE
                )
            )
        request.add_track_requests.append(
            rtc.AddTrackRequest(
                cid=self._video_track,
                type=models.TrackType.VIDEO,
                source=models.TrackSource.CAMERA,
                layers=[
                    models.VideoLayer(quality=quality, rid=rid, spatial_layer=position)
                    for position, (quality, rid) in enumerate(zip(QUALITIES, self._rids, strict=False))
                ],
            )
        )
        return request

    def _joined(self, _join: rtc.JoinResponse) -> list[rtc.SignalRequest]:
        self.state = ExchangeState.OFFERED
        return []
