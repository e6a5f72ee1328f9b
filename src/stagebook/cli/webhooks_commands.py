"""`stagebook webhooks ...`: webhook destinations, what was delivered to them, and replays.

The commands work on the data folder, or on the database of the settings, whether a server is running on it or not. A
running server notices a change within a second.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from stagebook.api.watch.webhooks.webhook_documents import (
    DeadLetterDocument,
    DeliveryDocument,
    WebhookDocument,
    dead_letter_document,
    delivery_document,
    webhook_document,
)
from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.cli.books.shared_places import shared_database, shared_secrets
from stagebook.cli.exit_codes import EXIT_FAILED, EXIT_OK, CommandFailedError
from stagebook.cli.setting_flags import Commands, add_flag, read_settings
from stagebook.cli.terminal.terminal_text import print_columns, printable
from stagebook.config.settings import SETTINGS, Settings
from stagebook.data_folder.secrets import DataFolder
from stagebook.history.event_query import EVENT_LOG_NAMES
from stagebook.server.system_clock import SystemRandomness
from stagebook.server.webhook_wiring import webhook_service
from stagebook.stage.errors import StagebookError
from stagebook.webhooks.delivery.delivery_schedule import DeliveryState
from stagebook.webhooks.destination import DeliveryFormat, DestinationKind
from stagebook.webhooks.webhook_service import (
    KEPT_SECRET_SECONDS,
    MAXIMUM_KEPT_SECRET_SECONDS,
    START_NOW,
    NewDestination,
    ReplayRequest,
    WebhookService,
)
from stagebook.webhooks.webhook_tables import WebhookStorageError

MAXIMUM_LIMIT = 10_000
TEST_SECONDS = 20.0
"""How long `test` waits for the outcome."""
POLL_SECONDS = 0.1
_Parser = argparse.ArgumentParser


class _Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a command works on."""

    arguments: argparse.Namespace
    service: WebhookService
    account_id: str

    @property
    def webhook_id(self) -> str:
        """The destination that the command line names."""
        return str(self.arguments.webhook_id)


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    webhooks = commands.add_parser("webhooks", help="webhook destinations, their deliveries, and replays")
    actions = webhooks.add_subparsers(required=True, metavar="ACTION")

    def add(name: str, run: Callable[[_Context], int], text: str, *, names_one: bool = True) -> _Parser:
        parser = actions.add_parser(name, help=text)
        if names_one:
            parser.add_argument("webhook_id", metavar="ID", help="the id in the list")
        parser.add_argument("--account", metavar="ID", help="account; default: that of the server's access key")
        parser.add_argument("--config", type=Path, metavar="FILE", help="the TOML file the server was started with")
        add_flag(parser, SETTINGS["data"])
        parser.set_defaults(run=lambda arguments: _run(arguments, run))
        return parser

    def add_list(name: str, run: Callable[[_Context], int], text: str, *, names_one: bool = True) -> None:
        parser = add(name, run, text, names_one=names_one)
        parser.add_argument("--output", choices=("text", "json"), default="text", help="default: text")
        if names_one:
            parser.add_argument("--limit", type=_limit, default=50, help="how many are shown; default: 50")

    add_list("list", _list, "list the destinations", names_one=False)
    add("show", _show, "show a destination as JSON")
    _add_options(add("add", _add, "make a destination and print its secret", names_one=False))
    add("remove", _remove, "remove a destination and its history")
    rotate = add("rotate-secret", _rotate, "replace the secret and print the new one")
    rotate.add_argument("--keep-previous-seconds", type=_kept_seconds, default=KEPT_SECRET_SECONDS, metavar="SECONDS")
    enable = add("enable", _enable, "continue the deliveries where they stopped")
    enable.add_argument("--start-at", metavar="WHERE", help="continue at now, an event id, or a time instead")
    add("disable", _disable, "stop the deliveries; events wait in the book")
    add_list("deliveries", _deliveries, "show what was delivered, newest first")
    add_list("dead-letters", _dead_letters, "show the events that were given up, oldest first")
    replay = add("replay", _replay, "deliver events again")
    replay.add_argument("--start-at", metavar="WHERE", help="an event id, or a time such as 2026-11-28T18:00:00Z")
    replay.add_argument("--dead-letters", action="store_true", help="the events that were given up")
    replay.add_argument("--session", metavar="ID", help="only of this stage session")
    add("test", _test, "deliver a test event and wait for its outcome")


