"""PUT /testing/v1/seed: further ids follow from a number."""

from typing import Annotated, TypeAlias

import msgspec

from stagebook.api.routes.api_route import ApiCall, ApiResponse, ApiRoute, json_response
from stagebook.manager.controlled.seeded_ids import SeededIds

_Seed: TypeAlias = Annotated[
    int, msgspec.Meta(ge=0, le=2**53 - 1, description="The ids follow from it. Null: they are random again.")
]


class SeedDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The seed of ids."""

    seed: _Seed | None


class SeedRoute:
    """The route that sets the seed of `ids`."""

    def __init__(self, ids: SeededIds) -> None:
        self._ids = ids

    def route(self) -> ApiRoute:
        """Return the route."""
        return ApiRoute(
            method="PUT",
            template="/testing/v1/seed",
            action="SetSeed",
            summary="Let further ids follow from a number",
            handle=self._set,
            body=SeedDocument,
            response=SeedDocument,
        )

    async def _set(self, call: ApiCall) -> ApiResponse:
        self._ids.set_seed(call.body.seed)
        return json_response(SeedDocument(seed=self._ids.seed))
