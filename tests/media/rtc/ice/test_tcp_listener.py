"""The listening sockets of media over TCP."""

import socket

import pytest

from stagebook.media.rtc.ice.tcp_listener import bind_tcp_listeners


def test_all_addresses_have_the_same_port() -> None:
    listeners = bind_tcp_listeners(["127.0.0.1", "127.0.0.2", "::1"], 0)
    assert len({listener.getsockname()[1] for listener in listeners}) == 1
    for listener in listeners:
        listener.close()


def test_both_wildcards_can_be_bound_side_by_side() -> None:
    listeners = bind_tcp_listeners(["0.0.0.0", "::"], 0)  # noqa: S104 - the test is about the wildcard
    port = listeners[0].getsockname()[1]
    for host in ("127.0.0.1", "::1"):
        socket.create_connection((host, port)).close()
    for listener in listeners:
        listener.close()


def test_a_port_in_use_is_an_error_and_releases_the_others() -> None:
    # Not 127.0.0.1: other processes connect from there, and may have the port.
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            bind_tcp_listeners(["127.0.0.3", "127.0.0.2"], port)
    (listener,) = bind_tcp_listeners(["127.0.0.3"], port)
    listener.close()
