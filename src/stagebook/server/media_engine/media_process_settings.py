"""The settings of the media processes: engines, ingest, recorders and compositions; their user and their timeouts."""

import os
import pwd
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import structlog

from stagebook.config.rules import Address, ConfigError
from stagebook.config.settings import Settings
from stagebook.data_folder.rtmps_certificate import LOCAL_HOSTS, check_certificate_files
from stagebook.data_folder.secrets import DataFolder
from stagebook.media.codecs.codec_names import Codec
from stagebook.media.composition.processes.composition_messages import ComposingSetup
from stagebook.media.composition.processes.composition_pool import CompositionPool
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.recording.processes.recorder_pool import STOP_UPLOAD_SECONDS, RecorderPool
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.media.worker.worker_timeouts import WorkerTimeouts
from stagebook.server.wiring import public_base_url

DEFAULT_MEDIA_USER = "nobody"
"""The user of the media processes of a server that root starts."""

FEED_TICKET_MARGIN_SECONDS = 60.0
"""Extra lifetime of a feed ticket beyond `rtmp_media_timeout_seconds`. The two timeouts are independent."""

MAX_DEFAULT_INGEST_PROCESSES = 4
"""Each takes about 60 MB, and four serve 128 encoders by default."""

_BYTES_PER_MEGABYTE = 1_000_000

NODE_TIMEOUT_SECONDS: Final = 5.0
"""How long the media processes of a node go on without it. Longer than the lease of an account (`book/postgres`), so
that a node that is only busy keeps its media."""

_log = structlog.get_logger(__name__)


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
        spool_bytes=settings.recording_spool_megabytes * _BYTES_PER_MEGABYTE,
        end_timeout_seconds=settings.recording_end_timeout_seconds,
        max_left_seconds=settings.recording_leftover_days * 86_400,
        user=user,
        timeouts=recorder_timeouts(settings),
    )


def build_compositions(
    settings: Settings, *, engines: EnginePool, folder: DataFolder, user: ProcessUser | None, cores: int
) -> CompositionPool:
    """Return the engine of compositions. Each of its processes starts with its composition, as `user`.

    `cores` are the CPU cores that the server may use.
    """
    setup = ComposingSetup(
        # The processes have the folder of recordings as their working directory.
        storage=settings.object_storage(Path()),
        spool_bytes=settings.recording_spool_megabytes * _BYTES_PER_MEGABYTE,
        max_left_seconds=settings.recording_leftover_days * 86_400,
        decoding_threads=cores,
    )
    return CompositionPool(
        setup,
        engines,
        folder=folder.recordings_path,
        max_compositions=settings.max_compositions or cores,
        user=user,
        timeouts=process_timeouts(settings),
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


def process_timeouts(settings: Settings, *, stop_seconds: float = WorkerTimeouts().stop_seconds) -> WorkerTimeouts:
    """Return the timeouts of media processes. Those of a node end when it is stopped, as another one takes over."""
    is_node = settings.book == "postgres"
    return WorkerTimeouts(stop_seconds=stop_seconds, server_timeout_seconds=NODE_TIMEOUT_SECONDS if is_node else None)


def recorder_timeouts(settings: Settings) -> WorkerTimeouts:
    """Return the timeouts of the recorder process, which uploads what it has before it ends."""
    return process_timeouts(settings, stop_seconds=STOP_UPLOAD_SECONDS + 5)
