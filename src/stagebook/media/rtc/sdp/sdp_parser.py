"""Parses a session description (RFC 8866) that an unauthenticated client sent.

One pass over the lines: first the session part, then each media section from its m= line on. Lines and attributes that
the engine does not use are ignored; one that it uses must be well-formed. All sizes and counts are limited, so the work
is linear in the size of the input.
"""

from stagebook.media.rtc.sdp.media_section_parser import DIRECTIONS, MediaSectionParser
from stagebook.media.rtc.sdp.sdp_grammar import split_lines
from stagebook.media.rtc.sdp.session_description import SdpMalformedError, SessionDescription
from stagebook.media.rtc.sdp.transport_attributes import TransportParser

MAX_DESCRIPTION_SIZE_BYTES = 65_536
MAX_LINES = 4_096
MAX_SECTIONS = 32


def parse_description(sdp: str) -> SessionDescription:
    """Parse an offer.

    Raises SdpMalformedError, which names the line, for bad grammar and beyond the limits of size, lines and sections.
    """
    lines = split_lines(sdp, max_bytes=MAX_DESCRIPTION_SIZE_BYTES, max_lines=MAX_LINES)
    if not lines or lines[0] != "v=0":
        raise SdpMalformedError("the session description does not begin with v=0")
    return _DescriptionParser(lines).parse()


class _DescriptionParser:
    """The state of one pass over the lines."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._transport = TransportParser()
        self._bundle: tuple[str, ...] = ()
        self._direction = "sendrecv"
        self._sections: list[MediaSectionParser] = []

    def parse(self) -> SessionDescription:
        for number, line in enumerate(self._lines, start=1):
            try:
                self._parse_line(line[0], line[2:])
            except SdpMalformedError as error:
                raise SdpMalformedError(f"line {number} of the session description: {error.detail}") from None
        session = self._transport.finish(None)
        sections = tuple(section.finish(session) for section in self._sections)
        mids = [section.mid for section in sections if section.mid is not None]
        if len(set(mids)) != len(mids):
            raise SdpMalformedError("two sections have the same a=mid")
        return SessionDescription(bundle=self._bundle, sections=sections)

    def _parse_line(self, letter: str, value: str) -> None:
        if letter == "a":
            name, _, rest = value.partition(":")
            if self._sections:
                self._sections[-1].parse_attribute(name, rest)
            else:
                self._parse_session_attribute(name, rest)
        elif letter == "m":
            if len(self._sections) == MAX_SECTIONS:
                raise SdpMalformedError(f"more than {MAX_SECTIONS} media sections")
            self._sections.append(MediaSectionParser(value, direction=self._direction))

    def _parse_session_attribute(self, name: str, value: str) -> None:
        if self._transport.parse_attribute(name, value):
            return
        if name in DIRECTIONS:
            self._direction = name
        elif name == "group" and not self._bundle:
            # RFC 5888 section 5. Other semantics, such as LS, are ignored.
            semantics, *mids = value.split(" ")
            if semantics == "BUNDLE":
                self._bundle = tuple(mid for mid in mids if mid)
