"""How a composition without media fails: each documented failure of its destinations and of itself, and reconnecting.

The user guide ("Using Amazon EventBridge with IVS Real-Time Streaming", IVS Composition State Change) has the events
and their error codes. A composition is named by its ARN in the body, as in the AWS API.
"""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Annotated, Any, Final, Protocol, TypeAlias

import msgspec

from stagebook.api.routes.api_problems import ApiProblemCode, ApiRefusedError
from stagebook.api.routes.api_route import ApiCall, ApiResponse, ApiRoute, json_response
from stagebook.book.book_pages import BookPages
from stagebook.history.composition_document import CompositionEventDocument, composition_event_document
from stagebook.manager.stage_manager import StageManager
from stagebook.media.composition.composition_port import ChannelOutput, Output, OutputFault
from stagebook.media.simulated.simulated_composer import SimulatedComposer
from stagebook.stage.composition.composition import Composition, CompositionState, DestinationState
from stagebook.stage.errors import ResourceNotFoundError

_PREFIX: Final = "/testing/v1/compositions"
_PAGE_SIZE: Final = 100
_OF_BUCKETS: Final = frozenset((OutputFault.BUCKET_NOT_FOUND, OutputFault.ACCESS_DENIED))
_OF_CHANNELS: Final = frozenset((OutputFault.STREAM_EXISTS,))

_Arn: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_DestinationId: TypeAlias = Annotated[
    str, msgspec.Meta(max_length=64, description="Default: the first destination to which this can happen.")
]


class SessionFailure(StrEnum):
    """The error codes of a composition that fails as a whole."""

    STAGE_DELETED = "StageDeleted"
    DESTINATION_FAILURE = "DestinationFailure"
    INTERNAL_SERVER_EXCEPTION = "InternalServerException"


class DestinationBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A destination of a composition."""

    arn: _Arn
    destination_id: _DestinationId | None = None


class DestinationFailureBody(DestinationBody, frozen=True, kw_only=True):
    """A destination and the error code with which it fails."""

    error_code: OutputFault


class SessionFailureBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A composition and the error code with which it fails."""

    arn: _Arn
    error_code: SessionFailure


class DestinationStateDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A destination."""

    id: str
    state: DestinationState


class CompositionStateDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A composition after an action, with the events that it has made, oldest first."""

    arn: str
    state: CompositionState
    destinations: tuple[DestinationStateDocument, ...]
    events: tuple[CompositionEventDocument, ...]


class ReportsInProgress(Protocol):
    """Compositions whose starts and ends take a moment to be reported."""

    async def settled(self) -> bool:
        """Wait until all of them are reported. Returns whether there was one to wait for."""


