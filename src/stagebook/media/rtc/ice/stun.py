"""STUN as an ICE-lite agent needs it: read a binding request, verify it, answer it (RFC 8489, RFC 8445).

Pure: bytes in, bytes out. Knows no socket, no session and no password store.
"""

import hmac
import socket
import struct
import zlib

import msgspec

_COOKIE = b"\x21\x12\xa4\x42"
_HEADER = struct.Struct("!HH4s12s")
_ATTRIBUTE = struct.Struct("!HH")
_HEADER_BYTES = 20
_MAX_DATAGRAM_BYTES = 1500
_MAX_ATTRIBUTES = 32
_MAX_UFRAG_BYTES = 256

_BINDING_REQUEST = 0x0001
_BINDING_SUCCESS = 0x0101
_BINDING_ERROR = 0x0111

_USERNAME = 0x0006
_MESSAGE_INTEGRITY = 0x0008
_ERROR_CODE = 0x0009
_UNKNOWN_ATTRIBUTES = 0x000A
_MESSAGE_INTEGRITY_SHA256 = 0x001C
_XOR_MAPPED_ADDRESS = 0x0020
_PRIORITY = 0x0024
_USE_CANDIDATE = 0x0025
_FINGERPRINT = 0x8028

_COMPREHENSION_OPTIONAL = 0x8000
_UNDERSTOOD = frozenset(
    {_USERNAME, _MESSAGE_INTEGRITY, _MESSAGE_INTEGRITY_SHA256, _PRIORITY, _USE_CANDIDATE, _FINGERPRINT}
)

_INTEGRITY_BYTES = 20
_FINGERPRINT_XOR = 0x5354554E


class BindingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One well-formed binding request. Its sender is unproven until `verify` says True."""

    transaction_id: bytes
    local_ufrag: str
    """The part of USERNAME before the colon: ours. Empty where there is no such USERNAME."""
    use_candidate: bool
    unknown_attributes: tuple[int, ...]
    """Comprehension-required attributes that we do not know: the answer to them is 420 (RFC 8489 section 6.3.1)."""
    signed: bytes
    """What MESSAGE-INTEGRITY covers: the message before it, the header's length set to its end (section 14.5)."""
    integrity: bytes
    """The value of MESSAGE-INTEGRITY; empty where there is none, which is a 400 (section 9.1.3)."""

    def verify(self, password: bytes) -> bool:
        """Whether MESSAGE-INTEGRITY was made with `password` (compared in constant time)."""
        return hmac.compare_digest(hmac.digest(password, self.signed, "sha1"), self.integrity)


def is_stun(datagram: bytes) -> bool:
    """Whether the first byte and the magic cookie say STUN (RFC 7983, RFC 8489 section 5)."""
    return len(datagram) >= _HEADER_BYTES and datagram[0] < 4 and datagram[4:8] == _COOKIE


def parse_binding_request(datagram: bytes) -> BindingRequest | None:
    """Read a binding request; None for everything else, garbage and a wrong FINGERPRINT included. Never raises."""
    if not is_stun(datagram) or len(datagram) > _MAX_DATAGRAM_BYTES:
        return None
    kind, length, _, transaction_id = _HEADER.unpack_from(datagram)
    if kind != _BINDING_REQUEST or length % 4 or length != len(datagram) - _HEADER_BYTES:
        return None
    attributes = _attributes(datagram)
    if attributes is None:
        return None
    username = signed = integrity = b""
    unknown = []
    for code, start, size in attributes:
        if code == _USERNAME:
            username = datagram[start : start + size]
        elif code == _MESSAGE_INTEGRITY:
            integrity = datagram[start : start + size]
            signed = _sized(datagram[: start - 4], start - _HEADER_BYTES + _INTEGRITY_BYTES)
        elif code < _COMPREHENSION_OPTIONAL and code not in _UNDERSTOOD:
            unknown.append(code)
    return BindingRequest(
        transaction_id=transaction_id,
        local_ufrag=_local_ufrag(username),
        use_candidate=any(code == _USE_CANDIDATE for code, _, _ in attributes),
        unknown_attributes=tuple(unknown),
        signed=signed,
        integrity=integrity,
    )


