"""ICE restarts on the shared transport: which credentials the table of fragments holds."""

import random

import pytest

from stagebook.media.rtc.sdp.media_plan import InboundStreams, RemoteTransport
from stagebook.media.rtc.transport.peer_connection import PeerConnection
from stagebook.media.rtc.transport.shared_transport import SharedTransport
from tests.media.rtc.transport.null_endpoint import NullEndpoint

REMOTE = RemoteTransport(ufrag="theirs", pwd="q" * 24, fingerprints=())


@pytest.fixture(name="transport")
def transport_fixture() -> SharedTransport:
    return SharedTransport(
        bind_addresses=("127.0.0.1",),
        udp_port=0,
        announced_addresses=(),
        wall_clock=lambda: 1_767_225_600.0,
        clock=lambda: 0.0,
        randomness=random.Random(1),
    )


def open_peer(transport: SharedTransport) -> PeerConnection:
    return transport.open_peer(
        connection_id="c",
        remote=REMOTE,
        inbound=InboundStreams(),
        endpoint=NullEndpoint(),
        listener=NullEndpoint(),
        now=0.0,
    )


def test_credentials_are_long_enough_and_different_for_each_connection(transport: SharedTransport) -> None:
    first, second = transport.describe(open_peer(transport)), transport.describe(open_peer(transport))
    assert (len(first.ufrag), len(first.pwd)) == (13, 24)
    assert first.ufrag != second.ufrag
    assert first.pwd != second.pwd
    assert first.fingerprint == second.fingerprint


def test_a_second_restart_keeps_the_credentials_in_use_and_voids_those_of_the_first(
    transport: SharedTransport,
) -> None:
    peer = open_peer(transport)
    in_use = peer.ice.credentials
    transport.restart_ice(peer, REMOTE)
    unused = peer.ice.credentials
    transport.restart_ice(peer, REMOTE)
    assert peer.ice.password_for(in_use.ufrag) == in_use.pwd
    assert peer.ice.password_for(unused.ufrag) is None
    assert peer.ice.password_for(peer.ice.credentials.ufrag) == peer.ice.credentials.pwd


def test_a_closed_connection_leaves_no_entry_in_the_table_of_fragments(transport: SharedTransport) -> None:
    peer = open_peer(transport)
    fragments = [peer.ice.credentials.ufrag]
    for _ in range(3):
        transport.restart_ice(peer, REMOTE)
        fragments.append(peer.ice.credentials.ufrag)
    transport.close_peer(peer)
    assert [transport.ufrags.get(ufrag) for ufrag in fragments] == [None] * 4
