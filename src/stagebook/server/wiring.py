"""The wiring of the server: the translation of its settings to the values that each part takes.

The parts do not know the settings. Each has its own, smaller type of configuration, which is made here. Those of the
media processes are made in `media_engine/media_process_settings.py`.
"""

import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from stagebook.api.access.sigv4.credentials import CredentialStore
from stagebook.api.asgi import Application
from stagebook.api.aws.access.call_rates import Throttle
from stagebook.api.aws.access.injected_faults import InjectedFaults
from stagebook.api.aws.aws_api import AwsApi
from stagebook.api.aws.operation_calls import OperationCalls
from stagebook.api.aws.operations import operations
from stagebook.api.fault_table import FaultTable
from stagebook.api.participants.request_limits import RequestLimits
from stagebook.api.participants.whip.ice_server_headers import IceServer, IceServerHeaders
from stagebook.api.request_counts import RequestCounts
from stagebook.book.book_pages import BookPages
from stagebook.book.decision_book import DecisionBook
from stagebook.book.retention_policy import RetentionPolicy
from stagebook.book.store import Book
from stagebook.config.rules import INGEST_PATH, Address
from stagebook.config.settings import Settings
from stagebook.manager.compositions.composition_service import ChannelDirectory
from stagebook.manager.controlled.keys_of_tests import KeysOfTests
from stagebook.manager.resources.public_key_service import KeyRing
from stagebook.manager.retention import Retention
from stagebook.manager.stage_manager import StageManager
from stagebook.manager.tokens.jwt_authority import JwtAuthority
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.manager.tokens.token_payload import CONNECTION_LIFETIME_SECONDS, LIFETIME_SECONDS
from stagebook.media.composition.composition_port import CompositionEngine
from stagebook.media.port import MediaEngine
from stagebook.media.recording.recording_port import RecordingEngine
from stagebook.server.http.http_server import HttpLimits
from stagebook.server.http.pipeline_turns import PIPELINED_PER_SECOND
from stagebook.server.listen_sockets import ListenSockets
from stagebook.server.server_secrets import ServerSecrets
from stagebook.server.system_clock import SystemClock, SystemRandomness
from stagebook.stage.clock import Clock, Randomness

CHANNEL_OF_TESTS = "rtmp://127.0.0.1:1/testing/channel"
"""An address at which no server can be. Compositions without media never connect to it."""

TOKEN_CLOCK_MARGIN_MS = 24 * 3_600 * 1_000
"""How much longer than the lifetime of a token its revocation is kept: the clocks of token issuers differ."""


def public_base_url(settings: Settings, *, port: int) -> str:
    """Return the base URL for clients: the setting `public_url`, or the listen address with the bound `port`."""
    if settings.public_url is not None:
        return settings.public_url
    host = "127.0.0.1" if settings.address.is_wildcard else settings.address.host
    return f"http://{Address(host=host, port=port)}"


def public_endpoints(settings: Settings, *, public_url: str, sockets: ListenSockets) -> Endpoints:
    """Return the endpoint URLs of stages and tokens. RTMP and RTMPS have none if they are switched off."""
    websocket_url = "ws" + public_url.removeprefix("http")
    host = urlsplit(public_url).hostname or ""

    def ingest_url(scheme: str, bound: socket.socket | None, configured: str | None) -> str | None:
        if bound is None:
            return None
        return configured or f"{scheme}://{Address(host=host, port=bound.getsockname()[1])}{INGEST_PATH}"

    return Endpoints(
        events=f"{websocket_url}/events",
        whip=f"{public_url}/whip",
        rtmp=ingest_url("rtmp", sockets.rtmp, settings.rtmp_public_url),
        rtmps=ingest_url("rtmps", sockets.rtmps, settings.rtmps_public_url),
    )


def build_stage_manager(
    settings: Settings,
    *,
    book: DecisionBook,
    media: MediaEngine,
    composition: CompositionEngine | None,
    recording: RecordingEngine,
    secrets: ServerSecrets,
    endpoints: Endpoints,
    clock: Clock,
    randomness: Randomness,
    connection_randomness: Randomness,
    test_keys: KeysOfTests | None = None,
) -> StageManager:
    """Return a stage manager that is not started yet.

    With `test_keys`, for a testing server, these are valid beside the imported ones, equal tokens have equal
    signatures, and every channel is known.
    """
    imported = KeyRing(book).find
    return StageManager(
        book=book,
        media=media,
        tokens=JwtAuthority(
            private_key_pem=secrets.token_signing_key_pem,
            endpoints=endpoints,
            find_key=imported if test_keys is None else test_keys.before(imported),
            attributes_size_bytes=settings.limits.attributes_size_bytes,
            is_deterministic=test_keys is not None,
        ),
        endpoints=endpoints,
        limits=settings.limits,
        region=settings.region,
        clock=clock,
        randomness=randomness,
        connection_randomness=connection_randomness,
        linger_ms=round(settings.session_linger_seconds * 1000),
        composition=composition,
        recording=recording,
        channel_url=channel_directory(settings, is_testing=test_keys is not None),
    )


