"""SRTP and SRTCP of one connection, against pylibsrtp's own sessions."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pylibsrtp import Policy, Session

from stagebook.media.rtc.rtp.rtcp_writer import write_pli
from stagebook.media.rtc.srtp.srtp_session import (
    AEAD_AES_128_GCM,
    AES128_CM_SHA1_80,
    MAX_LEARNED_SSRCS,
    MAX_PACKET_SIZE_BYTES,
    MAX_SIGNALLED_SSRCS,
    PROFILES,
    REPLAY_WINDOW_PACKETS,
    SEND_WINDOW_PACKETS,
    SrtpKeys,
    SrtpProfile,
    SrtpSession,
    keying_material_size_bytes,
)
from tests.media.rtc.packets import rtp


def keys(profile: SrtpProfile) -> SrtpKeys:
    """Return keys that differ for each direction."""
    return SrtpKeys.from_keying_material(profile, bytes(range(keying_material_size_bytes(profile))))


def client(profile: SrtpProfile) -> tuple[Session, Session]:
    """Return the client's sessions: the one that it sends with and the one that it receives with."""
    client_keys = keys(profile)
    sending = Policy(key=client_keys.client, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile.number)
    receiving = Policy(key=client_keys.server, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=profile.number)
    return Session(sending), Session(receiving)


def test_keying_material_is_split_in_the_order_of_rfc_5764() -> None:
    # RFC 5764 section 4.2: client key, server key, client salt, server salt.
    split = SrtpKeys.from_keying_material(AES128_CM_SHA1_80, b"K" * 16 + b"k" * 16 + b"S" * 14 + b"s" * 14)
    assert (split.client, split.server) == (b"K" * 16 + b"S" * 14, b"k" * 16 + b"s" * 14)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name.decode())
def test_the_client_reads_what_the_session_protects_and_the_reverse(profile: SrtpProfile) -> None:
    session = SrtpSession(keys(profile))
    sending, receiving = client(profile)
    packet, compound = rtp(b"payload"), write_pli(sender_ssrc=1, media_ssrc=2)
    assert session.unprotect_rtp(sending.protect(packet)) == packet
    assert session.unprotect_rtcp(sending.protect_rtcp(compound)) == compound
    protected, protected_compound = session.protect_rtp(packet), session.protect_rtcp(compound)
    assert protected is not None
    assert protected_compound is not None
    assert receiving.unprotect(protected) == packet
    assert receiving.unprotect_rtcp(protected_compound) == compound


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name.decode())
def test_forged_and_replayed_packets_are_dropped_without_an_exception(profile: SrtpProfile) -> None:
    session = SrtpSession(keys(profile))
    sending, _ = client(profile)
    protected = sending.protect(rtp(b"payload"))
    forged = protected[:-1] + bytes([protected[-1] ^ 1])
    assert session.unprotect_rtp(forged) is None
    assert session.unprotect_rtp(protected) is not None
    assert session.unprotect_rtp(protected) is None


def test_a_retransmitted_packet_is_the_same_datagram() -> None:
    session = SrtpSession(keys(AEAD_AES_128_GCM))
    first = session.protect_rtp(rtp(b"payload", sequence=5))
    session.protect_rtp(rtp(b"next", sequence=6))
    assert session.protect_rtp(rtp(b"payload", sequence=5)) == first


@pytest.mark.parametrize("window", [SEND_WINDOW_PACKETS, REPLAY_WINDOW_PACKETS])
def test_packets_are_sent_within_the_window_behind_the_newest(window: int) -> None:
    session = SrtpSession(keys(AEAD_AES_128_GCM), resends_unchanged=window == REPLAY_WINDOW_PACKETS)
    newest = 2000
    assert session.protect_rtp(rtp(b"newest", sequence=newest)) is not None
    assert session.protect_rtp(rtp(b"late", sequence=newest - window + 1)) is not None
    assert session.protect_rtp(rtp(b"too late", sequence=newest - window - 1)) is None


def test_packets_above_the_size_limit_are_rejected() -> None:
    session = SrtpSession(keys(AEAD_AES_128_GCM))
    assert session.unprotect_rtp(rtp(bytes(MAX_PACKET_SIZE_BYTES))) is None
    assert session.protect_rtp(rtp(bytes(MAX_PACKET_SIZE_BYTES - 20))) is None
    assert session.protect_rtp(rtp(bytes(1500))) is not None


@settings(max_examples=60)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_dropped_without_an_exception(noise: bytes) -> None:
    session = SrtpSession(keys(AEAD_AES_128_GCM))
    assert session.unprotect_rtp(noise) is None
    assert session.unprotect_rtcp(noise) is None


def test_the_ssrcs_of_a_peer_are_limited_and_forged_packets_do_not_use_them_up() -> None:
    session = SrtpSession(keys(AEAD_AES_128_GCM), signalled_ssrcs=range(MAX_SIGNALLED_SSRCS + 5))
    sending, _ = client(AEAD_AES_128_GCM)
    for ssrc in range(1000, 2000):
        assert session.unprotect_rtp(rtp(bytes(40), ssrc=ssrc)) is None
    learned = [session.unprotect_rtp(sending.protect(rtp(ssrc=ssrc))) is not None for ssrc in range(1000, 1100)]
    assert learned == [True] * MAX_LEARNED_SSRCS + [False] * (100 - MAX_LEARNED_SSRCS)
    assert session.is_beyond_limit((1000 + MAX_LEARNED_SSRCS).to_bytes(4))
    assert not session.is_beyond_limit((1000).to_bytes(4))
    # The learned and the signalled ones still work, also the signalled ones that have not been used before.
    assert session.unprotect_rtp(sending.protect(rtp(ssrc=1000, sequence=2))) is not None
    for ssrc in range(MAX_SIGNALLED_SSRCS):
        assert session.unprotect_rtp(sending.protect(rtp(ssrc=ssrc))) is not None
    assert session.unprotect_rtp(sending.protect(rtp(ssrc=MAX_SIGNALLED_SSRCS))) is None


def test_rtcp_and_rtp_share_the_limit() -> None:
    session = SrtpSession(keys(AEAD_AES_128_GCM))
    sending, _ = client(AEAD_AES_128_GCM)
    for ssrc in range(MAX_LEARNED_SSRCS):
        compound = write_pli(sender_ssrc=ssrc, media_ssrc=0)
        assert session.unprotect_rtcp(sending.protect_rtcp(compound)) is not None
    assert session.unprotect_rtp(sending.protect(rtp(ssrc=0))) is not None
    assert session.unprotect_rtp(sending.protect(rtp(ssrc=MAX_LEARNED_SSRCS))) is None
