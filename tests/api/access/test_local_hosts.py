"""The hosts by which an unauthenticated client may name the server."""

import pytest

from stagebook.api.access.local_hosts import LocalHosts


@pytest.mark.parametrize(
    "host",
    [
        b"127.0.0.1:8080",
        b"192.168.1.7",
        b"[::1]:8080",
        b"[fe80::1%25eth0]",
        b"localhost:8080",
        b"LOCALHOST",
        b"app.localhost:8080",
        b"stagebook:8080",
        b"host.docker.internal:8080",
        b"stagebook.default.svc.cluster.local",
        b"Stages.Example.com:443",
        b"stages.example.com.",
        b"",
    ],
)
def test_a_host_that_no_attacker_can_own_is_allowed(host: bytes) -> None:
    assert LocalHosts(["stages.EXAMPLE.com", ""]).allow(host)


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example:8080",
        b"127.0.0.1.evil.example",
        b"localhost.evil.example:8080",
        b"stages.example.com.evil.example",
        b"evil.example.",
        b"127.0.0.1x.com",
        b"xn--e1awd7f.com",
        b"\xff.com",
    ],
)
def test_a_name_in_the_public_dns_is_refused(host: bytes) -> None:
    assert not LocalHosts(["stages.example.com"]).allow(host)
