"""The ASGI application of the internal server: it passes the requests of other nodes to the router of this one.

A request must be signed by a node of the cluster (`forwarding_seal`); any other one is refused with 403. One that is
for another run of this node, or for an account that this node does not own at the moment, is refused with 421, and the
sender looks for the owner again. Both have LINK_HEADER, so that the sender can tell them from responses of the router.
NODE_PATH is answered here: what this run knows of itself, for `stagebook cluster status` and `stagebook doctor`.

The router sees the address and the scheme of the client, not those of the node. Nothing is sent on from here: a request
makes one hop at most.
"""

import time
from collections.abc import Callable
from typing import Final

import structlog

from stagebook.api.asgi import Application, Receive, Scope, Send
from stagebook.api.http_responses import HttpResponse, send_response
from stagebook.cluster.account_owner import LocalAccounts
from stagebook.cluster.forwarding.forwarded_head import LINK_HEADER, NOT_OWNER, REFUSED
from stagebook.cluster.forwarding.forwarding_seal import (
    FORWARDED_HEADER,
    ForwardedFacts,
    ForwardingRefusedError,
    ForwardingSeal,
)
from stagebook.log_rate_limit import LogRateLimit

ENCODER_PATH: Final = "/cluster/v1/encoder"
"""Encoders are relayed here: see `cluster.encoder_routing`."""
NODE_PATH: Final = "/cluster/v1/node"
"""A signed GET here, for this run and without an account, is answered with the state of the node, as JSON."""
_FORBIDDEN: Final = 403
_MISDIRECTED: Final = 421
_log = structlog.get_logger(__name__)


class InternalApplication:
    """The application. `application` is the router of this node."""

    def __init__(
        self,
        application: Application,
        *,
        local: LocalAccounts,
        seal: ForwardingSeal,
        take_encoder: Callable[[Scope, ForwardedFacts], None] | None = None,
        describe: Callable[[], bytes] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`take_encoder` takes the connection of an encoder that another node relays. `describe` returns the state of
        this node as JSON, and must not block."""
        self._describe = describe
        self._take_encoder = take_encoder
        self._application = application
        self._local = local
        self._seal = seal
        self._log_limit = LogRateLimit(clock=monotonic)
        self._is_closed = False
        self.refused = 0
        """Requests that no node has signed."""
        self.misdirected = 0
        """Requests for accounts that this node does not own."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request or websocket of another node."""
        try:
            facts = self._seal.verify(scope)
        except ForwardingRefusedError as error:
            self.refused += 1
            if (more := self._log_limit.admit("refused")) is not None:
                _log.warning("a request on the internal server was refused", reason=str(error), **more)
            await _answer(scope, receive, send, status=_FORBIDDEN, link=REFUSED, message=str(error))
            return
        if scope["path"] == NODE_PATH and facts.run_id == self._local.run_id and self._describe is not None:
            await _answer_json(scope, receive, send, self._describe())
            return
        if self._is_closed or facts.run_id != self._local.run_id or not self._local.owns(facts.account_id):
            self.misdirected += 1
            await _answer(
                scope, receive, send, status=_MISDIRECTED, link=NOT_OWNER, message="this node does not own the account"
            )
            return
        if scope["path"] == ENCODER_PATH and scope["type"] == "websocket" and self._take_encoder is not None:
            self._take_encoder(scope, facts)
            return
        scope["client"] = facts.client
        scope["scheme"] = facts.scheme
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name != FORWARDED_HEADER]
        await self._application(scope, receive, send)

    def close(self) -> None:
        """Serve no further request: a node that stops is not the owner any more, and the sender waits for the next."""
        self._is_closed = True


async def _answer(scope: Scope, receive: Receive, send: Send, *, status: int, link: bytes, message: str) -> None:
    headers = ((b"content-type", b"text/plain; charset=utf-8"), (LINK_HEADER, link))
    body = message.encode()
    if scope["type"] == "http":
        await send_response(send, HttpResponse(status=status, headers=headers, body=body))
        return
    await receive()  # websocket.connect
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "websocket.http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "websocket.http.response.body", "body": body})


async def _answer_json(scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
    if scope["type"] != "http":
        await _answer(scope, receive, send, status=_MISDIRECTED, link=NOT_OWNER, message="this is no websocket")
        return
    await send_response(send, HttpResponse(status=200, headers=((b"content-type", b"application/json"),), body=body))
