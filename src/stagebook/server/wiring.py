"""The wiring of the server: the translation of its settings to the values that each part takes.

The parts do not know the settings. Each has its own, smaller type of configuration, which is made here.
"""

import os
import pwd
import socket
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import structlog

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
from stagebook.config.rules import INGEST_PATH, Address, ConfigError
from stagebook.config.settings import Settings
from stagebook.data_folder.rtmps_certificate import LOCAL_HOSTS, check_certificate_files
from stagebook.data_folder.secrets import DataFolder
from stagebook.manager.controlled.keys_of_tests import KeysOfTests
from stagebook.manager.resources.public_key_service import KeyRing
from stagebook.manager.retention import Retention
from stagebook.manager.stage_manager import StageManager
from stagebook.manager.tokens.jwt_authority import JwtAuthority
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.manager.tokens.token_payload import CONNECTION_LIFETIME_SECONDS, LIFETIME_SECONDS
from stagebook.media.codecs.codec_names import Codec
from stagebook.media.composition.composition_port import CompositionEngine
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.port import MediaEngine
from stagebook.media.recording.processes.recorder_pool import RecorderPool
from stagebook.media.recording.recording_port import RecordingEngine
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.server.composition_wiring import channel_directory
from stagebook.server.http.http_server import HttpLimits
from stagebook.server.http.pipeline_turns import PIPELINED_PER_SECOND
from stagebook.server.listen_sockets import ListenSockets
from stagebook.server.media_engine.process_timeouts import recorder_timeouts
from stagebook.server.server_secrets import ServerSecrets
from stagebook.server.system_clock import SystemClock, SystemRandomness
from stagebook.stage.clock import Clock, Randomness

DEFAULT_MEDIA_USER = "nobody"
"""The user of the media processes of a server that root starts."""

FEED_TICKET_MARGIN_SECONDS = 60.0
"""Extra lifetime of a feed ticket beyond `rtmp_media_timeout_seconds`. The two timeouts are independent."""

TOKEN_CLOCK_MARGIN_MS = 24 * 3_600 * 1_000
"""How much longer than the lifetime of a token its revocation is kept: the clocks of token issuers differ."""

MAX_DEFAULT_INGEST_PROCESSES = 4
"""Each takes about 60 MB, and four serve 128 encoders by default."""

_log = structlog.get_logger(__name__)


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


def media_process_user(settings: Settings) -> ProcessUser | None:
    """Return the user that the media processes become, None if they keep that of the server.

    Raises ConfigError if `media_user` does not exist, and if it is set although root has not started the server.
    """
    if os.geteuid() != 0:
        if settings.media_user:
            raise ConfigError(name="media_user", rule="needs a server that root has started")
        return None
    if settings.media_user == "":
        return None
    name = settings.media_user or DEFAULT_MEDIA_USER
    try:
        account = pwd.getpwnam(name)
    except KeyError as error:
        raise ConfigError(name="media_user", rule=f"there is no user {name} on this machine") from error
    if account.pw_uid == 0:
        raise ConfigError(name="media_user", rule=f"{name} has the user id of root")
    return ProcessUser(user_id=account.pw_uid, group_id=account.pw_gid)


def engine_settings(settings: Settings, *, host: str) -> EngineSettings:
    """Return the settings of each engine process. `host` is the IP address of the HTTP server."""
    return EngineSettings(
        bind_addresses=settings.media_bind or (host,),
        udp_port=settings.media_port,
        # With LiveKit no engine process starts.
        tcp_port=settings.tcp_media_port if settings.media_engine == "stagebook" else None,
        announced_addresses=settings.media_announce,
        consent_timeout_seconds=settings.media_consent_timeout_seconds,
        connect_timeout_seconds=settings.media_connect_timeout_seconds,
        max_connections=settings.media_connections_limit,
        video_codecs=tuple(Codec[codec] for codec in settings.video_codecs),
        max_bitrate_bps=settings.limits.publish_bitrate_bps,
        feed_ticket_seconds=settings.rtmp_media_timeout_seconds + FEED_TICKET_MARGIN_SECONDS,
    )


def build_recorders(
    settings: Settings, *, engines: EnginePool, folder: DataFolder, user: ProcessUser | None
) -> RecorderPool:
    """Return what records participants. Its process starts when it is needed, as `user`."""
    return RecorderPool(
        engines,
        # The process has the folder of recordings as its working directory.
        storage=settings.object_storage(Path()),
        folder=folder.recordings_path,
        spool_bytes=settings.recording_spool_megabytes * 1_000_000,
        end_timeout_seconds=settings.recording_end_timeout_seconds,
        max_left_seconds=settings.recording_leftover_days * 86_400,
        user=user,
        timeouts=recorder_timeouts(settings),
    )


def rtmps_certificate_files(settings: Settings, *, folder: DataFolder, now: datetime) -> tuple[Path, Path] | None:
    """Return the paths of the RTMPS certificate and its private key, or None if RTMPS is switched off.

    They are the configured files, or a self-signed pair in the data folder, which is generated if necessary. Raises
    ConfigError if the configured files cannot be used, and DataFolderError if those of the folder cannot be.
    """
    if settings.rtmps_address is None:
        return None
    if settings.rtmps_certificate is None or settings.rtmps_private_key is None:
        folder.prepare_certificate(hosts=_certificate_hosts(settings, settings.rtmps_address), now=now)
        return folder.certificate_path, folder.certificate_key_path
    certificate, private_key = Path(settings.rtmps_certificate).absolute(), Path(settings.rtmps_private_key).absolute()
    end = check_certificate_files(certificate, private_key)
    if end < now:
        _log.warning("the RTMPS certificate has expired: encoders may refuse it", path=str(certificate), end=str(end))
    return certificate, private_key


def _certificate_hosts(settings: Settings, address: Address) -> Sequence[str]:
    urls = (public_base_url(settings, port=settings.address.port), settings.rtmps_public_url)
    hosts = [urlsplit(url).hostname for url in urls if url is not None]
    return [*LOCAL_HOSTS, *(host for host in hosts if host), *([] if address.is_wildcard else [address.host])]


def ingest_process_count(settings: Settings, *, cores: int) -> int:
    """Return the number of ingest processes. `cores` are the CPU cores that the server may use."""
    # One core is the server's own, and the engine processes have one each.
    free_cores = cores - 1 - settings.media_processes
    return settings.ingest_processes or min(max(free_cores, 1), MAX_DEFAULT_INGEST_PROCESSES)


def ingest_settings(settings: Settings) -> IngestSettings:
    """Return the settings of the ingest processes."""
    return IngestSettings(
        connect_timeout_seconds=settings.rtmp_connect_timeout_seconds,
        media_timeout_seconds=settings.rtmp_media_timeout_seconds,
        silence_timeout_seconds=settings.rtmp_silence_timeout_seconds,
        max_buffer_seconds=settings.rtmp_buffer_seconds,
        max_connections=settings.rtmp_connections_limit,
        max_streams=settings.rtmp_streams_limit,
        max_connections_per_address=settings.rtmp_connections_per_address_limit,
        shared_networks=settings.trusted_proxies,
        max_message_bytes=settings.rtmp_message_limit_bytes,
    )
