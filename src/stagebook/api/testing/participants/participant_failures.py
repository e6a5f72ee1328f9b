"""How a participant without media fails to join, to publish and to subscribe, with each error code.

Each function gives the stage manager the input that causes the code. A code that the event cannot have is refused, with
the call that causes it.
"""

from collections.abc import Awaitable
from contextlib import nullcontext

from msgspec.structs import replace

from stagebook.api.testing.participants.peer_services import conflict
from stagebook.api.testing.participants.simulated_participant import EventsWatcher, SimulatedParticipant
from stagebook.api.testing.participants.stream_failures import PUBLICATION_CODES, break_publication
from stagebook.media.simulated.simulated_offer import SimulatedOffer
from stagebook.stage.claims import Claims
from stagebook.stage.errors import AttemptRefusedError
from stagebook.stage.events import ErrorCode
from stagebook.stage.ids import new_participant_id
from stagebook.stage.resources import Capability

_ENCODER_CODES = frozenset(
    {
        ErrorCode.INVALID_PROTOCOL,
        ErrorCode.INVALID_STREAM_KEY,
        ErrorCode.REUSE_OF_STREAM_KEY,
        ErrorCode.INVALID_INPUT,
    }
)
_REFUSED_OFFERS = {
    ErrorCode.INVALID_AUDIO_CODEC: SimulatedOffer.UNKNOWN_AUDIO_CODEC,
    ErrorCode.INVALID_VIDEO_CODEC: SimulatedOffer.UNKNOWN_VIDEO_CODEC,
    ErrorCode.INTERNAL_SERVER_EXCEPTION: SimulatedOffer.LOST_ENGINE,
}


async def fail_publish(participant: SimulatedParticipant, code: ErrorCode) -> None:
    """Cause a PUBLISH_ERROR with this code. What needs a running publication starts one if there is none.

    Raises ApiRefusedError 409 for a code that this participant cannot cause.
    """
    if code in _ENCODER_CODES:
        raise conflict(f"{code.value}: only encoders cause it: POST /testing/v1/encoders, then its fail-publish")
    if code is ErrorCode.PUBLISHER_NOT_FOUND:
        raise conflict(f"{code.value}: only viewers cause it: use fail-subscribe")
    if code is ErrorCode.INSUFFICIENT_CAPABILITIES:
        claims = await _without(participant, Capability.PUBLISH)
        await _refused(participant, participant.offer(SimulatedOffer.MEDIA, claims), code)
    elif code is ErrorCode.QUOTA_EXCEEDED:
        await _exceed_publishers(participant)
    elif code in _REFUSED_OFFERS and not (code in PUBLICATION_CODES and participant.is_publishing):
        await _refused(participant, participant.offer(_REFUSED_OFFERS[code], participant.admit()), code)
    else:
        if not participant.is_publishing:
            await participant.publish()
        break_publication(participant.services, participant.publication_id or "", code)


async def _exceed_publishers(participant: SimulatedParticipant) -> None:
    if participant.is_publishing:
        raise conflict("QUOTA_EXCEEDED: a participant that publishes already needs no other place: unpublish first")
    claims = participant.admit()
    with participant.services.manager.control.reached_quotas(claims.stage_arn, claims.participant_id):
        await _refused(participant, participant.offer(SimulatedOffer.MEDIA, claims), ErrorCode.QUOTA_EXCEEDED)


async def fail_subscribe(participant: SimulatedParticipant, code: ErrorCode, publisher_id: str | None) -> None:
    """Cause a SUBSCRIBE_ERROR with this code, about `publisher_id`, or about an unknown publisher.

    Raises ApiRefusedError 409 for a code that this participant cannot cause.
    """
    services = participant.services
    to = publisher_id or new_participant_id(services.randomness)
    match code:
        case ErrorCode.STREAM_DURATION_EXCEEDED:
            if publisher_id is None:
                raise conflict(f"{code.value}: needs `to`, the participant id of a publisher")
            watching = participant.subscriptions_to(to) or [await participant.subscribe(to)]
            services.manager.control.elapse_duration(watching[0])
        case ErrorCode.INSUFFICIENT_CAPABILITIES:
            claims = await _without(participant, Capability.SUBSCRIBE)
            await _refused(participant, participant.offer_to_watch(to, claims), code)
        case ErrorCode.QUOTA_EXCEEDED | ErrorCode.PUBLISHER_NOT_FOUND:
            claims = participant.admit()
            is_quota = code is ErrorCode.QUOTA_EXCEEDED
            reached = services.manager.control.reached_quotas(claims.stage_arn, claims.participant_id)
            with reached if is_quota else nullcontext():
                await _refused(participant, participant.offer_to_watch(to, claims), code)
        case _:
            raise conflict(f"{code.value}: AWS documents it for publications: use fail-publish")


async def fail_join(participant: SimulatedParticipant, code: ErrorCode) -> None:
    """Cause a JOIN_ERROR with this code, which can only be QUOTA_EXCEEDED. Raises ApiRefusedError 409 for another."""
    if code is not ErrorCode.QUOTA_EXCEEDED:
        raise conflict(f"{code.value}: no JOIN_ERROR has it: a join fails with QUOTA_EXCEEDED only")
    claims = participant.admit()
    with participant.services.manager.control.reached_quotas(claims.stage_arn, claims.participant_id, of_joins=True):
        await _refused(participant, participant.open_events(claims, EventsWatcher()), code)


async def _without(participant: SimulatedParticipant, capability: Capability) -> Claims:
    """Return the claims of a token of this participant that lacks a capability.

    A participant may show another token of the server. Self-signed tokens replace each other by
    an exchange only: a participant that is on the stage with such a token exchanges it first.
    """
    claims = participant.admit()
    if capability not in claims.capabilities:
        return claims
    lesser = replace(claims, capabilities=claims.capabilities - {capability})
    if claims.key_arn is None or not participant.is_on_stage:
        return lesser
    await participant.exchange(participant.services.keys.sign(lesser, participant.services.manager.endpoints))
    return participant.claims


async def _refused(participant: SimulatedParticipant, attempt: Awaitable[str], code: ErrorCode) -> None:
    """Await an attempt that is to be refused with this code; raise ApiRefusedError 409 if it is not."""
    try:
        connection_id = await attempt
    except AttemptRefusedError as error:
        if error.code is not code:
            raise
    else:
        await participant.withdraw(connection_id)
        raise conflict(f"{code.value}: the server has not refused the attempt")
