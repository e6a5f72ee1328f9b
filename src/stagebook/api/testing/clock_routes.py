"""The clock of a testing server: read it, advance it, let it stand still."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, TypeAlias

import msgspec

from stagebook.api.routes.api_route import ApiCall, ApiResponse, ApiRoute, json_response
from stagebook.manager.controlled.clock_control import ClockControl, ClockState
from stagebook.stage.timestamps import epoch_ms, iso8601

MAXIMUM_ADVANCE_SECONDS = 3_653 * 86_400
"""Ten years. Longer than any time in Stagebook that is worth a test."""

_CLOCK = "/testing/v1/clock"

_Seconds: TypeAlias = Annotated[
    float,
    msgspec.Meta(
        ge=0, le=MAXIMUM_ADVANCE_SECONDS, description="How far; rounded to milliseconds. The clock never goes back."
    ),
]
_At: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True, description="Not before the time of the server.")]


class AdvanceBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far to move the clock."""

    seconds: _Seconds


class FreezeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the clock stands still: now, or at a later time, to which it advances."""

    at: _At | None = None


class ResumeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class ClockDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the clock shows."""

    now: str
    is_frozen: bool


class ClockRoutes:
    """The routes of the clock that `control` moves."""

    def __init__(self, control: ClockControl) -> None:
        self._control = control

    def routes(self) -> Iterator[ApiRoute]:
        """Yield the routes."""
        yield ApiRoute(
            method="GET",
            template=_CLOCK,
            action="GetClock",
            summary="The time of the server",
            handle=self._get,
            response=ClockDocument,
        )
        yield ApiRoute(
            method="POST",
            template=f"{_CLOCK}/advance",
            action="AdvanceClock",
            summary="Move the clock forward; answered when all that was due on the way is durable",
            handle=self._advance,
            body=AdvanceBody,
            response=ClockDocument,
        )
        yield ApiRoute(
            method="POST",
            template=f"{_CLOCK}/freeze",
            action="FreezeClock",
            summary="Let the clock stand still, now or at a later time",
            handle=self._freeze,
            body=FreezeBody,
            is_body_optional=True,
            response=ClockDocument,
        )
        yield ApiRoute(
            method="POST",
            template=f"{_CLOCK}/resume",
            action="ResumeClock",
            summary="Let the clock go on from where it stands",
            handle=self._resume,
            body=ResumeBody,
            is_body_optional=True,
            response=ClockDocument,
        )

    async def _get(self, _call: ApiCall) -> ApiResponse:
        return _response(self._control.state)

    async def _advance(self, call: ApiCall) -> ApiResponse:
        return _response(await self._control.advance(round(call.body.seconds * 1_000)))

    async def _freeze(self, call: ApiCall) -> ApiResponse:
        at: datetime | None = call.body.at
        return _response(await self._control.freeze(at_ms=None if at is None else epoch_ms(at)))

    async def _resume(self, _call: ApiCall) -> ApiResponse:
        return _response(await self._control.resume())


def _response(state: ClockState) -> ApiResponse:
    return json_response(ClockDocument(now=iso8601(state.now_ms), is_frozen=state.is_frozen))
