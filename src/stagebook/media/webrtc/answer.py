"""Writes our SDP answers: ICE-lite, DTLS passive, one bundled transport (RFC 8829, RFC 8839, RFC 9143)."""

from collections.abc import Mapping

import msgspec

from stagebook.media.webrtc.offer import PublisherPlan, ViewerPlan
from stagebook.media.webrtc.sdp import Fingerprint


class LocalTransport(msgspec.Struct, frozen=True, kw_only=True):
    """Our side of one connection. `addresses` are (ip, port) pairs, the preferred first; IPv4 and IPv6."""

    ufrag: str
    pwd: str
    fingerprint: Fingerprint
    addresses: tuple[tuple[str, int], ...]
    session_id: int
    """The number of the o= line: 63 random bits (RFC 8829 section 5.2.1)."""


class SentTrack(msgspec.Struct, frozen=True, kw_only=True):
    """What we send a viewer on one track."""

    ssrc: int
    rtx_ssrc: int | None = None


def write_publisher_answer(plan: PublisherPlan, *, local: LocalTransport) -> str:
    """The recvonly answer to a publisher."""
    raise NotImplementedError


def write_viewer_answer(
    plan: ViewerPlan, *, local: LocalTransport, sent: Mapping[str, SentTrack], stream_id: str, cname: str
) -> str:
    """The sendonly answer to a viewer. `sent` is keyed by mid and holds every track of the plan; `stream_id` is the
    msid's stream."""
    raise NotImplementedError
