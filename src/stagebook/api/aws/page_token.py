"""The page tokens of the list operations (`nextToken`).

A token is a sealed position in the book (`api/position_seal.py`), bound to the operation, the account of the caller,
and every input member except `nextToken` and `maxResults`. So a token is valid only for the same call; `maxResults` may
change between pages.
"""

from typing import Any

from stagebook.api.aws.operation import Call
from stagebook.api.position_seal import PositionSeal
from stagebook.stage.errors import InvalidInputError

DEFAULT_PAGE_SIZE = 50
"""The size of a page without `maxResults` in most operations (API reference, ListParticipantEvents and others)."""

_PAGING_MEMBERS = frozenset({"nextToken", "maxResults"})
_PURPOSE = b"page token"


def page_size(call: Call, *, default: int = DEFAULT_PAGE_SIZE) -> int:
    """Return the `maxResults` of a call, or `default`."""
    size: int = call.request.get("maxResults", default)
    return size


class PageTokens:
    """Makes and verifies page tokens. `secret` is the key of the MAC, up to 64 bytes."""

    def __init__(self, *, secret: bytes) -> None:
        self._seal = PositionSeal(secret=secret, purpose=_PURPOSE)

    def seal(self, operation: str, call: Call, position: int | None) -> str | None:
        """Return the token for the page after `position`; None without a position, that is, after the last page."""
        return None if position is None else self._seal.seal(position, binding=_binding(operation, call))

    def open(self, operation: str, call: Call) -> int | None:
        """Return the position after which the requested page starts; None for the first page.

        An empty `nextToken` is treated as absent, because clients in some languages cannot leave out a string. Raises
        InvalidInputError for a token that was not made for this call.
        """
        token: str = call.request.get("nextToken", "")
        if not token:
            return None
        position = self._seal.open(token, binding=_binding(operation, call))
        if position is None:
            raise InvalidInputError(
                member="nextToken",
                rule="is not a token that this operation returned for the same input",
            )
        return position


def _binding(operation: str, call: Call) -> Any:  # noqa: ANN401 - members of any type that JSON has
    request = {member: value for member, value in call.request.items() if member not in _PAGING_MEMBERS}
    return (operation, call.caller.account_id, request)
