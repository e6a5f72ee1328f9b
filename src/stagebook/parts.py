"""What each part of the server is told: the settings, translated into the values that the parts were made for."""

import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from stagebook.app import Application
from stagebook.book.port import Book
from stagebook.config import Settings
from stagebook.config_rules import Address, ConfigError
from stagebook.doors.aws.credentials import Credential, Credentials
from stagebook.doors.aws.door import AwsDoor
from stagebook.doors.aws.operations import operations
from stagebook.doors.aws.policy import parse_policy
from stagebook.doors.aws.throttle import Throttle
from stagebook.doors.join.limits import JoinLimits
from stagebook.http_server import HttpBounds
from stagebook.keys import AccessKey, DataFolder
from stagebook.manager.jwt import JwtAuthority
from stagebook.manager.manager import StageManager
from stagebook.manager.public_keys import KeyRing
from stagebook.manager.tokens import Endpoints
from stagebook.media.port import MediaEngine
from stagebook.media.webrtc.codec import Codec
from stagebook.media.webrtc.settings import EngineSettings
from stagebook.system import SystemClock, SystemRandomness


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


def endpoints(public_url: str) -> Endpoints:
    """Return the addresses that stages and tokens carry. Nothing listens for RTMP yet; the model wants its form."""
    host = urlsplit(public_url).hostname or ""
    host = f"[{host}]" if ":" in host else host
    websocket_url = "ws" + public_url.removeprefix("http")
    return Endpoints(
        events=f"{websocket_url}/events",
        whip=f"{public_url}/whip",
        rtmp=f"rtmp://{host}:1935/app/",
        rtmps=f"rtmps://{host}:443/app/",
    )


def stage_manager(
    settings: Settings, *, book: Book, media: MediaEngine, secrets: Secrets, public_url: str
) -> StageManager:
    """Return the stage manager over this book and these engines, not started yet."""
    addresses = endpoints(public_url)
    return StageManager(
        book=book,
        media=media,
        tokens=JwtAuthority(
            private_key_pem=secrets.token_signing_key_pem,
            endpoints=addresses,
            find_key=KeyRing(book).find,
            attributes_size_bytes=settings.limits.attributes_size_bytes,
        ),
        endpoints=addresses,
        limits=settings.limits,
        region=settings.region,
        clock=SystemClock(),
        randomness=SystemRandomness(),
        linger_ms=round(settings.session_linger_seconds * 1000),
    )


def aws_door(settings: Settings, *, manager: StageManager, secrets: Secrets) -> Application:
    """Return the AWS door over this manager."""
    own = secrets.credentials[0]
    return AwsDoor(
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


def join_limits(settings: Settings) -> JoinLimits:
    """Return the bounds of the participants' door."""
    return JoinLimits(
        offer_size_bytes=settings.offer_limit_bytes, body_timeout_seconds=settings.request_timeout_seconds
    )


def http_bounds(settings: Settings) -> HttpBounds:
    """Return the bounds of the HTTP server."""
    return HttpBounds(
        connections=settings.connections_limit,
        request_timeout_seconds=settings.request_timeout_seconds,
        keep_alive_seconds=settings.keep_alive_seconds,
        websocket_message_size_bytes=JoinLimits().events_message_size_bytes,
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
    )
