"""`stagebook livekit watch`: which LiveKit server the flags and the environment name."""

from pathlib import Path

import pytest

from stagebook.cli.command_line import parser_of_commands
from stagebook.cli.livekit.livekit_commands import watched_livekit
from stagebook.config.rules import ConfigError
from stagebook.config.settings import Settings
from stagebook.livekit_history.watched_livekit import POLL_INTERVAL_SECONDS, WatchedLiveKit

VARIABLES = {"LIVEKIT_URL": "wss://livekit.example/", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "secret"}


def watched(*flags: str, **variables: str) -> WatchedLiveKit:
    arguments = parser_of_commands().parse_args(["livekit", "watch", *flags])
    return watched_livekit(arguments, {**VARIABLES, **variables}, Settings())


def test_the_variables_of_livekits_tools_are_enough() -> None:
    found = watched()
    assert (found.url, found.key.key, found.key.secret) == ("https://livekit.example", "key", "secret")
    assert found.poll_interval_seconds == POLL_INTERVAL_SECONDS


def test_flags_come_first(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n", encoding="utf-8")
    found = watched(
        *("--url", "http://127.0.0.1:7880", "--api-key", "other", "--poll-seconds", "2.5"),
        *("--api-secret-file", str(tmp_path / "secret")),
    )
    assert (found.url, found.key.key, found.key.secret) == ("http://127.0.0.1:7880", "other", "from a file")
    assert found.poll_interval_seconds == 2.5
    assert "from a file" not in repr(found)


def test_the_settings_come_last() -> None:
    settings = Settings(livekit_url="http://livekit", livekit_api_key="set", livekit_api_secret="also set")
    arguments = parser_of_commands().parse_args(["livekit", "watch"])
    found = watched_livekit(arguments, {}, settings)
    assert (found.url, found.key.key, found.key.secret) == ("http://livekit", "set", "also set")


@pytest.mark.parametrize(
    ("flags", "variables", "name"),
    [
        ((), {"LIVEKIT_URL": ""}, "url"),
        (("--url", "ftp://livekit.example"), {}, "url"),
        ((), {"LIVEKIT_API_KEY": ""}, "api-key"),
        ((), {"LIVEKIT_API_SECRET": ""}, "api-secret-file"),
        (("--api-secret-file", "/does/not/exist"), {}, "api-secret-file"),
        (("--poll-seconds", "0"), {}, "poll-seconds"),
    ],
)
def test_what_is_missing_or_wrong_is_named(flags: tuple[str, ...], variables: dict[str, str], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        watched(*flags, **variables)


def test_media_of_stagebook_itself_have_no_flags() -> None:
    with pytest.raises(SystemExit):
        watched("--rtmp-listen", "127.0.0.1:1935")
