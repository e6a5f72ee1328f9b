"""The wiring: the values that each part of the server gets from the settings."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import MagicMock

import pytest

from stagebook.book.retention_policy import DAY_MS, RetentionPolicy
from stagebook.config.settings import Settings
from stagebook.config.sources import load_settings
from stagebook.server.listen_sockets import ListenSockets, open_listen_sockets
from stagebook.server.wiring import build_retention, public_base_url, public_endpoints


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(), "http://127.0.0.1:9000"),
        (Settings(listen="[::1]:0"), "http://[::1]:9000"),
        (Settings(listen="0.0.0.0:0"), "http://127.0.0.1:9000"),
        (Settings(listen="[::]:0"), "http://127.0.0.1:9000"),
        (Settings(listen="stages.example.com:0"), "http://stages.example.com:9000"),
        (Settings(public_url="https://example.com/ivs"), "https://example.com/ivs"),
    ],
)
def test_the_public_url_is_the_setting_or_the_listen_address(settings: Settings, expected: str) -> None:
    assert public_base_url(settings, port=9_000) == expected


@contextmanager
def bound_sockets(**flags: str) -> Iterator[tuple[Settings, ListenSockets]]:
    """Yield settings that listen on free ports, with `flags` applied, and their bound sockets."""
    free = dict.fromkeys(("listen", "rtmp_listen", "rtmps_listen"), "127.0.0.1:0")
    settings = load_settings(flags=free | flags, environment={})
    with open_listen_sockets(settings) as sockets:
        yield settings, sockets


def port(listener: socket.socket | None) -> int:
    assert listener is not None
    number: int = listener.getsockname()[1]
    return number


@pytest.mark.parametrize(
    ("public_url", "host", "events"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1", "ws://127.0.0.1:8080/events"),
        ("https://example.com/ivs", "example.com", "wss://example.com/ivs/events"),
        ("http://[::1]:8080", "[::1]", "ws://[::1]:8080/events"),
    ],
)
def test_endpoints_follow_the_public_url_and_the_bound_ports(public_url: str, host: str, events: str) -> None:
    with bound_sockets() as (settings, sockets):
        endpoints = public_endpoints(settings, public_url=public_url, sockets=sockets)
        assert (endpoints.whip, endpoints.events) == (f"{public_url}/whip", events)
        assert endpoints.rtmp == f"rtmp://{host}:{port(sockets.rtmp)}/app/"
        assert endpoints.rtmps == f"rtmps://{host}:{port(sockets.rtmps)}/app/"


def test_the_public_ingest_urls_are_used_when_set() -> None:
    rtmp, rtmps = "rtmp://in.example.com/app/", "rtmps://in.example.com:443/app/"
    with bound_sockets(rtmp_public_url=rtmp, rtmps_public_url=rtmps) as (settings, sockets):
        endpoints = public_endpoints(settings, public_url="https://example.com", sockets=sockets)
    assert (endpoints.rtmp, endpoints.rtmps) == (rtmp, rtmps)


def test_a_protocol_that_is_switched_off_has_no_endpoint() -> None:
    with bound_sockets(rtmp_listen="") as (settings, sockets):
        endpoints = public_endpoints(settings, public_url="https://example.com", sockets=sockets)
    assert endpoints.rtmp is None
    assert endpoints.rtmps is not None


def test_retention_has_the_ages_of_the_settings_and_the_lifetimes_of_tokens() -> None:
    stage_arn = "arn:aws:ivs:us-west-2:123456789012:stage/a"
    settings = Settings(retention_days=90, retention_overrides={"210987654321": 30, stage_arn: 0})
    retention = build_retention(settings, book=MagicMock(), manager=MagicMock())
    assert retention.is_configured
    assert retention._policy == RetentionPolicy(
        default_days=90,
        account_days={"210987654321": 30},
        stage_days={stage_arn: 0},
        participant_token_ms=15 * DAY_MS,
        connection_token_ms=29 * DAY_MS,
    )
    assert not build_retention(Settings(), book=MagicMock(), manager=MagicMock()).is_configured
