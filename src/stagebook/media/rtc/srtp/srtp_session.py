"""SRTP and SRTCP of one connection (RFC 3711, RFC 7714), by libsrtp.

SRTP encrypts the payload of an RTP packet and authenticates the whole packet; the RTP header stays readable. SRTCP does
the same for RTCP compound packets and appends an index of its own. Each direction has a master key and a master salt.
From these libsrtp derives a session key for encryption, one for authentication and a session salt (RFC 3711 section
4.3). The two keying inputs come from the DTLS handshake (RFC 5764 section 4.2).

The nonce of a packet is made from its SSRC and its index, which is the sequence number extended by a rollover counter
(RFC 3711 section 3.3.1). A key must therefore never protect two different packets with the same index, and a receiver
rejects an index that it has seen (section 3.3.2). libsrtp keeps the rollover counter and the replay list for each SSRC.

libsrtp keeps these per-SSRC streams in a linked list, which it searches for each packet, and adds one for each new SSRC
that authenticates. So the SSRCs of a peer are limited before they reach libsrtp: to those that its offer signals, and a
number of others that are learned. Streams are not removed: without its replay list, an old packet would be accepted
again.

This module uses libsrtp's C interface as pylibsrtp exposes it. pylibsrtp's own Session raises an exception for each
forged packet, copies twice and takes no packet above 1,356 bytes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec
from pylibsrtp import Error, ffi, lib  # type: ignore[attr-defined]  # libsrtp's C interface, left out of __all__

CData: TypeAlias = Any
"""A cffi object or function. cffi has no type information for them."""

MAX_PACKET_SIZE_BYTES = 2048
"""The largest datagram that is received or sent."""
TRAILER_SIZE_BYTES = 16 + 4
"""The most that one of PROFILES adds to a packet: an authentication tag (16) and the SRTCP index (4)."""
REPLAY_WINDOW_PACKETS = 1024
"""Packets behind the newest that are still accepted, or sent again unchanged. Wide enough for a retransmission that
comes a second late."""
SEND_WINDOW_PACKETS = 256
"""Packets behind the newest that can still be sent: those that came late from the publisher, a second late at
1.5 Mbit/s. libsrtp shifts the window for each packet, by 43 instructions for each 32 packets of it."""
MAX_SIGNALLED_SSRCS = 64
"""The signalled SSRCs that are accepted. Six layers with RTX and an audio stream need 13."""
MAX_LEARNED_SSRCS = 32
"""The other SSRCs that are accepted during the lifetime of a connection: those of RTP streams that the offer does not
signal, and those that a viewer sends its RTCP with. A sender that restarts takes new ones."""


_UNPROTECT_RTP: CData = lib.srtp_unprotect
_OK: int = lib.srtp_err_status_ok
"""Members of `lib` that are used for each packet: to look one up takes as long as a call."""


class SrtpProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A protection profile (RFC 5764 section 4.1.2, RFC 7714 section 14.2) and the sizes of its key and salt.

    The sizes are needed to split the exported keying material: the DTLS exporter returns one string for everything.
    """

    name: bytes
    """OpenSSL's name of the profile."""
    number: int
    """libsrtp's number of the profile."""
    key_size_bytes: int
    salt_size_bytes: int
    tag_size_bytes: int
    """What it adds to an RTP packet: the authentication tag."""


AEAD_AES_128_GCM = SrtpProfile(
    name=b"SRTP_AEAD_AES_128_GCM",
    number=lib.srtp_profile_aead_aes_128_gcm,
    key_size_bytes=16,
    salt_size_bytes=12,
    tag_size_bytes=16,
)
AES128_CM_SHA1_80 = SrtpProfile(
    name=b"SRTP_AES128_CM_SHA1_80",
    number=lib.srtp_profile_aes128_cm_sha1_80,
    key_size_bytes=16,
    salt_size_bytes=14,
    tag_size_bytes=10,
)
PROFILES = (AEAD_AES_128_GCM, AES128_CM_SHA1_80)
"""In order of preference: AES-GCM takes a fifth less time than AES-CM with SHA-1."""


class SrtpKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The master keys and salts of both directions."""

    profile: SrtpProfile
    client: bytes
    """Key and salt of what the DTLS client sends."""
    server: bytes
    """Key and salt of what the DTLS server sends."""

    @staticmethod
    def from_keying_material(profile: SrtpProfile, material: bytes) -> "SrtpKeys":
        """Split the exported keying material of `keying_material_size_bytes(profile)` bytes.

        Its order is client key, server key, client salt, server salt (RFC 5764 section 4.2). libsrtp wants each key
        followed by its salt.
        """
        key, salt = profile.key_size_bytes, profile.salt_size_bytes
        salts = material[2 * key :]
        return SrtpKeys(
            profile=profile,
            client=material[:key] + salts[:salt],
            server=material[key : 2 * key] + salts[salt : 2 * salt],
        )


def keying_material_size_bytes(profile: SrtpProfile) -> int:
    """Return the size of the keying material of both directions (RFC 5764 section 4.2)."""
    return 2 * (profile.key_size_bytes + profile.salt_size_bytes)


class OutboundSrtp(NamedTuple):
    """The outbound direction of a session, for the hot loop."""

    handle: CData
    """libsrtp's."""
    trailer_size_bytes: int
    """What encryption adds to each RTP packet."""
    owner: CData
    """Keeps the memory behind `handle` while anybody holds this value, also after the end of the session."""


