"""The check of a LiveKit deployment: it answers, accepts the key, and has a version that Stagebook is tested with.

The check joins a room of its own by signalling. That proves the URL, the key and the websocket at once, and LiveKit's
first message tells its version. Signalling is the protocol of LiveKit's clients: another minor version may change it.
"""

import asyncio
import re
import secrets
from typing import Final

import msgspec
from google.protobuf.message import DecodeError
from livekit.protocol import rtc
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException

from stagebook.media.livekit.livekit_access import LiveKitAccess
from stagebook.media.livekit.livekit_rooms import CHECK_ROOM_PREFIX
from stagebook.media.livekit.signalling.signalling_socket import connect_signalling

PROBE_TIMEOUT_SECONDS: Final = 8.0
TESTED_MINOR: Final = (1, 13)
"""The minor version of LiveKit that the tests run against. Later ones give a warning, earlier ones are refused."""


_NUMBER: Final = re.compile("[0-9]{1,6}")
_MAX_SHOWN_CHARACTERS: Final = 40


class LiveKitUnusableError(Exception):
    """LiveKit cannot be used as it is. The message says why, and what to do."""


class LiveKitFound(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment that can be used."""

    version: str
    room: str = ""
    """The room of the check, which the caller deletes."""
    warning: str | None = None
    """Why it should not be used, if it is not a version that is tested."""


async def probe(url: str, *, access: LiveKitAccess) -> LiveKitFound:
    """Join a room of its own for a moment. Raises LiveKitUnusableError."""
    name = f"{CHECK_ROOM_PREFIX}{secrets.token_hex(8)}"
    token = access.viewer_token(room=name, identity=name)
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
            socket = await connect_signalling(url, rtc.JoinRequest(), token=token)
            try:
                data = await socket.recv(decode=False)
            finally:
                await socket.close()
    except InvalidStatus as error:
        raise LiveKitUnusableError(_refused(url, error)) from error
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI, WebSocketException) as error:
        raise LiveKitUnusableError(f"LiveKit does not answer at {url}: {str(error) or type(error).__name__}") from error
    message = rtc.SignalResponse()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise LiveKitUnusableError(f"what answers at {url} is not LiveKit: its message is not protobuf") from error
    found = judge_version(message.join.server_info.version or message.join.server_version)
    return msgspec.structs.replace(found, room=name)


def judge_version(version: str) -> LiveKitFound:
    """Return what a version is good for. Raises LiveKitUnusableError for one that is too old."""
    tested = ".".join(map(str, TESTED_MINOR))
    numbers = version.split(".")
    if len(numbers) < 2 or not all(_NUMBER.fullmatch(number) for number in numbers[:2]):
        shown = version[:_MAX_SHOWN_CHARACTERS]
        return LiveKitFound(version=shown, warning=f"LiveKit's version is {shown!r}: {tested} is tested")
    minor = (int(numbers[0]), int(numbers[1]))
    if minor < TESTED_MINOR:
        raise LiveKitUnusableError(f"LiveKit has version {version}; at least {tested} is needed")
    warning = None if minor == TESTED_MINOR else f"LiveKit has version {version}: {tested} is tested"
    return LiveKitFound(version=version, warning=warning)


def _refused(url: str, error: InvalidStatus) -> str:
    status = error.response.status_code
    if status in (401, 403):
        return f"LiveKit at {url} refuses the key: livekit_api_key and livekit_api_secret must be those of its `keys`"
    return f"there is no LiveKit at {url}, or it is too old: status {status} for /rtc/v1"
