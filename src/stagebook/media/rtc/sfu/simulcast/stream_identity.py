"""Which layer the streams of one media section of a publisher belong to.

A stream of media is a layer, known by its SSRC. Its name comes from the RID in a header extension (RFC 8852), or from
the place of its SSRC in the offer (SIM groups). Retransmissions come as a stream of their own (RTX, RFC 4588), which
repairs one layer.
"""

from collections.abc import Mapping
from typing import Final

from stagebook.media.rtc.rtp.rtp_packet import RtpPacket, extension_value
from stagebook.media.rtc.sdp.media_plan import TrackPlan
from stagebook.media.rtc.sfu.simulcast.simulcast_layers import Layer

MAX_KNOWN_RIDS: Final = 32
"""SSRCs whose RID is kept, those of removed layers included."""


class StreamIdentity:
    """The names of the layers of one section, and the layers of its RTX streams."""

    def __init__(self, plan: TrackPlan) -> None:
        self.rids: dict[int, str] = {}
        """RIDs by media SSRC. They are kept when a layer is removed: Chromium sends the RID of an SSRC only until the
        first receiver report about it, and not again when it resumes a layer."""
        self._plan = plan
        self._rtx_layers: dict[int, Layer] = {}
        """Layers by the SSRC of their RTX stream."""

    def rid(self, packet: RtpPacket) -> str | None:
        """The RID of a packet's SSRC: that of the packet, or that of an earlier one."""
        rid = _extension_string(packet.extension, self._plan.extensions.rid)
        if rid is None:
            return self.rids.get(packet.ssrc)
        if packet.ssrc not in self.rids and len(self.rids) >= MAX_KNOWN_RIDS:
            del self.rids[next(iter(self.rids))]
        self.rids[packet.ssrc] = rid
        return rid

    def encoding_id(self, ssrc: int, rid: str | None) -> str | None:
        """The name of a layer for viewers; None if the offer does not have it."""
        plan = self._plan
        if plan.rids:
            return rid if rid in plan.rids else None
        return str(plan.ssrcs.index(ssrc)) if plan.encoding_ids and ssrc in plan.ssrcs else None

    def repaired_layer(self, packet: RtpPacket, sequence: int, layers: Mapping[int, Layer]) -> Layer | None:
        """The one of these layers, by SSRC, that an RTX packet with this original sequence number repairs."""
        return self._rtx_layers.get(packet.ssrc) or self._find_repaired(packet, sequence, layers)

    def _find_repaired(self, packet: RtpPacket, sequence: int, layers: Mapping[int, Layer]) -> Layer | None:
        """The layer that an unknown RTX SSRC repairs.

        In this order: the SDP says so (ssrc-group FID), the packet's repaired-rid extension says so (RFC 8852), or only
        one layer misses the packet.
        """
        layer = layers.get(self._plan.rtx_of.get(packet.ssrc, -1))
        rid = _extension_string(packet.extension, self._plan.extensions.repaired_rid)
        if layer is None and rid is not None:
            layer = next((known for known in layers.values() if known.rid == rid), None)
        if layer is None and rid is None:
            waiting = [known for known in layers.values() if known.receiver.is_missing(sequence)]
            layer = waiting[0] if len(waiting) == 1 else None
        if layer is not None:
            self.forget_rtx_of(layer)
            self._rtx_layers[packet.ssrc] = layer
        return layer

    def forget_rtx_of(self, layer: Layer) -> None:
        """The layer is gone, or has another RTX stream."""
        self._rtx_layers = {ssrc: other for ssrc, other in self._rtx_layers.items() if other is not layer}


def _extension_string(extension: bytes, element_id: int | None) -> str | None:
    """The value of a header extension element (RFC 8285) that holds a string, such as a rid."""
    value = extension_value(extension, element_id) if element_id is not None and extension else None
    return value.decode("ascii", "replace") if value else None