class SrtpSession:
    """SRTP and SRTCP in both directions. No method raises for the content of a packet.

    One instance serves one connection and is used on one thread: all methods share a buffer, in which libsrtp works in
    place. The two directions have contexts of their own, because their SSRCs are chosen by different sides and may be
    equal.
    """

    def __init__(
        self,
        keys: SrtpKeys,
        *,
        is_dtls_client: bool = False,
        signalled_ssrcs: Sequence[int] = (),
        resends_unchanged: bool = False,
    ) -> None:
        """Create the libsrtp contexts. Raises pylibsrtp.Error if libsrtp refuses the keys.

        `is_dtls_client` is our role in the handshake: it decides which keys we send with. `signalled_ssrcs` are the
        SSRCs in the peer's offer. They do not count as learned. With `resends_unchanged`, packets are sent again as
        they were, REPLAY_WINDOW_PACKETS behind the newest at most.
        """
        # By their four bytes in the packet, so that a lookup needs no conversion.
        self._known_ssrcs = {ssrc.to_bytes(4) for ssrc in signalled_ssrcs[:MAX_SIGNALLED_SSRCS]}
        self._learnable_ssrcs = MAX_LEARNED_SSRCS
        inbound, outbound = (keys.server, keys.client) if is_dtls_client else (keys.client, keys.server)
        self._inbound = _create(keys.profile, inbound, lib.ssrc_any_inbound, REPLAY_WINDOW_PACKETS)
        window_packets = REPLAY_WINDOW_PACKETS if resends_unchanged else SEND_WINDOW_PACKETS
        self._outbound = _create(keys.profile, outbound, lib.ssrc_any_outbound, window_packets)
        self._inbound_handle = self._inbound[0]
        self._tag_size_bytes = keys.profile.tag_size_bytes
        self._memory = ffi.new("char[]", MAX_PACKET_SIZE_BYTES)
        self._buffer = ffi.buffer(self._memory)
        self._size = ffi.new("int *")

    @property
    def outbound(self) -> OutboundSrtp:
        """The outbound direction, for the hot loop."""
        return OutboundSrtp(self._outbound[0], self._tag_size_bytes, self._outbound)

    def is_beyond_limit(self, ssrc: bytes) -> bool:
        """Return whether packets of an SSRC, in its four bytes, are dropped before libsrtp.

        `unprotect_rtp` and `unprotect_rtcp` return None for these as for forged packets; this tells them apart.
        """
        return self._learnable_ssrcs == 0 and ssrc not in self._known_ssrcs

    def unprotect_rtp(self, datagram: bytes) -> bytes | None:
        """Return the RTP packet of an SRTP packet (RFC 3711 section 3.3).

        None if the packet is forged, replayed, malformed or larger than MAX_PACKET_SIZE_BYTES, or if its SSRC is
        beyond the limit.
        """
        # In one step, without the calls below: it is done for each packet of a publisher.
        size = len(datagram)
        if datagram[8:12] not in self._known_ssrcs or size > MAX_PACKET_SIZE_BYTES:
            return self._unprotect(_UNPROTECT_RTP, datagram, datagram[8:12])
        self._buffer[0:size] = datagram
        self._size[0] = size
        if _UNPROTECT_RTP(self._inbound_handle, self._memory, self._size) != _OK:
            return None
        packet: bytes = self._buffer[0 : self._size[0]]
        return packet

    def unprotect_rtcp(self, datagram: bytes) -> bytes | None:
        """Return the RTCP compound packet of an SRTCP packet; None as above (RFC 3711 section 3.4)."""
        return self._unprotect(lib.srtp_unprotect_rtcp, datagram, datagram[4:8])

    def protect_rtp(self, packet: bytes) -> bytes | None:
        """Return the SRTP packet of an RTP packet (RFC 3711 section 3.3).

        None if the packet is too large or older than the replay window, or if the key has reached its maximum number
        of packets.
        """
        return self._process(lib.srtp_protect, self._outbound[0], packet, TRAILER_SIZE_BYTES)

    def protect_rtcp(self, compound: bytes) -> bytes | None:
        """Return the SRTCP packet of an RTCP compound packet; None as above (RFC 3711 section 3.4)."""
        return self._process(lib.srtp_protect_rtcp, self._outbound[0], compound, TRAILER_SIZE_BYTES)

    def _unprotect(self, function: CData, datagram: bytes, ssrc: bytes) -> bytes | None:
        is_known = ssrc in self._known_ssrcs
        if not is_known and self._learnable_ssrcs == 0:
            return None
        packet = self._process(function, self._inbound[0], datagram)
        if packet is not None and not is_known:
            # Only now: libsrtp adds no stream for a packet that does not authenticate, and anybody can forge those.
            self._known_ssrcs.add(ssrc)
            self._learnable_ssrcs -= 1
        return packet

    def _process(self, function: CData, handle: CData, data: bytes, trailer_size_bytes: int = 0) -> bytes | None:
        """Run a libsrtp function in place on a copy of `data`. `trailer_size_bytes` is what the function may append."""
        size = len(data)
        if size > MAX_PACKET_SIZE_BYTES - trailer_size_bytes:
            return None
        self._buffer[0:size] = data
        self._size[0] = size
        if function(handle, self._memory, self._size) != _OK:
            return None
        return bytes(self._buffer[0 : self._size[0]])


def _create(profile: SrtpProfile, key: bytes, direction: int, window_packets: int) -> CData:
    """Return a libsrtp context for all SSRCs of one direction. It is freed with its last reference."""
    policy = ffi.new("srtp_policy_t *")
    _check(lib.srtp_crypto_policy_set_from_profile_for_rtp(ffi.addressof(policy.rtp), profile.number))
    _check(lib.srtp_crypto_policy_set_from_profile_for_rtcp(ffi.addressof(policy.rtcp), profile.number))
    # libsrtp copies the key in srtp_create; the reference must only outlive that call.
    key_memory = ffi.new("unsigned char[]", key)
    policy.key = key_memory
    policy.ssrc.type = direction
    policy.window_size = window_packets
    # A viewer without RTX gets a lost packet again unchanged. The index and the bytes are the same, so the result is
    # the same ciphertext and no nonce is used for two different packets.
    policy.allow_repeat_tx = 1
    context = ffi.new("srtp_t *")
    _check(lib.srtp_create(context, policy))
    return ffi.gc(context, lambda pointer: lib.srtp_dealloc(pointer[0]))


def _check(status: int) -> None:
    if status != _OK:
        raise Error(f"libsrtp refused with status {status}")
