"""How an encoder's connection ended: the value, and the only place where an exception becomes one.

A StreamEnd says three things: what is logged, what the encoder receives (an RTMP status message), and which fact is
reported to the server (Closed, IngestFailed, or none).
"""

import msgspec
import structlog

from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.ingest.encoder_socket import NotReadError
from stagebook.media.ingest.media_bus_writer import FeedLostError
from stagebook.media.port import SERVER_FAULT, CloseCause, Closed, IngestFailed, IngestFault
from stagebook.media.rtmp.rtmp_error import RtmpError

_log = structlog.get_logger(__name__)


class StreamEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one connection.

    `fault` is set if the encoder broke a rule, `cause` if the connection ended otherwise by itself. Neither is set if
    the server closed or refused the connection, which it does not report to itself. `detail` is for the log, and for
    the encoder if it is reachable: it did not leave and its connection is not broken.
    """

    detail: str
    cause: CloseCause | None = None
    fault: IngestFault | None = None
    is_encoder_reachable: bool = True

    @property
    def status_text(self) -> str:
        """The description that the encoder receives: the detail, after an AWS error code if there is one."""
        code = SERVER_FAULT if self.cause is CloseCause.ENGINE_LOST else self.fault
        return self.detail if code is None else f"{code}: {self.detail}"

    def fact(self, connection_id: str) -> Closed | IngestFailed | None:
        """Return the fact to report about an admitted connection; None if the server itself ended it."""
        if self.fault is not None:
            return IngestFailed(connection_id=connection_id, fault=self.fault, detail=self.detail)
        if self.cause is not None:
            return Closed(connection_id=connection_id, cause=self.cause)
        return None


class StreamEndedError(Exception):
    """The connection is to be ended with `stream_end`."""

    def __init__(self, stream_end: StreamEnd) -> None:
        super().__init__(stream_end.detail)
        self.stream_end = stream_end


ENCODER_LEFT = StreamEnd(detail="the encoder left", cause=CloseCause.PEER_CLOSED, is_encoder_reachable=False)
RELAY_ENDED = StreamEnd(detail="another node served the encoder", is_encoder_reachable=False)
FEED_LOST = StreamEnd(detail="the media server lost the stream", cause=CloseCause.ENGINE_LOST)


def stream_end_of(error: Exception) -> StreamEnd:
    """Return the end of a connection on which `error` was raised. Errors of any type are accepted."""
    match error:
        case StreamEndedError():
            return error.stream_end
        case InputFaultError():
            return StreamEnd(detail=error.detail, fault=error.fault)
        case RtmpError():
            return StreamEnd(detail=error.detail, fault=IngestFault.INPUT)
        case FeedLostError():
            # Not a warning: when the server ends a stream, the engine may close the feed first.
            _log.info("encoder feed lost", detail=str(error))
            return FEED_LOST
        case NotReadError():
            return StreamEnd(detail=str(error), cause=CloseCause.TRANSPORT_FAILED)
        case TimeoutError():
            # Raised by the kernel (TCP_USER_TIMEOUT, keepalive): the encoder does not acknowledge what was sent.
            return StreamEnd(detail="the network is silent", cause=CloseCause.CONSENT_LOST, is_encoder_reachable=False)
        case OSError():
            detail = f"the connection broke: {error.strerror or type(error).__name__}"
            return StreamEnd(detail=detail, cause=CloseCause.TRANSPORT_FAILED, is_encoder_reachable=False)
        case _:
            _log.error("encoder stream failed", exc_info=error)
            return StreamEnd(detail="the media server failed", cause=CloseCause.ENGINE_LOST)