def _add_options(parser: _Parser) -> None:
    parser.add_argument("target", metavar="TARGET", help="URL, bus name, topic ARN or queue URL")
    parser.add_argument(
        "--kind", choices=[each.value for each in DestinationKind], default="http", help="default: http"
    )
    parser.add_argument(
        "--format", choices=[each.value for each in DeliveryFormat], default="eventbridge", help="default: eventbridge"
    )
    parser.add_argument("--name", help="what lists call it")
    parser.add_argument("--secret", help="a whsec_ secret; default: a new one")
    parser.add_argument("--region", help="region of an AWS service")
    parser.add_argument("--endpoint-url", metavar="URL", help="endpoint of an AWS service")
    parser.add_argument(
        "--start-at", metavar="WHERE", default=START_NOW, help="now, an event id, or a time; default: now"
    )
    events = parser.add_argument_group("filter")
    for member in ("stage", "session", "participant", "user", "error", "cause"):
        events.add_argument(f"--{member}", metavar="VALUE", help=f"only events with this {member}")
    events.add_argument(
        "--event", action="append", choices=EVENT_LOG_NAMES, default=[], metavar="NAME", help="may be repeated"
    )


def _run(arguments: argparse.Namespace, run: Callable[[_Context], int]) -> int:
    settings = read_settings(arguments)
    try:
        service, account_id = _service(settings)
        return run(_Context(arguments=arguments, service=service, account_id=arguments.account or account_id))
    except (StagebookError, WebhookStorageError, BookRefusedError, BookFailedError) as error:
        raise CommandFailedError(str(error)) from error


def _service(settings: Settings) -> tuple[WebhookService, str]:
    """Return the operations on the webhooks of the settings, and the account of the server's access key."""
    source = shared_database(settings)
    if source is not None:
        folder = DataFolder(Path(settings.data).absolute())
        account_id, secret = shared_secrets(source, folder)
        return webhook_service(folder, source, secret=secret), account_id
    folder = _folder(settings)
    secret = folder.webhook_secret(randomness=SystemRandomness())
    service = webhook_service(folder, folder.book_path, secret=secret)
    return service, folder.account_id() or settings.account_id


def _folder(settings: Settings) -> DataFolder:
    folder = DataFolder(Path(settings.data).absolute())
    if not folder.path.is_dir():
        raise CommandFailedError(
            f"there is no data folder {folder.path}: start a server, or name another folder with --data"
        )
    return folder


def _list(context: _Context) -> int:
    with context.service.open_store() as store:
        backlogs = store.backlogs()
        found = store.list_destinations(context.account_id)
    documents = [webhook_document(each, backlog=backlogs.get(each.destination_id)) for each in found]
    if context.arguments.output == "json":
        return _print_json(documents)
    header = ("ID", "KIND", "FORMAT", "STATE", "PENDING", "DEAD", "TARGET")
    print_columns([header, *map(_webhook_row, documents)])
    return EXIT_OK


def _webhook_row(webhook: WebhookDocument) -> Sequence[str]:
    backlog = webhook.backlog
    pending = "-" if backlog is None else f"{backlog.pending_events}{'' if backlog.is_complete else '+'}"
    dead = "-" if backlog is None else str(backlog.dead_letters)
    state = "enabled" if webhook.enabled else "disabled"
    return (webhook.id, webhook.kind.value, webhook.format.value, state, pending, dead, webhook.target)


def _show(context: _Context) -> int:
    with context.service.open_store() as store:
        destination = store.get_destination(context.account_id, context.webhook_id)
        return _print_json(webhook_document(destination, backlog=store.backlogs().get(context.webhook_id)))


def _add(context: _Context) -> int:
    arguments = context.arguments
    members = {name: getattr(arguments, name) for name in ("stage", "session", "participant", "user", "error", "cause")}
    try:
        new = msgspec.convert(
            {
                "target": arguments.target,
                "kind": arguments.kind,
                "format": arguments.format,
                "filter": {"name": arguments.event, **{key: value for key, value in members.items() if value}},
                "name": arguments.name,
                "secret": arguments.secret,
                "region": arguments.region,
                "endpointUrl": arguments.endpoint_url,
                "startAt": arguments.start_at,
            },
            NewDestination,
        )
    except msgspec.ValidationError as error:
        raise CommandFailedError(str(error)) from error
    made = context.service.create(context.account_id, new)
    return _print_json(webhook_document(made, shows_secret=True))


