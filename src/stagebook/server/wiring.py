"""What each part of the server is told: the settings, translated into the values that the parts were made for."""

import socket
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import structlog

from stagebook.api.asgi import Application
from stagebook.api.aws.access.call_rates import Throttle
from stagebook.api.aws.access.policy import parse_policy
from stagebook.api.aws.aws_api import AwsApi
from stagebook.api.aws.operations import operations
from stagebook.api.aws.sigv4.credentials import Credential, Credentials
from stagebook.api.participants.request_limits import RequestLimits
from stagebook.book.store import Book
from stagebook.config.rules import INGEST_PATH, Address, ConfigError
from stagebook.config.settings import Settings
from stagebook.data_folder.rtmps_certificate import LOCAL_HOSTS, check_pair
from stagebook.data_folder.secrets import AccessKey, DataFolder
from stagebook.manager.resources.public_key_service import KeyRing
from stagebook.manager.stage_manager import StageManager
from stagebook.manager.tokens.jwt_authority import JwtAuthority
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.media.codecs.codec_names import Codec
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.port import MediaEngine
from stagebook.media.rtc.engine.engine_settings import EngineSettings
from stagebook.server.http_server import HttpBounds
from stagebook.server.listen_sockets import ListenSockets
from stagebook.server.system_clock import SystemClock, SystemRandomness

FEED_OPENING_SECONDS = 60.0
"""How much longer than an encoder's media may take the way to the forwarder stays open: the two count by themselves."""

_log = structlog.get_logger(__name__)


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """The secrets of one server, from its data folder and its settings."""

    access_key: AccessKey
    token_signing_key_pem: bytes
    page_token_secret: bytes
    credentials: tuple[Credential, ...]

    def __repr__(self) -> str:
        return "Secrets(...)"

    @classmethod
    def read(cls, folder: DataFolder, settings: Settings) -> "Secrets":
        """Return them; what is not in the folder yet is made. Raises DataFolderError and ConfigError."""
        randomness = SystemRandomness()
        access_key = folder.access_key(account_id=settings.account_id, randomness=randomness)
        own = Credential(
            access_key_id=access_key.access_key_id,
            secret_access_key=access_key.secret_access_key,
            account_id=access_key.account_id,
        )
        return cls(
            access_key=access_key,
            token_signing_key_pem=folder.token_signing_key(),
            page_token_secret=folder.page_token_secret(randomness=randomness),
            credentials=(own, *_configured_credentials(settings)),
        )

    def never_to_be_logged(self) -> Sequence[str]:
        """Return every text that must not appear in a log line."""
        return [credential.secret_access_key for credential in self.credentials]


def _configured_credentials(settings: Settings) -> Sequence[Credential]:
    try:
        return [
            Credential(
                access_key_id=credential.access_key_id,
                secret_access_key=credential.secret_access_key,
                account_id=credential.account_id,
                user_name=credential.user_name,
                policy=parse_policy(credential.policy),
            )
            for credential in settings.credentials
        ]
    except ValueError as error:
        raise ConfigError(name="credentials", rule=str(error)) from error


def public_address(settings: Settings, *, port: int) -> str:
    """Return the URL clients reach the server by: the setting, or the listening address with its real port."""
    if settings.public_url is not None:
        return settings.public_url
    host = "127.0.0.1" if settings.address.is_wildcard else settings.address.host
    return f"http://{Address(host=host, port=port)}"


def endpoints(settings: Settings, *, public_url: str, listening: ListenSockets) -> Endpoints:
    """Return the addresses that stages and tokens carry."""
    websocket_url = "ws" + public_url.removeprefix("http")
    host = urlsplit(public_url).hostname or ""

    def ingest_url(scheme: str, bound: socket.socket | None, configured: str | None) -> str | None:
        if bound is None:
            return None
        return configured or f"{scheme}://{Address(host=host, port=bound.getsockname()[1])}{INGEST_PATH}"

    return Endpoints(
        events=f"{websocket_url}/events",
        whip=f"{public_url}/whip",
        rtmp=ingest_url("rtmp", listening.rtmp, settings.rtmp_public_url),
        rtmps=ingest_url("rtmps", listening.rtmps, settings.rtmps_public_url),
    )


def build_stage_manager(
    settings: Settings, *, book: Book, media: MediaEngine, secrets: Secrets, endpoints: Endpoints
) -> StageManager:
    """Return the stage manager over this book and these engines, not started yet."""
    return StageManager(
        book=book,
        media=media,
        tokens=JwtAuthority(
            private_key_pem=secrets.token_signing_key_pem,
            endpoints=endpoints,
            find_key=KeyRing(book).find,
            attributes_size_bytes=settings.limits.attributes_size_bytes,
        ),
        endpoints=endpoints,
        limits=settings.limits,
        region=settings.region,
        clock=SystemClock(),
        randomness=SystemRandomness(),
        linger_ms=round(settings.session_linger_seconds * 1000),
    )


