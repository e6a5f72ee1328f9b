"""StartComposition, GetComposition, ListCompositions, StopComposition (API reference, Composition)."""

from typing import Any

from stagebook.api.aws.operation import Call, Operation, Result
from stagebook.api.aws.page_token import PageTokens, page_size
from stagebook.book.book_pages import BookPages
from stagebook.book.composition_reader import CompositionFilter
from stagebook.manager.compositions.composition_requests import composition_spec
from stagebook.manager.stage_manager import StageManager
from stagebook.stage.composition.composition import KEPT_MS, Composition, CompositionDestination
from stagebook.stage.errors import ResourceNotFoundError

_DEFAULT_PAGE_SIZE = 100


class CompositionOperations:
    """The operations on compositions. One that has ended is shown for five minutes."""

    def __init__(self, manager: StageManager, pages: BookPages, page_tokens: PageTokens) -> None:
        self._manager = manager
        self._pages = pages
        self._page_tokens = page_tokens

    def operations(self) -> tuple[Operation, ...]:
        """Return the operations on this kind of resource."""
        return (
            Operation(name="StartComposition", handle=self.start, resource_member="stageArn"),
            Operation(name="GetComposition", handle=self.get, resource_member="arn"),
            Operation(name="ListCompositions", handle=self.list),
            Operation(name="StopComposition", handle=self.stop, resource_member="arn"),
        )

    async def start(self, call: Call) -> Result:
        """Start a composition, or return the one that was started with the same idempotency token."""
        spec = composition_spec(call.caller.account_id, call.request)
        return {"composition": _show(await self._manager.compositions.start(spec))}

    async def get(self, call: Call) -> Result:
        """Return one composition; ResourceNotFoundError when it does not exist, or ended five minutes ago."""
        arn = call.request["arn"]
        composition = await self._pages.compositions.find(arn)
        if composition is None or not composition.is_shown(self._manager.now().wall_ms):
            raise ResourceNotFoundError(kind="composition", name=arn)
        return {"composition": _show(composition)}

    async def list(self, call: Call) -> Result:
        """Return summaries of the account's compositions, newest first. Both filters may be given."""
        where = CompositionFilter(
            account_id=call.caller.account_id,
            stage_arn=call.request.get("filterByStageArn"),
            configuration_arn=call.request.get("filterByEncoderConfigurationArn"),
            ended_after_ms=self._manager.now().wall_ms - KEPT_MS,
        )
        page = await self._pages.compositions.page(
            where,
            after=self._page_tokens.open("ListCompositions", call),
            limit=page_size(call, default=_DEFAULT_PAGE_SIZE),
        )
        return {
            "compositions": [_summary(composition) for composition in page.items],
            "nextToken": self._page_tokens.seal("ListCompositions", call, page.next_position),
        }

    async def stop(self, call: Call) -> Result:
        """Stop a composition; ResourceNotFoundError as in `get`. One that has ended stays as it is."""
        await self._manager.compositions.stop(arn=call.request["arn"])
        return {}


def _show(composition: Composition) -> dict[str, Any]:
    """Return shape Composition."""
    return {
        **_members(composition),
        "layout": composition.layout,
        "destinations": [_show_destination(each) for each in composition.destinations],
    }


def _summary(composition: Composition) -> dict[str, Any]:
    """Return shape CompositionSummary."""
    return {
        **_members(composition),
        "destinations": [_destination_summary(each) for each in composition.destinations],
    }


def _members(composition: Composition) -> dict[str, Any]:
    return {
        "arn": composition.arn,
        "stageArn": composition.stage_arn,
        "state": composition.state,
        "tags": composition.tags,
        "startTime": composition.start_ms,
        "endTime": composition.end_ms,
    }


def _show_destination(destination: CompositionDestination) -> dict[str, Any]:
    """Return shape Destination."""
    prefix = destination.recording_prefix
    return {
        **_destination_summary(destination),
        "configuration": destination.configuration,
        "detail": None if prefix is None else {"s3": {"recordingPrefix": prefix}},
    }


def _destination_summary(destination: CompositionDestination) -> dict[str, Any]:
    """Return shape DestinationSummary."""
    return {
        "id": destination.destination_id,
        "state": destination.state,
        "startTime": destination.start_ms,
        "endTime": destination.end_ms,
    }
