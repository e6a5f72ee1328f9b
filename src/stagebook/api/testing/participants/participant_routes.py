"""The routes of participants without media."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeAlias

import msgspec

from stagebook.api.http_responses import HttpResponse
from stagebook.api.routes.api_route import ApiCall, ApiResponse, ApiRoute, json_response
from stagebook.api.testing.participants.handle_table import HandleTable
from stagebook.api.testing.participants.new_tokens import exchanged_token, new_token
from stagebook.api.testing.participants.participant_failures import fail_join, fail_publish, fail_subscribe
from stagebook.api.testing.participants.peer_documents import (
    ExchangeBody,
    Failure,
    MuteBody,
    NewParticipant,
    ParticipantDocument,
    PeerEventsDocument,
    PublisherBody,
    RecordingFailure,
    SubscribeFailure,
    client_of,
    require_event,
)
from stagebook.api.testing.participants.peer_services import PeerServices, refusals_as_conflicts
from stagebook.api.testing.participants.recording_failures import fail_recording
from stagebook.api.testing.participants.simulated_participant import SimulatedParticipant
from stagebook.history.event_document import EventDocument
from stagebook.stage.resources import Capability, ParticipantState
from stagebook.stage.timestamps import iso8601

MAXIMUM_PARTICIPANTS = 20_000
_ALL = "/testing/v1/participants"
_ONE = f"{_ALL}/{{id}}"
Action: TypeAlias = Callable[[SimulatedParticipant, Any], Awaitable[None]]


class ParticipantRoutes:
    """The routes, and the participants that they have made."""

    def __init__(self, services: PeerServices) -> None:
        self._services = services
        self._participants: HandleTable[SimulatedParticipant] = HandleTable(
            kind="participant", limit=MAXIMUM_PARTICIPANTS
        )

    def routes(self) -> Iterator[ApiRoute]:
        """Yield the routes."""
        yield ApiRoute(
            method="POST",
            template=_ALL,
            action="CreateParticipant",
            summary="Make a participant without media. It has not joined yet",
            handle=self._create,
            body=NewParticipant,
            response=ParticipantDocument,
            status=201,
        )
        yield ApiRoute(
            method="GET",
            template=_ONE,
            action="GetParticipant",
            summary="What a participant is doing",
            handle=self._get,
            response=ParticipantDocument,
        )
        yield ApiRoute(
            method="GET",
            template=f"{_ONE}/events",
            action="ListParticipantEvents",
            summary="The events of a participant in its session",
            handle=self._events,
            response=PeerEventsDocument,
        )
        yield ApiRoute(
            method="DELETE",
            template=_ONE,
            action="DeleteParticipant",
            summary="Let a participant leave, and forget it",
            handle=self._delete,
            status=204,
        )
        for name, action, summary, take, body in _ACTIONS:
            yield self._action(name, action, summary, take, body)

    def _action(
        self, name: str, action: str, summary: str, take: Action, body: type[msgspec.Struct] | None
    ) -> ApiRoute:
        async def handle(call: ApiCall) -> ApiResponse:
            participant = self._participants.get(call.path["id"])
            events = await self._act(participant, lambda: take(participant, call.body))
            require_event(call.body, events)
            return json_response(await self._document(call.path["id"], participant, events))

        return ApiRoute(
            method="POST",
            template=f"{_ONE}/{name}",
            action=action,
            summary=summary,
            handle=handle,
            body=body,
            response=ParticipantDocument,
        )

    async def _create(self, call: ApiCall) -> ApiResponse:
        body: NewParticipant = call.body
        token = await new_token(self._services, body)
        with refusals_as_conflicts():
            claims = self._services.manager.participants.identify(token)
        participant = SimulatedParticipant(
            self._services,
            token=token,
            claims=claims,
            client=client_of(body.client),
            connection_token=body.connection_token,
        )
        return json_response(await self._document(self._participants.add(participant), participant), status=201)

    async def _get(self, call: ApiCall) -> ApiResponse:
        return json_response(await self._document(call.path["id"], self._participants.get(call.path["id"])))

    async def _events(self, call: ApiCall) -> ApiResponse:
        participant = self._participants.get(call.path["id"])
        claims = participant.claims
        events = await participant.recorded.newest_events(claims.stage_arn, (claims.participant_id,))
        return json_response(PeerEventsDocument(events=events))

    async def _delete(self, call: ApiCall) -> ApiResponse:
        participant = self._participants.get(call.path["id"])
        await self._act(participant, participant.leave)
        self._participants.remove(call.path["id"])
        return HttpResponse(status=204)

    async def _act(
        self, participant: SimulatedParticipant, take: Callable[[], Awaitable[None]]
    ) -> tuple[EventDocument, ...]:
        """Let a participant act, after its actions in progress; return the events."""
        async with participant.lock:
            with refusals_as_conflicts():
                return await participant.recorded.record(
                    take,
                    stage_arn=participant.claims.stage_arn,
                    participant_ids=(participant.claims.participant_id,),
                )

    @staticmethod
    async def _document(
        name: str, participant: SimulatedParticipant, events: tuple[EventDocument, ...] = ()
    ) -> ParticipantDocument:
        claims, is_on_stage = participant.claims, participant.is_on_stage
        return ParticipantDocument(
            id=name,
            participant_id=claims.participant_id,
            stage_arn=claims.stage_arn,
            user_id=claims.user_id,
            attributes=claims.attributes,
            state=ParticipantState.CONNECTED if is_on_stage else ParticipantState.DISCONNECTED,
            is_publishing=participant.is_publishing,
            session_id=participant.recorded.session_id,
            left_cause=None
            if is_on_stage
            else await participant.recorded.left_cause(claims.stage_arn, claims.participant_id),
            events=events,
            token=participant.token,
            expiration_time=iso8601(claims.expires_at_seconds * 1_000),
            capabilities=tuple(capability for capability in Capability if capability in claims.capabilities),
            has_joined=participant.has_joined,
            subscribed_to=participant.watched,
        )


async def _join(participant: SimulatedParticipant, _body: None) -> None:
    await participant.join()


async def _publish(participant: SimulatedParticipant, _body: None) -> None:
    await participant.publish()


async def _never_connect(participant: SimulatedParticipant, _body: None) -> None:
    await participant.never_connect()


async def _unpublish(participant: SimulatedParticipant, _body: None) -> None:
    await participant.unpublish()


async def _subscribe(participant: SimulatedParticipant, body: PublisherBody) -> None:
    await participant.subscribe(body.to)


async def _unsubscribe(participant: SimulatedParticipant, body: PublisherBody) -> None:
    await participant.unsubscribe(body.to)


async def _mute(participant: SimulatedParticipant, body: MuteBody) -> None:
    await participant.mute(audio_muted=body.audio_muted, video_stopped=body.video_stopped)


async def _exchange(participant: SimulatedParticipant, body: ExchangeBody) -> None:
    await participant.exchange(exchanged_token(participant.services, body, participant.claims))


async def _lose(participant: SimulatedParticipant, _body: None) -> None:
    await participant.lose_connection()


async def _leave(participant: SimulatedParticipant, _body: None) -> None:
    await participant.leave()


async def _fail_join(participant: SimulatedParticipant, body: Failure) -> None:
    await fail_join(participant, body.error_code)


async def _fail_publish(participant: SimulatedParticipant, body: Failure) -> None:
    await fail_publish(participant, body.error_code)


async def _fail_subscribe(participant: SimulatedParticipant, body: SubscribeFailure) -> None:
    await fail_subscribe(participant, body.error_code, body.to)


async def _fail_recording(participant: SimulatedParticipant, body: RecordingFailure) -> None:
    claims = participant.claims
    await fail_recording(
        participant, body.error_code, body.at, stage_arn=claims.stage_arn, participant_id=claims.participant_id
    )


_ACTIONS: tuple[tuple[str, str, str, Action, type[msgspec.Struct] | None], ...] = (
    ("join", "JoinStage", "Open an events websocket", _join, None),
    ("publish", "Publish", "Publish", _publish, None),
    ("never-connect", "NeverConnect", "Offer to publish, and never connect", _never_connect, None),
    ("unpublish", "Unpublish", "End the publication", _unpublish, None),
    ("subscribe", "Subscribe", "Watch a publisher", _subscribe, PublisherBody),
    ("unsubscribe", "Unsubscribe", "End the subscriptions to a publisher", _unsubscribe, PublisherBody),
    ("mute", "Mute", "Say whether audio is muted and video stopped", _mute, MuteBody),
    ("exchange-token", "ExchangeToken", "Continue with another token", _exchange, ExchangeBody),
    ("lose-connection", "LoseConnection", "Lose all connections, as by a failing network", _lose, None),
    ("leave", "LeaveStage", "End all connections", _leave, None),
    ("fail-join", "FailJoin", "Cause a JOIN_ERROR", _fail_join, Failure),
    ("fail-publish", "FailPublish", "Cause a PUBLISH_ERROR", _fail_publish, Failure),
    ("fail-subscribe", "FailSubscribe", "Cause a SUBSCRIBE_ERROR", _fail_subscribe, SubscribeFailure),
    ("fail-recording", "FailRecording", "Cause a RECORDING_*_FAILED", _fail_recording, RecordingFailure),
)
"""The actions: the last part of the path, the name of the operation, its summary, its function, and its body."""
