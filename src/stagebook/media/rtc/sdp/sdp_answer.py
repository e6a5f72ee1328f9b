"""Writes the SDP answer of a plan (RFC 3264 section 6, JSEP RFC 8829 section 5.3.1).

The answer has the sections of the offer in their order: accepted ones with their codecs and the engine's transport,
rejected ones with port 0. On the session level it declares ICE-lite (RFC 8839 section 5.3) and repeats the BUNDLE group
of the accepted sections (RFC 9143 section 7.3). Every accepted section has `a=setup:passive`, so the peer starts the
DTLS handshake (RFC 8842 section 5.3), or `a=setup:active` if the offer leaves that to the answerer.
"""

from collections.abc import Iterator, Mapping

import msgspec

from stagebook.media.rtc.sdp.media_plan import PublisherPlan, RejectedSection, RemoteTransport, TrackPlan, ViewerPlan
from stagebook.media.rtc.sdp.session_description import Fingerprint

_HOST_TYPE_PREFERENCE = 126
"""RFC 8445 section 5.1.2.2."""
_TCP_TYPE_PREFERENCE = 90
"""Below that of UDP (RFC 6544 section 4.2), and as browsers have it: TCP delays what follows a lost packet."""
_TOP_LOCAL_PREFERENCE = 65_535
_TCP_PASSIVE_PREFERENCE = 4 << 13
"""The direction preference of a passive host candidate (RFC 6544 section 4.2)."""
_TOP_OTHER_PREFERENCE = 8_191
_COMPONENT_ID = 1
"""RTP and RTCP share one component (RFC 5761)."""


class LocalTransport(msgspec.Struct, frozen=True, kw_only=True):
    """The engine's side of one connection."""

    ufrag: str
    pwd: str
    fingerprint: Fingerprint
    addresses: tuple[tuple[str, int], ...]
    """The (IP, port) pairs of the UDP candidates, IPv4 and IPv6, the preferred first."""
    tcp_addresses: tuple[tuple[str, int], ...] = ()
    """Those of the passive TCP candidates."""
    session_id: int
    """The session id of the o= line: 63 random bits (RFC 8829 section 5.2.1)."""


class SentTrack(msgspec.Struct, frozen=True, kw_only=True):
    """The SSRCs of one track that the engine sends to a viewer."""

    ssrc: int
    rtx_ssrc: int | None = None


def write_publisher_answer(plan: PublisherPlan, *, local: LocalTransport) -> str:
    """Return the answer to a publisher. Its accepted sections are recvonly."""
    sections = {
        track.section: [*_accepted(track, plan.remote, local, "recvonly"), *_extensions(track), *_simulcast(track)]
        for track in plan.tracks
    }
    return _description(plan, local, sections)


def write_viewer_answer(
    plan: ViewerPlan, *, local: LocalTransport, sent: Mapping[str, SentTrack], stream_id: str, cname: str
) -> str:
    """Return the answer to a viewer. Its accepted sections are sendonly.

    `sent` has an entry for every track of the plan, keyed by mid. `stream_id` is the MediaStream id of a=msid (RFC 8830
    section 2), `cname` the RTCP canonical name of the streams.
    """
    sections = {
        track.section: [
            *_accepted(track, plan.remote, local, "sendonly"),
            *_extensions(track),
            f"a=msid:{stream_id} {stream_id}-{track.kind}",
            *_ssrcs(sent[track.mid], cname),
        ]
        for track in plan.tracks
    }
    return _description(plan, local, sections)


def candidate_lines(local: LocalTransport) -> Iterator[str]:
    """Yield the a= lines of our host candidates, the preferred first, and a=end-of-candidates.

    See RFC 8839 section 5.1 for the grammar, RFC 6544 section 4.5 for that of TCP, RFC 8445 section 5.1.2.1 for the
    priority and RFC 8840 for the end.
    """
    for index, (address, port) in enumerate(local.addresses):
        priority = _priority(_HOST_TYPE_PREFERENCE, _TOP_LOCAL_PREFERENCE - index)
        yield f"a=candidate:{index + 1} {_COMPONENT_ID} udp {priority} {address} {port} typ host"
    for index, (address, port) in enumerate(local.tcp_addresses):
        priority = _priority(_TCP_TYPE_PREFERENCE, _TCP_PASSIVE_PREFERENCE + _TOP_OTHER_PREFERENCE - index)
        foundation = len(local.addresses) + index + 1
        yield f"a=candidate:{foundation} {_COMPONENT_ID} tcp {priority} {address} {port} typ host tcptype passive"
    yield "a=end-of-candidates"


