"""The requests as boto3 makes them: signed by botocore, caught before they are sent, kept as the bytes of the wire."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from bench.page.books import BusyParticipant
from tests.e2e.server import Client

PAGE_SIZE = 50
_WALK_SIZE = 100
_ANSWER = b'{"events":[]}'


class _Raw:
    """The body of the answer that stands in for the server's while a request is caught."""

    def stream(self, **_options: object) -> Sequence[bytes]:
        return (_ANSWER,)


def deep_token(client: Client, participant: BusyParticipant, *, events: int) -> str:
    """Walk past the newest `events` (a multiple of 50) of a participant; return the token of the page behind them."""
    token = ""  # asks for the first page
    while events:
        size = min(events, _WALK_SIZE)
        page = client.list_participant_events(**_where(participant), maxResults=size, nextToken=token)
        assert len(page["events"]) == size
        token = page["nextToken"]
        events -= size
    return token


def sign_pages(client: Client, pages: Sequence[tuple[BusyParticipant, str | None]]) -> list[bytes]:
    """Return one signed request for each page (its participant, and its token or None for the first page).

    They are good for five minutes. Nothing is sent, now or later: this ends the use of `client` for real calls.
    """
    caught: list[bytes] = []

    def catch(request: AWSPreparedRequest, **_rest: object) -> AWSResponse:
        caught.append(wire_bytes(request))
        return AWSResponse(request.url, 200, HTTPHeaders.from_dict({"content-type": "application/json"}), _Raw())

    client.meta.events.register("before-send.ivs-realtime.ListParticipantEvents", catch)
    for participant, token in pages:
        # 50 is the default page size: it is not sent.
        client.list_participant_events(**_where(participant), **({} if token is None else {"nextToken": token}))
    assert len(caught) == len(pages)
    return caught


def wire_bytes(request: AWSPreparedRequest) -> bytes:
    """Return a prepared request as botocore's HTTP client writes it to the socket."""
    url = urlsplit(request.url)
    body = request.body
    assert isinstance(body, bytes)
    headers = {name: _text(value) for name, value in request.headers.items()}
    headers = {"Host": url.netloc, "Accept-Encoding": "identity", **headers, "Content-Length": str(len(body))}
    lines = [f"{request.method} {url.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _where(participant: BusyParticipant) -> dict[str, str]:
    return {
        "stageArn": participant.stage_arn,
        "sessionId": participant.session_id,
        "participantId": participant.participant_id,
    }
