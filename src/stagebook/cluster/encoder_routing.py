"""RTMP at any node: an encoder is served by the owner of the account that its stream key names.

The ingest process of the node that the encoder reached asks about the key, as it always does (IngestAsked). If another
node owns the account, the process relays the connection there (`media.ingest.encoder_relay`): to the owner's internal
server, with a request that this node has signed. The owner's internal server gives the connection to an ingest process
of its own. So the media goes through both nodes, once.
"""

import asyncio
import base64
import os
import socket
from collections import OrderedDict
from typing import Final, Protocol, cast

from stagebook.api.asgi import HAND_OVER_EXTENSION, Scope, TakenConnection
from stagebook.cluster.account_owner import AccountOwner, LocalAccounts
from stagebook.cluster.forwarding.forwarded_head import request_head
from stagebook.cluster.forwarding.forwarding_seal import ForwardedFacts, ForwardingSeal
from stagebook.cluster.forwarding.internal_application import ENCODER_PATH
from stagebook.cluster.forwarding.owner_connections import OwnerUnreachableError, address_of
from stagebook.cluster.owner_search import NoOwnerError, OwnerSearch
from stagebook.media.ingest.encoder_relay import RelayTarget
from stagebook.media.ingest.processes.ingest_pool import RouteEncoder
from stagebook.media.port import SERVER_FAULT, IngestAsked
from stagebook.stage.stream_keys import configuration_of_stream_key

SECURE, INSECURE = "rtmps", "rtmp"
"""The scheme of a relayed connection."""
REMEMBERED: Final = 1_000
_SWITCHING: Final = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"


class RoutedEncoders(Protocol):
    """The ingest processes of this node (`media.ingest.processes.ingest_pool`)."""

    def route_by(self, route: RouteEncoder) -> None: ...
    def serve_here(self, asked: IngestAsked) -> None: ...
    def relay(self, target: RelayTarget, *, ask_id: str) -> None: ...
    def refuse(self, *, ask_id: str, detail: str, is_wrong_key: bool) -> None: ...
    def take_relayed(self, connection: socket.socket, *, address: str, is_secure: bool) -> None: ...


class EncoderRouting:
    """Decides which node serves each encoder of `encoders`. `node` is the name of this node."""

    def __init__(
        self, encoders: RoutedEncoders, *, search: OwnerSearch, local: LocalAccounts, seal: ForwardingSeal, node: str
    ) -> None:
        self._encoders = encoders
        self._search = search
        self._local = local
        self._seal = seal
        self._node = node
        self._tasks: set[asyncio.Task[None]] = set()
        self._sent_to: OrderedDict[str, int] = OrderedDict()
        """The run to which an encoder was sent, by ask id. One that asks again was not taken there."""
        self.relayed = 0
        """Encoders that were sent to another node."""
        encoders.route_by(self.route)

    def route(self, asked: IngestAsked, *, is_relayed: bool) -> bool:
        """As RouteEncoder."""
        configuration = configuration_of_stream_key(asked.stream_key)
        account_id = "" if configuration is None else configuration.account_id
        if self._local.owns(account_id) or not self._search.exists(account_id):
            return False
        if is_relayed:
            # One hop: the sender has looked for the owner, and an encoder that connects again finds the next one.
            self._refuse(asked)
            return True
        task = asyncio.create_task(self._send_on(asked, account_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _send_on(self, asked: IngestAsked, account_id: str) -> None:
        deadline = self._search.deadline()
        refused_by = self._sent_to.pop(asked.ask_id, None)
        try:
            if refused_by is None:
                owner = await self._search.find(account_id, deadline=deadline)
            else:
                owner = await self._search.wait(account_id, deadline=deadline, refused_by=refused_by)
        except NoOwnerError:
            self._refuse(asked)
            return
        if owner is None:
            self._encoders.serve_here(asked)
            return
        try:
            target = self._target(asked, account_id, owner)
        except OwnerUnreachableError:
            self._refuse(asked)
            return
        self._sent_to[asked.ask_id] = owner.run_id
        if len(self._sent_to) > REMEMBERED:
            self._sent_to.popitem(last=False)
        self.relayed += 1
        self._encoders.relay(target, ask_id=asked.ask_id)

    def _target(self, asked: IngestAsked, account_id: str, owner: AccountOwner) -> RelayTarget:
        host, port = address_of(owner)
        key = base64.b64encode(os.urandom(16))
        scope: Scope = {
            "type": "websocket",
            "raw_path": ENCODER_PATH.encode(),
            "query_string": b"",
            "scheme": SECURE if asked.is_secure else INSECURE,
            "client": (asked.remote_address, 0),
            "headers": [(b"host", host.encode()), (b"sec-websocket-version", b"13"), (b"sec-websocket-key", key)],
        }
        facts = self._seal.facts(scope, account_id=account_id, run_id=owner.run_id, node=self._node)
        return RelayTarget(host=host, port=port, head=request_head(scope, self._seal.sign(scope, facts)))

    def _refuse(self, asked: IngestAsked) -> None:
        detail = f"{SERVER_FAULT}: no node has the account of this stream key at the moment; try again"
        self._encoders.refuse(ask_id=asked.ask_id, detail=detail, is_wrong_key=False)

    def take(self, scope: Scope, facts: ForwardedFacts) -> None:
        """Give the connection of a verified request at ENCODER_PATH to an ingest process of this node."""
        taker = _SocketTaker()
        scope["extensions"][HAND_OVER_EXTENSION](taker)
        if taker.connection is None:
            return
        # The buffer of a new connection has room for this.
        taker.connection.send(_SWITCHING)
        address = "" if facts.client is None else facts.client[0]
        self._encoders.take_relayed(taker.connection, address=address, is_secure=facts.scheme == SECURE)


class _SocketTaker(TakenConnection):
    """Takes the socket out of the event loop. The sender sends nothing before it is answered, so nothing is lost."""

    def __init__(self) -> None:
        self.connection: socket.socket | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        held = cast("asyncio.Transport", transport)
        self.connection = socket.socket(fileno=os.dup(held.get_extra_info("socket").fileno()))
        held.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name of asyncio
        self.on_lost()

    def shutdown(self) -> None:
        """Do nothing: the event loop's end is closed already."""

    def abort(self) -> None:
        """Do nothing."""
