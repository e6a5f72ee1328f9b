"""One answer of the server, as it came over HTTP.

The name of an error is in `x-amzn-errortype`, possibly with a URI after a colon, or in the body's `__type` or `code`
with a namespace before `#` (Smithy, restJson1, "Operation error serialization").
"""

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from stagebook.conformance.check_outcomes import CheckFailedError

Json: TypeAlias = Any
"""A decoded JSON value."""

SHOWN_CHARACTERS = 300
"""The longest part of a body that a report shows."""


class WireAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The status, the headers (names in lower case) and the body of one answer."""

    operation: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is a 2xx."""
        return 200 <= self.status < 300

    @property
    def request_id(self) -> str:
        """The id that finds the call in the log of the server, or an empty string."""
        return self.headers.get("x-amzn-requestid", self.headers.get("x-amz-request-id", ""))

    @property
    def error_code(self) -> str:
        """The name of the error, or an empty string."""
        named = self.headers.get("x-amzn-errortype", "")
        if not named:
            document = self._document()
            named = str(document.get("__type") or document.get("code") or "")
        return named.partition(":")[0].rpartition("#")[2]

    @property
    def message(self) -> str:
        """The message of the error, or an empty string."""
        document = self._document()
        return str(document.get("exceptionMessage") or document.get("message") or document.get("Message") or "")

    def json(self) -> Json:
        """Return the body as a JSON object. Raises CheckFailedError if it is none."""
        try:
            document = json.loads(self.body)
        except ValueError:
            raise CheckFailedError(expected="a JSON body", got=self.summary) from None
        if not isinstance(document, dict):
            raise CheckFailedError(expected="a JSON object as the body", got=self.summary)
        return document

    @property
    def summary(self) -> str:
        """The status and the error, for a report. A successful body is not in it: it may hold a token."""
        if self.is_success:
            return f"{self.status} with {len(self.body)} bytes"
        return f"{self.status} {self.error_code or 'without an error type'}: {self.message[:SHOWN_CHARACTERS]}"

    def _document(self) -> Mapping[str, Any]:
        try:
            document = json.loads(self.body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}
