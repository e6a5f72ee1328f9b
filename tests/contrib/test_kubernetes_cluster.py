"""The Kubernetes example of several nodes agrees with the image, the settings, and the example of one server."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from stagebook.config.settings import Settings
from stagebook.config.sources import load_settings
from tests.contrib import test_kubernetes as one_server
from tests.contrib.dockerfile import ROOT
from tests.contrib.test_dockerfile import container_environment

DOCUMENTS: list[dict[str, Any]] = list(
    yaml.safe_load_all((ROOT / "contrib" / "kubernetes" / "stagebook-cluster.yaml").read_text(encoding="utf-8"))
)
POD_FIELDS = {"metadata.name": "stagebook-cluster-1", "status.podIP": "192.0.2.10", "status.hostIP": "192.0.2.10"}


def documents(kind: str) -> list[dict[str, Any]]:
    return [document for document in DOCUMENTS if document["kind"] == kind]


STATEFUL_SET = documents("StatefulSet")[0]["spec"]
POD = STATEFUL_SET["template"]["spec"]
CONTAINER = POD["containers"][0]


def variables() -> dict[str, str]:
    """Return the variables of a pod as Kubernetes sets them, without those that are no settings."""
    found: dict[str, str] = {}
    for variable in CONTAINER["env"]:
        source = variable.get("valueFrom", {})
        if "fieldRef" in source:
            value = POD_FIELDS[source["fieldRef"]["fieldPath"]]
        elif "secretKeyRef" in source:
            (secret,) = documents("Secret")
            assert source["secretKeyRef"]["name"] == secret["metadata"]["name"]
            value = secret["stringData"][source["secretKeyRef"]["key"]]
        else:
            value = variable["value"]
            for name, earlier in found.items():
                value = value.replace(f"$({name})", earlier)
        found[variable["name"]] = value
    return {name: value for name, value in found.items() if name.startswith("STAGEBOOK_")}


@pytest.fixture(name="settings")
def settings_fixture(tmp_path: Path) -> Settings:
    file = tmp_path / "stagebook.toml"
    file.write_text(documents("ConfigMap")[0]["data"]["stagebook.toml"], encoding="utf-8")
    return load_settings(flags={}, environment=container_environment() | variables(), config_file=file)


def test_the_settings_are_those_of_the_file_and_of_the_pod(settings: Settings) -> None:
    for name, value in tomllib.loads(documents("ConfigMap")[0]["data"]["stagebook.toml"]).items():
        found = getattr(settings, name)
        assert (list(found) if isinstance(found, tuple) else found) == value, name
    assert settings.node_name == "stagebook-cluster-1"
    assert settings.effective_internal_url(port=8081) == "http://192.0.2.10:8081"


def test_the_ports_of_the_pod_are_those_of_the_settings(settings: Settings) -> None:
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    assert settings.rtmps_address is not None
    assert settings.internal_address is not None
    assert ports == {
        "http": settings.address.port,
        "internal": settings.internal_address.port,
        "rtmps": settings.rtmps_address.port,
        "media": settings.media_port,
        "media-tcp": settings.tcp_media_port,
    }


def test_no_service_leads_to_the_port_for_other_nodes() -> None:
    labels = STATEFUL_SET["template"]["metadata"]["labels"]
    for service in documents("Service"):
        assert service["spec"]["selector"] == labels
    targets = {port["targetPort"] for service in documents("Service") for port in service["spec"]["ports"]}
    assert targets == {"http", "rtmps"}


def test_the_first_node_starts_alone_and_two_nodes_share_no_machine() -> None:
    assert STATEFUL_SET["podManagementPolicy"] == "OrderedReady"
    labels = STATEFUL_SET["template"]["metadata"]["labels"]
    (rule,) = POD["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule == {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}}
    assert documents("PodDisruptionBudget")[0]["spec"]["selector"] == {"matchLabels": labels}


def test_the_certificate_is_copied_to_where_the_settings_name_it(settings: Settings) -> None:
    (init,) = POD["initContainers"]
    script = init["command"][-1]
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    for path in (settings.rtmps_certificate, settings.rtmps_private_key):
        assert path is not None
        assert str(Path(path).parent) == mounts["rtmps"]
        assert f"/secrets/rtmps/{Path(path).name}" in script
    assert f"--owner={POD['securityContext']['runAsUser']}" in script
    assert settings.data in script


def test_the_server_has_the_rights_and_probes_of_the_example_of_one() -> None:
    assert CONTAINER["securityContext"] == one_server.CONTAINER["securityContext"]
    assert POD["securityContext"] == one_server.POD["securityContext"]
    assert CONTAINER["resources"] == one_server.CONTAINER["resources"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert CONTAINER[probe]["httpGet"] == one_server.CONTAINER[probe]["httpGet"]
    assert {volume["name"] for volume in POD["volumes"]} | {"data"} >= {
        mount["name"] for mount in (*CONTAINER["volumeMounts"], *POD["initContainers"][0]["volumeMounts"])
    }
