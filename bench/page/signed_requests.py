"""Requests that are signed by botocore and captured as bytes before they are sent."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from bench.page.books import BusyParticipant
from tests.e2e.server import Client

PAGE_SIZE = 50
_WALK_SIZE = 100
_RESPONSE = b'{"events":[]}'


class _Raw:
    """The body of the substitute response that botocore gets for a captured request."""

    def stream(self, **_options: object) -> Sequence[bytes]:
        return (_RESPONSE,)


def deep_token(client: Client, participant: BusyParticipant, *, events: int) -> str:
    """Page over the newest `events` (a multiple of 50) of a participant; return the token of the page after them."""
    token = ""  # the first page
    while events:
        size = min(events, _WALK_SIZE)
        page = client.list_participant_events(**_participant_parameters(participant), maxResults=size, nextToken=token)
        assert len(page["events"]) == size
        token = page["nextToken"]
        events -= size
    return token


def sign_pages(client: Client, pages: Sequence[tuple[BusyParticipant, str | None]]) -> list[bytes]:
    """Return a signed request for each page. A page is a participant and its token, None for the first page.

    The signatures are valid for five minutes. `client` sends no requests any more after this call.
    """
    captured: list[bytes] = []

    def capture(request: AWSPreparedRequest, **_rest: object) -> AWSResponse:
        captured.append(wire_bytes(request))
        return AWSResponse(request.url, 200, HTTPHeaders.from_dict({"content-type": "application/json"}), _Raw())

    client.meta.events.register("before-send.ivs-realtime.ListParticipantEvents", capture)
    for participant, token in pages:
        # The page size is not sent, as 50 is the default.
        client.list_participant_events(
            **_participant_parameters(participant), **({} if token is None else {"nextToken": token})
        )
    assert len(captured) == len(pages)
    return captured


def wire_bytes(request: AWSPreparedRequest) -> bytes:
    """Return a prepared request as the bytes that botocore's HTTP client writes to the socket."""
    url = urlsplit(request.url)
    body = request.body
    assert isinstance(body, bytes)
    headers = {name: _header_string(value) for name, value in request.headers.items()}
    headers = {"Host": url.netloc, "Accept-Encoding": "identity", **headers, "Content-Length": str(len(body))}
    lines = [f"{request.method} {url.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def _header_string(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _participant_parameters(participant: BusyParticipant) -> dict[str, str]:
    return {
        "stageArn": participant.stage_arn,
        "sessionId": participant.session_id,
        "participantId": participant.participant_id,
    }
