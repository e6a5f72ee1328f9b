"""`stagebook events list`, `tail`, `timeline`, `export` and `import`: the events of the book in a data folder.

They need no server. The modules that do the work are imported late: the server needs none of their libraries.
"""

import argparse

from stagebook.cli.events.event_flags import add_book_flags, add_filter_flags, positive
from stagebook.cli.setting_flags import Commands

DEFAULT_LIMIT = 50
DEFAULT_TAIL = 10
EXPORT_FORMATS = ("jsonl", "csv", "parquet")


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    events = commands.add_parser("events", help="list, follow, draw, export and import the events of the book")
    actions = events.add_subparsers(required=True, metavar="ACTION")

    show = actions.add_parser("list", help="list events, the newest first")
    add_filter_flags(show)
    show.add_argument("--limit", type=positive, default=DEFAULT_LIMIT, metavar="N", help="default: %(default)s")
    show.add_argument("--order", choices=("desc", "asc"), default="desc", help="newest or oldest first; default: desc")
    show.set_defaults(run=_list)

    tail = actions.add_parser("tail", help="show events as they happen, until Ctrl-C")
    add_filter_flags(tail)
    tail.add_argument(
        "--limit",
        type=positive,
        default=DEFAULT_TAIL,
        metavar="N",
        help="earlier events, of the last hour or since --since; default: 10",
    )
    tail.set_defaults(run=_tail)

    timeline = actions.add_parser("timeline", help="draw the participants of a session over time")
    timeline.add_argument("--session", required=True, metavar="ID", help="the session")
    timeline.add_argument("--participant", metavar="ID", help="this participant only")
    timeline.add_argument("--user", metavar="ID", help="the participants with this user id only")
    timeline.add_argument("--limit", type=positive, default=DEFAULT_LIMIT, metavar="N", help="lanes; default: 50")
    timeline.set_defaults(run=_timeline)

    for command in (show, tail):
        command.add_argument("--output", choices=("table", "json"), default="table", help="json: JSON Lines")
    export = _add_export(actions)
    for command in (show, tail, timeline, export, _add_import(actions)):
        add_book_flags(command)


def _add_export(actions: Commands) -> argparse.ArgumentParser:
    export = actions.add_parser("export", help="write events to a file as JSON Lines, CSV or Parquet")
    add_filter_flags(export)
    export.add_argument("--format", choices=EXPORT_FORMATS, default="jsonl", help="default: %(default)s")
    export.add_argument("--output", required=True, metavar="FILE", help="the file, or - for standard output")
    export.add_argument("--gzip", action="store_true", help="compress jsonl or csv")
    export.set_defaults(run=_export)
    return export


def _add_import(actions: Commands) -> argparse.ArgumentParser:
    command = actions.add_parser("import", help="fill a book with the events of an export or of the AWS CLI")
    command.add_argument("files", nargs="+", metavar="FILE", help="a file, also compressed; - for standard input")
    command.add_argument("--stage-arn", metavar="ARN", help="the stage of what the AWS CLI has printed")
    command.add_argument("--session-id", metavar="ID", help="the session of what the AWS CLI has printed")
    command.add_argument("--dry-run", action="store_true", help="check the files and change nothing")
    command.add_argument("--testing", action="store_true", help="make the data folder one for `serve --testing`")
    command.set_defaults(run=_import)
    return command


def _list(arguments: argparse.Namespace) -> int:
    from stagebook.cli.events.event_views import list_events

    return list_events(arguments)


def _tail(arguments: argparse.Namespace) -> int:
    from stagebook.cli.events.event_views import tail_events

    return tail_events(arguments)


def _timeline(arguments: argparse.Namespace) -> int:
    from stagebook.cli.events.event_views import draw_timeline

    return draw_timeline(arguments)


def _export(arguments: argparse.Namespace) -> int:
    from stagebook.cli.events.event_export import export_events

    return export_events(arguments)


def _import(arguments: argparse.Namespace) -> int:
    from stagebook.cli.books.event_import import import_events

    return import_events(arguments)
