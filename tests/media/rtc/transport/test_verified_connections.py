"""The verified TCP connections of an engine, and which one makes room at the limit."""

from typing import cast

from stagebook.media.rtc.ice.tcp_connection import TcpConnection
from stagebook.media.rtc.transport.peer_connection import PeerConnection
from stagebook.media.rtc.transport.verified_connections import VerifiedConnections


def connection() -> TcpConnection:
    return cast("TcpConnection", object())


def peer() -> PeerConnection:
    return cast("PeerConnection", object())


def test_at_the_limit_the_oldest_connection_of_the_peer_with_the_most_makes_room() -> None:
    verified = VerifiedConnections[int](3)
    one, many = peer(), peer()
    connections = [connection() for _ in range(4)]
    owners = (one, many, many, peer())
    pairs = zip(connections, owners, strict=True)
    assert [verified.add(each, number, owner) for number, (each, owner) in enumerate(pairs)] == [None, None, None, 1]
    assert (len(verified), verified.entries(), list(verified)) == (4, [0, 1, 2, 3], connections)


def test_a_removed_connection_does_not_count() -> None:
    verified = VerifiedConnections[str](2)
    one, other = peer(), peer()
    first, second = connection(), connection()
    verified.add(first, "first", one)
    verified.add(second, "second", one)
    assert (verified.pop(first), verified.pop(first), verified.get(first)) == ("first", None, None)
    assert verified.add(connection(), "third", other) is None
    assert verified.add(connection(), "fourth", other) == "third"
    assert verified.get(second) == "second"