def build_aws_api(settings: Settings, *, manager: StageManager, secrets: Secrets) -> Application:
    """Return the AWS door over this manager."""
    own = secrets.credentials[0]
    return AwsApi(
        operations=operations(
            manager,
            page_token_secret=secrets.page_token_secret,
            oldest_first=settings.events_order == "oldest_first",
        ),
        credentials=Credentials(secrets.credentials),
        clock=SystemClock(),
        randomness=SystemRandomness(),
        region=settings.region,
        allowed_origins=settings.allowed_origins,
        unsigned_as=own if settings.auth == "off" else None,
        throttle=Throttle(settings.limits, monotonic_ns=time.monotonic_ns),
        body_timeout_seconds=settings.request_timeout_seconds,
    )


def join_limits(settings: Settings) -> RequestLimits:
    """Return the bounds of the participants' door."""
    return RequestLimits(
        offer_size_bytes=settings.offer_limit_bytes, body_timeout_seconds=settings.request_timeout_seconds
    )


def http_bounds(settings: Settings) -> HttpBounds:
    """Return the bounds of the HTTP server."""
    return HttpBounds(
        connections=settings.connections_limit,
        request_timeout_seconds=settings.request_timeout_seconds,
        keep_alive_seconds=settings.keep_alive_seconds,
        websocket_message_size_bytes=RequestLimits().events_message_size_bytes,
        websocket_ping_seconds=settings.websocket_ping_seconds,
        websocket_timeout_seconds=settings.websocket_timeout_seconds,
        shutdown_timeout_seconds=settings.shutdown_timeout_seconds,
    )


def engine_settings(settings: Settings, *, host: str) -> EngineSettings:
    """Return what each media engine is told; `host` is the IP address that HTTP is served on."""
    return EngineSettings(
        bind_addresses=settings.media_bind or (host,),
        udp_port=settings.media_port,
        announced_addresses=settings.media_announce,
        consent_timeout_seconds=settings.media_consent_timeout_seconds,
        connect_timeout_seconds=settings.media_connect_timeout_seconds,
        max_connections=settings.media_connections_limit,
        video_codecs=tuple(Codec[codec] for codec in settings.video_codecs),
        max_bitrate_bps=settings.limits.publish_bitrate_bps,
        feed_ticket_seconds=settings.rtmp_media_timeout_seconds + FEED_OPENING_SECONDS,
    )


def certificate_files(settings: Settings, *, folder: DataFolder, now: datetime) -> tuple[Path, Path] | None:
    """Return the PEM files of RTMPS, certificate and key: the configured ones, or a self-made pair in the folder.

    None without RTMPS. Raises ConfigError for configured ones that cannot be used, and DataFolderError.
    """
    if settings.rtmps_address is None:
        return None
    if settings.rtmps_certificate is None or settings.rtmps_private_key is None:
        folder.prepare_certificate(hosts=_certified_hosts(settings, settings.rtmps_address), now=now)
        return folder.certificate_path, folder.certificate_key_path
    certificate, private_key = Path(settings.rtmps_certificate).absolute(), Path(settings.rtmps_private_key).absolute()
    end = check_pair(certificate, private_key)
    if end < now:
        _log.warning("the certificate of RTMPS has ended: encoders may refuse it", path=str(certificate), end=str(end))
    return certificate, private_key


def _certified_hosts(settings: Settings, address: Address) -> Sequence[str]:
    urls = (public_address(settings, port=settings.address.port), settings.rtmps_public_url)
    named = [urlsplit(url).hostname for url in urls if url is not None]
    return [*LOCAL_HOSTS, *(host for host in named if host), *([] if address.is_wildcard else [address.host])]


def ingest_settings(settings: Settings, *, certificate: tuple[Path, Path] | None) -> IngestSettings:
    """Return what the ingest process is told. `certificate` is what `certificate_files` returned."""
    certificate_path, private_key_path = ("", "") if certificate is None else map(str, certificate)
    return IngestSettings(
        connect_timeout_seconds=settings.rtmp_connect_timeout_seconds,
        media_timeout_seconds=settings.rtmp_media_timeout_seconds,
        silence_timeout_seconds=settings.rtmp_silence_timeout_seconds,
        max_buffer_seconds=settings.rtmp_buffer_seconds,
        max_connections=settings.rtmp_connections_limit,
        max_connections_per_address=settings.rtmp_connections_per_address_limit,
        shared_networks=settings.trusted_proxies,
        max_message_bytes=settings.rtmp_message_limit_bytes,
        certificate_path=certificate_path,
        private_key_path=private_key_path,
    )
