"""`stagebook sessions list` and `show`: the sessions of the book in a data folder.

They need no server. The module that does the work is imported late: the server needs none of its libraries.
"""

import argparse

from stagebook.cli.events.event_flags import add_book_flags, add_time_flags, positive
from stagebook.cli.setting_flags import Commands

DEFAULT_LIMIT = 50
DEFAULT_PARTICIPANTS = 100


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    sessions = commands.add_parser("sessions", help="list sessions, and show who was there and how long")
    actions = sessions.add_subparsers(required=True, metavar="ACTION")

    show_all = actions.add_parser("list", help="list sessions, the newest first")
    show_all.add_argument("--stage", metavar="ARN", help="sessions of the stage with this ARN or id")
    show_all.add_argument("--user", metavar="ID", help="sessions in which this user took part")
    show_all.add_argument("--state", choices=("open", "ended"), help="only open, or only ended sessions")
    add_time_flags(show_all)
    show_all.add_argument("--limit", type=positive, default=DEFAULT_LIMIT, metavar="N", help="default: %(default)s")
    show_all.add_argument("--output", choices=("table", "json"), default="table", help="json: JSON Lines")
    show_all.set_defaults(run=_list)

    show = actions.add_parser("show", help="show the totals and the participants of a session")
    show.add_argument("session", metavar="SESSION", help="the id of the session")
    show.add_argument("--participant", metavar="ID", help="this participant only")
    show.add_argument("--user", metavar="ID", help="the participants with this user id only")
    show.add_argument(
        "--limit", type=positive, default=DEFAULT_PARTICIPANTS, metavar="N", help="rows of the table; default: 100"
    )
    show.add_argument(
        "--output",
        choices=("table", "json", "csv"),
        default="table",
        help="json: the totals, then a line for each participant; csv: the attendance sheet",
    )
    show.set_defaults(run=_show)
    for command in (show_all, show):
        add_book_flags(command)


def _list(arguments: argparse.Namespace) -> int:
    from stagebook.cli.session_views import list_sessions

    return list_sessions(arguments)


def _show(arguments: argparse.Namespace) -> int:
    from stagebook.cli.session_views import show_session

    return show_session(arguments)
