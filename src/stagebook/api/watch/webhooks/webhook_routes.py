"""The routes of webhooks. Each calls the service in a thread, because the service waits for a file."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import msgspec
import structlog

from stagebook.api.http_responses import HttpResponse
from stagebook.api.routes.api_problems import ApiProblemCode, ApiRefusedError
from stagebook.api.routes.api_route import ApiCall, ApiResponse, ApiRoute, Handle, Role, json_response
from stagebook.api.watch.webhooks.webhook_documents import (
    DeadLetterPage,
    DeliveryPage,
    EnableBody,
    NoMembers,
    PageParameters,
    ReplayDocument,
    RotateBody,
    SampleDocument,
    WebhookDocument,
    WebhookList,
    dead_letter_document,
    delivery_document,
    webhook_document,
)
from stagebook.webhooks.delivery_records import Backlog
from stagebook.webhooks.destination import Destination
from stagebook.webhooks.webhook_service import DestinationPatch, NewDestination, ReplayRequest, WebhookService
from stagebook.webhooks.webhook_tables import WebhookStorageError

_LIST = "/watch/v1/webhooks"
_ONE = f"{_LIST}/{{webhook_id}}"
_log = structlog.get_logger(__name__)
ResultT = TypeVar("ResultT")


class WebhookRoutes:
    """The routes. `backlogs` returns the newest known backlogs, and `on_changed` is called after each change."""

    def __init__(
        self,
        service: WebhookService,
        *,
        backlogs: Callable[[], Mapping[str, Backlog]],
        on_changed: Callable[[], None],
    ) -> None:
        self._service = service
        self._backlogs = backlogs
        self._on_changed = on_changed

    def routes(self) -> Iterator[ApiRoute]:
        """Yield the routes."""
        yield from self._reads()
        yield from self._changes()
        yield from self._requests()

    def _reads(self) -> Iterator[ApiRoute]:
        yield ApiRoute(
            method="GET",
            template=_LIST,
            action="ListWebhooks",
            summary="All webhook destinations of the account",
            handle=self._list,
            response=WebhookList,
        )
        yield ApiRoute(
            method="GET",
            template=_ONE,
            action="GetWebhook",
            summary="A webhook destination and its backlog",
            handle=self._get,
            response=WebhookDocument,
        )
        yield ApiRoute(
            method="GET",
            template=f"{_ONE}/deliveries",
            action="ListWebhookDeliveries",
            summary="What was delivered to a destination, newest first",
            handle=self._deliveries,
            query=PageParameters,
            response=DeliveryPage,
        )
        yield ApiRoute(
            method="GET",
            template=f"{_ONE}/dead-letters",
            action="ListWebhookDeadLetters",
            summary="The events that were given up, oldest first",
            handle=self._dead_letters,
            query=PageParameters,
            response=DeadLetterPage,
        )

    def _changes(self) -> Iterator[ApiRoute]:
        yield _change("POST", _LIST, "CreateWebhook", "Make a destination", self._create, NewDestination, status=201)
        yield _change("PATCH", _ONE, "UpdateWebhook", "Change a destination", self._change, DestinationPatch)
        yield ApiRoute(
            method="DELETE",
            template=_ONE,
            action="DeleteWebhook",
            summary="Remove a destination and its history",
            handle=self._delete,
            role=Role.OPERATOR,
            response=None,
            status=204,
        )
        rotate, enable, disable = f"{_ONE}/rotate-secret", f"{_ONE}/enable", f"{_ONE}/disable"
        yield _change("POST", rotate, "RotateWebhookSecret", "Replace the secret", self._rotate, RotateBody)
        yield _change("POST", enable, "EnableWebhook", "Continue the deliveries", self._enable, EnableBody)
        yield _change("POST", disable, "DisableWebhook", "Stop the deliveries", self._disable, NoMembers)

    def _requests(self) -> Iterator[ApiRoute]:
        """Yield the routes that ask for deliveries, which are made later."""
        yield _change(
            "POST",
            f"{_ONE}/replay",
            "ReplayWebhook",
            "Deliver events again",
            self._replay,
            ReplayRequest,
            response=ReplayDocument,
            status=202,
        )
        yield _change(
            "POST",
            f"{_ONE}/test",
            "TestWebhook",
            "Deliver a test event",
            self._test,
            NoMembers,
            response=SampleDocument,
            status=202,
        )

    async def _list(self, call: ApiCall) -> ApiResponse:
        account_id = _require(call, "ListWebhooks", Role.READER)

        def read() -> WebhookList:
            with self._service.open_store() as store:
                stored = store.backlogs()
                found = store.list_destinations(account_id)
            return WebhookList(webhooks=tuple(self._document(each, stored) for each in found))

        return json_response(await _in_thread(read))

    async def _get(self, call: ApiCall) -> ApiResponse:
        account_id = _require(call, "GetWebhook", Role.READER)

        def read() -> WebhookDocument:
            with self._service.open_store() as store:
                return self._document(store.get_destination(account_id, call.path["webhook_id"]), store.backlogs())

        return json_response(await _in_thread(read))

    def _document(self, destination: Destination, stored: Mapping[str, Backlog]) -> WebhookDocument:
        name = destination.destination_id
        return webhook_document(destination, backlog=self._backlogs().get(name) or stored.get(name))

    async def _deliveries(self, call: ApiCall) -> ApiResponse:
        account_id = _require(call, "ListWebhookDeliveries", Role.READER)
        page: PageParameters = call.query

        def read() -> DeliveryPage:
            with self._service.open_store() as store:
                name = store.get_destination(account_id, call.path["webhook_id"]).destination_id
                before = None if page.cursor is None else _position(page.cursor)
                found = store.deliveries(name, before=before, limit=page.limit + 1)
            shown = found[: page.limit]
            return DeliveryPage(
                deliveries=tuple(map(delivery_document, shown)),
                next_cursor=str(shown[-1].key) if len(found) > len(shown) else None,
            )

        return json_response(await _in_thread(read))

    async def _dead_letters(self, call: ApiCall) -> ApiResponse:
        account_id = _require(call, "ListWebhookDeadLetters", Role.READER)
        page: PageParameters = call.query

        def read() -> DeadLetterPage:
            with self._service.open_store() as store:
                name = store.get_destination(account_id, call.path["webhook_id"]).destination_id
                found = store.dead_letters(name, after=_position(page.cursor or "0"), limit=page.limit + 1)
            shown = found[: page.limit]
            return DeadLetterPage(
                dead_letters=tuple(map(dead_letter_document, shown)),
                next_cursor=str(shown[-1].sequence) if len(found) > len(shown) else None,
            )

        return json_response(await _in_thread(read))

    async def _create(self, call: ApiCall) -> ApiResponse:
        account_id = _require(call, "CreateWebhook", Role.OPERATOR)
        made = await self._change_file(lambda: self._service.create(account_id, call.body))
        return json_response(webhook_document(made, shows_secret=True), status=201)

    async def _change(self, call: ApiCall) -> ApiResponse:
        account_id, name = _require(call, "UpdateWebhook", Role.OPERATOR), call.path["webhook_id"]
        return json_response(
            webhook_document(await self._change_file(lambda: self._service.change(account_id, name, call.body)))
        )

    async def _delete(self, call: ApiCall) -> ApiResponse:
        account_id, name = _require(call, "DeleteWebhook", Role.OPERATOR), call.path["webhook_id"]
        await self._change_file(lambda: self._service.remove(account_id, name))
        return HttpResponse(status=204, headers=(), body=b"")

    async def _rotate(self, call: ApiCall) -> ApiResponse:
        account_id, name = _require(call, "RotateWebhookSecret", Role.OPERATOR), call.path["webhook_id"]
        seconds: int = call.body.keep_previous_seconds
        changed = await self._change_file(lambda: self._service.rotate_secret(account_id, name, keep_seconds=seconds))
        return json_response(webhook_document(changed, shows_secret=True))

    async def _enable(self, call: ApiCall) -> ApiResponse:
        account_id, name = _require(call, "EnableWebhook", Role.OPERATOR), call.path["webhook_id"]
        start_at: str | None = call.body.start_at
        return json_response(
            webhook_document(await self._change_file(lambda: self._service.enable(account_id, name, start_at=start_at)))
        )

    async def _disable(self, call: ApiCall) -> ApiResponse:
        account_id, name = _require(call, "DisableWebhook", Role.OPERATOR), call.path["webhook_id"]
        return json_response(webhook_document(await self._change_file(lambda: self._service.disable(account_id, name))))

    async def _replay(self, call: ApiCall) -> ApiResponse:
        account_id, name = _require(call, "ReplayWebhook", Role.OPERATOR), call.path["webhook_id"]
        count = await self._change_file(lambda: self._service.replay(account_id, name, call.body))
        return json_response(ReplayDocument(webhook_id=name, dead_letters=count), status=202)

    async def _test(self, call: ApiCall) -> ApiResponse:
        account_id, name = _require(call, "TestWebhook", Role.OPERATOR), call.path["webhook_id"]
        event_id = await self._change_file(lambda: self._service.send_test(account_id, name))
        return json_response(SampleDocument(webhook_id=name, event_id=event_id), status=202)

    async def _change_file(self, change: Callable[[], ResultT]) -> ResultT:
        result = await _in_thread(change)
        self._on_changed()
        return result


def _change(
    method: str,
    template: str,
    action: str,
    summary: str,
    handle: Handle,
    body: type[msgspec.Struct],
    *,
    response: type[msgspec.Struct] = WebhookDocument,
    status: int = 200,
) -> ApiRoute:
    """Return a route that only an operator may call."""
    return ApiRoute(
        method=method,
        template=template,
        action=action,
        summary=summary,
        handle=handle,
        role=Role.OPERATOR,
        body=body,
        response=response,
        status=status,
    )


def _require(call: ApiCall, action: str, role: Role) -> str:
    """Return the account of the caller. Raises ApiRefusedError unless it may do this."""
    call.caller.require(f"stagebook:{action}", role)
    return call.caller.account_id


async def _in_thread(work: Callable[[], ResultT]) -> ResultT:
    try:
        return await asyncio.to_thread(work)
    except WebhookStorageError as error:
        _log.error("the file of webhooks cannot be used", detail=str(error))
        raise ApiRefusedError(
            status=503, code=ApiProblemCode.BUSY, detail="the file of webhooks cannot be used; the log has the reason"
        ) from error


def _position(cursor: str) -> int:
    """Return the position of a cursor. SQLite's integers have 64 bits."""
    return min(int(cursor), (1 << 63) - 1)
