"""The parts that only a node has: the book in the database, the accounts that it owns, and the reads of its leases.

start:  secrets of the book -> run of the node, book -> stage manager -> leases -> accounts, as they are asked for
end:    in the reverse order; the end of the run lets others take the accounts at once
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from importlib import metadata
from typing import Final

import structlog

from stagebook.api.node_state import DatabaseContactState, MeasuredNode, NodeHealth
from stagebook.book.book_source import DatabaseSource
from stagebook.book.memory.memory_book import MemoryBook
from stagebook.book.postgres.leases.database_contact import DatabaseContact
from stagebook.book.postgres.postgres_book import NodeDescription, PostgresBook
from stagebook.book.postgres.postgres_connection import PostgresConnection, durability_warnings
from stagebook.book.postgres.postgres_readers import open_event_log, open_pool, open_reader
from stagebook.book.postgres.postgres_schema import migrate
from stagebook.book.postgres.postgres_session import place_of
from stagebook.book.postgres.shared_secrets import SharedSecrets
from stagebook.book.tables.followed_logs import ThreadedLog
from stagebook.book.tables.pooled.pooled_pages import PooledPages
from stagebook.book.tables.stream_key_seal import StreamKeySeal
from stagebook.book.tables.table_reader import TableReader
from stagebook.cluster.cluster_node import ClusterNode
from stagebook.cluster.lease_directory import LeaseDirectory
from stagebook.cluster.lease_watch import LeaseWatch
from stagebook.cluster.owned_accounts import OwnedAccounts
from stagebook.config.rules import ConfigError
from stagebook.config.settings import Settings
from stagebook.data_folder.bearer_key_table import BearerKeyTable
from stagebook.data_folder.secret_exchange import exchange_secrets
from stagebook.data_folder.secrets import DataFolder
from stagebook.manager.stage_manager import StageManager
from stagebook.server.cluster.shared_bearer_keys import SharedBearerKeys
from stagebook.server.system_clock import SystemRandomness

_log = structlog.get_logger(__name__)

MANAGER_THREADS: Final = 4
"""Reads of the manager at once, beside those of pages. One account uses half of them."""
OUTAGE_SECONDS: Final = 2.5
"""How long a lease may have passed until the node counts as cut off from the database.