def _remove(context: _Context) -> int:
    context.service.remove(context.account_id, context.webhook_id)
    print(f"{context.webhook_id} is removed")
    return EXIT_OK


def _rotate(context: _Context) -> int:
    seconds: int = context.arguments.keep_previous_seconds
    changed = context.service.rotate_secret(context.account_id, context.webhook_id, keep_seconds=seconds)
    return _print_json(webhook_document(changed, shows_secret=True))


def _kept_seconds(text: str) -> int:
    if not text.isdecimal() or int(text) > MAXIMUM_KEPT_SECRET_SECONDS:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {MAXIMUM_KEPT_SECRET_SECONDS}")
    return int(text)


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAXIMUM_LIMIT:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {MAXIMUM_LIMIT}")
    return int(text)


def _enable(context: _Context) -> int:
    context.service.enable(context.account_id, context.webhook_id, start_at=context.arguments.start_at)
    print(f"{context.webhook_id} is enabled")
    return EXIT_OK


def _disable(context: _Context) -> int:
    context.service.disable(context.account_id, context.webhook_id)
    print(f"{context.webhook_id} is disabled")
    return EXIT_OK


def _deliveries(context: _Context) -> int:
    with context.service.open_store() as store:
        store.get_destination(context.account_id, context.webhook_id)
        found = store.deliveries(context.webhook_id, before=None, limit=context.arguments.limit)
    documents = [delivery_document(each) for each in found]
    if context.arguments.output == "json":
        return _print_json(documents)
    header = ("LAST ATTEMPT", "EVENT", "NAME", "ORIGIN", "STATE", "ATTEMPTS", "STATUS", "ERROR")
    print_columns([header, *map(_delivery_row, documents)])
    return EXIT_OK


def _delivery_row(each: DeliveryDocument) -> Sequence[str]:
    status = "" if each.status is None else str(each.status)
    attempts = str(each.attempts)
    return (each.last_attempt_at, each.event_id, each.name, each.origin, each.state, attempts, status, each.error or "")


def _dead_letters(context: _Context) -> int:
    with context.service.open_store() as store:
        store.get_destination(context.account_id, context.webhook_id)
        found = store.dead_letters(context.webhook_id, after=0, limit=context.arguments.limit)
    documents = [dead_letter_document(each) for each in found]
    if context.arguments.output == "json":
        return _print_json(documents)
    print_columns([("GIVEN UP", "EVENT", "NAME", "SESSION", "ATTEMPTS", "ERROR"), *map(_dead_row, documents)])
    return EXIT_OK


def _dead_row(each: DeadLetterDocument) -> Sequence[str]:
    return (each.given_up_at, each.event_id, each.name, each.session_id, str(each.attempts), each.error)


def _replay(context: _Context) -> int:
    arguments = context.arguments
    request = ReplayRequest(start_at=arguments.start_at, dead_letters=arguments.dead_letters, session=arguments.session)
    count = context.service.replay(context.account_id, context.webhook_id, request)
    print("the replay is queued" if count is None else f"{count} dead letters are queued")
    return EXIT_OK


def _test(context: _Context) -> int:
    event_id = context.service.send_test(context.account_id, context.webhook_id)
    deadline = time.monotonic() + TEST_SECONDS
    while time.monotonic() < deadline:
        with context.service.open_store() as store:
            found = store.find_delivery(context.webhook_id, event_id)
        if found is not None:
            is_delivered = found.state == DeliveryState.DELIVERED
            status = "" if found.status is None else f" with status {found.status}"
            print(f"delivered{status}" if is_delivered else f"not delivered: {printable(found.error or '')}")
            return EXIT_OK if is_delivered else EXIT_FAILED
        time.sleep(POLL_SECONDS)
    raise CommandFailedError("no server has delivered the test event: it is sent when one runs on this data folder")


def _print_json(value: object) -> int:
    print(msgspec.json.format(msgspec.json.encode(value)).decode())
    return EXIT_OK
