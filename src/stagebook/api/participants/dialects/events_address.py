"""The addresses of the events websocket, and which dialect each has.

    {events}/{topic}                       simple; everybody on the stage
    {events}?topic={topic}                 Web Broadcast SDK; everybody
    {events}?topic={topic}/publishers      Web Broadcast SDK; those who publish

The SDK's versions since 1.24 add `traceid`, and those since 1.33 `error_over_ws=1` (observed on the wire). Other
parameters are ignored.
"""

import re
from urllib.parse import parse_qsl

import msgspec

from stagebook.api.participants.problem_responses import RequestRefusalCode, RequestRefusedError

MAXIMUM_PARAMETERS = 16
"""Parameters of a query. The SDK sends three."""

SDK_PATH = "/events"
"""The path in the dialect of the SDK."""

_PATH = re.compile(r"/events(?:/(?P<topic>[A-Za-z0-9-]{1,64}))?", re.ASCII)
_TOPIC = re.compile(r"(?P<topic>[A-Za-z0-9-]{1,64})(?P<publishers>/publishers)?", re.ASCII)


class EventsAddress(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for with the address of an events websocket. `topic` is the id of the stage.

    `traceid` is not read: the SDK uses the same one when it connects again for the first time after a loss, another one
    when that fails, and another one in another page (observed on the wire).
    """

    topic: str
    is_sdk: bool = False
    publishers_only: bool = False


def is_events_path(path: str) -> bool:
    """Return whether a path is that of an events websocket, whatever its query."""
    return _PATH.fullmatch(path) is not None


def events_address(path: str, query: bytes) -> EventsAddress:
    """Return what an address asks for. `query` is the part of the URL after the question mark.

    Raises RequestRefusedError 404 for another path, and for a query without a topic.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise _not_found("no such path")
    if match["topic"] is not None:
        return EventsAddress(topic=match["topic"])
    topic = _TOPIC.fullmatch(_parameters(query).get("topic", ""))
    if topic is None:
        raise _not_found("the query needs a stage id as `topic`")
    return EventsAddress(topic=topic["topic"], is_sdk=True, publishers_only=topic["publishers"] is not None)


def takes_join_errors(query: bytes) -> bool:
    """Return whether a client asks for the refusal of its handshake over the websocket, see `join_errors.py`."""
    return _parameters(query).get("error_over_ws") == "1"


def _not_found(message: str) -> RequestRefusedError:
    return RequestRefusedError(status=404, code=RequestRefusalCode.NOT_FOUND, message=message)


def _parameters(query: bytes) -> dict[str, str]:
    """Return the parameters of a query; none if it has too many. Of several with one name the first one counts."""
    try:
        pairs = parse_qsl(query.decode("ascii", errors="replace"), max_num_fields=MAXIMUM_PARAMETERS)
    except ValueError:
        return {}
    return dict(reversed(pairs))
