"""ListParticipantEvents (API reference, ListParticipantEvents and Event).

This is the hot path of the server: rows of the book are encoded to the body without a value per event.
"""

from collections.abc import Sequence

from stagebook.api.aws.operation import Call, Operation, Result
from stagebook.api.aws.operations.event_page import encode_event_page
from stagebook.api.aws.page_token import PageTokens, page_size
from stagebook.book.book_pages import BookPages
from stagebook.book.book_values import EventRow


class ParticipantEventOperations:
    """The operation on participant events. AWS returns the newest event first; `oldest_first` reverses that."""

    def __init__(self, pages: BookPages, page_tokens: PageTokens, *, oldest_first: bool) -> None:
        self._pages = pages
        self._page_tokens = page_tokens
        self._oldest_first = oldest_first

    def operations(self) -> tuple[Operation, ...]:
        """Return the operation on this kind of resource."""
        return (Operation(name="ListParticipantEvents", handle=self.list, resource_member="stageArn"),)

    async def list(self, call: Call) -> Result:
        """Return the events of one participant in one session; none for an unknown stage, session or participant."""
        request = call.request
        participant_id = request["participantId"]
        size = page_size(call)
        rows: Sequence[EventRow] = await self._pages.page_events(
            request["stageArn"],
            request["sessionId"],
            participant_id,
            after=self._page_tokens.open("ListParticipantEvents", call),
            limit=size + 1,  # one row more than the page, to know whether there is a next page
            oldest_first=self._oldest_first,
        )
        next_token = None
        if len(rows) > size:
            rows = rows[:size]
            next_token = self._page_tokens.seal("ListParticipantEvents", call, rows[-1][0])
        return encode_event_page(participant_id, rows, next_token)
