"""How an encoder's connection ended, and what of it is told to whom. One place where an error becomes an ending."""

import msgspec
import structlog

from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.ingest.encoder_socket import NotReadError
from stagebook.media.ingest.media_bus_writer import FeedLostError
from stagebook.media.port import SERVER_FAULT, CloseCause, Closed, IngestFailed, IngestFault
from stagebook.media.rtmp.rtmp_error import RtmpError

_log = structlog.get_logger(__name__)


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """`detail` is for the log and, unless the encoder itself ended or is gone, for the encoder.

    At most one of `cause` and `fault` is there; with neither, the server was asked to end it, and nobody is told.
    """

    detail: str
    cause: CloseCause | None = None
    fault: IngestFault | None = None
    is_encoder_there: bool = True

    @property
    def words(self) -> str:
        """What the encoder is told."""
        code = SERVER_FAULT if self.cause is CloseCause.ENGINE_LOST else self.fault
        return self.detail if code is None else f"{code}: {self.detail}"

    def fact(self, connection_id: str) -> Closed | IngestFailed | None:
        """Return what is told of an admitted connection that ended so."""
        if self.fault is not None:
            return IngestFailed(connection_id=connection_id, fault=self.fault, detail=self.detail)
        if self.cause is not None:
            return Closed(connection_id=connection_id, cause=self.cause)
        return None


class EndedError(Exception):
    """Carries an ending to where the connection is ended."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.detail)
        self.ending = ending


LEFT = Ending(detail="the encoder left", cause=CloseCause.PEER_CLOSED, is_encoder_there=False)
FEED_CLOSED = Ending(detail="the media server lost the stream", cause=CloseCause.ENGINE_LOST)


def ending_of(error: Exception) -> Ending:
    """Return the ending that an error means."""
    match error:
        case EndedError():
            return error.ending
        case InputFaultError():
            return Ending(detail=error.detail, fault=error.fault)
        case RtmpError():
            return Ending(detail=error.detail, fault=IngestFault.INPUT)
        case FeedLostError():
            # No warning: an ending that was asked for closes the feed as well, maybe first.
            _log.info("a feed was lost", detail=str(error))
            return FEED_CLOSED
        case NotReadError():
            return Ending(detail=str(error), cause=CloseCause.TRANSPORT_FAILED)
        case TimeoutError():  # the kernel's: nobody acknowledged what was sent
            return Ending(detail="the network is silent", cause=CloseCause.CONSENT_LOST, is_encoder_there=False)
        case OSError():
            detail = f"the connection broke: {error.strerror or type(error).__name__}"
            return Ending(detail=detail, cause=CloseCause.TRANSPORT_FAILED, is_encoder_there=False)
        case _:
            _log.error("an encoder's stream met a fault", exc_info=error)
            return Ending(detail="the media server failed", cause=CloseCause.ENGINE_LOST)
