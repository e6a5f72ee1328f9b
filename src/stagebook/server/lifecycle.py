"""The lifecycle of the server process: start, signals, shutdown and exit code.

    start:     data folder -> lock -> secrets -> listen sockets -> book
               -> engine processes and stage manager (recovery), side by side -> ingest processes -> HTTP
    shutdown:  refuse new requests -> wait for requests in progress -> the stage manager ends every session
               -> event streams -> HTTP -> ingest processes -> engine processes -> history processes -> book
               -> listen sockets

The first SIGTERM, SIGINT or SIGHUP starts a clean shutdown. A second one ends the process at once; the recovery of the
next start then ends the sessions that were open. The server also shuts down when the book or the timers of the stage
manager fail.
"""

import asyncio
import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.book.sqlite.book_lock import BookLock
from stagebook.config.rules import ConfigError
from stagebook.config.settings import Settings
from stagebook.data_folder.folder_permissions import PRIVATE_UMASK, DataFolderError
from stagebook.data_folder.secrets import DataFolder
from stagebook.data_folder.testing_mark import claim_folder
from stagebook.media.worker.worker_run import WorkerStartError
from stagebook.server.controlled_parts import ControlledParts
from stagebook.server.listen_sockets import ListenError, ListenSockets, open_listen_sockets
from stagebook.server.logs import configure_logging
from stagebook.server.server_parts import ServerParts
from stagebook.server.server_run import Server
from stagebook.server.server_secrets import ServerSecrets
from stagebook.storage.stores import open_store
from stagebook.webhooks.webhook_tables import WebhookStorageError

if TYPE_CHECKING:
    from stagebook.livekit_history.watched_livekit import WatchedLiveKit

OPEN_FILES_LIMIT = 65_536


class StartError(Exception):
    """The server cannot start on this machine. The message says why and what to do."""


def serve(settings: Settings, *, is_testing: bool = False, watched: "WatchedLiveKit | None" = None) -> int:
    """Run the server until a signal or a failure ends it; return the exit code.

    With `is_testing` it has the testing API. With `watched` it keeps the history of a LiveKit server.

    Raises ConfigError for settings that cannot be used, and StartError if the data folder, the book, a listen address
    or a worker process cannot be used.
    """
    if settings.book == "postgres" and is_testing:
        raise ConfigError(name="book", rule='must be "sqlite" for a server for tests')
    try:
        os.umask(PRIVATE_UMASK)
        folder = DataFolder(Path(settings.data).absolute())
        folder.prepare()
        # The first start generates the secrets. Only one server may do that, so the lock is taken before.
        with BookLock.take(folder.book_path) as lock:
            claim_folder(folder, is_testing=is_testing)
            if settings.book == "postgres":
                _share_secrets(folder, settings)
            secrets = ServerSecrets.read(folder, settings)
            hidden = [*secrets.secret_strings(), *([] if watched is None else [watched.key.secret])]
            configure_logging(level=settings.log_level, form=settings.log_form, secrets=hidden)
            _raise_open_files_limit()
            with open_listen_sockets(settings) as sockets, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(
                    _serve(settings, folder, lock, secrets, sockets, is_testing=is_testing, watched=watched)
                )
    except (
        DataFolderError,
        ListenError,
        BookRefusedError,
        BookFailedError,
        WorkerStartError,
        WebhookStorageError,
    ) as error:
        raise StartError(str(error)) from error


def _share_secrets(folder: DataFolder, settings: Settings) -> None:
    """Make the secrets of the data folder those of the book in the database."""
    try:
        from stagebook.server.cluster.node_parts import share_secrets
    except ImportError as error:
        raise StartError(f'book = "postgres" needs the extra stagebook[postgres]: {error}') from error
    share_secrets(folder, settings)


def _raise_open_files_limit() -> None:
    """Raise the soft limit of open files, as each connection is an open file and many systems default to 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_LIMIT if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_LIMIT)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _serve(
    settings: Settings,
    folder: DataFolder,
    lock: BookLock,
    secrets: ServerSecrets,
    sockets: ListenSockets,
    *,
    is_testing: bool,
    watched: "WatchedLiveKit | None",
) -> int:
    controlled = None
    if is_testing:
        controlled = ControlledParts(store=open_store(settings.object_storage(folder.recordings_path)))
    async with ServerParts(
        settings,
        folder=folder,
        lock=lock,
        secrets=secrets,
        sockets=sockets,
        controlled=controlled,
        watched=watched,
    ) as parts:
        return await Server(parts).run()
