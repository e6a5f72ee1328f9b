"""The setting `ice_servers`: forms that are accepted, refusals that name the rule, and secrets that are not shown."""

from pathlib import Path

import pytest

from stagebook.config.rules import ConfigError
from stagebook.config.settings import Settings
from stagebook.config.sources import load_settings

SECRET = "north-south-east"


def load(folder: Path, content: str) -> Settings:
    path = folder / "stagebook.toml"
    path.write_text(content, encoding="utf-8")
    return load_settings(flags={}, environment={}, config_file=path)


def server(urls: str, members: str = "") -> str:
    return f"[[ice_servers]]\nurls = {urls}\n{members}\n"


def test_servers_are_read_from_the_file(tmp_path: Path) -> None:
    urls = '["turn:turn.example.com:3478?transport=udp", "turns:[2001:db8::1]:5349?transport=tcp", "stun:192.0.2.1"]'
    text = server(urls, f'secret = "{SECRET}"') + server('["turn:a"]', 'username = "ann"\ncredential = "word"')
    first, second = load(tmp_path, text).ice_servers
    assert (first.urls[1], first.secret) == ("turns:[2001:db8::1]:5349?transport=tcp", SECRET)
    assert second.username == "ann"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (server('["turn:turn.example.com"]'), "needs secret, or username and credential"),
        (server('["turn:turn.example.com"]', 'username = "ann"'), "set together"),
        (
            server('["turn:a"]', f'secret = "{SECRET}"\nusername = "ann"\ncredential = "{SECRET}"'),
            "either secret or username",
        ),
        (server('["stun:a"]', f'secret = "{SECRET}"'), "STUN URLs only"),
        (server('["https://a"]'), "urls must have the form"),
        (server('["stun:a?transport=udp"]'), "urls must have the form"),
        (server('["turn:a?transport=sctp"]', f'secret = "{SECRET}"'), "urls must have the form"),
        (server('["turn:a:70000"]', f'secret = "{SECRET}"'), "urls must have the form"),
        (server('["turn:a>; rel=x"]', f'secret = "{SECRET}"'), "urls must have the form"),
        (server('["turn:a\\r\\nSet-Cookie: b"]', f'secret = "{SECRET}"'), "urls must have the form"),
        (server("[]"), "Expected `array` of length >= 1"),
        (server('["turn:a"]', f'username = "a\\"b"\ncredential = "{SECRET}"'), "username"),
        (server('["turn:a"]', f'secrets = "{SECRET}"'), "unknown field"),
        (server('["stun:a"]') * 9, "at most 8 servers"),
    ],
)
def test_a_faulty_server_is_refused_and_its_secret_not_shown(tmp_path: Path, text: str, rule: str) -> None:
    with pytest.raises(ConfigError, match="setting ice_servers") as refused:
        load(tmp_path, text)
    assert rule in str(refused.value)
    assert SECRET not in str(refused.value)


def test_the_repr_has_no_secret(tmp_path: Path) -> None:
    settings = load(tmp_path, server('["turn:a"]', f'secret = "{SECRET}"'))
    assert SECRET not in repr(settings)


def test_servers_are_refused_outside_the_file() -> None:
    with pytest.raises(ConfigError, match="only be set in the TOML file"):
        load_settings(flags={}, environment={"STAGEBOOK_ICE_SERVERS": "stun:a"})
