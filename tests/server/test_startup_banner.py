"""The startup banner, and the warnings about settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stagebook.config.settings import Settings
from stagebook.server.startup_banner import env_command, settings_warnings, startup_banner

EVERYWHERE = "0.0.0.0:8080"
PUBLIC: Mapping[str, Any] = {
    "listen": EVERYWHERE,
    "public_url": "https://example.com",
    "media_port": 50_000,
    "media_announce": ("203.0.113.7",),
}
NO_RTMP: Mapping[str, Any] = {"rtmp_listen": "", "rtmps_listen": ""}


def banner(*, ingest: str) -> str:
    return startup_banner(
        Settings(data="my data"),
        version="1.2.3",
        listening="127.0.0.1:9000",
        public_url="https://example.com",
        data=Path("/srv/my data"),
        media="127.0.0.1, UDP port 50000",
        ingest=ingest,
    )


def test_the_banner_contains_every_address_and_the_data_folder() -> None:
    text = banner(ingest="RTMP on 127.0.0.1:1935")
    for part in ("1.2.3", "http://127.0.0.1:9000", "https://example.com", "/srv/my data", "UDP port 50000"):
        assert part in text
    assert "RTMP on 127.0.0.1:1935" in text
    assert "env --data 'my data')\"" in text


def test_the_banner_says_that_encoders_are_not_served() -> None:
    assert "encoders     none" in banner(ingest="")


@pytest.mark.parametrize(("on_path", "expected"), [("/usr/bin/stagebook", "stagebook env"), (None, "bin/tool env")])
def test_the_env_command_can_be_run_as_printed(
    on_path: str | None, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(tmp_path / "bin" / "tool")])
    monkeypatch.setattr("shutil.which", lambda _name: on_path)
    assert env_command(Settings()) == expected


def test_the_env_command_of_python_m_stagebook_can_be_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.argv", [str(tmp_path / "stagebook" / "__main__.py")])
    monkeypatch.setattr("sys.executable", "/opt/my python")
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert env_command(Settings()) == "'/opt/my python' -m stagebook env"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(), []),
        (Settings(auth="off"), ["auth is off: this machine"]),
        (Settings(**PUBLIC, **NO_RTMP), []),
        (Settings(**PUBLIC, **NO_RTMP, media_tcp_port=0), ["media_tcp_port is 0"]),
        (
            Settings(listen=EVERYWHERE, auth="off", **NO_RTMP),
            [
                "auth is off: EVERY CLIENT",
                "media_port is 0",
                "public_url is not set",
                "media_announce is not set",
                "tokens and signed requests travel unencrypted",
            ],
        ),
        (
            Settings(listen="192.0.2.1:80", media_port=50_000, public_url="http://example.com", **NO_RTMP),
            ["tokens and signed requests travel unencrypted"],
        ),
        (
            Settings(**PUBLIC),
            ["rtmp_listen accepts only encoders on this", "rtmps_listen accepts only encoders on this"],
        ),
        (
            Settings(**PUBLIC, rtmp_listen="", rtmps_public_url="rtmps://in.example.com:443/app/"),
            [],
        ),
        (
            Settings(rtmp_listen="0.0.0.0:1935", rtmps_listen="0.0.0.0:443"),
            ["rtmp_listen is open to other machines", "rtmps_certificate is not set"],
        ),
        (Settings(rtmp_listen="", rtmps_listen="0.0.0.0:443", rtmps_certificate="c", rtmps_private_key="k"), []),
    ],
)
def test_insecure_and_contradictory_settings_have_a_warning(settings: Settings, expected: list[str]) -> None:
    found = settings_warnings(settings)
    assert len(found) == len(expected)
    for warning, start in zip(found, expected, strict=True):
        assert warning.startswith(start)


def test_a_node_is_described_in_the_banner() -> None:
    assert "  node  " not in banner(ingest="")
    text = startup_banner(
        Settings(),
        version="1",
        listening="a",
        public_url="b",
        data=Path("/d"),
        media="m",
        ingest="",
        node="node-1 (run 7)",
    )
    assert "  node         node-1 (run 7)\n" in text


@pytest.mark.parametrize(
    ("url", "is_protected"),
    [
        ("postgresql://ann:sesame@db.example.com/book", False),
        ("postgresql://ann:sesame@db.example.com/book?sslmode=require", False),
        ("postgresql://ann:sesame@db.example.com/book?sslmode=verify-full", True),
        ("postgresql://ann@127.0.0.1:5433/book", True),
        ("postgresql://ann@[::1]:5433/book", True),
        ("postgresql://ann@localhost,10.0.0.7:5433/book", False),
        ("postgresql:///book?host=/var/run/postgresql", True),
        ("postgresql:///book?host=10.0.0.7", False),
        ("postgresql://%2Frun%2Fpostgresql/book", True),
    ],
)
def test_a_database_on_another_machine_needs_tls(url: str, *, is_protected: bool) -> None:
    found = settings_warnings(Settings(book="postgres", database_url=url))
    assert any("sslmode" in warning for warning in found) == (not is_protected)
    assert "sesame" not in str(found)


def test_the_internal_server_of_a_node_is_not_for_every_network() -> None:
    node: dict[str, Any] = {"book": "postgres", "database_url": "postgresql:///book"}
    assert any("only node of its database" in warning for warning in settings_warnings(Settings(**node)))
    node |= {"cluster_secret": "s" * 32, "public_url": "https://a.example", "internal_url": "http://10.0.0.1:9000"}
    for listen, is_open in (("0.0.0.0:9000", True), ("10.0.0.1:9000", False)):
        found = settings_warnings(Settings(**node, internal_listen=listen))
        assert any("open to every network" in warning for warning in found) == is_open
