"""A fatal DTLS alert, by which a browser notices at once that the server has ended its connection.

After close_notify the `connectionState` of a browser stays `connected` until ICE times out: Chromium shows
`disconnected` after 5 s and `failed` after 17 s. After a fatal alert it is `failed` at once, because the DTLS transport
is (W3C WebRTC 1.0, RTCPeerConnectionState). OpenSSL sends fatal alerts only for errors that it finds itself, so the
record is made here, from the keys of the association:

* the keys are a part of the key block (RFC 5246 section 6.3), which follows from the master secret;
* the record is protected by the cipher suite's AEAD (RFC 5288 section 3 for AES-GCM, RFC 7905 section 2 for ChaCha20);
* its sequence number is far above those that OpenSSL has used, so that no nonce is used twice.
"""

import hmac
from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from OpenSSL import SSL

_ALERT_TYPE: Final = 21
_DTLS_1_2: Final = b"\xfe\xfd"
_FATAL_USER_CANCELED: Final = bytes([2, 90])
"""Level and description (RFC 5246 section 7.2). The description says that there is no protocol failure."""
_EPOCH_AND_SEQUENCE: Final = b"\x00\x01" + (1 << 40).to_bytes(6)
"""Epoch 1, in which OpenSSL has sent Finished and little else."""


class _Suite(msgspec.Struct, frozen=True, kw_only=True):
    """What the record protection of a cipher suite needs."""

    aead: type[AESGCM] | type[ChaCha20Poly1305]
    key_size_bytes: int
    iv_size_bytes: int
    """The size of the part of the nonce that is derived from the key block."""
    prf_hash: str = "sha256"


_AES_128 = _Suite(aead=AESGCM, key_size_bytes=16, iv_size_bytes=4)
_AES_256 = _Suite(aead=AESGCM, key_size_bytes=32, iv_size_bytes=4, prf_hash="sha384")
_CHACHA = _Suite(aead=ChaCha20Poly1305, key_size_bytes=32, iv_size_bytes=12)
_SUITES: Final = {
    f"ECDHE-{authentication}-{name}": suite
    for authentication in ("ECDSA", "RSA")
    for name, suite in (
        ("AES128-GCM-SHA256", _AES_128),
        ("AES256-GCM-SHA384", _AES_256),
        ("CHACHA20-POLY1305", _CHACHA),
    )
}
"""By OpenSSL's names."""


def fatal_alert(server: SSL.Connection) -> bytes | None:
    """Return the record of a fatal alert from a server whose handshake is complete; None for a suite without AEAD.

    Call it once for a connection, as a second record would have the same nonce.
    """
    suite, secret = _SUITES.get(server.get_cipher_name() or ""), server.master_key()
    client_random, server_random = server.client_random(), server.server_random()
    if suite is None or secret is None or client_random is None or server_random is None:
        return None
    keys_size = 2 * suite.key_size_bytes
    seed = b"key expansion" + server_random + client_random
    block = _expand(secret, seed, keys_size + 2 * suite.iv_size_bytes, suite.prf_hash)
    # Of the keys and of the IVs, the client's comes first.
    key, iv = block[suite.key_size_bytes : keys_size], block[keys_size + suite.iv_size_bytes :]
    additional = b"".join((_EPOCH_AND_SEQUENCE, bytes([_ALERT_TYPE]), _DTLS_1_2, len(_FATAL_USER_CANCELED).to_bytes(2)))
    nonce, explicit = _nonce(iv)
    fragment = explicit + suite.aead(key).encrypt(nonce, _FATAL_USER_CANCELED, additional)
    return b"".join((bytes([_ALERT_TYPE]), _DTLS_1_2, _EPOCH_AND_SEQUENCE, len(fragment).to_bytes(2), fragment))


def _nonce(iv: bytes) -> tuple[bytes, bytes]:
    """Return the nonce and its part that the record carries: AES-GCM appends it, ChaCha20 mixes the number in."""
    if len(iv) + len(_EPOCH_AND_SEQUENCE) == 12:
        return iv + _EPOCH_AND_SEQUENCE, _EPOCH_AND_SEQUENCE
    number = int.from_bytes(_EPOCH_AND_SEQUENCE)
    return (int.from_bytes(iv) ^ number).to_bytes(len(iv)), b""


def _expand(secret: bytes, seed: bytes, size_bytes: int, hash_name: str) -> bytes:
    """P_hash of TLS 1.2 (RFC 5246 section 5)."""
    expanded, chained = b"", seed
    while len(expanded) < size_bytes:
        chained = hmac.digest(secret, chained, hash_name)
        expanded += hmac.digest(secret, chained + seed, hash_name)
    return expanded[:size_bytes]
