"""Reads one media section of a session description, and the transport attributes that a session may hold too."""

import itertools
import re
from collections.abc import Callable, Sized

from stagebook.media.rtc.sdp.session_description import (
    Fingerprint,
    MediaSection,
    PayloadFormat,
    SdpMalformedError,
    SsrcGroup,
    TransportDescription,
)

MAX_FORMATS = 128
MAX_CANDIDATES = 256
MAX_SSRCS = 64
MAX_SSRC_GROUPS = 32
MAX_RIDS = 16
MAX_FEEDBACK = 512
MAX_EXTENSIONS = 256
MAX_FINGERPRINTS = 16

# RFC 8122 section 5 with the sizes of the hashes. SHA-1 and MD5 prove nothing any more and are passed over.
_DIGEST_BYTES = {"sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}
_SETUP_ROLES = ("actpass", "active", "passive", "holdconn")
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_TOKEN = re.compile(r"[!#-'*+\-.0-9A-Z^-~]{1,256}")  # RFC 8866 section 9
_PROTOCOL = re.compile(r"[!#-'*+\-./0-9A-Z^-~]{1,256}")  # tokens joined by slashes
_RID = re.compile(r"[0-9A-Za-z_-]{1,255}")  # RFC 8851 section 10
# RFC 8839 section 5.4 allows letters, digits, + and /; some agents use other visible characters.
_UFRAG = re.compile(r"[!-9;-~]{4,256}")
_PWD = re.compile(r"[!-~]{22,256}")


class TransportParser:
    """Collects the ICE and DTLS attributes of the session or of one section (RFC 8839, RFC 8842)."""

    def __init__(self) -> None:
        self._ufrag: str | None = None
        self._pwd: str | None = None
        self._setup: str | None = None
        self._fingerprints: list[Fingerprint] = []

    def attribute(self, name: str, value: str) -> bool:
        """Take the attribute if it is one of ours; False for all others. Raises SdpMalformedError."""
        if name == "ice-ufrag":
            self._ufrag = read_ufrag(value)
        elif name == "ice-pwd":
            self._pwd = read_pwd(value)
        elif name == "setup":
            if value not in _SETUP_ROLES:
                raise SdpMalformedError("a=setup is none of actpass, active, passive, holdconn")
            self._setup = value
        elif name == "fingerprint":
            self._fingerprint(value)
        else:
            return False
        return True

    def finish(self, session: TransportDescription | None) -> TransportDescription:
        """What was read; the session's values stand where a section has none of its own."""
        own = TransportDescription(
            ufrag=self._ufrag, pwd=self._pwd, fingerprints=tuple(self._fingerprints), setup=self._setup
        )
        if session is None:
            return own
        return TransportDescription(
            ufrag=own.ufrag or session.ufrag,
            pwd=own.pwd or session.pwd,
            fingerprints=own.fingerprints or session.fingerprints,
            setup=own.setup or session.setup,
        )

    def _fingerprint(self, value: str) -> None:
        algorithm, _, digits = value.partition(" ")
        algorithm = algorithm.lower()
        size = _DIGEST_BYTES.get(algorithm)
        if size is None:
            return
        if len(digits) != size * 3 - 1 or not re.fullmatch(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})*", digits):
            raise SdpMalformedError(f"a=fingerprint is not a {algorithm} hash")
        _bounded(self._fingerprints, MAX_FINGERPRINTS, "fingerprints")
        self._fingerprints.append(Fingerprint(algorithm=algorithm, digest=bytes.fromhex(digits.replace(":", ""))))


