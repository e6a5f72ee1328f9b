"""Cursors of lists of the watch API: sealed positions, which are valid for the same list with the same filters only."""

from typing import Annotated, TypeAlias

import msgspec

from stagebook.api.position_seal import TOKEN_LENGTH, PositionSeal
from stagebook.stage.errors import InvalidInputError

LIST_CURSOR_PURPOSE = b"watch list"

CursorParameter: TypeAlias = Annotated[
    str, msgspec.Meta(min_length=1, max_length=TOKEN_LENGTH, description="`nextCursor` of the page before.")
]


class ListCursors:
    """Makes and reads cursors. A `binding` identifies a list: its operation, the account and the filters."""

    def __init__(self, seal: PositionSeal) -> None:
        self._seal = seal

    def read(self, cursor: str | None, *, binding: object) -> int | None:
        """Return the position of a cursor, None without one. Raises InvalidInputError for one of another list."""
        if cursor is None:
            return None
        position = self._seal.open(cursor, binding=binding)
        if position is None:
            raise InvalidInputError(member="cursor", rule="is not a cursor that was returned for the same request")
        return position

    def make(self, position: int | None, *, binding: object) -> str | None:
        """Return the cursor of a position, None for the last page."""
        return None if position is None else self._seal.seal(position, binding=binding)
