"""The compose file of three nodes agrees with the settings, the image, and the files that it mounts."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from contrib.cluster.balancer_config import FOLDER, HTTP_PORT, LIVEKIT_PORT, RTMP_PORT, RTMPS_PORT
from contrib.cluster.livekit_config import API_KEY, EXAMPLE_SECRET
from stagebook.config.settings import Settings
from stagebook.config.sources import load_settings
from stagebook.data_folder.secrets import DataFolder
from tests.contrib.test_dockerfile import container_environment
from tests.go_programs import LIVEKIT

TEXT = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
VARIABLES = {name: f"{number}x" * 32 for number, name in enumerate(sorted(set(re.findall(r"\$\{(\w+):\?", TEXT))))}
COMPOSE: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: VARIABLES[found[1]], TEXT))
SERVICES: dict[str, Any] = COMPOSE["services"]
NODES = ("node-1", "node-2", "node-3")
LIVEKITS = ("livekit-1", "livekit-2")


def settings_of(name: str) -> Settings:
    return load_settings(flags={}, environment=container_environment() | SERVICES[name]["environment"])


@pytest.mark.parametrize("name", NODES)
def test_the_variables_of_a_node_are_valid_settings_together_with_those_of_the_image(name: str) -> None:
    settings = settings_of(name)
    assert settings.node_name == name
    assert settings.internal_address is not None
    assert settings.internal_url == f"http://{name}:{settings.internal_address.port}"
    assert settings.livekit_url == f"http://balancer:{LIVEKIT_PORT}"
    assert settings.livekit_api_key == API_KEY


def test_nodes_differ_in_name_address_and_certificate_only() -> None:
    ignored = {"STAGEBOOK_NODE_NAME", "STAGEBOOK_INTERNAL_URL"}
    ignored |= {"STAGEBOOK_RTMPS_CERTIFICATE", "STAGEBOOK_RTMPS_PRIVATE_KEY"}
    environments = [SERVICES[name]["environment"] for name in NODES]
    shared = [{key: value for key, value in each.items() if key not in ignored} for each in environments]
    assert shared[0] == shared[1] == shared[2]


@pytest.mark.parametrize("name", NODES[1:])
def test_the_certificate_is_the_one_that_the_first_node_makes(name: str) -> None:
    folder = DataFolder(Path("/node-1"))
    assert settings_of(name).rtmps_certificate == str(folder.certificate_path)
    assert settings_of(name).rtmps_private_key == str(folder.certificate_key_path)
    assert SERVICES["node-1"]["volumes"] == [f"node-1:{settings_of('node-1').data}"]
    assert "node-1:/node-1:ro" in SERVICES[name]["volumes"]
    assert SERVICES[name]["depends_on"] == {"node-1": {"condition": "service_healthy"}}


def test_the_ports_of_the_nodes_are_those_of_the_load_balancers_example() -> None:
    settings = settings_of("node-1")
    assert settings.rtmp_address is not None
    assert settings.rtmps_address is not None
    ports = (settings.address.port, settings.rtmp_address.port, settings.rtmps_address.port)
    assert ports == (HTTP_PORT, RTMP_PORT, RTMPS_PORT)
    assert SERVICES["balancer"]["ports"] == [f"127.0.0.1:{port}:{port}/tcp" for port in ports]
    assert settings.public_url == f"http://127.0.0.1:{HTTP_PORT}"


def test_the_load_balancer_is_a_trusted_proxy() -> None:
    (subnet,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    assert settings_of("node-1").trusted_proxies == (subnet["subnet"],)


@pytest.mark.parametrize("name", ["haproxy.cfg", "livekit.yaml", "livekit-2.yaml", "nginx.conf"])
def test_the_names_of_the_configurations_are_services(name: str) -> None:
    text = re.sub(r"#.*", "", (FOLDER / name).read_text(encoding="utf-8"))
    hosts = set(re.findall(r"(?:server |//|: |server \S+ )([a-z]+(?:-\d)?):\d+", text))
    assert hosts
    assert hosts <= set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_mounts_exists(name: str) -> None:
    for text in SERVICES[name].get("volumes", []):
        source = text.partition(":")[0]
        assert source in COMPOSE["volumes"] or (FOLDER / source).is_file(), source


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_is_published_to_other_machines(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", LIVEKITS)
def test_livekit_accepts_its_configuration_and_has_the_published_ports(name: str) -> None:
    if not LIVEKIT.path.exists():
        pytest.skip("make test-servers has not built LiveKit")
    path = livekit_config(name)
    command: list[str] = SERVICES[name]["command"]
    words = [str(path) if word == "/etc/livekit.yaml" else word for word in command]
    answer = subprocess.run(
        (LIVEKIT.path, *words, "ports"), env=SERVICES[name]["environment"], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    published = {int(port.split(":")[1]) for port in SERVICES[name]["ports"]}
    assert {int(port) for port in re.findall(r"\d{4}", answer.stdout)} == published | {LIVEKIT_PORT}


def test_the_configurations_of_livekit_differ_in_their_ports_for_peers_only() -> None:
    first, second = (yaml.safe_load(livekit_config(name).read_text(encoding="utf-8")) for name in LIVEKITS)
    assert first["rtc"].pop("udp_port") != second["rtc"].pop("udp_port")
    assert first["rtc"].pop("tcp_port") != second["rtc"].pop("tcp_port")
    assert first == second
    assert first["keys"] == {API_KEY: EXAMPLE_SECRET}
    # The variable replaces it.
    assert yaml.safe_load(SERVICES["livekit-1"]["environment"]["LIVEKIT_KEYS"]) == {
        API_KEY: VARIABLES["LIVEKIT_SECRET"]
    }


def livekit_config(name: str) -> Path:
    volumes: list[str] = SERVICES[name]["volumes"]
    (mounted,) = (text.partition(":")[0] for text in volumes)
    return FOLDER / mounted
