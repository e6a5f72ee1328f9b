"""The STUN messages of an ICE-lite agent: parse binding requests and write their responses (RFC 8489, RFC 8445).

A STUN message is a 20-byte header (type, length, magic cookie, transaction id) and a list of attributes, each with a
type, a length and a value padded to four bytes (RFC 8489 section 5). A connectivity check is a binding request with
these attributes (RFC 8445 sections 7.1 and 7.2):

* USERNAME: `<receiver's ufrag>:<sender's ufrag>`, which identifies the connection;
* MESSAGE-INTEGRITY: an HMAC-SHA1 with the receiver's password, which proves that the sender has read our answer;
* USE-CANDIDATE: the controlling agent nominates this pair;
* FINGERPRINT: a CRC-32, which distinguishes STUN from other protocols on the same port.

Our own requests (`stun_probe`) have ICE-CONTROLLED, the role of a lite agent towards a full one.

A success response carries the sender's address as we see it (XOR-MAPPED-ADDRESS) and is signed with the same password.
All functions are pure: bytes in, bytes out.
"""

import hmac
import socket
import struct
import zlib

import msgspec

_MAGIC_COOKIE = b"\x21\x12\xa4\x42"
_HEADER = struct.Struct("!HH4s12s")
_ATTRIBUTE_HEADER = struct.Struct("!HH")
_HEADER_SIZE_BYTES = 20
_MAX_DATAGRAM_SIZE_BYTES = 1500
_MAX_ATTRIBUTES = 32
_MAX_UFRAG_SIZE_BYTES = 256

# Message types: class and method (RFC 8489 section 5).
_BINDING_REQUEST = 0x0001
_BINDING_INDICATION = 0x0011
_BINDING_SUCCESS = 0x0101
_BINDING_ERROR = 0x0111

# Attribute types (RFC 8489 section 18.3, RFC 8445 section 16.1).
_USERNAME = 0x0006
_MESSAGE_INTEGRITY = 0x0008
_ERROR_CODE = 0x0009
_UNKNOWN_ATTRIBUTES = 0x000A
_MESSAGE_INTEGRITY_SHA256 = 0x001C
_XOR_MAPPED_ADDRESS = 0x0020
_PRIORITY = 0x0024
_USE_CANDIDATE = 0x0025
_FINGERPRINT = 0x8028
_ICE_CONTROLLED = 0x8029

# Types from here on may be ignored by a receiver that does not know them (RFC 8489 section 14).
_COMPREHENSION_OPTIONAL = 0x8000
_UNDERSTOOD_ATTRIBUTES = frozenset(
    {_USERNAME, _MESSAGE_INTEGRITY, _MESSAGE_INTEGRITY_SHA256, _PRIORITY, _USE_CANDIDATE, _FINGERPRINT}
)

_INTEGRITY_SIZE_BYTES = 20
_FINGERPRINT_XOR_MASK = 0x5354554E
_PEER_REFLEXIVE_PRIORITY = 110 << 24 | 65_535 << 8 | 255
"""PRIORITY of our requests: that of a peer-reflexive candidate (RFC 8445 sections 5.1.2.1 and 7.1.1)."""


class BindingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A well-formed binding request. Its sender is not authenticated until `verify` returns True."""

    transaction_id: bytes
    local_ufrag: str
    """Our username fragment: the part of USERNAME before the colon. Empty without a valid USERNAME."""
    use_candidate: bool
    """Whether the request nominates its candidate pair (RFC 8445 section 7.1.2)."""
    unknown_attributes: tuple[int, ...]
    """Comprehension-required attributes that we do not know. The response is error 420 (RFC 8489 section 6.3.1)."""
    signed: bytes
    """The bytes that MESSAGE-INTEGRITY covers: the message before the attribute, with the header's length set to the
    end of the attribute (RFC 8489 section 14.5)."""
    integrity: bytes
    """The value of MESSAGE-INTEGRITY. Empty without the attribute; such a request never verifies (section 9.1.3)."""

    def verify(self, password: bytes) -> bool:
        """Return whether MESSAGE-INTEGRITY was computed with `password` (RFC 8489 section 9.1.3), in constant time."""
        return hmac.compare_digest(hmac.digest(password, self.signed, "sha1"), self.integrity)


def is_stun(datagram: bytes) -> bool:
    """Return whether the first byte and the magic cookie are those of STUN (RFC 7983 section 7, RFC 8489 section 5).

    RFC 3489 had no magic cookie. No WebRTC agent sends its messages, so they are not accepted.
    """
    return len(datagram) >= _HEADER_SIZE_BYTES and datagram[0] < 4 and datagram[4:8] == _MAGIC_COOKIE


def is_binding_indication(datagram: bytes) -> bool:
    """Return whether a datagram is a Binding indication, the keepalive of RFC 8445 section 11.

    It has no answer and no MESSAGE-INTEGRITY, so it proves nothing about its sender. Attributes are not read.
    """
    return is_stun(datagram) and int.from_bytes(datagram[:2]) == _BINDING_INDICATION


def is_binding_success(datagram: bytes) -> bool:
    """Return whether a datagram has the type of a success response. `is_success_response` verifies it."""
    return is_stun(datagram) and int.from_bytes(datagram[:2]) == _BINDING_SUCCESS


def parse_binding_request(datagram: bytes) -> BindingRequest | None:
    """Parse a binding request (RFC 8489 section 6.3).

    Return None for everything else: another message type, broken lengths, more than 32 attributes, more than 1500
    bytes, a wrong FINGERPRINT. Never raises. The result is not authenticated: call `verify`.
    """
    transaction_id = _transaction_id(datagram, _BINDING_REQUEST)
    attributes = None if transaction_id is None else _attributes(datagram)
    if transaction_id is None or attributes is None:
        return None
    username = signed = integrity = b""
    unknown = []
    for code, start, size in attributes:
        if code == _USERNAME:
            username = datagram[start : start + size]
        elif code == _MESSAGE_INTEGRITY:
            signed, integrity = _integrity(datagram, start)
        elif code < _COMPREHENSION_OPTIONAL and code not in _UNDERSTOOD_ATTRIBUTES:
            unknown.append(code)
    return BindingRequest(
        transaction_id=transaction_id,
        local_ufrag=_local_ufrag(username),
        use_candidate=any(code == _USE_CANDIDATE for code, _, _ in attributes),
        unknown_attributes=tuple(unknown),
        signed=signed,
        integrity=integrity,
    )


def binding_request(transaction_id: bytes, *, username: str, password: bytes) -> bytes:
    """Return a request of ours, which nominates nothing. `username` is `<peer's ufrag>:<our ufrag>`, `password` the
    peer's (RFC 8445 section 7.2.2)."""
    body = _attribute(_USERNAME, username.encode("ascii"))
    body += _attribute(_PRIORITY, _PEER_REFLEXIVE_PRIORITY.to_bytes(4))
    # The tie-breaker decides between agents with the same role. A lite agent never takes the other role.
    body += _attribute(_ICE_CONTROLLED, transaction_id[:8])
    return _signed_message(_BINDING_REQUEST, transaction_id, body, password)


def is_success_response(datagram: bytes, transaction_id: bytes, password: bytes) -> bool:
    """Return whether a datagram is a success response to our request, signed with `password` (RFC 8489 section 9.1.4).

    Its XOR-MAPPED-ADDRESS is not read: a lite agent learns no candidates.
    """
    if _transaction_id(datagram, _BINDING_SUCCESS) != transaction_id:
        return False
    for code, start, _ in _attributes(datagram) or ():
        if code == _MESSAGE_INTEGRITY:
            signed, integrity = _integrity(datagram, start)
            return hmac.compare_digest(hmac.digest(password, signed, "sha1"), integrity)
    return False


def binding_success(request: BindingRequest, address: tuple[str, int], password: bytes) -> bytes:
    """Return the success response to a verified request (RFC 8489 section 6.3.1.1, RFC 8445 section 7.3).

    `address` is the (ip, port) from which the request came; it becomes XOR-MAPPED-ADDRESS. MESSAGE-INTEGRITY with
    `password` and FINGERPRINT are appended.
    """
    body = _attribute(_XOR_MAPPED_ADDRESS, _xor_address(address, request.transaction_id))
    return _signed_message(_BINDING_SUCCESS, request.transaction_id, body, password)


def unknown_attributes_error(request: BindingRequest, password: bytes) -> bytes:
    """Return error 420 for a request with unknown comprehension-required attributes, listing them (RFC 8489 section
    6.3.1)."""
    unknown = request.unknown_attributes
    body = _attribute(_ERROR_CODE, struct.pack("!HBB", 0, 4, 20) + b"Unknown Attribute")
    body += _attribute(_UNKNOWN_ATTRIBUTES, struct.pack(f"!{len(unknown)}H", *unknown))
    return _signed_message(_BINDING_ERROR, request.transaction_id, body, password)


def _transaction_id(datagram: bytes, message_type: int) -> bytes | None:
    """Return the transaction id of a message of this type; None for any other datagram."""
    if not is_stun(datagram) or len(datagram) > _MAX_DATAGRAM_SIZE_BYTES:
        return None
    kind, length, _, transaction_id = _HEADER.unpack_from(datagram)
    if kind != message_type or length % 4 or length != len(datagram) - _HEADER_SIZE_BYTES:
        return None
    return bytes(transaction_id)