def channel_directory(settings: Settings, *, is_testing: bool) -> ChannelDirectory:
    """Return the channels of compositions. A server with `--testing` and without `channels` accepts every ARN."""
    if not is_testing or settings.channels:
        return settings.channel_url
    return lambda _channel_arn: CHANNEL_OF_TESTS


def build_retention(settings: Settings, *, book: Book, manager: StageManager) -> Retention:
    """Return the deletion by age, as the settings configure it."""
    overrides = settings.retention_overrides
    policy = RetentionPolicy(
        default_days=settings.retention_days,
        account_days={name: days for name, days in overrides.items() if not name.startswith("arn:")},
        stage_days={name: days for name, days in overrides.items() if name.startswith("arn:")},
        participant_token_ms=LIFETIME_SECONDS * 1_000 + TOKEN_CLOCK_MARGIN_MS,
        connection_token_ms=CONNECTION_LIFETIME_SECONDS * 1_000 + TOKEN_CLOCK_MARGIN_MS,
    )
    return Retention(book=book, policy=policy, now=manager.now)


def build_operation_calls(
    settings: Settings,
    *,
    manager: StageManager,
    pages: BookPages,
    secrets: ServerSecrets,
    running_ns: Callable[[], int],
) -> OperationCalls:
    """Return the AWS operations of this stage manager. `running_ns` is the clock of the call rates, in nanoseconds."""
    return OperationCalls(
        operations(
            manager,
            pages,
            page_token_secret=secrets.page_token_secret,
            oldest_first=settings.events_order == "oldest_first",
        ),
        region=settings.region,
        randomness=SystemRandomness(),
        throttle=Throttle(settings.limits, monotonic_ns=running_ns),
    )


def build_aws_api(
    settings: Settings,
    *,
    calls: OperationCalls,
    credentials: CredentialStore,
    requests: RequestCounts,
    faults: FaultTable | None = None,
) -> Application:
    """Return the AWS API. It counts its requests in `requests`. The first of `credentials` is that of the server.

    `faults` are those that a test asks for.
    """
    return AwsApi(
        calls=calls,
        credentials=credentials,
        clock=SystemClock(),
        region=settings.region,
        allowed_origins=settings.allowed_origins,
        unsigned_as=next(iter(credentials)) if settings.auth == "off" else None,
        unsigned_hosts=(settings.address.host, urlsplit(settings.public_url or "").hostname or ""),
        faults=None if faults is None else InjectedFaults(faults),
        body_timeout_seconds=settings.request_timeout_seconds,
        requests=requests,
    )


def participant_request_limits(settings: Settings) -> RequestLimits:
    """Return the limits of requests to the participants API."""
    return RequestLimits(
        offer_size_bytes=settings.offer_limit_bytes, body_timeout_seconds=settings.request_timeout_seconds
    )


def ice_server_headers(settings: Settings) -> IceServerHeaders:
    """Return the STUN and TURN servers that participants are told about. STUN needs no credentials."""
    servers = [
        IceServer(url=url, secret=server.secret, username=server.username, credential=server.credential)
        if url.startswith("turn")
        else IceServer(url=url)
        for server in settings.ice_servers
        for url in server.urls
    ]
    # A TURN server has the real time, also when a test moves the server's.
    return IceServerHeaders(servers, lifetime_seconds=settings.ice_credentials_seconds, wall_clock=time.time)


def http_limits(settings: Settings) -> HttpLimits:
    """Return the limits of the HTTP server."""
    return HttpLimits(
        connections=settings.connections_limit,
        connections_per_network=settings.connections_limit // 2,
        request_timeout_seconds=settings.request_timeout_seconds,
        keep_alive_seconds=settings.keep_alive_seconds,
        websocket_message_size_bytes=RequestLimits().events_message_size_bytes,
        websocket_ping_seconds=settings.websocket_ping_seconds,
        websocket_timeout_seconds=settings.websocket_timeout_seconds,
        shutdown_timeout_seconds=settings.shutdown_timeout_seconds,
        pipelined_per_second=PIPELINED_PER_SECOND,
    )