class MediaSectionParser:
    """Collects one m= section, attribute by attribute."""

    def __init__(self, media: str, *, direction: str) -> None:
        """`media` is what follows m=; `direction` the session's. Raises SdpMalformedError."""
        words = media.split()
        if len(words) < 4:
            raise SdpMalformedError("m= needs a kind, a port, a protocol and formats")
        kind, port, protocol, *formats = words
        if not _TOKEN.fullmatch(kind) or not _PROTOCOL.fullmatch(protocol):
            raise SdpMalformedError("m= has a kind or a protocol that is no token")
        if len(formats) > MAX_FORMATS or not all(_TOKEN.fullmatch(name) for name in formats):
            raise SdpMalformedError(f"m= has more than {MAX_FORMATS} formats, or one that is no token")
        self._kind, self._protocol, self._formats = kind, protocol, tuple(formats)
        self._port = _number(port.partition("/")[0], 0, 65535, "the port")
        self._direction = direction
        self._transport = TransportParser()
        self._mid: str | None = None
        self._flags: set[str] = set()
        self._candidates = 0
        self._maps: dict[str, tuple[str, int, int]] = {}
        self._parameters: dict[str, str] = {}
        self._feedback: list[tuple[str, str]] = []
        self._extensions: dict[str, int] = {}
        self._ssrcs: dict[int, None] = {}
        self._groups: list[SsrcGroup] = []
        self._rids: set[str] = set()
        self._layers: tuple[str, ...] = ()

    def attribute(self, name: str, value: str) -> None:
        """Take one a= line. Raises SdpMalformedError."""
        if self._transport.attribute(name, value):
            return
        if name in _DIRECTIONS:
            self._direction = name
        elif name in ("rtcp-mux", "rtcp-rsize", "bundle-only"):
            self._flags.add(name)
        else:
            reader = _READERS.get(name)
            if reader is not None:
                reader(self, value)

    def finish(self, session: TransportDescription) -> MediaSection:
        """The section as a value."""
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
            payloads=tuple(self._payload(name) for name in dict.fromkeys(self._formats) if name in self._maps),
            extensions=self._extensions,
            ssrcs=tuple(self._ssrcs),
            ssrc_groups=tuple(self._groups),
            send_rids=tuple(rid for rid in self._layers if rid in self._rids),
        )

    def _payload(self, name: str) -> PayloadFormat:
        encoding, clock_rate, channels = self._maps[name]
        return PayloadFormat(
            payload_type=int(name),
            encoding=encoding,
            clock_rate=clock_rate,
            channels=channels,
            parameters=self._parameters.get(name, ""),
            feedback=tuple(value for formats, value in self._feedback if formats in (name, "*")),
        )

    def _read_mid(self, value: str) -> None:
        if not _TOKEN.fullmatch(value):
            raise SdpMalformedError("a=mid is no token")
        self._mid = value

    def _read_map(self, value: str) -> None:
        name, _, rest = value.partition(" ")
        encoding, clock_rate, channels = [*rest.strip().split("/"), "", ""][:3]
        _number(name, 0, 127, "the payload type of a=rtpmap")
        if not _TOKEN.fullmatch(encoding):
            raise SdpMalformedError("a=rtpmap needs an encoding name and a clock rate")
        rate = _number(clock_rate, 1, 2**31 - 1, "the clock rate of a=rtpmap")
        count = _number(channels, 1, 255, "the channels of a=rtpmap") if channels else 1
        if name in self._formats:
            self._maps.setdefault(name, (encoding, rate, count))

    def _read_parameters(self, value: str) -> None:
        name, _, rest = value.partition(" ")
        if name in self._formats:
            self._parameters.setdefault(name, rest.strip())

    def _read_feedback(self, value: str) -> None:
        name, _, rest = value.partition(" ")
        _bounded(self._feedback, MAX_FEEDBACK, "a=rtcp-fb lines")
        self._feedback.append((name, rest.strip()))

    def _read_extension(self, value: str) -> None:
        identifier, uri = [*value.split(" "), ""][:2]
        number = _number(identifier.partition("/")[0], 1, 14_095, "the id of a=extmap")
        _bounded(self._extensions, MAX_EXTENSIONS, "a=extmap lines")
        self._extensions.setdefault(uri, number)

    def _read_ssrc(self, value: str) -> None:
        number = _number(value.partition(" ")[0], 0, 2**32 - 1, "a=ssrc")
        if number not in self._ssrcs:
            _bounded(self._ssrcs, MAX_SSRCS, "SSRCs")
            self._ssrcs[number] = None

    def _read_group(self, value: str) -> None:
        semantics, *numbers = value.split()[: MAX_SSRCS + 1] or [""]
        _bounded(self._groups, MAX_SSRC_GROUPS, "a=ssrc-group lines")
        ssrcs = tuple(_number(number, 0, 2**32 - 1, "a=ssrc-group") for number in numbers)
        self._groups.append(SsrcGroup(semantics=semantics, ssrcs=ssrcs))

    def _read_rid(self, value: str) -> None:
        rid, direction = [*value.split(" "), ""][:2]
        if not _RID.fullmatch(rid) or direction not in ("send", "recv"):
            raise SdpMalformedError("a=rid needs an id and send or recv")
        if direction == "send":
            _bounded(self._rids, MAX_RIDS, "rids")
            self._rids.add(rid)

    def _read_simulcast(self, value: str) -> None:
        """`send h;~m,l recv ...` (RFC 8853): of alternatives the first is taken, a paused layer (~) is one too."""
        words = value.split()
        for direction, layers in itertools.pairwise(words):
            if direction == "send":
                first = [layer.partition(",")[0].removeprefix("~") for layer in layers.split(";")]
                self._layers = tuple(dict.fromkeys(first))

    def _read_candidate(self, _value: str) -> None:
        self._candidates += 1
        if self._candidates > MAX_CANDIDATES:
            raise SdpMalformedError(f"more than {MAX_CANDIDATES} candidates in one section")


_READERS: dict[str, Callable[[MediaSectionParser, str], None]] = {
    "mid": MediaSectionParser._read_mid,
    "rtpmap": MediaSectionParser._read_map,
    "fmtp": MediaSectionParser._read_parameters,
    "rtcp-fb": MediaSectionParser._read_feedback,
    "extmap": MediaSectionParser._read_extension,
    "ssrc": MediaSectionParser._read_ssrc,
    "ssrc-group": MediaSectionParser._read_group,
    "rid": MediaSectionParser._read_rid,
    "simulcast": MediaSectionParser._read_simulcast,
    "candidate": MediaSectionParser._read_candidate,
}


def read_ufrag(value: str) -> str:
    """The value of a=ice-ufrag, checked. Raises SdpMalformedError."""
    if not _UFRAG.fullmatch(value):
        raise SdpMalformedError("a=ice-ufrag is not 4 to 256 ICE characters")
    return value


def read_pwd(value: str) -> str:
    """The value of a=ice-pwd, checked. Raises SdpMalformedError."""
    if not _PWD.fullmatch(value):
        raise SdpMalformedError("a=ice-pwd is not 22 to 256 ICE characters")
    return value


def _number(text: str, low: int, high: int, what: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 10 or not low <= int(text) <= high:
        raise SdpMalformedError(f"{what} is not a number from {low} to {high}")
    return int(text)


def _bounded(collected: Sized, limit: int, what: str) -> None:
    if len(collected) >= limit:
        raise SdpMalformedError(f"more than {limit} {what} in one section")