def _integrity(datagram: bytes, start: int) -> tuple[bytes, bytes]:
    """Return what a MESSAGE-INTEGRITY with its value at `start` covers, and the value."""
    covered = _with_length(datagram[: start - 4], start - _HEADER_SIZE_BYTES + _INTEGRITY_SIZE_BYTES)
    return covered, datagram[start : start + _INTEGRITY_SIZE_BYTES]


def _attributes(datagram: bytes) -> list[tuple[int, int, int]] | None:
    """Return (type, start of the value, size of the value) of each attribute that has an effect.

    After MESSAGE-INTEGRITY only FINGERPRINT has an effect, and after FINGERPRINT nothing (RFC 8489 sections 14.5 and
    14.7): those bytes are not covered by the HMAC. Return None if the structure is broken or FINGERPRINT is wrong.
    """
    found: list[tuple[int, int, int]] = []
    position, end = _HEADER_SIZE_BYTES, len(datagram)
    signed = False
    while position < end:
        if len(found) == _MAX_ATTRIBUTES:
            return None
        code, size = _ATTRIBUTE_HEADER.unpack_from(datagram, position)
        start = position + 4
        position = start + (size + 3 & ~3)
        if position > end:
            return None
        if signed and code != _FINGERPRINT:
            # A peer in the middle could have appended it: USE-CANDIDATE here must not nominate.
            continue
        if code == _MESSAGE_INTEGRITY:
            if size != _INTEGRITY_SIZE_BYTES:
                return None
            signed = True
        elif code == _FINGERPRINT:
            return found if size == 4 and _is_fingerprint_valid(datagram, start) else None
        found.append((code, start, size))
    return found


def _local_ufrag(username: bytes) -> str:
    """Return the receiver's part of an ICE username (RFC 8445 section 7.2.2), "" if the username has another form."""
    local, colon, _ = username.partition(b":")
    if not colon or len(local) > _MAX_UFRAG_SIZE_BYTES or not local.isascii():
        return ""
    return local.decode("ascii")


def _is_fingerprint_valid(datagram: bytes, start: int) -> bool:
    """Return whether the FINGERPRINT value at `start` is the CRC-32 of the bytes before it (RFC 8489 section 14.7)."""
    covered = _with_length(datagram[: start - 4], start + 4 - _HEADER_SIZE_BYTES)
    return int.from_bytes(datagram[start : start + 4]) == zlib.crc32(covered) ^ _FINGERPRINT_XOR_MASK


def _xor_address(address: tuple[str, int], transaction_id: bytes) -> bytes:
    """Return the value of XOR-MAPPED-ADDRESS (RFC 8489 section 14.2).

    An IPv4-mapped IPv6 address is written as IPv4: it is the address that the peer knows itself by.
    """
    host, port = address
    if ":" in host:
        packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
        if packed.startswith(b"\0" * 10 + b"\xff\xff"):
            packed = packed[12:]
    else:
        packed = socket.inet_pton(socket.AF_INET, host)
    size = len(packed)
    mask = (_MAGIC_COOKIE + transaction_id)[:size]
    masked = (int.from_bytes(packed) ^ int.from_bytes(mask)).to_bytes(size)
    family = 1 if size == 4 else 2
    return struct.pack("!BBH", 0, family, port ^ 0x2112) + masked


def _attribute(code: int, value: bytes) -> bytes:
    return _ATTRIBUTE_HEADER.pack(code, len(value)) + value + bytes(-len(value) % 4)


def _with_length(message: bytes, length: int) -> bytes:
    """Return the message with `length` in the header's length field."""
    return message[:2] + length.to_bytes(2) + message[4:]


def _signed_message(kind: int, transaction_id: bytes, body: bytes, password: bytes) -> bytes:
    """Return a whole message: header, body, MESSAGE-INTEGRITY and FINGERPRINT (RFC 8489 sections 14.5 and 14.7).

    Each of the two is computed over a header whose length already includes the attribute itself.
    """
    message = _HEADER.pack(kind, len(body), _MAGIC_COOKIE, transaction_id) + body
    message = _with_length(message, len(message) - _HEADER_SIZE_BYTES + 4 + _INTEGRITY_SIZE_BYTES)
    message += _attribute(_MESSAGE_INTEGRITY, hmac.digest(password, message, "sha1"))
    message = _with_length(message, len(message) - _HEADER_SIZE_BYTES + 8)
    return message + _attribute(_FINGERPRINT, (zlib.crc32(message) ^ _FINGERPRINT_XOR_MASK).to_bytes(4))
