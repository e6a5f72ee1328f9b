"""A participant who is on a stage for a while: it opens the events websocket with its token, as the web SDK does."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

TIMEOUT_SECONDS = 30


def payload_of(token: str) -> dict[str, Any]:
    """Return what a participant token says, read without a key as sample clients do."""
    part = token.split(".")[1]
    payload: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return payload


@contextmanager
def on_stage(token: str) -> Iterator[ClientConnection]:
    """Be connected until the end of the `with` block. The server has recorded the join when the block begins."""
    payload = payload_of(token)
    url = f"{payload['events_url']}/{payload['topic']}"
    with connect(url, subprotocols=[token], open_timeout=TIMEOUT_SECONDS, close_timeout=TIMEOUT_SECONDS) as websocket:  # type: ignore[list-item]  # a subprotocol is a text
        websocket.recv(timeout=TIMEOUT_SECONDS)
        yield websocket
