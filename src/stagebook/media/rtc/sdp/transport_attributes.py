"""Parses the ICE and DTLS attributes, which may stand in the session part or in a section (RFC 8839, RFC 8842)."""

import re

from stagebook.media.rtc.sdp.sdp_grammar import require_space
from stagebook.media.rtc.sdp.session_description import Fingerprint, SdpMalformedError, TransportDescription

MAX_FINGERPRINTS = 16

# The hashes of RFC 8122 section 5 by which a peer can be verified (`dtls_certificate.HASHES`), with their sizes.
# Fingerprints of other hashes are ignored: an offer that has no others is refused in the negotiation, because its DTLS
# handshake could only fail.
_DIGEST_SIZE_BYTES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_SETUP_ROLES = ("actpass", "active", "passive", "holdconn")
# RFC 8839 section 5.4 allows letters, digits, + and /. Some agents use other visible characters. A fragment must not
# have a colon: it separates the two fragments of a STUN username.
_UFRAG = re.compile(r"[!-9;-~]{4,256}")
_PWD = re.compile(r"[!-~]{22,256}")


class TransportParser:
    """Collects the transport attributes of the session part or of one section.

    Where an attribute is repeated in one part, the last one counts, except a=fingerprint: all of them are kept, because
    an offer may list the hash of its certificate by several algorithms (RFC 8122 section 5).
    """

    def __init__(self) -> None:
        self._ufrag: str | None = None
        self._pwd: str | None = None
        self._setup: str | None = None
        self._fingerprints: list[Fingerprint] = []

    def parse_attribute(self, name: str, value: str) -> bool:
        """Take an attribute. Return False if it is not a transport attribute. Raises SdpMalformedError."""
        if name == "ice-ufrag":
            self._ufrag = parse_ufrag(value)
        elif name == "ice-pwd":
            self._pwd = parse_pwd(value)
        elif name == "setup":
            if value not in _SETUP_ROLES:
                raise SdpMalformedError("a=setup is none of actpass, active, passive, holdconn")
            self._setup = value
        elif name == "fingerprint":
            self._parse_fingerprint(value)
        else:
            return False
        return True

    def finish(self, session: TransportDescription | None) -> TransportDescription:
        """Return the attributes. A section inherits from `session` what it does not have itself (RFC 8839 section 5.4,
        RFC 8122 section 5); the session part has None."""
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

    def _parse_fingerprint(self, value: str) -> None:
        """Take the value of a=fingerprint: an algorithm and the hash as pairs of hex digits (RFC 8122 section 5)."""
        algorithm, _, digits = value.partition(" ")
        algorithm = algorithm.lower()
        size_bytes = _DIGEST_SIZE_BYTES.get(algorithm)
        if size_bytes is None:
            return
        if len(digits) != size_bytes * 3 - 1 or not re.fullmatch(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})*", digits):
            raise SdpMalformedError(f"a=fingerprint is not a {algorithm} hash")
        require_space(self._fingerprints, MAX_FINGERPRINTS, "fingerprints")
        self._fingerprints.append(Fingerprint(algorithm=algorithm, digest=bytes.fromhex(digits.replace(":", ""))))


def parse_ufrag(value: str) -> str:
    """Return the value of a=ice-ufrag (RFC 8839 section 5.4). Raises SdpMalformedError."""
    if not _UFRAG.fullmatch(value):
        raise SdpMalformedError("a=ice-ufrag is not 4 to 256 ICE characters")
    return value


def parse_pwd(value: str) -> str:
    """Return the value of a=ice-pwd (RFC 8839 section 5.4). Raises SdpMalformedError."""
    if not _PWD.fullmatch(value):
        raise SdpMalformedError("a=ice-pwd is not 22 to 256 ICE characters")
    return value
