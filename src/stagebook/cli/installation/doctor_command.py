"""`stagebook doctor`: what is wrong with this machine for a server with these settings, and what to do about it.

It takes the flags of `stagebook serve`. It changes nothing, and a server may run meanwhile. The exit code is 1 if there
is an error.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from stagebook.cli.exit_codes import EXIT_FAILED, EXIT_OK
from stagebook.cli.setting_flags import Commands, add_flag, read_settings
from stagebook.config.rules import ConfigError
from stagebook.config.settings import SECRET_SETTINGS, SETTINGS
from stagebook.config.sources import CONFIG_VARIABLE

if TYPE_CHECKING:
    from stagebook.diagnosis.finding import Finding


def add_commands(commands: Commands) -> None:
    """Add the command of this module."""
    doctor = commands.add_parser(
        "doctor",
        help="say what is wrong with ports, clock, certificates, permissions, UDP and settings",
        description="Takes the flags of `stagebook serve`. Exit code 1 means that there is an error.",
        allow_abbrev=False,
    )
    doctor.add_argument("--format", choices=("table", "json"), default="table", help="default: %(default)s")
    doctor.add_argument("--config", type=Path, metavar="FILE", help="the TOML file of the server")
    for setting in SETTINGS.values():
        if setting.name not in SECRET_SETTINGS:
            add_flag(doctor, setting)
    doctor.set_defaults(run=_doctor)


def _doctor(arguments: argparse.Namespace) -> int:
    # Imported late: the checks load most of the server.
    from stagebook.cli.installation.doctor_table import print_findings, print_json
    from stagebook.diagnosis.finding import is_healthy

    findings = _findings(arguments)
    (print_json if arguments.format == "json" else print_findings)(findings)
    return EXIT_OK if is_healthy(findings) else EXIT_FAILED


def _findings(arguments: argparse.Namespace) -> "list[Finding]":
    try:
        from stagebook.diagnosis.diagnose import diagnose, diagnose_without_settings
    except ImportError:
        # A library that the server needs cannot be loaded: the others say which.
        from stagebook.diagnosis.library_checks import judge_libraries
        from stagebook.diagnosis.library_versions import read_library_versions

        return list(judge_libraries(read_library_versions()))
    file = arguments.config or os.environ.get(CONFIG_VARIABLE)
    try:
        return diagnose(read_settings(arguments), settings_file=Path(file) if file else None)
    except ConfigError as error:
        return diagnose_without_settings(error)
