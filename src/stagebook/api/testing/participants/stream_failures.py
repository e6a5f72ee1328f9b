"""How a running publication or subscription without media fails: what a real one does by its media."""

from stagebook.api.testing.participants.peer_services import PeerServices
from stagebook.media.port import CloseCause
from stagebook.media.simulated.simulated_engine import Measured
from stagebook.stage.events import ErrorCode

PUBLICATION_CODES = frozenset(
    {
        ErrorCode.BITRATE_EXCEEDED,
        ErrorCode.RESOLUTION_EXCEEDED,
        ErrorCode.B_FRAME_PRESENT,
        ErrorCode.STREAM_DURATION_EXCEEDED,
        ErrorCode.INTERNAL_SERVER_EXCEPTION,
    }
)
"""The codes with which a running publication can end, whoever publishes."""


def break_publication(services: PeerServices, connection_id: str, code: ErrorCode) -> None:
    """End a running publication with one of PUBLICATION_CODES. Raises ValueError for another code."""
    engine, limits = services.engine, services.manager.limits
    match code:
        case ErrorCode.BITRATE_EXCEEDED:
            for _ in range(limits.publish_bitrate_window_seconds):
                engine.measure(connection_id, Measured(bitrate_bps=limits.publish_bitrate_bps + 1))
        case ErrorCode.RESOLUTION_EXCEEDED:
            width, height = limits.publish_long_side_pixels + 2, limits.publish_short_side_pixels + 2
            engine.measure(connection_id, Measured(width=width, height=height))
        case ErrorCode.B_FRAME_PRESENT:
            engine.measure(connection_id, Measured(has_b_frames=True))
        case ErrorCode.STREAM_DURATION_EXCEEDED:
            services.manager.control.elapse_duration(connection_id)
        case ErrorCode.INTERNAL_SERVER_EXCEPTION:
            engine.lose(connection_id, CloseCause.ENGINE_LOST)
        case _:
            raise ValueError(f"no running publication ends with {code.value}")
