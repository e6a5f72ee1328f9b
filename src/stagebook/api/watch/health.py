"""GET /health: whether the server is serving, for load balancers, container orchestrators and start scripts.

The response is 200 while everything works and 503 while it does not. It needs no authentication. A node of a cluster
works while its run is renewed in the database: a load balancer takes out a node that is cut off from it.
"""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

import msgspec

from stagebook.api.asgi import Header, Receive, Scope, Send
from stagebook.api.http_responses import HttpResponse, send_response
from stagebook.api.node_state import NodeHealth

_HEADERS: tuple[Header, ...] = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))


class ServerStatus(StrEnum):
    """The state of the server as a whole."""

    OK = "ok"
    STOPPING = "stopping"
    NO_DATABASE = "no-database"
    """A node that has not reached the database for longer than a restart of the database takes."""
    FAILED = "failed"


class LiveKitHealth(msgspec.Struct, frozen=True, kw_only=True):
    """What LiveKit answers: `reachable`, `failing` (it answers by errors, as without its Redis) or `unreachable`."""

    state: str
    since: datetime


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the response.

    `unknown_stream_keys` counts the encoders that were refused since the start because their stream key belongs to no
    stage. Such a refusal has no participant and therefore no event. `encoder_streams` is the number of encoders that
    publish now, and `shed_encoders` counts those that were refused since the start because every ingest process was
    full or overloaded.

    `livekit` is only in the answer of a server with a LiveKit. It has no influence on `status`: the APIs work without
    LiveKit, and a server that load balancers avoid could not tell what is wrong.
    """

    status: ServerStatus
    version: str
    auth: str
    unknown_stream_keys: int
    encoder_streams: int
    shed_encoders: int
    livekit: LiveKitHealth | msgspec.UnsetType | None = msgspec.UNSET
    """None before the first ping is answered or has failed."""
    node: NodeHealth | msgspec.UnsetType = msgspec.UNSET
    """Only of a server with its book in a database."""


class HealthApi:
    """The ASGI application of `/health`. `get_health` returns the current state and must not block."""

    def __init__(self, get_health: Callable[[], Health]) -> None:
        self._get_health = get_health

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer GET and HEAD; 405 for any other method."""
        if scope["method"] not in {"GET", "HEAD"}:
            response = HttpResponse(status=405, headers=((b"allow", b"GET, HEAD"),), body=b'{"message":"use GET"}')
        else:
            health = self._get_health()
            status = 200 if health.status is ServerStatus.OK else 503
            response = HttpResponse(status=status, body=msgspec.json.encode(health))
        await send_response(send, response, extra_headers=_HEADERS, is_head=scope["method"] == "HEAD")