The database of all nodes restarts in less: load balancers then keep the nodes, where requests wait.
"""
FOLDER_STORAGE_DETAIL: Final = (
    'storage = "folder" is a folder of this node: use storage = "s3", or mount the folder of each bucket on all nodes'
)
TAKE_SECONDS: Final = 0.5
"""Between two attempts to take an account that another node owns."""
UNKNOWN_URL: Final = ""
"""The internal URL of a node that other nodes cannot reach."""


def share_secrets(folder: DataFolder, settings: Settings) -> None:
    """Make the secrets of the data folder those of the book. Raises DataFolderError, BookRefusedError, BookFailedError.

    It creates the tables of a new book.
    """
    connection = PostgresConnection(database_url(settings))
    try:
        migrate(connection)
        for warning in durability_warnings(connection):
            _log.warning("acknowledged events are not safe", detail=warning)
        exchange_secrets(
            folder, SharedSecrets(connection), account_id=settings.account_id, randomness=SystemRandomness()
        )
    finally:
        connection.close()


def database_url(settings: Settings) -> str:
    """Return the URL of the database. Raises ConfigError without one, which the check of the settings prevents."""
    if settings.database_url is None:
        raise ConfigError(name="database_url", rule='must be set with book = "postgres"')
    return settings.database_url


class NodeParts:
    """The book of a node in PostgreSQL, and the accounts that its run owns."""

    book: PostgresBook
    decisions: MemoryBook
    pages: PooledPages
    log: ThreadedLog
    leases: LeaseDirectory
    bearer_keys: SharedBearerKeys
    accounts: OwnedAccounts
    watch: LeaseWatch

    def __init__(self, settings: Settings, *, folder: DataFolder, internal_port: int | None) -> None:
        """`internal_port` is the port of the internal listen socket, None without one."""
        self._settings = settings
        self._folder = folder
        self._url = database_url(settings)
        self.source = DatabaseSource(url=self._url)
        internal_url = None if internal_port is None else settings.effective_internal_url(port=internal_port)
        self.description = NodeDescription(
            name=settings.effective_node_name(),
            internal_url=internal_url or UNKNOWN_URL,
            software_version=metadata.version("stagebook"),
        )

    def open(self, parts: AsyncExitStack) -> None:
        """Register the run and open the book. Raises BookRefusedError and BookFailedError."""
        if self._settings.internal_listen is not None and self._settings.storage == "folder":
            _log.warning("each node keeps the recordings that it makes", detail=FOLDER_STORAGE_DETAIL)
        read_secret = partial(self._folder.stream_key_secret, randomness=SystemRandomness())
        seal = StreamKeySeal(read_secret(may_generate=False))
        show = self._settings.deleted_stage_history
        self.book = PostgresBook.open(
            self._url, node=self.description, read_secret=read_secret, show_deleted_history=show
        )
        parts.push_async_callback(self.book.close)
        of_pages = open_pool(self._url, threads=self._settings.database_readers, show_deleted_history=show, seal=seal)
        parts.push_async_callback(of_pages.close)
        self.pages = PooledPages(of_pages)
        # The manager also reads what is deleted: recovery needs that.
        of_manager = open_pool(self._url, threads=MANAGER_THREADS, show_deleted_history=True, seal=seal)
        parts.push_async_callback(of_manager.close)
        self._pools = {"pages": of_pages, "decisions": of_manager}
        self.decisions = MemoryBook(self.book, keys=self.book.loaded_keys, reads=of_manager)
        self.log = ThreadedLog(
            lambda: open_event_log(self._url),
            account_ids=lambda: self.accounts.account_ids,
            durable_sequence=lambda: self.book.durable_sequence,
        )
        parts.push_async_callback(self.log.close)

    def start_accounts(
        self, manager: StageManager, parts: AsyncExitStack, *, end_former_media: Callable[[str], None]
    ) -> None:
        """Take and recover accounts from now on, and read the bearer keys. Raises BookRefusedError, BookFailedError.

        `end_former_media` ends what goes on in media engines for an account that was recovered.
        """

        async def recover(account_id: str) -> None:
            await manager.recover(account_id)
            end_former_media(account_id)

        self.bearer_keys = SharedBearerKeys(BearerKeyTable(self._url))
        self.bearer_keys.start()
        parts.push_async_callback(self.bearer_keys.stop)
        self.leases = LeaseDirectory(self._url)
        parts.push_async_callback(self.leases.close)
        contact = DatabaseContact()
        self.accounts = OwnedAccounts(
            _LoadingBook(self.book, self.decisions),
            recover=recover,
            may_fence=lambda: self.watch.may_fence(),
        )
        self.watch = LeaseWatch(
            self.leases,
            contact,
            accounts=self.accounts,
            chance=random.Random(),  # noqa: S311 - spreads looks and accounts, protects nothing
        )
        self.watch.start()
        parts.push_async_callback(self.stop_taking)

    async def stop_taking(self) -> None:
        """Take no more accounts. Those that are being taken are taken first. Idempotent."""
        await self.watch.stop()
        await self.accounts.stop()

    def open_reader(self, parts: AsyncExitStack) -> TableReader:
        """Return a reader of the book with a connection of its own. Raises BookRefusedError and BookFailedError."""
        reader = open_reader(self._url, show_deleted_history=self._settings.deleted_stage_history, patience_seconds=0)
        parts.callback(reader.close_reading)
        return reader

    async def take_account(self, account_id: str) -> None:
        """Take an account, and wait while another node owns it. Raises BookFailedError."""
        is_logged = False
        while not await self.accounts.acquire(account_id):
            if not is_logged:
                _log.info("another node owns the account: waiting for its end", account_id=account_id)
            is_logged = True
            await asyncio.sleep(TAKE_SECONDS)

    def describe(self) -> str:
        """Return a line for people about the node and its book, without a password."""
        internal = self.description.internal_url
        reached = f"other nodes reach it at {internal}" if internal else "the only one of its database"
        return f"{self.description.name} (run {self.book.run_id}), {reached}; book in {place_of(self._url)}"

    def health(self) -> NodeHealth:
        """Return the state of the node, for load balancers and operators."""
        lease_seconds = self.accounts.owned_before - time.monotonic()
        is_reachable = lease_seconds > -OUTAGE_SECONDS
        return NodeHealth(
            name=self.description.name,
            run_id=self.book.run_id,
            accounts=len(self.accounts.account_ids),
            database=DatabaseContactState.REACHABLE if is_reachable else DatabaseContactState.UNREACHABLE,
            lease_seconds=round(lease_seconds, 3),
            backlog=self.book.backlog,
        )

    def measured(self, cluster: ClusterNode) -> MeasuredNode:
        """Return the state and the counts of the node, for the metrics."""
        counts = cluster.counts
        return MeasuredNode(
            health=self.health(),
            forwarded={"http": counts.requests, "websocket": counts.websockets},
            forwarding_failures={
                "not_owner": counts.misdirected,
                "unreachable": counts.unreachable,
                "lost": counts.lost,
                "without_owner": counts.without_owner,
            },
            refused=cluster.refused,
            taken_accounts={
                "node": self.watch.taken,
                "free": len(self.accounts.account_ids) - self.watch.taken,
            },
            waiting_reads={name: pool.waiting_reads for name, pool in self._pools.items()},
            database_errors={
                "writer": self.book.failures,
                "leases": self.watch.failures,
                **{name: pool.failures for name, pool in self._pools.items()},
            },
        )


class _LoadingBook:
    """Implements `AccountBook`: an account that is taken is loaded into memory."""

    def __init__(self, book: PostgresBook, decisions: MemoryBook) -> None:
        self._book = book
        self._decisions = decisions

    @property
    def run_id(self) -> int:
        """See `AccountBook`."""
        return self._book.run_id

    @property
    def owned_before(self) -> float:
        """See `AccountBook`."""
        return self._book.owned_before

    async def acquire(self, account_id: str, *, may_fence: bool) -> bool:
        """See `AccountBook`."""
        if not await self._book.acquire(account_id, may_fence=may_fence):
            return False
        await self._decisions.load_account(account_id)
        return True
