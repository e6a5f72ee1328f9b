"""The response to a request that no owner can be given: 503, in the form of the API that the request is for.

Every such response has Retry-After. AWS SDKs and the Web Broadcast SDK repeat the request by themselves.
"""

from typing import Final

from stagebook.api.asgi import Header, Scope, Send
from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.api.aws.request_ids import RequestIds
from stagebook.api.aws.rest_json.error_response import error_response
from stagebook.api.http_responses import HttpResponse, send_response
from stagebook.api.participants import cross_origin
from stagebook.api.participants.events_websocket import refuse_handshake
from stagebook.api.participants.participants_api import ParticipantsApi
from stagebook.api.participants.problem_responses import RETRY_SOON, Problem
from stagebook.api.participants.web_sdk_problems import problem_for_client
from stagebook.api.routes.api_problems import problem_response
from stagebook.api.watch.watch_description import WATCH_PREFIX
from stagebook.stage.errors import ServerBusyError

NO_OWNER: Final = "no node of the cluster has this account at the moment; try again"
NO_INTERNAL_SERVER: Final = "the node that has this account was started without internal_listen, so no other reaches it"
OWNER_LOST: Final = "the node that has this account ended during the request, which may have been carried out"
TOO_MANY: Final = "too many requests to the node that has this account; try again"
LINK_REFUSED: Final = "the nodes of the cluster refuse each other's requests; their logs have the reason"

_JSON: Final[Header] = (b"content-type", b"application/json")


async def send_unavailable(scope: Scope, send: Send, message: str, *, request_ids: RequestIds) -> None:
    """Answer a request or a websocket's handshake with 503."""
    if scope["type"] == "websocket":
        await refuse_handshake(scope, send, _problem(message))
        return
    response = _response(scope, message, request_ids)
    await send_response(send, response, is_head=scope["method"] == "HEAD")


def _response(scope: Scope, message: str, request_ids: RequestIds) -> HttpResponse:
    if scope["path"].startswith(WATCH_PREFIX):
        response = problem_response(ServerBusyError(message))
        assert response is not None, "a domain error is the client's"  # noqa: S101 - for the type checker
        return response
    if ParticipantsApi.serves(scope):
        problem = problem_for_client(_problem(message), scope)
        headers = (*cross_origin.RESPONSE_HEADERS, _JSON, *problem.headers)
        return HttpResponse(status=problem.status, headers=headers, body=problem.body())
    error = AwsError(ErrorType.SERVICE_UNAVAILABLE, message, headers=(RETRY_SOON,))
    return error_response(error, headers=(_JSON, (b"x-amzn-requestid", request_ids.next_id())))


def _problem(message: str) -> Problem:
    return Problem(status=503, code="BUSY", message=message, headers=(RETRY_SOON,))
