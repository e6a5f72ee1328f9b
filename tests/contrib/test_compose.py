"""compose.yaml agrees with the Dockerfile and the settings."""

import re
from typing import Any

import pytest
import yaml

from stagebook.config.sources import load_settings
from tests.contrib.dockerfile import ROOT
from tests.contrib.test_dockerfile import container_environment

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]


def test_the_variables_are_valid_settings_together_with_those_of_the_image() -> None:
    settings = load_settings(flags={}, environment=container_environment() | SERVICES["stagebook"]["environment"])
    assert settings.media_announce == ("127.0.0.1",)


def test_each_port_of_the_server_is_published_under_its_number_on_loopback() -> None:
    settings = load_settings(flags={}, environment=container_environment())
    ports = {f"{settings.media_port}/udp", f"{settings.tcp_media_port}/tcp"}
    ports |= {f"{each.port}/tcp" for each in (settings.address, settings.rtmp_address, settings.rtmps_address) if each}
    published = SERVICES["stagebook"]["ports"]
    assert {text.rpartition(":")[2] for text in published} == ports
    for text in published:
        host, outer, inner = text.split(":")
        assert (host, outer) == ("127.0.0.1", inner.partition("/")[0])


def test_the_server_has_a_read_only_root_with_its_volume_and_temporary_files() -> None:
    server = SERVICES["stagebook"]
    assert server["read_only"] is True
    assert server["tmpfs"] == ["/tmp"]  # noqa: S108 - of the container
    assert server["volumes"] == [f"data:{container_environment()['STAGEBOOK_DATA']}"]
    assert server["cap_drop"] == ["ALL"]


def test_the_lines_for_the_s3_service_are_valid_settings() -> None:
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    lines = dict(re.findall(r"^ +# (STAGEBOOK_\w+|AWS_\w+): (\S+)$", text, re.MULTILINE))
    settings = load_settings(flags={}, environment=container_environment() | lines)
    assert settings.storage == "s3"
    port = SERVICES["s3"]["ports"][0].rpartition(":")[2].partition("/")[0]
    assert settings.storage_s3_endpoint == f"http://s3:{port}"
    assert lines["AWS_ACCESS_KEY_ID"]
    assert lines["AWS_SECRET_ACCESS_KEY"]


def test_services_that_the_server_does_not_need_start_only_when_asked_for() -> None:
    profiles = {name: service.get("profiles") for name, service in SERVICES.items()}
    assert profiles == {"stagebook": None, "coturn": ["turn"], "s3": ["s3"]}


@pytest.mark.parametrize("name", SERVICES)
def test_the_volumes_of_each_service_are_declared(name: str) -> None:
    named = {text.partition(":")[0] for text in SERVICES[name].get("volumes", [])}
    assert named <= set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_is_published_to_other_machines(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])