def _priority(type_preference: int, local_preference: int) -> int:
    """The priority of a candidate (RFC 8445 section 5.1.2.1)."""
    return type_preference << 24 | local_preference << 8 | (256 - _COMPONENT_ID)


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
        accepted = sorted((*plan.tracks, *plan.idle), key=lambda track: track.section)
        lines.append("a=group:BUNDLE " + " ".join(track.mid for track in accepted))
    sections = sections | {track.section: [*_accepted(track, plan.remote, local, "inactive")] for track in plan.idle}
    sections = sections | {rejected.section: _rejected(rejected) for rejected in plan.rejected}
    for _, section in sorted(sections.items()):
        lines += section
    return "\r\n".join(lines) + "\r\n"


def _accepted(track: TrackPlan, remote: RemoteTransport, local: LocalTransport, direction: str) -> Iterator[str]:
    """Yield the lines that every accepted section has.

    Each section has the whole transport with its candidates. RFC 9143 section 7.1.3 requires them only in the tagged
    section, but some clients read only the section that they are interested in.
    """
    yield f"m={track.kind} 9 {track.protocol} " + " ".join(map(str, track.payload_types))
    yield "c=IN IP4 0.0.0.0"
    yield "a=rtcp:9 IN IP4 0.0.0.0"
    yield f"a=mid:{track.mid}"
    yield f"a={direction}"
    yield f"a=ice-ufrag:{local.ufrag}"
    yield f"a=ice-pwd:{local.pwd}"
    yield f"a=fingerprint:{local.fingerprint.algorithm} {local.fingerprint.digest.hex(':').upper()}"
    yield "a=setup:active" if remote.is_dtls_server else "a=setup:passive"
    yield "a=rtcp-mux"
    if track.rtcp_reduced_size:
        yield "a=rtcp-rsize"
    yield from candidate_lines(local)
    for plan in (track, *track.alternatives):
        yield from _codec(plan)


def _codec(track: TrackPlan) -> Iterator[str]:
    """Yield the codec of a section with its RTX and RED (RFC 8866 section 6.6, RFC 4588 section 8.1, RFC 2198)."""
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
    if track.red_payload_type is not None:
        yield f"a=rtpmap:{track.red_payload_type} red/{track.clock_rate}{channels}"
        yield f"a=fmtp:{track.red_payload_type} {number}/{number}"


def _extensions(track: TrackPlan) -> Iterator[str]:
    """Yield the accepted header extensions (RFC 8285 section 7)."""
    for number, uri in track.extensions.extmaps():
        yield f"a=extmap:{number} {uri}"


def _simulcast(track: TrackPlan) -> Iterator[str]:
    """Yield the accepted layers, all that were offered, in the offer's order (RFC 8853 section 5.3.2)."""
    for rid in track.rids:
        yield f"a=rid:{rid} recv"
    if track.rids:
        yield "a=simulcast:recv " + ";".join(track.rids)


def _ssrcs(sent: SentTrack, cname: str) -> Iterator[str]:
    """Yield the SSRCs of a sent track (RFC 5576 section 4)."""
    if sent.rtx_ssrc is not None:
        yield f"a=ssrc-group:FID {sent.ssrc} {sent.rtx_ssrc}"
    yield f"a=ssrc:{sent.ssrc} cname:{cname}"
    if sent.rtx_ssrc is not None:
        yield f"a=ssrc:{sent.rtx_ssrc} cname:{cname}"


def _rejected(section: RejectedSection) -> list[str]:
    """Return a rejected section: port 0 and the formats of the offer (RFC 3264 section 6)."""
    lines = [f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}", "c=IN IP4 0.0.0.0"]
    if section.mid is not None:
        lines.append(f"a=mid:{section.mid}")
    return [*lines, "a=inactive"]
