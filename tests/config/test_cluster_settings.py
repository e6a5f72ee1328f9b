"""The settings of a book in PostgreSQL and of several nodes."""

from pathlib import Path
from typing import Any

import pytest

from stagebook.config.cluster_settings import database_secrets
from stagebook.config.rules import ConfigError
from stagebook.config.settings import Settings
from stagebook.config.sources import load_settings
from stagebook.server.lifecycle import serve

SECRET = "0123456789abcdef0123456789abcdef"
NODE: dict[str, Any] = {
    "book": "postgres",
    "database_url": "postgresql://stagebook:hidden@db.example.com/stagebook",
    "internal_listen": "10.0.0.7:8090",
    "cluster_secret": SECRET,
    "public_url": "https://stages.example.com",
}


def test_one_server_with_sqlite_needs_nothing() -> None:
    settings = Settings()
    assert (settings.book, settings.internal_address, settings.effective_internal_url(port=1)) == ("sqlite", None, None)


def test_a_single_node_needs_only_the_database() -> None:
    assert Settings(book="postgres", database_url="postgres:///stagebook?host=/run/postgresql").internal_address is None


def test_the_internal_url_follows_from_the_address() -> None:
    assert Settings(**NODE).effective_internal_url(port=8090) == "http://10.0.0.7:8090"
    free_port = Settings(**NODE | {"internal_listen": "[fd00::7]:0"})
    assert free_port.effective_internal_url(port=4711) == "http://[fd00::7]:4711"
    named = Settings(**NODE | {"internal_listen": "0.0.0.0:8090", "internal_url": "http://node-7:8090"})
    assert named.effective_internal_url(port=8090) == "http://node-7:8090"


def test_the_name_of_a_node_is_that_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "studio 7.example.com")
    assert Settings().effective_node_name() == "studio-7.example.com"
    assert Settings(node_name="node-1").effective_node_name() == "node-1"


@pytest.mark.parametrize(
    ("changes", "name", "rule"),
    [
        ({"database_url": None}, "database_url", 'must be set with book = "postgres"'),
        ({"book": "sqlite"}, "database_url", 'needs book = "postgres"'),
        ({"book": "sqlite", "database_url": None}, "internal_listen", 'needs book = "postgres"'),
        ({"cluster_secret": None}, "cluster_secret", "must be set with internal_listen"),
        ({"cluster_secret": SECRET[1:]}, "cluster_secret", "32 to 1024 characters"),
        ({"internal_listen": "0.0.0.0:8090"}, "internal_url", "wildcard"),
        ({"internal_listen": "8090"}, "internal_listen", "HOST:PORT"),
        ({"internal_listen": None, "internal_url": "http://node:1"}, "internal_url", "needs internal_listen"),
        ({"internal_url": "https://node:1"}, "internal_url", "an http URL"),
        ({"internal_url": "http://node:1/path"}, "internal_url", "without a path"),
        ({"public_url": None}, "public_url", "must be set with internal_listen"),
        ({"node_name": "a b"}, "node_name", "1 to 63 letters"),
        ({"database_url": "mysql://host/name"}, "database_url", "postgresql://"),
        ({"database_url": "postgresql:host"}, "database_url", "postgresql://"),
    ],
)
def test_what_does_not_fit_together_is_named(changes: dict[str, Any], name: str, rule: str) -> None:
    with pytest.raises(ConfigError, match=rule) as caught:
        Settings(**NODE | changes)
    assert caught.value.name == name
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("name", ["database_url", "cluster_secret"])
def test_secrets_are_set_in_the_file_or_the_environment(tmp_path: Path, name: str) -> None:
    others = {f"STAGEBOOK_{key.upper()}": value for key, value in NODE.items() if key != name}
    path = tmp_path / "stagebook.toml"
    path.write_text(f'{name} = "{NODE[name]}"\n', encoding="utf-8")
    assert load_settings(flags={}, environment=others, config_file=path) == Settings(**NODE)
    assert load_settings(flags={}, environment=others | {f"STAGEBOOK_{name.upper()}": NODE[name]}) == Settings(**NODE)
    with pytest.raises(ConfigError, match="can only be set"):
        load_settings(flags={name: NODE[name]}, environment={})


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("postgresql://host/name", []),
        ("postgresql://user@host/name", []),
        ("postgresql://user:hid%20den@host1:5432,host2:5432/name", ["hid%20den", "hid den"]),
        ("postgresql:///name?user=a&password=hidden&host=/run", ["hidden"]),
    ],
)
def test_the_password_of_the_database_is_a_secret(url: str, secrets: list[str]) -> None:
    assert database_secrets(url) == secrets


def test_a_server_for_tests_refuses_postgres(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='must be "sqlite" for a server for tests') as caught:
        serve(Settings(**NODE, data=str(tmp_path / "data")), is_testing=True)
    assert caught.value.name == "book"
    assert not (tmp_path / "data").exists()
