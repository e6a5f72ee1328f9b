"""Error responses in the form that Amazon's Web Broadcast SDK understands.

The SDK sends its version in X-Stages-SDK. It reads the member `code` of an error's body as a number, and expects a few
statuses only. With a string in `code`, or another status, the participant's state becomes ERRORED, but the application
gets no ERROR event and no reason, and nothing is tried again.

    status          code    the SDK
    400, 401, 403   2002    ERROR with TOKEN_EXPIRED
    400, 401, 403   2003    ERROR with TOKEN_NOT_ALLOWED
    400, 401, 403   2005    ERROR with STAGE_AT_CAPACITY
    400, 401, 403   2014    ERROR with CODEC_MISMATCH
    404             2004    ERROR with FAILED
    500             any     ERROR with FAILED
    429             any     tries again after 1, 2, 4 ... seconds
    others          any     ERRORED, no event

Observed with versions 1.24 and 1.41, of publishing and of subscribing. Versions 1.6 and 1.10 have no ERROR event; they,
too, try again after a 429 only. The body has the code of `problem_responses` as well, in the member `name`. Responses
to other clients are not changed.
"""

from collections.abc import Mapping

import msgspec

from stagebook.api.asgi import Scope
from stagebook.api.participants.http_requests import header
from stagebook.api.participants.problem_responses import Problem

SDK_HEADER = b"x-stages-sdk"
"""Carries the version of the SDK in each of its HTTP requests. The events websocket's handshake does not have it."""


class _Answer(msgspec.Struct, frozen=True):
    """A status and a number for `code`. Without a status, the response keeps its own."""

    status: int | None
    number: int


_EXPIRED = _Answer(401, 2002)
_UNAUTHENTICATED = _Answer(401, 2003)
_NOT_ALLOWED = _Answer(403, 2003)
_AT_CAPACITY = _Answer(403, 2005)
_CODEC = _Answer(403, 2014)
_FAILED = _Answer(404, 2004)
_TRY_AGAIN = _Answer(429, 2004)
_ITS_OWN_STATUS = _Answer(None, 2004)
"""For an internal error, whose number does not matter, and for faults of PATCH or of the method."""

ANSWERS: Mapping[str, _Answer] = {
    "TOKEN_EXPIRED": _EXPIRED,
    "NO_TOKEN": _UNAUTHENTICATED,
    "TOKEN_MALFORMED": _UNAUTHENTICATED,
    "TOKEN_SIGNATURE": _UNAUTHENTICATED,
    "TOKEN_STAGE_MISMATCH": _NOT_ALLOWED,
    "TOKEN_PARTICIPANT_DISCONNECTED": _NOT_ALLOWED,
    "TOKEN_JTI_IN_USE": _NOT_ALLOWED,
    "TOKEN_PARTICIPANT_REPLICATED": _NOT_ALLOWED,
    "TOKEN_CONNECTION_TOKEN": _NOT_ALLOWED,
    "PARTICIPANT_MISMATCH": _NOT_ALLOWED,
    "INSUFFICIENT_CAPABILITIES": _NOT_ALLOWED,
    "QUOTA_EXCEEDED": _AT_CAPACITY,
    "INVALID_AUDIO_CODEC": _CODEC,
    "INVALID_VIDEO_CODEC": _CODEC,
    "TOKEN_STAGE_DELETED": _FAILED,
    "PUBLISHER_NOT_FOUND": _FAILED,
    "NO_SUCH_CONNECTION": _FAILED,
    "NO_SUCH_LAYER": _FAILED,
    "NOT_FOUND": _FAILED,
    "TOO_MANY_STAGES": _FAILED,
    "MALFORMED_SDP": _FAILED,
    "MALFORMED_MESSAGE": _FAILED,
    "UNSUPPORTED_MEDIA_TYPE": _FAILED,
    "TOO_LARGE": _FAILED,
    "TOKEN_NOT_EXCHANGEABLE": _FAILED,
    "REFUSED": _FAILED,
    "BITRATE_EXCEEDED": _FAILED,
    "RESOLUTION_EXCEEDED": _FAILED,
    "STREAM_DURATION_EXCEEDED": _FAILED,
    "INVALID_PROTOCOL": _FAILED,
    "INVALID_STREAM_KEY": _FAILED,
    "REUSE_OF_STREAM_KEY": _FAILED,
    "B_FRAME_PRESENT": _FAILED,
    "INVALID_INPUT": _FAILED,
    "BUSY": _TRY_AGAIN,
    "TOO_MANY_REQUESTS": _TRY_AGAIN,
    "TIMEOUT": _TRY_AGAIN,
    # A media process has ended, and another one takes its place within seconds.
    "INTERNAL_SERVER_EXCEPTION": _TRY_AGAIN,
    "INTERNAL": _ITS_OWN_STATUS,
    "ICE_SESSION_MISMATCH": _ITS_OWN_STATUS,
    "IF_MATCH_REQUIRED": _ITS_OWN_STATUS,
    "METHOD_NOT_ALLOWED": _ITS_OWN_STATUS,
    "UPGRADE": _ITS_OWN_STATUS,
}
"""The answer for each code of `problem_responses`."""


def problem_for_client(problem: Problem, scope: Scope) -> Problem:
    """Return a problem in the form for the client of this request: another one if it is the Web Broadcast SDK."""
    if header(scope, SDK_HEADER) is None:
        return problem
    answer = ANSWERS[problem.code]
    return msgspec.structs.replace(problem, status=answer.status or problem.status, number=answer.number)
