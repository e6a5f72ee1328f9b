"""Parses one media section of a session description: its m= line and the attributes that the engine uses.

Each attribute has one method; a table maps the attribute's name to it. Unknown attributes are ignored (RFC 8866 section
5.13). Where an attribute is repeated for the same payload type, the first one counts.

A section costs time in proportion to its size. So attributes of a payload type are collected in dictionaries keyed by
that payload type, and no list that the offerer can fill is scanned once for each entry of another one.
"""

import itertools
import re
from collections.abc import Callable

from stagebook.media.rtc.sdp.sdp_grammar import PROTOCOL, TOKEN, parse_number, require_space
from stagebook.media.rtc.sdp.session_description import (
    KNOWN_FEEDBACK,
    MediaSection,
    PayloadFormat,
    SdpMalformedError,
    SsrcGroup,
    TransportDescription,
)
from stagebook.media.rtc.sdp.transport_attributes import TransportParser

MAX_FORMATS = 128
MAX_CANDIDATES = 256
MAX_SSRCS = 64
MAX_SSRC_GROUPS = 32
MAX_RIDS = 16
MAX_FEEDBACK = 512
MAX_EXTENSIONS = 256
MAX_FMTP_CHARACTERS = 4096
"""The longest a=fmtp value. The H.264 parameter sets of an encoder take up to some hundred characters. A publisher's
value stays with its source and is read again for each viewer, so its size is limited apart from that of the offer."""

MAX_FMTP_PARAMETERS = 32
"""The most parameters of an a=fmtp value. H.264 has some ten of the twenty that RFC 6184 section 8.1 defines. The
negotiation reads each value several times."""

DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
"""The direction attributes (RFC 8866 section 6.7)."""
_FLAGS = ("rtcp-mux", "rtcp-rsize", "bundle-only")
_RID = re.compile(r"[0-9A-Za-z_-]{1,255}")
"""RFC 8851 section 10."""
_MAX_EXTENSION_ID = 14_095
"""The highest accepted id of a=extmap. Ids above 255 are for negotiation only (RFC 8285 section 7)."""


