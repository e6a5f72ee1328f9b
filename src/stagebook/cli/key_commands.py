"""`stagebook keys create`, `list` and `revoke`: the bearer keys of the watch API.

They work on the data folder, or on the database of the settings, whose keys all nodes share. Running servers notice a
change within a second.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import msgspec

from stagebook.api.routes.api_route import Role
from stagebook.api.watch.access.bearer_key import MAXIMUM_NAME_LENGTH, BearerKey, digest_of, id_of, new_key_text
from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.cli.books.shared_places import shared_database, shared_secrets
from stagebook.cli.exit_codes import EXIT_OK, CommandFailedError
from stagebook.cli.setting_flags import Commands, add_flag, read_settings
from stagebook.cli.terminal.terminal_text import print_columns
from stagebook.config.settings import SETTINGS, Settings
from stagebook.data_folder.bearer_key_file import BearerKeyFile
from stagebook.data_folder.secrets import DataFolder
from stagebook.server.system_clock import SystemClock, SystemRandomness
from stagebook.stage.timestamps import epoch_ms, iso8601

_DURATION = re.compile(r"([1-9][0-9]{0,4})([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    keys = commands.add_parser("keys", help="create, list and revoke the bearer keys of the watch API")
    actions = keys.add_subparsers(required=True, metavar="ACTION")

    create = actions.add_parser("create", help="make a key and print it; it cannot be shown again")
    create.add_argument("--role", required=True, choices=[role.value for role in Role], help="what its holder may do")
    create.add_argument(
        "--account", type=_account_id, metavar="ID", help="account; default: that of the server's access key"
    )
    create.add_argument("--name", type=_name, default="", metavar="TEXT", help="what lists and logs call it")
    create.add_argument(
        "--expires", type=_expiry_ms, metavar="WHEN", help="30d, 12h, 90m, or a time such as 2027-01-31T12:00:00Z"
    )
    create.set_defaults(run=_create)

    show = actions.add_parser("list", help="list the keys, without their secrets")
    show.add_argument("--output", choices=("table", "json"), default="table", help="json: JSON Lines")
    show.set_defaults(run=_list)

    revoke = actions.add_parser("revoke", help="make a key invalid")
    revoke.add_argument("key_id", metavar="ID", help="the id in the list, or the key itself")
    revoke.set_defaults(run=_revoke)

    for command in (create, show, revoke):
        command.add_argument("--config", type=Path, metavar="FILE", help="the TOML file the server was started with")
        add_flag(command, SETTINGS["data"])


def _create(arguments: argparse.Namespace) -> int:
    settings = read_settings(arguments)
    text = new_key_text(SystemRandomness())
    key_id = id_of(text)
    assert key_id is not None, "a new key has the form of a key"  # noqa: S101 - for mypy
    key = BearerKey(
        key_id=key_id,
        digest=digest_of(text),
        role=Role(arguments.role),
        account_id=arguments.account or _own_account(settings),
        name=arguments.name,
        created_ms=SystemClock().now_ms(),
        expires_ms=arguments.expires,
    )
    with _open_keys(settings) as keys:
        keys.add(key)
    print(text)
    return EXIT_OK


def _list(arguments: argparse.Namespace) -> int:
    with _open_keys(read_settings(arguments)) as stored:
        keys = stored.read()
    if arguments.output == "json":
        for key in keys:
            print(msgspec.json.encode(_document(key)).decode())
    else:
        _print_table(keys)
    return EXIT_OK


def _document(key: BearerKey) -> dict[str, object]:
    return {
        "id": key.key_id,
        "role": key.role,
        "accountId": key.account_id,
        "name": key.name,
        "createdAt": iso8601(key.created_ms),
        "expiresAt": None if key.expires_ms is None else iso8601(key.expires_ms),
    }


def _print_table(keys: Sequence[BearerKey]) -> None:
    now_ms = SystemClock().now_ms()
    rows = [("ID", "ROLE", "ACCOUNT", "CREATED", "EXPIRES", "NAME")]
    for key in keys:
        expires = "never" if key.expires_ms is None else iso8601(key.expires_ms)
        expired = "" if key.is_valid_at(now_ms) else " (expired)"
        rows.append((key.key_id, key.role.value, key.account_id, iso8601(key.created_ms), expires + expired, key.name))
    print_columns(rows)


def _revoke(arguments: argparse.Namespace) -> int:
    key_id = id_of(arguments.key_id) or arguments.key_id
    with _open_keys(read_settings(arguments)) as stored:
        is_removed = stored.remove(key_id)
    if not is_removed:
        raise CommandFailedError("there is no such key: `stagebook keys list` shows the ids")
    print(f"{key_id} is revoked")
    return EXIT_OK


class _StoredKeys(Protocol):
    def read(self) -> tuple[BearerKey, ...]:
        """Return all keys."""

    def add(self, key: BearerKey) -> None:
        """Add a key."""

    def remove(self, key_id: str) -> bool:
        """Remove a key; return whether there was one."""


@contextmanager
def _open_keys(settings: Settings) -> Iterator[_StoredKeys]:
    """The keys of the settings: those of the database, or of the data folder."""
    source = shared_database(settings)
    if source is None:
        yield _key_file(settings)
        return
    from stagebook.data_folder.bearer_key_table import BearerKeyTable  # an optional extra

    try:
        with BearerKeyTable(source.url) as table:
            yield table
    except (BookRefusedError, BookFailedError) as error:
        raise CommandFailedError(str(error)) from error


def _own_account(settings: Settings) -> str:
    """Return the account of the access key of the server, or that of the settings before its first start."""
    source, folder = shared_database(settings), DataFolder(Path(settings.data))
    if source is None:
        return DataFolder(_key_file(settings).folder).account_id() or settings.account_id
    try:
        return shared_secrets(source, folder)[0]
    except (BookRefusedError, BookFailedError) as error:
        raise CommandFailedError(str(error)) from error


def _key_file(settings: Settings) -> BearerKeyFile:
    folder = Path(settings.data)
    if not folder.is_dir():
        raise CommandFailedError(
            f"there is no data folder {folder}: start a server, or name another folder with --data"
        )
    return BearerKeyFile(folder)


def _account_id(text: str) -> str:
    if re.fullmatch(r"[0-9]{12}", text) is None:
        raise argparse.ArgumentTypeError("must be 12 digits")
    return text


def _name(text: str) -> str:
    if len(text) > MAXIMUM_NAME_LENGTH or not text.isprintable():
        raise argparse.ArgumentTypeError(f"must have at most {MAXIMUM_NAME_LENGTH} printable characters")
    return text


def _expiry_ms(text: str) -> int:
    """Return the moment that a duration or an ISO 8601 time names, in milliseconds since the epoch."""
    now_ms = SystemClock().now_ms()
    if match := _DURATION.fullmatch(text):
        return now_ms + timedelta(**{_UNITS[match[2]]: int(match[1])}) // timedelta(milliseconds=1)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise argparse.ArgumentTypeError("must be like 30d, 12h or 90m, or a time such as 2027-01-31T12:00:00Z")
    expiry_ms = epoch_ms(moment)
    if expiry_ms <= now_ms:
        raise argparse.ArgumentTypeError("must be in the future")
    return expiry_ms
