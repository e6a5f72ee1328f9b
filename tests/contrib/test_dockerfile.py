"""The Dockerfile agrees with the settings and with the commands of the documentation. No container engine is needed.

`tests/e2e/package/test_dockerfile_commands.py` runs its commands.
"""

import re

from stagebook.config.settings import SETTINGS
from stagebook.config.sources import load_settings
from tests.contrib.dockerfile import BUILD, ROOT, RUN_TIME, all_of, dockerfile


def container_environment() -> dict[str, str]:
    """Return the settings that the image has as variables."""
    (environment,) = all_of("ENV", stage=RUN_TIME)
    return {name: value for name, value in environment.pairs().items() if name.startswith("STAGEBOOK_")}


def test_the_variables_of_the_image_are_valid_settings() -> None:
    settings = load_settings(flags={}, environment=container_environment())
    assert settings.data == "/data"
    assert settings.address.is_wildcard


def test_the_exposed_ports_are_those_of_the_settings() -> None:
    settings = load_settings(flags={}, environment=container_environment())
    assert settings.rtmp_address is not None
    assert settings.rtmps_address is not None
    tcp = (
        settings.address.port,
        settings.rtmp_address.port,
        settings.rtmps_address.port,
        settings.tcp_media_port,
    )
    (exposed,) = all_of("EXPOSE", stage=RUN_TIME)
    assert exposed.value.split() == [*(f"{port}/tcp" for port in tcp), f"{settings.media_port}/udp"]


def test_the_image_runs_as_a_user_that_owns_the_volume() -> None:
    (user,), (volume,) = all_of("USER", stage=RUN_TIME), all_of("VOLUME", stage=RUN_TIME)
    assert user.value == "10001:10001"
    assert volume.value == container_environment()["STAGEBOOK_DATA"]
    (setup,) = all_of("RUN", stage=RUN_TIME)
    assert "--uid 10001" in setup.value
    assert f"install --directory --mode 0700 --owner stagebook --group stagebook {volume.value}" in setup.value


def test_the_health_check_asks_the_port_of_the_server() -> None:
    settings = load_settings(flags={}, environment=container_environment())
    (check,) = all_of("HEALTHCHECK", stage=RUN_TIME)
    assert f"http://127.0.0.1:{settings.address.port}/health" in check.value
    assert "curl" not in check.value


def test_both_stages_have_the_same_python_and_it_is_supported() -> None:
    first, second = (each.value.partition(" ")[0] for each in dockerfile() if each.keyword == "FROM")
    assert first == second
    version = re.fullmatch(r"python:(3\.\d+)-slim-bookworm", first)
    assert version is not None
    assert f'"Programming Language :: Python :: {version[1]}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_packages_are_installed_by_the_documented_commands() -> None:
    """`make` uses the same options for the pinned versions and for the package itself."""
    documented = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    installs = [each.value for each in all_of("RUN", stage=BUILD) if "pip install" in each.value]
    assert len(installs) == 2
    for install in installs:
        options = install.partition("--disable-pip-version-check ")[2]
        assert f"pip install {options}\n" in documented


def test_what_is_copied_exists_and_is_let_through() -> None:
    let_through = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    copied = {source for each in all_of("COPY", stage=BUILD) for source in each.value.split()[:-1]}
    assert copied == let_through
    assert all((ROOT / source).exists() for source in copied)


def test_the_settings_named_in_the_image_exist() -> None:
    assert {name.removeprefix("STAGEBOOK_").lower() for name in container_environment()} <= set(SETTINGS)
