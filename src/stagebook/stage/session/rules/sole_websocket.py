"""One token, one connection: the events websocket of a client that has one at a time.

"A token cannot be used to maintain more than one connection to a stage at once" (type declarations of Amazon's Web
Broadcast SDK, StageLeftReason.TOKEN_REUSED). The newest such websocket of a participant counts:

* A newer one replaces it. The former is closed with TOKEN_REUSED: a second page that has the token is told to leave,
  and ends its media connections itself. Media connections stay, because the newer websocket can be one of the same
  page, which has lost the former one without the server knowing, for instance on a phone that changes networks. The
  server cannot tell the two apart.
* If the client closes it, the client has left: its media connections end with it. A page that is left, loaded again or
  crashes closes it, and may not end its media connections.
* If it is lost, media connections end by themselves, or stay until the client is back.

Events websockets of other clients stay open. The server does not know which client a media connection belongs to: it
counts all media connections of the participant as those of this client.
"""

from msgspec.structs import replace

from stagebook.stage.errors import ServerBusyError
from stagebook.stage.events import Cause
from stagebook.stage.participant.participant_facts import Gone
from stagebook.stage.participant.transitions import ConnectionKind
from stagebook.stage.session.draft import Draft
from stagebook.stage.session.orders import CloseEvents, CloseRoute, FarewellReason
from stagebook.stage.session.rules.attempt_cancellation import cancel_attempts
from stagebook.stage.session.rules.teardown import end_connections
from stagebook.stage.session.session_state import SessionParticipant

_MEDIA = (ConnectionKind.PUBLISH, ConnectionKind.SUBSCRIBE)


def replace_sole(draft: Draft, participant_id: str, connection_id: str) -> None:
    """Make an accepted websocket the one of the participant's client; end the former one.

    The former one ends after the new one is accepted, so that a participant without other connections does not leave.
    """
    former_id = draft.get(participant_id).sole_events_id
    if former_id is not None:
        draft.record(participant_id, Gone(connection_ids=(former_id,), cause=Cause.CLIENT))
        draft.order(CloseRoute(connection_id=former_id))
        draft.order(CloseEvents(connection_id=former_id, farewell=FarewellReason.TOKEN_REUSED))
    draft.put(replace(draft.get(participant_id), sole_events_id=connection_id))


def leave(draft: Draft, participant: SessionParticipant, *, detail: str | None) -> None:
    """End everything of a participant whose client has closed its websocket, but the websockets of other clients."""
    participant_id = participant.record.participant_id
    cancel_attempts(draft, participant_id, ServerBusyError("the client has left the stage"))
    connections = participant.machine.connections.items()
    ended = [connection_id for connection_id, connection in connections if connection.kind in _MEDIA]
    if participant.sole_events_id is not None:
        ended.append(participant.sole_events_id)
    end_connections(draft, participant_id, ended, cause=Cause.CLIENT, detail=detail)
