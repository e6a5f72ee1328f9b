"""`stagebook book copy` and `compare`: a book moves to another store, and two books are compared row by row.

The module that does the work is imported late: the server needs none of it.
"""

import argparse
from pathlib import Path

from stagebook.cli.setting_flags import Commands

_PLACES = "a data folder, sqlite:PATH, postgresql://..., or postgres: for the database_url of the settings"


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    book = commands.add_parser("book", help="copy a book to another store, and compare two books")
    actions = book.add_subparsers(required=True, metavar="ACTION")
    copy = actions.add_parser("copy", help="copy a whole book to an empty place, and compare every row")
    compare = actions.add_parser("compare", help="compare every row of two books")
    for command, run in ((copy, _copy), (compare, _compare)):
        command.add_argument("--from", dest="source", required=True, metavar="PLACE", help=_PLACES)
        command.add_argument("--to", dest="target", required=True, metavar="PLACE", help="as --from")
        command.add_argument(
            "--while-running", action="store_true", help="read a book that servers use, as it is at one moment"
        )
        command.add_argument("--format", choices=("text", "json"), default="text", help="default: %(default)s")
        command.add_argument("--config", type=Path, metavar="FILE", help="the TOML file with database_url")
        command.set_defaults(run=run)


def _copy(arguments: argparse.Namespace) -> int:
    from stagebook.cli.books.copy_output import copy_book

    return copy_book(arguments)


def _compare(arguments: argparse.Namespace) -> int:
    from stagebook.cli.books.copy_output import compare_two_books

    return compare_two_books(arguments)
