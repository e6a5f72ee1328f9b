"""`stagebook cluster status`: the nodes of a book, who owns its accounts, and the database.

The module that does the work is imported late: the server needs none of it.
"""

import argparse
import re

from stagebook.cli.events.event_flags import add_book_flags, positive
from stagebook.cli.setting_flags import Commands

_ACCOUNT_ID = re.compile(r"[0-9]{12}")


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    cluster = commands.add_parser("cluster", help="show the nodes that share a book in a PostgreSQL database")
    actions = cluster.add_subparsers(required=True, metavar="ACTION")
    status = actions.add_parser(
        "status",
        help="show nodes, accounts and the database",
        description="Exit code 0 means that every account is owned by a node that lives, or is free.",
    )
    status.add_argument("--account", type=_account_id, metavar="ID", help="only this account")
    status.add_argument(
        "--limit", type=positive, default=50, metavar="NUMBER", help="accounts that are listed; default: %(default)s"
    )
    status.add_argument("--format", choices=("table", "json"), default="table", help="default: %(default)s")
    status.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    add_book_flags(status)
    status.set_defaults(run=_status)


def _account_id(text: str) -> str:
    if not _ACCOUNT_ID.fullmatch(text):
        raise argparse.ArgumentTypeError("must be an account id, 12 digits")
    return text


def _status(arguments: argparse.Namespace) -> int:
    from stagebook.cli.cluster.status_output import print_status

    return print_status(arguments)
