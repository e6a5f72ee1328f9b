"""Which participants of a session a composition shows, and when it is notified of a change.

A composition is no participant and makes no event. It shows those who publish: replicas with the source of their
publisher, and a virtual participant in place of its redundant streams (user guide, "RTMP Publishing").
"""

import asyncio
from collections.abc import Awaitable, Callable

from stagebook.book.book_errors import BookFailedError
from stagebook.media.composition.composition_port import ComposedParticipant
from stagebook.stage.session.session_state import Session, SessionParticipant, shown_mute

GATHER_SECONDS = 0.02
"""Changes within this time are shown together. It is far below the 500 ms in which a composition has to follow."""


def composed_participants(session: Session | None) -> tuple[ComposedParticipant, ...]:
    """Return those who publish, in the order in which they came to the stage."""
    if session is None:
        return ()
    publishers = [each for each in session.participants.values() if _is_composed(session, each)]
    return tuple(_composed(session, each) for each in sorted(publishers, key=lambda each: each.arrival))


def _is_composed(session: Session, participant: SessionParticipant) -> bool:
    return (
        participant.machine.is_publishing
        and participant.virtual_id is None
        and participant.record.participant_id in session.sources
    )


def _composed(session: Session, participant: SessionParticipant) -> ComposedParticipant:
    record, mute = participant.record, shown_mute(participant)
    return ComposedParticipant(
        participant_id=record.participant_id,
        source_id=session.sources[record.participant_id].source_id,
        attributes=record.attributes,
        is_audio_muted=mute.audio_muted,
        is_video_stopped=mute.video_stopped,
    )


class ChangedStages:
    """The stages whose compositions have to be notified of changes. `show` is called with the ARN of each.

    It is called when everything up to the change is durable, since nothing may be shown that a crash could still lose.
    """

    def __init__(self, *, show: Callable[[str], None], durable: Callable[[], Awaitable[None]]) -> None:
        self._show = show
        self._durable = durable
        self._stages: dict[str, None] = {}
        self._task: asyncio.Task[None] | None = None

    def note(self, stage_arn: str) -> None:
        """Show the participants of a stage soon."""
        self._stages[stage_arn] = None
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def is_showing(self) -> bool:
        """Whether a change is not shown yet."""
        return self._task is not None

    async def settled(self) -> None:
        """Wait until everything is shown."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def stop(self) -> None:
        """Show nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._stages:
                await asyncio.sleep(GATHER_SECONDS)
                stages, self._stages = self._stages, {}
                await self._durable()
                for stage_arn in stages:
                    self._show(stage_arn)
        except BookFailedError:
            pass  # The server stops; nothing may be shown that is not durable.
        finally:
            self._task = None
