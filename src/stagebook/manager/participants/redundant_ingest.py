"""The virtual participants of redundant ingest: who viewers see, whichever of the redundant streams is shown.

A virtual participant is on its stage, and publishes, exactly while a redundant stream of its configuration flows; it
goes with the last one (`endings.py`). It has no connection in the engine. Source: user guide, "RTMP Publishing",
"Redundant Ingest"; that the virtual participant has a row and events of its own is chosen here.
"""

from stagebook.book.changes import Change
from stagebook.manager.participants.replicas import Replicas
from stagebook.manager.session.running_sessions import LiveParticipant, LiveSession
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.stage.claims import virtual_claims
from stagebook.stage.clock import Randomness
from stagebook.stage.facts import Accepted, Connected
from stagebook.stage.ids import new_connection_id


class RedundantIngest:
    """Brings virtual participants onto stages. What is recorded is added to `changes`; whoever calls commits them."""

    def __init__(self, *, ledger: UnitOfWork, replicas: Replicas, randomness: Randomness) -> None:
        self._ledger = ledger
        self._replicas = replicas
        self._randomness = randomness

    def show(self, session: LiveSession, stream: LiveParticipant, changes: list[Change]) -> None:
        """Let the virtual participant of a stream that flows publish, unless another stream made it do so before."""
        virtual = self._ledger.participant_of(session, virtual_claims(stream.claims), stream.record.client)
        if virtual.machine.publication_id is None:
            # No route: the engine never speaks of it, and the streams are counted as publishers, not what shows them.
            publication_id = new_connection_id(self._randomness)
            arrival = (
                Accepted(connection_id=publication_id, kind="publish"),
                Connected(connection_id=publication_id),
            )
            self._ledger.write(session, virtual, arrival, changes)
            self._replicas.resume(virtual, changes)
