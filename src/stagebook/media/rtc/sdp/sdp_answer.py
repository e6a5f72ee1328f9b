"""Writes our SDP answers: ICE-lite, DTLS passive, one bundled transport (RFC 8829, RFC 8839, RFC 9143)."""

from collections.abc import Iterator, Mapping

import msgspec

from stagebook.media.rtc.sdp.media_plan import PublisherPlan, RejectedSection, TrackPlan, ViewerPlan
from stagebook.media.rtc.sdp.session_description import Fingerprint

_MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
_RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
_REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"

# RFC 8445 section 5.1.2.1: host type preference 126, then the order of the addresses, component 1.
_HOST_PREFERENCE = 126
_TOP_LOCAL_PREFERENCE = 65_535


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
    sections = {
        track.section: [*_accepted(track, local, "recvonly"), *_extensions(track), *_simulcast(track)]
        for track in plan.tracks
    }
    return _description(plan, local, sections)


def write_viewer_answer(
    plan: ViewerPlan, *, local: LocalTransport, sent: Mapping[str, SentTrack], stream_id: str, cname: str
) -> str:
    """The sendonly answer to a viewer. `sent` is keyed by mid and holds every track of the plan; `stream_id` is the
    msid's stream."""
    sections = {
        track.section: [
            *_accepted(track, local, "sendonly"),
            f"a=msid:{stream_id} {stream_id}-{track.kind}",
            *_stream(sent[track.mid], cname),
        ]
        for track in plan.tracks
    }
    return _description(plan, local, sections)


def candidate_lines(local: LocalTransport) -> Iterator[str]:
    """Our host candidates, preferred first, and the end of them (RFC 8839 section 5.1, RFC 8840)."""
    for index, (address, port) in enumerate(local.addresses):
        priority = (_HOST_PREFERENCE << 24) | (_TOP_LOCAL_PREFERENCE - index << 8) | 255
        yield f"a=candidate:{index + 1} 1 udp {priority} {address} {port} typ host"
    yield "a=end-of-candidates"


def _description(plan: PublisherPlan | ViewerPlan, local: LocalTransport, sections: dict[int, list[str]]) -> str:
    lines = [
        "v=0",
        f"o=- {local.session_id} 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        "a=ice-options:trickle ice2",
        "a=msid-semantic: WMS *",
    ]
    if plan.bundled:
        lines.append("a=group:BUNDLE " + " ".join(track.mid for track in plan.tracks))
    sections = sections | {rejected.section: _refused(rejected) for rejected in plan.rejected}
    for _, section in sorted(sections.items()):
        lines += section
    return "\r\n".join(lines) + "\r\n"


def _accepted(track: TrackPlan, local: LocalTransport, direction: str) -> Iterator[str]:
    """What every accepted section says. Each holds the whole transport with its candidates: a bundled section may
    (RFC 9143 section 7.4), and clients exist that read only the section they want."""
    rtx = track.rtx_payload_type
    yield f"m={track.kind} 9 {track.protocol} {track.payload_type}" + (f" {rtx}" if rtx is not None else "")
    yield "c=IN IP4 0.0.0.0"
    yield "a=rtcp:9 IN IP4 0.0.0.0"
    yield f"a=mid:{track.mid}"
    yield f"a={direction}"
    yield f"a=ice-ufrag:{local.ufrag}"
    yield f"a=ice-pwd:{local.pwd}"
    yield f"a=fingerprint:{local.fingerprint.algorithm} {local.fingerprint.digest.hex(':').upper()}"
    yield "a=setup:passive"
    yield "a=rtcp-mux"
    if track.rtcp_reduced_size:
        yield "a=rtcp-rsize"
    yield from candidate_lines(local)
    yield from _codec(track)


def _codec(track: TrackPlan) -> Iterator[str]:
    number, rtx = track.payload_type, track.rtx_payload_type
    channels = f"/{track.channels}" if track.channels > 1 else ""
    yield f"a=rtpmap:{number} {track.encoding}/{track.clock_rate}{channels}"
    if track.parameters:
        yield f"a=fmtp:{number} {track.parameters}"
    for feedback in track.feedback:
        yield f"a=rtcp-fb:{number} {feedback}"
    if rtx is not None:
        yield f"a=rtpmap:{rtx} rtx/{track.clock_rate}"
        yield f"a=fmtp:{rtx} apt={number}"


def _extensions(track: TrackPlan) -> Iterator[str]:
    used = ((track.extensions.mid, _MID), (track.extensions.rid, _RID), (track.extensions.repaired_rid, _REPAIRED_RID))
    for number, uri in used:
        if number is not None:
            yield f"a=extmap:{number} {uri}"


def _simulcast(track: TrackPlan) -> Iterator[str]:
    """The layers that we take, in the offer's order (RFC 8853 section 5.3.2)."""
    for rid in track.rids:
        yield f"a=rid:{rid} recv"
    if track.rids:
        yield "a=simulcast:recv " + ";".join(track.rids)


def _stream(sent: SentTrack, cname: str) -> Iterator[str]:
    if sent.rtx_ssrc is not None:
        yield f"a=ssrc-group:FID {sent.ssrc} {sent.rtx_ssrc}"
    yield f"a=ssrc:{sent.ssrc} cname:{cname}"
    if sent.rtx_ssrc is not None:
        yield f"a=ssrc:{sent.rtx_ssrc} cname:{cname}"


def _refused(section: RejectedSection) -> list[str]:
    lines = [f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}", "c=IN IP4 0.0.0.0"]
    if section.mid is not None:
        lines.append(f"a=mid:{section.mid}")
    return [*lines, "a=inactive"]
