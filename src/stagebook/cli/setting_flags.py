"""The command line flags of settings, and the settings that a command's flags, environment and file give."""

import argparse
import os
from typing import TypeAlias

from stagebook.config.settings import Setting, Settings
from stagebook.config.sources import describe_type, load_settings

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What `add_subparsers` returns. argparse has no public name for its type."""


def add_flag(parser: argparse.ArgumentParser, setting: Setting) -> None:
    """Add the flag of a setting to a command."""
    default = setting.default if setting.default not in (None, (), {}) else "none"
    text = f"{setting.rule.description} {describe_type(setting).capitalize()}; default: {default}."
    parser.add_argument(
        setting.flag,
        dest=f"setting_{setting.name}",
        metavar=setting.rule.unit or "VALUE",
        help=text.replace("%", "%%"),
    )


def read_settings(arguments: argparse.Namespace) -> Settings:
    """Return the settings of a command. Raises ConfigError."""
    prefix = "setting_"
    flags = {name: value for name, value in vars(arguments).items() if name.startswith(prefix) and value is not None}
    return load_settings(
        flags={name.removeprefix(prefix): value for name, value in flags.items()},
        environment=os.environ,
        config_file=arguments.config,
    )
