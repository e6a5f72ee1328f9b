"""A node of a cluster: the two ASGI applications around a router, and the directory between them."""

from collections.abc import Callable, Mapping

import msgspec

from stagebook.api.asgi import Application
from stagebook.api.aws.request_ids import RequestIds
from stagebook.cluster.account_owner import AccountDirectory, LocalAccounts
from stagebook.cluster.directory import OwnerDirectory
from stagebook.cluster.encoder_routing import EncoderRouting, RoutedEncoders
from stagebook.cluster.forwarding.forwarding_application import ForwardingApplication, ForwardingCounts
from stagebook.cluster.forwarding.forwarding_seal import ForwardingSeal
from stagebook.cluster.forwarding.internal_application import InternalApplication
from stagebook.cluster.owner_search import OwnerSearch
from stagebook.cluster.request_account import RequestAccounts
from stagebook.stage.clock import Randomness


class NodeIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """The name of a node, and the secret that it shares with the others."""

    name: str
    cluster_secret: str

    def __repr__(self) -> str:
        return f"NodeIdentity(name={self.name!r})"


class ClusterNode:
    """Serves `application`, the router of this node, as one of several nodes. See the package for its use."""

    def __init__(
        self,
        application: Application,
        *,
        identity: NodeIdentity,
        local: LocalAccounts,
        source: AccountDirectory,
        accounts: RequestAccounts,
        is_known: Callable[[str], bool],
        now_ms: Callable[[], int],
        randomness: Randomness,
        encoders: RoutedEncoders | None = None,
        describe: Callable[[], bytes] | None = None,
    ) -> None:
        """`source` reads the owners of all accounts, `local` is what this node owns.

        `is_known` returns whether an account is one of this server's access keys or bearer keys. `now_ms` is the
        machine's clock, in milliseconds since the epoch. `encoders` are the ingest processes, None without RTMP.
        `describe` returns the state of this node as JSON, for other nodes and the command line.
        """
        seal = ForwardingSeal(identity.cluster_secret, now_ms=now_ms)
        self._directory = OwnerDirectory(source, on_refreshed=self._on_refreshed)
        search = OwnerSearch(local, self._directory, is_known=is_known)
        self._forwarding = ForwardingApplication(
            application,
            accounts=accounts,
            search=search,
            seal=seal,
            node=identity.name,
            request_ids=RequestIds(randomness),
        )
        self._routing = None
        if encoders is not None:
            self._routing = EncoderRouting(encoders, search=search, local=local, seal=seal, node=identity.name)
        take_encoder = None if self._routing is None else self._routing.take
        self._internal = InternalApplication(
            application, local=local, seal=seal, take_encoder=take_encoder, describe=describe
        )

    @property
    def application(self) -> Application:
        """The application of the server for clients."""
        return self._forwarding

    @property
    def internal_application(self) -> Application:
        """The application of the server for the other nodes."""
        return self._internal

    @property
    def counts(self) -> ForwardingCounts:
        """What was sent on to other nodes."""
        return self._forwarding.counts

    @property
    def refused(self) -> Mapping[str, int]:
        """The requests of other nodes that were refused: not signed by a node, or for accounts of another run."""
        return {"unsigned": self._internal.refused, "not_owner": self._internal.misdirected}

    async def start(self) -> None:
        """Read the directory, and keep it up to date."""
        await self._directory.start()

    async def drain(self, *, timeout_seconds: float) -> bool:
        """Take and send on no further request, and wait for those in progress; return whether all have ended in time.

        Called where the router is closed: no more connections are accepted, and the open ones are not closed yet.
        """
        self._internal.close()
        return await self._forwarding.drain(timeout_seconds=timeout_seconds)

    async def stop(self) -> None:
        """End the connections to the other nodes. Called when no client is connected any more."""
        await self._directory.stop()
        self._forwarding.close()

    def note_owners_changed(self) -> None:
        """Refresh the directory soon, as a notification of the database says."""
        self._directory.note_changed()

    def _on_refreshed(self, alive: frozenset[int], replaced: frozenset[int]) -> None:
        self._forwarding.forget_runs(alive, replaced=replaced)
