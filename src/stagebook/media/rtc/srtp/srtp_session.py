"""SRTP and SRTCP of one connection (RFC 3711, RFC 7714), by libsrtp.

Works on libsrtp's C interface as pylibsrtp exposes it: pylibsrtp's own Session raises for each forged packet, copies
twice, and takes no packet above 1,356 bytes. Knows keys and bytes; no socket, no RTP stream.
"""

from typing import Any, TypeAlias

import msgspec
from pylibsrtp import Error, ffi, lib  # type: ignore[attr-defined]  # libsrtp's C interface, left out of __all__

CData: TypeAlias = Any
"""A cffi object or function: a type checker knows nothing of them."""

MAX_PACKET_SIZE_BYTES = 2048
"""The largest datagram that we take in or send."""
TRAILER_SIZE_BYTES = 16 + 4
"""The most that a profile of ours adds: an authentication tag, and the index of SRTCP."""
REPLAY_WINDOW_PACKETS = 1024
"""Wide enough for a packet that is sent again as it was, a second late."""


class SrtpProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A protection profile: its DTLS name (RFC 5764 section 4.1.2), libsrtp's number, and the sizes of key and salt."""

    name: bytes
    number: int
    key_size_bytes: int
    salt_size_bytes: int


AEAD_AES_128_GCM = SrtpProfile(
    name=b"SRTP_AEAD_AES_128_GCM",
    number=lib.srtp_profile_aead_aes_128_gcm,
    key_size_bytes=16,
    salt_size_bytes=12,
)
AES128_CM_SHA1_80 = SrtpProfile(
    name=b"SRTP_AES128_CM_SHA1_80",
    number=lib.srtp_profile_aes128_cm_sha1_80,
    key_size_bytes=16,
    salt_size_bytes=14,
)
PROFILES = (AEAD_AES_128_GCM, AES128_CM_SHA1_80)
"""In order of preference: AES-GCM costs a fifth less than AES-CM with SHA-1."""


class SrtpKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Master key and salt of both directions, as the DTLS handshake made them."""

    profile: SrtpProfile
    client: bytes
    server: bytes

    @staticmethod
    def from_keying_material(profile: SrtpProfile, material: bytes) -> "SrtpKeys":
        """Cut the exported keying material: client key, server key, client salt, server salt (RFC 5764 section 4.2)."""
        key, salt = profile.key_size_bytes, profile.salt_size_bytes
        salts = material[2 * key :]
        return SrtpKeys(
            profile=profile,
            client=material[:key] + salts[:salt],
            server=material[key : 2 * key] + salts[salt : 2 * salt],
        )


def keying_material_size_bytes(profile: SrtpProfile) -> int:
    """How much keying material a profile wants for both directions."""
    return 2 * (profile.key_size_bytes + profile.salt_size_bytes)


class SrtpSession:
    """Both directions of one connection, seen from the DTLS server. No method raises for what a peer sent."""

    def __init__(self, keys: SrtpKeys) -> None:
        """Raises pylibsrtp.Error if libsrtp refuses the keys."""
        self._inbound = _create(keys.profile, keys.client, lib.ssrc_any_inbound)
        self._outbound = _create(keys.profile, keys.server, lib.ssrc_any_outbound)
        self._memory = ffi.new("char[]", MAX_PACKET_SIZE_BYTES)
        self._buffer = ffi.buffer(self._memory)
        self._size = ffi.new("int *")

    @property
    def outbound(self) -> CData:
        """libsrtp's handle for what we send. It is valid as long as this object lives."""
        return self._outbound[0]

    def unprotect_rtp(self, datagram: bytes) -> bytes | None:
        """The RTP packet in an SRTP packet; None if it is forged, replayed or malformed."""
        return self._process(lib.srtp_unprotect, self._inbound[0], datagram)

    def unprotect_rtcp(self, datagram: bytes) -> bytes | None:
        """The RTCP compound in an SRTCP packet; None if it is forged, replayed or malformed."""
        return self._process(lib.srtp_unprotect_rtcp, self._inbound[0], datagram)

    def protect_rtp(self, packet: bytes) -> bytes | None:
        """An SRTP packet to send; None if libsrtp refuses (a packet too old, a key used up, too large)."""
        return self._process(lib.srtp_protect, self._outbound[0], packet, TRAILER_SIZE_BYTES)

    def protect_rtcp(self, compound: bytes) -> bytes | None:
        """An SRTCP packet to send; None as above."""
        return self._process(lib.srtp_protect_rtcp, self._outbound[0], compound, TRAILER_SIZE_BYTES)

    def _process(self, function: CData, handle: CData, data: bytes, room: int = 0) -> bytes | None:
        size = len(data)
        if size > MAX_PACKET_SIZE_BYTES - room:
            return None
        self._buffer[0:size] = data
        self._size[0] = size
        if function(handle, self._memory, self._size) != lib.srtp_err_status_ok:
            return None
        return bytes(self._buffer[0 : self._size[0]])


def _create(profile: SrtpProfile, key: bytes, direction: int) -> CData:
    """One libsrtp context of one direction, freed with its last reference."""
    policy = ffi.new("srtp_policy_t *")
    _check(lib.srtp_crypto_policy_set_from_profile_for_rtp(ffi.addressof(policy.rtp), profile.number))
    _check(lib.srtp_crypto_policy_set_from_profile_for_rtcp(ffi.addressof(policy.rtcp), profile.number))
    # libsrtp copies the key in srtp_create; the reference must only outlive that call.
    key_memory = ffi.new("unsigned char[]", key)
    policy.key = key_memory
    policy.ssrc.type = direction
    policy.window_size = REPLAY_WINDOW_PACKETS
    # A viewer without RTX gets a lost packet again exactly as it was: same index, same bytes, so no nonce is reused.
    policy.allow_repeat_tx = 1
    context = ffi.new("srtp_t *")
    _check(lib.srtp_create(context, policy))
    return ffi.gc(context, lambda pointer: lib.srtp_dealloc(pointer[0]))


def _check(status: int) -> None:
    if status != lib.srtp_err_status_ok:
        raise Error(f"libsrtp refused with status {status}")
