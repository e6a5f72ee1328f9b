"""Messages that LiveKit 1.13.5 sent on signalling websockets, recorded as JSON.

Of each exchange, the access tokens (`refresh_token`) and what describes the deployment (ICE servers, codecs) are left
out. The recordings:

* `viewer`: joins while the publisher sends, restarts ICE, and is removed with its room;
* `early_viewer`: joins before the publisher is connected, and is removed;
* `chromium_viewer`: with an offer of Chromium;
* `simulcast_publisher`: publishes audio, and video in the layers q, h and f.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict
from livekit.protocol import rtc

PUBLISHER_ID = "publisher"
"""The identity of the publisher in the recordings of viewers."""
_FOLDER = Path(__file__).parent / "recordings"


def recorded(name: str) -> list[rtc.SignalResponse]:
    """Return the messages of a recording in their order."""
    messages: Sequence[Any] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return [ParseDict(message, rtc.SignalResponse()) for message in messages]


def kinds(messages: Sequence[rtc.SignalRequest] | Sequence[rtc.SignalResponse]) -> list[str | None]:
    """Return the kinds of messages."""
    return [message.WhichOneof("message") for message in messages]


def until(messages: Sequence[rtc.SignalResponse], kind: str) -> list[rtc.SignalResponse]:
    """Return the messages before the first one of a kind."""
    return list(messages[: kinds(messages).index(kind)])
