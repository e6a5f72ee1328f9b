"""`stagebook compositions list` and `show`: the compositions of the book in a data folder.

They need no server. The module that does the work is imported late: the server needs none of its libraries.
"""

import argparse

from stagebook.cli.events.event_flags import add_book_flags, positive
from stagebook.cli.setting_flags import Commands

DEFAULT_LIMIT = 50
DEFAULT_EVENTS = 100


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    compositions = commands.add_parser("compositions", help="list compositions, and show one with its events")
    actions = compositions.add_subparsers(required=True, metavar="ACTION")

    show_all = actions.add_parser("list", help="list running and ended compositions, the newest first")
    show_all.add_argument("--stage", metavar="ARN", help="compositions of the stage with this ARN or id")
    show_all.add_argument(
        "--state", choices=("open", "ended"), help="only those that run, or only those that have ended"
    )
    show_all.add_argument("--configuration", metavar="ARN", help="those that use this encoder or storage configuration")
    show_all.add_argument("--limit", type=positive, default=DEFAULT_LIMIT, metavar="N", help="default: %(default)s")
    show_all.add_argument("--output", choices=("table", "json"), default="table", help="json: JSON Lines")
    show_all.set_defaults(run=_list)

    show = actions.add_parser("show", help="show a composition: destinations, files, layout and events")
    show.add_argument("composition", metavar="COMPOSITION", help="the ARN or the id of the composition")
    show.add_argument(
        "--limit", type=positive, default=DEFAULT_EVENTS, metavar="N", help="events; default: %(default)s"
    )
    show.add_argument(
        "--output",
        choices=("table", "json"),
        default="table",
        help="json: the composition, then a line for each event",
    )
    show.set_defaults(run=_show)
    for command in (show_all, show):
        add_book_flags(command)


def _list(arguments: argparse.Namespace) -> int:
    from stagebook.cli.compositions.composition_views import list_compositions

    return list_compositions(arguments)


def _show(arguments: argparse.Namespace) -> int:
    from stagebook.cli.compositions.composition_views import show_composition

    return show_composition(arguments)
