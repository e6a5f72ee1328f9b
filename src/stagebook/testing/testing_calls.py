"""Calls of the testing API over HTTP (`/testing/v1`).

Each call has a connection of its own: on loopback one costs less than a millisecond, and calls of several threads do
not meet. The standard library's client is used, because pytest loads this package in every project that has it.
"""

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from stagebook.testing.testing_errors import CallRefusedError, ServerNotStartedError

Answer = TypeVar("Answer")

CALL_TIMEOUT_SECONDS = 60.0
"""Far more than any call takes: advancing the clock by days lets every timer on the way fire."""


class ControlCalls:
    """The testing API of one server."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url).netloc

    def get(self, path: str, answer: type[Answer]) -> Answer:
        """GET a path below `/testing/v1`. Raises as `call`."""
        return self.call("GET", path, answer)

    def post(self, path: str, answer: type[Answer], **members: object) -> Answer:
        """POST a body with these members; those that are None are left out. Raises as `call`."""
        return self.call("POST", path, answer, {name: value for name, value in members.items() if value is not None})

    def call(self, method: str, path: str, answer: type[Answer], members: Mapping[str, object] | None = None) -> Answer:
        """Make one call and decode its answer.

        Raises CallRefusedError for a problem document, and ServerNotStartedError if there is no server.
        """
        body = None if members is None else json.dumps(members)
        status, content = self._exchange(method, path, body)
        if status >= 400:
            raise _refusal(status, content)
        return msgspec.convert(None, answer) if not content else msgspec.json.decode(content, type=answer)

    def _exchange(self, method: str, path: str, body: str | None) -> tuple[int, bytes]:
        connection = HTTPConnection(self._host, timeout=CALL_TIMEOUT_SECONDS)
        try:
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, f"/testing/v1/{path}", body=body, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException) as error:
            raise ServerNotStartedError(f"the server at {self._host} does not answer: {error!r}") from error
        finally:
            connection.close()


def path_of(*parts: str) -> str:
    """Return a path of these segments, percent-encoded."""
    return "/".join(quote(part, safe="") for part in parts)


def _refusal(status: int, content: bytes) -> CallRefusedError:
    try:
        problem = json.loads(content)
        return CallRefusedError(status=status, code=str(problem["code"]), detail=str(problem["detail"]))
    except (ValueError, KeyError, TypeError):
        return CallRefusedError(status=status, code="UNKNOWN", detail=content[:200].decode("utf-8", "replace"))