class CompositionActionRoutes:
    """The routes of compositions without media."""

    def __init__(
        self, manager: StageManager, pages: BookPages, composer: SimulatedComposer, reports: ReportsInProgress
    ) -> None:
        self._manager = manager
        self._pages = pages
        self._composer = composer
        self._reports = reports

    def routes(self) -> Iterator[ApiRoute]:
        """Yield the routes."""
        yield self._route(
            "fail-destination",
            "FailCompositionDestination",
            "Cause a COMPOSITION_DESTINATION_FAILED",
            self._fail_destination,
            DestinationFailureBody,
        )
        yield self._route(
            "reconnect-destination",
            "ReconnectCompositionDestination",
            "Cause a COMPOSITION_DESTINATION_RECONNECTING",
            self._reconnect,
            DestinationBody,
        )
        yield self._route(
            "recover-destination",
            "RecoverCompositionDestination",
            "Let a destination that reconnects succeed",
            self._recover,
            DestinationBody,
        )
        yield self._route("fail", "FailComposition", "Cause a COMPOSITION_FAILED", self._fail, SessionFailureBody)

    def _route(
        self, name: str, action: str, summary: str, take: Callable[[str, Any], None], body: type[msgspec.Struct]
    ) -> ApiRoute:
        async def handle(call: ApiCall) -> ApiResponse:
            return await self._act(call.body.arn, lambda composition_id: take(composition_id, call.body))

        return ApiRoute(
            method="POST",
            template=f"{_PREFIX}/{name}",
            action=action,
            summary=summary,
            handle=handle,
            body=body,
            response=CompositionStateDocument,
        )

    async def _act(self, arn: str, take: Callable[[str], None]) -> ApiResponse:
        """Do something to a composition; answer when everything that follows is durable."""
        await self._settle()
        composition = self._find(arn)
        if not self._composer.has(composition.composition_id):
            raise _conflict(f"{arn} has ended, or composes publishers with media")
        newest = await self._last_sequence(arn)
        take(composition.composition_id)
        await self._settle()
        ended = self._find(arn)
        return json_response(
            CompositionStateDocument(
                arn=arn,
                state=ended.state,
                destinations=tuple(
                    DestinationStateDocument(id=each.destination_id, state=each.state) for each in ended.destinations
                ),
                events=tuple(await self._events_after(arn, newest)),
            )
        )

    def _fail_destination(self, composition_id: str, body: DestinationFailureBody) -> None:
        fault = body.error_code

        def can_fail(output: Output) -> bool:
            return fault not in (_OF_BUCKETS if isinstance(output, ChannelOutput) else _OF_CHANNELS)

        output = self._choose(composition_id, body.destination_id, can_fail, what=f"fails with {fault.value}")
        self._composer.fail(composition_id, output.destination_id, fault)

    def _reconnect(self, composition_id: str, body: DestinationBody) -> None:
        output = self._choose(composition_id, body.destination_id, _is_channel, what="reconnects")
        self._composer.reconnect(composition_id, output.destination_id)

    def _recover(self, composition_id: str, body: DestinationBody) -> None:
        composition = self._find(body.arn)
        lost = {each.destination_id for each in composition.destinations if each.state is DestinationState.RECONNECTING}
        output = self._choose(
            composition_id, body.destination_id, lambda each: each.destination_id in lost, what="is reconnecting"
        )
        self._composer.recover(composition_id, output.destination_id)

    def _fail(self, composition_id: str, body: SessionFailureBody) -> None:
        match body.error_code:
            case SessionFailure.STAGE_DELETED:
                raise _conflict("StageDeleted: delete the stage: DeleteStage of the AWS API")
            case SessionFailure.INTERNAL_SERVER_EXCEPTION:
                self._composer.lose(composition_id)
            case SessionFailure.DESTINATION_FAILURE:
                for output in self._composer.outputs_of(composition_id):
                    self._composer.fail(composition_id, output.destination_id, OutputFault.INTERNAL)

    def _choose(
        self, composition_id: str, destination_id: str | None, is_possible: Callable[[Output], bool], *, what: str
    ) -> Output:
        """Return the destination that is asked for, or else the first that is possible. Raises ApiRefusedError."""
        outputs = self._composer.outputs_of(composition_id)
        asked = [each for each in outputs if destination_id in (None, each.destination_id)]
        possible = [each for each in asked if is_possible(each)]
        if destination_id is not None and not asked:
            raise ResourceNotFoundError(kind="open destination", name=destination_id)
        if not possible:
            raise _conflict(f"no such destination {what}: buckets and channels have error codes of their own")
        return possible[0]

    def _find(self, arn: str) -> Composition:
        composition = self._manager.compositions.find(arn)
        if composition is None:
            raise ResourceNotFoundError(kind="composition", name=arn)
        return composition

    async def _last_sequence(self, arn: str) -> int | None:
        sequences = [int(event.sequence) for event in await self._events_after(arn, None)]
        return sequences[-1] if sequences else None

    async def _events_after(self, arn: str, after: int | None) -> list[CompositionEventDocument]:
        events: list[CompositionEventDocument] = []
        while True:
            page = await self._pages.compositions.page_events(arn, after=after, limit=_PAGE_SIZE)
            events += (composition_event_document(each) for each in page.items)
            if page.next_position is None:
                return events
            after = page.next_position

    async def _settle(self) -> None:
        await self._manager.settled()
        while await self._reports.settled():
            await self._manager.settled()


def _is_channel(output: Output) -> bool:
    return isinstance(output, ChannelOutput)


def _conflict(detail: str) -> ApiRefusedError:
    return ApiRefusedError(status=409, code=ApiProblemCode.CONFLICT, detail=detail)
