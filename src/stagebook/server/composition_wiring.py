"""The wiring of compositions: the settings of their processes."""

from pathlib import Path

from stagebook.config.settings import Settings
from stagebook.data_folder.secrets import DataFolder
from stagebook.manager.compositions.composition_service import ChannelDirectory
from stagebook.media.composition.processes.composition_messages import ComposingSetup
from stagebook.media.composition.processes.composition_pool import CompositionPool
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.server.media_engine.process_timeouts import process_timeouts

_BYTES_PER_MEGABYTE = 1_000_000
CHANNEL_OF_TESTS = "rtmp://127.0.0.1:1/testing/channel"
"""An address at which no server can be. Compositions without media never connect to it."""


def channel_directory(settings: Settings, *, is_testing: bool) -> ChannelDirectory:
    """Return the channels of compositions. A server with `--testing` and without `channels` accepts every ARN."""
    if not is_testing or settings.channels:
        return settings.channel_url
    return lambda _channel_arn: CHANNEL_OF_TESTS


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
