"""The bounded reader of the session descriptions that strangers send (RFC 8866, RFC 8829).

Lines and attributes that we do not use are passed over; one that we use must be well-formed.
"""

import re

from stagebook.media.rtc.sdp.media_section_parser import MediaSectionParser, TransportParser
from stagebook.media.rtc.sdp.session_description import SdpMalformedError, SessionDescription

MAX_DESCRIPTION_BYTES = 65_536
MAX_LINES = 4_096
MAX_SECTIONS = 32

_LINE = re.compile(r"[a-z]=")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def parse_description(text: str) -> SessionDescription:
    """Read an offer. Raises SdpMalformedError for bad grammar and for more than the limits of this module allow."""
    lines = split_lines(text, max_bytes=MAX_DESCRIPTION_BYTES, max_lines=MAX_LINES)
    if not lines or lines[0] != "v=0":
        raise SdpMalformedError("the session description does not begin with v=0")
    return _DescriptionParser(lines).read()


def split_lines(text: str, *, max_bytes: int, max_lines: int) -> list[str]:
    """The non-empty lines, CR LF or LF ended, without trailing blanks. Raises SdpMalformedError beyond the limits."""
    if len(text) > max_bytes or len(text.encode(errors="replace")) > max_bytes:
        raise SdpMalformedError(f"larger than {max_bytes} bytes")
    if _CONTROL.search(text):
        raise SdpMalformedError("holds control characters")
    lines = [line.rstrip() for line in re.split(r"\r\n|\n|\r", text)]
    lines = [line for line in lines if line]
    if len(lines) > max_lines:
        raise SdpMalformedError(f"more than {max_lines} lines")
    for line in lines:
        if not _LINE.match(line):
            raise SdpMalformedError(f"not a line of a session description: {line[:40]!r}")
    return lines


class _DescriptionParser:
    """Walks the lines once: the session's part, then each section's."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._transport = TransportParser()
        self._bundle: tuple[str, ...] = ()
        self._direction = "sendrecv"
        self._sections: list[MediaSectionParser] = []

    def read(self) -> SessionDescription:
        for number, line in enumerate(self._lines, start=1):
            try:
                self._line(line[0], line[2:])
            except SdpMalformedError as error:
                raise SdpMalformedError(f"line {number} of the session description: {error.detail}") from None
        session = self._transport.finish(None)
        sections = tuple(reader.finish(session) for reader in self._sections)
        mids = [section.mid for section in sections if section.mid is not None]
        if len(set(mids)) != len(mids):
            raise SdpMalformedError("two sections have the same a=mid")
        return SessionDescription(bundle=self._bundle, sections=sections)

    def _line(self, letter: str, value: str) -> None:
        if letter == "m":
            if len(self._sections) == MAX_SECTIONS:
                raise SdpMalformedError(f"more than {MAX_SECTIONS} media sections")
            self._sections.append(MediaSectionParser(value, direction=self._direction))
        elif letter == "a":
            name, _, rest = value.partition(":")
            if self._sections:
                self._sections[-1].attribute(name, rest)
            else:
                self._session_attribute(name, rest)

    def _session_attribute(self, name: str, value: str) -> None:
        if self._transport.attribute(name, value):
            return
        if name in ("sendrecv", "sendonly", "recvonly", "inactive"):
            self._direction = name
        elif name == "group" and not self._bundle:
            semantics, *mids = value.split(" ")
            if semantics == "BUNDLE":
                self._bundle = tuple(mid for mid in mids if mid)
