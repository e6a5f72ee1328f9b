"""`stagebook check`: reads the whole book of the settings and reports every rule that it breaks."""

import argparse

from stagebook.cli.events.event_flags import add_book_flags
from stagebook.cli.setting_flags import Commands


def add_commands(commands: Commands) -> None:
    """Add the command of this module."""
    check = commands.add_parser("check", help="check the whole book against its rules, also while a server runs")
    check.add_argument("--format", choices=("text", "json"), default="text", help="default: %(default)s")
    add_book_flags(check)
    check.set_defaults(run=_check)


def _check(arguments: argparse.Namespace) -> int:
    from stagebook.cli.books.check_output import check_settings_book

    return check_settings_book(arguments)
