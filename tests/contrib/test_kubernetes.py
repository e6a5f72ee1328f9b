"""The Kubernetes example agrees with the image and the settings."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from stagebook.config.settings import Settings
from stagebook.config.sources import load_settings
from tests.contrib.dockerfile import ROOT
from tests.contrib.test_dockerfile import container_environment

DOCUMENTS: list[dict[str, Any]] = list(
    yaml.safe_load_all((ROOT / "contrib" / "kubernetes" / "stagebook.yaml").read_text(encoding="utf-8"))
)
NODE_ADDRESS = "192.0.2.10"


def documents(kind: str) -> list[dict[str, Any]]:
    return [document for document in DOCUMENTS if document["kind"] == kind]


POD = documents("StatefulSet")[0]["spec"]["template"]["spec"]
CONTAINER = POD["containers"][0]


@pytest.fixture(name="settings")
def settings_fixture(tmp_path: Path) -> Settings:
    """The settings of the pod: its file, overridden by the variables of the image and of the pod."""
    file = tmp_path / "stagebook.toml"
    file.write_text(documents("ConfigMap")[0]["data"]["stagebook.toml"], encoding="utf-8")
    own = {variable["name"]: variable.get("value", NODE_ADDRESS) for variable in CONTAINER["env"]}
    return load_settings(flags={}, environment=container_environment() | own, config_file=file)


def test_the_settings_are_those_of_the_file(settings: Settings) -> None:
    """A variable of the image that the pod does not replace must not change what the file says."""
    file = tomllib.loads(documents("ConfigMap")[0]["data"]["stagebook.toml"])
    for name, value in file.items():
        found = getattr(settings, name)
        assert (list(found) if isinstance(found, tuple) else found) == value, name
    assert settings.media_announce == (NODE_ADDRESS,)


def test_the_ports_of_the_pod_are_those_of_the_settings(settings: Settings) -> None:
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    assert settings.rtmps_address is not None
    assert ports == {
        "http": settings.address.port,
        "rtmps": settings.rtmps_address.port,
        "media": settings.media_port,
        "media-tcp": settings.tcp_media_port,
    }
    assert settings.rtmp_address is None


def test_the_data_folder_is_in_the_claimed_volume_and_prepared_for_the_user(settings: Settings) -> None:
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert Path(settings.data).parent == Path(mounts["data"])
    (claim,) = documents("StatefulSet")[0]["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "data"
    command = POD["initContainers"][0]["command"]
    user = POD["securityContext"]["runAsUser"]
    assert command[-1] == settings.data
    assert {"--mode=0700", f"--owner={user}"} <= set(command)
    # It would make the volume writable for a group, which the server refuses.
    assert "fsGroup" not in POD["securityContext"]


def test_each_service_leads_to_a_port_of_the_pod() -> None:
    ports = {port["name"]: port for port in CONTAINER["ports"]}
    labels = documents("StatefulSet")[0]["spec"]["template"]["metadata"]["labels"]
    names = set()
    for service in documents("Service"):
        assert service["spec"]["selector"] == labels
        for port in service["spec"]["ports"]:
            assert port["protocol"] == ports[port["targetPort"]]["protocol"]
            assert port["port"] == ports[port["targetPort"]]["containerPort"]
            names.add(port["targetPort"])
    assert names == set(ports)


def test_there_is_one_writer() -> None:
    assert documents("StatefulSet")[0]["spec"]["replicas"] == 1


def test_the_probes_ask_for_the_health_of_the_server() -> None:
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert CONTAINER[probe]["httpGet"] == {"path": "/health", "port": "http"}


def test_the_server_has_few_rights() -> None:
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert POD["automountServiceAccountToken"] is False


def test_service_links_are_off() -> None:
    """For a service `stagebook` they would set STAGEBOOK_PORT, which is no setting: the server would not start."""
    assert POD["enableServiceLinks"] is False
