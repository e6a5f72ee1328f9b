"""GET /health: whether the server serves, for load balancers, containers and scripts that wait for it.

Answers 200 while everything works and 503 while it does not; no one has to sign. Must not know how anything works.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

Message: TypeAlias = MutableMapping[str, Any]


class Condition(StrEnum):
    """What a server can say of itself."""

    OK = "ok"
    STOPPING = "stopping"
    FAILED = "failed"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the answer. `unknown_stream_keys` counts, since the start, the encoders that were refused because
    their stream key opens no stage: they leave no event."""

    status: Condition
    version: str
    auth: str
    unknown_stream_keys: int


class HealthApi:
    """The ASGI application of this path."""

    def __init__(self, ask: Callable[[], Health]) -> None:
        """`ask` returns the state of the server now; it must not block."""
        self._ask = ask

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        _receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer GET and HEAD; 405 for any other method."""
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        if scope["method"] not in {"GET", "HEAD"}:
            status, body = 405, b'{"message":"use GET"}'
            headers.append((b"allow", b"GET, HEAD"))
        else:
            health = self._ask()
            status, body = 200 if health.status is Condition.OK else 503, msgspec.json.encode(health)
        headers.append((b"content-length", str(len(body)).encode("ascii")))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
