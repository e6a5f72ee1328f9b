"""A participant that joins a stage by opening the events websocket, as AWS's web SDK does."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

TIMEOUT_SECONDS = 30


def token_payload(token: str) -> dict[str, Any]:
    """Return the payload of a participant token, read without verification, as AWS's sample clients do."""
    part = token.split(".")[1]
    payload: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return payload


@contextmanager
def joined(token: str) -> Iterator[ClientConnection]:
    """Join the stage of the token for the duration of the `with` block.

    The block begins after the first STAGE_STATE message, so the server has recorded JOINED.
    """
    payload = token_payload(token)
    url = f"{payload['events_url']}/{payload['topic']}"
    with connect(url, subprotocols=[token], open_timeout=TIMEOUT_SECONDS, close_timeout=TIMEOUT_SECONDS) as websocket:  # type: ignore[list-item]  # Subprotocol is a NewType of str
        websocket.recv(timeout=TIMEOUT_SECONDS)
        yield websocket
