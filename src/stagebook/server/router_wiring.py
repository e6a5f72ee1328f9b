"""The wiring of the router: all APIs of a server, each with the running parts that it uses.

What only a server for tests has is imported late, so that other servers do not load its modules.
"""

import time
from collections.abc import Callable, Collection

from stagebook.api.asgi import Application
from stagebook.api.aws.operation_calls import OperationCalls
from stagebook.api.first_request import OnFirstRequest
from stagebook.api.participants.participants_api import ParticipantsApi
from stagebook.api.routes.route_api import RouteApi
from stagebook.api.watch.console.console_files import ConsoleFiles
from stagebook.api.watch.health import Health, HealthApi
from stagebook.server.metrics.measured_server import ApiRequests, MeasuredServer
from stagebook.server.router import AsgiRouter
from stagebook.server.server_parts import ServerParts
from stagebook.server.watch_wiring import WatchAccessParts, build_watch_api
from stagebook.server.wiring import build_aws_api, build_operation_calls, ice_server_headers, participant_request_limits


def build_calls(parts: ServerParts) -> OperationCalls:
    """Return the AWS operations of a server with these parts."""
    return build_operation_calls(
        parts.settings, manager=parts.manager, pages=parts.pages, secrets=parts.secrets, running_ns=parts.running_ns
    )


def build_router(
    parts: ServerParts,
    *,
    calls: OperationCalls,
    access: WatchAccessParts,
    requests: ApiRequests,
    measured: MeasuredServer,
    health: Callable[[], Health],
) -> AsgiRouter:
    """Return the router of a server with these parts. `requests` counts the requests, `measured` is for the metrics."""
    settings = parts.settings
    faults = None if parts.controlled is None else parts.controlled.faults
    return AsgiRouter(
        aws=build_aws_api(settings, calls=calls, credentials=parts.credentials, requests=requests.aws, faults=faults),
        participants=ParticipantsApi(
            parts.manager.participants,
            whip_redirect=settings.whip_redirect,
            limits=participant_request_limits(settings),
            requests=requests.participants,
            faults=faults,
            ice_servers=ice_server_headers(settings),
        ),
        is_for_participants=ParticipantsApi.serves,
        health=HealthApi(health),
        console=ConsoleFiles(public_url=parts.public_url),
        watch=build_watch_api(parts, calls, access=access, requests=requests.watch),
        testing=_testing_api(parts, operations=calls.router.names),
        metrics=_metrics(parts, measured, access=access),
        livekit_webhooks=_livekit_webhooks(parts),
        log_requests=settings.log_level == "debug",
    )


def _livekit_webhooks(parts: ServerParts) -> Application | None:
    """Return the receiver of LiveKit's webhooks: those of the media engine, or of rooms that are watched."""
    if parts.room_history is not None:
        return parts.room_history.webhooks
    return None if parts.media.livekit is None else parts.media.livekit.webhooks


def _testing_api(parts: ServerParts, *, operations: Collection[str]) -> RouteApi | None:
    if parts.controlled is None:
        return None
    from stagebook.server.testing_wiring import build_testing_api

    return build_testing_api(parts, parts.controlled, operations=operations)


def _metrics(parts: ServerParts, measured: MeasuredServer, *, access: WatchAccessParts) -> Application:
    started_at = time.time()

    def build() -> Application:
        # Imported late, because the library of Prometheus takes long: a server for tests is ready without it.
        from stagebook.server.metrics.metrics_wiring import build_metrics

        return build_metrics(parts.settings, measured, keys=access.authentication, started_at=started_at)

    return build() if parts.controlled is None else OnFirstRequest(build)
