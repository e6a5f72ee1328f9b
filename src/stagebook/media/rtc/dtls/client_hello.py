"""What a DTLS ClientHello says about the library that sent it (RFC 6347 section 4.2.1, RFC 5246 section 7.4.1.2).

One thing is asked: does it offer encrypt-then-MAC (RFC 7366)? OpenSSL, GnuTLS and Mbed TLS always do, and the
libraries of browsers (BoringSSL, NSS) never do.
"""

from typing import Final

from stagebook.media.rtc.dtls.dtls_records import RECORD_HEADER_SIZE_BYTES

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_ENCRYPT_THEN_MAC: Final = 22
_MESSAGE_HEADER_SIZE_BYTES: Final = 12
_FRAGMENT_OFFSET: Final = RECORD_HEADER_SIZE_BYTES + 6
"""Where a record has the offset of the fragment: behind type (1), length (3) and message number (2)."""
_VERSION_AND_RANDOM_SIZE_BYTES: Final = 34


def is_client_hello(record: bytes) -> bool:
    """Return whether a record holds a ClientHello or a fragment of one."""
    is_long = len(record) >= RECORD_HEADER_SIZE_BYTES + _MESSAGE_HEADER_SIZE_BYTES
    return is_long and record[0] == _HANDSHAKE and record[RECORD_HEADER_SIZE_BYTES] == _CLIENT_HELLO


def starts_client_hello(record: bytes) -> bool:
    """Return whether a record holds a ClientHello or its first fragment. Browsers send two: theirs has 1,400 bytes."""
    return is_client_hello(record) and record[_FRAGMENT_OFFSET : _FRAGMENT_OFFSET + 3] == b"\0\0\0"


def offers_encrypt_then_mac(record: bytes) -> bool:
    """Return whether a record is a ClientHello with that extension.

    False for a fragment, and for anything else. OpenSSL's ClientHello is short enough for one record.
    """
    if len(record) < RECORD_HEADER_SIZE_BYTES + _MESSAGE_HEADER_SIZE_BYTES or record[0] != _HANDSHAKE:
        return False
    header = record[RECORD_HEADER_SIZE_BYTES : RECORD_HEADER_SIZE_BYTES + _MESSAGE_HEADER_SIZE_BYTES]
    body = record[RECORD_HEADER_SIZE_BYTES + _MESSAGE_HEADER_SIZE_BYTES :]
    if header[0] != _CLIENT_HELLO or int.from_bytes(header[1:4]) != len(body):
        return False
    position = _VERSION_AND_RANDOM_SIZE_BYTES
    # The session id, the cookie, the cipher suites and the compression methods, each after its length.
    for length_size in (1, 1, 2, 1):
        position += length_size + int.from_bytes(body[position : position + length_size])
    return _ENCRYPT_THEN_MAC in _extension_types(body[position + 2 :])


def _extension_types(extensions: bytes) -> list[int]:
    """Return the types of extensions. Each has a type and a length of two bytes. What is cut off is left out."""
    types, position = [], 0
    while position + 4 <= len(extensions):
        types.append(int.from_bytes(extensions[position : position + 2]))
        position += 4 + int.from_bytes(extensions[position + 2 : position + 4])
    return types
