"""The routes of the watch API as a server has them: each is authorised by its own action and role."""

from typing import Any
from unittest.mock import AsyncMock, MagicMock

import msgspec
import pytest

from stagebook.api.routes.api_route import ApiCall, ApiRoute
from stagebook.api.routes.openapi_document import with_document
from stagebook.api.watch.watch_description import watch_description
from stagebook.server.watch_wiring import watch_routes

PARTS = MagicMock()
PARTS.history.run = AsyncMock(return_value=None)
"""A resource that a handler looks for before it knows what to require does not exist."""

ROUTES = with_document(watch_routes(PARTS, MagicMock(), MagicMock()), watch_description(version=""))
FOR_EVERY_CALLER = {"SignOut"}
"""Actions that any authenticated caller may do, because they concern only the caller."""


class RequiredError(Exception):
    """Raised by a watcher instead of an answer, so that nothing after it happens."""


class RefusingWatcher:
    """Records what is required of it, and refuses it."""

    account_id = "123456789012"
    name = "refused"

    def __init__(self) -> None:
        self.required: list[tuple[Any, ...]] = []

    def require(self, *required: Any, resource: str | None = None) -> None:  # noqa: ANN401 - recorded as it is
        self.required.append(required)
        raise RequiredError(resource)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.action)
async def test_a_route_requires_its_own_action_and_role(route: ApiRoute) -> None:
    if route.is_public or route.action in FOR_EVERY_CALLER:
        return
    watcher = RefusingWatcher()
    required = {field.encode_name: "x" for field in msgspec.structs.fields(route.query) if field.required}
    query = msgspec.convert(required, route.query)
    call = ApiCall(caller=watcher, path=MagicMock(), query=query, body=MagicMock(), headers={})
    with pytest.raises(RequiredError):
        await route.handle(call)
    assert watcher.required == [(f"stagebook:{route.action}", route.role)]


def test_no_action_and_no_path_occurs_twice() -> None:
    actions = [route.action for route in ROUTES]
    assert len(set(actions)) == len(actions)
    places = [(route.method, route.template) for route in ROUTES]
    assert len(set(places)) == len(places)