def binding_success(request: BindingRequest, address: tuple[str, int], password: bytes) -> bytes:
    """Write the success response: XOR-MAPPED-ADDRESS of `address` (ip, port), MESSAGE-INTEGRITY, FINGERPRINT."""
    body = _written(_XOR_MAPPED_ADDRESS, _xor_address(address, request.transaction_id))
    return _sealed(_BINDING_SUCCESS, request.transaction_id, body, password)


def unknown_attributes_error(request: BindingRequest, password: bytes) -> bytes:
    """Write the 420 response to a request with attributes that must be understood and are not (RFC 8489 section
    6.3.1): it lists them."""
    unknown = request.unknown_attributes
    body = _written(_ERROR_CODE, struct.pack("!HBB", 0, 4, 20) + b"Unknown Attribute")
    body += _written(_UNKNOWN_ATTRIBUTES, struct.pack(f"!{len(unknown)}H", *unknown))
    return _sealed(_BINDING_ERROR, request.transaction_id, body, password)


def _attributes(datagram: bytes) -> list[tuple[int, int, int]] | None:
    """(type, start of the value, size of the value) of each attribute that counts; None if the structure is broken or
    the FINGERPRINT is wrong.

    After MESSAGE-INTEGRITY only FINGERPRINT counts, and after FINGERPRINT nothing (RFC 8489 sections 14.5, 14.7).
    """
    found: list[tuple[int, int, int]] = []
    position, end = _HEADER_BYTES, len(datagram)
    signed = False
    while position < end:
        if len(found) == _MAX_ATTRIBUTES:
            return None
        code, size = _ATTRIBUTE.unpack_from(datagram, position)
        start = position + 4
        position = start + (size + 3 & ~3)
        if position > end:
            return None
        if signed and code != _FINGERPRINT:
            continue
        if code == _MESSAGE_INTEGRITY:
            if size != _INTEGRITY_BYTES:
                return None
            signed = True
        elif code == _FINGERPRINT:
            return found if size == 4 and _fingerprint_fits(datagram, start) else None
        found.append((code, start, size))
    return found


def _local_ufrag(username: bytes) -> str:
    """The receiver's part of an ICE username, `<receiver's ufrag>:<sender's ufrag>` (RFC 8445 section 7.2.2)."""
    local, colon, _ = username.partition(b":")
    if not colon or len(local) > _MAX_UFRAG_BYTES or not local.isascii():
        return ""
    return local.decode("ascii")


def _fingerprint_fits(datagram: bytes, start: int) -> bool:
    """Whether the FINGERPRINT whose value begins at `start` is the CRC of all before it (RFC 8489 section 14.7)."""
    covered = _sized(datagram[: start - 4], start + 4 - _HEADER_BYTES)
    return int.from_bytes(datagram[start : start + 4]) == zlib.crc32(covered) ^ _FINGERPRINT_XOR


def _xor_address(address: tuple[str, int], transaction_id: bytes) -> bytes:
    """The value of XOR-MAPPED-ADDRESS (RFC 8489 section 14.2). An IPv4-mapped IPv6 address is written as IPv4."""
    host, port = address
    if ":" in host:
        packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
        if packed.startswith(b"\0" * 10 + b"\xff\xff"):
            packed = packed[12:]
    else:
        packed = socket.inet_pton(socket.AF_INET, host)
    size = len(packed)
    mask = (_COOKIE + transaction_id)[:size]
    masked = (int.from_bytes(packed) ^ int.from_bytes(mask)).to_bytes(size)
    return struct.pack("!BBH", 0, 1 if size == 4 else 2, port ^ 0x2112) + masked


def _written(code: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(code, len(value)) + value + bytes(-len(value) % 4)


def _sized(message: bytes, length: int) -> bytes:
    """The message with the header's length field set."""
    return message[:2] + length.to_bytes(2) + message[4:]


def _sealed(kind: int, transaction_id: bytes, body: bytes, password: bytes | None) -> bytes:
    """A whole message: header, body, MESSAGE-INTEGRITY (with a password) and FINGERPRINT."""
    message = _HEADER.pack(kind, len(body), _COOKIE, transaction_id) + body
    if password is not None:
        message = _sized(message, len(message) - _HEADER_BYTES + 4 + _INTEGRITY_BYTES)
        message += _written(_MESSAGE_INTEGRITY, hmac.digest(password, message, "sha1"))
    message = _sized(message, len(message) - _HEADER_BYTES + 8)
    return message + _written(_FINGERPRINT, (zlib.crc32(message) ^ _FINGERPRINT_XOR).to_bytes(4))
