"""The unit file is accepted by systemd, and starts the server with valid arguments."""

import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from stagebook.cli.command_line import parser_of_commands
from tests.contrib.dockerfile import ROOT

UNIT = ROOT / "contrib" / "systemd" / "stagebook.service"
PROGRAM = "/opt/stagebook/bin/stagebook"


def service() -> dict[str, str]:
    parser = ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names in systemd are case-sensitive
    parser.read(UNIT, encoding="utf-8")
    return dict(parser["Service"])


def test_the_command_has_valid_arguments() -> None:
    program, *arguments = service()["ExecStart"].split()
    assert program == PROGRAM
    parsed = parser_of_commands().parse_args(arguments)
    assert str(parsed.config) == "/etc/stagebook/stagebook.toml"
    assert parsed.setting_data == f"/var/lib/{service()['StateDirectory']}"


def test_the_limits_are_those_of_the_server() -> None:
    from stagebook.server.lifecycle import OPEN_FILES_LIMIT

    assert int(service()["LimitNOFILE"]) == OPEN_FILES_LIMIT
    assert (service()["StateDirectoryMode"], service()["UMask"]) == ("0700", "0077")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd on this machine")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """With a program that exists: systemd checks that, too."""
    unit = tmp_path / "stagebook.service"
    unit.write_text(UNIT.read_text(encoding="utf-8").replace(PROGRAM, "/bin/true"), encoding="utf-8")
    ended = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_documentation_shows_the_file() -> None:
    assert "contrib/systemd/stagebook.service" in (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