class MediaSectionParser:
    """Collects one media section, attribute by attribute.

    The attributes of a payload type may stand before or after its a=rtpmap, so they are joined in `finish` only.
    """

    def __init__(self, media: str, *, direction: str) -> None:
        """`media` is the value of the m= line, `direction` that of the session part. Raises SdpMalformedError."""
        words = media.split()
        if len(words) < 4:
            raise SdpMalformedError("m= needs a kind, a port, a protocol and formats")
        kind, port, protocol, *formats = words
        if not TOKEN.fullmatch(kind) or not PROTOCOL.fullmatch(protocol):
            raise SdpMalformedError("m= has a kind or a protocol that is not a token")
        if len(formats) > MAX_FORMATS or not all(TOKEN.fullmatch(name) for name in formats):
            raise SdpMalformedError(f"m= has more than {MAX_FORMATS} formats, or one that is not a token")
        self._kind, self._protocol, self._formats = kind, protocol, tuple(formats)
        # In the order of the m= line, which is the offerer's order of preference, without repetitions.
        self._distinct_formats = dict.fromkeys(formats)
        self._port = parse_number(port.partition("/")[0], 0, 65535, "the port")
        self._direction = direction
        self._transport = TransportParser()
        self._mid: str | None = None
        self._flags: set[str] = set()
        self._candidates = 0
        self._rtpmaps: dict[str, tuple[str, int, int]] = {}
        self._fmtps: dict[str, str] = {}
        self._feedback_lines = 0
        self._feedback: dict[str, set[str]] = {}
        self._extensions: dict[str, int] = {}
        self._ssrcs: dict[int, None] = {}
        self._ssrc_groups: list[SsrcGroup] = []
        self._declared_rids: set[str] = set()
        self._simulcast_rids: tuple[str, ...] | None = None

    def parse_attribute(self, name: str, value: str) -> None:
        """Take the name and the value of an a= line. Raises SdpMalformedError."""
        parse = _PARSERS.get(name)
        if parse is not None:
            parse(self, value)
        elif name in DIRECTIONS:
            self._direction = name
        elif name in _FLAGS:
            self._flags.add(name)
        else:
            self._transport.parse_attribute(name, value)

    def finish(self, session: TransportDescription) -> MediaSection:
        """Return the section. `session` holds the transport attributes of the session part."""
        return MediaSection(
            kind=self._kind,
            port=self._port,
            protocol=self._protocol,
            formats=self._formats,
            mid=self._mid,
            direction=self._direction,
            transport=self._transport.finish(session),
            rtcp_mux="rtcp-mux" in self._flags,
            rtcp_reduced_size="rtcp-rsize" in self._flags,
            bundle_only="bundle-only" in self._flags,
            payloads=tuple(self._payload(name) for name in self._distinct_formats if name in self._rtpmaps),
            extensions=self._extensions,
            ssrcs=tuple(self._ssrcs),
            ssrc_groups=tuple(self._ssrc_groups),
            send_rids=tuple(rid for rid in self._simulcast_rids or () if rid in self._declared_rids),
        )

    def _payload(self, name: str) -> PayloadFormat:
        encoding, clock_rate, channels = self._rtpmaps[name]
        # At most len(KNOWN_FEEDBACK) values each, however many lines the section has.
        accepted = self._feedback.get(name, set()) | self._feedback.get("*", set())
        return PayloadFormat(
            payload_type=int(name),
            encoding=encoding,
            clock_rate=clock_rate,
            channels=channels,
            parameters=self._fmtps.get(name, ""),
            feedback=tuple(value for value in KNOWN_FEEDBACK if value in accepted),
        )

    def _parse_mid(self, value: str) -> None:
        """RFC 5888 section 4."""
        if not TOKEN.fullmatch(value):
            raise SdpMalformedError("a=mid is not a token")
        self._mid = value

    def _parse_rtpmap(self, value: str) -> None:
        """`96 opus/48000/2` (RFC 8866 section 6.6). Channels default to 1."""
        name, _, rest = value.partition(" ")
        encoding, clock_rate, channels = [*rest.strip().split("/"), "", ""][:3]
        parse_number(name, 0, 127, "the payload type of a=rtpmap")
        if not TOKEN.fullmatch(encoding):
            raise SdpMalformedError("a=rtpmap needs an encoding name and a clock rate")
        rate = parse_number(clock_rate, 1, 2**31 - 1, "the clock rate of a=rtpmap")
        count = parse_number(channels, 1, 255, "the channels of a=rtpmap") if channels else 1
        if name in self._distinct_formats:
            self._rtpmaps.setdefault(name, (encoding, rate, count))

    def _parse_fmtp(self, value: str) -> None:
        """`96 minptime=10;useinbandfec=1` (RFC 8866 section 6.15)."""
        name, _, rest = value.partition(" ")
        if len(rest) > MAX_FMTP_CHARACTERS:
            raise SdpMalformedError(f"a=fmtp is longer than {MAX_FMTP_CHARACTERS} characters")
        if rest.count(";") > MAX_FMTP_PARAMETERS:
            raise SdpMalformedError(f"a=fmtp has more than {MAX_FMTP_PARAMETERS} parameters")
        if name in self._distinct_formats:
            self._fmtps.setdefault(name, rest.strip())

    def _parse_feedback(self, value: str) -> None:
        """`96 nack pli`, or `*` for all payload types (RFC 4585 section 4.2). Unknown feedback is ignored."""
        self._feedback_lines += 1
        if self._feedback_lines > MAX_FEEDBACK:
            raise SdpMalformedError(f"more than {MAX_FEEDBACK} a=rtcp-fb lines in one section")
        name, _, rest = value.partition(" ")
        feedback = rest.strip()
        if feedback not in KNOWN_FEEDBACK:
            return
        known = self._feedback.get(name)
        if known is not None:
            known.add(feedback)
        elif name == "*" or name in self._distinct_formats:
            self._feedback[name] = {feedback}

    def _parse_extmap(self, value: str) -> None:
        """`4/sendonly urn:ietf:...` (RFC 8285 section 5). The direction is ignored."""
        identifier, uri = [*value.split(" "), ""][:2]
        number = parse_number(identifier.partition("/")[0], 1, _MAX_EXTENSION_ID, "the id of a=extmap")
        require_space(self._extensions, MAX_EXTENSIONS, "a=extmap lines")
        self._extensions.setdefault(uri, number)

    def _parse_ssrc(self, value: str) -> None:
        """`2001 cname:x` (RFC 5576 section 4.1). Only the SSRC is used; it is repeated for each of its attributes."""
        number = parse_number(value.partition(" ")[0], 0, 2**32 - 1, "a=ssrc")
        if number not in self._ssrcs:
            require_space(self._ssrcs, MAX_SSRCS, "SSRCs")
            self._ssrcs[number] = None

    def _parse_ssrc_group(self, value: str) -> None:
        """`FID 2001 2002` (RFC 5576 section 4.2)."""
        semantics, *numbers = value.split()[: MAX_SSRCS + 1] or [""]
        require_space(self._ssrc_groups, MAX_SSRC_GROUPS, "a=ssrc-group lines")
        ssrcs = tuple(parse_number(number, 0, 2**32 - 1, "a=ssrc-group") for number in numbers)
        self._ssrc_groups.append(SsrcGroup(semantics=semantics, ssrcs=ssrcs))

    def _parse_rid(self, value: str) -> None:
        """`q send max-width=640` (RFC 8851 section 4). The restrictions are ignored."""
        rid, direction = [*value.split(" "), ""][:2]
        if not _RID.fullmatch(rid) or direction not in ("send", "recv"):
            raise SdpMalformedError("a=rid needs an id and send or recv")
        if direction == "send":
            require_space(self._declared_rids, MAX_RIDS, "rids")
            self._declared_rids.add(rid)

    def _parse_simulcast(self, value: str) -> None:
        """`send h;~m,l recv ...` (RFC 8853 section 5.1).

        Layers are separated by `;`, the alternatives of a layer by `,`; the first alternative is used. `~` marks a
        layer that is paused at first, which is accepted like any other. A section has one such line at most.
        """
        if self._simulcast_rids is not None:
            return
        self._simulcast_rids = ()
        words = value.split(maxsplit=4)[:4]
        for direction, layers in itertools.pairwise(words):
            if direction == "send":
                first = [layer.partition(",")[0].removeprefix("~") for layer in layers.split(";")]
                self._simulcast_rids = tuple(dict.fromkeys(first))

    def _count_candidate(self, _value: str) -> None:
        """An ICE-lite agent does not use the peer's candidates; only their number is limited."""
        self._candidates += 1
        if self._candidates > MAX_CANDIDATES:
            raise SdpMalformedError(f"more than {MAX_CANDIDATES} candidates in one section")


_PARSERS: dict[str, Callable[[MediaSectionParser, str], None]] = {
    "mid": MediaSectionParser._parse_mid,
    "rtpmap": MediaSectionParser._parse_rtpmap,
    "fmtp": MediaSectionParser._parse_fmtp,
    "rtcp-fb": MediaSectionParser._parse_feedback,
    "extmap": MediaSectionParser._parse_extmap,
    "ssrc": MediaSectionParser._parse_ssrc,
    "ssrc-group": MediaSectionParser._parse_ssrc_group,
    "rid": MediaSectionParser._parse_rid,
    "simulcast": MediaSectionParser._parse_simulcast,
    "candidate": MediaSectionParser._count_candidate,
}
