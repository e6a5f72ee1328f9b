"""ListStageSessions and GetStageSession (API reference, StageSession)."""

from typing import Any

from stagebook.api.aws.operation import Call, Operation, Result
from stagebook.api.aws.page_token import PageTokens, page_size
from stagebook.book.book_pages import BookPages
from stagebook.stage.errors import ResourceNotFoundError
from stagebook.stage.resources import StageSession


class StageSessionOperations:
    """The operations on stage sessions. Sessions start and end with the participants, not by an operation."""

    def __init__(self, pages: BookPages, page_tokens: PageTokens) -> None:
        self._pages = pages
        self._page_tokens = page_tokens

    def operations(self) -> tuple[Operation, ...]:
        """Return the operations on this kind of resource."""
        return (
            Operation(name="ListStageSessions", handle=self.list, resource_member="stageArn"),
            Operation(name="GetStageSession", handle=self.get, resource_member="stageArn"),
        )

    async def list(self, call: Call) -> Result:
        """Return a stage's sessions, newest first; none for an unknown stage, for which the model has no error."""
        page = await self._pages.list_sessions(
            call.request["stageArn"],
            after=self._page_tokens.open("ListStageSessions", call),
            limit=page_size(call),
        )
        return {
            "stageSessions": [_show_session(session) for session in page.items],
            "nextToken": self._page_tokens.seal("ListStageSessions", call, page.next_position),
        }

    async def get(self, call: Call) -> Result:
        """Return one session; ResourceNotFoundError when it does not exist."""
        session_id = call.request["sessionId"]
        session = await self._pages.get_session(call.request["stageArn"], session_id)
        if session is None:
            raise ResourceNotFoundError(kind="stage session", name=session_id)
        return {"stageSession": _show_session(session)}


def _show_session(session: StageSession) -> dict[str, Any]:
    """Return shapes StageSession and StageSessionSummary, which have the same members."""
    return {"sessionId": session.session_id, "startTime": session.start_ms, "endTime": session.end_ms}
