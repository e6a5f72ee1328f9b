"""How an encoder without media fails to publish, with each error code.

Each code is caused by what really causes it in the stage manager. A code that no encoder can cause is refused, with the
call that causes it.
"""

from stagebook.api.testing.participants.peer_services import conflict
from stagebook.api.testing.participants.simulated_encoder import SimulatedEncoder
from stagebook.api.testing.participants.stream_failures import PUBLICATION_CODES, break_publication
from stagebook.media.port import IngestFault
from stagebook.media.simulated.simulated_engine import EncoderRefusedError
from stagebook.stage.events import ErrorCode

_FAULTS = {
    ErrorCode.INVALID_AUDIO_CODEC: IngestFault.AUDIO_CODEC,
    ErrorCode.INVALID_VIDEO_CODEC: IngestFault.VIDEO_CODEC,
    ErrorCode.INVALID_INPUT: IngestFault.INPUT,
}


async def fail_encoder(encoder: SimulatedEncoder, code: ErrorCode) -> None:
    """Cause a PUBLISH_ERROR with this code. What needs a running publication starts one if there is none.

    Raises ApiRefusedError 409 for a code that this encoder cannot cause.
    """
    if code in PUBLICATION_CODES:
        if not encoder.is_publishing:
            await encoder.publish()
        break_publication(encoder.services, encoder.connection_id, code)
    elif code in _FAULTS:
        # A new encoder breaks the rule with its first message, before its media counts as arrived.
        connection_id = encoder.connection_id if encoder.is_publishing else await encoder.open()
        encoder.services.engine.break_stream(connection_id, _FAULTS[code])
    else:
        await _be_refused(encoder, code)


async def _be_refused(encoder: SimulatedEncoder, code: ErrorCode) -> None:
    """Ask for admission in a way that is refused with this code."""
    key, is_secure, configuration = encoder.stream_key, encoder.is_secure, encoder.configuration()
    match code:
        case ErrorCode.INVALID_STREAM_KEY:
            await _refused(encoder, code, _with_another_secret(key), is_secure=is_secure)
        case ErrorCode.INVALID_PROTOCOL:
            if configuration.insecure_ingest:
                raise conflict(f"{code.value}: the ingest configuration allows RTMP too: set insecureIngest to false")
            await _refused(encoder, code, key, is_secure=False)
        case ErrorCode.REUSE_OF_STREAM_KEY:
            if encoder.is_publishing or await _is_admitted(encoder):
                await _refused(encoder, code, key, is_secure=is_secure)
        case ErrorCode.QUOTA_EXCEEDED:
            if encoder.is_publishing:
                raise conflict(f"{code.value}: an encoder that publishes already needs no other place: stop it first")
            pair = configuration.stage_arn, encoder.participant_id(configuration)
            with encoder.services.manager.control.reached_quotas(*pair):
                await _refused(encoder, code, key, is_secure=is_secure)
        case ErrorCode.PUBLISHER_NOT_FOUND:
            raise conflict(f"{code.value}: only viewers cause it: use fail-subscribe of a participant")
        case _:
            raise conflict(f"{code.value}: a stream key allows publishing: use fail-publish of a participant")


async def _is_admitted(encoder: SimulatedEncoder) -> bool:
    """Let an encoder publish; return False if another encoder does with its stream key."""
    try:
        await encoder.publish()
    except EncoderRefusedError as error:
        if not _has_code(error, ErrorCode.REUSE_OF_STREAM_KEY):
            raise
        return False
    return True


async def _refused(encoder: SimulatedEncoder, code: ErrorCode, stream_key: str, *, is_secure: bool) -> None:
    """Ask for an admission that is to be refused with this code; raise ApiRefusedError 409 if it is not."""
    engine = encoder.services.engine
    try:
        connection_id = await engine.ask(stream_key, is_secure=is_secure)
    except EncoderRefusedError as error:
        if not _has_code(error, code):
            raise
    else:
        encoder.connection_id = connection_id
        raise conflict(f"{code.value}: the server has not refused the encoder")


def _has_code(error: EncoderRefusedError, code: ErrorCode) -> bool:
    return str(error).startswith(f"{code.value}:")


def _with_another_secret(stream_key: str) -> str:
    return stream_key[:-1] + ("1" if stream_key.endswith("0") else "0")
