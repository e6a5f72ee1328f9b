"""The timeouts of the media processes of a server."""

from typing import Final

from stagebook.config.settings import Settings
from stagebook.media.recording.processes.recorder_pool import STOP_UPLOAD_SECONDS
from stagebook.media.worker.worker_timeouts import WorkerTimeouts

NODE_TIMEOUT_SECONDS: Final = 5.0
"""How long the media processes of a node go on without it. Longer than the lease of an account (`book/postgres`), so
that a node that is only busy keeps its media."""


def process_timeouts(settings: Settings, *, stop_seconds: float = WorkerTimeouts().stop_seconds) -> WorkerTimeouts:
    """Return the timeouts of media processes. Those of a node end when it is stopped, as another one takes over."""
    is_node = settings.book == "postgres"
    return WorkerTimeouts(stop_seconds=stop_seconds, server_timeout_seconds=NODE_TIMEOUT_SECONDS if is_node else None)


def recorder_timeouts(settings: Settings) -> WorkerTimeouts:
    """Return the timeouts of the recorder process, which uploads what it has before it ends."""
    return process_timeouts(settings, stop_seconds=STOP_UPLOAD_SECONDS + 5)
