"""`stagebook doctor`: its exit code, its table and its JSON, before, during and after a run of a server."""

import json
import socket
from pathlib import Path
from typing import Any

from stagebook.config.settings import SECRET_SETTINGS, SETTINGS
from tests.serving import FREE_PORTS, ServerProcess, run_command


def doctor(data: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the command with free ports; return its exit code and its JSON document."""
    ended = run_command("doctor", "--format", "json", "--data", str(data), *FREE_PORTS, *arguments)
    assert ended.stderr == ""
    return ended.returncode, json.loads(ended.stdout)


def findings_of(document: dict[str, Any], check: str) -> dict[str, dict[str, str]]:
    return {finding["subject"]: finding for finding in document["findings"] if finding["check"] == check}


def test_a_machine_without_a_server_is_healthy(tmp_path: Path) -> None:
    code, document = doctor(tmp_path / "data")
    assert (code, document["isHealthy"]) == (0, True)
    assert {finding["check"] for finding in document["findings"]} == {
        "clock",
        "data folder",
        "libraries",
        "ports",
        "resources",
        "server",
        "settings",
        "storage",
        "udp",
    }
    assert not (tmp_path / "data").exists()


def test_a_running_server_is_found_with_its_ports_and_its_book(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        port = server.url.rpartition(":")[2]
        code, document = doctor(tmp_path / "data", f"--listen=127.0.0.1:{port}")
        assert server.is_running()
    assert code == 0
    assert f"process {server.process_id} serves {server.url}" in findings_of(document, "server")["server"]["found"]
    (listen,) = (finding for subject, finding in findings_of(document, "ports").items() if subject.startswith("listen"))
    assert listen["found"] == f"used by the server of this data folder (process {server.process_id})"
    (certificate,) = findings_of(document, "certificate").values()
    assert "localhost" in certificate["found"]


def test_a_table_names_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = run_command("doctor", "--data", str(tmp_path / "data"), *FREE_PORTS, f"--listen=127.0.0.1:{port}")
    assert ended.returncode == 1
    assert f"listen 127.0.0.1:{port} TCP" in ended.stdout
    assert "This means: the server does not start" in ended.stdout
    assert "To do: end that process" in ended.stdout
    assert ended.stdout.splitlines()[-1].startswith("1 error")


def test_a_refused_setting_is_a_finding(tmp_path: Path) -> None:
    ended = run_command("doctor", "--format", "json", "--data", str(tmp_path), STAGEBOOK_MEDIA_PORT="x")
    assert ended.returncode == 1
    refused = findings_of(json.loads(ended.stdout), "settings")["refused"]
    assert "media_port" in refused["found"]


def test_it_takes_the_flags_of_the_server() -> None:
    words = run_command("doctor", "--help").stdout.split()
    assert [setting.flag for setting in SETTINGS.values() if setting.flag not in words] == [
        SETTINGS[name].flag for name in SETTINGS if name in SECRET_SETTINGS
    ]
