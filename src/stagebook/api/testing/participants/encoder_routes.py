"""The routes of RTMP encoders without media."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeAlias

import msgspec

from stagebook.api.http_responses import HttpResponse
from stagebook.api.routes.api_route import ApiCall, ApiResponse, ApiRoute, json_response
from stagebook.api.testing.participants.encoder_failures import fail_encoder
from stagebook.api.testing.participants.handle_table import HandleTable
from stagebook.api.testing.participants.peer_documents import (
    EncoderDocument,
    Failure,
    NewEncoder,
    PeerEventsDocument,
    RecordingFailure,
    require_event,
)
from stagebook.api.testing.participants.peer_services import PeerServices, bad_request, refusals_as_conflicts
from stagebook.api.testing.participants.recording_failures import fail_recording
from stagebook.api.testing.participants.simulated_encoder import SimulatedEncoder
from stagebook.history.event_document import EventDocument
from stagebook.manager.resources.ingest_configuration_service import IngestSpec
from stagebook.stage.arns import parse_arn
from stagebook.stage.errors import ResourceNotFoundError
from stagebook.stage.resources import IngestConfiguration, IngestProtocol, ParticipantState
from stagebook.stage.stream_keys import configuration_of_stream_key

MAXIMUM_ENCODERS = 1_000
_ALL = "/testing/v1/encoders"
_ONE = f"{_ALL}/{{id}}"
Action: TypeAlias = Callable[[SimulatedEncoder, Any], Awaitable[None]]


class EncoderRoutes:
    """The routes, and the encoders that they have made."""

    def __init__(self, services: PeerServices) -> None:
        self._services = services
        self._encoders: HandleTable[SimulatedEncoder] = HandleTable(kind="encoder", limit=MAXIMUM_ENCODERS)

    def routes(self) -> Iterator[ApiRoute]:
        """Yield the routes."""
        yield ApiRoute(
            method="POST",
            template=_ALL,
            action="CreateEncoder",
            summary="Make an RTMP encoder without media. It does not publish yet",
            handle=self._create,
            body=NewEncoder,
            response=EncoderDocument,
            status=201,
        )
        yield ApiRoute(
            method="GET",
            template=_ONE,
            action="GetEncoder",
            summary="What an encoder is doing",
            handle=self._get,
            response=EncoderDocument,
        )
        yield ApiRoute(
            method="GET",
            template=f"{_ONE}/events",
            action="ListEncoderEvents",
            summary="The events of an encoder in its session",
            handle=self._events,
            response=PeerEventsDocument,
        )
        yield ApiRoute(
            method="DELETE",
            template=_ONE,
            action="DeleteEncoder",
            summary="Stop an encoder, and forget it",
            handle=self._delete,
            status=204,
        )
        for name, action, summary, take, body in _ACTIONS:
            yield self._action(name, action, summary, take, body)

    def _action(
        self, name: str, action: str, summary: str, take: Action, body: type[msgspec.Struct] | None
    ) -> ApiRoute:
        async def handle(call: ApiCall) -> ApiResponse:
            encoder = self._encoders.get(call.path["id"])
            events = await self._act(encoder, lambda: take(encoder, call.body))
            require_event(call.body, events)
            return json_response(await _document(call.path["id"], encoder, events))

        return ApiRoute(
            method="POST",
            template=f"{_ONE}/{name}",
            action=action,
            summary=summary,
            handle=handle,
            body=body,
            response=EncoderDocument,
        )

    async def _create(self, call: ApiCall) -> ApiResponse:
        body: NewEncoder = call.body
        if (body.stream_key is None) is (body.stage_arn is None):
            raise bad_request("streamKey: is required, or else stageArn, for which an ingest configuration is made")
        stream_key, arn = body.stream_key or "", None
        if body.stage_arn is not None:
            configuration = await self._configure(body, body.stage_arn)
            stream_key, arn = configuration.stream_key, configuration.arn
        elif (named := configuration_of_stream_key(stream_key)) is not None:
            arn = self._services.manager.ingest_configurations.get(str(named)).arn
        if arn is None:
            raise bad_request("streamKey: is not a stream key")
        encoder = SimulatedEncoder(
            self._services,
            configuration_arn=arn,
            stream_key=stream_key,
            is_secure=body.protocol is IngestProtocol.RTMPS,
        )
        return json_response(await _document(self._encoders.add(encoder), encoder), status=201)

    async def _configure(self, body: NewEncoder, stage_arn: str) -> IngestConfiguration:
        if await self._services.pages.get_stage(stage_arn) is None:
            raise ResourceNotFoundError(kind="stage", name=stage_arn)
        insecure = body.protocol is IngestProtocol.RTMP if body.insecure_ingest is None else body.insecure_ingest
        spec = IngestSpec(
            ingest_protocol=body.protocol,
            stage_arn=stage_arn,
            user_id=body.user_id,
            attributes=body.attributes,
            insecure_ingest=insecure,
        )
        return await self._services.manager.ingest_configurations.create(
            account_id=parse_arn(stage_arn).account_id, spec=spec
        )

    async def _get(self, call: ApiCall) -> ApiResponse:
        return json_response(await _document(call.path["id"], self._encoders.get(call.path["id"])))

    async def _events(self, call: ApiCall) -> ApiResponse:
        encoder = self._encoders.get(call.path["id"])
        configuration = encoder.configuration()
        events = await encoder.recorded.newest_events(configuration.stage_arn, _participant_ids(encoder, configuration))
        return json_response(PeerEventsDocument(events=events))

    async def _delete(self, call: ApiCall) -> ApiResponse:
        encoder = self._encoders.get(call.path["id"])
        async with encoder.lock:
            await encoder.stop()
            await self._services.manager.control.settled()
        self._encoders.remove(call.path["id"])
        return HttpResponse(status=204)

    @staticmethod
    async def _act(encoder: SimulatedEncoder, take: Callable[[], Awaitable[None]]) -> tuple[EventDocument, ...]:
        """Let an encoder act, after its actions in progress; return the events.

        With redundant ingest they include those of the virtual participant.
        """
        async with encoder.lock:
            configuration = encoder.configuration()
            with refusals_as_conflicts():
                return await encoder.recorded.record(
                    take,
                    stage_arn=configuration.stage_arn,
                    participant_ids=_participant_ids(encoder, configuration),
                )


def _participant_ids(encoder: SimulatedEncoder, configuration: IngestConfiguration) -> tuple[str, ...]:
    return tuple(dict.fromkeys((encoder.participant_id(configuration), configuration.participant_id)))


async def _document(name: str, encoder: SimulatedEncoder, events: tuple[EventDocument, ...] = ()) -> EncoderDocument:
    configuration = encoder.configuration()
    participant_id, is_publishing = encoder.participant_id(configuration), encoder.is_publishing
    left_cause = None if is_publishing else await encoder.recorded.left_cause(configuration.stage_arn, participant_id)
    return EncoderDocument(
        id=name,
        participant_id=participant_id,
        stage_arn=configuration.stage_arn,
        user_id=configuration.user_id,
        attributes=configuration.attributes,
        state=ParticipantState.CONNECTED if is_publishing else ParticipantState.DISCONNECTED,
        is_publishing=is_publishing,
        session_id=encoder.recorded.session_id,
        left_cause=left_cause,
        events=events,
        stream_key=encoder.stream_key,
        ingest_configuration_arn=configuration.arn,
        protocol=IngestProtocol.RTMPS if encoder.is_secure else IngestProtocol.RTMP,
    )


async def _publish(encoder: SimulatedEncoder, _body: None) -> None:
    await encoder.publish()


async def _stop(encoder: SimulatedEncoder, _body: None) -> None:
    await encoder.stop()


async def _lose(encoder: SimulatedEncoder, _body: None) -> None:
    await encoder.lose_connection()


async def _fail(encoder: SimulatedEncoder, body: Failure) -> None:
    await fail_encoder(encoder, body.error_code)


async def _fail_recording(encoder: SimulatedEncoder, body: RecordingFailure) -> None:
    configuration = encoder.configuration()
    await fail_recording(
        encoder,
        body.error_code,
        body.at,
        stage_arn=configuration.stage_arn,
        participant_id=encoder.participant_id(configuration),
    )


_ACTIONS: tuple[tuple[str, str, str, Action, type[msgspec.Struct] | None], ...] = (
    ("publish", "PublishStream", "Send the stream key, audio and video", _publish, None),
    ("stop", "StopStream", "End the stream", _stop, None),
    ("lose-connection", "LoseStream", "Lose the connection, as by a failing network", _lose, None),
    ("fail-publish", "FailStream", "Cause a PUBLISH_ERROR", _fail, Failure),
    ("fail-recording", "FailStreamRecording", "Cause a RECORDING_*_FAILED", _fail_recording, RecordingFailure),
)
"""The actions: the last part of the path, the name of the operation, its summary, its function, and its body."""
