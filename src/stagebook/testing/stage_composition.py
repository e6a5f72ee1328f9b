"""A composition without media: what happens to its destinations, and to itself, when a test asks for it."""

from collections.abc import Sequence

from stagebook.testing.codes import DestinationErrorText, SessionErrorText
from stagebook.testing.reported_event import CompositionAnswer, ReportedCompositionEvent
from stagebook.testing.testing_calls import ControlCalls, path_of


class StageComposition:
    """One composition, by its ARN. Every action returns the events that it made, oldest first, once they are durable.

    `destination_id` is that of GetComposition; without it, the action is about the first destination to which it can
    happen. An action that is not possible raises CallRefusedError.
    """

    def __init__(self, calls: ControlCalls, arn: str) -> None:
        self._calls = calls
        self.arn = arn

    def __repr__(self) -> str:
        return f"StageComposition({self.arn!r})"

    def fail_destination(
        self, error_code: DestinationErrorText, destination_id: str | None = None
    ) -> Sequence[ReportedCompositionEvent]:
        """Let a destination fail permanently: COMPOSITION_DESTINATION_FAILED. The last one ends the composition."""
        return self._act("fail-destination", errorCode=error_code, destinationId=destination_id)

    def reconnect_destination(self, destination_id: str | None = None) -> Sequence[ReportedCompositionEvent]:
        """Let a channel lose its connection: COMPOSITION_DESTINATION_RECONNECTING."""
        return self._act("reconnect-destination", destinationId=destination_id)

    def recover_destination(self, destination_id: str | None = None) -> Sequence[ReportedCompositionEvent]:
        """Let a channel that reconnects succeed: COMPOSITION_DESTINATION_STARTED."""
        return self._act("recover-destination", destinationId=destination_id)

    def fail(self, error_code: SessionErrorText) -> Sequence[ReportedCompositionEvent]:
        """Let the composition fail: COMPOSITION_FAILED, after the failures of its destinations.

        StageDeleted is refused: delete the stage.
        """
        return self._act("fail", errorCode=error_code)

    def _act(self, action: str, **members: object) -> Sequence[ReportedCompositionEvent]:
        return self._calls.post(path_of("compositions", action), CompositionAnswer, arn=self.arn, **members).events
