"""The wiring of the watch API: its routes, and the access to them."""

import time
from collections.abc import Iterator
from functools import partial

from stagebook.api.aws.operation_calls import OperationCalls
from stagebook.api.position_seal import PositionSeal
from stagebook.api.request_counts import RequestCounts
from stagebook.api.routes.api_route import ApiRoute
from stagebook.api.routes.openapi_document import with_document
from stagebook.api.routes.reader_places import ReaderPlaces
from stagebook.api.routes.route_api import RouteApi
from stagebook.api.watch.access.bearer_keys import BearerKeys
from stagebook.api.watch.access.browser_guard import BrowserGuard
from stagebook.api.watch.access.caller_routes import CallerRoutes, ServerFacts
from stagebook.api.watch.access.console_sessions import ConsoleSessions
from stagebook.api.watch.access.session_cookie import SessionCookie
from stagebook.api.watch.access.signed_requests import SignedRequests
from stagebook.api.watch.access.watch_authentication import WatchAuthentication
from stagebook.api.watch.composition_routes import CompositionRoutes
from stagebook.api.watch.connection_routes import ConnectionRoutes
from stagebook.api.watch.event_search_routes import SearchRoutes
from stagebook.api.watch.export.export_routes import ExportRoutes
from stagebook.api.watch.export.response_parts import RESPONSES_AT_ONCE
from stagebook.api.watch.list_cursor import LIST_CURSOR_PURPOSE, ListCursors
from stagebook.api.watch.live_tail.event_stream import EventStreams
from stagebook.api.watch.media_traffic import MediaTrafficRoutes, total_traffic
from stagebook.api.watch.operator_calls import OperatorCalls
from stagebook.api.watch.sessions.session_routes import SessionRoutes
from stagebook.api.watch.sessions.stage_routes import StageRoutes
from stagebook.api.watch.watch_description import WATCH_PREFIX, watch_description
from stagebook.api.watch.webhooks.webhook_routes import WebhookRoutes
from stagebook.data_folder.bearer_key_file import BearerKeyFile
from stagebook.server.server_parts import ServerParts
from stagebook.server.system_clock import SystemClock, SystemRandomness


class WatchAccessParts:
    """The parts of the access to the watch API. Raises DataFolderError if the file of bearer keys cannot be used."""

    def __init__(self, parts: ServerParts) -> None:
        settings, clock = parts.settings, parts.clock
        keys = self.keys = _bearer_keys(parts)
        self.sessions = ConsoleSessions(keys=keys, randomness=SystemRandomness(), monotonic=time.monotonic)
        self.cookie = SessionCookie(parts.public_url)
        self.guard = BrowserGuard(
            public_url=parts.public_url,
            hosts=(settings.address.host,),
            # They may call the AWS API, with signatures. Without authentication this API is as open as that one; the
            # cookie of a session is for the server's own pages.
            allowed_origins=settings.allowed_origins if settings.auth == "off" else (),
        )
        self.authentication = WatchAuthentication(
            keys=keys,
            sessions=self.sessions,
            cookie=self.cookie,
            signed=SignedRequests(
                # Clients sign with the time of their machine, also while a test has moved the clock.
                credentials=parts.credentials,
                clock=SystemClock(),
                region=settings.region,
            ),
            guard=self.guard,
            region=settings.region,
            now_ms=clock.now_ms,
            monotonic=time.monotonic,
            open_account_id=parts.secrets.access_key.account_id if settings.auth == "off" else None,
        )


def _bearer_keys(parts: ServerParts) -> BearerKeys:
    if parts.node is not None:
        shared = parts.node.bearer_keys
        # Asking it costs nothing: it reads the database beside the event loop.
        return BearerKeys(
            stamp=shared.stamp,
            read=shared.read,
            now_ms=parts.clock.now_ms,
            monotonic=time.monotonic,
            refresh_seconds=0.0,
        )
    file = BearerKeyFile(parts.folder.path)
    file.read()  # a damaged file stops the start
    return BearerKeys(stamp=file.stamp, read=file.read, now_ms=parts.clock.now_ms, monotonic=time.monotonic)


def watch_routes(parts: ServerParts, calls: OperationCalls, access: WatchAccessParts) -> Iterator[ApiRoute]:
    """Yield all routes of the watch API."""
    yield from CallerRoutes(
        server=ServerFacts(version=parts.version, region=parts.settings.region, endpoint_url=parts.public_url),
        authentication=access.authentication,
        sessions=access.sessions,
        cookie=access.cookie,
        guard=access.guard,
        monotonic=time.monotonic,
    ).routes()
    yield from OperatorCalls(calls.call, names=calls.router.names).routes()
    yield from WebhookRoutes(
        parts.webhooks, backlogs=lambda: parts.delivery.backlogs, on_changed=parts.delivery.note_changed
    ).routes()
    yield EventStreams(
        live=parts.live,
        history=parts.history,
        places=ReaderPlaces(parts.settings.watch_streams_limit),
        randomness=SystemRandomness(),
        region=parts.settings.region,
    ).route()
    cursors = ListCursors(PositionSeal(secret=parts.secrets.page_token_secret, purpose=LIST_CURSOR_PURPOSE))
    clock, region = parts.clock, parts.settings.region
    yield from SearchRoutes(parts.history, cursors=cursors, region=region).routes()
    yield from MediaTrafficRoutes(partial(total_traffic, parts.media.engines)).routes()
    places = ReaderPlaces(RESPONSES_AT_ONCE, counted="open exports")
    yield from SessionRoutes(history=parts.history, cursors=cursors, places=places, clock=clock, region=region).routes()
    yield StageRoutes(
        history=parts.history, live_session=parts.manager.live.session, cursors=cursors, clock=clock
    ).route()
    yield from CompositionRoutes(history=parts.history, cursors=cursors, region=region).routes()
    yield ConnectionRoutes(
        live_connections=parts.manager.live.connections,
        statistics=parts.manager.live.statistics,
        region=region,
    ).route()
    yield ExportRoutes(history=parts.history, places=places, region=region).route()


def build_watch_api(
    parts: ServerParts, calls: OperationCalls, *, access: WatchAccessParts, requests: RequestCounts
) -> RouteApi:
    """Return the watch API. It counts its requests in `requests`."""
    return RouteApi(
        prefix=WATCH_PREFIX,
        routes=with_document(watch_routes(parts, calls, access), watch_description(version=parts.version)),
        access=access.authentication,
        body_timeout_seconds=parts.settings.request_timeout_seconds,
        requests=requests,
    )
