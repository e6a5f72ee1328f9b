"""The wiring of the testing API, for a server with `--testing`."""

from collections.abc import Collection, Iterator

from stagebook.api.participants.whip.faulty_requests import WHIP_OPERATIONS
from stagebook.api.request_counts import RequestCounts
from stagebook.api.routes.api_route import ApiRoute
from stagebook.api.routes.openapi_document import with_document
from stagebook.api.routes.route_api import RouteApi
from stagebook.api.testing.account_routes import AccountRoutes, ServedDocument
from stagebook.api.testing.clock_routes import ClockRoutes
from stagebook.api.testing.composition_action_routes import CompositionActionRoutes
from stagebook.api.testing.fault_routes import FaultRoutes
from stagebook.api.testing.fresh_accounts import FreshAccounts
from stagebook.api.testing.participants.encoder_routes import EncoderRoutes
from stagebook.api.testing.participants.participant_routes import ParticipantRoutes
from stagebook.api.testing.participants.peer_services import PeerServices
from stagebook.api.testing.seed_route import SeedRoute
from stagebook.api.testing.testing_access import LoopbackAccess
from stagebook.api.testing.testing_description import TESTING_PREFIX, testing_description
from stagebook.manager.controlled.clock_control import ClockControl
from stagebook.server.controlled_parts import ControlledParts
from stagebook.server.server_parts import ServerParts
from stagebook.server.system_clock import SystemRandomness


def testing_routes(parts: ServerParts, controlled: ControlledParts, operations: Collection[str]) -> Iterator[ApiRoute]:
    """Yield all routes of the testing API. `operations` are the names of those that take faults."""
    access_key = parts.secrets.access_key
    server = ServedDocument(
        version=parts.version,
        region=parts.settings.region,
        endpoint_url=parts.public_url,
        account_id=access_key.account_id,
        access_key_id=access_key.access_key_id,
        secret_access_key=access_key.secret_access_key,
    )
    accounts = FreshAccounts(parts.credentials, randomness=SystemRandomness())
    yield from AccountRoutes(server, accounts).routes()
    clock = ClockControl(controlled.clock, manager=parts.manager, retention=parts.retention, recordings=controlled)
    yield from ClockRoutes(clock).routes()
    yield SeedRoute(controlled.ids).route()
    yield from FaultRoutes(controlled.faults, operations=operations, whip_operations=WHIP_OPERATIONS).routes()
    services = peer_services(parts, controlled)
    yield from ParticipantRoutes(services).routes()
    yield from EncoderRoutes(services).routes()
    yield from CompositionActionRoutes(parts.manager, parts.pages, controlled.composer, controlled).routes()


def peer_services(parts: ServerParts, controlled: ControlledParts) -> PeerServices:
    """Return what participants and encoders without media use."""
    return PeerServices(
        manager=parts.manager,
        pages=parts.pages,
        engine=controlled.simulated,
        recorder=controlled.recorder,
        log=parts.event_log,
        keys=controlled.keys,
        randomness=controlled.ids.of_resources,
    )


def build_testing_api(parts: ServerParts, controlled: ControlledParts, *, operations: Collection[str]) -> RouteApi:
    """Return the testing API. `operations` are the names of those that take faults."""
    return RouteApi(
        prefix=TESTING_PREFIX,
        routes=with_document(testing_routes(parts, controlled, operations), testing_description(version=parts.version)),
        access=LoopbackAccess(),
        body_timeout_seconds=parts.settings.request_timeout_seconds,
        requests=RequestCounts("testing"),
    )
